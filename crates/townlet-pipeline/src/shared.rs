//! The state behind one lock: intake, sinks and stream numbering.
//!
//! The lock is held for bounded work only: never for I/O, never for a transform.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use townlet_schema::Payload;
use townlet_transform::Validator;
use townlet_transport::Frame;
use townlet_worker::driver::{Bells, Seat};
use townlet_worker::{Admitted, Backpressure, DropReason, Machine, Route, Sink, Statement};

use crate::error::EmitError;
use crate::intake::{Intake, Remains, Routes, Token};
use crate::lane::{Item, Lane};
use crate::stage::Stage;
use crate::streams::Streams;

/// Tokens at which a dozing stage is woken although no tick has ended.
const STAGE_HIGH_WATER: usize = 256;

/// What became of an event that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Emitted {
    /// Its place in its stream, from 1.
    pub seq: u64,
    /// Set where no sink keeps it; it is counted there under this reason.
    pub dropped: Option<DropReason>,
}

pub(crate) struct State {
    pub(crate) intake: Intake,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) streams: Streams,
    pub(crate) closed: bool,
    stage_dozes: bool,
    newest_tick: u64,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    stage: Mutex<Stage>,
    /// Per sink: main worker, extra lane.
    bells: Vec<[Bells; 2]>,
    stage_bell: Bells,
    /// Where hosts wait for room, and `shutdown` for the end.
    room: Bells,
    /// True where the only sink's driver runs the stage.
    inline_stage: bool,
    start: Instant,
    /// True where some sink's policy is `block`.
    may_block: bool,
    /// The largest `max_buffer_bytes` of the sinks.
    largest_bound: usize,
    /// The chain's validator of mode `raise`.
    raising: Option<Arc<Validator>>,
    /// How long the separate stage may let events wait for more.
    stage_doze: Duration,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("sinks", &self.bells.len()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(sinks: Vec<Sink>, streams: Streams, stage: Stage, inline_stage: bool) -> Self {
        let options = || sinks.iter().map(|s| s.main().options());
        let may_block = options().any(|o| o.backpressure == Backpressure::Block);
        let shortest_flush = options().map(|o| o.flush_interval).min().unwrap_or_default();
        Self {
            bells: sinks.iter().map(|_| <[Bells; 2]>::default()).collect(),
            stage_bell: Bells::default(),
            room: Bells::default(),
            inline_stage,
            start: Instant::now(),
            may_block,
            largest_bound: options().map(|o| o.max_buffer_bytes).max().unwrap_or_default(),
            raising: stage.raising(),
            stage_doze: (shortest_flush / 4).clamp(Duration::from_millis(1), Duration::from_millis(100)),
            stage: Mutex::new(stage),
            state: Mutex::new(State {
                intake: Intake::default(),
                sinks,
                streams,
                closed: false,
                stage_dozes: false,
                newest_tick: 0,
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be a bug of ours; the counters stay usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The validator that runs in `emit`.
    pub(crate) fn raising(&self) -> Option<Arc<Validator>> {
        self.raising.clone()
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Nothing heavier than this fits into any sink.
    pub(crate) fn largest_bound(&self) -> usize {
        self.largest_bound
    }

    /// Takes an event over: bounded work, except where a sink's policy is
    /// `block`, which waits for room at most its timeout, in all.
    pub(crate) fn emit<T: Payload>(
        &self,
        stream: u32,
        tick: u64,
        weight: usize,
        item: Item<T>,
    ) -> Result<Emitted, EmitError> {
        // Declared before the guard, so dropped after it: a destructor may take long.
        let _remains: Remains;
        let mut state = self.lock();
        if self.may_block {
            state = self.wait_for_room(state, weight);
        }
        let state = &mut *state;
        if state.closed {
            return Err(EmitError::Closed);
        }
        let seq = state.streams.next_seq(stream);
        let mut routes = Routes::NOWHERE;
        let mut dropped = None;
        for (index, sink) in state.sinks.iter_mut().enumerate() {
            match admit(index, sink, &mut state.intake, stream, tick, weight) {
                Ok(route) => routes.set(index, Some(route)),
                Err(reason) => dropped = Some(reason),
            }
        }
        _remains = state.intake.take_remains();
        if routes == Routes::NOWHERE {
            return Ok(Emitted { seq, dropped });
        }
        state.intake.push(Token { stream, seq, tick, weight, routes });
        if let Some(lane) = state.intake.lane(stream).as_any_mut().downcast_mut::<Lane<T>>() {
            lane.push(item);
        }
        self.wake_for(state, tick);
        Ok(Emitted { seq, dropped: None })
    }

    /// Wakes whoever turns events into frames, if there is reason to.
    fn wake_for(&self, state: &mut State, tick: u64) {
        if self.inline_stage {
            if state.sinks[0].machine(Route::Main).wants_wake() {
                self.bells[0][0].ring_work();
            }
        } else {
            let tick_ended = tick > state.newest_tick;
            state.newest_tick = state.newest_tick.max(tick);
            if state.stage_dozes && (tick_ended || state.intake.len() >= STAGE_HIGH_WATER) {
                state.stage_dozes = false;
                self.stage_bell.ring_work();
            }
        }
    }

    /// Under `block`: until every such sink has room or its time is up. The
    /// times run together, so that the host waits for the longest, not the sum.
    fn wait_for_room<'a>(&'a self, mut state: MutexGuard<'a, State>, weight: usize) -> MutexGuard<'a, State> {
        let mut began = None;
        while !state.closed {
            let full = state.sinks.iter().filter(|s| s.must_wait(weight)).map(|s| s.main().options().block_timeout);
            let Some(longest) = full.max() else { break };
            let now = self.now();
            let waited = now.saturating_sub(*began.get_or_insert(now));
            if waited >= longest {
                break;
            }
            for bells in &self.bells {
                bells[0].ring_work();
            }
            self.stage_bell.ring_work();
            state = self.room.wait_for_room(state, longest - waited);
        }
        state
    }

    /// Accepts an event only to drop it, on every sink's books.
    pub(crate) fn refuse(&self, stream: u32, reason: DropReason) -> Result<Emitted, EmitError> {
        let mut state = self.lock();
        if state.closed {
            return Err(EmitError::Closed);
        }
        let seq = state.streams.next_seq(stream);
        for sink in &mut state.sinks {
            sink.machine(Route::Main).refuse(stream, reason);
        }
        Ok(Emitted { seq, dropped: Some(reason) })
    }

    /// Turns some admitted events into frames; returns a transform's panic.
    pub(crate) fn refill(&self) -> Option<String> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let stage = &mut *stage;
        {
            let mut state = self.lock();
            let state = &mut *state;
            stage.pick(&mut state.intake, state.streams.infos());
        }
        stage.render();
        let mut state = self.lock();
        let state = &mut *state;
        for (token, outcome) in stage.rendered() {
            if state.intake.pop_hand().is_none() {
                // Shutdown settled what was in hand; these frames go nowhere.
                break;
            }
            settle(&mut state.sinks, &token, outcome);
        }
        if !self.inline_stage {
            for (sink, bells) in state.sinks.iter_mut().zip(&self.bells) {
                for (route, bell) in [Route::Main, Route::Lane].into_iter().zip(bells) {
                    let machine = sink.machine(route);
                    // A worker that is draining sleeps until its deadline while there is nothing it can send.
                    if state.closed || machine.wants_wake() {
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
                for sink in &mut self.lock().sinks {
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
            if state.closed && (idle || state.sinks.iter().all(Sink::is_finished)) {
                return false;
            }
            // After too many panics: nobody would send what it makes, and the chain gets its rest.
            let parked = !state.closed && state.sinks.iter().all(|s| s.main().is_parked());
            if !idle && !parked {
                return true;
            }
            state.stage_dozes = !parked;
            state = self.stage_bell.wait_for_work(state, self.stage_doze);
            state.stage_dozes = false;
        }
    }

    /// Makes everything due, and waits until nothing is buffered or `timeout` is
    /// over; true where nothing is.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        let deadline = self.now() + timeout;
        let mut state = self.lock();
        loop {
            if state.sinks.iter().all(|s| s.statement().buffered == 0) {
                return true;
            }
            let now = self.now();
            if now >= deadline {
                return false;
            }
            state.sinks.iter_mut().flat_map(Sink::machines).for_each(|m| m.press());
            self.ring_all();
            // A batch that was just taken has used up the press: look again soon.
            state = self.room.wait_for_room(state, (deadline - now).min(Duration::from_millis(20)));
        }
    }

    /// Refuses further events and lets the workers drain until `deadline`.
    pub(crate) fn close(&self, state: &mut State, deadline: Duration) {
        state.closed = true;
        let now = self.now();
        state.sinks.iter_mut().flat_map(Sink::machines).for_each(|m| m.shutdown(now, deadline));
        self.ring_all();
    }

    /// Settles whatever is left, by name, without waiting for anybody.
    pub(crate) fn abandon(&self, state: &mut State) {
        state.sinks.iter_mut().flat_map(Sink::machines).for_each(Machine::abandon);
        for token in state.intake.drain() {
            for (index, sink) in state.sinks.iter_mut().enumerate() {
                if let Some(route) = token.routes.get(index) {
                    sink.machine(route).drop_upstream(token.stream, token.weight, DropReason::UndeliveredAtShutdown);
                }
            }
        }
    }

    /// Closes, waits until every worker has ended or `timeout` is over, settles
    /// the rest and returns the books by sink.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Vec<Statement> {
        let deadline = self.now().saturating_add(timeout);
        let mut state = self.lock();
        self.close(&mut state, deadline);
        while !state.sinks.iter().all(Sink::is_finished) {
            let now = self.now();
            if now >= deadline {
                break;
            }
            state = self.room.wait_for_room(state, deadline - now);
        }
        self.abandon(&mut state);
        let statements = state.sinks.iter().map(Sink::statement).collect();
        drop(state);
        self.ring_all();
        statements
    }

    fn ring_all(&self) {
        for bell in self.bells.iter().flatten() {
            bell.ring_work();
        }
        self.stage_bell.ring_work();
        self.room.ring_room();
    }
}

/// One sink's verdict on one event: where it goes, or why it does not.
fn admit(
    index: usize,
    sink: &mut Sink,
    intake: &mut Intake,
    stream: u32,
    tick: u64,
    weight: usize,
) -> Result<Route, DropReason> {
    let mut waited = false;
    loop {
        let admitted =
            if waited { sink.admit_after_timeout(stream, tick, weight) } else { sink.admit(stream, tick, weight) };
        let reason = if waited { DropReason::BlockTimeout } else { DropReason::Backpressure };
        match admitted {
            Admitted::Upstream(route) => return Ok(route),
            Admitted::Dropped(reason) => return Err(reason),
            Admitted::Full => waited = true,
            Admitted::EvictUpstream => match intake.evict_for(index) {
                Some(token) => sink.machine(Route::Main).drop_upstream(token.stream, token.weight, reason),
                None => {
                    // All that the sink holds is in the hands of the stage or the transport.
                    sink.machine(Route::Main).refuse(stream, reason);
                    return Err(reason);
                }
            },
        }
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
                machine.fill(token.stream, token.weight, frame.clone());
            }
            first.fill(token.stream, token.weight, frame);
        }
        Err(reason) => routed.for_each(|machine| machine.drop_upstream(token.stream, token.weight, reason)),
    }
}

/// One worker's place.
pub(crate) struct SinkSeat {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sink: usize,
    pub(crate) route: Route,
}

impl Seat for SinkSeat {
    type State = State;

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    fn machine<'a>(&self, state: &'a mut State) -> &'a mut Machine {
        state.sinks[self.sink].machine(self.route)
    }

    fn bells(&self) -> &Bells {
        &self.shared.bells[self.sink][usize::from(self.route == Route::Lane)]
    }

    fn room(&self) -> &Bells {
        &self.shared.room
    }

    fn now(&self) -> Duration {
        self.shared.now()
    }

    fn refill(&self) -> Option<String> {
        self.shared.refill()
    }
}
