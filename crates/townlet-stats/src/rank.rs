//! The Mann-Whitney test with the shift of Hodges and Lehmann and its interval.

use crate::maths::{normal_above, normal_quantile_above};

/// No more pairs than this are compared: 16 million take 128 MiB.
const PAIRS: usize = 1 << 24;

/// What ranks say about two sets of values.
///
/// This is the statistic that Kayenta's judge reads (`MannWhitney.scala`, itself after R's `wilcox.test` with
/// `exact = FALSE`). Kayenta looks for the roots of a step function with a solver good to about 1e-6; the steps are at
/// the differences of the pairs, so here they are read off those: with m·n differences in order, σ² = m·n·(m+n+1)/12
/// and K = ⌊m·n/2 − ½ − z·σ⌋, the interval runs from difference K+1 to difference m·n−K.
///
/// Its interval holds for independent values of which one set is the other one shifted. Ties are taken as they come:
/// they only widen the interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankTest {
    /// U: the number of pairs in which the judged value is the greater one, ties as halves.
    pub statistic: f64,
    /// The median of all differences judged − control (Hodges and Lehmann), in the metric's unit.
    pub shift: f64,
    /// Where the shift's interval begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// The chance of a statistic at least so far from its middle if there was no difference: two-sided, by the normal
    /// approximation, corrected for ties and not for continuity. 1 where all values are the same.
    pub chance: f64,
}

impl RankTest {
    /// Compares the two; `confidence` is that of the interval, 0.98 in Kayenta.
    ///
    /// `None` without values on either side, with one that is not finite, with more than 2²⁴ pairs, or where
    /// `confidence` is not between 0 and 1.
    ///
    /// ```
    /// use townlet_stats::RankTest;
    ///
    /// // The example of Kayenta's own tests.
    /// let test = RankTest::of(&[10.0, 20.0, 30.0, 40.0], &[1.0, 2.0, 3.0, 4.0], 0.95).expect("values on both sides");
    /// assert_eq!((test.shift, test.low, test.high), (22.5, 6.0, 39.0));
    /// ```
    pub fn of(judged: &[f64], control: &[f64], confidence: f64) -> Option<Self> {
        Self::widened(judged, control, confidence, 1.0)
    }

    /// The same with an interval for values that repeat each other: `inflation` is by how much the variance of their
    /// mean exceeds that of independent ones. The published interval has 1.
    pub(crate) fn widened(judged: &[f64], control: &[f64], confidence: f64, inflation: f64) -> Option<Self> {
        let pairs = judged.len().checked_mul(control.len()).filter(|pairs| (1..=PAIRS).contains(pairs))?;
        let finite = judged.iter().chain(control).all(|value| value.is_finite());
        let usable = finite && confidence > 0.0 && confidence < 1.0;
        if !usable {
            return None;
        }
        let mut differences = Vec::with_capacity(pairs);
        for x in judged {
            differences.extend(control.iter().map(|y| x - y));
        }
        let statistic = differences.iter().map(|&d| f64::from(u8::from(d > 0.0)) + 0.5 * f64::from(u8::from(d == 0.0)));
        let statistic: f64 = statistic.sum();

        let (m, n) = (judged.len() as f64, control.len() as f64);
        let sigma = (m * n * (m + n + 1.0) / 12.0).sqrt();
        let z = normal_quantile_above((1.0 - confidence) / 2.0);
        let outside = (m * n / 2.0 - 0.5 - z * sigma * inflation.sqrt()).floor().max(0.0) as usize;

        let mut at = |index: usize| *differences.select_nth_unstable_by(index, f64::total_cmp).1;
        let (low, high) = (at(outside), at(pairs - 1 - outside));
        let upper = at(pairs / 2);
        let shift = if pairs % 2 == 1 { upper } else { halfway(at(pairs / 2 - 1), upper) };

        let tied = ties(judged, control);
        let spread = (m * n / 12.0 * (m + n + 1.0 - tied / ((m + n) * (m + n - 1.0)))).sqrt();
        let chance = if spread > 0.0 { 2.0 * normal_above((statistic - m * n / 2.0).abs() / spread) } else { 1.0 };
        Some(Self { statistic, shift, low, high, chance: chance.min(1.0) })
    }
}

/// The middle of two numbers, however large.
fn halfway(a: f64, b: f64) -> f64 {
    a / 2.0 + b / 2.0
}

/// The sum of t³ − t over the sizes t of all groups of equal values.
fn ties(judged: &[f64], control: &[f64]) -> f64 {
    let mut all: Vec<f64> = judged.iter().chain(control).copied().collect();
    all.sort_unstable_by(f64::total_cmp);
    let groups = all.chunk_by(|a, b| a == b).map(|group| group.len() as f64);
    groups.map(|t| t * t * t - t).sum()
}
