//! How a worker ends: drained, or at its deadline.

use std::time::Duration;

use super::{Machine, Phase};
use crate::DropReason;

impl Machine {
    /// Starts the drain: everything is due at once and pauses are cut short,
    /// until `deadline`.
    pub fn shutdown(&mut self, now: Duration, deadline: Duration) {
        match self.phase {
            Phase::Finished => {}
            Phase::SinkClosed | Phase::Parked { .. } => self.phase = Phase::Draining { deadline: now },
            Phase::Draining { deadline: earlier } => {
                self.phase = Phase::Draining { deadline: earlier.min(deadline) };
            }
            Phase::Running => {
                self.phase = Phase::Draining { deadline };
                self.retry_at = self.retry_at.min(now);
            }
        }
    }

    /// Ends at once: what is in flight settles as `unacked_at_shutdown`, what
    /// waits as `undelivered_at_shutdown`; with a spill both go there instead, and
    /// are on the books as buffered until the spooler has them. Upstream events settle when the
    /// caller drops them. A call still stuck in the transport finds nothing to
    /// settle when it returns.
    pub fn abandon(&mut self) {
        if self.phase == Phase::Finished {
            return;
        }
        // What the stage still makes goes there too.
        self.queue.spool_all();
        self.queue.abandon(DropReason::UnackedAtShutdown, DropReason::UndeliveredAtShutdown);
        self.end();
    }

    /// The transport was flushed and closed; the worker ends. Where something
    /// was admitted meanwhile it goes on, to the deadline.
    pub fn finished(&mut self) {
        if self.queue.len() == 0 {
            // What comes from now on, from the stage or from disk, is not for memory.
            self.queue.spool_all();
            self.end();
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Finished;
        self.status.worker_alive = false;
        self.status.connected = false;
        self.unacked_since = None;
    }

    /// True after [`finished`](Self::finished) or [`abandon`](Self::abandon).
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// True while parked after too many panics.
    pub fn is_parked(&self) -> bool {
        matches!(self.phase, Phase::Parked { .. })
    }
}
