//! Which transport a sink uses: the present one, and the one to go back to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use townlet_transport::{ErrorKind, Transport, TransportError};
use townlet_worker::Route;

use crate::error::ReplaceError;
use crate::shared::{Shared, SinkSeat};
use crate::status::SinkInfo;
use crate::telemetry::Telemetry;

pub(crate) type SharedMake = Arc<dyn Fn() -> Result<Box<dyn Transport>, TransportError> + Send + Sync>;

/// A sink's transport.
#[derive(Clone)]
struct Choice {
    info: SinkInfo,
    make: SharedMake,
}

struct Choices {
    present: Choice,
    /// The last one that has delivered, where the present one is on trial.
    good: Option<Choice>,
}

/// One sink's place for its transport.
pub(crate) struct Slot(Mutex<Choices>);

impl Slot {
    pub(crate) fn new(info: SinkInfo, make: SharedMake) -> Self {
        Self(Mutex::new(Choices { present: Choice { info, make }, good: None }))
    }

    fn lock(&self) -> MutexGuard<'_, Choices> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Builds the present transport.
    pub(crate) fn make(&self) -> Result<Box<dyn Transport>, TransportError> {
        // Not under the lock: it may read files.
        let make = Arc::clone(&self.lock().present.make);
        make()
    }

    /// Nothing will be built here any more: what the host's closures hold is freed.
    fn retire(&self) {
        let none = || Err(TransportError::new(ErrorKind::Closed, "telemetry was shut down"));
        let mut choices = self.lock();
        let retired = std::mem::replace(&mut choices.present.make, Arc::new(none));
        let good = choices.good.take();
        // Whatever their destructors do, they do it without the lock.
        drop(choices);
        drop((retired, good));
    }

    /// What is known of the present transport.
    pub(crate) fn info(&self) -> SinkInfo {
        self.lock().present.info.clone()
    }
}

impl Telemetry {
    /// Gives a running sink another transport, without losing an event: what
    /// waits stays, the present transport is closed, and what it has not settled
    /// is sent again by the new one.
    ///
    /// The new one is on trial until it has delivered. After more than `trial`
    /// failures or panics before that, the last transport that has delivered is
    /// back, which `telemetry_transport_rolled_back` says; `rollbacks_total` of
    /// the worker counts it.
    ///
    /// # Errors
    /// [`ReplaceError::NoSuchSink`]; [`ReplaceError::Closed`] after shutdown.
    pub fn replace_transport(
        &self,
        sink: &str,
        info: SinkInfo,
        trial: u32,
        make: impl Fn() -> Result<Box<dyn Transport>, TransportError> + Send + Sync + 'static,
    ) -> Result<(), ReplaceError> {
        let shared = &self.inner().shared;
        let mut state = shared.lock();
        if state.closed {
            return Err(ReplaceError::Closed);
        }
        let found = state.sinks.all().iter().position(|s| s.main().options().name == sink);
        let index = found.ok_or_else(|| ReplaceError::NoSuchSink(sink.to_owned()))?;
        let on_trial = state.sinks.all()[index].machines().any(|m| m.is_on_trial());
        {
            let mut choices = shared.slots[index].lock();
            let before = std::mem::replace(&mut choices.present, Choice { info, make: Arc::new(make) });
            // One that has not delivered yet is nothing to go back to, unless there is no other.
            if !on_trial || choices.good.is_none() {
                choices.good = Some(before);
            }
        }
        let now = shared.now();
        state.sinks.all()[index].machines().for_each(|m| m.renew(now, Some(trial)));
        drop(state);
        shared.ring_drivers(index);
        Ok(())
    }
}

impl Shared {
    /// A driver's transport has failed its trial: the one before is the present one again, for all lanes of the sink.
    pub(crate) fn revert(&self, seat: &SinkSeat) {
        {
            let mut choices = self.slots[seat.sink].lock();
            let Some(good) = choices.good.take() else { return };
            choices.present = good;
        }
        let mut state = self.lock();
        let now = self.now();
        for route in [Route::Main, Route::Lane] {
            if route != seat.route && state.sinks.all()[seat.sink].has_lane() {
                state.sinks.all()[seat.sink].machine(route).renew(now, None);
            }
        }
        drop(state);
        self.ring_drivers(seat.sink);
    }

    /// The end: no transport will be built any more.
    pub(crate) fn retire_slots(&self) {
        self.slots.iter().for_each(Slot::retire);
    }

    fn ring_drivers(&self, sink: usize) {
        self.bells[sink].iter().for_each(townlet_worker::driver::Bells::ring_work);
    }
}
