//! A connection's place among the others, and what goes on in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Grpc;
use crate::report::{EndKind, Ending};
use crate::server::slots::Slot;
use crate::server::{Shared, note_cut};

/// A connection's slot. It is given back when the connection and the last of its
/// calls are done, so that a stop waits for lines that are still being written.
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    pub(super) grpc: Arc<Grpc>,
    pub(super) slot: Arc<Slot>,
    state: Mutex<State>,
}

struct State {
    ending: Ending,
    open: usize,
    calls: u64,
    /// Since when no call is open.
    quiet: Instant,
}

/// How busy a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quiet {
    /// A call is open.
    Not,
    /// Since then, after calls.
    Since(Instant),
    /// Since it was opened, then.
    Ever(Instant),
}

/// A call is open as long as this is there.
pub(super) struct Open(Arc<Place>);

impl Place {
    pub(super) fn new(shared: Arc<Shared>, grpc: Arc<Grpc>, slot: Arc<Slot>) -> Self {
        let ending = Ending { kind: EndKind::Stopped, detail: "the collector stopped".to_owned() };
        let state = State { ending, open: 0, calls: 0, quiet: Instant::now() };
        Self { shared, grpc, slot, state: Mutex::new(state) }
    }

    pub(super) fn call(self: &Arc<Self>) -> Open {
        let mut state = self.state();
        state.open += 1;
        state.calls += 1;
        Open(Arc::clone(self))
    }

    pub(super) fn quiet(&self) -> Quiet {
        let state = self.state();
        match (state.open, state.calls) {
            (0, 0) => Quiet::Ever(state.quiet),
            (0, _) => Quiet::Since(state.quiet),
            _ => Quiet::Not,
        }
    }

    pub(super) fn ends(&self, ending: Ending) {
        note_cut(self.slot.peer, &ending);
        self.state().ending = ending;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        state.quiet = Instant::now();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ending = self.state().ending.clone();
        self.shared.slots.leave(self.slot.id, ending);
    }
}
