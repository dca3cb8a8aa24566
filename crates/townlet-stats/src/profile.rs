//! The level that earlier days had at the same minutes.

use crate::robust::{mean, median, spread, variance};
use crate::sample::{Sample, Scale};

pub(crate) const DAY_MS: u64 = 86_400_000;
const SLOT_MS: u64 = 600_000;
const SLOTS: usize = (DAY_MS / SLOT_MS) as usize;
/// From this many days on it can be told whether weekdays differ: each has been seen twice.
const WEEKS_FROM: usize = 14;

/// One day of history as medians of ten minutes each.
#[derive(Clone, Debug)]
pub(crate) struct Day {
    /// Days since 1970 in the time of the metric.
    pub(crate) number: u64,
    medians: Vec<Option<f64>>,
}

/// Cuts samples (in the coordinate of `scale`) into days.
pub(crate) fn days(samples: &[Sample], scale: Scale, offset_ms: i64, of: fn(&Sample) -> Option<f64>) -> Vec<Day> {
    let mut slots: std::collections::BTreeMap<u64, Vec<Vec<f64>>> = std::collections::BTreeMap::new();
    for sample in samples {
        let Some(value) = of(sample).and_then(|value| scale.coordinate(value)) else { continue };
        let at = local(sample.at_ms, offset_ms);
        let day = slots.entry(at / DAY_MS).or_insert_with(|| vec![Vec::new(); SLOTS]);
        day[(at % DAY_MS / SLOT_MS) as usize].push(value);
    }
    let medians = |day: Vec<Vec<f64>>| day.into_iter().map(|mut slot| median(&mut slot)).collect();
    slots.into_iter().map(|(number, day)| Day { number, medians: medians(day) }).collect()
}

pub(crate) fn local(at_ms: u64, offset_ms: i64) -> u64 {
    at_ms.saturating_add_signed(offset_ms)
}

/// What a day is expected to be: one value for each ten minutes, with nothing missing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile(Vec<f64>);

impl Profile {
    /// The medians of the same ten minutes and their neighbours on all `days`, drawn towards the level of the whole
    /// day as far as the days contradict each other more than the times of day do (James and Stein).
    pub(crate) fn of(days: &[&Day]) -> Option<Self> {
        let mut all: Vec<f64> = days.iter().flat_map(|day| day.medians.iter().flatten().copied()).collect();
        let level = median(&mut all)?;
        let raw: Vec<Option<f64>> = (0..SLOTS).map(|slot| median(&mut around(days, slot))).collect();

        let strayed: Vec<f64> = (0..SLOTS)
            .filter_map(|slot| raw[slot].map(|centre| (slot, centre)))
            .flat_map(|(slot, centre)| days.iter().filter_map(move |day| Some(day.medians[slot]? - centre)))
            .collect();
        let error = spread(&strayed).powi(2) / days.len() as f64;
        let known: Vec<f64> = raw.iter().flatten().copied().collect();
        let between = (variance(&known) - error).max(0.0);
        let trust = if between + error > 0.0 { between / (between + error) } else { 0.0 };
        Some(Self(raw.into_iter().map(|slot| slot.map_or(level, |slot| level + trust * (slot - level))).collect()))
    }

    /// The level at a time of day, between the middles of two slots by proportion.
    pub(crate) fn at(&self, local_ms: u64) -> f64 {
        let at = (local_ms % DAY_MS + DAY_MS - SLOT_MS / 2) % DAY_MS;
        let (slot, rest) = ((at / SLOT_MS) as usize, (at % SLOT_MS) as f64 / SLOT_MS as f64);
        let (before, after) = (self.0[slot], self.0[(slot + 1) % SLOTS]);
        before + rest * (after - before)
    }
}

fn around(days: &[&Day], slot: usize) -> Vec<f64> {
    let neighbours = [(slot + SLOTS - 1) % SLOTS, slot, (slot + 1) % SLOTS];
    days.iter().flat_map(|day| neighbours.into_iter().filter_map(|slot| day.medians[slot])).collect()
}

/// The expected days: one for all, or one for each weekday where the history says that they differ.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Calendar {
    pub(crate) every_day: Profile,
    weekdays: Option<Vec<Profile>>,
    /// Which kinds of day were seen: working days, days of rest.
    seen: [bool; 2],
}

impl Calendar {
    /// From all of `days`.
    pub(crate) fn of(days: &[Day]) -> Option<Self> {
        let all: Vec<&Day> = days.iter().collect();
        let mut seen = [false; 2];
        days.iter().for_each(|day| seen[usize::from(rests(day.number))] = true);
        let weekdays = if weekdays_differ(days) { by_weekday(&all) } else { None };
        Some(Self { every_day: Profile::of(&all)?, weekdays, seen })
    }

    /// What the others lead to expect of each day: the honest size of an error of prediction.
    pub(crate) fn without_each(days: &[Day]) -> Vec<Option<Profile>> {
        let differ = weekdays_differ(days);
        let others = |left_out: &Day| -> Vec<&Day> {
            let comparable =
                |day: &&Day| day.number != left_out.number && (!differ || day.number % 7 == left_out.number % 7);
            days.iter().filter(comparable).collect()
        };
        days.iter().map(|day| Profile::of(&others(day))).collect()
    }

    pub(crate) fn at(&self, local_ms: u64) -> f64 {
        let profile =
            self.weekdays.as_ref().map_or(&self.every_day, |weekdays| &weekdays[(local_ms / DAY_MS % 7) as usize]);
        profile.at(local_ms)
    }

    /// Whether a day of this kind was in the history: a Sunday says little where only working days were seen.
    pub(crate) fn knows(&self, local_ms: u64) -> bool {
        self.seen[usize::from(rests(local_ms / DAY_MS))]
    }

    pub(crate) fn tells_weekdays(&self) -> bool {
        self.weekdays.is_some()
    }
}

/// 1970-01-01 was a Thursday.
fn rests(day: u64) -> bool {
    matches!(day % 7, 2 | 3)
}

fn by_weekday(days: &[&Day]) -> Option<Vec<Profile>> {
    (0..7)
        .map(|weekday| Profile::of(&days.iter().copied().filter(|day| day.number % 7 == weekday).collect::<Vec<_>>()))
        .collect()
}

/// Whether the same weekday predicts a day better than all other days do, by a tenth at least.
fn weekdays_differ(days: &[Day]) -> bool {
    if days.len() < WEEKS_FROM {
        return false;
    }
    let error = |comparable: fn(&Day, &Day) -> bool| -> f64 {
        let errors: Vec<f64> = days
            .iter()
            .filter_map(|day| {
                let others: Vec<&Day> =
                    days.iter().filter(|other| other.number != day.number && comparable(day, other)).collect();
                let profile = Profile::of(&others)?;
                let slots = day.medians.iter().zip(&profile.0);
                let misses: Vec<f64> =
                    slots.filter_map(|(seen, expected)| Some((seen.as_ref()? - expected).abs())).collect();
                Some(mean(&misses))
            })
            .collect();
        mean(&errors)
    };
    error(|day, other| day.number % 7 == other.number % 7) < 0.9 * error(|_, _| true)
}
