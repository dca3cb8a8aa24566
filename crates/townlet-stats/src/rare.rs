//! Has something rare become less so? A test of counts that may be looked at after every window.

use crate::baseline::step_of;
use crate::check::{Assumption, Check};
use crate::counts::{Count, chance_of_so_many};
use crate::detector::{ALPHA, HORIZON, Lane, State};
use crate::live::LIVE;
use crate::maths::{exp, ln};
use crate::rate::{RareBaseline, counted};
use crate::sample::Sample;

/// It bets that events come so many times as often as the history allows at most.
const TIMES: [f64; 8] = [1.25, 1.5, 2.0, 4.0, 16.0, 64.0, 256.0, 1024.0];
/// So many windows without a count are an absence; so few with events decide nothing.
const IN_A_ROW: u32 = 2;

/// Watches the count of something rare, a window at a time: failures, restarts, refused orders.
///
/// Levels say little of what is mostly 0. Here the counts themselves are judged: against the highest rate that the
/// history allows ([`RareBaseline::highest`]), eight bets on rates of 1.25 to 1,024 times as much run as a
/// Shiryaev–Roberts mixture of Poisson likelihood ratios. It decides where that reaches [`HORIZON`] / ([`ALPHA`] / 2).
/// The chance of a false alarm within n windows is then at most ALPHA/2, that of a history which shows too little, and
/// ALPHA/2 · n/HORIZON, however often it is looked at: exact, for independent events. It takes events in two windows at
/// least; so one bad minute alone decides nothing.
///
/// Where events come in clumps (the variance of the hourly counts is up to twice their mean) each counts for less.
/// Where a [`Check`] fails it says [`State::Inconclusive`]. Two windows without a count are an absence, as of a
/// [`Detector`](crate::Detector). It looks for more of them, never for fewer.
///
/// ```
/// use townlet_stats::{Count, RareBaseline, RareDetector, Sample, State};
///
/// // No failure in a day, a window a minute; then one every other minute.
/// let baseline = RareBaseline::stated(Count { events: 0, exposure: 1440.0 }, 60_000)?;
/// let mut failures = RareDetector::new(baseline, 0.0);
/// let found = (0..60).find(|minute| {
///     let state = failures.push(&Sample::new(minute * 60_000, f64::from(u8::from(minute % 2 == 0))));
///     matches!(state, State::Detected { .. })
/// });
/// assert!(found.is_some_and(|minute| minute < 15));
/// # Ok::<(), townlet_stats::BaselineError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RareDetector {
    baseline: RareBaseline,
    allowed: f64,
    bets: [Bet; TIMES.len()],
    state: State,
    evidence: Option<Evidence>,
    first_step: Option<u64>,
    last_step: Option<u64>,
    present: u64,
    absent: (u32, u64),
}

/// What the events since a rate most likely rose say by themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// The events, and in how many windows.
    pub seen: Count,
    /// The chance of so many beside what the history had, by the exact test for one look ([`chance_of_so_many`]).
    pub chance: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bet {
    statistic: f64,
    /// The logarithm since the run's start; at 0 the run begins anew. It says when, not whether.
    gain: f64,
    run: Run,
}

#[derive(Clone, Copy, Debug, Default)]
struct Run {
    since_ms: u64,
    events: f64,
    windows: f64,
    /// Windows with an event.
    hits: u32,
}

impl RareDetector {
    /// Begins at the change. `tolerance` is how many more events a window are accepted; negative and not finite ones
    /// count as 0.
    pub fn new(baseline: RareBaseline, tolerance: f64) -> Self {
        let tolerance = if tolerance.is_finite() { tolerance.max(0.0) } else { 0.0 };
        let allowed = baseline.highest() + tolerance;
        let mut detector = Self {
            baseline,
            allowed,
            bets: [Bet::default(); TIMES.len()],
            state: State::Quiet,
            evidence: None,
            first_step: None,
            last_step: None,
            present: 0,
            absent: (0, 0),
        };
        detector.state = detector.judged(0);
        detector
    }

    /// What is known.
    pub fn state(&self) -> State {
        self.state
    }

    /// The baseline it compares with.
    pub fn baseline(&self) -> &RareBaseline {
        &self.baseline
    }

    /// What the events of a detection say by themselves; `None` before one, and of an absence.
    pub fn evidence(&self) -> Option<Evidence> {
        self.evidence
    }

    /// Every assumption with what was found by now, those of the baseline first.
    pub fn checks(&self) -> Vec<Check> {
        let steps = self.first_step.zip(self.last_step).map_or(0, |(first, last)| (last - first).saturating_add(1));
        let share = self.present as f64 / steps.max(1) as f64;
        let live = (steps >= LIVE.steps).then(|| Check::at_least(Assumption::LiveCoverage, share, LIVE.coverage));
        self.baseline.checks().iter().copied().chain(live).collect()
    }

    /// Takes the next window.
    ///
    /// One without a count says that the metric was absent; a scrape that did not happen is no window and is left out.
    /// What is of the same window as the one before, or of an earlier one, changes nothing.
    pub fn push(&mut self, sample: &Sample) -> State {
        let step = step_of(sample.at_ms, self.baseline.interval_ms());
        if matches!(self.state, State::Detected { .. }) || self.last_step.is_some_and(|last| step <= last) {
            return self.state;
        }
        if self.last_step.is_some_and(|last| step - last > 1) {
            self.absent = (0, 0);
        }
        self.first_step.get_or_insert(step);
        self.last_step = Some(step);
        match counted(sample) {
            None => {
                let (samples, since_ms) = self.absent;
                self.absent = (samples + 1, if samples == 0 { sample.at_ms } else { since_ms });
            }
            Some(events) => {
                self.absent = (0, 0);
                self.present += 1;
                self.take(sample.at_ms, events);
            }
        }
        self.state = self.judged(sample.at_ms);
        self.state
    }

    fn take(&mut self, at_ms: u64, events: f64) {
        let clumping = self.baseline.clumping();
        for (bet, times) in self.bets.iter_mut().zip(TIMES) {
            let gain = (events * ln(times) - self.allowed * (times - 1.0)) / clumping;
            // Bounded, so that a statistic nobody acts on stays a number.
            bet.statistic = ((1.0 + bet.statistic) * exp(gain)).min(1e300);
            if bet.gain <= 0.0 {
                bet.gain = 0.0;
                bet.run = Run { since_ms: at_ms, ..Run::default() };
            }
            bet.gain += gain;
            bet.run.events += events;
            bet.run.windows += 1.0;
            bet.run.hits = bet.run.hits.saturating_add(u32::from(events > 0.0));
        }
    }

    fn judged(&mut self, at_ms: u64) -> State {
        if self.absent.0 >= IN_A_ROW {
            return State::Detected { since_ms: self.absent.1, at_ms, lane: Lane::Absence, size: None };
        }
        if let Some(why) = self.checks().into_iter().find(|check| !check.holds) {
            self.bets = [Bet::default(); TIMES.len()];
            return State::Inconclusive { why };
        }
        let statistic = self.bets.iter().map(|bet| bet.statistic).sum::<f64>() / self.bets.len() as f64;
        let strongest = self.bets.iter().max_by(|a, b| a.statistic.total_cmp(&b.statistic));
        let run = strongest.map(|bet| bet.run).unwrap_or_default();
        if statistic >= f64::from(HORIZON) / (ALPHA / 2.0) && run.hits >= IN_A_ROW {
            let seen = Count { events: run.events.round() as u64, exposure: run.windows };
            let chance = chance_of_so_many(seen, self.baseline.seen());
            self.evidence = chance.map(|chance| Evidence { seen, chance });
            let size = Some(run.events / run.windows.max(1.0) - self.baseline.rate());
            return State::Detected { since_ms: run.since_ms, at_ms, lane: Lane::Rare, size };
        }
        match (self.absent, statistic >= f64::from(HORIZON)) {
            ((1.., since_ms), _) => State::Suspect { since_ms },
            (_, true) => State::Suspect { since_ms: run.since_ms },
            (_, false) => State::Quiet,
        }
    }
}
