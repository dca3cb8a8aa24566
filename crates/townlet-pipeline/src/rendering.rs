//! The way from the intake through the stage to the sinks, on the stage's or the only worker's thread.

use std::sync::{PoisonError, TryLockError};

use townlet_transport::Frame;
use townlet_worker::driver::let_hosts_in;
use townlet_worker::{DropReason, PART, Route, Sink};

use crate::intake::Token;
use crate::shared::{Shared, State};
use crate::stage::Stage;

impl Shared {
    /// Turns some admitted events into frames; returns a transform's panic.
    pub(crate) fn refill(&self) -> Option<String> {
        self.refill_with(&mut self.stage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same for somebody who must not wait for a transform; false where another thread is at it.
    pub(crate) fn refill_if_free(&self) -> bool {
        let mut stage = match self.stage.try_lock() {
            Ok(stage) => stage,
            Err(TryLockError::Poisoned(stage)) => stage.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let _ = self.refill_with(&mut stage);
        true
    }

    fn refill_with(&self, stage: &mut Stage) -> Option<String> {
        {
            let mut state = self.lock();
            let state = &mut *state;
            stage.pick(&mut state.intake, state.streams.infos());
            self.ask_for_help(state.sinks.all().iter().any(|sink| sink.main().is_strained()));
        }
        stage.render();
        let mut rendered = stage.rendered();
        while rendered.len() > PART {
            settle_part(&mut self.lock(), &mut rendered);
            let_hosts_in();
        }
        let mut state = self.lock();
        settle_part(&mut state, &mut rendered);
        drop(rendered);
        let sinks = state.sinks.all();
        self.ring_spoolers(sinks);
        if !self.inline_stage {
            for (sink, bells) in sinks.iter_mut().zip(&self.bells) {
                for (route, bell) in [Route::Main, Route::Lane].into_iter().zip(bells) {
                    if sink.machine(route).wants_wake() {
                        bell.ring_work();
                    }
                }
            }
        }
        stage.take_panic()
    }

    /// The separate stage's thread. It never waits for a sink's queue.
    pub(crate) fn run_stage(&self) {
        while self.stage_waits_for_work() {
            if let Some(message) = self.refill() {
                tracing::error!(panic = message, "telemetry_transform_panic");
                let now = self.now();
                for sink in self.lock().sinks.all() {
                    sink.machine(Route::Main).stage_panicked(now, &message);
                }
            }
            self.room.ring_room();
        }
    }

    /// Sleeps until there is work. False when there will be no more.
    fn stage_waits_for_work(&self) -> bool {
        let mut state = self.lock();
        loop {
            let idle = state.intake.is_idle();
            if state.closed && (idle || state.sinks.all().iter().all(Sink::is_finished)) {
                return false;
            }
            // After too many panics: nobody would send what it makes, and the chain gets its rest.
            let rests = |sink: &Sink| sink.main().is_parked() && !sink.main().spools();
            let parked = !state.closed && state.sinks.all().iter().all(rests);
            if !idle && !parked {
                return true;
            }
            state.stage_dozes = !parked;
            state = self.stage_bell.wait_for_work(state, self.tuning.stage_doze());
            state.stage_dozes = false;
        }
    }
}

/// Gives so much of what was rendered to the sinks as can be done in one go.
fn settle_part(state: &mut State, rendered: &mut impl Iterator<Item = Result<Frame, DropReason>>) {
    let sinks = state.sinks.all();
    for outcome in rendered.take(PART) {
        // Shutdown settled what was in hand; these frames go nowhere.
        let Some(token) = state.intake.pop_hand() else { break };
        settle(sinks, &token, outcome);
    }
}

/// Gives a rendered event to the sinks that admitted it.
fn settle(sinks: &mut [Sink], token: &Token, outcome: Result<Frame, DropReason>) {
    let mut routed = sinks.iter_mut().enumerate().filter_map(|(index, sink)| {
        let route = token.routes.get(index)?;
        Some(sink.machine(route))
    });
    match outcome {
        Ok(frame) => {
            let Some(first) = routed.next() else { return };
            for machine in routed {
                machine.fill(token.stream, token.seq, token.weight, frame.clone());
            }
            first.fill(token.stream, token.seq, token.weight, frame);
        }
        Err(reason) => routed.for_each(|machine| machine.drop_upstream(token.stream, token.seq, token.weight, reason)),
    }
}
