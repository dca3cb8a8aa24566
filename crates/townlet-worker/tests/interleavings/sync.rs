//! What `src/sync.rs` offers, as loom has it.

use std::io;
use std::time::Duration;

pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use loom::thread::JoinHandle;
pub(crate) use std::sync::PoisonError;

/// The driver logs and unwinds, and a log is opened: more than loom gives a thread by itself, in machine words.
const STACK: usize = 0x2_0000;

/// Starts threads of a model.
pub(crate) struct Builder(loom::thread::Builder);

impl Builder {
    pub(crate) fn new() -> Self {
        Self(loom::thread::Builder::new().stack_size(STACK))
    }

    pub(crate) fn name(self, name: String) -> Self {
        Self(self.0.name(name))
    }

    pub(crate) fn spawn<T: Send + 'static>(self, f: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
        self.0.spawn(f)
    }
}

/// A clock that stands still. What only time would mend stays broken, and is found: loom's waits do not time out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant;

impl Instant {
    pub(crate) fn now() -> Self {
        Self
    }

    pub(crate) fn elapsed(self) -> Duration {
        Duration::ZERO
    }

    pub(crate) fn checked_add(self, by: Duration) -> Option<Later> {
        Some(Later(by))
    }
}

/// A moment that does not come.
#[derive(Clone, Copy)]
pub(crate) struct Later(Duration);

impl Later {
    pub(crate) fn saturating_duration_since(self, _: Instant) -> Duration {
        self.0
    }
}
