//! Decisions as they are stored: what was decided, on which inputs, so that somebody else can decide again.

use serde::{Deserialize, Serialize};
use townlet_policy::Findings;
use townlet_registry::{Digest, Predicate, Time, canonical};

use super::case::Case;
use super::desk::Desk;
use super::flip::Flip;
use super::verdict::{Condition, NotCounted, Verdict};

/// The form of a decision. A change that would decide an old case otherwise takes a new one.
pub const DECISION_FORM: &str = "townlet.gate-decision/1";

/// The bytes that a decision rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The manifest, where there is one.
    pub manifest: Option<Vec<u8>>,
    /// `change-board.yaml`.
    pub board: Vec<u8>,
    /// The policies.
    pub policy: Vec<u8>,
    /// The key ring.
    pub keys: Vec<u8>,
    /// The samples, where there are any.
    pub samples: Option<Vec<u8>>,
    /// Envelopes with statements, in any order.
    pub statements: Vec<Vec<u8>>,
    /// The log that they were gathered from, as it stood.
    pub log: Option<LogHead>,
}

/// A log at a moment: whoever has it can see that nothing was left out that was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogHead {
    /// The name of the log.
    pub origin: String,
    /// How many entries it had.
    pub size: u64,
    /// The root of their tree.
    pub root: Digest,
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The manifest.
    Manifest,
    /// `change-board.yaml`.
    Board,
    /// The policies.
    Policy,
    /// The key ring.
    Keys,
    /// The samples.
    Samples,
    /// A statement.
    Statement,
}

/// An input by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What it is.
    pub part: Part,
    /// Of its bytes.
    pub digest: Digest,
}

/// A decision. As a predicate it is signed by whoever runs the gate; its subject is the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// [`DECISION_FORM`].
    pub schema: String,
    /// Whether the release may go out.
    pub verdict: Verdict,
    /// Where.
    pub environment: String,
    /// When that was asked.
    pub as_of: Time,
    /// The name of the release, where there is a manifest.
    pub release: Option<String>,
    /// The digest of its manifest.
    pub manifest: Option<Digest>,
    /// Every condition, met or not.
    pub conditions: Vec<Condition>,
    /// What was handed in and does not count.
    pub not_counted: Vec<NotCounted>,
    /// What would approve it, where it is not approved.
    pub flip: Option<Flip>,
    /// What it rests on, in order.
    pub inputs: Vec<Input>,
    /// The log that the statements were gathered from, as it stood; nothing where who asked did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogHead>,
}

impl Predicate for Decision {
    const TYPE: &'static str = "urn:townlet:statement:gate-decision:1";
}

/// A board, policies or keys that cannot be read. There is no decision then: nobody knows what is demanded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The board or the policies, with every fault.
    #[error("{0}")]
    Faults(Findings),
    /// The key ring.
    #[error("key ring: {0}")]
    Keys(townlet_registry::Error),
    /// A text that is not UTF-8.
    #[error("{0} is no UTF-8")]
    NotText(&'static str),
}

impl Inputs {
    /// Each input by its digest, in order; statements once.
    #[must_use]
    pub fn digests(&self) -> Vec<Input> {
        self.parts().into_iter().map(|(input, _)| input).collect()
    }

    /// Each input with its bytes, in the order of [`digests`](Self::digests).
    #[must_use]
    pub fn parts(&self) -> Vec<(Input, &[u8])> {
        let mut all: Vec<(Part, &[u8])> =
            vec![(Part::Board, &self.board), (Part::Policy, &self.policy), (Part::Keys, &self.keys)];
        all.extend(self.manifest.iter().map(|bytes| (Part::Manifest, bytes.as_slice())));
        all.extend(self.samples.iter().map(|bytes| (Part::Samples, bytes.as_slice())));
        all.extend(self.statements.iter().map(|bytes| (Part::Statement, bytes.as_slice())));
        let mut named: Vec<(Input, &[u8])> =
            all.into_iter().map(|(part, bytes)| (Input { part, digest: Digest::of(bytes) }, bytes)).collect();
        named.sort();
        named.dedup();
        named
    }

    /// Reads and verifies everything.
    ///
    /// # Errors
    /// [`Unusable`], where nobody can know what is demanded. A manifest, statement or sample that cannot be read is no
    /// error: it speaks against the release.
    pub fn case(&self, environment: &str, as_of: Time) -> Result<Case, Unusable> {
        Desk::default().case(self, environment, as_of)
    }

    /// Decides: the same inputs give the same decision, to the byte.
    ///
    /// # Errors
    /// As for [`case`](Self::case).
    pub fn decide(&self, environment: &str, as_of: Time) -> Result<Decision, Unusable> {
        Desk::default().decide(self, environment, as_of)
    }
}

impl Decision {
    /// Its canonical JSON.
    ///
    /// # Errors
    /// None for what [`Inputs::decide`] made; the type does not show it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, townlet_registry::Error> {
        canonical::to_vec(self)
    }

    /// Reads canonical JSON.
    ///
    /// # Errors
    /// For anything else, and for another form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let decision: Self = canonical::from_slice(bytes).map_err(|error| error.to_string())?;
        if decision.schema != DECISION_FORM {
            let form = crate::fields::shown(&decision.schema);
            return Err(format!("the form is {form}; this program reads {DECISION_FORM}"));
        }
        // A time has other texts, and what is left out could be written: one decision has one name.
        match decision.to_bytes() {
            Ok(text) if text == bytes => Ok(decision),
            _ => Err("it is not in the text that this decision has".to_owned()),
        }
    }

    /// Whether something stands in the way, and all of it only because nobody can tell.
    #[must_use]
    pub fn only_unknown(&self) -> bool {
        super::judge::only_unknown(&self.conditions)
    }
}
