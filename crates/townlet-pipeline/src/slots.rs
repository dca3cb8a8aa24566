//! Which transport a sink uses: the present one, and the one to go back to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use townlet_transport::{ErrorKind, Transport, TransportError};
use townlet_worker::Route;

use crate::error::ReplaceError;
use crate::shared::Shared;
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
        let unproven = state.sinks.all()[index].machines().any(|m| m.is_on_trial() || m.is_reverting());
        let retired = {
            let mut choices = shared.slots[index].lock();
            let before = std::mem::replace(&mut choices.present, Choice { info, make: Arc::new(make) });
            // One that has not delivered is nothing to go back to, unless there is no other.
            if !unproven || choices.good.is_none() { choices.good.replace(before) } else { Some(before) }
        };
        state.sinks.all()[index].machines().for_each(|m| m.renew(Some(trial)));
        drop(state);
        shared.ring_drivers(index);
        // Whatever the destructor of the host's closure does, it does it without the lock.
        drop(retired);
        Ok(())
    }
}

impl Shared {
    /// A driver's transport has failed its trial: the one before is the present one again, for all lanes of the sink.
    /// Says why; none where another one has come since the driver was told, and then that one stays.
    pub(crate) fn revert(&self, sink: usize, route: Route) -> Option<String> {
        let mut state = self.lock();
        let why = state.sinks.all()[sink].machine(route).take_trial_failure()?;
        let failed = {
            let mut choices = self.slots[sink].lock();
            choices.good.take().map(|good| std::mem::replace(&mut choices.present, good))
        };
        for other in [Route::Main, Route::Lane] {
            if other != route && state.sinks.all()[sink].has_lane() {
                state.sinks.all()[sink].machine(other).renew(None);
            }
        }
        drop(state);
        self.ring_drivers(sink);
        drop(failed);
        Some(why)
    }

    /// The end: no transport will be built any more.
    pub(crate) fn retire_slots(&self) {
        self.slots.iter().for_each(Slot::retire);
    }

    fn ring_drivers(&self, sink: usize) {
        self.bells[sink].iter().for_each(townlet_worker::driver::Bells::ring_work);
    }
}

#[cfg(test)]
mod tests {
    use townlet_testkit::Script;
    use townlet_worker::{Action, Options};

    use super::*;

    /// The driver's transport fails its trial, and the driver is told to go back, but has not done so yet.
    fn told_to_go_back(shared: &Shared) {
        let mut state = shared.lock();
        let now = shared.now();
        let machine = state.sinks.all()[0].machine(Route::Main);
        // Where the driver has not taken it up yet.
        let _ = machine.poll(now);
        machine.failed(now, Vec::new(), &TransportError::new(ErrorKind::Unavailable, "no"));
        assert_eq!(machine.poll(now), Action::Revert);
    }

    #[test]
    fn a_transport_that_comes_while_a_driver_is_about_to_go_back_stays() {
        let of = |script: &Script| {
            let script = script.clone();
            move || Ok(Box::new(script.transport()) as Box<dyn Transport>)
        };
        let script = Script::new();
        let sink = Options { name: "main".into(), ..Options::default() };
        let telemetry = Telemetry::builder().sink(sink, SinkInfo::new("good"), of(&script)).start().unwrap();
        let replace =
            |provider: &'static str| telemetry.replace_transport("main", SinkInfo::new(provider), 0, of(&script));
        let shared = &telemetry.inner().shared;

        replace("failed").unwrap();
        told_to_go_back(shared);
        replace("newcomer").unwrap();
        assert_eq!(shared.revert(0, Route::Main), None, "what failed is gone already");
        assert_eq!(shared.slots[0].info().provider, "newcomer");

        told_to_go_back(shared);
        assert!(shared.revert(0, Route::Main).is_some());
        assert_eq!(shared.slots[0].info().provider, "good", "the last that has delivered, not the one that failed");
    }
}
