//! Waiting for what became of one event.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use townlet_transport::Level;

use crate::sync::{Condvar, Instant, Mutex, MutexGuard, PoisonError};
use crate::{DropReason, planted};

/// Why a receipt will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoReceipt {
    /// The event was dropped, and counted under this reason.
    Dropped(DropReason),
    /// The event was a state, and a newer one took its place before it was sent.
    Coalesced,
    /// The event is settled, but at this level only: its sink gives no more.
    SettledAt(Level),
    /// The time is over; the event may still get there.
    Timeout,
    /// The run is over, and the event was neither delivered nor dropped: a spill keeps
    /// it for the next one.
    Ended,
}

impl std::fmt::Display for NoReceipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dropped(reason) => write!(f, "the event was dropped: {reason}"),
            Self::Coalesced => f.write_str("a newer state took the place of this one"),
            Self::SettledAt(level) => write!(f, "the event is settled as `{level}`, and its sink gives no more"),
            Self::Timeout => f.write_str("no receipt within the time given"),
            Self::Ended => f.write_str("the run has ended; the event is kept for the next one"),
        }
    }
}

impl std::error::Error for NoReceipt {}

/// How far one event has come in one sink. Cheap to clone.
///
/// It is never ahead of the truth: `sent` is said after the kernel took the
/// bytes, `peer_acked` after the peer said so, `durable` after the sync that
/// covers it, here (a spill) or there (a transport that settles as durable).
#[derive(Clone, Debug)]
pub struct Receipt {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// By level.
    reached: [bool; 3],
    end: Option<End>,
    wakers: Vec<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Delivered(Level),
    Dropped(DropReason),
    Coalesced,
    Run,
}

fn index(level: Level) -> usize {
    match level {
        Level::PeerAcked => 1,
        Level::Durable => 2,
        _ => 0,
    }
}

impl Progress {
    fn verdict(&self, level: Level) -> Option<Result<(), NoReceipt>> {
        if self.reached[index(level)] {
            return Some(Ok(()));
        }
        match self.end? {
            End::Delivered(at) => Some(Err(NoReceipt::SettledAt(at))),
            End::Dropped(reason) => Some(Err(NoReceipt::Dropped(reason))),
            End::Coalesced => Some(Err(NoReceipt::Coalesced)),
            End::Run => Some(Err(NoReceipt::Ended)),
        }
    }
}

impl Receipt {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default() }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True where the event is known to have reached `level`.
    pub fn has_reached(&self, level: Level) -> bool {
        self.progress().reached[index(level)]
    }

    /// Waits until the event has reached `level`. Not for the loop.
    ///
    /// # Errors
    /// Why it has not, or never will.
    pub fn wait(&self, level: Level, timeout: Duration) -> Result<(), NoReceipt> {
        let deadline = Instant::now().checked_add(timeout);
        let mut progress = self.progress();
        loop {
            if let Some(verdict) = progress.verdict(level) {
                return verdict;
            }
            // A timeout beyond the end of the clock is none.
            let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(NoReceipt::Timeout);
            }
            progress = self.shared.changed.wait_timeout(progress, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The same as a future, for any executor. It has no timeout of its own.
    pub fn reached(&self, level: Level) -> Reached {
        Reached { receipt: self.clone(), level }
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        let wakers = {
            let mut progress = self.progress();
            if progress.end.is_some() {
                return;
            }
            change(&mut progress);
            std::mem::take(&mut progress.wakers)
        };
        if !planted::is("a thread that waits for a receipt is not told") {
            self.shared.changed.notify_all();
        }
        if planted::is("a task that waits for a receipt is not told") {
            return;
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// It has reached `level`, and what that includes.
    pub(crate) fn note(&self, level: Level) {
        self.update(|p| p.reached[..=index(level)].fill(true));
    }

    /// It is on stable storage here; whether it was sent is another matter.
    pub(crate) fn note_stored(&self) {
        self.update(|p| p.reached[index(Level::Durable)] = true);
    }

    pub(crate) fn note_delivered(&self, level: Level) {
        self.update(|p| {
            p.reached[..=index(level)].fill(true);
            p.end = Some(End::Delivered(level));
        });
    }

    pub(crate) fn note_coalesced(&self) {
        self.update(|p| p.end = Some(End::Coalesced));
    }

    /// Nothing will become of it in this run.
    pub(crate) fn note_run_ended(&self) {
        self.update(|p| p.end = Some(End::Run));
    }

    pub(crate) fn note_dropped(&self, reason: DropReason) {
        self.update(|p| p.end = Some(End::Dropped(reason)));
    }
}

/// Resolves when an event has reached a level, or never will; see [`Receipt::reached`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Reached {
    receipt: Receipt,
    level: Level,
}

impl Future for Reached {
    type Output = Result<(), NoReceipt>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut progress = self.receipt.progress();
        if let Some(verdict) = progress.verdict(self.level) {
            return Poll::Ready(verdict);
        }
        if !progress.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            progress.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}
