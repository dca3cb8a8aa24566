//! Deployments, each put together from the records of its beginning and its end; and whether one may begin.

use std::collections::BTreeMap;
use std::time::Duration;

use townlet_gate::gate::{Decision, Verdict};
use townlet_gate::manifest::Manifest;
use townlet_policy::Span;
use townlet_registry::{Digest, Role, Time};

use crate::history::{History, Told};
use crate::statement::{Deployment, Outcome};

/// A deployment, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen<'h> {
    /// The record of its end; of its beginning where there is none.
    pub told: &'h Told<Deployment>,
    /// Its records, by the digests of their envelopes.
    pub records: Vec<Digest>,
    /// How another deployment that was to take it back ended: the last of them, or one that succeeded. Nothing where
    /// nobody tried.
    pub undone: Option<Outcome>,
}

impl Seen<'_> {
    /// Whether it was taken back, or somebody tried, in words; nothing where nobody did.
    #[must_use]
    pub fn undone_in_words(&self) -> &'static str {
        match self.undone {
            None => "",
            Some(Outcome::Succeeded) => "was taken back",
            Some(Outcome::Running) => "is being taken back",
            Some(Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled) => "was NOT taken back: that failed",
        }
    }

    /// What is said of it last.
    #[must_use]
    pub fn said(&self) -> &Deployment {
        &self.told.said
    }

    /// Whether it took another one back.
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        self.said().undoes.is_some()
    }

    /// Whether it is about this manifest.
    #[must_use]
    pub fn is_of(&self, manifest: Digest) -> bool {
        self.told.subjects.contains(&manifest)
    }
}

impl History {
    /// The deployments to an environment, in the order of their first records. What a deployment ends with first counts:
    /// nobody ends it a second time.
    #[must_use]
    pub fn deployments_to(&self, environment: &str) -> Vec<Seen<'_>> {
        let mut order: Vec<&str> = Vec::new();
        let mut seen: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
        for told in self.deployments.iter().filter(|told| told.said.environment == environment) {
            let id = told.said.id.as_str();
            match seen.get_mut(id) {
                None => {
                    order.push(id);
                    seen.insert(id, Seen { told, records: vec![told.digest], undone: None });
                }
                Some(known) => {
                    known.records.push(told.digest);
                    if known.said().outcome == Outcome::Running && told.said.outcome != Outcome::Running {
                        known.told = told;
                    }
                }
            }
        }
        let attempt = |id: &&str| seen.get(id).and_then(|one| Some((one.said().undoes.clone()?, one.said().outcome)));
        let attempts: Vec<(String, Outcome)> = order.iter().filter_map(attempt).collect();
        for (id, outcome) in attempts {
            if let Some(one) = seen.get_mut(id.as_str()).filter(|one| one.undone != Some(Outcome::Succeeded)) {
                one.undone = Some(outcome);
            }
        }
        order.into_iter().filter_map(|id| seen.remove(id)).collect()
    }

    /// Whether the log has a deployment of this manifest to this environment, however it ended.
    pub fn has_gone_to(&self, environment: &str, manifest: Digest) -> bool {
        let goes = |told: &Told<Deployment>| told.said.environment == environment && told.subjects.contains(&manifest);
        self.deployments.iter().any(goes)
    }
}

/// Why a deployment may not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The gate was not asked, or nobody who may has signed what it said.
    #[error("the log has no decision about {release} for {environment} that counts: townlet gate makes one")]
    NoDecision {
        /// The release.
        release: String,
        /// Where it would go.
        environment: String,
    },
    /// The last decision is another one.
    #[error("the last decision, of {as_of}, is {verdict}: townlet explain says why")]
    NotApproved {
        /// What was decided.
        verdict: &'static str,
        /// When.
        as_of: Time,
    },
    /// It is too old, or of later than now.
    #[error("the decision is of {as_of}, and this is {now}; it counts for {limit}: ask the gate again")]
    Stale {
        /// When it was decided.
        as_of: Time,
        /// Now.
        now: Time,
        /// For how long it counts.
        limit: Span,
    },
    /// The window of the release.
    #[error("the window of the release is from {opens_at} to {closes_at}, and this is {now}")]
    OutsideWindow {
        /// The first moment.
        opens_at: Time,
        /// The first moment after it.
        closes_at: Time,
        /// Now.
        now: Time,
    },
}

impl History {
    /// The decision that allows a deployment now: the last one of the log about this manifest and environment that was
    /// signed in one of these roles. It has to approve, to be at most `limit` old, and the window has to be open.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn permits(
        &self,
        manifest: &Manifest,
        digest: Digest,
        environment: &str,
        decided_by: &[Role],
        limit: Duration,
        now: Time,
    ) -> Result<&Told<Decision>, Refusal> {
        let last = self.decisions.iter().rev().find(|told| {
            told.said.manifest == Some(digest)
                && told.said.environment == environment
                && decided_by.iter().any(|role| told.roles.contains(role))
        });
        let Some(told) = last else {
            let (release, environment) = (manifest.release.clone(), environment.to_owned());
            return Err(Refusal::NoDecision { release, environment });
        };
        let as_of = told.said.as_of;
        if told.said.verdict != Verdict::Approve {
            return Err(Refusal::NotApproved { verdict: told.said.verdict.as_str(), as_of });
        }
        let age = u64::try_from(now.as_ms().saturating_sub(as_of.as_ms())).map(Duration::from_millis);
        if age.is_err() || age.is_ok_and(|age| age > limit) {
            return Err(Refusal::Stale { as_of, now, limit: Span(limit) });
        }
        match manifest.window {
            Some(window) if !(window.opens_at..window.closes_at).contains(&now) => {
                let (opens_at, closes_at) = (window.opens_at, window.closes_at);
                Err(Refusal::OutsideWindow { opens_at, closes_at, now })
            }
            _ => Ok(told),
        }
    }
}
