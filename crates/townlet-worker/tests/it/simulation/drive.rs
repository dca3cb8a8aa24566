//! A driver under virtual time, with a peer that misbehaves.

use std::collections::VecDeque;
use std::time::Duration;

use townlet_transport::{Connected, ErrorKind, Frame, Level};
use townlet_worker::{Action, DropReason, Route};

use super::world::{Fate, STREAMS, World, stream_of};
use crate::fakes::{error, ms};

/// A call of the transport that is going on.
struct Call {
    ends: Duration,
    kind: CallKind,
    ends_well: bool,
}

enum CallKind {
    Connect,
    Send(Vec<Frame>),
    Receipts,
    Flush,
}

pub(super) struct Driver {
    pub(super) route: Route,
    pub(super) woken: bool,
    pub(super) exited: bool,
    sleeps_until: Duration,
    call: Option<Call>,
    /// Sent and unacknowledged.
    flight: VecDeque<Frame>,
    /// Receipts on their way: when, and for how many frames.
    receipts: VecDeque<(Duration, usize)>,
    /// The newest seq delivered, by stream.
    newest: [u64; STREAMS],
}

const STUCK: Duration = Duration::from_secs(1 << 40);

impl Driver {
    pub(super) fn new(route: Route) -> Self {
        Self {
            route,
            woken: false,
            exited: false,
            sleeps_until: Duration::ZERO,
            call: None,
            flight: VecDeque::new(),
            receipts: VecDeque::new(),
            newest: [0; STREAMS],
        }
    }

    /// Calls that are stuck end, well.
    pub(super) fn heal(&mut self, now: Duration) {
        if let Some(call) = &mut self.call {
            call.ends = call.ends.min(now + ms(100));
            call.ends_well = true;
        }
    }

    /// Calls that are stuck end, somehow.
    pub(super) fn release(&mut self, now: Duration) {
        if let Some(call) = &mut self.call {
            call.ends = call.ends.min(now);
        }
        self.woken = true;
    }

    /// The frames it holds while its machine has ended: settled without it.
    pub(super) fn let_go(&mut self) -> Vec<Frame> {
        let mut frames: Vec<Frame> = self.flight.drain(..).collect();
        if let Some(Call { kind: CallKind::Send(batch), .. }) = &mut self.call {
            frames.append(batch);
        }
        frames
    }

    fn unsettled(&mut self, batch: Vec<Frame>) -> Vec<Frame> {
        self.receipts.clear();
        self.flight.drain(..).chain(batch).collect()
    }
}

impl World {
    pub(super) fn drive_one(&mut self, index: usize) {
        let spurious = self.rng.chance(5);
        let driver = &mut self.drivers[index];
        if driver.exited {
            return;
        }
        if let Some(call) = driver.call.take() {
            if call.ends > self.now {
                driver.call = Some(call);
            } else {
                self.end_call(index, call);
            }
            return;
        }
        if self.now < driver.sleeps_until && !driver.woken && !spurious {
            return;
        }
        driver.woken = false;
        driver.sleeps_until = Duration::ZERO;
        let (now, route) = (self.now, driver.route);
        let action = self.sink.machine(route).poll(now);
        self.note(|| format!("{route:?} {action:?}"));
        match action {
            Action::Wait(until) => {
                assert!(until > now, "a driver that is told to wait until now spins");
                self.drivers[index].sleeps_until = until;
            }
            Action::Refill => {
                assert!(self.sink.machine(route).upstream() > 0, "nothing to refill from");
                self.run_stage(None);
                if self.rng.chance(self.faults / 10) {
                    self.meet("stage panicked");
                    self.sink.machine(route).stage_panicked(now, "stage");
                }
            }
            Action::Send => self.begin(index, CallKind::Connect),
            Action::AwaitReceipts(wait) => {
                assert!(wait >= ms(1), "a driver that waits for no time spins");
                let next = self.drivers[index].receipts.front().map_or(now + wait, |(at, _)| (*at).max(now));
                self.begin(index, CallKind::Receipts);
                if let Some(call) = &mut self.drivers[index].call {
                    call.ends = call.ends.max(next.min(now + wait));
                }
            }
            Action::Disconnect => {
                self.meet("disconnect");
                self.fail(index, Vec::new(), ErrorKind::Timeout);
            }
            Action::Rebuild | Action::Revert => {
                self.meet("rebuild");
                // As the thread does: what the old transport had not acknowledged is lost with it.
                if !self.drivers[index].flight.is_empty() {
                    self.fail(index, Vec::new(), ErrorKind::Disconnected);
                }
            }
            Action::Finish => {
                assert_eq!(self.sink.machine(route).statement().buffered, 0, "finished with something left");
                self.begin(index, CallKind::Flush);
            }
            Action::Exit => {
                let machine = self.sink.machine(route);
                assert_eq!(machine.statement().buffered, machine.upstream() as u64, "frames are left");
                if machine.statement().account.dropped_for(DropReason::UndeliveredAtShutdown) > 0 {
                    self.meet("abandoned by the driver");
                }
                self.drivers[index].exited = true;
            }
        }
    }

    fn begin(&mut self, index: usize, kind: CallKind) {
        let mut takes = Duration::from_micros(if self.rng.chance(90) { 0 } else { self.rng.between(1, 90_000) });
        if !matches!(kind, CallKind::Receipts) && self.faults > 0 && self.rng.chance(1) {
            self.meet("call stuck");
            takes = STUCK;
        }
        let ends_well = !self.rng.chance(self.faults);
        self.drivers[index].call = Some(Call { ends: self.now + takes, kind, ends_well });
        if takes.is_zero() && self.rng.chance(80) {
            self.drive_one(index);
        }
    }

    fn end_call(&mut self, index: usize, call: Call) {
        let route = self.drivers[index].route;
        let before = self.sink.machine(route).is_finished().then(|| self.sink.statement());
        let ends_well = call.ends_well || (self.faults == 0 && before.is_none());
        match call.kind {
            CallKind::Connect => self.end_connect(index, ends_well),
            CallKind::Send(batch) => self.end_send(index, batch, ends_well),
            CallKind::Receipts => self.end_receipts(index, ends_well),
            CallKind::Flush => {
                self.meet("finished");
                self.sink.machine(route).finished();
            }
        }
        if let Some(before) = before {
            self.meet("late result");
            assert_eq!(self.sink.statement(), before, "a result after the end changed the books");
        }
    }

    fn end_connect(&mut self, index: usize, ends_well: bool) {
        let route = self.drivers[index].route;
        if !ends_well && self.rng.chance(30) {
            self.meet("connect failed");
            return self.fail(index, Vec::new(), ErrorKind::Unavailable);
        }
        let honest = if self.acked { Level::PeerAcked } else { Level::Sent };
        let level = if !ends_well && self.rng.chance(10) { Level::Sent } else { honest };
        let machine = self.sink.machine(route);
        if let Err(refused) = machine.connected(&Connected::reused("sim", level, false)) {
            self.meet("settle_at refused");
            return self.fail(index, Vec::new(), refused.kind());
        }
        let mut batch = Vec::new();
        machine.take(&mut batch);
        if batch.is_empty() {
            return;
        }
        assert!(batch.len() <= self.options.max_batch_size);
        self.begin(index, CallKind::Send(batch));
        if let Some(Call { ends_well: well, .. }) = &mut self.drivers[index].call {
            *well = ends_well;
        }
    }

    fn end_send(&mut self, index: usize, mut batch: Vec<Frame>, ends_well: bool) {
        let (now, route) = (self.now, self.drivers[index].route);
        if batch.is_empty() {
            // Its frames were settled at the end of the worker; the late result names none.
            self.sink.machine(route).delivered(now, 3, Level::Sent, 1, ms(1));
            return;
        }
        if ends_well && self.acked {
            self.meet("pending");
            self.plan_receipts(index, batch.len());
            self.drivers[index].flight.extend(batch);
            return self.sink.machine(route).pending(now);
        }
        if ends_well {
            return self.deliver(index, &batch, Level::Sent);
        }
        // Nothing of an acknowledged connection is certain before its receipt.
        let settled = if self.acked { 0 } else { self.rng.between(0, batch.len() as u64) as usize };
        if settled > 0 {
            self.meet("partly settled");
            let rest = batch.split_off(settled);
            self.deliver(index, &batch, Level::Sent);
            batch = rest;
        }
        match self.rng.between(0, 9) {
            0..=3 => self.fail(index, batch, ErrorKind::Timeout),
            4..=6 if !batch.is_empty() => {
                let kind = if self.rng.chance(50) { ErrorKind::Rejected } else { ErrorKind::TooLarge };
                self.meet("rejected");
                let rest = batch.split_off(1);
                self.sink.machine(route).rejected(now, batch[0].tick(), rest, &error(kind));
                self.frame_ended(&batch[0], Fate::Dropped);
            }
            4..=8 => self.panic(index, batch),
            _ if self.rng.chance(20) => {
                self.meet("closed");
                self.fail(index, batch, ErrorKind::Closed);
            }
            _ => self.fail(index, batch, ErrorKind::StorageFull),
        }
    }

    /// Receipts in time, late, in pieces, or never.
    fn plan_receipts(&mut self, index: usize, frames: usize) {
        let faulty = self.rng.chance(self.faults);
        if faulty && self.rng.chance(50) {
            return;
        }
        let latest = if faulty { 2 * self.options.ack_timeout } else { self.options.ack_timeout / 3 };
        let mut at = self.drivers[index].receipts.back().map_or(self.now, |(at, _)| *at).max(self.now);
        let mut left = frames;
        while left > 0 {
            let n = self.rng.between(1, left as u64) as usize;
            let micros = u64::try_from(latest.as_micros()).unwrap_or(u64::MAX) / 4;
            at += Duration::from_micros(self.rng.between(0, micros));
            self.drivers[index].receipts.push_back((at, n));
            left -= n;
        }
    }

    fn end_receipts(&mut self, index: usize, ends_well: bool) {
        if !ends_well && self.rng.chance(20) {
            self.meet("receipts failed");
            return if self.rng.chance(30) {
                self.panic(index, Vec::new())
            } else {
                self.fail(index, Vec::new(), ErrorKind::Disconnected)
            };
        }
        let driver = &mut self.drivers[index];
        let mut n = 0;
        while let Some((at, frames)) = driver.receipts.front().copied().filter(|(at, _)| *at <= self.now) {
            debug_assert!(at <= self.now);
            n += frames;
            driver.receipts.pop_front();
        }
        let frames: Vec<Frame> = driver.flight.drain(..n.min(driver.flight.len())).collect();
        if !frames.is_empty() {
            self.meet("receipts");
            self.deliver(index, &frames, Level::PeerAcked);
        }
    }

    fn deliver(&mut self, index: usize, frames: &[Frame], level: Level) {
        let driver = &mut self.drivers[index];
        for frame in frames {
            let newest = &mut driver.newest[stream_of(frame) as usize];
            assert!(frame.seq() > *newest, "out of order: {} after {newest}", frame.seq());
            *newest = frame.seq();
        }
        let (route, tick) = (driver.route, frames.last().map_or(0, Frame::tick));
        let now = self.now;
        self.sink.machine(route).delivered(now, frames.len(), level, tick, ms(1));
        for frame in frames {
            self.frame_ended(frame, Fate::Delivered);
        }
    }

    fn fail(&mut self, index: usize, batch: Vec<Frame>, kind: ErrorKind) {
        let driver = &mut self.drivers[index];
        let (route, unsettled) = (driver.route, driver.unsettled(batch));
        let pause = self.sink.machine(route).failed(self.now, unsettled, &error(kind));
        assert!(pause.is_none_or(|p| p <= self.options.max_backoff.max(ms(1))), "{pause:?}");
    }

    fn panic(&mut self, index: usize, batch: Vec<Frame>) {
        self.meet("panic");
        let driver = &mut self.drivers[index];
        let (route, unsettled) = (driver.route, driver.unsettled(batch));
        if !self.sink.machine(route).panicked(self.now, unsettled, "boom") {
            self.meet("parked");
        }
    }
}
