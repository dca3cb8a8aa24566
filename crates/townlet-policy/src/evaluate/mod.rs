//! Rules over samples: what each rule says at a time that the caller names.
//!
//! # How time passes
//! A test looks at the present value of its metric: the last sample, unless it is older than `max_gap` or was marked
//! stale. What cannot be told is [`Truth::Unknown`], with a [`Reason`], and moves through `and`, `or` and `not` as
//! Kleene has it.
//!
//! `for` and `keep` count what was seen: the time between two evaluations counts when both saw the same, and never as
//! more than `max_gap`, because nobody knows what happened beyond it.
//!
//! | | [`GapMode::Hold`], the default | [`GapMode::Prometheus`] |
//! |---|---|---|
//! | the condition is unknown | the timer pauses; pending and firing outlive it | counts as not bad: pending is over, firing runs out |
//! | what ends a bad state | a known good value, nothing else | any evaluation that does not see it |
//! | `for` counts | seen time, at most `max_gap` at once | time since the first bad evaluation |
//! | a sample exactly as old as `max_gap` | is still the present value | is not (Prometheus 3: the range is open on the left) |
//! | a value that is not a number | is unknown | fails every comparison but `!=` |
//! | absence while nobody watched ([`Evaluator::unwatched`]), or before | is unknown | is absence |
//!
//! Mode `prometheus` fires as `promtool test rules` says; the tests of this crate compare 1,000 histories. What else
//! differs from Prometheus, in both modes, is listed in `docs/guides/release-policies.md`.

mod series;
mod timer;
mod verdict;

use std::error::Error;
use std::fmt;
use std::time::Duration;

pub use timer::{State, Status};
pub use verdict::Reason;

use crate::rule::{Check, Condition, MetricId, Rule, Timing};
use crate::time::Time;
use crate::truth::Truth;
use series::Series;
use timer::Timer;
use verdict::View;

/// What a gap in the data means to a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GapMode {
    /// Nothing is known, and timers wait.
    #[default]
    Hold,
    /// Nothing is bad, as Prometheus has it.
    Prometheus,
}

/// How to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What a gap means.
    pub gap: GapMode,
    /// The `max_gap` of rules that state none.
    pub max_gap: Duration,
}

impl Default for Settings {
    /// [`GapMode::Hold`] and five minutes, the lookback of Prometheus.
    fn default() -> Self {
        Self { gap: GapMode::Hold, max_gap: Duration::from_secs(300) }
    }
}

/// Rules and what they have seen.
///
/// It reads no clock. The same calls in the same order give the same answers. An evaluation costs a binary search per
/// test, and what is older than any rule can ask for is forgotten.
#[derive(Clone, Debug)]
pub struct Evaluator {
    rules: Vec<Watched>,
    series: Vec<Series>,
    baselines: Vec<Option<f64>>,
    settings: Settings,
    watched_since: Time,
    evaluated: Option<Time>,
    horizon: Duration,
}

#[derive(Clone, Debug)]
struct Watched {
    bad: Condition,
    timing: Timing,
    max_gap: Duration,
    timer: Timer,
}

impl Evaluator {
    /// Begins to watch at `started`, with rules that were read with a list of `metrics` metrics.
    ///
    /// # Errors
    /// [`EvaluateError::UnknownMetric`] if a rule was read with a longer list.
    pub fn new(rules: &[Rule], metrics: usize, started: Time, settings: Settings) -> Result<Self, EvaluateError> {
        let mut horizon = settings.max_gap;
        let mut watched = Vec::with_capacity(rules.len());
        for rule in rules {
            let bad = rule.bad();
            for test in bad.tests() {
                if test.metric.0 >= metrics {
                    return Err(EvaluateError::UnknownMetric(test.metric));
                }
                if let Check::Absent { lasting: Some(window) } | Check::Fresh { within: window } = test.check {
                    horizon = horizon.max(window);
                }
            }
            let timing = rule.timing.clone();
            let max_gap = timing.max_gap.unwrap_or(settings.max_gap);
            horizon = horizon.max(max_gap).max(timing.min_samples.map_or(Duration::ZERO, |least| least.within));
            watched.push(Watched { bad, timing, max_gap, timer: Timer::default() });
        }
        Ok(Self {
            rules: watched,
            series: vec![Series::default(); metrics],
            baselines: vec![None; metrics],
            settings,
            watched_since: started,
            evaluated: None,
            horizon,
        })
    }

    /// Takes a sample. `weight` is what it stands for under `min_samples`: 1, or the number of events behind it.
    ///
    /// A sample may come after an evaluation of its time; it counts from the next one, and nothing is taken back.
    ///
    /// # Errors
    /// [`EvaluateError::UnknownMetric`]; [`EvaluateError::OutOfOrder`] unless it is later than the last of its metric.
    pub fn sample(&mut self, metric: MetricId, at: Time, value: f64, weight: u64) -> Result<(), EvaluateError> {
        self.push(metric, at, Some(value), weight)
    }

    /// Takes the news that the series has ended: from `at` on there is no present value, until the next sample.
    ///
    /// # Errors
    /// As for [`Evaluator::sample`].
    pub fn stale(&mut self, metric: MetricId, at: Time) -> Result<(), EvaluateError> {
        self.push(metric, at, None, 0)
    }

    fn push(&mut self, metric: MetricId, at: Time, value: Option<f64>, weight: u64) -> Result<(), EvaluateError> {
        let series = self.series.get_mut(metric.0).ok_or(EvaluateError::UnknownMetric(metric))?;
        series.push(at, value, weight).map_err(|last| EvaluateError::OutOfOrder { metric, at, last })
    }

    /// Sets what relative limits of a metric are measured from, or takes it away. What is not finite is no baseline.
    ///
    /// # Errors
    /// [`EvaluateError::UnknownMetric`].
    pub fn baseline(&mut self, metric: MetricId, value: Option<f64>) -> Result<(), EvaluateError> {
        let slot = self.baselines.get_mut(metric.0).ok_or(EvaluateError::UnknownMetric(metric))?;
        *slot = value.filter(|value| value.is_finite());
        Ok(())
    }

    /// Takes the news that nobody looked, or that what was seen cannot be relied on, up to `at`. Samples that came before
    /// are samples all the same; that there was none is not known, so an absence begins anew with it.
    pub fn unwatched(&mut self, at: Time) {
        self.watched_since = self.watched_since.max(at);
    }

    /// What each rule says at a time, in the order of the rules.
    ///
    /// # Errors
    /// [`EvaluateError::BackInTime`] unless it is later than the last evaluation, and not before watching began.
    pub fn evaluate(&mut self, at: Time) -> Result<Vec<Status>, EvaluateError> {
        let not_before = self.evaluated.map_or(self.watched_since, |last| last + Duration::from_millis(1));
        if at < not_before {
            return Err(EvaluateError::BackInTime { at, not_before });
        }
        self.evaluated = Some(at);
        for series in &mut self.series {
            series.forget(at, self.horizon);
        }
        let (series, baselines) = (&self.series, &self.baselines);
        let (settings, watched_since) = (self.settings, self.watched_since);
        let statuses = self.rules.iter_mut().map(|rule| {
            let mode = settings.gap;
            let view = View { series, baselines, mode, watched_since, at, max_gap: rule.max_gap, timing: &rule.timing };
            let mut why = Vec::new();
            let mut truth = view.truth(&rule.bad, &mut why);
            if mode == GapMode::Prometheus && truth == Truth::Unknown {
                truth = Truth::False;
            }
            rule.timer.step(at, truth, &why, &rule.timing, mode, rule.max_gap)
        });
        Ok(statuses.collect())
    }
}

/// Why the evaluator refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The list of metrics is shorter than that.
    UnknownMetric(MetricId),
    /// Samples of one metric come in the order of their times, each later than the one before.
    OutOfOrder {
        /// Of which metric.
        metric: MetricId,
        /// The time of the refused sample.
        at: Time,
        /// The time of the last one.
        last: Time,
    },
    /// Evaluations come in the order of their times.
    BackInTime {
        /// The refused time.
        at: Time,
        /// The earliest that would have been taken.
        not_before: Time,
    },
}

impl fmt::Display for EvaluateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMetric(metric) => {
                write!(f, "there is no metric number {}; use the list that the rules were read with", metric.0)
            }
            Self::OutOfOrder { metric, at, last } => write!(
                f,
                "a sample of metric number {} at {at} comes after one at {last}; sort by time, one sample a time",
                metric.0
            ),
            Self::BackInTime { at, not_before } => {
                write!(f, "an evaluation at {at} comes too late; the next can be at {not_before}")
            }
        }
    }
}

impl Error for EvaluateError {}
