//! A verdict on one window: what is judged against a control, by ranks, without passing what was not seen.

use std::fmt;

use crate::check::{Assumption, Check};
use crate::maths::{exp, ln_gamma};
use crate::rank::RankTest;
use crate::robust::{mean, median, spread};
use crate::sample::{Direction, Scale};

/// That of the shift's interval, as in Kayenta: each end is wrong once in a hundred times.
const CONFIDENCE: f64 = 0.98;
const ALPHA: f64 = 0.01;
/// Below this many values autocorrelation cannot be measured.
const VALUES: f64 = 20.0;
/// To pass takes more; Kayenta's documentation asks for it as well.
const VALUES_TO_PASS: usize = 50;
const COVERAGE: f64 = 0.8;
const AUTOCORRELATION: f64 = 0.9;
const SHAPE: f64 = 3.0;
/// Values beyond all of the control by this factor need no more than to be enough of them; see the detector's.
const CATASTROPHE: f64 = 2.449_489_742_783_178;

/// Compares a window of values with that of a control.
///
/// *Worse* is a shift whose 98 % interval, widened by the autocorrelation that was measured, lies beyond the tolerance;
/// or so many values beyond all of the control by a factor of about 2.5 that chance gives them at most once in a
/// hundred times (Rosenbaum's test: exact, for ties and a few values as well).
///
/// *Pass* is no leftover: it takes 50 values on both sides, an interval that lies within the tolerance, like spreads and
/// no tail of its own. What is neither is [`Verdict::Inconclusive`], with what is missing. So a judge without a tolerance
/// passes next to nothing, and no data passes nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judge {
    /// Which way is worse.
    pub direction: Direction,
    /// How values are compared.
    pub scale: Scale,
    /// The shift that is accepted: 0.05 for 5 % of the control's median with [`Scale::Ratio`], else in the metric's
    /// unit. Negative and not finite ones count as 0.
    pub tolerance: f64,
}

/// What is decided.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verdict {
    /// It is within the tolerance.
    Pass,
    /// It is beyond it.
    Worse,
    /// Neither is known. This is no pass.
    Inconclusive,
}

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// What is judged.
    Judged,
    /// What it is compared with.
    Control,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// One side has no value at all.
    NoValue(Side),
    /// There are more than 2²⁴ pairs to compare.
    TooMany,
    /// This does not hold.
    Fails(Check),
    /// The shift is beyond the tolerance.
    Shift,
    /// So many of the judged values lie beyond all of the control.
    Beyond {
        /// How many.
        values: usize,
        /// The chance of so many if both sides were alike.
        chance: f64,
    },
    /// The interval of the shift reaches beyond the tolerance and into it.
    Undecided,
    /// The interval of the shift lies within the tolerance.
    Within,
}

/// A verdict with its grounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What is decided.
    pub verdict: Verdict,
    /// Why.
    pub why: Why,
    /// The comparison by ranks, as published, with its interval not widened; `None` where one side has no value.
    pub test: Option<RankTest>,
    /// The interval of the shift that was judged by: widened by the autocorrelation.
    pub interval: Option<(f64, f64)>,
    /// What was assumed, and whether it holds.
    pub checks: Vec<Check>,
}

impl Judge {
    /// Judges a window. `None` is a missing value, and so is one that is not finite; the order is that of time.
    ///
    /// ```
    /// use townlet_stats::{Direction, Judge, Scale, Verdict};
    ///
    /// let judge = Judge { direction: Direction::LowerIsBetter, scale: Scale::Ratio, tolerance: 0.05 };
    /// let hour = |level: f64| (0..60).map(|n| Some(level + f64::from(n * 37 % 60) / 20.0)).collect::<Vec<_>>();
    /// assert_eq!(judge.judge(&hour(100.0), &hour(100.0)).verdict, Verdict::Pass);
    /// assert_eq!(judge.judge(&hour(110.0), &hour(100.0)).verdict, Verdict::Worse);
    /// assert_eq!(judge.judge(&hour(110.0)[..10], &hour(100.0)[..10]).verdict, Verdict::Inconclusive);
    /// ```
    pub fn judge(&self, judged: &[Option<f64>], control: &[Option<f64>]) -> Judgement {
        let (a, b) = (present(judged), present(control));
        let Some(test) = RankTest::of(&a, &b, CONFIDENCE) else {
            let why = match (a.is_empty(), b.is_empty()) {
                (_, true) => Why::NoValue(Side::Control),
                (true, _) => Why::NoValue(Side::Judged),
                _ => Why::TooMany,
            };
            return Judgement { verdict: Verdict::Inconclusive, why, test: None, interval: None, checks: Vec::new() };
        };
        let rho = autocorrelation(&a).max(autocorrelation(&b)).clamp(0.0, 0.999);
        let coverage = share(a.len(), judged.len()).min(share(b.len(), control.len()));
        let shape = shape(spread(&a), spread(&b));
        let checks = vec![
            Check::at_least(Assumption::Values, a.len().min(b.len()) as f64, VALUES),
            Check::at_least(Assumption::ValuesCoverage, coverage, COVERAGE),
            Check::at_most(Assumption::Autocorrelation, rho, AUTOCORRELATION),
            Check::at_most(Assumption::Shape, shape, SHAPE),
        ];
        let wide = RankTest::widened(&a, &b, CONFIDENCE, (1.0 + rho) / (1.0 - rho)).unwrap_or(test);
        let (verdict, why) = self.decided(&a, &b, &wide, &checks);
        Judgement { verdict, why, test: Some(test), interval: Some((wide.low, wide.high)), checks }
    }

    fn decided(&self, judged: &[f64], control: &[f64], wide: &RankTest, checks: &[Check]) -> (Verdict, Why) {
        let signs = self.direction.signs();
        let catastrophe = signs.iter().find_map(|&sign| beyond(judged, control, sign, |most| multiple(most, sign)));
        if let Some(why) = catastrophe {
            return (Verdict::Worse, why);
        }
        let failing = |check: &&Check| !check.holds && check.assumption != Assumption::Shape;
        if let Some(check) = checks.iter().find(failing) {
            return (Verdict::Inconclusive, Why::Fails(*check));
        }
        let tolerated = self.tolerated(control);
        let interval = |sign: f64| if sign > 0.0 { (wide.low, wide.high) } else { (-wide.high, -wide.low) };
        if signs.iter().any(|&sign| interval(sign).0 > tolerated) {
            return (Verdict::Worse, Why::Shift);
        }
        // From here on: is there anything that speaks against a pass?
        if let Some(check) = checks.iter().find(|check| !check.holds) {
            return (Verdict::Inconclusive, Why::Fails(*check));
        }
        let tail = signs.iter().find_map(|&sign| beyond(judged, control, sign, |most| most + sign * tolerated));
        if let Some(why) = tail {
            return (Verdict::Inconclusive, why);
        }
        let values = judged.len().min(control.len());
        if values < VALUES_TO_PASS {
            let few = Check::at_least(Assumption::Values, values as f64, VALUES_TO_PASS as f64);
            return (Verdict::Inconclusive, Why::Fails(few));
        }
        match signs.iter().all(|&sign| interval(sign).1 <= tolerated) {
            true => (Verdict::Pass, Why::Within),
            false => (Verdict::Inconclusive, Why::Undecided),
        }
    }

    /// The tolerance in the metric's unit.
    fn tolerated(&self, control: &[f64]) -> f64 {
        let tolerance = if self.tolerance.is_finite() { self.tolerance.max(0.0) } else { 0.0 };
        match self.scale {
            Scale::Difference => tolerance,
            Scale::Ratio => tolerance * median(&mut control.to_vec()).unwrap_or(0.0).abs(),
        }
    }
}

/// What a value beyond a catastrophe has to exceed: no multiple of what is below 0.
fn multiple(most: f64, sign: f64) -> f64 {
    match (sign > 0.0, most < 0.0) {
        (true, false) => most * CATASTROPHE,
        (false, false) => most / CATASTROPHE,
        (_, true) => f64::INFINITY * sign,
    }
}

/// Whether more values lie beyond the control's most extreme one, moved by `bound`, than chance gives (Rosenbaum,
/// 1954): that the k greatest of all m + n are of the same side has the chance C(m, k) / C(m + n, k).
fn beyond(judged: &[f64], control: &[f64], sign: f64, bound: impl Fn(f64) -> f64) -> Option<Why> {
    let most = control.iter().copied().max_by(|a, b| (sign * a).total_cmp(&(sign * b)))?;
    let bound = sign * bound(most);
    let values = judged.iter().filter(|value| sign * **value > bound).count();
    let (m, n, k) = (judged.len() as f64, control.len() as f64, values as f64);
    let ln_choose = |of: f64| ln_gamma(of + 1.0) - ln_gamma(of - k + 1.0);
    let chance = exp(ln_choose(m) - ln_choose(m + n)).min(1.0);
    (chance <= ALPHA).then_some(Why::Beyond { values, chance })
}

fn present(values: &[Option<f64>]) -> Vec<f64> {
    values.iter().flatten().copied().filter(|value| value.is_finite()).collect()
}

fn share(present: usize, all: usize) -> f64 {
    present as f64 / all.max(1) as f64
}

fn shape(a: f64, b: f64) -> f64 {
    if a == b { 1.0 } else { a.max(b) / a.min(b) }
}

/// The correlation with the value before, corrected for the bias that few values have (Marriott and Pope, 1954). Drift
/// counts as correlation; wild values are bounded, so that one spike hides nothing.
fn autocorrelation(values: &[f64]) -> f64 {
    let bound = 4.0 * spread(values);
    let Some(centre) = median(&mut values.to_vec()) else { return 0.0 };
    let bounded = |value: &f64| if bound > 0.0 { (value - centre).clamp(-bound, bound) } else { value - centre };
    let bounded: Vec<f64> = values.iter().map(bounded).collect();
    let middle = mean(&bounded);
    let squares: f64 = bounded.iter().map(|value| (value - middle) * (value - middle)).sum();
    let products: f64 = bounded.windows(2).map(|pair| (pair[0] - middle) * (pair[1] - middle)).sum();
    if squares <= 0.0 {
        return 0.0;
    }
    let rho = products / squares;
    rho + (1.0 + 4.0 * rho) / values.len() as f64
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue(Side::Judged) => f.write_str("what is judged has no value"),
            Self::TooMany => f.write_str("there are too many values to compare: judge shorter windows"),
            Self::NoValue(Side::Control) => f.write_str("the control has no value"),
            Self::Fails(check) => check.fmt(f),
            Self::Shift => f.write_str("the shift is beyond the tolerance"),
            Self::Beyond { values, chance } => {
                write!(f, "{values} values lie beyond all of the control, by chance {chance:.1e}")
            }
            Self::Undecided => f.write_str("the shift may be within the tolerance or beyond it"),
            Self::Within => f.write_str("the shift is within the tolerance"),
        }
    }
}

/// A report: the verdict with its reason, then a line for each assumption.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Worse => "worse",
            Verdict::Inconclusive => "inconclusive",
        };
        write!(f, "{verdict}: {}", self.why)?;
        if let (Some(test), Some((low, high))) = (self.test, self.interval) {
            write!(f, "\nshift {:.6} ({low:.6} to {high:.6})", test.shift)?;
        }
        self.checks.iter().try_for_each(|check| write!(f, "\n{check}"))
    }
}
