//! Timing, quantiles and paired ratios.

use std::collections::BTreeMap;
use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Calls timed together where the clock would weigh as much as the call.
pub const BATCH: u64 = 64;

/// What one run of one contender gave, by metric name.
pub type Sample = BTreeMap<&'static str, f64>;

/// All rounds of one comparison: for each contender, one sample a round.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    samples: BTreeMap<String, Vec<Sample>>,
}

/// One contender of a comparison: a name, and a run in which it is measured.
pub struct Contender<'a> {
    /// As it appears in the table.
    pub name: &'static str,
    /// One measurement, with a pipeline of its own from start to end.
    pub run: Box<dyn FnMut() -> anyhow::Result<Sample> + 'a>,
}

impl<'a> Contender<'a> {
    /// A contender that is measured by `run`.
    pub fn new(name: &'static str, run: impl FnMut() -> anyhow::Result<Sample> + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// Runs every contender once a round. Each round begins with another one, so that
/// a machine whose speed drifts favours nobody.
pub fn interleave(rounds: usize, mut contenders: Vec<Contender<'_>>) -> anyhow::Result<Rounds> {
    let mut all = Rounds::default();
    let n = contenders.len();
    for round in 0..rounds {
        for at in 0..n {
            let contender = &mut contenders[(round + at) % n];
            let sample = (contender.run)().map_err(|error| error.context(format!("measuring {}", contender.name)))?;
            all.push(contender.name, sample);
        }
    }
    Ok(all)
}

impl Rounds {
    /// Adds the next round's sample of a contender.
    pub fn push(&mut self, contender: &str, sample: Sample) {
        self.samples.entry(contender.to_owned()).or_default().push(sample);
    }

    /// The contenders, sorted, with their samples.
    pub fn contenders(&self) -> impl Iterator<Item = (&str, &[Sample])> {
        self.samples.iter().map(|(name, samples)| (name.as_str(), samples.as_slice()))
    }

    /// The median of a metric over the rounds.
    pub fn median(&self, contender: &str, metric: &str) -> Option<f64> {
        median(self.values(contender, metric)?)
    }

    /// The median of the rounds' ratios `a : b`: pairs of one round met the same machine.
    pub fn ratio(&self, a: (&str, &str), b: (&str, &str)) -> Option<f64> {
        let (a, b) = (self.values(a.0, a.1)?, self.values(b.0, b.1)?);
        median(a.into_iter().zip(b).filter(|(_, b)| *b > 0.0).map(|(a, b)| a / b).collect())
    }

    fn values(&self, contender: &str, metric: &str) -> Option<Vec<f64>> {
        self.samples.get(contender)?.iter().map(|sample| sample.get(metric).copied()).collect()
    }
}

/// The middle value; the mean of the middle two where there is none.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// Mean and quantiles of single calls, in nanoseconds.
#[derive(Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    /// Exact, since the histogram rounds to three digits.
    total: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        // The bounds are constants that hdrhistogram takes; else nothing here could be measured.
        #[expect(clippy::expect_used, reason = "constant bounds: 1 ns to 60 s in three digits")]
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are valid");
        Self { histogram, total: 0.0 }
    }
}

impl Latencies {
    /// Adds one call, or `calls` of the same average.
    pub fn record(&mut self, nanos: f64, calls: u64) {
        self.histogram.saturating_record_n(nanos.max(1.0).round() as u64, calls);
        self.total += nanos.max(0.0) * calls as f64;
    }

    /// `p50`, `p99`, `p999`, `mean`, and `middle`: the mean of the half between p25
    /// and p75. A clock that counts in steps of 10 ns cannot tell 21 from 29; the
    /// mean of many readings can.
    pub fn sample(&self) -> Sample {
        let at = |q| self.histogram.value_at_quantile(q) as f64;
        let mean = self.total / (self.histogram.len().max(1)) as f64;
        Sample::from([
            ("p50", at(0.5)),
            ("p99", at(0.99)),
            ("p999", at(0.999)),
            ("mean", mean),
            ("middle", self.middle()),
        ])
    }

    /// The mean of the values between the first and the last quarter.
    fn middle(&self) -> f64 {
        let (from, to) = (self.histogram.len() / 4, self.histogram.len() - self.histogram.len() / 4);
        let (mut seen, mut sum) = (0, 0.0);
        for value in self.histogram.iter_recorded() {
            let end = seen + value.count_at_value();
            let inside = end.min(to).saturating_sub(seen.max(from));
            sum += value.value_iterated_to() as f64 * inside as f64;
            seen = end;
        }
        sum / (to - from).max(1) as f64
    }
}

/// When calls happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One every so often, each timed by itself, less what reading the clock takes.
    Every(Duration),
    /// One after the other, timed in batches of [`BATCH`]: quantiles are those of
    /// the batches' averages.
    Burst,
}

/// Times `calls` calls of `call` on what `prepare` makes, which is not timed.
pub fn time_calls<X>(
    pace: Pace,
    calls: u64,
    mut prepare: impl FnMut(u64) -> X,
    mut call: impl FnMut(u64, X),
) -> Latencies {
    let mut latencies = Latencies::default();
    match pace {
        Pace::Every(gap) => {
            let clock = clock_cost();
            let start = Instant::now();
            for n in 0..calls {
                let value = prepare(n);
                let due = gap * u32::try_from(n).unwrap_or(u32::MAX);
                while start.elapsed() < due {
                    spin_loop();
                }
                let before = Instant::now();
                call(n, value);
                latencies.record(before.elapsed().as_nanos() as f64 - clock, 1);
            }
        }
        Pace::Burst => {
            let mut values = Vec::with_capacity(BATCH as usize);
            for first in (0..calls).step_by(BATCH as usize) {
                values.extend((first..first + BATCH).map(&mut prepare));
                let before = Instant::now();
                for (n, value) in (first..).zip(values.drain(..)) {
                    call(n, value);
                }
                latencies.record(before.elapsed().as_nanos() as f64 / BATCH as f64, BATCH);
            }
        }
    }
    latencies
}

/// What a pair of clock readings takes, in nanoseconds: it is part of every single timing.
pub fn clock_cost() -> f64 {
    let pairs = (0..2001).map(|_| {
        let before = Instant::now();
        black_box(before.elapsed()).as_nanos() as f64
    });
    median(pairs.collect()).unwrap_or_default()
}

/// CPU time that this process has used.
pub fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: f64) -> Sample {
        Sample::from([("rate", value)])
    }

    #[test]
    fn a_median_is_the_middle_and_of_nothing_there_is_none() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn ratios_are_taken_within_a_round_so_that_drift_cancels_out() {
        let mut rounds = Rounds::default();
        // The machine gets slower and slower; ours is always twice as fast.
        for speed in [100.0, 50.0, 10.0] {
            rounds.push("ours", sample(2.0 * speed));
            rounds.push("rival", sample(speed));
        }
        assert_eq!(rounds.ratio(("ours", "rate"), ("rival", "rate")), Some(2.0));
        assert_eq!(rounds.median("ours", "rate"), Some(100.0));
        assert_eq!(rounds.ratio(("ours", "rate"), ("nobody", "rate")), None);
        assert_eq!(rounds.median("ours", "no such metric"), None);
    }

    #[test]
    fn a_rival_that_measured_zero_gives_no_ratio_instead_of_infinity() {
        let mut rounds = Rounds::default();
        rounds.push("ours", sample(5.0));
        rounds.push("rival", sample(0.0));
        assert_eq!(rounds.ratio(("ours", "rate"), ("rival", "rate")), None);
    }

    #[test]
    fn quantiles_are_within_the_three_digits_of_the_histogram() {
        let mut latencies = Latencies::default();
        for nanos in 1..=100_000 {
            latencies.record(f64::from(nanos), 1);
        }
        let sample = latencies.sample();
        for (metric, exact) in [("p50", 50_000.0), ("p99", 99_000.0), ("p999", 99_900.0)] {
            assert!((sample[metric] / exact - 1.0).abs() < 0.002, "{metric}: {}", sample[metric]);
        }
        assert_eq!(sample["mean"], 50_000.5, "the mean is exact");
    }

    #[test]
    fn the_middle_is_finer_than_the_steps_of_a_clock_and_knows_no_tails() {
        let mut latencies = Latencies::default();
        // In truth 23 ns, read from a clock with steps of 10.
        latencies.record(20.0, 70);
        latencies.record(30.0, 30);
        latencies.record(1.0, 2);
        latencies.record(1_000_000.0, 2);
        let sample = latencies.sample();
        assert_eq!(sample["p50"], 20.0);
        // Of 104 calls the 26th to the 78th: 46 of 20 ns, 6 of 30 ns.
        assert!((sample["middle"] - (46.0 * 20.0 + 6.0 * 30.0) / 52.0).abs() < 1e-9, "{sample:?}");
    }

    #[test]
    fn a_batch_weighs_as_many_calls_as_it_holds() {
        let mut latencies = Latencies::default();
        latencies.record(10.0, 99);
        latencies.record(1_010.0, 1);
        let sample = latencies.sample();
        assert_eq!((sample["p50"], sample["mean"]), (10.0, 20.0));
        latencies.record(-3.0, 100);
        assert_eq!(latencies.sample()["mean"], 10.0, "less than the clock's own cost counts as nothing");
    }

    #[test]
    fn every_contender_opens_a_round_in_turn() {
        let order = std::cell::RefCell::new(Vec::new());
        let contender = |name| {
            let order = &order;
            Contender::new(name, move || {
                order.borrow_mut().push(name);
                Ok(sample(1.0))
            })
        };
        let rounds = interleave(3, vec![contender("a"), contender("b"), contender("c")]).unwrap();
        assert_eq!(order.into_inner(), ["a", "b", "c", "b", "c", "a", "c", "a", "b"]);
        assert!(rounds.contenders().all(|(_, samples)| samples.len() == 3));
    }

    #[test]
    fn calls_are_timed_and_preparation_is_not() {
        for pace in [Pace::Burst, Pace::Every(Duration::from_micros(50))] {
            let slow = |n| {
                let end = Instant::now() + Duration::from_micros(30);
                while Instant::now() < end {
                    spin_loop();
                }
                n
            };
            let mut calls = Vec::new();
            let sample = time_calls(pace, 9 * BATCH, slow, |n, value| calls.push((n, value))).sample();
            assert_eq!(calls.len() as u64, 9 * BATCH);
            assert!(calls.iter().all(|(n, value)| n == value));
            // The median of nine batches: one that was interrupted does no harm.
            assert!(sample["p50"] < 10_000.0, "{pace:?}: {sample:?}");
        }
    }
}
