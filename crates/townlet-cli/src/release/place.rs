//! Where the release control of a workspace keeps its things.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use townlet_registry::{Error, ErrorKind, Role, Signer, TrustedKey};

use super::{Kept, Signing, failure, now};
use crate::exit::Failure;
use crate::keys::edit_ring;

/// A key that is made where there is none: its file, and what it may sign as.
struct Wanted {
    file: &'static str,
    roles: &'static [&'static str],
}

/// Of whoever makes releases.
const AUTHOR: Wanted = Wanted { file: "author.key", roles: &["release-engineer"] };
/// Of the machine: what suites came to, decisions, checkpoints.
const MACHINE: Wanted = Wanted { file: "ci.key", roles: &["ci", "gate", "log"] };
const MACHINE_PERSON: &str = "ci";

/// The folders and files.
pub(super) struct Place {
    /// The workspace. Paths in a draft are seen from here.
    pub(super) root: PathBuf,
    /// What people write.
    pub(super) config: PathBuf,
    /// Evidence, manifests, reports and bundles.
    pub(super) out: PathBuf,
    /// Secret keys, the ring and the registry are below this.
    home: PathBuf,
}

impl Place {
    /// Of the workspace around a folder with configuration. For a trial, keys and registry lie with what comes out.
    pub(super) fn new(config: &Path, out: Option<&Path>, trial: bool) -> anyhow::Result<Self> {
        let whole = std::path::absolute(config).with_context(|| config.display().to_string())?;
        let root = whole.parent().map_or_else(|| whole.clone(), Path::to_owned);
        let out = match out {
            Some(out) => std::path::absolute(out).with_context(|| out.display().to_string())?,
            None => whole.join("out"),
        };
        let home = if trial { out.clone() } else { whole.clone() };
        Ok(Self { root, config: whole, out, home })
    }

    /// A path as a manifest has it.
    pub(super) fn inside(&self, path: &Path) -> anyhow::Result<String> {
        let inside = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
        inside.map(str::to_owned).ok_or_else(|| {
            let (path, root) = (path.display(), self.root.display());
            Failure::usage(format!("{path} is not below {root}; a manifest is about what lies in its workspace"))
        })
    }

    pub(super) fn ring(&self) -> PathBuf {
        self.home.join("townlet-keys.json")
    }

    /// Whoever makes releases signs.
    pub(super) fn author(&self) -> Signing {
        self.signing(&AUTHOR)
    }

    /// The machine signs.
    pub(super) fn machine(&self) -> Signing {
        self.signing(&MACHINE)
    }

    fn key(&self, wanted: &Wanted) -> PathBuf {
        self.home.join("keys").join(wanted.file)
    }

    fn signing(&self, wanted: &Wanted) -> Signing {
        let registry = self.home.join("townlet-registry.db");
        Signing { key: self.key(wanted), keys: self.ring(), kept: Kept { registry }, origin: self.origin() }
    }

    /// What the log is called for ever: after the workspace.
    fn origin(&self) -> String {
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name: String = name.chars().map(|c| if fits(c) { c } else { '-' }).collect();
        format!("{}/releases", if name.is_empty() { "townlet" } else { &name })
    }

    /// Makes the keys that are not there, and vouches for them and for those that nobody vouched for, as when this was
    /// killed on the way; returns which. No key is written over.
    pub(super) fn make_keys(&self, person: &str) -> anyhow::Result<Vec<Vouched>> {
        let mut vouched = Vec::new();
        for (wanted, person) in [(&AUTHOR, person), (&MACHINE, MACHINE_PERSON)] {
            let path = self.key(wanted);
            let made = !path.exists();
            let signer = if made { new_key(&path)? } else { Signer::read(&path).map_err(unusable)? };
            let roles = wanted.roles.iter().map(|role| Role::new(*role)).collect::<Result<_, _>>().map_err(failure)?;
            let (public, person) = (signer.public(), person.to_owned());
            let key = TrustedKey { public, person, roles, from: now(), until: None, revoked: None };
            let new = edit_ring(&self.ring(), |ring| {
                let new = ring.keys().all(|(id, _)| *id != signer.key_id());
                if new {
                    ring.trust(key).map_err(failure)?;
                }
                Ok(new)
            })?;
            if new {
                vouched.push(Vouched { key: path, made });
            }
        }
        Ok(vouched)
    }
}

/// A key that is believed from now on.
pub(super) struct Vouched {
    /// Its file.
    pub(super) key: PathBuf,
    /// Whether the file is new, too.
    pub(super) made: bool,
}

fn new_key(path: &Path) -> anyhow::Result<Signer> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let signer = Signer::generate().map_err(failure)?;
    // Nobody vouches for a key that could not be kept.
    signer.write_new(path).map_err(failure)?;
    Ok(signer)
}

/// A file that is there and holds no key: nothing is thrown away, since it may be one.
fn unusable(error: Error) -> anyhow::Error {
    if error.kind() == ErrorKind::Malformed {
        return Failure::usage(format!("{error}\nif it was never finished, take it away and run this again"));
    }
    failure(error)
}
