//! Has it got worse? Two lanes over the samples of one metric since a change.

use crate::baseline::{Baseline, step};
use crate::check::{Assumption, Check};
use crate::live::Live;
use crate::profile::local;
use crate::sample::{Direction, Sample, Scale};
use crate::sequential::{Evidence, Mixture};

/// The chance of a false alarm of the sequential lane within [`HORIZON`] samples of a healthy metric, at most.
pub const ALPHA: f64 = 0.01;
/// The number of samples that [`ALPHA`] is meant for: 48 hours, one a minute. Within n samples it is ALPHA·n/HORIZON.
pub const HORIZON: u32 = 2_880;

/// The ratio that the catastrophe lane asks of two samples in a row, on average: midway between 2×, which is no
/// catastrophe, and 3×, which is one however the noise falls. Its logarithm is that of 6, halved.
const CATASTROPHE: f64 = 2.449_489_742_783_178;
/// By how much one of the two may miss that, as a logarithm: what lies between it and 2×.
const SLACK: f64 = 0.202_732_554_054_082_2;
/// Of a metric that is wild by itself it asks for more: so many standard deviations.
const CATASTROPHE_SDS: f64 = 5.0;
/// So many samples in a row without a value, or beyond all bounds, are a catastrophe.
const IN_A_ROW: u32 = 2;
/// Wild samples are in a row with nothing but holes between them, of at most so many intervals.
const HOLES: u64 = 60;

/// What counts as worse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Which way.
    pub direction: Direction,
    /// The shift that is accepted: 0.05 for 5 % with [`Scale::Ratio`], else in the metric's unit. Negative and not
    /// finite ones count as 0. The small shifts are tested beyond this and the baseline's
    /// [`day_band`](Baseline::day_band).
    pub tolerance: f64,
}

impl Rules {
    /// Without a tolerance.
    pub fn new(direction: Direction) -> Self {
        Self { direction, tolerance: 0.0 }
    }
}

/// Which lane found it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Lane {
    /// Small shifts, with the error rate that is stated.
    Sequential,
    /// Two samples in a row about 3× off.
    Catastrophe,
    /// Two samples in a row without a value.
    Absence,
    /// More of something rare, with the error rate that is stated ([`RareDetector`](crate::RareDetector)).
    Rare,
}

/// What is known after a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Nothing speaks for a shift. This is no proof that there is none.
    Quiet,
    /// Something does, less than it takes to act.
    Suspect {
        /// Where the shift, if it is one, most likely began.
        since_ms: u64,
    },
    /// It got worse. This stays.
    Detected {
        /// Where the shift most likely began.
        since_ms: u64,
        /// The sample that decided.
        at_ms: u64,
        /// By what.
        lane: Lane,
        /// The mean deviation since it began: 0.1 for +10 % with [`Scale::Ratio`], else in the metric's unit. `None`
        /// of an absence.
        size: Option<f64>,
    },
    /// Small shifts cannot be judged, because this does not hold. Catastrophes still are.
    Inconclusive {
        /// What fails.
        why: Check,
    },
}

/// Watches one metric after a change, a sample at a time.
///
/// Small shifts are judged by a *sequential* test: deviations are freed of what the one before explains (AR(1)),
/// measured in standard deviations and bounded (+3, −4), and six bets on shifts of 0.05 to 1.6 standard deviations run
/// as a Shiryaev–Roberts mixture. It decides where that reaches [`HORIZON`] / [`ALPHA`], so it may be looked at after
/// every sample. The rate is proven for innovations that are as in the history; how long a shift takes depends on its
/// size over the noise. Where a [`Check`] fails it says [`State::Inconclusive`]. A shift against a control also has to
/// show in the plain comparison, at half its size at least: one that hides behind a greater one of both is only
/// suspected.
///
/// A metric that bursts by itself raises the bar that the sequential test has to reach, so that a shift has to outlast
/// the bursts of the history ([`Assumption::Bursts`]).
///
/// *Catastrophes* are two samples in a row about 3× off: each at least 2×, both together at least 6× (or 5 standard
/// deviations each, where that is more); or two absent ones. Holes do not part wild ones, and where the control has no
/// value they are measured against what the metric did before.
#[derive(Clone, Debug)]
pub struct Detector {
    baseline: Baseline,
    rules: Rules,
    mixture: Mixture,
    live: Live,
    state: State,
    last_step: Option<u64>,
    wild_step: Option<u64>,
    before: Option<(u64, f64)>,
    wild: Row,
    absent: Row,
}

/// Samples in a row that are alike.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    sign: f64,
    since_ms: u64,
    samples: u32,
    sum: f64,
    /// By how much the last sample exceeds what is asked for, and the last two together.
    excess: f64,
    pair: f64,
}

/// A sample that is about a catastrophe.
struct Wild {
    deviation: f64,
    excess: f64,
}

impl Row {
    fn extend(&mut self, sign: f64, at_ms: u64, deviation: f64, excess: f64) {
        if self.samples == 0 || self.sign != sign {
            *self = Self { sign, since_ms: at_ms, ..Self::default() };
        }
        self.samples += 1;
        self.sum += deviation;
        self.pair = self.excess + excess;
        self.excess = excess;
    }

    /// Whether the last two samples are enough together.
    fn is_full(&self) -> bool {
        self.samples >= IN_A_ROW && self.pair >= 0.0
    }
}

impl Detector {
    /// Begins at the change.
    pub fn new(baseline: Baseline, rules: Rules) -> Self {
        let mixture = Mixture::new(rules.direction.signs(), baseline.noise());
        let tolerance = if rules.tolerance.is_finite() { rules.tolerance.max(0.0) } else { 0.0 };
        let mut detector = Self {
            baseline,
            rules: Rules { tolerance, ..rules },
            mixture,
            live: Live::default(),
            state: State::Quiet,
            last_step: None,
            wild_step: None,
            before: None,
            wild: Row::default(),
            absent: Row::default(),
        };
        detector.state = detector.judged(0);
        detector
    }

    /// What is known.
    pub fn state(&self) -> State {
        self.state
    }

    /// The baseline it compares with.
    pub fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// Every assumption with what was found by now, those of the baseline first.
    pub fn checks(&self) -> Vec<Check> {
        let live = self.live.checks(self.last_step.unwrap_or(0));
        self.baseline.checks().iter().copied().chain(live).collect()
    }

    /// Takes the next sample.
    ///
    /// A sample without a value says that the metric was absent; a scrape that did not happen is no sample and is left
    /// out. A sample of the same interval as the one before, or of an earlier one, changes nothing.
    pub fn push(&mut self, sample: &Sample) -> State {
        let reading = self.baseline.reading();
        let step = step(sample.at_ms, reading);
        if matches!(self.state, State::Detected { .. }) || self.last_step.is_some_and(|last| step <= last) {
            return self.state;
        }
        // Absent in a row means: in intervals that follow each other. What was not scraped is not absent.
        if self.last_step.is_some_and(|last| step - last > 1) {
            self.absent = Row::default();
        }
        if self.wild_step.is_some_and(|wild| step - wild > HOLES) {
            self.wild = Row::default();
        }
        self.last_step = Some(step);
        if sample.value.and_then(|value| reading.scale.coordinate(value)).is_none() {
            self.absent.extend(0.0, sample.at_ms, 0.0, 0.0);
        } else {
            self.absent = Row::default();
            self.look_for_catastrophe(sample);
        }
        self.gather(sample, step);
        self.state = self.judged(sample.at_ms);
        self.state
    }

    fn look_for_catastrophe(&mut self, sample: &Sample) {
        let found = self.rules.direction.signs().iter().find_map(|&sign| Some((sign, self.wild_by(sample, sign)?)));
        match found {
            Some((sign, Wild { deviation, excess })) => {
                self.wild.extend(sign, sample.at_ms, deviation, excess);
                self.wild_step = self.last_step;
            }
            None => self.wild = Row::default(),
        }
    }

    /// What a sample is that may be one of the two of a catastrophe in this direction.
    fn wild_by(&self, sample: &Sample, sign: f64) -> Option<Wild> {
        let reading = self.baseline.reading();
        // A control that was not there saves nobody from a catastrophe.
        let deviation = self.baseline.deviation(sample).or_else(|| self.baseline.deviation_from_habits(sample))?;
        let adverse = (sign * deviation.sharp).min(sign * deviation.beside);
        let noise = self.baseline.noise();
        let by_noise = CATASTROPHE_SDS * noise.sd_at(local(sample.at_ms, reading.offset_ms)) + noise.day_band;
        let by_noise = by_noise + reading.scale.distance(self.rules.tolerance);
        let excess = match reading.scale {
            Scale::Ratio => adverse - by_noise.max(crate::maths::ln(CATASTROPHE)),
            Scale::Difference => {
                // Of what is expected to be 0 or less nothing is a multiple; the other lane judges that.
                let value = sample.value?;
                let expected = self.baseline.expected(sample.at_ms, sample.control).unwrap_or(value - deviation.sharp);
                let (more, less) = if sign > 0.0 { (value, expected) } else { (expected, value) };
                let times = expected > 0.0 && more >= CATASTROPHE * less;
                // Differences have no slack: 0 is enough, and less is none.
                if times && adverse >= by_noise { 0.0 } else { -f64::INFINITY }
            }
        };
        (excess >= -SLACK).then_some(Wild { deviation: deviation.sharp, excess })
    }

    fn gather(&mut self, sample: &Sample, step: u64) {
        let reading = self.baseline.reading();
        let known = self.baseline.knows(sample.at_ms);
        let Some(deviation) = self.baseline.deviation(sample).filter(|_| known) else {
            self.live.take(step, None);
            return;
        };
        let local_ms = local(sample.at_ms, reading.offset_ms);
        let before = self.before.map(|(at, size)| (size, step - at));
        self.before = Some((step, deviation.sharp));
        let noise = self.baseline.noise();
        self.live.take(step, Some(noise.innovation(deviation.sharp, before, local_ms)));
        let band = noise.day_band + reading.scale.distance(self.rules.tolerance);
        let evidence =
            Evidence { at_ms: sample.at_ms, local_ms, sharp: deviation.sharp, beside: deviation.beside, before };
        self.mixture.take(noise, band, &evidence);
    }

    fn judged(&mut self, at_ms: u64) -> State {
        let scale = self.baseline.reading().scale;
        if self.absent.samples >= IN_A_ROW {
            return State::Detected { since_ms: self.absent.since_ms, at_ms, lane: Lane::Absence, size: None };
        }
        if self.wild.is_full() {
            let size = Some(scale.said(self.wild.sum / f64::from(self.wild.samples)));
            return State::Detected { since_ms: self.wild.since_ms, at_ms, lane: Lane::Catastrophe, size };
        }
        if let Some(why) = self.failing(at_ms) {
            // What was gathered while something did not hold is no evidence later.
            self.mixture.clear();
            return State::Inconclusive { why };
        }
        let (statistic, run) = (self.mixture.statistic(), self.mixture.run());
        let bar = self.baseline.noise().bar(self.rules.direction.signs());
        if crate::maths::ln(statistic) >= bar && run.is_seen_beside() {
            let size = Some(scale.said(run.size()));
            return State::Detected { since_ms: run.since_ms, at_ms, lane: Lane::Sequential, size };
        }
        match (self.absent.samples + self.wild.samples, statistic >= f64::from(HORIZON)) {
            (1.., _) => State::Suspect { since_ms: self.absent.since_ms.max(self.wild.since_ms) },
            (0, true) => State::Suspect { since_ms: run.since_ms },
            (0, false) => State::Quiet,
        }
    }

    fn failing(&self, at_ms: u64) -> Option<Check> {
        let day = self.last_step.map(|_| f64::from(u8::from(self.baseline.knows(at_ms))));
        let day = day.map(|known| Check::at_least(Assumption::KnownDay, known, 1.0));
        self.checks().into_iter().chain(day).find(|check| !check.holds)
    }
}
