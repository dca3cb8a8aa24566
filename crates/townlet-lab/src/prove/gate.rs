//! Where threads wait until another one lets them on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Closed at first. Once open it stays open.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// Lets everybody on, now and later.
    pub(super) fn open(&self) {
        self.lock().open = true;
        self.changed.notify_all();
    }

    /// Waits until the gate is open, or so long; true where it is open.
    pub(super) fn pass(&self, at_most: Duration) -> bool {
        let mut state = self.lock();
        state.waiting += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(state, at_most, |state| !state.open);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.open
    }

    /// Waits until somebody stands before the gate, or so long; true where somebody does.
    pub(super) fn is_awaited(&self, at_most: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), at_most, |state| state.waiting == 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here panics under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
