//! How fast an error budget burns, over several windows at once.

use std::collections::VecDeque;

/// How soon somebody has to look.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Urgency {
    /// At once.
    Page,
    /// On a working day.
    Ticket,
}

/// A pair of windows: the long one says that it matters, the short one that it still goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurnWindow {
    /// In milliseconds.
    pub long_ms: u64,
    /// In milliseconds, no longer than the long one.
    pub short_ms: u64,
    /// How many times faster than the budget allows for the whole period.
    pub factor: f64,
    /// How soon somebody has to look.
    pub urgency: Urgency,
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// The windows of *The Site Reliability Workbook*, chapter 5, for a period of 30 days: 2 % of the budget in an hour,
/// 5 % in six, 10 % in a day, 10 % in three; the short window is a twelfth of the long one.
pub const WORKBOOK: [BurnWindow; 4] = [
    BurnWindow { long_ms: HOUR, short_ms: 5 * MINUTE, factor: 14.4, urgency: Urgency::Page },
    BurnWindow { long_ms: 6 * HOUR, short_ms: 30 * MINUTE, factor: 6.0, urgency: Urgency::Page },
    BurnWindow { long_ms: 24 * HOUR, short_ms: 2 * HOUR, factor: 3.0, urgency: Urgency::Ticket },
    BurnWindow { long_ms: 72 * HOUR, short_ms: 6 * HOUR, factor: 1.0, urgency: Urgency::Ticket },
];

/// No sample counts more events than this, so that no sum of them is too large for a number.
const MOST_EVENTS: u64 = 1 << 40;

/// The share of a window that has to be there before it can be quiet.
const COVERAGE: f64 = 0.8;

/// What is wrong with what was asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BurnError {
    /// The objective leaves no budget, or all of it.
    #[error("the objective is {0}: it must be above 0 and below 1, as 0.999 for 99.9 %")]
    Objective(f64),
    /// The interval is 0.
    #[error("the interval between samples is 0: give it in milliseconds")]
    NoInterval,
    /// A window has no length, its short one is the longer one, or its factor is no positive number.
    #[error("burn window {index} cannot be: 0 < short <= long and a factor above 0 that burns less than everything")]
    Window {
        /// Which, from 0.
        index: usize,
    },
}

/// What a pair of windows says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Burn {
    /// The budget does not burn that fast.
    Quiet,
    /// It does, in both windows: by these multiples of the allowed rate.
    Firing {
        /// Over the long window.
        long: f64,
        /// Over the short one.
        short: f64,
    },
    /// Too few events, or too little of a window seen. This is not quiet.
    Unknown {
        /// How many events the window that decides had.
        events: u64,
        /// How much of it was seen, from 0 to 1.
        seen: f64,
    },
}

/// Multi-window, multi-burn-rate alerts over counts of events and of those that failed.
///
/// What was not seen is taken neither for good nor for bad: a window fires only if it would with all of its unseen
/// part free of failures, and is quiet only with four fifths of it seen. A pair whose long window has fewer than
/// `least_events` is unknown, so that one failure of ten requests at night pages nobody, and says so.
///
/// ```
/// use townlet_stats::{Burn, BurnRates, WORKBOOK};
///
/// let mut burning = BurnRates::new(0.999, &WORKBOOK, 60_000, 100)?;
/// for minute in 0..60 {
///     burning.push(minute * 60_000, 0, 1000);
/// }
/// assert_eq!(burning.states()[0], Burn::Quiet);
/// // 2 % of all requests fail: twenty times what the budget allows.
/// for minute in 60..103 {
///     burning.push(minute * 60_000, 20, 1000);
/// }
/// assert_eq!(burning.states()[0], Burn::Quiet);
/// burning.push(103 * 60_000, 20, 1000);
/// assert!(matches!(burning.states()[0], Burn::Firing { long, .. } if long > 14.4));
/// # Ok::<(), townlet_stats::BurnError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BurnRates {
    budget: f64,
    interval_ms: u64,
    least_events: u64,
    windows: Vec<BurnWindow>,
    samples: VecDeque<Seen>,
    /// How many samples were forgotten at the front.
    forgotten: usize,
    sums: Vec<[Sum; 2]>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at_ms: u64,
    failed: u64,
    total: u64,
}

/// The running sum of a window: whole numbers, so that nothing is lost by taking away again.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// The number of the first sample in it, forgotten ones counted.
    from: usize,
    failed: u64,
    total: u64,
    samples: u64,
}

impl BurnRates {
    /// `objective` is the share of events that has to be good, `interval_ms` the time between two samples.
    ///
    /// # Errors
    /// [`BurnError`] where something asked for cannot be.
    pub fn new(objective: f64, windows: &[BurnWindow], interval_ms: u64, least_events: u64) -> Result<Self, BurnError> {
        let inside = objective > 0.0 && objective < 1.0;
        if !inside {
            return Err(BurnError::Objective(objective));
        }
        if interval_ms == 0 {
            return Err(BurnError::NoInterval);
        }
        let budget = 1.0 - objective;
        let possible = |window: &BurnWindow| {
            let factor = window.factor > 0.0 && window.factor * budget < 1.0;
            factor && window.short_ms > 0 && window.short_ms <= window.long_ms
        };
        if let Some(index) = windows.iter().position(|window| !possible(window)) {
            return Err(BurnError::Window { index });
        }
        Ok(Self {
            budget,
            interval_ms,
            least_events,
            windows: windows.to_vec(),
            samples: VecDeque::new(),
            forgotten: 0,
            sums: vec![[Sum::default(); 2]; windows.len()],
        })
    }

    /// Takes the next sample: how many events there were since the one before, and how many of them failed; more
    /// failures than events count as all, and more than 2⁴⁰ events as so many. A sample that is not later than the one before changes nothing.
    pub fn push(&mut self, at_ms: u64, failed: u64, total: u64) {
        if self.samples.back().is_some_and(|last| at_ms <= last.at_ms) {
            return;
        }
        let total = total.min(MOST_EVENTS);
        let seen = Seen { at_ms, failed: failed.min(total), total };
        self.samples.push_back(seen);
        for (window, sums) in self.windows.iter().zip(&mut self.sums) {
            for (sum, length) in sums.iter_mut().zip([window.long_ms, window.short_ms]) {
                sum.failed += seen.failed;
                sum.total += seen.total;
                sum.samples += 1;
                while let Some(old) =
                    self.samples.get(sum.from - self.forgotten).filter(|old| at_ms - old.at_ms >= length)
                {
                    sum.failed -= old.failed;
                    sum.total -= old.total;
                    sum.samples -= 1;
                    sum.from += 1;
                }
            }
        }
        let needed = self.sums.iter().flatten().map(|sum| sum.from).min().unwrap_or(usize::MAX);
        while self.forgotten < needed && self.samples.len() > 1 {
            self.samples.pop_front();
            self.forgotten += 1;
        }
    }

    /// What each pair of windows says, in the order they were given.
    pub fn states(&self) -> Vec<Burn> {
        self.windows.iter().zip(&self.sums).map(|(window, [long, short])| self.state(window, long, short)).collect()
    }

    fn state(&self, window: &BurnWindow, long: &Sum, short: &Sum) -> Burn {
        let seen = |sum: &Sum, length: u64| {
            let expected = (length / self.interval_ms).max(1);
            (sum.samples as f64 / expected as f64).min(1.0)
        };
        let (long_seen, short_seen) = (seen(long, window.long_ms), seen(short, window.short_ms));
        let rate = |sum: &Sum| if sum.total == 0 { 0.0 } else { sum.failed as f64 / sum.total as f64 / self.budget };
        let enough = long.total >= self.least_events.max(1);
        // Whatever was not seen has been good, with as many events as what was.
        let at_least = (rate(long) * long_seen, rate(short) * short_seen);
        if enough && at_least.0 >= window.factor && at_least.1 >= window.factor {
            return Burn::Firing { long: rate(long), short: rate(short) };
        }
        let quiet_long = enough && long_seen >= COVERAGE && rate(long) < window.factor;
        let quiet_short = enough && short_seen >= COVERAGE && short.total > 0 && rate(short) < window.factor;
        if quiet_long || quiet_short {
            return Burn::Quiet;
        }
        Burn::Unknown { events: long.total, seen: long_seen }
    }
}
