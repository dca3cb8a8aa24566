//! Pauses between attempts, and how many panics are too many.

use std::collections::VecDeque;
use std::time::Duration;

/// The first pause may be none at all; later ones grow from here, so that a
/// base or cap of 0 does not turn a dead peer into a busy loop.
const FLOOR: Duration = Duration::from_millis(1);

/// Capped exponential backoff with full jitter: the pause after failure `n` is
/// uniform in `[0, min(cap, base · 2ⁿ)]`, where `base` and `cap` count as 1 ms
/// at least from the second failure on.
///
/// The randomness is a seeded xorshift, so that a simulated run repeats.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    state: u64,
}

impl Backoff {
    pub(crate) fn new(base: Duration, cap: Duration, seed: u64) -> Self {
        // xorshift has one forbidden state, 0.
        Self { base, cap, failures: 0, state: seed | 1 }
    }

    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// Counts a failure and returns the pause before the next attempt.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let floor = if self.failures == 0 { Duration::ZERO } else { FLOOR };
        let ceiling = self.base.max(floor).saturating_mul(1 << self.failures.min(20)).min(self.cap.max(floor));
        self.failures = self.failures.saturating_add(1);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 { Duration::ZERO } else { Duration::from_nanos(self.random() % nanos.saturating_add(1)) }
    }

    /// Other bounds; what has failed so far still counts.
    pub(crate) fn retune(&mut self, base: Duration, cap: Duration) {
        (self.base, self.cap) = (base, cap);
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Counts panics within a sliding window: a worker may restart `limit` times
/// per window, not per lifetime (W20).
///
/// The pipeline uses one for its stage, with the same rule.
#[derive(Clone, Debug)]
pub struct RestartWindow {
    limit: u32,
    window: Duration,
    recent: VecDeque<Duration>,
    total: u64,
}

impl RestartWindow {
    /// At most `limit` restarts in any `window`.
    pub fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window, recent: VecDeque::new(), total: 0 }
    }

    /// Records a panic at `now`. `None`: restart at once; `Some(t)`: the limit
    /// is used up, park until `t`.
    pub fn record(&mut self, now: Duration) -> Option<Duration> {
        while self.recent.front().is_some_and(|t| now.saturating_sub(*t) >= self.window) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if self.recent.len() > self.limit as usize {
            // When the oldest has left the window there is room for one more try.
            return self.recent.pop_front().map(|oldest| oldest.saturating_add(self.window).max(now));
        }
        self.total += 1;
        None
    }

    /// Another rule; what has happened so far still counts.
    pub fn retune(&mut self, limit: u32, window: Duration) {
        (self.limit, self.window) = (limit, window);
    }

    /// Counts the restart that ends a parked time.
    pub fn resumed(&mut self) {
        self.total += 1;
    }

    /// Restarts so far.
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_under_a_doubling_ceiling_and_the_cap() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), 7);
        for n in 0..40u32 {
            let ceiling = Duration::from_millis(100).saturating_mul(1 << n.min(20)).min(Duration::from_secs(2));
            assert!(backoff.next_pause() <= ceiling, "failure {n}");
        }
        assert_eq!(backoff.failures(), 40);
    }

    #[test]
    fn pauses_are_spread_rather_than_equal() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1), 99);
        let pauses: Vec<_> = (0..64).map(|_| backoff.next_pause()).collect();
        let low = pauses.iter().filter(|p| **p < Duration::from_millis(500)).count();
        assert!((16..48).contains(&low), "{low} of 64 in the lower half");
    }

    #[test]
    fn a_window_forgets_old_panics() {
        let mut window = RestartWindow::new(2, Duration::from_secs(10));
        let at = Duration::from_secs;
        assert_eq!(window.record(at(0)), None);
        assert_eq!(window.record(at(1)), None);
        assert_eq!(window.record(at(2)), Some(at(10)));
        assert_eq!(window.record(at(30)), None, "the window has passed");
        assert_eq!(window.total(), 3);
    }
}
