//! What happens to a rollout.

use serde::{Deserialize, Serialize};

use crate::intent::{Answer, IntentId};
use crate::moment::Moment;

/// One thing that happened, and when. The engine learns of the world by nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it reached the engine.
    #[serde(rename = "at_ms")]
    pub at: Moment,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event at a moment.
    #[must_use]
    pub fn new(at: Moment, kind: EventKind) -> Self {
        Self { at, kind }
    }
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The samples of one window of time.
    Tick(Tick),
    /// Time passed. A driver sends it when the next deadline is due, so that silence has an end.
    Clock,
    /// An intent has a result.
    Answered {
        /// Which.
        id: IntentId,
        /// What became of it.
        #[serde(flatten)]
        answer: Answer,
    },
    /// An operator asks for something.
    Asked {
        /// Who.
        actor: String,
        /// For what.
        command: Command,
        /// Why.
        reason: String,
    },
    /// Somebody signed for a role.
    Signed {
        /// Who.
        actor: String,
        /// For which role.
        role: String,
        /// The digest of the snapshots that they saw.
        digest: String,
    },
    /// The driver started anew and has replayed the log up to here.
    Resumed,
}

/// What operators may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// Start the preflight.
    Submit,
    /// Start the rollout.
    Go,
    /// Hold it where it is.
    Hold,
    /// Go on after a hold.
    Resume,
    /// Undo it.
    Rollback,
    /// Give it up before anything was changed.
    Cancel,
}

/// The samples of the window that ends at `due`, one for each signal of the plan.
///
/// Ticks come in the order of their windows. A window whose samples come late
/// is judged as of its own time, whenever that is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// The end of the window.
    #[serde(rename = "due_ms")]
    pub due: Moment,
    /// In the order of the plan's signals; `None` where there is no sample. What is not finite counts as none.
    pub values: Vec<Option<f64>>,
    /// The same of a control group that does not get the change; empty where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control: Vec<Option<f64>>,
    /// The pipeline that brought the samples lost some of this window, so that nothing follows from them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lossy: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Tick {
    /// The same of the control.
    pub(crate) fn control(&self, signal: usize) -> Option<f64> {
        if self.lossy { None } else { self.control.get(signal).copied().flatten().filter(|v| v.is_finite()) }
    }

    /// The value of a signal that may be relied on.
    pub(crate) fn value(&self, signal: usize) -> Option<f64> {
        if self.lossy { None } else { self.values.get(signal).copied().flatten().filter(|v| v.is_finite()) }
    }
}
