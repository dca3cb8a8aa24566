//! Tests of policies: series go in, and the states of the rules at some times are compared with what was expected.
//!
//! ```yaml
//! policy: telemetry.yaml        # beside this file; whoever runs it may take a plan's rules as well
//! interval: 1m                  # between the values of a series; 1m unless given
//! evaluate: 1m                  # between evaluations; as interval unless given
//! tests:
//!   - name: ten minutes of slow parsing are rolled back
//!     baselines: { parse_p95_ms: 80 }        # what +10% is measured from; with or without a unit
//!     weights: { cicd_success: 50 }          # what a sample counts for under min_samples; 1 unless given
//!     series:
//!       parse_p95_ms: "80x4 95x20 _x6 stale" # as promtool writes it
//!       cicd_success: "100x40"
//!     expect:
//!       - { at: 4m, rules: { slow-parser: inactive }, others: inactive, does: nothing }
//!       - { at: 14m, rules: { slow-parser: pending } }
//!       - { at: 15m, rules: { slow-parser: firing }, does: rollback }
//! ```
//!
//! The first value of a series is at time 0, and so is the first evaluation. A test may have an `interval` and an
//! `evaluate` of its own; `baselines`, `weights` and `series` at the top of the file are those of every test that says
//! nothing else under the same name. `others` is about every rule that is not named. `does` is the strongest action of the rules
//! that fire; a dry run does nothing.

mod bind;
mod notation;
mod read;
mod run;

use std::time::Duration;

pub use bind::Bound;
pub use notation::{NotationError, Point, points};
pub use run::{Failure, Fault};

use crate::evaluate::State;
use crate::finding::Place;
use crate::rule::Action;
use crate::time::Time;

/// A test file, before its names are looked up in a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// The path of the policy, relative to the file.
    pub policy: String,
    /// Where it stands.
    pub place: Place,
    /// The tests, in the order of the file.
    pub tests: Vec<Case>,
}

/// One test.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Between the values of a series.
    pub interval: Duration,
    /// Between evaluations.
    pub evaluate: Duration,
    /// Baselines by the name of the metric, as they are written.
    pub baselines: Vec<Named<String>>,
    /// What a sample counts for, by the name of the metric.
    pub weights: Vec<Named<u64>>,
    /// Values by the name of the metric.
    pub series: Vec<Named<Vec<Point>>>,
    /// What must be, in the order of time.
    pub expect: Vec<Expected>,
}

/// Something under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T> {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// What is under it.
    pub value: T,
}

/// What must be at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// When: a multiple of the time between evaluations.
    pub at: Time,
    /// Where it stands.
    pub place: Place,
    /// The states of some rules, by their ids.
    pub rules: Vec<Named<Stand>>,
    /// The state of every other rule.
    pub others: Option<Stand>,
    /// The strongest action: `Some(None)` for nothing at all.
    pub does: Option<Option<Action>>,
}

/// Where a rule stands, without since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stand {
    /// [`State::Inactive`]
    Inactive,
    /// [`State::Pending`]
    Pending,
    /// [`State::Firing`]
    Firing,
    /// [`State::Unknown`]
    Unknown,
    /// [`State::Excused`]
    Excused,
}

impl Stand {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Inactive, Self::Pending, Self::Firing, Self::Unknown, Self::Excused];

    /// The word in a test.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Unknown => "unknown",
            Self::Excused => "excused",
        }
    }
}

impl From<State> for Stand {
    fn from(state: State) -> Self {
        match state {
            State::Inactive => Self::Inactive,
            State::Pending { .. } => Self::Pending,
            State::Firing { .. } => Self::Firing,
            State::Unknown { .. } => Self::Unknown,
            State::Excused { .. } => Self::Excused,
        }
    }
}
