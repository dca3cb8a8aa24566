//! Seeded traces of a metric, a sample a minute: the same on every machine and in every run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use townlet_stats::{Baseline, Detector, Direction, Reading, Rules, Sample, State};

/// Seven days of history come before minute 0 of the watch.
const HISTORY: u64 = 7 * 1440;
pub(crate) const WATCH: u64 = 2_880;

/// How a metric moves while nothing is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Stationary,
    /// Each minute keeps 0.6 of the deviation of the one before.
    Autocorrelated,
    /// The level swings by ±30 % over the day.
    Diurnal,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::Stationary, Kind::Autocorrelated, Kind::Diurnal];

struct Noise(ChaCha8Rng);

impl Noise {
    /// A standard normal value (Box and Muller).
    fn normal(&mut self) -> f64 {
        let mut uniform = || ((self.0.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        radius * angle.cos()
    }
}

/// A trace of the whole: history, then the watch. `cv` is the standard deviation of a sample over its level.
pub(crate) fn trace(kind: Kind, seed: u64, cv: f64) -> Vec<Sample> {
    let mut noise = Noise(ChaCha8Rng::seed_from_u64(seed));
    let memory: f64 = if matches!(kind, Kind::Autocorrelated) { 0.6 } else { 0.0 };
    let swing = if matches!(kind, Kind::Diurnal) { 0.3 } else { 0.0 };
    let mut deviation = noise.normal();
    (0..HISTORY + WATCH)
        .map(|minute| {
            deviation = memory * deviation + (1.0 - memory * memory).sqrt() * noise.normal();
            let day = (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
            Sample::new(minute * 60_000, 200.0 * (1.0 + swing * day) * (1.0 + cv * deviation))
        })
        .collect()
}

/// A detector that knows the history, and the samples of the watch.
pub(crate) fn watch(trace: &[Sample]) -> (Detector, Vec<Sample>) {
    let (history, watch) = trace.split_at(HISTORY as usize);
    let baseline = Baseline::from_history(history, Reading::default()).unwrap();
    (Detector::new(baseline, Rules::new(Direction::LowerIsBetter)), watch.to_vec())
}

/// How many samples it took to find a shift to `factor` from `from` on; `None` if it was not found, or was "found"
/// before it was there.
pub(crate) fn delay(trace: &[Sample], from: usize, factor: f64) -> Option<usize> {
    let (mut detector, mut watch) = watch(trace);
    for sample in &mut watch[from..] {
        sample.value = sample.value.map(|value| value * factor);
    }
    let at = watch.iter().position(|sample| matches!(detector.push(sample), State::Detected { .. }))?;
    (at >= from).then(|| at - from + 1)
}
