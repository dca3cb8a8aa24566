//! What somebody vouches for, for a time: a training, a rota, an item of a checklist.

use serde::{Deserialize, Serialize};
use townlet_registry::{Digest, Time};

/// What is vouched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttestationKind {
    /// A person has learnt something, or shown it.
    Training,
    /// A person is on duty.
    Rota,
    /// Something about a release was looked at.
    Item,
}

impl AttestationKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Training, Self::Rota, Self::Item];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Rota => "rota",
            Self::Item => "item",
        }
    }
}

/// Somebody vouches for something, from a moment until another. About a person
/// ([`person_subject`](super::person_subject)), or about a manifest for an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Of which kind.
    pub kind: AttestationKind,
    /// For what: `deployment-runbook`, `sre`, `dashboards`.
    pub topic: String,
    /// Whom it is about, as the key ring names them; nobody for an item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// From then on it holds: when the training was completed, the duty begins, the item was looked at.
    pub valid_from: Time,
    /// From then on it does not.
    pub valid_until: Time,
    /// What shows it, in words or as an address.
    pub note: String,
    /// A file that shows it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
    /// Who vouches, as the key ring names them.
    pub actor: String,
    /// When this was said.
    pub at: Time,
}
