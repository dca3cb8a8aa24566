//! What people and machines say about a release, each signed on its own.
//!
//! | predicate | is about | says |
//! |---|---|---|
//! | [`Authorship`] | the manifest | I made this |
//! | [`Approval`] | the manifest | it may go there, for my role |
//! | [`Waiver`] | the manifest | it may go there although these policies fail, until then |
//! | [`Scorecard`] | the file of a scorecard | this run of the suites passed, or did not |
//! | [`Rehearsal`] | the rollback plan | its steps were run, took so long, and worked or not |
//! | [`Attestation`] | a person, or the manifest | trained, on duty, or looked at, from then until then |
//! | [`IncidentOpened`], [`IncidentClosed`] | an incident | something is wrong there; it is over |
//!
//! A statement never changes what it is about, and nobody's signature depends on another's. What a gate makes of them
//! stands in [`gate`](crate::gate).

mod attestation;
mod evidence;
mod incident;

use serde::{Deserialize, Serialize};
use townlet_registry::{Role, Time, predicates};

pub use attestation::{Attestation, AttestationKind};
pub use evidence::{Body, Evidence, Signer, Unread};
pub use incident::{IncidentClosed, IncidentOpened, IncidentOutcome, Severity, incident_subject, person_subject};

predicates! {
    Authorship = "urn:townlet:statement:release-authorship:1",
    Approval = "urn:townlet:statement:release-approval:1",
    Waiver = "urn:townlet:statement:release-waiver:1",
    Scorecard = "urn:townlet:statement:readiness-scorecard:1",
    Rehearsal = "urn:townlet:statement:rollback-rehearsal:1",
    Attestation = "urn:townlet:statement:attestation:1",
    IncidentOpened = "urn:townlet:statement:incident-opened:1",
    IncidentClosed = "urn:townlet:statement:incident-closed:1",
}

/// I made this manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorship {
    /// Who signs, as the key ring names them.
    pub actor: String,
    /// When.
    pub at: Time,
}

/// A release may go to an environment, as far as one role is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Where.
    pub environment: String,
    /// For which role of the change board.
    pub role: Role,
    /// Who signs, as the key ring names them.
    pub actor: String,
    /// When.
    pub at: Time,
    /// From then on it does not count. The change board may have a shorter limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Why, for whoever asks later.
    pub reason: String,
}

/// A release may go to an environment although policies fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Where.
    pub environment: String,
    /// Which: ids of rules, `readiness` or `rehearsal`.
    pub policies: Vec<String>,
    /// On what ground.
    pub reason: Ground,
    /// Why this is right for the release.
    pub justification: String,
    /// What is done about the risk meanwhile.
    pub mitigation: String,
    /// Who signs, as the key ring names them.
    pub actor: String,
    /// When.
    pub at: Time,
    /// From then on it does not count.
    pub expires_at: Time,
}

/// Why a waiver is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// The failure is real, known and smaller than what waiting costs.
    AcceptedRisk,
    /// What fails is in production already, and the release does not make it worse.
    KnownDefect,
    /// The release ends something worse.
    EmergencyFix,
    /// Nobody can tell whether the policy holds. The only ground that covers what is unknown, and it covers nothing
    /// that is known to fail.
    EvidenceUnavailable,
}

impl Ground {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AcceptedRisk, Self::KnownDefect, Self::EmergencyFix, Self::EvidenceUnavailable];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AcceptedRisk => "accepted_risk",
            Self::KnownDefect => "known_defect",
            Self::EmergencyFix => "emergency_fix",
            Self::EvidenceUnavailable => "evidence_unavailable",
        }
    }
}

/// What a run of the suites came to. The subject is the file with the whole of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scorecard {
    /// The run.
    pub run_id: String,
    /// Whether it passed.
    pub passed: bool,
    /// When it ended.
    pub finished_at: Time,
    /// Which revision it ran on, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Who signs, as the key ring names them.
    pub actor: String,
}

/// What came of running a rollback plan. The subject is the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rehearsal {
    /// Where it was run.
    pub environment: String,
    /// Whether every step worked.
    pub passed: bool,
    /// When it began.
    pub started_at: Time,
    /// When it was over; from then on it grows old.
    pub finished_at: Time,
    /// The steps, as they were run.
    pub steps: Vec<Step>,
    /// What nobody had expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surprises: Vec<String>,
    /// Who signs, as the key ring names them.
    pub actor: String,
}

/// A step of a rollback, as it was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// As the plan has it.
    pub name: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Whether it worked.
    pub passed: bool,
}
