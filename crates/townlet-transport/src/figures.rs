//! Figures: what a pipeline knows of its sinks, for a transport that publishes
//! figures instead of lines, or beside them.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

/// Where a transport reads the figures of the pipeline that it works for: the
/// books, the queues and the workers of all sinks.
///
/// It may be read at any time and from any thread. A read takes a lock that
/// emitting hosts need, for as long as it takes to copy some hundred numbers:
/// some times in a second are nothing, thousands are felt.
pub trait Figures: Send + Sync {
    /// Names these books: one word, another for each pipeline that is started,
    /// also where a seed repeats the run id. Counters begin at 0 with it.
    fn epoch(&self) -> &str;

    /// Shows every figure, all of one instant. Those of one name follow each
    /// other, with the same help and the same kind of reading. Nothing is shown
    /// once the pipeline is gone.
    fn read(&self, show: &mut dyn FnMut(Figure<'_>));
}

/// One number, or one distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure<'a> {
    /// Its name: lower-case words with `_`, the unit behind (`queue_bytes`,
    /// `flush_duration_seconds`), then `_total` for a counter. What publishes it
    /// puts a name of its own in front.
    pub name: &'static str,
    /// One line that says what it counts.
    pub help: &'static str,
    /// Which of its kind: `sink`, and for some `reason` or `level`.
    pub labels: &'a [(&'static str, &'a str)],
    /// What it reads.
    pub reading: Reading<'a>,
}

/// What a [`Figure`] reads.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reading<'a> {
    /// Only grows within a run.
    Counter(u64),
    /// Goes up and down.
    Gauge(f64),
    /// How long things took, in seconds.
    Durations(&'a Durations),
}

/// How often something took how long, by fixed upper bounds. Adding costs a
/// handful of comparisons and no memory.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// By bound, not cumulative; the last is for what is above all of them.
    counts: [u64; BOUNDS.len() + 1],
    total: Duration,
}

/// From a page cache to a peer that is about to be given up.
const BOUNDS: [Duration; 14] = {
    let mut bounds = [Duration::ZERO; 14];
    let micros =
        [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 5_000_000, 10_000_000];
    let mut n = 0;
    while n < bounds.len() {
        bounds[n] = Duration::from_micros(micros[n]);
        n += 1;
    }
    bounds
};

impl Durations {
    /// Adds one.
    pub fn record(&mut self, took: Duration) {
        let at = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        self.counts[at] += 1;
        self.total = self.total.saturating_add(took);
    }

    /// The upper bounds in rising order, each with how many took at most so long.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        BOUNDS.iter().zip(&self.counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((*bound, *below))
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they took together.
    pub fn total(&self) -> Duration {
        self.total
    }
}

impl AddAssign<&Durations> for Durations {
    fn add_assign(&mut self, other: &Durations) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.total = self.total.saturating_add(other.total);
    }
}

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durations({} in {:?})", self.count(), self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_counts_below_its_bound_and_below_all_higher_ones() {
        let mut all = Durations::default();
        let micro = Duration::from_micros;
        for took in [micro(0), micro(50), micro(51), micro(1_000), Duration::from_secs(11), Duration::MAX] {
            all.record(took);
        }
        let below = |bound| all.cumulative().find(|(b, _)| *b == micro(bound)).map(|(_, n)| n);
        assert_eq!((below(50), below(100), below(1_000), below(10_000_000)), (Some(2), Some(3), Some(4), Some(4)));
        assert_eq!((all.count(), all.total()), (6, Duration::MAX), "a sum at its end stays there");
        let bounds: Vec<Duration> = all.cumulative().map(|(bound, _)| bound).collect();
        assert!(bounds.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn two_sinks_lanes_add_up() {
        let (mut one, mut other) = (Durations::default(), Durations::default());
        one.record(Duration::from_millis(1));
        other.record(Duration::from_secs(1));
        one += &other;
        assert_eq!((one.count(), one.total()), (2, Duration::from_millis(1_001)));
    }
}
