//! `townlet keys`: keys, and whose signatures are believed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use townlet_registry::{Error, ErrorKind, KeyId, KeyRing, PublicKey, Role, Signer, Time, TrustedKey};

use crate::exit::{Exit, Failure};
use crate::out::{row, say};

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a secret key in a file for its owner only (mode 0600), and its public half beside it (.pub).
    New(New),
    /// The keys that are believed: whose, in which roles, until when.
    List(List),
    /// Believe a public key: bind it to a person and roles.
    Trust(Trust),
    /// Stop believing a key from a moment on. What it signed before stays.
    Revoke(Revoke),
}

/// The key ring.
#[derive(Debug, Args)]
pub(crate) struct RingFile {
    /// The key ring: JSON, to be kept where only those may write who decide whom to believe.
    #[arg(long, value_name = "FILE", default_value = "townlet-keys.json")]
    pub(crate) keys: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// Where to write the secret key; the file must not exist.
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    ring: RingFile,
    /// As of this time (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    as_of: Option<Time>,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// The public key, PEM.
    public: PathBuf,
    /// Whose key it is.
    #[arg(long)]
    person: String,
    /// What that person may sign as with it: `sre`, `change-board`, or `log` for the log itself. May be repeated.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<Role>,
    /// Signatures from then on count (RFC 3339); from now on without it.
    #[arg(long, value_name = "TIME")]
    from: Option<Time>,
    /// Signatures before then count; without an end without it.
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,
    #[command(flatten)]
    ring: RingFile,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The id of the key, or at least 8 digits of its beginning.
    id: String,
    /// Signatures from then on do not count (RFC 3339); from now on without it. Earlier where the key was lost earlier.
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
    /// Why; stands in every refusal.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    ring: RingFile,
}

pub(crate) fn run(what: &Keys) -> anyhow::Result<Exit> {
    match what {
        Keys::New(args) => new(args),
        Keys::List(args) => list(args),
        Keys::Trust(args) => trust(args),
        Keys::Revoke(args) => revoke(args),
    }
}

/// The time of this machine.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// An error with its exit code: what is not there or cannot be read is unavailable, the rest is usage.
pub(crate) fn failure(error: Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::Missing | ErrorKind::Io | ErrorKind::Busy => error.into(),
        _ => Failure::usage(error),
    }
}

/// Reads the key ring of a verifier.
pub(crate) fn read_ring(path: &Path) -> anyhow::Result<KeyRing> {
    let text = fs::read(path).with_context(|| format!("key ring {}", path.display()))?;
    KeyRing::from_json(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn new(args: &New) -> anyhow::Result<Exit> {
    let signer = Signer::generate().map_err(failure)?;
    let public = args.file.with_added_extension("pub");
    if let Some(known) = [&args.file, &public].into_iter().find(|path| path.exists()) {
        return Err(Failure::usage(format!("{} is there already; a key is never written over", known.display())));
    }
    signer.write_new(&args.file).map_err(failure)?;
    let pem = signer.public().to_pem().map_err(failure)?;
    fs::write(&public, pem).with_context(|| public.display().to_string()).inspect_err(|_| {
        // One half without the other would be in the way of the next attempt. Nobody has used it.
        for half in [&public, &args.file] {
            let _ = fs::remove_file(half);
        }
    })?;
    say!("{}", signer.key_id())?;
    Ok(Exit::Yes)
}

fn list(args: &List) -> anyhow::Result<Exit> {
    let ring = read_ring(&args.ring.keys)?;
    let at = args.as_of.unwrap_or_else(now);
    let state = |id: &KeyId, key: &TrustedKey| match (&key.revoked, ring.at(id, at)) {
        (_, Ok(_)) => "valid".to_owned(),
        (Some(revoked), Err(_)) if revoked.at <= at => format!("revoked from {} on: {}", revoked.at, revoked.reason),
        (_, Err(_)) if at < key.from => format!("valid from {} on", key.from),
        (_, Err(_)) => "expired".to_owned(),
    };
    if args.json {
        let keys = ring.keys().map(|(id, key)| {
            json!({
                "id": id, "person": key.person, "roles": key.roles, "from": key.from, "until": key.until,
                "revoked": key.revoked, "valid": ring.at(id, at).is_ok(),
            })
        });
        say!("{}", serde_json::to_string_pretty(&keys.collect::<Value>())?)?;
        return Ok(Exit::Yes);
    }
    for (id, key) in ring.keys() {
        let roles: Vec<&str> = key.roles.iter().map(Role::as_str).collect();
        let until = key.until.map_or(String::new(), |until| format!(" until {until}"));
        row!("{id}  {} as {}{until}: {}", key.person, roles.join(", "), state(id, key))?;
    }
    Ok(Exit::Yes)
}

fn trust(args: &Trust) -> anyhow::Result<Exit> {
    let pem = fs::read_to_string(&args.public).with_context(|| args.public.display().to_string())?;
    let public =
        PublicKey::from_pem(&pem).map_err(|error| Failure::usage(format!("{}: {error}", args.public.display())))?;
    let key = TrustedKey {
        public,
        person: args.person.clone(),
        roles: args.roles.iter().cloned().collect(),
        from: args.from.unwrap_or_else(now),
        until: args.until,
        revoked: None,
    };
    if args.person.chars().any(char::is_control) {
        return Err(Failure::usage("--person takes a name"));
    }
    let id = edit_ring(&args.ring.keys, |ring| {
        // Rules about distinct people compare names to the letter.
        let alike = |known: &str| known != args.person && same_name(known, &args.person);
        if let Some((_, known)) = ring.keys().find(|(_, key)| alike(&key.person)) {
            let known = &known.person;
            let message =
                format!("the key ring knows `{known}`: written as `{}`, one person would count as two", args.person);
            return Err(Failure::usage(message));
        }
        ring.trust(key).map_err(failure)
    })?;
    say!("{id}")?;
    Ok(Exit::Yes)
}

fn revoke(args: &Revoke) -> anyhow::Result<Exit> {
    let path = &args.ring.keys;
    read_ring(path)?;
    let id = edit_ring(path, |ring| {
        let begins = |id: &KeyId| id.to_string().starts_with(&args.id);
        let known: Vec<KeyId> = ring.keys().map(|(id, _)| *id).filter(begins).collect();
        let id = match known.as_slice() {
            [id] if args.id.len() >= 8 => *id,
            [] => return Err(Failure::usage(format!("no key in {} begins with `{}`", path.display(), args.id))),
            _ => return Err(Failure::usage(format!("`{}` is too short for one key; at least 8 digits", args.id))),
        };
        ring.revoke(&id, args.at.unwrap_or_else(now), &args.reason).map_err(failure)?;
        Ok(id)
    })?;
    say!("{id}")?;
    Ok(Exit::Yes)
}

/// Whether two names differ in capitals and spaces alone.
fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase().split_whitespace().eq(other.to_lowercase().split_whitespace())
}

/// A key that may sign checkpoints now, as the ring has it. One by another key would stay with the log, which would not
/// verify from then on.
pub(crate) fn log_signer(key: &Path, ring: &Path) -> anyhow::Result<Signer> {
    let signer = Signer::read(key).map_err(failure)?;
    let (known, id) = (read_ring(ring)?, signer.key_id());
    let trusted = known.at(&id, now()).map_err(failure)?;
    if !trusted.roles.iter().any(|role| role.as_str() == Role::LOG) {
        let (key, ring, person) = (key.display(), ring.display(), &trusted.person);
        let message =
            format!("{key} is a key of {person} without the role `{}` in {ring}; nothing is signed", Role::LOG);
        return Err(Failure::usage(message));
    }
    Ok(signer)
}

/// Changes a key ring, or begins one. Whoever else does so at the same time waits: a revocation is never written over.
/// The file keeps its mode, and stays where it is where the path is a link; the whole of it is written, or nothing.
pub(crate) fn edit_ring<T>(path: &Path, edit: impl FnOnce(&mut KeyRing) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let place = || format!("key ring {}", path.display());
    let target =
        if path.is_symlink() || path.exists() { fs::canonicalize(path).with_context(place)? } else { path.to_owned() };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder cannot be opened everywhere.
    let folder = if cfg!(unix) { Some(File::open(folder).with_context(place)?) } else { None };
    if let Some(folder) = &folder {
        folder.lock().with_context(place)?;
    }
    let mut ring = if target.exists() { read_ring(&target)? } else { KeyRing::new() };
    let before = ring.clone();
    let answer = edit(&mut ring)?;
    if ring != before {
        write_ring(&ring, &target, folder.as_ref()).with_context(place)?;
    }
    Ok(answer)
}

fn write_ring(ring: &KeyRing, path: &Path, folder: Option<&File>) -> std::io::Result<()> {
    let beside = path.with_added_extension("new");
    // Of somebody who was killed: the lock says that nobody is at it now.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(&beside)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(&ring.to_json().map_err(std::io::Error::other)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    folder.map_or(Ok(()), File::sync_all)
}
