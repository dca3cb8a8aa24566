//! What is expected of a metric: from its history, from a control beside it, or as somebody stated it.

use crate::check::{Assumption, Check};
use crate::noise::{Noise, Residual};
use crate::profile::{Calendar, DAY_MS, Day, Profile, days, local};
use crate::robust::{mean, median};
use crate::sample::{Sample, Scale};

/// The least history that tells its own noise: each day is predicted from two others.
const DAYS: f64 = 3.0;
/// The least time that canary and control ran side by side, unchanged.
const HOURS_BESIDE: f64 = 4.0;
pub(crate) const HISTORY_COVERAGE: f64 = 0.8;
const INFLATION: f64 = 9.0;
const GROWTH: f64 = 2.5;
/// An hour and a half, a sample a minute.
const BURSTS: f64 = 90.0;
/// A day that may stray by 40 % cannot be told from a shift.
const DAY_BAND: f64 = 0.336_472_236_621_212_9;

/// How a history is to be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// How values are compared.
    pub scale: Scale,
    /// The time between two samples, in milliseconds.
    pub interval_ms: u64,
    /// What has to be added to UTC for the time of day that people live by, in milliseconds.
    pub offset_ms: i64,
}

impl Default for Reading {
    /// Ratios, every minute, UTC.
    fn default() -> Self {
        Self { scale: Scale::Ratio, interval_ms: 60_000, offset_ms: 0 }
    }
}

/// Why there is no baseline at all.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// The interval is 0.
    #[error("the interval between samples is 0: give it in milliseconds")]
    NoInterval,
    /// The history has no value that can be used, or no pair of them for a control.
    #[error("the history has no usable value among {samples} samples: with scale Ratio values must be positive")]
    NoValues {
        /// How many samples there were.
        samples: usize,
    },
    /// The history is not in the order of time.
    #[error("the history is not in the order of time: {at_ms} ms comes after a later sample")]
    Unordered {
        /// The first sample that is before the one ahead of it.
        at_ms: u64,
    },
    /// A stated level or width is no positive number.
    #[error("stated {what} is {value}: it must be a finite number above 0")]
    Stated {
        /// Which.
        what: &'static str,
        /// What was given.
        value: String,
    },
}

/// A baseline that somebody stored, or knows from elsewhere. It has no time of day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stated {
    /// The expected value, in the metric's unit.
    pub level: f64,
    /// The standard deviation of one sample: relative (0.02 for 2 %) with [`Scale::Ratio`], else in the metric's unit.
    pub sd: f64,
    /// The correlation of a sample with the one before, from 0 to 1.
    pub memory: f64,
}

/// What is expected, and how far healthy samples stray from it.
#[derive(Clone, Debug)]
pub struct Baseline {
    reading: Reading,
    noise: Noise,
    expected: Expected,
    checks: Vec<Check>,
}

#[derive(Clone, Debug)]
enum Expected {
    /// As it was stated: a logarithm and back would leave dust behind its last digit.
    Level {
        stated: f64,
        coordinate: f64,
    },
    Days(Calendar),
    /// `offset` is what the two differ by when nothing changed; `habits` are what both do by themselves.
    Control {
        offset: f64,
        habits: Option<Habits>,
    },
}

/// What canary and control did when nothing had changed, and how much of the control's stray the canary shares.
#[derive(Clone, Debug)]
struct Habits {
    own: Calendar,
    control: Calendar,
    shared: f64,
}

/// How far a sample is from what was expected.
#[derive(Clone, Copy, Debug)]
pub struct Deviation {
    /// The sharpest estimate, as a logarithm with [`Scale::Ratio`], else in the metric's unit.
    pub sharp: f64,
    /// Against the control alone, where there is one: what happens to both is no deviation here.
    pub beside: f64,
}

impl Baseline {
    /// From the same minutes of earlier days, in the order of time and all before the change.
    ///
    /// Each ten minutes are expected to have the median of the same and the neighbouring ten minutes of earlier days,
    /// drawn towards the level of the whole day as far as days contradict each other; from two weeks on weekdays have
    /// their own where that predicts better. The noise is that of predicting each day from the others.
    ///
    /// # Errors
    /// [`BaselineError`] where there is nothing to read. A short or broken history is a baseline whose
    /// [`checks`](Self::checks) fail: only catastrophes are judged by it.
    pub fn from_history(history: &[Sample], reading: Reading) -> Result<Self, BaselineError> {
        readable(history, reading)?;
        let days = days(history, reading.scale, reading.offset_ms, |sample| sample.value);
        let calendar = Calendar::of(&days).ok_or(BaselineError::NoValues { samples: history.len() })?;
        let predicted = Predicted::of(&days, &calendar);
        let residuals: Vec<Residual> = residuals(history, reading, |sample, at| {
            Some(reading.scale.coordinate(sample.value?)? - predicted.at(at)?)
        });
        let noise = Noise::fitted(&residuals, floor(reading.scale, calendar.every_day.at(0)));
        let coverage = covered(history, reading, |sample| sample.value.is_some_and(f64::is_finite));
        let mut checks =
            vec![Check::at_least(Assumption::History, span_ms(history, reading) as f64 / DAY_MS as f64, DAYS)];
        checks.extend(noise_checks(&noise, coverage, reading.scale));
        Ok(Self { reading, noise, expected: Expected::Days(calendar), checks })
    }

    /// From a control that runs beside what is judged; `history` has pairs of the two from before the change.
    ///
    /// With three days or more both are also compared with their own habits, and the control's stray is subtracted as
    /// far as the two were seen to share it: exactly where they share all, not at all where they share nothing.
    /// A shift then counts only if the plain comparison with the control shows it too.
    ///
    /// # Errors
    /// As [`from_history`](Self::from_history).
    pub fn from_control(history: &[Sample], reading: Reading) -> Result<Self, BaselineError> {
        readable(history, reading)?;
        let scale = reading.scale;
        let apart = |sample: &Sample| Some(scale.coordinate(sample.value?)? - scale.coordinate(sample.control?)?);
        let offset = median(&mut history.iter().filter_map(apart).collect::<Vec<_>>())
            .ok_or(BaselineError::NoValues { samples: history.len() })?;
        let own = days(history, scale, reading.offset_ms, |sample| sample.value);
        let control = days(history, scale, reading.offset_ms, |sample| sample.control);
        let enough = own.len().min(control.len()) as f64 >= DAYS;
        let calendars = if enough { Calendar::of(&own).zip(Calendar::of(&control)) } else { None };

        let (residuals, habits) = match calendars {
            None => (residuals(history, reading, |sample, _| Some(apart(sample)? - offset)), None),
            Some((own_calendar, control_calendar)) => {
                let (a, b) = (Predicted::of(&own, &own_calendar), Predicted::of(&control, &control_calendar));
                let both: Vec<(Residual, f64)> = history
                    .iter()
                    .filter_map(|sample| {
                        let local_ms = local(sample.at_ms, reading.offset_ms);
                        let size = scale.coordinate(sample.value?)? - a.at(local_ms)?;
                        let control = scale.coordinate(sample.control?)? - b.at(local_ms)?;
                        Some((Residual { step: step(sample.at_ms, reading), local_ms, size }, control))
                    })
                    .collect();
                let shared = share(&both);
                let left = both.iter().map(|(own, control)| Residual { size: own.size - shared * control, ..*own });
                (left.collect(), Some(Habits { own: own_calendar, control: control_calendar, shared }))
            }
        };
        let noise = Noise::fitted(&residuals, floor(scale, offset));
        let coverage = covered(history, reading, |sample| apart(sample).is_some());
        let hours = span_ms(history, reading) as f64 / 3_600_000.0;
        let mut checks = vec![Check::at_least(Assumption::History, hours / 24.0, HOURS_BESIDE / 24.0)];
        checks.extend(noise_checks(&noise, coverage, scale));
        Ok(Self { reading, noise, expected: Expected::Control { offset, habits }, checks })
    }

    /// As somebody stated it. Nothing can be checked, so nothing is; what holds for a stored level at noon may not at
    /// night.
    ///
    /// # Errors
    /// [`BaselineError::Stated`] where level or width cannot be.
    pub fn stated(stated: Stated, reading: Reading) -> Result<Self, BaselineError> {
        let Stated { level, sd, memory } = stated;
        let wrong = |what, value: f64| BaselineError::Stated { what, value: value.to_string() };
        let coordinate = reading.scale.coordinate(level).filter(|_| reading.scale == Scale::Difference || level > 0.0);
        let coordinate = coordinate.ok_or_else(|| wrong("level", level))?;
        if !(sd.is_finite() && sd > 0.0) {
            return Err(wrong("sd", sd));
        }
        if !(0.0..1.0).contains(&memory) {
            return Err(wrong("memory", memory));
        }
        let noise = Noise::stated(reading.scale.distance(sd), memory, 1.0, 0.0);
        Ok(Self { reading, noise, expected: Expected::Level { stated: level, coordinate }, checks: Vec::new() })
    }

    /// What was assumed about the history, and whether it holds.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The standard deviation of one sample: relative with [`Scale::Ratio`], else in the metric's unit.
    pub fn sd(&self) -> f64 {
        self.noise.sd
    }

    /// How much of a deviation is left in the next sample.
    pub fn memory(&self) -> f64 {
        self.noise.memory
    }

    /// What a whole day may stray from the others without a change, as a distance like [`sd`](Self::sd); a deviation
    /// within it is no evidence.
    pub fn day_band(&self) -> f64 {
        self.noise.day_band
    }

    /// Whether each weekday has a baseline of its own.
    pub fn tells_weekdays(&self) -> bool {
        matches!(&self.expected, Expected::Days(calendar) if calendar.tells_weekdays())
    }

    /// The value that is expected at a time, in the metric's unit; of a control, `None` without its value.
    pub fn expected(&self, at_ms: u64, control: Option<f64>) -> Option<f64> {
        let scale = self.reading.scale;
        let coordinate = match &self.expected {
            Expected::Level { stated, .. } => return Some(*stated),
            Expected::Days(calendar) => calendar.at(local(at_ms, self.reading.offset_ms)),
            Expected::Control { offset, .. } => scale.coordinate(control?)? + offset,
        };
        Some(if scale == Scale::Ratio { crate::maths::exp(coordinate) } else { coordinate })
    }

    /// Whether the history had a day of this kind.
    pub fn knows(&self, at_ms: u64) -> bool {
        match &self.expected {
            Expected::Days(calendar) => calendar.knows(local(at_ms, self.reading.offset_ms)),
            _ => true,
        }
    }

    pub(crate) fn noise(&self) -> &Noise {
        &self.noise
    }

    pub(crate) fn reading(&self) -> Reading {
        self.reading
    }

    /// How far a sample is from that; `None` without a usable value, or without the control that it needs.
    pub fn deviation(&self, sample: &Sample) -> Option<Deviation> {
        let scale = self.reading.scale;
        let value = scale.coordinate(sample.value?)?;
        let at = local(sample.at_ms, self.reading.offset_ms);
        let (sharp, beside) = match &self.expected {
            Expected::Level { coordinate, .. } => (value - coordinate, value - coordinate),
            Expected::Days(calendar) => (value - calendar.at(at), value - calendar.at(at)),
            Expected::Control { offset, habits } => {
                let control = scale.coordinate(sample.control?)?;
                let beside = value - control - offset;
                let sharp = habits.as_ref().map_or(beside, |habits| {
                    value - habits.own.at(at) - habits.shared * (control - habits.control.at(at))
                });
                (sharp, beside)
            }
        };
        Some(Deviation { sharp: scale.bounded(sharp), beside: scale.bounded(beside) })
    }

    /// The same where the control that it needs has no value: from the habits alone, if they are known.
    pub(crate) fn deviation_from_habits(&self, sample: &Sample) -> Option<Deviation> {
        let Expected::Control { habits: Some(habits), .. } = &self.expected else { return None };
        let scale = self.reading.scale;
        let value = scale.coordinate(sample.value?)?;
        let own = scale.bounded(value - habits.own.at(local(sample.at_ms, self.reading.offset_ms)));
        Some(Deviation { sharp: own, beside: own })
    }
}

/// What the other days predict of each day of the history.
struct Predicted<'a> {
    days: Vec<(u64, Option<Profile>)>,
    otherwise: &'a Calendar,
}

impl<'a> Predicted<'a> {
    fn of(days: &[Day], otherwise: &'a Calendar) -> Self {
        let predicted = Calendar::without_each(days);
        Self { days: days.iter().map(|day| day.number).zip(predicted).collect(), otherwise }
    }

    fn at(&self, local_ms: u64) -> Option<f64> {
        let index = self.days.binary_search_by_key(&(local_ms / DAY_MS), |(number, _)| *number).ok()?;
        Some(self.days[index].1.as_ref().map_or_else(|| self.otherwise.at(local_ms), |profile| profile.at(local_ms)))
    }
}

pub(crate) fn readable(history: &[Sample], reading: Reading) -> Result<(), BaselineError> {
    if reading.interval_ms == 0 {
        return Err(BaselineError::NoInterval);
    }
    match history.windows(2).find(|pair| pair[1].at_ms < pair[0].at_ms) {
        Some(pair) => Err(BaselineError::Unordered { at_ms: pair[1].at_ms }),
        None => Ok(()),
    }
}

pub(crate) fn step(at_ms: u64, reading: Reading) -> u64 {
    step_of(at_ms, reading.interval_ms)
}

pub(crate) fn step_of(at_ms: u64, interval_ms: u64) -> u64 {
    at_ms.saturating_add(interval_ms / 2) / interval_ms
}

/// A sample's own time counts as well: two samples one minute apart span two minutes.
pub(crate) fn span_ms(history: &[Sample], reading: Reading) -> u64 {
    match (history.first(), history.last()) {
        (Some(first), Some(last)) => (last.at_ms - first.at_ms).saturating_add(reading.interval_ms),
        _ => 0,
    }
}

pub(crate) fn covered(history: &[Sample], reading: Reading, present: impl Fn(&Sample) -> bool) -> f64 {
    let expected = (span_ms(history, reading) / reading.interval_ms).max(1);
    history.iter().filter(|sample| present(sample)).count() as f64 / expected as f64
}

fn residuals(history: &[Sample], reading: Reading, of: impl Fn(&Sample, u64) -> Option<f64>) -> Vec<Residual> {
    let residual = |sample: &Sample| {
        let local_ms = local(sample.at_ms, reading.offset_ms);
        Some(Residual { step: step(sample.at_ms, reading), local_ms, size: of(sample, local_ms)? })
    };
    history.iter().filter_map(residual).collect()
}

fn noise_checks(noise: &Noise, coverage: f64, scale: Scale) -> Vec<Check> {
    let mut checks = vec![
        Check::at_least(Assumption::HistoryCoverage, coverage, HISTORY_COVERAGE),
        Check::at_most(Assumption::Independence, noise.inflation, INFLATION),
        Check::at_most(Assumption::Forgetting, noise.growth, GROWTH),
        Check::at_most(Assumption::Bursts, noise.samples_to_the_bar(), BURSTS),
    ];
    if scale == Scale::Ratio {
        checks.push(Check::at_most(Assumption::DaysAlike, noise.day_band, DAY_BAND));
    }
    checks
}

/// Below this width a metric counts as constant: a two-thousandth of its level.
fn floor(scale: Scale, level: f64) -> f64 {
    match scale {
        Scale::Ratio => 5e-4,
        Scale::Difference => (5e-4 * level.abs()).max(1e-9),
    }
}

/// How much of the control's stray the other shares: the slope of the regression, from 0 to 1.
fn share(both: &[(Residual, f64)]) -> f64 {
    let pairs: Vec<(f64, f64)> = both.iter().map(|(own, control)| (own.size, *control)).collect();
    let (a, b) = (
        mean(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>()),
        mean(&pairs.iter().map(|pair| pair.1).collect::<Vec<_>>()),
    );
    let (together, alone) = pairs
        .iter()
        .fold((0.0, 0.0), |(together, alone), (x, y)| (together + (x - a) * (y - b), alone + (y - b) * (y - b)));
    if alone > 0.0 { (together / alone).clamp(0.0, 1.0) } else { 1.0 }
}
