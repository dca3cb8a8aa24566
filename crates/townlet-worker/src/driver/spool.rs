//! The thread that drives a [`Spooler`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Bells;
use crate::machine::Machine;
use crate::planted;
use crate::spooler::{SpoolStatus, Spooler};
use crate::sync::{Builder, JoinHandle, MutexGuard};

/// A spooler without anything to do looks around this often.
const IDLE: Duration = Duration::from_millis(50);

/// Where a spooler finds the machines that it serves. The lock is never held during I/O.
pub trait Depot: Send + Sync + 'static {
    /// What the lock guards.
    type State;

    /// Locks the state.
    fn lock(&self) -> MutexGuard<'_, Self::State>;

    /// The machine of sink `index`, in the order in which they were added.
    fn machine<'a>(&self, state: &'a mut Self::State, index: usize) -> &'a mut Machine;

    /// Where the spooler waits for work.
    fn bell(&self) -> &Bells;

    /// Wakes the driver of sink `index`.
    fn wake(&self, index: usize);

    /// Where hosts wait for room, and for the end.
    fn room(&self) -> &Bells;

    /// Monotonic time since some fixed start.
    fn now(&self) -> Duration;

    /// Events accepted so far, over all sinks.
    fn accepted(&self, state: &mut Self::State) -> u64;

    /// The books of this moment, to be stored with the log.
    fn account(&self, state: &mut Self::State) -> Vec<u8>;

    /// The disk's state, for whoever asks.
    fn publish(&self, state: &mut Self::State, status: &SpoolStatus);

    /// True where no more will come from any sink.
    fn is_over(&self, state: &mut Self::State) -> bool;

    /// The thread is about to end.
    fn ended(&self, state: &mut Self::State);
}

/// Starts the thread. It ends when the depot is over and everything is stored,
/// or cannot be.
///
/// # Errors
/// What the operating system says when it refuses a thread.
pub fn spawn_spooler<D: Depot>(name: &str, depot: Arc<D>, spooler: Spooler) -> io::Result<JoinHandle<()>> {
    Builder::new().name(format!("telemetry-{name}")).spawn(move || run(depot.as_ref(), spooler))
}

fn run<D: Depot>(depot: &D, mut spooler: Spooler) {
    let sinks = spooler.sinks();
    loop {
        let mut state = depot.lock();
        let over = loop {
            let mut busy = false;
            for index in 0..sinks {
                busy |= spooler.gather(index, depot.machine(&mut state, index));
            }
            spooler.note_accepted(depot.accepted(&mut state));
            let over = depot.is_over(&mut state);
            let due = spooler.due(depot.now());
            if busy || over || due.is_some_and(|due| due.is_zero()) {
                break over;
            }
            if planted::is("the spooler looks away before it sleeps") {
                drop(state);
                state = depot.lock();
            }
            state = depot.bell().wait_for_work(state, due.unwrap_or(IDLE).min(IDLE));
        };
        if spooler.wants_account(depot.now()) {
            spooler.set_account(depot.account(&mut state));
        }
        drop(state);
        spooler.work(depot.now());
        let last = over && tell(depot, &mut spooler);
        if last {
            let account = depot.account(&mut depot.lock());
            if !planted::is("the spooler ends without a last commit") {
                spooler.close(depot.now(), &account);
            }
        }
        if !over || last {
            tell(depot, &mut spooler);
        }
        if !planted::is("room that the disk made is not rung for") {
            depot.room().ring_room();
        }
        if last {
            break;
        }
    }
    // First: whoever hears of the end may open the log again.
    drop(spooler);
    depot.ended(&mut depot.lock());
    if !planted::is("who waits for the end of the spooler is not told") {
        depot.room().ring_room();
    }
}

/// Reports to all sinks; true where no frame waits to be handed over.
fn tell<D: Depot>(depot: &D, spooler: &mut Spooler) -> bool {
    let mut state = depot.lock();
    let mut all = true;
    for index in 0..spooler.sinks() {
        let machine = depot.machine(&mut state, index);
        spooler.report(index, machine);
        all &= !machine.wants_spooler();
        if machine.wants_wake() && !planted::is("what the disk gives back wakes nobody") {
            depot.wake(index);
        }
    }
    depot.publish(&mut state, spooler.status());
    all
}
