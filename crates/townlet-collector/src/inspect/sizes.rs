//! Minimum, median, 95th percentile and maximum in constant memory.

use serde::Serialize;

/// Sizes below this are counted exactly.
const EXACT: u64 = 256;
/// Buckets for each doubling above that: a quantile is off by at most 1/128.
const STEPS: u64 = 128;

/// A histogram of sizes.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes {
    buckets: Vec<u64>,
    count: u64,
    min: u64,
    max: u64,
}

/// Sizes of records in bytes, newline included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SizeSummary {
    /// The smallest, exact.
    pub min: u64,
    /// Half of the records are at most so large; at most 0.8 % too high.
    pub median: u64,
    /// 95 of 100 records are at most so large; at most 0.8 % too high.
    pub p95: u64,
    /// The largest, exact.
    pub max: u64,
}

impl Sizes {
    pub(super) fn add(&mut self, size: u64) {
        let at = bucket(size);
        if self.buckets.len() <= at {
            self.buckets.resize(at + 1, 0);
        }
        self.buckets[at] += 1;
        self.min = if self.count == 0 { size } else { self.min.min(size) };
        self.max = self.max.max(size);
        self.count += 1;
    }

    pub(super) fn summary(&self) -> SizeSummary {
        SizeSummary { min: self.min, median: self.quantile(50), p95: self.quantile(95), max: self.max }
    }

    /// The upper end of the bucket in which the quantile lies, nearest rank.
    fn quantile(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut below = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= rank {
                return upper_end(at).clamp(self.min, self.max);
            }
        }
        self.max
    }
}

fn bucket(size: u64) -> usize {
    if size < EXACT {
        return size as usize;
    }
    let doubling = u64::from(size.ilog2() - EXACT.ilog2());
    let step = (size >> (size.ilog2() - STEPS.ilog2())) - STEPS;
    (EXACT + doubling * STEPS + step) as usize
}

fn upper_end(at: usize) -> u64 {
    let at = at as u64;
    if at < EXACT {
        return at;
    }
    let (doubling, step) = ((at - EXACT) / STEPS, (at - EXACT) % STEPS);
    // Buckets of this doubling are 2^(doubling + 1) wide.
    (((STEPS + step + 1) << (doubling + 1)) - 1).max(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_those_of_a_sorted_list_within_the_stated_error(
            mut sizes in prop::collection::vec(prop_oneof![0u64..300, 0u64..70_000_000], 1..400)
        ) {
            let mut histogram = Sizes::default();
            for size in &sizes {
                histogram.add(*size);
            }
            sizes.sort_unstable();
            let exact = |percent: usize| sizes[(sizes.len() * percent).div_ceil(100).max(1) - 1];
            let summary = histogram.summary();
            prop_assert_eq!((summary.min, summary.max), (sizes[0], sizes[sizes.len() - 1]));
            for (found, exact) in [(summary.median, exact(50)), (summary.p95, exact(95))] {
                prop_assert!(found >= exact && found as f64 <= exact as f64 * 1.008, "{} for {}", found, exact);
            }
        }
    }
}
