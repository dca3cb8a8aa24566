//! What a gate says, condition by condition.

use serde::{Deserialize, Serialize};
use townlet_registry::{Digest, Time};

use super::code::Code;

/// Whether a release may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may.
    Approve,
    /// It may not.
    Reject,
    /// It may, once everything that stands in its way is waived; all of that may be.
    WaiverRequired,
}

impl Verdict {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::WaiverRequired => "waiver_required",
        }
    }
}

/// How a condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is met.
    Met,
    /// It is not.
    Unmet,
    /// Nobody can tell, which is no better.
    Unknown,
    /// It is not met, and somebody who may has signed that this does not matter.
    Waived,
}

impl Standing {
    /// Whether it stands in the way.
    #[must_use]
    pub fn blocks(self) -> bool {
        matches!(self, Self::Unmet | Self::Unknown)
    }
}

/// One thing that an environment demands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Its name: `manifest`, `author`, `environment`, `window`, `artifacts`, `rollback_plan`, `readiness`, `rehearsal`,
    /// `approval:ROLE`, `attestation:KIND:TOPIC`, or the id of a policy.
    pub id: String,
    /// How it stands.
    pub standing: Standing,
    /// Why it does not hold; nothing where it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The statements that it holds by, or is waived by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<Digest>,
    /// Whether the board permits to waive it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waivable: bool,
    /// The policy, as it was read; for policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The last samples that the policy saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<Observed>,
}

/// A reason, with what makes it one in this case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Which.
    pub code: Code,
    /// The particulars.
    pub text: String,
}

/// A sample that a policy saw last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Of which metric.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// Its time.
    pub at: Time,
}

/// A statement that was handed in and does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotCounted {
    /// Of the statement.
    pub statement: Digest,
    /// What it is.
    pub kind: String,
    /// Why it does not count.
    pub code: Code,
    /// The particulars.
    pub text: String,
}

impl Condition {
    pub(super) fn met(id: impl Into<String>, by: Vec<Digest>) -> Self {
        Self { by, ..Self::standing(id, Standing::Met) }
    }

    pub(super) fn unmet(id: impl Into<String>, code: Code, text: impl Into<String>) -> Self {
        Self::standing(id, Standing::Unmet).because(code, text)
    }

    pub(super) fn standing(id: impl Into<String>, standing: Standing) -> Self {
        Self {
            id: id.into(),
            standing,
            reasons: Vec::new(),
            by: Vec::new(),
            waivable: false,
            rule: None,
            observed: Vec::new(),
        }
    }

    pub(super) fn because(mut self, code: Code, text: impl Into<String>) -> Self {
        self.reasons.push(Reason { code, text: text.into() });
        self
    }
}
