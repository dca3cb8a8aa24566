//! The way in: an event against every sink's bounds and policy, under the lock.

use std::sync::MutexGuard;

use townlet_schema::{Kind, LineExtra, Payload};
use townlet_worker::{Admitted, DropReason, Route, Sink};

use crate::error::EmitError;
use crate::intake::{Form, Intake, Remains, Routes, Token};
use crate::lane::Item;
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

/// An event that asks to be let in.
#[derive(Clone, Copy)]
struct Offer {
    stream: u32,
    kind: Kind,
    tick: u64,
    weight: usize,
}

impl Offer {
    /// Its place in the order of all streams, once it is let in.
    fn token(self, form: Form, seq: u64, routes: Routes) -> Token {
        let Self { stream, tick, weight, .. } = self;
        Token { stream, form, seq, tick, weight, routes }
    }
}

/// What is put into the intake once an event is let in.
trait Entry {
    fn enter(self, state: &mut State, offer: Offer, seq: u64, routes: Routes);
}

/// An item of the stream's lane.
struct InLane<T>(Item<T>);

impl<T: Payload> Entry for InLane<T> {
    // A call here would cost more than what it does: the value would be moved once more.
    #[inline(always)]
    fn enter(self, state: &mut State, offer: Offer, seq: u64, routes: Routes) {
        state.intake.put(offer.token(Form::Lane, seq, routes), self.0);
    }
}

/// The same for an event that somebody waits for: the function sees the sinks that keep it, before anything happens
/// to it.
struct Watched<T, W>(Item<T>, W);

impl<T: Payload, W: FnOnce(&mut [Sink], Routes, u64)> Entry for Watched<T, W> {
    fn enter(self, state: &mut State, offer: Offer, seq: u64, routes: Routes) {
        self.1(state.sinks.all(), routes, seq);
        InLane(self.0).enter(state, offer, seq, routes);
    }
}

/// A body that was encoded from the stream's type, which is copied.
struct Body<'a>(&'a [u8]);

impl Entry for Body<'_> {
    fn enter(self, state: &mut State, offer: Offer, seq: u64, routes: Routes) {
        let (Self(body), State { intake, streams, .. }) = (self, state);
        let info = streams.get(offer.stream);
        // A type may be written as something else than an object: the stage deals with that.
        let form = if info.passes && body.starts_with(b"{") {
            let write =
                |chunk: &mut Vec<u8>| info.prefix.write_line(seq, offer.tick, LineExtra::default(), body, chunk);
            Form::Line(intake.arena.write(offer.weight, write))
        } else {
            Form::Body(intake.arena.write(body.len(), |chunk| chunk.extend_from_slice(body)))
        };
        intake.push(offer.token(form, seq, routes));
    }
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
        self.let_in(Offer { stream, kind: T::KIND, tick, weight }, false, InLane(item))
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
        self.let_in(Offer { stream, kind: T::KIND, tick, weight }, true, Watched(item, watch))
    }

    /// The same for one that was encoded from the stream's type, at most
    /// [`LONGEST_PIECE`](crate::arena::LONGEST_PIECE) bytes, which are copied.
    pub(crate) fn emit_body(&self, stream: u32, tick: u64, kind: Kind, body: &[u8]) -> Result<Emitted, EmitError> {
        self.let_in(Offer { stream, kind, tick, weight: body.len() + ENVELOPE_WEIGHT }, false, Body(body))
    }

    /// Every way in: the event gets its number, every sink decides, or has, and where some take it, it enters.
    #[inline]
    fn let_in(&self, offer: Offer, is_awaited: bool, entry: impl Entry) -> Result<Emitted, EmitError> {
        let mut state = self.lock_to_emit();
        let Some(routes) = state.sinks.admit_on_credit(offer.stream, offer.tick, offer.weight) else {
            return self.let_in_asked(state, offer, is_awaited, entry);
        };
        let seq = state.streams.next_seq(offer.stream);
        entry.enter(&mut state, offer, seq, routes);
        self.wake_stage(&mut state, offer.tick, is_awaited);
        Ok(Emitted { seq, dropped: None })
    }

    /// The same where there is no credit.
    #[inline(never)]
    fn let_in_asked(
        &self,
        state: MutexGuard<'_, State>,
        offer: Offer,
        is_awaited: bool,
        entry: impl Entry,
    ) -> Result<Emitted, EmitError> {
        // Declared before the guard, so dropped after it: a destructor may take long.
        let mut remains = Remains::new();
        let mut state = self.with_room(state, offer.weight);
        if state.closed {
            return Err(EmitError::Closed);
        }
        let seq = state.streams.next_seq(offer.stream);
        let (routes, dropped) = state.admit(offer, &mut remains);
        if routes == Routes::NOWHERE {
            return Ok(Emitted { seq, dropped });
        }
        // Whoever is woken waits for this lock, and so for the event.
        self.wake_worker(&mut state);
        state.sinks.renew_credit(offer.stream, offer.kind);
        entry.enter(&mut state, offer, seq, routes);
        self.wake_stage(&mut state, offer.tick, is_awaited);
        Ok(Emitted { seq, dropped: None })
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
    fn admit(&mut self, offer: Offer, remains: &mut Remains) -> (Routes, Option<DropReason>) {
        let mut routes = Routes::NOWHERE;
        let mut dropped = None;
        for (index, sink) in self.sinks.concerned(offer.kind) {
            match admit(index, sink, &mut self.intake, offer) {
                Ok(route) => routes.set(index, Some(route)),
                Err(reason) => dropped = Some(reason),
            }
        }
        self.intake.take_remains(remains);
        (routes, dropped)
    }
}

/// One sink's verdict on one event: where it goes, or why it does not.
fn admit(index: usize, sink: &mut Sink, intake: &mut Intake, offer: Offer) -> Result<Route, DropReason> {
    let Offer { stream, tick, weight, .. } = offer;
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
