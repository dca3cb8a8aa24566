//! The loop of a driver's thread: one action after the other, every call guarded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use townlet_transport::{ErrorKind, Frame, Outcome, SendError, Transport, TransportError};

use super::{Hands, Make, Seat, let_hosts_in, panic_message};
use crate::machine::{Action, Machine};
use crate::refused::{DeadLetters, Refusal};
use crate::{DropReason, planted};

/// The least time between two looks for receipts that found none.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// Hosts that wait for room are woken at least so often while batches go out.
const RING_EVERY: Duration = Duration::from_millis(1);

pub(super) struct Driver<S> {
    sink: String,
    seat: Arc<S>,
    make: Make,
    transport: Option<Box<dyn Transport>>,
    hands: Hands,
    dead_letters: Option<Arc<dyn DeadLetters>>,
    /// How long the last send took whose receipts were to follow.
    pending_took: Duration,
    /// When hosts that wait for room were last woken by a batch.
    rung_at: Duration,
}

/// What came out of a guarded call of the transport.
type Guarded<T> = Result<T, String>;

impl<S: Seat> Driver<S> {
    pub(super) fn new(sink: String, seat: Arc<S>, make: Make) -> Self {
        Self {
            sink,
            hands: Hands::new(seat.encoder()),
            dead_letters: seat.dead_letters(),
            seat,
            make,
            transport: None,
            pending_took: Duration::ZERO,
            rung_at: Duration::ZERO,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            match self.next_action() {
                Action::Wait(_) => {}
                Action::Refill => {
                    if let Some(message) = self.seat.refill() {
                        tracing::error!(sink = self.sink, panic = message, "telemetry_transform_panic");
                        let now = self.seat.now();
                        self.with_machine(|m| m.stage_panicked(now, &message));
                    }
                    self.ring_when_relieved();
                }
                Action::Send => self.send(),
                Action::AwaitReceipts(wait) => self.receipts(wait),
                Action::Disconnect => {
                    let error = TransportError::new(
                        ErrorKind::Timeout,
                        "the peer took frames but did not acknowledge them in time; they will be sent again",
                    );
                    self.close();
                    self.report_failure(error);
                }
                Action::Rebuild => {
                    tracing::warn!(sink = self.sink, "telemetry_worker_resumed");
                    self.rebuild();
                }
                Action::Revert => {
                    if let Some(why) = self.seat.revert() {
                        tracing::error!(sink = self.sink, error = why, "telemetry_transport_rolled_back");
                    }
                    self.rebuild();
                }
                Action::Finish => self.finish(),
                Action::Exit => {
                    // First: closing may take as long as a send, and nothing depends on it.
                    if !planted::is("who waits for the end is not told") {
                        self.seat.room().ring_room();
                    }
                    self.close();
                    return;
                }
            }
        }
    }

    fn with_machine<R>(&self, f: impl FnOnce(&mut Machine) -> R) -> R {
        let mut state = self.seat.lock();
        f(self.seat.machine(&mut state))
    }

    /// What to do next; a wait is over when this returns.
    fn next_action(&self) -> Action {
        let mut state = self.seat.lock();
        // Once a round: hosts that evict without rest must not keep this thread from its work.
        let evicted = self.seat.machine(&mut state).take_graveyard();
        if !evicted.is_empty() {
            drop(state);
            drop(evicted);
            state = self.seat.lock();
        }
        let now = self.seat.now();
        let action = self.seat.machine(&mut state).poll(now);
        // Here and nowhere else: whatever this thread did last may have made room for what the spooler has.
        if let Some(spooler) = self.seat.spooler()
            && self.seat.machine(&mut state).wants_spooler()
            && !planted::is("the spooler does not hear of room in memory")
        {
            spooler.ring_work();
        }
        if let Action::Wait(until) = action {
            drop(self.seat.bells().wait_for_work(state, until.saturating_sub(now)));
        }
        action
    }

    /// Runs `call` on the transport, building one where there is none. A panic
    /// comes back as its message, and the transport it came from is discarded.
    fn guarded<T>(
        &mut self,
        call: impl FnOnce(&mut dyn Transport, &[Frame]) -> Result<T, SendError>,
    ) -> Guarded<Result<T, SendError>> {
        let batch = self.hands.lines();
        let (transport, make) = (&mut self.transport, &mut self.make);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let transport = match transport {
                Some(open) => open,
                empty => empty.insert(make()?),
            };
            call(transport.as_mut(), batch)
        }));
        outcome.map_err(|panic| {
            self.discard_transport();
            panic_message(panic.as_ref())
        })
    }

    fn send(&mut self) {
        let connected = match self.guarded(|t, _| t.connect().map_err(SendError::from)) {
            Ok(Ok(connected)) => connected,
            Ok(Err(e)) => return self.report_failure(e.error),
            Err(message) => return self.report_panic(&message),
        };
        if connected.fresh {
            self.hands.forget_peer();
            if self.lose_flight("the connection was replaced") {
                return;
            }
        }
        if let Err(error) = self.with_machine(|m| m.connected(&connected)) {
            self.close();
            return self.report_failure(error);
        }
        let started = self.take();
        if connected.fresh {
            tracing::info!(sink = self.sink, peer = connected.peer, tls = connected.tls, level = %connected.level,
                "telemetry_transport_connected");
        }
        let Some(newest) = self.hands.batch().last().map(Frame::tick) else { return };
        if self.hands.render() {
            let mut state = self.seat.lock();
            self.hands.note_rendered(self.seat.machine(&mut state));
        }
        let result = self.guarded(|t, batch| t.send(batch));
        self.hands.drop_lines();
        let now = self.seat.now();
        match result {
            Ok(Ok(Outcome::Pending)) => {
                self.hands.sent();
                self.pending_took = now.saturating_sub(started);
                self.with_machine(|m| m.pending(now));
            }
            // The books settle in the order of sending; nothing can overtake what is unacknowledged.
            Ok(Ok(_)) if !self.hands.flight().is_empty() => {
                self.close();
                self.lose_flight("a batch settled before the unacknowledged ones that were sent earlier");
            }
            Ok(Ok(outcome)) => {
                let level = if let Outcome::Settled(level) = outcome { level } else { connected.level };
                let frames = self.hands.batch().len();
                self.with_machine(|m| m.delivered(now, frames, level, newest, now.saturating_sub(started)));
                self.hands.settled(frames);
            }
            Ok(Err(SendError { settled, refused, error })) => {
                let in_order = self.hands.flight().is_empty();
                let settled = if in_order { settled.min(self.hands.batch().len()) } else { 0 };
                if let Some(tick) = self.hands.settled(settled) {
                    let took = now.saturating_sub(started);
                    self.with_machine(|m| m.delivered(now, settled, connected.level, tick, took));
                }
                if error.kind().is_about_frame() && !self.hands.batch().is_empty() {
                    self.report_rejection(refused, &error);
                } else {
                    self.report_failure(error);
                }
            }
            Err(message) => self.report_panic(&message),
        }
        self.ring_when_relieved();
    }

    /// Takes the next batch; returns when.
    fn take(&mut self) -> Duration {
        loop {
            let mut state = self.seat.lock();
            if !self.hands.take(self.seat.machine(&mut state)) {
                return self.seat.now();
            }
            drop(state);
            let_hosts_in();
        }
    }

    fn receipts(&mut self, wait: Duration) {
        let started = self.seat.now();
        let result = self.guarded(|t, _| t.receipts(wait).map_err(SendError::from));
        let now = self.seat.now();
        match result {
            Ok(Ok(n)) => {
                if let Some((n, tick)) = self.hands.acknowledged(n) {
                    let took = self.pending_took;
                    self.with_machine(|m| {
                        let level = m.level();
                        m.delivered(now, n, level, tick, took);
                    });
                    self.ring_when_relieved();
                } else if now.saturating_sub(started) < wait.min(LEAST_WAIT) {
                    // A transport that does not wait must not make this thread spin.
                    drop(self.seat.bells().wait_for_work(self.seat.lock(), LEAST_WAIT));
                }
            }
            Ok(Err(e)) if e.error.kind().is_about_frame() && !self.hands.flight().is_empty() => {
                // The oldest unsettled frame is at fault. Which receipts follow on this
                // connection is uncertain, so the others are sent again on another.
                self.close();
                self.hands.recall();
                self.report_rejection(1, &e.error);
                self.seat.room().ring_room();
            }
            Ok(Err(e)) => self.report_failure(e.error),
            Err(message) => self.report_panic(&message),
        }
    }

    /// Takes back what no receipt will come for. False where there is nothing.
    fn lose_flight(&mut self, why: &str) -> bool {
        if self.hands.flight().is_empty() {
            return false;
        }
        let message = format!("{why}; frames without an acknowledgement will be sent again");
        self.report_failure(TransportError::new(ErrorKind::Disconnected, message));
        true
    }

    /// Wakes the hosts that wait, once a quarter of the queue is free or
    /// [`RING_EVERY`] has passed: woken for every batch of a fast sink they would
    /// do little more than wake and wait.
    fn ring_when_relieved(&mut self) {
        let room = self.seat.room();
        if !room.room_is_awaited() {
            return;
        }
        let now = self.seat.now();
        if now >= self.rung_at.saturating_add(RING_EVERY) || self.with_machine(|m| m.is_relieved()) {
            self.rung_at = now;
            self.seat.room().ring_room();
        }
    }

    fn report_failure(&mut self, error: TransportError) {
        let unsettled = self.hands.let_go();
        let frames = unsettled.len();
        let now = self.seat.now();
        let (pause, failures) =
            self.with_machine(|m| (m.failed(now, unsettled, &error), m.status().consecutive_send_failures));
        if let Some(pause) = pause {
            tracing::warn!(sink = self.sink, kind = error.kind().as_str(), attempt = failures, frames,
                pause_ms = pause.as_millis() as u64, error = %error, "telemetry_transport_retry");
        } else {
            tracing::info!(sink = self.sink, error = %error, "telemetry_sink_closed");
            self.close();
        }
        self.seat.room().ring_room();
    }

    /// The peer will never take the `refused` first frames of the batch, at least one.
    fn report_rejection(&mut self, refused: usize, error: &TransportError) {
        let (heads, rest) = self.hands.reject(refused);
        let (Some(head), Some(last)) = (heads.first(), heads.last()) else { return };
        let (now, newest) = (self.seat.now(), last.tick());
        tracing::warn!(sink = self.sink, stream = head.label().stream(), seq = head.seq(), frames = heads.len(),
            error = %error, "telemetry_frame_rejected");
        self.keep_refused(&heads, error);
        self.with_machine(|m| m.refused(now, heads.len(), newest, rest, error));
    }

    /// Hands what is refused to whoever keeps such frames.
    fn keep_refused(&self, refused: &[Frame], error: &TransportError) {
        let Some(keeper) = &self.dead_letters else { return };
        let refusal = Refusal { sink: &self.sink, reason: DropReason::of_refusal(error.kind()), error };
        let kept = catch_unwind(AssertUnwindSafe(|| {
            let whole: Vec<Frame> = refused.iter().map(Frame::whole).collect();
            keeper.keep(&refusal, &whole);
        }));
        if let Err(panic) = kept {
            let message = panic_message(panic.as_ref());
            tracing::error!(sink = self.sink, panic = message, "telemetry_dead_letters_panicked");
        }
    }

    fn report_panic(&mut self, message: &str) {
        let unsettled = self.hands.let_go();
        let now = self.seat.now();
        let goes_on = self.with_machine(|m| m.panicked(now, unsettled, message));
        if goes_on {
            tracing::error!(sink = self.sink, panic = message, "telemetry_worker_restarted");
        } else {
            tracing::error!(sink = self.sink, panic = message, "telemetry_worker_parked");
        }
        self.seat.room().ring_room();
    }

    fn rebuild(&mut self) {
        self.close();
        self.discard_transport();
        // No failure: it is sent again by the next one.
        let unsettled = self.hands.let_go();
        self.with_machine(|m| m.taken_back(unsettled));
    }

    fn finish(&mut self) {
        if self.transport.is_some()
            && let Ok(Err(e)) = self.guarded(|t, _| t.flush().map_err(SendError::from))
        {
            tracing::warn!(sink = self.sink, error = %e.error, "telemetry_flush_failed");
        }
        self.close();
        // Who waits for the end hears of it with the next action.
        self.with_machine(Machine::finished);
    }

    fn close(&mut self) {
        self.hands.forget_peer();
        if self.transport.is_some() {
            let _ = self.guarded(|t, _| {
                t.close();
                Ok(())
            });
        }
    }

    /// Drops the transport, whatever its destructor does.
    fn discard_transport(&mut self) {
        self.hands.forget_peer();
        let transport = self.transport.take();
        let _ = catch_unwind(AssertUnwindSafe(move || drop(transport)));
    }
}
