//! What is read: samples of a level, counts of failures, counters that start again.

/// What one scrape said about a metric.
///
/// A value that is not finite is a missing one. A caller that knows how many observations stand behind a value (a p95
/// of four requests) passes `None` where they are too few.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// When, in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// The metric of what is judged; `None` where the scrape had none.
    pub value: Option<f64>,
    /// The same metric, at the same time, of what did not change; `None` without a control.
    pub control: Option<f64>,
}

impl Sample {
    /// A value without a control.
    pub fn new(at_ms: u64, value: f64) -> Self {
        Self { at_ms, value: Some(value), control: None }
    }

    /// A scrape that had nothing.
    pub fn missing(at_ms: u64) -> Self {
        Self { at_ms, value: None, control: None }
    }

    /// The same with what the control had.
    #[must_use]
    pub fn beside(mut self, control: f64) -> Self {
        self.control = Some(control);
        self
    }
}

/// Which way is worse.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// Up is worse: durations, failures.
    LowerIsBetter,
    /// Down is worse: throughput, success.
    HigherIsBetter,
    /// Both are: sizes, rates that should stay.
    Band,
}

impl Direction {
    /// The signs under which a deviation is adverse.
    pub(crate) fn signs(self) -> &'static [f64] {
        match self {
            Self::LowerIsBetter => &[1.0],
            Self::HigherIsBetter => &[-1.0],
            Self::Band => &[1.0, -1.0],
        }
    }
}

/// How a value is compared with what was expected.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scale {
    /// As a ratio. For positive metrics; a value below 0 counts as missing, 0 as a millionth of what was expected.
    Ratio,
    /// As a difference in the metric's own unit. For shares (98.1 %, tolerance 2 points) and what may be negative.
    Difference,
}

/// No ratio is taken for more than a million.
const LARGEST_LOG: f64 = 13.815_510_557_964_274;

impl Scale {
    /// The coordinate in which deviations are additive: the logarithm, or the value itself.
    pub(crate) fn coordinate(self, value: f64) -> Option<f64> {
        match self {
            _ if !value.is_finite() => None,
            Self::Difference => Some(value),
            Self::Ratio if value < 0.0 => None,
            Self::Ratio => Some(crate::maths::ln(value).max(-700.0)),
        }
    }

    pub(crate) fn bounded(self, deviation: f64) -> f64 {
        match self {
            Self::Ratio => deviation.clamp(-LARGEST_LOG, LARGEST_LOG),
            Self::Difference => deviation,
        }
    }

    /// A deviation in the coordinate as people say it: 0.1 for +10 %, or the difference.
    pub(crate) fn said(self, deviation: f64) -> f64 {
        match self {
            Self::Ratio => crate::maths::exp(deviation) - 1.0,
            Self::Difference => deviation,
        }
    }

    /// The other way: +10 % or a difference as a distance in the coordinate.
    pub(crate) fn distance(self, said: f64) -> f64 {
        match self {
            Self::Ratio => crate::maths::ln(1.0 + said),
            Self::Difference => said,
        }
    }
}

/// Turns readings of a counter into increases, and knows a restart from a decrease.
///
/// ```
/// use townlet_stats::Counter;
///
/// let mut errors = Counter::default();
/// let increases: Vec<_> = [100.0, 130.0, 4.0, 40.0].into_iter().map(|total| errors.read(total)).collect();
/// assert_eq!(increases, [None, Some(30.0), None, Some(36.0)]);
/// assert_eq!(errors.resets(), 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counter {
    last: Option<f64>,
    resets: u64,
}

impl Counter {
    /// The increase since the reading before. `None` for the first reading, for one that is no number, and for one
    /// below the last: the counter began again, and what it counted before that is not known.
    pub fn read(&mut self, total: f64) -> Option<f64> {
        if !total.is_finite() || total < 0.0 {
            return None;
        }
        let before = self.last.replace(total)?;
        if total < before {
            self.resets += 1;
            return None;
        }
        Some(total - before)
    }

    /// How often it began again.
    pub fn resets(&self) -> u64 {
        self.resets
    }
}
