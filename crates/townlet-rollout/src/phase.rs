//! The states of a rollout.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::intent::IntentId;
use crate::moment::Moment;

/// Where a rollout stands. From [`Enabling`](Self::Enabling) to
/// [`SignOff`](Self::SignOff) the rules are judged with every window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// There is a plan.
    Draft,
    /// The checks are out.
    Preflight,
    /// Every check was good; waits for somebody to say go.
    Ready,
    /// The flag is being raised.
    Enabling {
        /// Which step, from 0.
        step: usize,
    },
    /// A service restarts, so that it takes the flag.
    Restarting {
        /// Which service, from 0.
        service: usize,
    },
    /// The new metrics must show up.
    EmissionCheck,
    /// The first look at the changed system, kept as a snapshot.
    Baseline,
    /// Watching; the next checkpoint is this one.
    Watching {
        /// From 0.
        checkpoint: usize,
    },
    /// The rollout does not go on, and is not undone: what goes on within stands in `within`.
    Holding {
        /// Why.
        reason: HoldReason,
        /// Since when.
        #[serde(rename = "since_ms")]
        since: Moment,
        /// Where it goes on.
        within: Box<Phase>,
    },
    /// The engine does not trust what it sees, and waits for data and answers.
    Paused {
        /// Why.
        reason: PauseReason,
        /// Since when.
        #[serde(rename = "since_ms")]
        since: Moment,
        /// Where it goes on.
        within: Box<Phase>,
    },
    /// The change is being undone.
    RollingBack {
        /// Which step, from 0; after the last one recovery is validated.
        step: usize,
    },
    /// Undone, and the independent signals are back.
    RolledBack,
    /// Not undone, or not shown to be. Somebody has been paged.
    RollbackFailed,
    /// Every checkpoint is passed; waits for signatures.
    SignOff,
    /// Signed.
    Succeeded,
    /// Given up before anything was changed.
    Cancelled,
}

impl Phase {
    /// Nothing follows.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::RolledBack | Self::RollbackFailed | Self::Succeeded | Self::Cancelled)
    }

    /// The change may be in effect, and the rules are judged.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::Enabling { .. }
            | Self::Restarting { .. }
            | Self::EmissionCheck
            | Self::Baseline
            | Self::Watching { .. }
            | Self::SignOff => true,
            Self::Holding { within, .. } | Self::Paused { within, .. } => within.is_live(),
            _ => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draft => f.write_str("Draft"),
            Self::Preflight => f.write_str("Preflight"),
            Self::Ready => f.write_str("Ready"),
            Self::Enabling { step } => write!(f, "Enabling({step})"),
            Self::Restarting { service } => write!(f, "Restarting({service})"),
            Self::EmissionCheck => f.write_str("EmissionCheck"),
            Self::Baseline => f.write_str("Baseline"),
            Self::Watching { checkpoint } => write!(f, "Watching({checkpoint})"),
            Self::Holding { reason, within, .. } => write!(f, "Holding({reason}, in {within})"),
            Self::Paused { reason, within, .. } => write!(f, "Paused({reason}, in {within})"),
            Self::RollingBack { step } => write!(f, "RollingBack({step})"),
            Self::RolledBack => f.write_str("RolledBack"),
            Self::RollbackFailed => f.write_str("RollbackFailed"),
            Self::SignOff => f.write_str("SignOff"),
            Self::Succeeded => f.write_str("Succeeded"),
            Self::Cancelled => f.write_str("Cancelled"),
        }
    }
}

/// Why a rollout holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// A rule with the action `hold` fires.
    Rule,
    /// A rule that must be known at a gate is not.
    Unknown,
    /// An operator said so; only an operator ends it.
    Operator,
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rule => "rule",
            Self::Unknown => "unknown",
            Self::Operator => "operator",
        })
    }
}

/// Why the engine pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The driver started anew: what it had in hand is looked at first.
    Resumed,
    /// No window arrived for too long.
    SourceLost,
    /// The clock went back.
    ClockWentBack,
}

impl fmt::Display for PauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resumed => "resumed",
            Self::SourceLost => "source lost",
            Self::ClockWentBack => "clock went back",
        })
    }
}

/// Why a rollout is undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// This rule fired.
    Rule {
        /// Its name.
        rule: String,
    },
    /// An operator said so.
    Operator {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },
    /// A step of the rollout failed.
    Step {
        /// The intent.
        id: IntentId,
        /// Why.
        reason: String,
    },
    /// The metrics did not show up in time.
    NoEmission {
        /// Those that did not.
        missing: Vec<String>,
    },
    /// It held for longer than the plan allows.
    HeldTooLong {
        /// Why it held.
        reason: HoldReason,
    },
    /// It was paused for longer than the plan allows.
    PausedTooLong {
        /// Why it was paused.
        reason: PauseReason,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { rule } => write!(f, "rule `{rule}` fired"),
            Self::Operator { actor, reason } => write!(f, "{actor} asked for it: {reason}"),
            Self::Step { id, reason } => write!(f, "intent {} failed: {reason}", id.0),
            Self::NoEmission { missing } => write!(f, "no samples of {}", missing.join(", ")),
            Self::HeldTooLong { reason } => write!(f, "held too long ({reason})"),
            Self::PausedTooLong { reason } => write!(f, "paused too long ({reason})"),
        }
    }
}
