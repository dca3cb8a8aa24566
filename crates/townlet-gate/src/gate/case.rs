//! Everything that a decision rests on, read and verified.

use std::collections::BTreeSet;
use std::sync::Arc;

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
    pub demands: Option<Arc<Demands>>,
    /// The policies.
    pub policy: Arc<Policy>,
    /// The manifest.
    pub submitted: Submitted,
    /// What was said, each statement once, in the order of their digests.
    pub evidence: Vec<Arc<Evidence>>,
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
    /// One.
    Given(Arc<Given>),
}

/// A manifest with the digests that statements name.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The manifest.
    pub manifest: Manifest,
    /// Its digest.
    pub digest: Digest,
    /// The digest of its rollback plan.
    pub plan: Digest,
}

impl Given {
    /// Computes the digests.
    ///
    /// # Errors
    /// As for [`Manifest::digest`].
    pub fn new(manifest: Manifest) -> Result<Self, townlet_registry::Error> {
        let (digest, plan) = (manifest.digest()?, manifest.rollback_plan.digest()?);
        Ok(Self { manifest, digest, plan })
    }
}

/// Samples, as far as there are any.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// None.
    Missing,
    /// Something that is none, and why.
    Invalid(String),
    /// Some.
    Given(Arc<Samples>),
}

impl Case {
    /// A case without evidence, to which it is added.
    #[must_use]
    pub fn new(
        environment: &str,
        as_of: Time,
        demands: Option<Arc<Demands>>,
        policy: Arc<Policy>,
        submitted: Submitted,
    ) -> Self {
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
    pub fn add(&mut self, evidence: impl Into<Arc<Evidence>>) {
        let evidence = evidence.into();
        if let Err(place) = self.evidence.binary_search_by_key(&evidence.digest, |one| one.digest) {
            self.evidence.insert(place, evidence);
        }
    }

    /// The manifest and its digest.
    #[must_use]
    pub fn manifest(&self) -> Option<(&Manifest, Digest)> {
        match &self.submitted {
            Submitted::Given(given) => Some((&given.manifest, given.digest)),
            _ => None,
        }
    }
}
