//! The thread that carries out what a [`Machine`] decides.

mod bells;
mod hands;
mod run;
mod spool;

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use townlet_transport::{FrameEncoder, Transport, TransportError};

pub use self::bells::Bells;
pub use self::hands::Hands;
use self::run::Driver;
pub use self::spool::{Depot, spawn_spooler};
use crate::machine::Machine;
use crate::refused::DeadLetters;
use crate::sync::{Builder, JoinHandle, MutexGuard};

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

    /// The transport on trial has failed: from now on `make` builds the one before. Says why; none where another one
    /// has come since, which stays. A host that exchanges transports decides that under the lock.
    fn revert(&self) -> Option<String> {
        self.machine(&mut self.lock()).take_trial_failure()
    }

    /// For an inline stage: turns some upstream events into frames. Returns the
    /// message of a transform's panic, the record of which it has settled.
    fn refill(&self) -> Option<String> {
        None
    }

    /// Who keeps what this driver's peer refuses for good.
    fn dead_letters(&self) -> Option<Arc<dyn DeadLetters>> {
        None
    }

    /// What renders states for this driver's peer. Without one they go out whole.
    fn encoder(&self) -> Option<Box<dyn FrameEncoder>> {
        None
    }
}

/// Pauses of the processor between two looks of a host that spins for the lock.
pub const PAUSES_A_LOOK: usize = 4;

/// Leaves the lock free between two parts for so long that a host that spins for it finds it free.
pub fn let_hosts_in() {
    (0..2 * PAUSES_A_LOOK).for_each(|_| std::hint::spin_loop());
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
    Builder::new().name(format!("telemetry-{name}")).spawn(move || Driver::new(sink, seat, make).run())
}

/// The text of a panic, where it carries one.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
