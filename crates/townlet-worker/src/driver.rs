//! The thread that carries out what a [`Machine`] decides.

mod run;
mod spool;

use std::any::Any;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use townlet_transport::{FrameEncoder, Transport, TransportError};

use self::run::Driver;
pub use self::spool::{Depot, spawn_spooler};
use crate::machine::Machine;

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
        self.work.notify_all();
    }

    /// Wakes the hosts that wait for room.
    pub fn ring_room(&self) {
        if self.room_is_awaited() {
            self.room.notify_all();
        }
    }

    /// True where somebody waits for room.
    pub fn room_is_awaited(&self) -> bool {
        self.waiting_for_room.load(Ordering::Acquire) > 0
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

/// Where a driver finds its machine. The lock is never held during I/O.
pub trait Seat: Send + Sync + 'static {
    /// What the lock guards.
    type State;

    /// Locks the state.
    fn lock(&self) -> MutexGuard<'_, Self::State>;

    /// This driver's machine.
    fn machine<'a>(&self, state: &'a mut Self::State) -> &'a mut Machine;

    /// Where this driver waits for work.
    fn bells(&self) -> &Bells;

    /// Where hosts wait for room in this sink, and for its end.
    fn room(&self) -> &Bells {
        self.bells()
    }

    /// Where this sink's spooler waits for work.
    fn spooler(&self) -> Option<&Bells> {
        None
    }

    /// Monotonic time since some fixed start.
    fn now(&self) -> Duration;

    /// The transport on trial has failed: from now on `make` builds the one before.
    fn revert(&self) {}

    /// For an inline stage: turns some upstream events into frames. Returns the
    /// message of a transform's panic, the record of which it has settled.
    fn refill(&self) -> Option<String> {
        None
    }

    /// What renders states for this driver's peer. Without one they go out whole.
    fn encoder(&self) -> Option<Box<dyn FrameEncoder>> {
        None
    }
}

/// Builds a transport, at start and again after a panic.
pub type Make = Box<dyn FnMut() -> Result<Box<dyn Transport>, TransportError> + Send>;

/// Starts the thread that drives `seat`'s machine.
///
/// # Errors
/// What the operating system says when it refuses a thread;
/// [`InvalidInput`](io::ErrorKind::InvalidInput) where `name` contains a NUL.
pub fn spawn<S: Seat>(name: &str, seat: Arc<S>, make: Make) -> io::Result<JoinHandle<()>> {
    if name.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the sink's name {name:?} contains a NUL")));
    }
    let sink = name.to_owned();
    std::thread::Builder::new().name(format!("telemetry-{name}")).spawn(move || Driver::new(sink, seat, make).run())
}

/// The text of a panic, where it carries one.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
