//! The way in: an event against every sink's bounds and policy, under the lock.

use std::sync::MutexGuard;

use townlet_schema::{Kind, LineExtra, Payload};
use townlet_worker::{Admitted, DropReason, Route, Sink};

use crate::error::EmitError;
use crate::intake::{Form, Intake, Remains, Routes, Token};
use crate::lane::{Item, Lane};
use crate::shared::{Shared, State};
use crate::stream::ENVELOPE_WEIGHT;

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

/// What the sinks decided about an event.
enum Way<'a> {
    /// Some take it under this number: it has to go into the intake.
    In(MutexGuard<'a, State>, u64, Routes),
    /// None keeps it.
    Nowhere(Emitted),
}

impl Shared {
    /// Takes an event over: bounded work, except where a sink's policy is
    /// `block`, which waits for room at most its timeout, in all.
    pub(crate) fn emit<T: Payload>(
        &self,
        stream: u32,
        tick: u64,
        weight: usize,
        item: Item<T>,
    ) -> Result<Emitted, EmitError> {
        self.take_over::<T, fn(&mut [Sink], Routes, u64)>(stream, tick, weight, item, None)
    }

    /// The same for an event that somebody waits for: a dozing stage is woken. `watch` sees the sinks that keep
    /// it, before anything happens to it.
    pub(crate) fn emit_watched<T: Payload>(
        &self,
        stream: u32,
        tick: u64,
        weight: usize,
        item: Item<T>,
        watch: impl FnOnce(&mut [Sink], Routes, u64),
    ) -> Result<Emitted, EmitError> {
        self.take_over(stream, tick, weight, item, Some(watch))
    }

    // What these pass to each other fits into registers, and the token is made in its place: values that are written
    // in small parts and read back in large ones wait for all that was written before them.
    #[inline]
    fn take_over<T: Payload, W: FnOnce(&mut [Sink], Routes, u64)>(
        &self,
        stream: u32,
        tick: u64,
        weight: usize,
        item: Item<T>,
        watch: Option<W>,
    ) -> Result<Emitted, EmitError> {
        // Declared before the guard, so dropped after it: a destructor may take long.
        let mut remains = Remains::new();
        let (mut state, seq, routes) = match self.let_in(stream, tick, weight, T::KIND, &mut remains)? {
            Way::In(state, seq, routes) => (state, seq, routes),
            Way::Nowhere(emitted) => return Ok(emitted),
        };
        let is_awaited = watch.is_some();
        if let Some(watch) = watch {
            watch(state.sinks.all(), routes, seq);
        }
        state.intake.push(Token { stream, form: Form::Lane, seq, tick, weight, routes });
        if let Some(lane) = state.intake.lane(stream).as_any_mut().downcast_mut::<Lane<T>>() {
            lane.push(item);
        }
        self.wake_stage(&mut state, tick, is_awaited);
        Ok(Emitted { seq, dropped: None })
    }

    /// The same for one that was encoded from the stream's type, at most
    /// [`LONGEST_PIECE`](crate::arena::LONGEST_PIECE) bytes, which are copied.
    pub(crate) fn emit_body(&self, stream: u32, tick: u64, kind: Kind, body: &[u8]) -> Result<Emitted, EmitError> {
        let weight = body.len() + ENVELOPE_WEIGHT;
        let mut remains = Remains::new();
        let (mut state, seq, routes) = match self.let_in(stream, tick, weight, kind, &mut remains)? {
            Way::In(state, seq, routes) => (state, seq, routes),
            Way::Nowhere(emitted) => return Ok(emitted),
        };
        let State { intake, streams, .. } = &mut *state;
        let info = streams.get(stream);
        // A type may be written as something else than an object: the stage deals with that.
        let form = if info.passes && body.starts_with(b"{") {
            let write = |chunk: &mut Vec<u8>| info.prefix.write_line(seq, tick, LineExtra::default(), body, chunk);
            Form::Line(intake.arena.write(weight, write))
        } else {
            Form::Body(intake.arena.write(body.len(), |chunk| chunk.extend_from_slice(body)))
        };
        intake.push(Token { stream, form, seq, tick, weight, routes });
        self.wake_stage(&mut state, tick, false);
        Ok(Emitted { seq, dropped: None })
    }

    /// The first half of every way in: the event gets its number, and every sink decides, or has.
    #[inline]
    fn let_in<'a>(
        &'a self,
        stream: u32,
        tick: u64,
        weight: usize,
        kind: Kind,
        remains: &mut Remains,
    ) -> Result<Way<'a>, EmitError> {
        let mut state = self.lock_to_emit();
        if let Some(routes) = state.sinks.admit_on_credit(stream, tick, weight) {
            let seq = state.streams.next_seq(stream);
            return Ok(Way::In(state, seq, routes));
        }
        self.ask(state, stream, tick, weight, kind, remains)
    }

    /// Every sink is asked about the event.
    #[inline(never)]
    fn ask<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        stream: u32,
        tick: u64,
        weight: usize,
        kind: Kind,
        remains: &mut Remains,
    ) -> Result<Way<'a>, EmitError> {
        let mut state = self.with_room(state, weight);
        if state.closed {
            return Err(EmitError::Closed);
        }
        let seq = state.streams.next_seq(stream);
        let (routes, dropped) = state.admit(stream, tick, weight, kind, remains);
        if routes == Routes::NOWHERE {
            return Ok(Way::Nowhere(Emitted { seq, dropped }));
        }
        // Whoever is woken waits for this lock, and so for the event.
        self.wake_worker(&mut state);
        state.sinks.renew_credit(stream, kind);
        Ok(Way::In(state, seq, routes))
    }

    /// Under `block` waits for room in every such sink, or for its timeout.
    fn with_room<'a>(&'a self, mut state: MutexGuard<'a, State>, weight: usize) -> MutexGuard<'a, State> {
        if self.may_block && state.sinks.all().iter_mut().any(|sink| sink.must_wait(weight)) {
            return self.wait_for_room(state, weight);
        }
        state
    }

    /// Wakes the stage that has a thread of its own, if there is reason to.
    #[inline]
    fn wake_stage(&self, state: &mut State, tick: u64, is_awaited: bool) {
        if self.inline_stage {
            return;
        }
        let tick_ended = tick > state.newest_tick;
        state.newest_tick = state.newest_tick.max(tick);
        let is_due = tick_ended || is_awaited || self.tuning.stage_at_once() || state.intake.len() >= STAGE_HIGH_WATER;
        if state.stage_dozes && is_due {
            state.stage_dozes = false;
            self.stage_bell.ring_work();
        }
    }

    /// Wakes the only sink's worker, where it is the one that renders, if a batch is due.
    fn wake_worker(&self, state: &mut State) {
        if self.inline_stage && state.sinks.all()[0].machine(Route::Main).wants_wake() {
            self.bells[0][0].ring_work();
        }
    }

    /// Under `block`: until every such sink has room or its time is up. The
    /// times run together, so that the host waits for the longest, not the sum.
    fn wait_for_room<'a>(&'a self, mut state: MutexGuard<'a, State>, weight: usize) -> MutexGuard<'a, State> {
        let mut began = None;
        while !state.closed {
            let longest = state.sinks.all().iter_mut().filter_map(|sink| {
                let waits = sink.must_wait(weight);
                waits.then(|| sink.main().options().block_timeout)
            });
            let Some(longest) = longest.max() else { break };
            let now = self.now();
            let waited = now.saturating_sub(*began.get_or_insert(now));
            if waited >= longest {
                break;
            }
            for bells in &self.bells {
                bells[0].ring_work();
            }
            self.stage_bell.ring_work();
            self.ring_spoolers(state.sinks.all());
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
        let state = &mut *state;
        let kind = state.streams.get(stream).kind;
        for (_, sink) in state.sinks.concerned(kind) {
            sink.machine(Route::Main).refuse(stream, reason);
        }
        Ok(Emitted { seq, dropped: Some(reason) })
    }
}

impl State {
    /// Every sink's verdict on one event: where it goes, and where a sink does not keep it, why.
    fn admit(
        &mut self,
        stream: u32,
        tick: u64,
        weight: usize,
        kind: Kind,
        remains: &mut Remains,
    ) -> (Routes, Option<DropReason>) {
        let mut routes = Routes::NOWHERE;
        let mut dropped = None;
        for (index, sink) in self.sinks.concerned(kind) {
            match admit(index, sink, &mut self.intake, stream, tick, weight) {
                Ok(route) => routes.set(index, Some(route)),
                Err(reason) => dropped = Some(reason),
            }
        }
        self.intake.take_remains(remains);
        (routes, dropped)
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
                Some(token) => sink.machine(Route::Main).drop_upstream(token.stream, token.seq, token.weight, reason),
                None => {
                    // All that the sink holds is in the hands of the stage or the transport.
                    sink.machine(Route::Main).refuse(stream, reason);
                    return Err(reason);
                }
            },
        }
    }
}
