//! What surrounds the rules: the change that they watch, and how it is undone. It is for [`lint`](crate::lint()) alone.

use std::fmt;
use std::time::Duration;

use crate::finding::Place;
use crate::rule::{Condition, MetricId};
use crate::time::{Span, parse_duration, shorten};

/// A moment of a rollout, counted from its start (T-0); before it below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(i64);

impl Offset {
    /// That long after the start.
    #[must_use]
    pub fn after(span: Duration) -> Self {
        Self(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
    }

    /// That long before it.
    #[must_use]
    pub fn before(span: Duration) -> Self {
        Self(-Self::after(span).0)
    }

    /// How long after `earlier` this is; zero where it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads `2m` and `+2m` for two minutes after the start, `-24h` for a day before it.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (before, span) = match text.strip_prefix('-') {
            Some(span) => (true, span),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let span = parse_duration(span).map_err(|_| {
            format!(
                "'{}' is no moment; write 2m for two minutes after the start, -24h for a day before it",
                shorten(text)
            )
        })?;
        Ok(if before { Self::before(span) } else { Self::after(span) })
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "T{sign}{}", Span(Duration::from_millis(self.0.unsigned_abs())))
    }
}

/// What surrounds the rules of a policy, as far as it is known. Of what is left out nothing is concluded.
///
/// A policy file can say it under `change:`; whoever has a plan fills it in from there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// What is done to turn the change on, in order.
    pub steps: Vec<Step>,
    /// What the limits with a sign are measured from.
    pub baselines: Vec<Baseline>,
    /// How it is undone.
    pub rollback: Option<Rollback>,
    /// The metrics that somebody measures.
    pub measured: Option<Vec<MetricId>>,
    /// The metrics that exist only while the change is on.
    pub switched: Vec<MetricId>,
    /// How often a sample comes.
    pub every: Option<Duration>,
    /// How long the rules are watched, from the last step on.
    pub watched: Option<Duration>,
    /// Conditions that decide as well, and stand outside the rules.
    pub stated: Vec<Stated>,
}

impl Surroundings {
    /// When the change begins: with its first step that has a time.
    #[must_use]
    pub fn change_begins(&self) -> Option<Offset> {
        self.steps.iter().filter_map(|step| step.at).min()
    }
}

/// One step that turns the change on.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name, for the steps of the rollback to refer to.
    pub name: String,
    /// When it is taken.
    pub at: Option<Offset>,
    /// Where it stands.
    pub place: Place,
}

/// What limits with a sign are measured from.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Of which metrics; of all where there are none.
    pub metrics: Vec<MetricId>,
    /// The start of the samples it is made from.
    pub from: Offset,
    /// Their end.
    pub until: Offset,
    /// Where it stands.
    pub place: Place,
}

/// How the change is undone, and how that is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollback {
    /// In order.
    pub steps: Vec<UndoStep>,
    /// How long all of it may take.
    pub total: Option<Duration>,
    /// What must hold afterwards.
    pub verified: Vec<Verified>,
    /// Where it stands.
    pub place: Place,
}

/// One step of the rollback.
#[derive(Clone, Debug, PartialEq)]
pub struct UndoStep {
    /// Its name.
    pub name: String,
    /// The step of the change that it takes back.
    pub undoes: Option<String>,
    /// How long it may take.
    pub within: Option<Duration>,
    /// Whether somebody looks whether it has worked.
    pub checked: bool,
    /// Where it stands.
    pub place: Place,
}

/// What must hold after a rollback.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The condition.
    pub condition: Condition,
    /// Where it stands.
    pub place: Place,
}

/// A condition outside the rules, such as the trigger in a release manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    /// Where it is stated, for people: `manifest: rollback_plan.trigger`.
    pub by: String,
    /// What it says; `None` where it is not in the grammar of rules.
    pub condition: Option<Condition>,
    /// Where that stands.
    pub place: Place,
}

#[cfg(test)]
mod tests {
    use super::Offset;

    #[test]
    fn moments_are_read_and_printed() {
        for (text, printed) in [("2m", "T+2m"), ("+90s", "T+1m30s"), ("-24h", "T-1d"), ("0s", "T+0s")] {
            assert_eq!(Offset::parse(text).unwrap().to_string(), printed);
        }
        assert!(Offset::parse("-1d") < Offset::parse("0s"));
        for text in ["", "-", "--1m", "+-1m", "T+2m", "14:02"] {
            assert!(Offset::parse(text).is_err(), "{text}");
        }
    }
}
