//! What is signed about a release after the decision. Incidents and attestations are statements of
//! [`townlet_gate::statement`], because a gate reads them.

use serde::{Deserialize, Serialize};
use townlet_registry::{Digest, Time, predicates};

use crate::readyz::Summary;

/// How a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It began. Where no later record of it says more, who ran it died on the way.
    Running,
    /// It is out.
    Succeeded,
    /// Its command said no.
    Failed,
    /// It took longer than it may, and was ended.
    TimedOut,
    /// Somebody called it off.
    Cancelled,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Succeeded, Self::Failed, Self::TimedOut, Self::Cancelled];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A release goes to an environment. The subject is its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Which one: the record of its beginning and the one of its end share it.
    pub id: String,
    /// Where.
    pub environment: String,
    /// How it stands.
    pub outcome: Outcome,
    /// When it began.
    pub started_at: Time,
    /// When it was over; nothing while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The decision that allowed it, by the digest of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Digest>,
    /// The commits that it brings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Shipped>,
    /// The deployment that it takes back. It then is a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// What was run, where it was run by the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Who signs, as the key ring names them.
    pub actor: String,
}

/// A commit that a deployment brings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shipped {
    /// Its name.
    pub revision: String,
    /// When it was committed.
    pub committed_at: Time,
}

/// A command, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// In words; nothing while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Of what was kept of its standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Digest>,
    /// Of what was kept of its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Digest>,
}

/// What an entry in the timeline of an incident stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Something worth keeping.
    Note,
    /// Somebody took it on.
    Acknowledged,
    /// The rollback began.
    RollbackStarted,
    /// It is done.
    RollbackFinished,
    /// It did not work.
    RollbackFailed,
    /// What was learnt can be read.
    Postmortem,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Note,
        Self::Acknowledged,
        Self::RollbackStarted,
        Self::RollbackFinished,
        Self::RollbackFailed,
        Self::Postmortem,
    ];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Acknowledged => "acknowledged",
            Self::RollbackStarted => "rollback_started",
            Self::RollbackFinished => "rollback_finished",
            Self::RollbackFailed => "rollback_failed",
            Self::Postmortem => "postmortem",
        }
    }
}

/// An entry in the timeline of an incident, which is its subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentEntry {
    /// The name of the incident.
    pub incident: String,
    /// What it stands for.
    pub step: Step,
    /// When it happened.
    pub happened_at: Time,
    /// What happened, or where to read it.
    pub text: String,
    /// Who signs, as the key ring names them.
    pub actor: String,
    /// When this was said.
    pub at: Time,
}

/// What a probe of readiness saw over a time. The subjects are the raw record and, where it is about one, the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyzHistory {
    /// Where.
    pub environment: String,
    /// What was asked, without its query.
    pub url: String,
    /// What came of it.
    pub summary: Summary,
    /// Of the raw record, a line for each probe.
    pub raw: Digest,
    /// Who signs, as the key ring names them.
    pub actor: String,
    /// When this was said.
    pub at: Time,
}

/// The configuration of a release in an environment. The subject is the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigVersion {
    /// Where it is for.
    pub environment: String,
    /// Which release it is for.
    pub release: String,
    /// Where the file is kept: `configs/production/R42.toml`.
    pub path: String,
    /// The version that was recorded before it for the same release and environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<Digest>,
    /// Who signs, as the key ring names them.
    pub actor: String,
    /// When this was said.
    pub at: Time,
}

predicates! {
    Deployment = "urn:townlet:statement:deployment:1",
    IncidentEntry = "urn:townlet:statement:incident-entry:1",
    ReadyzHistory = "urn:townlet:statement:readyz-history:1",
    ConfigVersion = "urn:townlet:statement:config-version:1",
}
