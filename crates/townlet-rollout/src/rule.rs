//! Rules: what must hold, and what follows where it does not.

use std::time::Duration;

use crate::plan::Plan;
use crate::verdict::Action;

/// One rule of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What a firing rule does.
    pub action: Action,
    /// On trial: judged and logged, and nothing follows.
    pub dry_run: bool,
    /// How long after full exposure it may be unknown at a gate. Tests that need hours of data say nothing before.
    pub known_from: Duration,
    /// The condition.
    pub condition: Condition,
}

/// When a rule is broken.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// A sample above a limit, in so many windows in a row.
    Above {
        /// The signal.
        signal: usize,
        /// The limit.
        limit: f64,
        /// Windows in a row.
        windows: u32,
    },
}

impl Rule {
    pub(crate) fn missing_signal(&self, plan: &Plan) -> Option<String> {
        let Condition::Above { signal, .. } = self.condition;
        (signal >= plan.signals.len()).then(|| signal.to_string())
    }
}
