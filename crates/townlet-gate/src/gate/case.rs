//! Everything that a decision rests on, read and verified.

use std::collections::BTreeSet;

use townlet_policy::Policy;
use townlet_registry::{Digest, Time};

use super::board::Demands;
use super::samples::Samples;
use crate::manifest::Manifest;
use crate::statement::{Evidence, Unread};

/// A case before the gate. [`Case::judge`] decides it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Where the release wants to go.
    pub environment: String,
    /// The moment of the decision.
    pub as_of: Time,
    /// What that environment demands; `None` where the board does not know it.
    pub demands: Option<Demands>,
    /// The policies.
    pub policy: Policy,
    /// The manifest.
    pub submitted: Submitted,
    /// What was said, each statement once, in the order of their digests.
    pub evidence: Vec<Evidence>,
    /// What was handed in and says nothing.
    pub unread: Vec<Unread>,
    /// What was measured.
    pub measured: Measured,
    /// Policies that a [`Change`](super::Change) supposes to hold. Empty for a case that really is.
    pub(super) supposed: BTreeSet<String>,
}

/// A manifest, as far as there is one.
#[derive(Clone, Debug, PartialEq)]
pub enum Submitted {
    /// None.
    Missing,
    /// Something that is none, and why.
    Invalid(String),
    /// One, and its digest.
    Given(Box<Manifest>, Digest),
}

/// Samples, as far as there are any.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// None.
    Missing,
    /// Something that is none, and why.
    Invalid(String),
    /// Some.
    Given(Samples),
}

impl Case {
    /// A case without evidence, to which it is added.
    #[must_use]
    pub fn new(environment: &str, as_of: Time, demands: Option<Demands>, policy: Policy, submitted: Submitted) -> Self {
        Self {
            environment: environment.to_owned(),
            as_of,
            demands,
            policy,
            submitted,
            evidence: Vec::new(),
            unread: Vec::new(),
            measured: Measured::Missing,
            supposed: BTreeSet::new(),
        }
    }

    /// Adds a statement, unless it is there already. In which order they come makes no difference.
    pub fn add(&mut self, evidence: Evidence) {
        if let Err(place) = self.evidence.binary_search_by_key(&evidence.digest, |one| one.digest) {
            self.evidence.insert(place, evidence);
        }
    }

    /// The manifest and its digest.
    #[must_use]
    pub fn manifest(&self) -> Option<(&Manifest, Digest)> {
        match &self.submitted {
            Submitted::Given(manifest, digest) => Some((manifest, *digest)),
            _ => None,
        }
    }
}
