//! How often something rare happens while nothing is wrong: counts of events, window by window.

use crate::baseline::{BaselineError, HISTORY_COVERAGE, Reading, covered, readable, span_ms};
use crate::check::{Assumption, Check};
use crate::counts::Count;
use crate::detector::ALPHA;
use crate::maths::{exp, ln, ln_gamma};
use crate::profile::DAY_MS;
use crate::robust::mean;
use crate::sample::Sample;

/// The least history: failures of the night are not those of the day.
const DAYS: f64 = 1.0;
/// What happens more often than this in a window is not rare; its level says more.
const MOST_A_WINDOW: f64 = 10.0;
/// Of independent events the variance of the hourly counts is their mean. Up to this many times as much is paid for.
const CLUMPING: f64 = 2.0;
const HOUR_MS: u64 = 3_600_000;
/// No window counts for more, so that no sum of them is too large for a number.
const MOST: f64 = 1e12;

/// What is known of the rate of something rare: events in so many windows, while nothing was wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct RareBaseline {
    seen: Count,
    highest: f64,
    clumping: f64,
    interval_ms: u64,
    checks: Vec<Check>,
}

/// The events of a window; `None` where it has no count.
pub(crate) fn counted(sample: &Sample) -> Option<f64> {
    sample.value.filter(|value| value.is_finite() && *value >= 0.0).map(|value| value.min(MOST))
}

impl RareBaseline {
    /// From a history of counts, one a window, in the order of time and all before the change. `interval_ms` is the
    /// length of a window.
    ///
    /// The rate is taken to be the same at all times, and events to be independent; what speaks against that fails one
    /// of the [`checks`](Self::checks).
    ///
    /// # Errors
    /// [`BaselineError`] where there is nothing to read.
    pub fn from_history(history: &[Sample], interval_ms: u64) -> Result<Self, BaselineError> {
        let reading = Reading { interval_ms, ..Reading::default() };
        readable(history, reading)?;
        let counts: Vec<(u64, f64)> =
            history.iter().filter_map(|sample| Some((sample.at_ms, counted(sample)?))).collect();
        if counts.is_empty() {
            return Err(BaselineError::NoValues { samples: history.len() });
        }
        let windows = counts.len() as f64;
        let events: f64 = counts.iter().map(|(_, count)| count).sum();
        let whole = counts.iter().filter(|(_, count)| count.fract() == 0.0).count() as f64;
        let clumping = clumping(&counts, events / windows);
        let checks = vec![
            Check::at_least(Assumption::History, span_ms(history, reading) as f64 / DAY_MS as f64, DAYS),
            Check::at_least(
                Assumption::HistoryCoverage,
                covered(history, reading, |sample| counted(sample).is_some()),
                HISTORY_COVERAGE,
            ),
            Check::at_least(Assumption::WholeCounts, whole / windows, 1.0),
            Check::at_most(Assumption::Rare, events / windows, MOST_A_WINDOW),
            Check::at_most(Assumption::Clumping, clumping, CLUMPING),
        ];
        let seen = Count { events: events.round() as u64, exposure: windows };
        Ok(Self::of(seen, clumping, interval_ms, checks))
    }

    /// As somebody counted it: so many events in so many windows. Nothing can be checked, so nothing is.
    ///
    /// # Errors
    /// [`BaselineError`] where the windows are no positive number, or have no length.
    pub fn stated(seen: Count, interval_ms: u64) -> Result<Self, BaselineError> {
        if interval_ms == 0 {
            return Err(BaselineError::NoInterval);
        }
        if !(seen.exposure.is_finite() && seen.exposure >= 1.0) {
            return Err(BaselineError::Stated { what: "windows", value: seen.exposure.to_string() });
        }
        Ok(Self::of(seen, 1.0, interval_ms, Vec::new()))
    }

    fn of(seen: Count, clumping: f64, interval_ms: u64, checks: Vec<Check>) -> Self {
        let clumping = clumping.max(1.0);
        // Two events that come together tell as much as one.
        let highest = clumping * highest_mean(seen.events as f64 / clumping, ALPHA / 2.0) / seen.exposure;
        Self { seen, highest, clumping, interval_ms, checks }
    }

    /// The events and the windows that it is made of.
    pub fn seen(&self) -> Count {
        self.seen
    }

    /// Events a window.
    pub fn rate(&self) -> f64 {
        self.seen.events as f64 / self.seen.exposure
    }

    /// The highest rate that the history allows, in events a window: if it were higher, so few would have been seen
    /// with a chance of [`ALPHA`]/2 (Garwood, 1936: exact).
    pub fn highest(&self) -> f64 {
        self.highest
    }

    /// What was assumed about the history, and whether it holds.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    pub(crate) fn clumping(&self) -> f64 {
        self.clumping
    }

    pub(crate) fn interval_ms(&self) -> u64 {
        self.interval_ms
    }
}

/// The variance of the hourly counts over what independent events of this rate would give; 1 where nobody can say.
fn clumping(counts: &[(u64, f64)], rate: f64) -> f64 {
    if rate <= 0.0 {
        return 1.0;
    }
    let hours = counts.chunk_by(|(a, _), (b, _)| a / HOUR_MS == b / HOUR_MS);
    let distances: Vec<f64> = hours
        .map(|hour| {
            let (seen, expected) = (hour.iter().map(|(_, count)| count).sum::<f64>(), rate * hour.len() as f64);
            (seen - expected) * (seen - expected) / expected
        })
        .collect();
    if distances.len() < 2 { 1.0 } else { mean(&distances) }
}

/// The mean of a Poisson distribution that has so few events or fewer with this chance.
fn highest_mean(events: f64, chance: f64) -> f64 {
    let wide = events + 10.0 * (events + 1.0).sqrt() + 10.0;
    if events > 1e6 {
        // So many are not rare, and what fails its check is judged by nothing: near enough is enough.
        return wide;
    }
    let (mut low, mut high) = (events, wide);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if at_most(events, middle) > chance { low = middle } else { high = middle }
    }
    high
}

/// P(X ≤ events) of a Poisson distribution with this mean, from the largest term down. What is no whole number is
/// counted down to what is left of it, which is on the safe side of the next smaller one.
fn at_most(events: f64, mean: f64) -> f64 {
    let mut term = exp(events * ln(mean) - mean - ln_gamma(events + 1.0));
    let (mut sum, mut count) = (term, events);
    while count >= 1.0 && term > sum * 1e-17 {
        term *= count / mean;
        sum += term;
        count -= 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::highest_mean;

    // Upper ends of exact 99 % intervals, from tables (Garwood).
    #[test]
    fn the_highest_mean_is_that_of_the_tables() {
        for (events, highest) in
            [(0.0, 5.298), (1.0, 7.430), (2.0, 9.274), (5.0, 14.150), (10.0, 21.398), (50.0, 71.266)]
        {
            let found = highest_mean(events, 0.005);
            assert!((found - highest).abs() < 6e-3, "{events}: {found} is not {highest}");
        }
    }
}
