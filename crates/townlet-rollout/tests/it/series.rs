//! Seeded histories of metrics, a value a minute: the same on every machine and in every run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// How a metric moves while nothing is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habit {
    pub(crate) level: f64,
    /// The standard deviation of a sample, as a share of the level.
    pub(crate) noise: f64,
    /// How much of a deviation is left in the next minute.
    pub(crate) memory: f64,
    /// By what share the level swings over the day.
    pub(crate) swing: f64,
}

impl Habit {
    /// As many values as asked for; the first is of the minute `from` of a day.
    pub(crate) fn values(self, seed: u64, from: u64, count: u64) -> Vec<Option<f64>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = move || ((random.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let mut normal = move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
        let mut deviation = normal();
        let one = |minute: u64| {
            deviation = self.memory * deviation + (1.0 - self.memory * self.memory).sqrt() * normal();
            let day = (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
            let value = self.level * (1.0 + self.swing * day) * (1.0 + self.noise * deviation);
            // As it would be exported, and so that a table is not full of digits.
            Some((value * 1000.0).round() / 1000.0)
        };
        (from..from + count).map(one).collect()
    }
}
