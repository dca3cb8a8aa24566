//! Rare events: too few for a distribution of levels, enough to be counted exactly.

use crate::maths::beta_below;

/// How often something rare happened, and in how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count {
    /// How often: failures, restarts.
    pub events: u64,
    /// In how much: hours, requests, hosts; the same unit in both counts that are compared, above 0.
    pub exposure: f64,
}

/// The chance that so many of the events or more would fall to `judged` if both had the same rate.
///
/// Exact, one-sided and conditional on the sum of both (Przyborowski and Wilenski, 1940): of n events each falls to
/// `judged` by its share of the exposure, so the chance is a binomial tail. No event at all is a chance of 1: there
/// is nothing that speaks against it, and nothing that speaks for it either. `None` where an exposure is not a finite
/// number above 0. Good to nine digits up to a hundred thousand events.
///
/// It is meant for one look at counts of independent events. Of requests that fail often the sum is no small part of
/// the exposure, and the chance is too large: on the safe side for an alarm, not for a pass.
///
/// ```
/// use townlet_stats::{Count, chance_of_so_many};
///
/// // Four failures against none in the same time: what a rank test calls no difference is one chance in sixteen.
/// let four = Count { events: 4, exposure: 1.0 };
/// let none = Count { events: 0, exposure: 1.0 };
/// let chance = chance_of_so_many(four, none).expect("exposures above 0");
/// assert!((chance - 1.0 / 16.0).abs() < 1e-12);
/// ```
pub fn chance_of_so_many(judged: Count, other: Count) -> Option<f64> {
    let usable = |count: &Count| count.exposure.is_finite() && count.exposure > 0.0;
    if !usable(&judged) || !usable(&other) {
        return None;
    }
    if judged.events == 0 {
        return Some(1.0);
    }
    // 1/(1 + ratio) where the sum of the exposures would be too large for a number.
    let share = 1.0 / (1.0 + other.exposure / judged.exposure);
    // P(X ≥ k) of n is the incomplete beta function I(share; k, n - k + 1).
    let chance = match share {
        0.0 => 0.0,
        1.0 => 1.0,
        _ => beta_below(judged.events as f64, other.events as f64 + 1.0, share),
    };
    Some(chance.clamp(0.0, 1.0))
}
