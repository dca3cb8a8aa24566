//! Drafts and manifests, from text to types.

use townlet_policy::yaml::Node;
use townlet_policy::{Code, Findings};

use super::files::Files;
use super::variables::{self, Variables};
use super::{
    Artifact, ConfigDelta, Flag, MANIFEST_FORM, Manifest, Migration, Pinned, Previous, Readiness, RollbackPlan, Secret,
    Window,
};
use crate::fields::{Reader, shown, tree};
use townlet_registry::{Digest, Time};

/// The keys of a manifest, in the order in which they are written.
pub(super) const KEYS: &[&str] = &[
    "schema",
    "release",
    "generated_at",
    "author",
    "environments",
    "window",
    "artifacts",
    "readiness",
    "feature_flags",
    "secrets",
    "migrations",
    "config_deltas",
    "rollback_plan",
    "previous",
    "metadata",
];

/// Reads a finished manifest: every digest stands in it, no variable does.
///
/// # Errors
/// Every fault with its line.
pub fn read(text: &str, file: &str) -> Result<Manifest, Findings> {
    finish(text, file, None, None, None)
}

/// Makes a manifest of what people write: YAML or JSON in which variables are replaced, and the digests of files that
/// are not given are computed. `generated_at` is `now` unless given. A digest that is given and is not that of the
/// file is a fault.
///
/// # Errors
/// Every fault with its line.
pub fn draft(
    text: &str,
    file: &str,
    now: Time,
    variables: &Variables<'_>,
    files: &dyn Files,
) -> Result<Manifest, Findings> {
    finish(text, file, Some(now), Some(variables), Some(files))
}

fn finish(
    text: &str,
    file: &str,
    now: Option<Time>,
    variables: Option<&Variables<'_>>,
    files: Option<&dyn Files>,
) -> Result<Manifest, Findings> {
    let mut found = Findings::new(file, text);
    let mut root = tree(text, &mut found);
    if let (Some(root), Some(variables)) = (&mut root, variables) {
        variables::expand(root, variables, &mut found);
    }
    let manifest = root.and_then(|root| Shape { reader: Reader { found: &mut found }, now, files }.manifest(&root));
    found.sort();
    match manifest {
        Some(manifest) if !found.has_errors() => Ok(manifest),
        _ => Err(found),
    }
}

struct Shape<'a, 'f> {
    reader: Reader<'a>,
    now: Option<Time>,
    files: Option<&'f dyn Files>,
}

impl Shape<'_, '_> {
    /// `None` where a fault has been found.
    fn manifest(&mut self, root: &Node) -> Option<Manifest> {
        let what = "a manifest";
        self.reader.keys(root, what, KEYS);
        match (root.get("schema"), self.now) {
            (None, Some(_)) => {}
            _ => {
                let given = self.reader.needed(root, "schema", what);
                if let Some(node) = given.filter(|node| node.text() != Some(MANIFEST_FORM)) {
                    let message = format!("schema is {MANIFEST_FORM}, not {}", node.describe());
                    self.reader.fault(Code::Value, node.place, message, "this program reads no other form");
                }
            }
        }
        let generated_at = match (root.get("generated_at"), self.now) {
            (None, Some(now)) => Some(now),
            _ => self.reader.needed(root, "generated_at", what).and_then(|n| self.reader.moment(n, "generated_at")),
        };
        let release = self.reader.needed_text(root, "release", what);
        let author = self.reader.needed_text(root, "author", what);
        let environments = self.reader.needed(root, "environments", what);
        let environments = environments.map(|node| self.reader.texts(node, "environments"));
        let window = present(root, "window").map(|node| self.window(node));
        let artifacts = self.each(root, "artifacts", "name", true, Self::artifact);
        let readiness = self.reader.needed(root, "readiness", what).and_then(|node| self.readiness(node));
        let feature_flags = self.each(root, "feature_flags", "name", false, Self::flag);
        let secrets = self.each(root, "secrets", "name", false, Self::secret);
        let migrations = self.each(root, "migrations", "id", false, Self::migration);
        let config_deltas = self.each(root, "config_deltas", "path", false, Self::config_delta);
        let rollback_plan = self.reader.needed(root, "rollback_plan", what).and_then(|node| self.rollback_plan(node));
        let previous = present(root, "previous").map(|node| self.previous(node));
        let metadata = present(root, "metadata").map(|node| self.reader.map(node, "metadata"));
        Some(Manifest {
            schema: MANIFEST_FORM.to_owned(),
            release: release?,
            generated_at: generated_at?,
            author: author?,
            environments: environments?,
            window: lifted(window)?,
            artifacts,
            readiness: readiness?,
            feature_flags,
            secrets,
            migrations,
            config_deltas,
            rollback_plan: rollback_plan?,
            previous: lifted(previous)?,
            metadata: metadata.unwrap_or_default(),
        })
    }

    /// The items of a list; two of one name are a fault.
    fn each<T>(
        &mut self,
        root: &Node,
        key: &str,
        name: &str,
        needed: bool,
        read: fn(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        let list = if needed { self.reader.needed(root, key, "a manifest") } else { present(root, key) };
        let (mut all, mut names) = (Vec::new(), Vec::new());
        for item in list.map_or(&[][..], |list| self.reader.list(list, key)) {
            if let Some(text) = item.get(name).and_then(Node::text) {
                if names.contains(&text) {
                    let message = format!("'{}' stands in {key} twice", shown(text));
                    self.reader.fault(Code::Duplicate, item.place, message, "one of each");
                }
                names.push(text);
            }
            all.extend(read(self, item));
        }
        all
    }

    fn artifact(&mut self, node: &Node) -> Option<Artifact> {
        let what = "an artifact";
        self.reader.keys(node, what, &["name", "version", "path", "digest", "bytes"]);
        let name = self.reader.needed_text(node, "name", what);
        let version = self.reader.needed_text(node, "version", what);
        let path = self.reader.needed_text(node, "path", what);
        let (digest, length) = self.digest_of(node, "digest", path.as_deref());
        let bytes = present(node, "bytes").and_then(|node| {
            let text = self.reader.text(node, "bytes")?;
            let read = text.parse::<u64>().ok().filter(|n| n.to_string() == text);
            if read.is_none() || length.is_some_and(|length| Some(length) != read) {
                let help = length.map_or("write a number".into(), |length| format!("the file has {length}"));
                self.reader.fault(Code::Value, node.place, format!("bytes cannot be {}", node.describe()), &help);
            }
            read
        });
        if bytes.is_none() && length.is_none() && present(node, "bytes").is_none() {
            self.reader.fault(Code::Missing, node.place, "an artifact needs bytes", "add them");
        }
        Some(Artifact { name: name?, version: version?, path: path?, digest: digest?, bytes: bytes.or(length)? })
    }

    /// The digest that is written, or that of the file; the length where the file was read.
    fn digest_of(&mut self, node: &Node, key: &str, path: Option<&str>) -> (Option<Digest>, Option<u64>) {
        let written = present(node, key);
        let given = written.and_then(|node| self.reader.digest(node, key));
        let local = path.filter(|path| !path.contains("://"));
        let computed = match (self.files, local) {
            (Some(files), Some(path)) => match files.digest(path) {
                Ok(computed) => Some(computed),
                Err(why) => {
                    self.reader.fault(Code::Value, node.place, why, "build it first, or correct the path");
                    return (None, None);
                }
            },
            _ => None,
        };
        if let (Some(given), Some((computed, _))) = (given, computed)
            && given != computed
        {
            let message = format!("{key} is {given}, and the file has {computed}");
            self.reader.fault(
                Code::Value,
                written.map_or(node.place, |w| w.place),
                message,
                "take the digest out, or put the right file there",
            );
        }
        if written.is_none() && computed.is_none() && path.is_some() {
            let help = if self.files.is_some() {
                "an address is not fetched; write the digest of what is there"
            } else {
                "add it"
            };
            self.reader.fault(Code::Missing, node.place, format!("{key} is missing"), help);
        }
        (given.or(computed.map(|(digest, _)| digest)), computed.map(|(_, length)| length))
    }

    fn pinned(&mut self, node: &Node, key: &str, what: &str) -> Option<Pinned> {
        let node = self.reader.needed(node, key, what)?;
        // A path alone is enough where digests are computed.
        if let (Some(text), Some(_)) = (node.text(), self.files) {
            let (digest, _) = self.digest_of(node, "digest", Some(text));
            return Some(Pinned { at: text.to_owned(), digest: digest? });
        }
        self.reader.keys(node, key, &["at", "digest"]);
        let at = self.reader.needed_text(node, "at", key);
        let (digest, _) = self.digest_of(node, "digest", at.as_deref());
        Some(Pinned { at: at?, digest: digest? })
    }

    fn window(&mut self, node: &Node) -> Option<Window> {
        self.reader.keys(node, "window", &["opens_at", "closes_at"]);
        let mut end = |key| self.reader.needed(node, key, "window").and_then(|n| self.reader.moment(n, key));
        let (opens_at, closes_at) = (end("opens_at"), end("closes_at"));
        let window = Window { opens_at: opens_at?, closes_at: closes_at? };
        if window.closes_at <= window.opens_at {
            self.reader.fault(Code::Value, node.place, "the window closes before it has opened", "let it close later");
        }
        Some(window)
    }

    fn readiness(&mut self, node: &Node) -> Option<Readiness> {
        self.reader.keys(node, "readiness", &["run_id", "scorecard"]);
        let run_id = self.reader.needed_text(node, "run_id", "readiness");
        let scorecard = self.pinned(node, "scorecard", "readiness");
        Some(Readiness { run_id: run_id?, scorecard: scorecard? })
    }

    fn flag(&mut self, node: &Node) -> Option<Flag> {
        let what = "a feature flag";
        self.reader.keys(node, what, &["name", "rollout_plan", "fallback"]);
        let name = self.reader.needed_text(node, "name", what);
        let fallback = self.reader.needed_text(node, "fallback", what);
        let steps = self.reader.needed(node, "rollout_plan", what).and_then(|node| self.steps(node));
        Some(Flag { name: name?, rollout_plan: steps?, fallback: fallback? })
    }

    fn steps(&mut self, node: &Node) -> Option<Vec<u8>> {
        let written: Vec<String> = match node.text() {
            Some(text) => text.split("->").map(str::to_owned).collect(),
            None => self.reader.texts(node, "rollout_plan"),
        };
        let read = |part: &String| {
            let digits = part.trim().trim_end_matches('%');
            digits.parse::<u8>().ok().filter(|n| (1..=100).contains(n) && digits.bytes().all(|b| b.is_ascii_digit()))
        };
        let steps: Option<Vec<u8>> = written.iter().map(read).collect();
        let steps = steps.filter(|steps| !steps.is_empty() && steps.is_sorted_by(|a, b| a < b));
        if steps.is_none() {
            let message = format!("rollout_plan cannot be {}", node.describe());
            self.reader.fault(Code::Value, node.place, message, "write rising percentages: 5%->25%->100%");
        }
        steps
    }

    fn secret(&mut self, node: &Node) -> Option<Secret> {
        let what = "a secret";
        self.reader.keys(node, what, &["name", "version", "rotation_evidence"]);
        let name = self.reader.needed_text(node, "name", what);
        let version = self.reader.needed_text(node, "version", what);
        let rotation_evidence = self.pinned(node, "rotation_evidence", what);
        Some(Secret { name: name?, version: version?, rotation_evidence: rotation_evidence? })
    }

    fn migration(&mut self, node: &Node) -> Option<Migration> {
        let what = "a migration";
        self.reader.keys(node, what, &["id", "dry_run", "rollback"]);
        let id = self.reader.needed_text(node, "id", what);
        let dry_run = self.pinned(node, "dry_run", what);
        let rollback = self.pinned(node, "rollback", what);
        Some(Migration { id: id?, dry_run: dry_run?, rollback: rollback? })
    }

    fn config_delta(&mut self, node: &Node) -> Option<ConfigDelta> {
        let what = "a config delta";
        self.reader.keys(node, what, &["path", "from", "to"]);
        let path = self.reader.needed_text(node, "path", what)?;
        let from = present(node, "from").map(|node| self.reader.digest(node, "from"));
        let to = match (present(node, "to"), self.files) {
            (Some(node), _) => Some(self.reader.digest(node, "to")),
            // A draft gives the new file by its path alone.
            (None, Some(files)) if node.get("to").is_none() => Some(match files.digest(&path) {
                Ok((digest, _)) => Some(digest),
                Err(why) => {
                    self.reader.fault(Code::Value, node.place, why, "for a file that goes, write to: null");
                    None
                }
            }),
            (None, _) => None,
        };
        if from.is_none() && to.is_none() {
            self.reader.fault(Code::Missing, node.place, "a config delta needs from or to", "add the digests");
        }
        Some(ConfigDelta { path, from: lifted(from)?, to: lifted(to)? })
    }

    fn rollback_plan(&mut self, node: &Node) -> Option<RollbackPlan> {
        let what = "rollback_plan";
        self.reader.keys(node, what, &["policy", "rules", "steps"]);
        let policy = self.pinned(node, "policy", what);
        let rules = self.reader.needed(node, "rules", what).map(|node| self.reader.texts(node, "rules"));
        let steps = self.reader.needed(node, "steps", what).map(|node| self.reader.texts(node, "steps"));
        Some(RollbackPlan { policy: policy?, rules: rules?, steps: steps? })
    }

    fn previous(&mut self, node: &Node) -> Option<Previous> {
        self.reader.keys(node, "previous", &["release", "manifest"]);
        let release = self.reader.needed_text(node, "release", "previous");
        let manifest = self.reader.needed(node, "manifest", "previous");
        let manifest = manifest.and_then(|node| self.reader.digest(node, "manifest"));
        Some(Previous { release: release?, manifest: manifest? })
    }
}

/// What a key maps to, unless that is nothing.
fn present<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.get(key).filter(|found| !matches!(found.value, townlet_policy::yaml::Value::Null))
}

/// Something that may be left out: not there is fine, there and broken is not.
#[expect(clippy::option_option, reason = "absent and broken are two things")]
fn lifted<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
    }
}
