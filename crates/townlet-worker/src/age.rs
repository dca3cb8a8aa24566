//! How long the oldest waiting event may have waited.

use std::time::Duration;

/// An upper bound of the oldest waiting event's age, kept without a look at the
/// clock when events come in: what was not there at one look came after it.
#[derive(Debug, Default)]
pub(crate) struct Age {
    /// Nothing that waits is older than this.
    since: Duration,
    looked_at: Duration,
    /// How many waited at the last look.
    seen: usize,
    /// Some that wait had been due before.
    overdue: bool,
}

impl Age {
    /// At `now`, `waiting` events wait.
    pub(crate) fn look(&mut self, now: Duration, waiting: usize) {
        if waiting == 0 {
            self.since = now;
            self.overdue = false;
        }
        self.looked_at = now;
        self.seen = waiting;
    }

    /// The `n` oldest were taken. Where those were all that had been seen, the
    /// rest came later than the last look.
    pub(crate) fn took(&mut self, n: usize) {
        self.seen = self.seen.saturating_sub(n);
        if self.seen == 0 {
            self.since = self.looked_at;
            self.overdue = false;
        }
    }

    /// Events came back that had been due before.
    pub(crate) fn came_back(&mut self) {
        self.overdue = true;
    }

    /// When the oldest has waited for `interval` at the latest.
    pub(crate) fn reaches(&self, interval: Duration) -> Duration {
        if self.overdue { Duration::ZERO } else { self.since.saturating_add(interval) }
    }
}
