//! What a signal was before the change.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

const DAY_MS: u64 = 86_400_000;

/// One reference for each signal of the plan, in its order; `None` where there is no history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct References(pub Vec<Option<Reference>>);

impl References {
    /// The reference of a signal.
    #[must_use]
    pub fn of(&self, signal: usize) -> Option<&Reference> {
        self.0.get(signal)?.as_ref()
    }
}

/// What one signal was, by the time of day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The start of the history that it is made from.
    #[serde(rename = "from_ms")]
    pub from: Moment,
    /// Its end.
    #[serde(rename = "until_ms")]
    pub until: Moment,
    /// How many samples it is made from.
    pub samples: u32,
    /// The level through a day (UTC) in equal parts: 1,440 for one each minute, a single one where there is no swing.
    pub level: Vec<f64>,
    /// The relative noise around the level: a robust estimate of the coefficient of variation.
    pub noise: f64,
}

impl Reference {
    /// A level that does not swing.
    #[must_use]
    pub fn constant(from: Moment, until: Moment, samples: u32, level: f64, noise: f64) -> Self {
        Self { from, until, samples, level: vec![level], noise }
    }

    /// The level at that time of day; `None` where the reference is empty or not a number.
    #[must_use]
    pub fn at(&self, when: Moment) -> Option<f64> {
        let parts = u64::try_from(self.level.len()).ok().filter(|n| *n > 0)?;
        // A window is known by its end, which belongs to it: midnight ends the last part of a day.
        let of_day = when.as_ms().wrapping_sub(1) % DAY_MS;
        let part = usize::try_from(of_day.saturating_mul(parts) / DAY_MS).ok()?;
        self.level.get(part).copied().filter(|v| v.is_finite())
    }

    /// How far `value` is from the level, as a share of it: 0.1 is 10 % more.
    #[must_use]
    pub fn deviation(&self, when: Moment, value: f64) -> Option<f64> {
        let level = self.at(when)?;
        let share = (value - level) / level.abs();
        share.is_finite().then_some(share)
    }
}
