//! What a rule says about a window.

use serde::{Deserialize, Serialize};

/// The state of a rule after a window. Only [`Pass`](Self::Pass) is a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There is enough data, and the condition holds.
    Pass,
    /// The condition is broken or suspected to be, but not yet for as long as the rule wants.
    Pending,
    /// The rule fires.
    Firing,
    /// Nobody can say.
    Unknown,
    /// Nobody can say for want of data, and the rule permits that (`unless no-data`).
    Excused,
}
