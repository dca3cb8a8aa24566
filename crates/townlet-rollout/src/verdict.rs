//! What a rule says about a window, and what follows.

use serde::{Deserialize, Serialize};

/// The state of a rule after a window. Only [`Pass`](Self::Pass) is a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There is enough data, and the condition holds.
    Pass,
    /// The condition is broken, but not yet for as long as the rule wants.
    Pending,
    /// The rule fires.
    Firing,
    /// Nobody can say.
    Unknown,
}

/// What a firing rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It stands in the log.
    Note,
    /// Somebody is told.
    Warn,
    /// The rollout waits.
    Hold,
    /// The rollout is undone.
    Rollback,
}
