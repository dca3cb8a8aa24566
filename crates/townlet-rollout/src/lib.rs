//! Rollouts that judge themselves.
//!
//! **What it is.** A pure state machine: [`step`] takes a [`Plan`], a [`State`]
//! and an [`Event`], and returns the next state and its [`Effects`], intents for
//! a driver and notes for the log. A rollout goes from a preflight over the
//! steps of its flag, restarts, an emission check and a first look to its
//! checkpoints and signatures, or back. [`Recorder`] keeps the log and replays it.
//! [`PlanFile`] reads a plan as people write it, with its policy in the grammar of
//! `townlet-policy`; its detectors are those of `townlet-stats`. [`simulate`] runs
//! rollouts in virtual time: what a plan's rules would do to a healthy one, to a bad
//! one, and to a recorded one.
//!
//! **What it is not.** It has no clock, does no I/O, opens no file (texts are
//! arguments) and starts nothing but the threads that [`simulate::predict`] is
//! given. What rules can say, and what speaks for a shift, are questions of
//! `townlet-policy` and `townlet-stats`.
//!
//! # Guarantees
//! - Equal arguments give equal results: a log of events replays to its own bytes.
//! - The rules are judged with every window from the first step of the flag to
//!   the last signature, also while the rollout holds or is paused.
//! - Unknown is never a pass: it holds at a gate, and nothing succeeds with it. Nor is pending: the flag is not raised,
//!   and no checkpoint passed, while a rule is broken that has not lasted for long enough yet.
//! - What changes something is never repeated because its result is missing. It
//!   is looked at first.
//! - A rollback ends in [`Phase::RolledBack`] or in [`Phase::RollbackFailed`] and
//!   a page, within its limit of at most five minutes of events. Recovery is read from signals
//!   that the rollback does not switch off, in windows after its last step.
//! - Windows are judged in their order, each as of its own time. Late and missed
//!   ones are recorded.
//!
//! # Limits
//! A driver must carry intents out one after the other, and must send
//! [`EventKind::Clock`] while nothing else happens: the engine hears of time by
//! events only.
//!
//! # Example
//! ```
//! use townlet_rollout::{Event, EventKind, Moment, Phase, Plan, State, step};
//!
//! fn pass_time(plan: &Plan) -> Phase {
//!     let state = State::new(plan, "release-42");
//!     let (state, effects) = step(plan, state, &Event::new(Moment::from_ms(1_000), EventKind::Clock));
//!     assert!(effects.intents.is_empty());
//!     state.phase()
//! }
//! ```

mod engine;
mod event;
pub mod file;
mod intent;
mod judge;
mod log;
mod moment;
mod note;
mod phase;
mod plan;
mod reference;
mod rule;
pub mod simulate;
pub mod snapshot;
mod soundness;
mod state;
mod table;
mod verdict;

pub use engine::step;
pub use event::{Command, Event, EventKind, Tick};
pub use file::PlanFile;
pub use intent::{Answer, Check, Finding, Intent, IntentId, What};
pub use log::{Entry, Head, LOG_FORM, Recorder, ReplayError};
pub use moment::Moment;
pub use note::Note;
pub use phase::{Cause, HoldReason, PauseReason, Phase};
pub use plan::{
    BaselineSource, Checkpoint, FlagStep, Limits, Plan, Preflight, ROLLBACK_LIMIT, Rollback, RollbackStep, Service,
    Signal, Undo,
};
pub use reference::{Assumed, Reference, References};
pub use rule::{Condition, Rule};
pub use soundness::Problem;
pub use state::{Effects, State};
pub use table::{Table, TableError};
pub use townlet_policy::Action;
pub use townlet_stats::{Count, Direction, Scale, Stated};
pub use verdict::Verdict;
