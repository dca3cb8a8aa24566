//! The rules that others decide by, over the same series: to be compared with, not to be used.
//!
//! Each is a pure detector that takes one sample at a time, as [`Detector`] does, behind the trait [`RuleSet`]. They
//! are as their makers publish them, mistakes included: a table that makes them better than they are proves nothing.
//!
//! ```
//! use townlet_stats::rival::{self, Course};
//! use townlet_stats::{Direction, Sample};
//!
//! let minute = |minute: u64, value: f64| Sample::new(minute * 60_000, value);
//! let history: Vec<Sample> = (0..1440).map(|at| minute(at, 200.0)).collect();
//! let course = Course { start_ms: 1440 * 60_000, interval_ms: 60_000, direction: Direction::LowerIsBetter };
//! let slower: Vec<Sample> = (1440..1560).map(|at| minute(at, 220.0)).collect();
//! for mut rules in rival::all(&history, course) {
//!     let found = rival::first_rollback(rules.as_mut(), &slower);
//!     println!("{}: {found:?}", rules.name());
//! }
//! ```

mod argo;
mod checklist;
mod hours;
mod kayenta;

pub use argo::Argo;
pub use checklist::Checklist;
pub use kayenta::{HourlyJudge, Kayenta};

use crate::detector::{Detector, Lane, State};
use crate::sample::{Direction, Sample};

const DAY_MS: u64 = 86_400_000;

/// What a rule set asks for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Action {
    /// Somebody is told.
    Warn,
    /// The change is undone.
    Rollback,
}

/// A rule that began to fire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Firing {
    /// The sample that made it fire.
    pub at_ms: u64,
    /// Which rule.
    pub rule: &'static str,
    /// What it asks for.
    pub action: Action,
    /// How far the metric is off by then, as the rule set measures it: 0.1 for +10 %. `None` where there was no value.
    pub size: Option<f64>,
}

/// A set of rules over the series of one metric, beginning at a change.
pub trait RuleSet {
    /// What tables call it.
    fn name(&self) -> &'static str;

    /// Takes the next sample, in the order of time. The rule that begins to fire with it; of several, one with the
    /// greatest [`Action`]. A rule that goes on firing is not said again.
    fn push(&mut self, sample: &Sample) -> Option<Firing>;
}

/// What a series is, for whoever watches it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Course {
    /// When the change was made, in milliseconds since 1970 (UTC): windows begin there.
    pub start_ms: u64,
    /// The time between two samples, in milliseconds; 0 counts as 1.
    pub interval_ms: u64,
    /// Which way is worse. The checklist does not ask.
    pub direction: Direction,
}

impl Course {
    /// Which window of `length_ms` a time is in.
    fn window(&self, at_ms: u64, length_ms: u64) -> u64 {
        at_ms.saturating_sub(self.start_ms) / length_ms
    }

    /// Whether the sample after one at `at_ms` is in another window.
    fn ends_window(&self, at_ms: u64, length_ms: u64) -> bool {
        self.window(at_ms.saturating_add(self.interval_ms.max(1)), length_ms) > self.window(at_ms, length_ms)
    }
}

/// The rule sets that the product is compared with; `history` is what came before the change.
pub fn all(history: &[Sample], course: Course) -> Vec<Box<dyn RuleSet>> {
    let level = level(history);
    vec![
        Box::new(Checklist::with_first_minutes(course)),
        Box::new(Checklist::with_level(level)),
        Box::new(Argo::new(level, course)),
        Box::new(Kayenta::new(history, course)),
    ]
}

/// The mean of the last 24 hours of a history; `None` where they have no value.
pub fn level(history: &[Sample]) -> Option<f64> {
    let end = history.last()?.at_ms;
    mean(history.iter().rev().take_while(|sample| end - sample.at_ms.min(end) < DAY_MS).filter_map(value))
}

/// The first firing that would have undone the change.
pub fn first_rollback(rules: &mut dyn RuleSet, samples: &[Sample]) -> Option<Firing> {
    samples.iter().filter_map(|sample| rules.push(sample)).find(|firing| firing.action == Action::Rollback)
}

fn value(sample: &Sample) -> Option<f64> {
    sample.value.filter(|value| value.is_finite())
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// This crate's own detector, so that it stands in the same table.
impl RuleSet for Detector {
    fn name(&self) -> &'static str {
        "townlet"
    }

    fn push(&mut self, sample: &Sample) -> Option<Firing> {
        let known = matches!(self.state(), State::Detected { .. });
        match Detector::push(self, sample) {
            State::Detected { at_ms, lane, size, .. } if !known => {
                let rule = match lane {
                    Lane::Sequential => "sequential",
                    Lane::Catastrophe => "catastrophe",
                    Lane::Absence => "absence",
                    Lane::Rare => "rare events",
                };
                Some(Firing { at_ms, rule, action: Action::Rollback, size })
            }
            _ => None,
        }
    }
}
