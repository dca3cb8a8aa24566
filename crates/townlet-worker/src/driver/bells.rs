//! Where the threads of a sink wait for each other.

use std::time::Duration;

use crate::planted;
use crate::sync::{AtomicUsize, Condvar, MutexGuard, Ordering, PoisonError};

/// The two places where threads wait: the driver for work, hosts for room.
#[derive(Debug, Default)]
pub struct Bells {
    work: Condvar,
    room: Condvar,
    /// Ringing an empty room costs a system call; this count saves it.
    waiting_for_room: AtomicUsize,
}

impl Bells {
    /// Wakes the driver.
    pub fn ring_work(&self) {
        if !planted::is("work is not rung for") {
            self.work.notify_all();
        }
    }

    /// Wakes the hosts that wait for room.
    pub fn ring_room(&self) {
        if self.room_is_awaited() && !planted::is("room is not rung for") {
            self.room.notify_all();
        }
    }

    /// True where somebody waits for room.
    pub fn room_is_awaited(&self) -> bool {
        let least = usize::from(planted::is("one host alone is not seen waiting"));
        self.waiting_for_room.load(Ordering::Acquire) > least
    }

    /// Waits for room, at most `timeout`.
    pub fn wait_for_room<'a, S>(&self, guard: MutexGuard<'a, S>, timeout: Duration) -> MutexGuard<'a, S> {
        // Counted while the lock is held: a ring that follows the unlock sees it.
        self.waiting_for_room.fetch_add(1, Ordering::AcqRel);
        let (guard, _) = self.room.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner);
        self.waiting_for_room.fetch_sub(1, Ordering::AcqRel);
        guard
    }

    /// Waits for work, at most `timeout`.
    pub fn wait_for_work<'a, S>(&self, guard: MutexGuard<'a, S>, timeout: Duration) -> MutexGuard<'a, S> {
        self.work.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}
