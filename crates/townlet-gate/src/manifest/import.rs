//! Reading the predecessor's manifest: what can be kept becomes a draft, and the rest is told where it went.

use std::collections::BTreeMap;

use serde::Serialize;
use townlet_policy::yaml::Node;
use townlet_policy::{Code, Findings};
use townlet_registry::Digest;

use crate::fields::{Reader, tree};

/// A draft, what is no longer in it, and what it still wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The draft as JSON: what [`draft`](super::draft) reads once the wants are met.
    pub draft: String,
    /// What is kept elsewhere now, or nowhere.
    pub moved: Vec<Moved>,
    /// The places that the old form left empty.
    pub wanted: Vec<String>,
}

/// A field of the old form that the new one does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The old field, with its value.
    pub from: String,
    /// What became of it.
    pub to: String,
}

/// Reads the manifest of the predecessor. `author` is whoever will sign the new one: the old form does not say who made
/// it.
///
/// # Errors
/// Every fault with its line; a field that the old template does not have is one.
pub fn import(text: &str, file: &str, author: Option<&str>) -> Result<Import, Findings> {
    let mut found = Findings::new(file, text);
    let root = tree(text, &mut found);
    let mut old = Old { reader: Reader { found: &mut found }, moved: Vec::new(), wanted: Vec::new() };
    let draft = root.map(|root| old.draft(&root, author));
    let (moved, wanted) = (old.moved, old.wanted);
    found.sort();
    match draft.and_then(|draft| serde_json::to_string_pretty(&draft).ok()) {
        Some(draft) if !found.has_errors() => Ok(Import { draft: draft + "\n", moved, wanted }),
        _ => Err(found),
    }
}

/// What is written, in this order. What is wanted is left out, so that the reader of drafts names its place.
#[derive(Serialize)]
struct Draft {
    schema: &'static str,
    release: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    environments: Vec<String>,
    artifacts: Vec<Artifact>,
    readiness: Readiness,
    feature_flags: Vec<Flag>,
    secrets: Vec<Secret>,
    migrations: Vec<Migration>,
    rollback_plan: RollbackPlan,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Artifact {
    name: Option<String>,
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
}

#[derive(Serialize)]
struct Readiness {
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scorecard: Option<Place>,
}

/// A path or address whose digest is computed or wanted.
#[derive(Serialize)]
struct Place {
    at: String,
}

#[derive(Serialize)]
struct Flag {
    name: Option<String>,
    rollout_plan: Option<String>,
    fallback: Option<String>,
}

#[derive(Serialize)]
struct Secret {
    name: Option<String>,
    version: Option<String>,
    rotation_evidence: Option<Place>,
}

#[derive(Serialize)]
struct Migration {
    id: Option<String>,
    dry_run: Option<Place>,
    rollback: Option<Place>,
}

#[derive(Serialize)]
struct RollbackPlan {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
    steps: Vec<String>,
}

struct Old<'a> {
    reader: Reader<'a>,
    moved: Vec<Moved>,
    wanted: Vec<String>,
}

impl Old<'_> {
    fn draft(&mut self, root: &Node, author: Option<&str>) -> Draft {
        let what = "the old manifest";
        let known = [
            "release",
            "generated_at",
            "artifacts",
            "scorecard_path",
            "readiness_run_id",
            "feature_flags",
            "secrets",
            "migrations",
            "approvals",
            "rollback_plan",
            "metadata",
        ];
        self.reader.keys(root, what, &known);
        if author.is_none() {
            self.wanted.push("author: who makes this release, and so does not approve it".into());
        }
        let (mut metadata, mut environments) = (BTreeMap::new(), Vec::new());
        if let Some(node) = root.get("metadata") {
            metadata = self.reader.map(node, "metadata");
            environments.extend(metadata.remove("environment"));
            if let Some(waivers) = metadata.remove("waivers") {
                self.moved(format!("metadata.waivers: {waivers}"), "townlet waive, one for each policy, signed");
            }
        }
        if environments.is_empty() {
            self.wanted.push("environments: where the release may go".into());
        }
        let run_id = root.get("readiness_run_id").and_then(|node| self.reader.text(node, "readiness_run_id"));
        let scorecard = root.get("scorecard_path").and_then(|node| self.place(node, "readiness.scorecard"));
        for (missing, key) in [(run_id.is_none(), "run_id"), (scorecard.is_none(), "scorecard")] {
            if missing {
                self.wanted.push(format!("readiness.{key}: the run of the suites that speaks for the release"));
            }
        }
        self.approvals(root);
        Draft {
            schema: super::MANIFEST_FORM,
            release: self.reader.needed_text(root, "release", what),
            generated_at: root.get("generated_at").and_then(|node| self.time(node, "generated_at")),
            author: author.map(str::to_owned),
            environments,
            artifacts: self.each(root, "artifacts", Self::artifact),
            readiness: Readiness { run_id, scorecard },
            feature_flags: self.each(root, "feature_flags", Self::flag),
            secrets: self.each(root, "secrets", Self::secret),
            migrations: self.each(root, "migrations", Self::migration),
            rollback_plan: self.rollback_plan(root),
            metadata,
        }
    }

    fn moved(&mut self, from: String, to: &str) {
        self.moved.push(Moved { from, to: to.to_owned() });
    }

    fn time(&mut self, node: &Node, key: &str) -> Option<String> {
        self.reader.moment(node, key).map(|time| time.to_string())
    }

    fn each<T>(&mut self, root: &Node, key: &str, read: fn(&mut Self, &Node, &str) -> T) -> Vec<T> {
        let items = root.get(key).map_or(&[][..], |list| self.reader.list(list, key));
        items.iter().enumerate().map(|(at, item)| read(self, item, &format!("{key}[{at}]"))).collect()
    }

    /// An address cannot be read here, so its digest is wanted.
    fn place(&mut self, node: &Node, key: &str) -> Option<Place> {
        let at = self.reader.text(node, key)?;
        if at.contains("://") {
            self.wanted.push(format!("{key}.digest: the SHA-256 of what lies at {at}, which is not fetched"));
        }
        Some(Place { at })
    }

    fn needed_place(&mut self, node: &Node, field: &str, at: &str) -> Option<Place> {
        self.reader.needed(node, field, at).and_then(|node| self.place(node, &format!("{at}.{field}")))
    }

    fn artifact(&mut self, node: &Node, at: &str) -> Artifact {
        self.reader.keys(node, at, &["name", "version", "hash"]);
        let hash = self.reader.needed_text(node, "hash", at);
        let digest = hash.as_deref().and_then(|text| text.parse().ok());
        if let (Some(hash), None) = (hash, digest) {
            self.moved(format!("{at}.hash: {hash}"), "nowhere: it is no SHA-256; the digest is computed from the file");
        }
        self.wanted.push(format!("{at}.path: where its bytes are"));
        let mut text = |key| self.reader.needed_text(node, key, at);
        Artifact { name: text("name"), version: text("version"), digest }
    }

    fn flag(&mut self, node: &Node, at: &str) -> Flag {
        self.reader.keys(node, at, &["name", "rollout_plan", "fallback"]);
        let mut text = |key| self.reader.needed_text(node, key, at);
        Flag { name: text("name"), rollout_plan: text("rollout_plan"), fallback: text("fallback") }
    }

    fn secret(&mut self, node: &Node, at: &str) -> Secret {
        self.reader.keys(node, at, &["name", "version", "rotation_evidence"]);
        let name = self.reader.needed_text(node, "name", at);
        let version = self.reader.needed_text(node, "version", at);
        Secret { name, version, rotation_evidence: self.needed_place(node, "rotation_evidence", at) }
    }

    fn migration(&mut self, node: &Node, at: &str) -> Migration {
        self.reader.keys(node, at, &["id", "dry_run", "rollback"]);
        let id = self.reader.needed_text(node, "id", at);
        let dry_run = self.needed_place(node, "dry_run", at);
        Migration { id, dry_run, rollback: self.needed_place(node, "rollback", at) }
    }

    fn approvals(&mut self, root: &Node) {
        for item in root.get("approvals").map_or(&[][..], |list| self.reader.list(list, "approvals")) {
            self.reader.keys(item, "an approval", &["role", "actor", "timestamp"]);
            let field = |key| item.get(key).and_then(Node::text).unwrap_or_default();
            let (role, actor) = (field("role"), field("actor"));
            let to = format!("townlet approve --role {role}, signed by {actor}: typed names bind nobody");
            self.moved(format!("approvals: {role} by {actor} at {}", field("timestamp")), &to);
        }
    }

    fn rollback_plan(&mut self, root: &Node) -> RollbackPlan {
        let Some(node) = root.get("rollback_plan") else {
            self.wanted.push("rollback_plan: policy, rules and steps".into());
            return RollbackPlan { rules: Vec::new(), steps: Vec::new() };
        };
        self.reader.keys(node, "rollback_plan", &["trigger", "steps", "rehearsed_at"]);
        let steps = node.get("steps").map(|node| self.reader.texts(node, "steps")).unwrap_or_default();
        self.wanted.push("rollback_plan.policy: the policy file whose rules start the rollback".into());
        if let Some(time) = node.get("rehearsed_at").and_then(Node::text) {
            let to = "townlet rehearse, which runs the steps and signs what happened: a typed date shows nothing";
            self.moved(format!("rollback_plan.rehearsed_at: {time}"), to);
        }
        let Some(trigger) = node.get("trigger").and_then(|node| self.reader.text(node, "trigger")) else {
            self.wanted.push("rollback_plan.rules: the rules of that policy".into());
            return RollbackPlan { rules: Vec::new(), steps };
        };
        match rule_of(&trigger) {
            Some((id, rule)) => {
                let to = format!("a rule of that policy: {{ id: {id}, when: \"{rule}\", action: rollback }}");
                self.moved(format!("rollback_plan.trigger: {trigger}"), &to);
                RollbackPlan { rules: vec![id], steps }
            }
            None => {
                let place = node.get("trigger").map_or(node.place, |node| node.place);
                let message = format!("the trigger is no comparison: {}", crate::fields::shown(&trigger));
                self.reader.fault(Code::Value, place, message, "write it as latency_p95>400ms");
                RollbackPlan { rules: Vec::new(), steps }
            }
        }
    }
}

/// `latency_p95>400ms` as a rule: its id, and the words of the grammar.
fn rule_of(trigger: &str) -> Option<(String, String)> {
    let start = trigger.find(['<', '>', '=', '!'])?;
    let limit = trigger[start..].trim_start_matches(['<', '>', '=', '!']);
    let op = &trigger[start..trigger.len() - limit.len()];
    let (name, limit) = (trigger[..start].trim(), limit.trim());
    let letters = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    let known = ["<", "<=", ">", ">=", "==", "!="].contains(&op);
    (letters && known && !limit.is_empty()).then(|| (name.to_owned(), format!("{name} {op} {limit}")))
}
