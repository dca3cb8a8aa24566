//! What goes wrong in an environment: opened by anybody who signs, closed by those who may.

use serde::{Deserialize, Serialize};
use townlet_registry::{Digest, Error, Subject, Time, canonical};

/// How bad an incident is. Only critical ones hold releases back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Users cannot do what they came for, or data are at risk.
    Critical,
    /// A part of them, or something beside it.
    Major,
    /// Somebody would notice.
    Minor,
}

impl Severity {
    /// All of them, worst first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Major, Self::Minor];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Major => "major",
            Self::Minor => "minor",
        }
    }
}

/// Something is wrong in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentOpened {
    /// Its name, `INC-7`; see [`incident_subject`].
    pub incident: String,
    /// Where.
    pub environment: String,
    /// How bad.
    pub severity: Severity,
    /// What is wrong, in a line.
    pub summary: String,
    /// Since when, as far as it is known. From then on it takes to restore.
    pub began_at: Time,
    /// The record of the deployment that brought it, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Digest>,
    /// Who signs, as the key ring names them.
    pub actor: String,
    /// When this was said.
    pub at: Time,
}

/// How an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentOutcome {
    /// The fault is gone, and nothing was taken back.
    Resolved,
    /// The release was taken back.
    RolledBack,
    /// Users are well again; the fault is still there.
    Mitigated,
    /// Nothing was wrong.
    FalseAlarm,
}

impl IncidentOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Resolved, Self::RolledBack, Self::Mitigated, Self::FalseAlarm];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::RolledBack => "rolled_back",
            Self::Mitigated => "mitigated",
            Self::FalseAlarm => "false_alarm",
        }
    }
}

/// It is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentClosed {
    /// Its name.
    pub incident: String,
    /// How it ended.
    pub outcome: IncidentOutcome,
    /// When users had what they came for again.
    pub restored_at: Time,
    /// What was learnt, in a line.
    pub summary: String,
    /// Who signs, as the key ring names them.
    pub actor: String,
    /// When this was said.
    pub at: Time,
}

/// What every statement about an incident is about: its name alone, so that one bundle holds all of it.
///
/// # Errors
/// None for a text; the type does not show it.
pub fn incident_subject(incident: &str) -> Result<Subject, Error> {
    named("incident", incident)
}

/// What statements about a person are about: the name in the key ring.
///
/// # Errors
/// None for a text; the type does not show it.
pub fn person_subject(person: &str) -> Result<Subject, Error> {
    named("person", person)
}

fn named(what: &str, name: &str) -> Result<Subject, Error> {
    let text = canonical::to_vec(&[(what, name)].into_iter().collect::<std::collections::BTreeMap<_, _>>())?;
    Ok(Subject::new(name, Digest::of(&text)))
}
