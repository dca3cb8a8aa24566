//! What the engine has to say about its decisions.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::intent::IntentId;
use crate::moment::{Moment, Span};
use crate::phase::Cause;
use crate::verdict::Verdict;

/// One remark of the engine: why it is where it is. Notes stand in the log, and a replay makes them again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// A new phase.
    Entered {
        /// As [`Phase`](crate::Phase) prints it.
        phase: String,
    },
    /// Preflight found reasons not to start.
    Blocked {
        /// All of them.
        reasons: Vec<String>,
    },
    /// What was asked for is not done.
    Refused {
        /// Why.
        why: String,
    },
    /// A rule says something else than before.
    Rule {
        /// Its name.
        rule: String,
        /// Before.
        from: Verdict,
        /// Now.
        to: Verdict,
        /// The end of the window that it says so of.
        due_ms: Moment,
        /// By what.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
        /// It is on trial: nothing follows.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    },
    /// A window came late, and was judged as of its own time.
    TickLate {
        /// Its end.
        due_ms: Moment,
        /// How late.
        late_ms: u64,
    },
    /// Windows never came: every rule was unknown in them.
    TicksMissed {
        /// The end of the first.
        first_ms: Moment,
        /// The end of the last.
        last_ms: Moment,
        /// How many.
        count: u64,
    },
    /// A window came that is judged already, or never will be; it was not judged again.
    TickStale {
        /// Its end.
        due_ms: Moment,
    },
    /// The window that should be here is not.
    TickOverdue {
        /// Its end.
        due_ms: Moment,
    },
    /// The pipeline lost samples of the window: inconclusive.
    TickLossy {
        /// Its end.
        due_ms: Moment,
    },
    /// The clock went back by that much; the engine's time stands still until it catches up.
    ClockBack {
        /// How far.
        by_ms: u64,
    },
    /// A checkpoint is passed.
    Checkpoint {
        /// Its name.
        name: String,
        /// The end of the window that passed it.
        due_ms: Moment,
    },
    /// A snapshot was taken.
    Snapshot {
        /// The checkpoint.
        checkpoint: String,
        /// Rows.
        rows: usize,
        /// SHA-256 of the rows as JSON lines.
        digest: String,
    },
    /// An intent has no result in time, or its driver is gone: it will be looked at, not repeated.
    Unsettled {
        /// Which.
        id: IntentId,
        /// Why.
        why: String,
    },
    /// An intent failed for good.
    GaveUp {
        /// Which.
        id: IntentId,
        /// Why.
        why: String,
    },
    /// An answer to something that nobody waits for any more.
    AnswerIgnored {
        /// Which.
        id: IntentId,
    },
    /// The rollout is undone, and this is why.
    Rollback {
        /// Why.
        #[serde(flatten)]
        cause: Cause,
    },
    /// The independent signals and the silence of the others, in a window after the rollback steps.
    Recovery {
        /// The end of the window.
        due_ms: Moment,
        /// What is not as it should be; empty is good.
        wrong: Vec<String>,
    },
    /// A role signed.
    Signed {
        /// Who.
        actor: String,
        /// For which.
        role: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |ms: &u64| Span(std::time::Duration::from_millis(*ms));
        match self {
            Self::Entered { phase } => write!(f, "-> {phase}"),
            Self::Blocked { reasons } => write!(f, "blocked: {}", reasons.join("; ")),
            Self::Refused { why } => write!(f, "refused: {why}"),
            Self::Rule { rule, from, to, why, dry_run, .. } => {
                let trial = if *dry_run { " (dry run)" } else { "" };
                let colon = if why.is_empty() { "" } else { ": " };
                write!(f, "rule {rule}: {from:?} -> {to:?}{trial}{colon}{why}")
            }
            Self::TickLate { late_ms, .. } => write!(f, "window late by {}", span(late_ms)),
            Self::TicksMissed { count, .. } => write!(f, "{count} windows missed"),
            Self::TickStale { .. } => f.write_str("window came after its turn"),
            Self::TickOverdue { .. } => f.write_str("window overdue"),
            Self::TickLossy { .. } => f.write_str("window inconclusive: samples were lost on the way"),
            Self::ClockBack { by_ms } => write!(f, "clock went back by {}", span(by_ms)),
            Self::Checkpoint { name, .. } => write!(f, "checkpoint {name} passed"),
            Self::Snapshot { checkpoint, rows, digest } => {
                write!(f, "snapshot {checkpoint}: {rows} rows, sha256 {}", digest.get(..12).unwrap_or(digest))
            }
            Self::Unsettled { id, why } => write!(f, "intent {} unsettled: {why}", id.0),
            Self::GaveUp { id, why } => write!(f, "intent {} given up: {why}", id.0),
            Self::AnswerIgnored { id } => write!(f, "answer to intent {} ignored", id.0),
            Self::Rollback { cause } => write!(f, "rollback: {cause}"),
            Self::Recovery { wrong, .. } if wrong.is_empty() => f.write_str("recovery: all as it should be"),
            Self::Recovery { wrong, .. } => write!(f, "recovery: {}", wrong.join("; ")),
            Self::Signed { actor, role } => write!(f, "{actor} signed for {role}"),
        }
    }
}
