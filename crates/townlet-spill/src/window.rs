//! When to commit: often where syncing is cheap, in larger groups where it is not.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(20);
/// Of a sync, what a commit waits after the one before it.
const SHARE: u32 = 4;
/// So much waits for no window.
const BYTES: usize = 1 << 20;

/// Adapts to the measured time of a sync.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Smoothed; none before the first sync.
    sync: Option<Duration>,
    last_commit: Option<Duration>,
    waiting_since: Option<Duration>,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self { sync: None, last_commit: None, waiting_since: None }
    }

    pub(crate) fn sync_time(&self) -> Option<Duration> {
        self.sync
    }

    /// A quarter of a sync: what comes while one is under way forms the next group without waiting for more, and the
    /// disk is left a fifth of the time to others.
    pub(crate) fn length(&self) -> Duration {
        (self.sync.unwrap_or(SHORTEST) / SHARE).clamp(SHORTEST, LONGEST)
    }

    pub(crate) fn appended(&mut self, now: Duration) {
        self.waiting_since.get_or_insert(now);
    }

    /// One sync that took long must not make the next eight groups wait: of each no more than twice the usual counts.
    pub(crate) fn measured(&mut self, sync: Duration) {
        let bounded = |before: Duration| (before * 7 + sync.min(before.max(SHORTEST) * 2)) / 8;
        self.sync = Some(self.sync.map_or(sync, bounded));
    }

    /// A commit that began at `now` is over. What it took is not in `now`, so it is added.
    pub(crate) fn committed(&mut self, now: Duration, took: Duration) {
        self.last_commit = Some(now + took);
        self.waiting_since = None;
    }

    /// Time until a commit is due; `None` if nothing waits.
    pub(crate) fn due(&self, now: Duration, bytes: usize) -> Option<Duration> {
        let since = self.waiting_since?;
        if bytes >= BYTES {
            return Some(Duration::ZERO);
        }
        let after_last = self.last_commit.map_or(Duration::ZERO, |last| last + self.length());
        // A clock that went back must not make anybody wait longer than a window.
        Some((since + SHORTEST).max(after_last).saturating_sub(now).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_single_record_waits_for_the_shortest_window_only() {
        let mut window = Window::new();
        assert_eq!(window.due(ms(5), 0), None);
        window.appended(ms(5));
        assert_eq!(window.due(ms(5), 10), Some(SHORTEST));
        assert_eq!(window.due(ms(6), 10), Some(Duration::ZERO));
    }

    #[test]
    fn under_load_the_window_is_a_quarter_of_a_sync() {
        let mut window = Window::new();
        window.measured(ms(4));
        window.committed(ms(10), ms(4));
        window.appended(ms(14));
        assert_eq!(window.due(ms(14), 10), Some(ms(1)));
        assert_eq!(window.due(ms(14), BYTES), Some(Duration::ZERO), "a full buffer does not wait");
    }

    #[test]
    fn the_window_follows_the_disk_within_its_bounds() {
        let mut window = Window::new();
        window.measured(Duration::from_micros(1));
        assert_eq!(window.length(), SHORTEST);
        for _ in 0..100 {
            window.measured(ms(500));
        }
        assert_eq!(window.length(), LONGEST);
        window.appended(ms(1_000));
        assert_eq!(window.due(ms(0), 10), Some(LONGEST), "whatever the clock does");
    }

    #[test]
    fn one_slow_sync_moves_the_window_by_an_eighth_at_most() {
        let mut window = Window::new();
        window.measured(ms(4));
        window.measured(ms(900));
        assert_eq!(window.sync_time(), Some(Duration::from_micros(4_500)));
    }
}
