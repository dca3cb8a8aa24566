//! A condition at one time: true, false, or unknown and why.

use std::time::Duration;

use super::GapMode;
use super::series::Series;
use crate::rule::{Basis, Check, Condition, Limit, MetricId, Op, Test, Timing};
use crate::time::Time;
use crate::truth::Truth;

/// Why a condition is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The metric has no present value.
    NoData(MetricId),
    /// The metric has one, on less evidence than `min_samples` asks for.
    TooFewSamples {
        /// Which metric.
        metric: MetricId,
        /// The weight of the samples in the window.
        have: u64,
        /// The weight that is asked for.
        need: u64,
    },
    /// The limit is measured from a baseline that was not handed in, or is relative to one that is zero.
    NoBaseline(MetricId),
    /// The present value is not a number.
    NotANumber(MetricId),
    /// Nothing was seen, and watching began, or was broken off, more recently than what is asked about.
    WatchedTooShort(MetricId),
}

impl Reason {
    /// Which metric it is about.
    #[must_use]
    pub fn metric(self) -> MetricId {
        match self {
            Self::NoData(metric)
            | Self::TooFewSamples { metric, .. }
            | Self::NoBaseline(metric)
            | Self::NotANumber(metric)
            | Self::WatchedTooShort(metric) => metric,
        }
    }
}

/// What one rule sees at one time.
pub(super) struct View<'a> {
    pub(super) series: &'a [Series],
    pub(super) baselines: &'a [Option<f64>],
    pub(super) mode: GapMode,
    pub(super) watched_since: Time,
    pub(super) at: Time,
    pub(super) max_gap: Duration,
    pub(super) timing: &'a Timing,
}

impl View<'_> {
    /// The truth of a condition. Where it is unknown, `why` gains the reasons that matter, from left to right.
    pub(super) fn truth(&self, condition: &Condition, why: &mut Vec<Reason>) -> Truth {
        let before = why.len();
        let truth = match condition {
            Condition::All(parts) => parts.iter().fold(Truth::True, |all, part| all.and(self.truth(part, why))),
            Condition::Any(parts) => parts.iter().fold(Truth::False, |any, part| any.or(self.truth(part, why))),
            Condition::Not(inner) => !self.truth(inner, why),
            Condition::Test(test) => match self.test(test) {
                Ok(holds) => holds.into(),
                Err(reason) => {
                    why.push(reason);
                    Truth::Unknown
                }
            },
        };
        // What another part has decided, no missing value can change.
        if truth != Truth::Unknown {
            why.truncate(before);
        }
        truth
    }

    fn test(&self, test: &Test) -> Result<bool, Reason> {
        let metric = test.metric;
        match test.check {
            Check::Compare { op, limit } => {
                let value = self.value(metric)?;
                let (left, right) = self.sides(metric, value, limit)?;
                Ok(op.holds(left, right))
            }
            Check::In { low, high } => {
                let value = self.value(metric)?;
                let (_, low) = self.sides(metric, value, low)?;
                let (_, high) = self.sides(metric, value, high)?;
                Ok(Op::Ge.holds(value, low) && Op::Le.holds(value, high))
            }
            Check::Absent { lasting: None } => {
                if self.present(metric).is_some() {
                    return Ok(false);
                }
                self.watched(metric, self.max_gap).map(|()| true)
            }
            Check::Absent { lasting: Some(window) } => self.seen(metric, window).map(|seen| !seen),
            Check::Fresh { within } => self.seen(metric, within),
        }
    }

    /// Whether a sample came within a window that reaches up to now.
    fn seen(&self, metric: MetricId, window: Duration) -> Result<bool, Reason> {
        if self.series[metric.0].any_within(self.at, window) {
            return Ok(true);
        }
        self.watched(metric, window).map(|()| false)
    }

    /// That nothing was seen tells something only where somebody was looking.
    fn watched(&self, metric: MetricId, window: Duration) -> Result<(), Reason> {
        if self.mode == GapMode::Prometheus || self.at.since(self.watched_since) >= window {
            return Ok(());
        }
        Err(Reason::WatchedTooShort(metric))
    }

    fn present(&self, metric: MetricId) -> Option<f64> {
        let (at, value) = self.series[metric.0].latest(self.at)?;
        let age = self.at.since(at);
        let young = match self.mode {
            GapMode::Hold => age <= self.max_gap,
            GapMode::Prometheus => age < self.max_gap,
        };
        young.then_some(value)
    }

    /// The present value with enough evidence behind it.
    fn value(&self, metric: MetricId) -> Result<f64, Reason> {
        let value = self.present(metric).ok_or(Reason::NoData(metric))?;
        if let Some(least) = self.timing.min_samples {
            let have = self.series[metric.0].weight_within(self.at, least.within);
            if have < least.count {
                return Err(Reason::TooFewSamples { metric, have, need: least.count });
            }
        }
        if value.is_nan() && self.mode == GapMode::Hold {
            return Err(Reason::NotANumber(metric));
        }
        Ok(value)
    }

    /// What to compare with what.
    fn sides(&self, metric: MetricId, value: f64, limit: Limit) -> Result<(f64, f64), Reason> {
        if limit.basis == Basis::Value {
            return Ok((value, limit.value));
        }
        let baseline = self.baselines[metric.0].ok_or(Reason::NoBaseline(metric))?;
        let distance = match limit.basis {
            Basis::Relative if baseline == 0.0 => return Err(Reason::NoBaseline(metric)),
            // Of a baseline below zero, +10% still is upwards.
            Basis::Relative => limit.value * baseline.abs(),
            _ => limit.value,
        };
        Ok(if limit.two_sided { ((value - baseline).abs(), distance) } else { (value, baseline + distance) })
    }
}
