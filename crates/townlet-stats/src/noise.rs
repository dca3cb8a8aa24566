//! How a healthy metric moves about what is expected of it.
//!
//! The model is small: noise that leans on its own last value (`memory`, the coefficient of an AR(1)), of a width that
//! may differ from hour to hour. What the model misses is measured and paid for: the *inflation* is by how much blocks
//! of up to four hours of the innovations vary more than independent ones would.

use crate::excursions;
use crate::maths::{exp, ln, student_quantile};
use crate::profile::DAY_MS;
use crate::robust::{mean, median, spread, variance};

/// The sizes of shift, in standard deviations of one innovation, on which the sequential lane bets in equal parts.
pub(crate) const BETS: [f64; 6] = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6];
/// One sample counts for no more than this many standard deviations against a release, and no more than this for it.
const HIGHEST: f64 = 3.0;
const LOWEST: f64 = -4.0;
/// Blocks of so many innovations are compared with what independent ones would give.
const BLOCKS: [usize; 4] = [5, 15, 60, 240];
const LONGEST_MEMORY: f64 = 0.98;

/// A residual of history: its step on the grid of the interval, its local time, its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Residual {
    pub(crate) step: u64,
    pub(crate) local_ms: u64,
    pub(crate) size: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noise {
    /// The standard deviation of one sample.
    pub(crate) sd: f64,
    /// How much of a deviation is left in the next sample.
    pub(crate) memory: f64,
    /// By how much the variance of long sums exceeds that of independent innovations; at least 1.
    pub(crate) inflation: f64,
    /// The ratio of the last two of those; above 1 where longer blocks vary ever more.
    pub(crate) growth: f64,
    /// How far whole days stray from what the others predict, as the distance that one day in 200 exceeds.
    pub(crate) day_band: f64,
    /// The width at each hour of the day as a multiple of `sd`.
    hours: [f64; 24],
    /// What each bet costs, so that it is fair to the history.
    costs: [f64; 6],
    /// What the logarithm of the statistic has to reach, upwards and downwards.
    bars: [f64; 2],
}

impl Noise {
    /// Of a metric without history.
    pub(crate) fn stated(sd: f64, memory: f64, inflation: f64, day_band: f64) -> Self {
        let costs = BETS.map(|bet| bet * bet / 2.0);
        let (memory, inflation) = (memory.clamp(0.0, LONGEST_MEMORY), inflation.max(1.0));
        let bars = [excursions::bar(); 2];
        Self { sd, memory, inflation, growth: 1.0, day_band, hours: [1.0; 24], costs, bars }
    }

    /// Of residuals in the order of time; `floor` is the smallest standard deviation taken for real.
    pub(crate) fn fitted(residuals: &[Residual], floor: f64) -> Self {
        let (mut residuals, days) = without_days(residuals);
        let hours = hourly(&residuals);
        for residual in &mut residuals {
            residual.size /= hours[hour(residual.local_ms)];
        }
        let memory = memory(&residuals);
        let innovations = innovations(&residuals, memory);
        let sd = spread(&innovations).max(floor);
        let clipped: Vec<f64> = innovations.iter().map(|e| (e / sd).clamp(LOWEST, HIGHEST)).collect();

        let ratios = BLOCKS.map(|block| variance_ratio(&clipped, block));
        let inflation = ratios.iter().flatten().copied().fold(1.0, f64::max);
        let growth = match (ratios[2], ratios[3]) {
            (Some(hour), Some(four)) => four / hour.max(1.0),
            _ => 1.0,
        };
        let costs = BETS.map(|bet| {
            // Fair to both directions: the bounds differ, and the noise may lean.
            let fair = |sign: f64| {
                let bounded = innovations.iter().map(|e| (sign * e / sd).clamp(LOWEST, HIGHEST) / inflation.sqrt());
                ln(mean(&bounded.map(|w| exp(bet * w)).collect::<Vec<_>>()))
            };
            fair(1.0).max(fair(-1.0)).max(bet * bet / 2.0)
        });
        let bars = [1.0, -1.0].map(|sign| {
            let bounded = innovations.iter().map(|e| (sign * e / sd).clamp(LOWEST, HIGHEST) / inflation.sqrt());
            excursions::bar_after(bounded, &costs)
        });
        let mut noise = Self { sd, memory, inflation, growth, day_band: 0.0, hours, costs, bars };
        noise.day_band = noise.day_band_of(&days, residuals.len());
        noise
    }

    /// The standard deviation of a sample at this time of day.
    pub(crate) fn sd_at(&self, local_ms: u64) -> f64 {
        self.sd * self.hours[hour(local_ms)]
    }

    /// What is new in a deviation after the one `gap` steps before, in standard deviations, bounded.
    pub(crate) fn innovation(&self, now: f64, before: Option<(f64, u64)>, local_ms: u64) -> f64 {
        let (carried, left) = before.map_or((0.0, 0.0), |(before, gap)| {
            let left = power(self.memory, gap);
            (before * left, left)
        });
        let width = self.sd_at(local_ms) * (1.0 - left * left).sqrt();
        ((now - carried) / width).clamp(LOWEST, HIGHEST) / self.inflation.sqrt()
    }

    /// What each bet costs.
    pub(crate) fn costs(&self) -> &[f64; 6] {
        &self.costs
    }

    /// What the logarithm of a statistic of these directions has to reach.
    pub(crate) fn bar(&self, signs: &[f64]) -> f64 {
        signs.iter().map(|&sign| self.bars[usize::from(sign < 0.0)]).fold(0.0, f64::max)
    }

    /// How many samples of the highest evidence it takes to reach the higher one of the bars.
    pub(crate) fn samples_to_the_bar(&self) -> f64 {
        let gains = BETS.iter().zip(&self.costs).map(|(bet, cost)| bet * HIGHEST / self.inflation.sqrt() - cost);
        // A bet that never gains reaches nothing; there is always a small one that does.
        self.bars[0].max(self.bars[1]) / gains.fold(1e-3, f64::max)
    }

    /// The day-to-day spread, less what the noise itself gives a day's median, times Student's quantile for the number
    /// of days: two of 200 days go beyond it on either side.
    fn day_band_of(&self, days: &[f64], samples: usize) -> f64 {
        if days.len() < 2 {
            return 0.0;
        }
        let count = days.len() as f64;
        let a_day = (samples as f64 / count).max(1.0);
        let long_run = self.sd * self.sd * self.inflation * (1.0 + self.memory) / (1.0 - self.memory);
        // 1.57 is what a median's variance is to a mean's; the prediction has an error of its own.
        let by_noise = 1.57 * long_run / a_day * (1.0 + 1.0 / (count - 1.0));
        let seen = mean(&days.iter().map(|day| day * day).collect::<Vec<_>>());
        (seen - by_noise).max(0.0).sqrt() * student_quantile(0.995, count)
    }
}

fn power(base: f64, exponent: u64) -> f64 {
    if exponent > 1_000 { 0.0 } else { (0..exponent).fold(1.0, |product, _| product * base) }
}

fn hour(local_ms: u64) -> usize {
    (local_ms % DAY_MS / 3_600_000) as usize
}

/// The residuals about the median of their day, and those medians.
fn without_days(residuals: &[Residual]) -> (Vec<Residual>, Vec<f64>) {
    let (mut flat, mut days) = (Vec::with_capacity(residuals.len()), Vec::new());
    for day in residuals.chunk_by(|a, b| a.local_ms / DAY_MS == b.local_ms / DAY_MS) {
        let Some(centre) = median(&mut day.iter().map(|residual| residual.size).collect::<Vec<_>>()) else { continue };
        flat.extend(day.iter().map(|residual| Residual { size: residual.size - centre, ..*residual }));
        // A few minutes of a day say nothing about the day.
        if day.len() >= 240 {
            days.push(centre);
        }
    }
    (flat, days)
}

/// The width of each hour over that of all, drawn towards 1 where the hour has few samples.
fn hourly(residuals: &[Residual]) -> [f64; 24] {
    let all = spread(&residuals.iter().map(|residual| residual.size).collect::<Vec<_>>());
    let mut sizes: [Vec<f64>; 24] = Default::default();
    residuals.iter().for_each(|residual| sizes[hour(residual.local_ms)].push(residual.size));
    sizes.map(|sizes| {
        let (own, prior) = (sizes.len() as f64, 60.0);
        if all == 0.0 {
            return 1.0;
        }
        let ratio = spread(&sizes) / all;
        ((own * ratio * ratio + prior) / (own + prior)).sqrt().clamp(0.5, 4.0)
    })
}

/// The correlation with the sample before, wild ones bounded.
fn memory(residuals: &[Residual]) -> f64 {
    let bound = 4.0 * spread(&residuals.iter().map(|residual| residual.size).collect::<Vec<_>>());
    let size = |residual: &Residual| residual.size.clamp(-bound, bound);
    let next = residuals.windows(2).filter(|pair| pair[1].step.saturating_sub(pair[0].step) == 1);
    let (products, squares) = next.fold((0.0, 0.0), |(products, squares), pair| {
        let (a, b) = (size(&pair[0]), size(&pair[1]));
        (products + a * b, squares + (a * a + b * b) / 2.0)
    });
    if squares > 0.0 { (products / squares).clamp(0.0, LONGEST_MEMORY) } else { 0.0 }
}

fn innovations(residuals: &[Residual], memory: f64) -> Vec<f64> {
    residuals
        .windows(2)
        .map(|pair| {
            let left = power(memory, pair[1].step.saturating_sub(pair[0].step).max(1));
            (pair[1].size - left * pair[0].size) / (1.0 - left * left).sqrt()
        })
        .collect()
}

/// The variance of the means of blocks, as a multiple of what independent values would give. `None` of too few blocks.
fn variance_ratio(values: &[f64], block: usize) -> Option<f64> {
    let alone = variance(values);
    let means: Vec<f64> = values.chunks_exact(block).map(mean).collect();
    (means.len() >= 8 && alone > 0.0).then(|| variance(&means) * block as f64 / alone)
}
