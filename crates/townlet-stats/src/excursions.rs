//! How far a healthy metric's own bursts carry the test, and what the test has to ask for because of them.
//!
//! The test is proven for innovations that know nothing of each other. A metric that bursts now and then (a batch job, a
//! garbage collection) has runs of high ones, and a run of ten minutes is a sure detection. So the test is run over the
//! history as well, and where it would have fired there, it asks for more: as much more as the bursts that were seen
//! lead to expect at worst in one rollout of a hundred. A shift then has to outlast the bursts; it is still found.

use crate::detector::{ALPHA, HORIZON};
use crate::maths::{exp, ln};
use crate::noise::BETS;

/// What the logarithm of the statistic has to reach where nothing bursts.
pub(crate) fn bar() -> f64 {
    ln(f64::from(HORIZON) / ALPHA)
}

/// The same for a history: the innovations in one direction, in standard deviations and bounded.
///
/// Peaks over the plain bar are taken to have an exponential tail (peaks over threshold), whose mean is that of those
/// seen and one standard error more; so many are expected in a rollout as the history had for its length, and one more.
pub(crate) fn bar_after(innovations: impl Iterator<Item = f64>, costs: &[f64; 6]) -> f64 {
    let (mut bets, mut peak, mut samples) = ([0.0; 6], 0.0, 0.0);
    let (mut count, mut excess) = (0.0, 0.0);
    let (over, calm) = (bar(), ln(f64::from(HORIZON)));
    for innovation in innovations {
        samples += 1.0;
        for ((statistic, bet), cost) in bets.iter_mut().zip(BETS).zip(costs) {
            *statistic = ((1.0 + *statistic) * exp(bet * innovation - cost)).min(1e300);
        }
        let now = ln(bets.iter().sum::<f64>() / bets.len() as f64);
        peak = f64::max(peak, now);
        if now < calm {
            if peak > over {
                count += 1.0;
                excess += peak - over;
            }
            peak = 0.0;
        }
    }
    if peak > over {
        count += 1.0;
        excess += peak - over;
    }
    if count == 0.0 {
        return over;
    }
    let scale = excess / count * (1.0 + 1.0 / f64::sqrt(count));
    let expected = (count + 1.0) * f64::from(HORIZON) / f64::max(samples, 1.0);
    over + scale * ln(expected / ALPHA).max(0.0)
}
