//! One sink's driver under simulated time, as its thread would do it, and the
//! peer and the network that it talks to.

use std::collections::VecDeque;
use std::time::Duration;

use townlet_pipeline::StateForm;
use townlet_transport::{Connected, ErrorKind, Frame, Level, TransportError};
use townlet_worker::driver::Hands;
use townlet_worker::{Action, Route, SpillMode};

use super::ground_truth::{Arriving, Id};
use super::plan::ms;
use super::world::World;

/// A call of the transport that is going on.
#[derive(Debug)]
struct Call {
    ends: Duration,
    kind: CallKind,
    ends_well: bool,
}

#[derive(Debug)]
enum CallKind {
    Connect,
    Send,
    Receipts,
    Flush,
}

const STUCK: Duration = Duration::from_secs(1 << 40);

/// What the thread of a sink knows.
#[derive(Debug, Default)]
pub(crate) struct Driver {
    pub(crate) woken: bool,
    pub(crate) exited: bool,
    sleeps_until: Duration,
    call: Option<Call>,
    /// What the real thread has in its hands as well.
    hands: Hands,
    /// There is a connection.
    open: bool,
    /// Receipts on their way: when, and for how many frames.
    receipts: VecDeque<(Duration, usize)>,
    /// The connection takes what it is given and brings nothing there.
    dead: bool,
    /// What the peer says does not come back.
    mute: bool,
    /// Frames that were settled, as far as a living machine was told.
    pub(crate) settled: u64,
}

fn error(kind: ErrorKind) -> TransportError {
    TransportError::new(kind, "simulated")
}

impl Driver {
    /// Calls that are stuck end soon.
    pub(crate) fn heal(&mut self, now: Duration) {
        if let Some(call) = &mut self.call {
            call.ends = call.ends.min(now + ms(50));
            call.ends_well = true;
        }
    }

    /// A driver of a sink that gets states in this form.
    pub(crate) fn new(form: StateForm) -> Self {
        Self { hands: Hands::new(form.encoder(Default::default())), ..Self::default() }
    }

    fn sends(&self) -> bool {
        matches!(self.call, Some(Call { kind: CallKind::Send, .. }))
    }

    /// What the transport has in its hands.
    pub(crate) fn flying(&self) -> Vec<Id> {
        let batch = if self.sends() { self.hands.batch() } else { &[] };
        self.hands.flight().iter().chain(batch).map(Id::of).collect()
    }

    /// The process ends in the middle of a call: what of a batch may get there yet.
    pub(crate) fn let_go(&mut self) -> Vec<Frame> {
        let cut = if self.sends() && !self.dead { self.hands.lines().to_vec() } else { Vec::new() };
        self.call = None;
        cut
    }

    /// The connection is gone; all that is not settled, in order.
    fn lose(&mut self) -> Vec<Frame> {
        self.receipts.clear();
        (self.dead, self.mute, self.open) = (false, false, false);
        self.hands.let_go()
    }
}

impl World {
    pub(crate) fn drive(&mut self, sink: usize) {
        let spurious = self.chance.percent(4);
        let now = self.now;
        let Some(life) = &mut self.life else { return };
        let seat = &mut life.seats[sink];
        let driver = &mut seat.driver;
        if driver.exited {
            return;
        }
        if let Some(call) = driver.call.take() {
            if call.ends > now {
                driver.call = Some(call);
            } else {
                self.end_call(sink, call);
            }
            return;
        }
        if now < driver.sleeps_until && !driver.woken && !spurious {
            return;
        }
        driver.woken = false;
        driver.sleeps_until = Duration::ZERO;
        let machine = seat.sink.machine(Route::Main);
        drop(machine.take_graveyard());
        let action = machine.poll(now);
        match action {
            Action::Wait(until) => {
                assert!(until > now, "a driver that is told to wait until now spins");
                driver.sleeps_until = until;
                return;
            }
            Action::Refill => panic!("nobody asked for an inline stage"),
            Action::Send => self.begin(sink, CallKind::Connect),
            Action::AwaitReceipts(wait) => {
                assert!(!wait.is_zero(), "a driver that waits for no time spins");
                let next = driver.receipts.front().map_or(now + wait, |(at, _)| (*at).max(now)).min(now + wait);
                self.begin(sink, CallKind::Receipts);
                if let Some(call) = self.call(sink) {
                    call.ends = call.ends.max(next);
                }
            }
            Action::Disconnect => self.fail(sink, ErrorKind::Timeout),
            Action::Rebuild | Action::Revert => {
                let unsettled = driver.lose();
                machine.taken_back(unsettled);
            }
            Action::Finish => {
                assert_eq!(machine.statement().buffered, 0, "finished with something left in memory");
                self.begin(sink, CallKind::Flush);
            }
            Action::Exit => driver.exited = true,
        }
        self.note(|| format!("sink {sink}: {action:?}"));
    }

    fn call(&mut self, sink: usize) -> Option<&mut Call> {
        self.life.as_mut()?.seats[sink].driver.call.as_mut()
    }

    fn begin(&mut self, sink: usize, kind: CallKind) {
        let mut takes = if self.chance.percent(85) { Duration::ZERO } else { self.chance.micros(1, 90_000) };
        let network = self.network();
        if !matches!(kind, CallKind::Receipts) && network > 0 && self.chance.percent(1) {
            takes = STUCK;
        }
        let ends_well = !self.chance.percent(network);
        let ends = self.now + takes;
        let at_once = takes.is_zero() && self.chance.percent(80);
        if let Some(life) = &mut self.life {
            life.seats[sink].driver.call = Some(Call { ends, kind, ends_well });
        }
        if at_once {
            self.drive(sink);
        }
    }

    fn end_call(&mut self, sink: usize, call: Call) {
        let Some(life) = &mut self.life else { return };
        let seat = &mut life.seats[sink];
        let before = seat.sink.is_finished().then(|| seat.sink.statement().account);
        let ends_well = call.ends_well || self.plan.network == 0 || self.healed;
        match call.kind {
            CallKind::Connect => self.end_connect(sink, ends_well),
            CallKind::Send => self.end_send(sink, ends_well),
            CallKind::Receipts => self.end_receipts(sink, ends_well),
            CallKind::Flush => {
                seat.sink.machine(Route::Main).finished();
                self.note(|| format!("sink {sink}: flushed"));
            }
        }
        if let (Some(before), Some(life)) = (before, &self.life) {
            let after = life.seats[sink].sink.statement().account;
            assert_eq!(after, before, "a result after the end of the worker changed the books");
        }
    }

    fn end_connect(&mut self, sink: usize, ends_well: bool) {
        if !ends_well && self.chance.percent(40) {
            return self.fail(sink, ErrorKind::Unavailable);
        }
        let honest = self.plan.sinks[sink].level;
        let level = if !ends_well && self.chance.percent(10) { Level::Sent } else { honest };
        let replaced = self.plan.states && !ends_well && self.chance.percent(10);
        let Some(life) = &mut self.life else { return };
        let driver = &mut life.seats[sink].driver;
        let fresh = !driver.open || replaced;
        if fresh {
            driver.hands.forget_peer();
            if !driver.hands.flight().is_empty() {
                return self.fail(sink, ErrorKind::Disconnected);
            }
            (driver.dead, driver.mute, driver.open) = (false, false, true);
            self.peers[sink].connect();
        }
        let seat = &mut life.seats[sink];
        let machine = seat.sink.machine(Route::Main);
        if let Err(refused) = machine.connected(&Connected::reused("sim", level, false)) {
            return self.fail(sink, refused.kind());
        }
        // A connection that gives less than its peer would is still one.
        let hands = &mut seat.driver.hands;
        while hands.take(machine) {}
        if hands.batch().is_empty() {
            return;
        }
        if hands.render() {
            hands.note_rendered(machine);
        }
        let ids: Vec<Id> = hands.lines().iter().map(Id::of).collect();
        self.note(|| format!("sink {sink}: sends {ids:?}"));
        self.begin(sink, CallKind::Send);
        if let Some(call) = self.call(sink) {
            call.ends_well &= ends_well;
        }
    }

    /// The peer reads these lines.
    pub(crate) fn arrive(&mut self, sink: usize, frames: &[Frame]) {
        self.come(sink, frames, false);
    }

    fn come(&mut self, sink: usize, frames: &[Frame], late: bool) {
        // Who waits has been told what became of those that merged before this was sent.
        if self.plan.states {
            self.look(sink);
        }
        let Some(life) = &self.life else { return };
        let live = life.run;
        let plan = &self.plan.sinks[sink];
        // Where nothing is evicted or refused, what comes back from the log comes in its order.
        let ordered = plan.options.spill == Some(SpillMode::WriteAhead)
            && plan.sheds_nothing()
            && !self.plan.rejections
            && !self.plan.sheds;
        let how = Arriving { live, ordered, late };
        for frame in frames {
            let first = self.truths[sink].receive(frame, how);
            if self.plan.states {
                self.peers[sink].take(&mut self.truths[sink], frame, first, how);
            }
        }
        if let Some(last) = frames.last() {
            self.note(|| format!("sink {sink}: {} arrive, to {:?}", frames.len(), Id::of(last)));
        }
    }

    /// A lost connection may still bring these, behind what comes on the next one.
    pub(crate) fn delay(&mut self, sink: usize, lines: &[Frame]) {
        if self.plan.late > 0 && !lines.is_empty() && self.chance.percent(self.plan.late) {
            self.late.push((sink, lines.to_vec()));
        }
    }

    /// What was delayed comes.
    pub(crate) fn come_late(&mut self, most: usize) {
        for _ in 0..most.min(self.late.len()) {
            let at = self.chance.size(0, self.late.len() - 1);
            let (sink, lines) = self.late.swap_remove(at);
            self.note(|| format!("sink {sink}: over a lost connection"));
            self.come(sink, &lines, true);
        }
    }

    fn end_send(&mut self, sink: usize, ends_well: bool) {
        let now = self.now;
        let acked = self.plan.sinks[sink].acked;
        let Some(life) = &mut self.life else { return };
        let seat = &mut life.seats[sink];
        let (hands, machine) = (&mut seat.driver.hands, seat.sink.machine(Route::Main));
        let lines = hands.lines().to_vec();
        hands.drop_lines();
        if seat.driver.dead {
            hands.sent();
            return machine.pending(now);
        }
        if ends_well {
            if acked {
                hands.sent();
                machine.pending(now);
            }
            self.arrive(sink, &lines);
            if !acked {
                return self.deliver(sink, lines.len(), Level::Sent);
            }
            return self.plan_receipts(sink, lines.len());
        }
        // Cut somewhere: a part got there, and of that a part is known to have.
        let there = self.chance.size(0, lines.len());
        self.arrive(sink, &lines[..there]);
        match self.chance.between(0, 9) {
            0 if acked => {
                // The connection takes it all and is dead: nothing more gets there, no receipt comes.
                let Some(life) = &mut self.life else { return };
                let seat = &mut life.seats[sink];
                seat.driver.dead = true;
                seat.driver.hands.sent();
                return seat.sink.machine(Route::Main).pending(now);
            }
            1 => {
                self.delay(sink, &lines[there..]);
                return self.panic(sink);
            }
            _ => {}
        }
        let settled = if acked { 0 } else { self.chance.size(0, there) };
        if settled > 0 {
            self.deliver(sink, settled, Level::Sent);
        }
        if self.plan.rejections && settled < lines.len() && there == settled && self.chance.percent(50) {
            let kind = self.chance.pick(&[ErrorKind::Rejected, ErrorKind::TooLarge]);
            self.note(|| format!("sink {sink}: {kind} {:?}", Id::of(&lines[settled])));
            let Some(life) = &mut self.life else { return };
            let (heads, rest) = life.seats[sink].driver.hands.reject(1);
            let machine = life.seats[sink].sink.machine(Route::Main);
            return machine.rejected(now, heads[0].tick(), rest, &error(kind));
        }
        self.delay(sink, &lines[there..]);
        let kind = self.chance.pick(&[ErrorKind::Timeout, ErrorKind::Disconnected, ErrorKind::StorageFull]);
        self.fail(sink, kind);
    }

    /// Receipts in time, late, in pieces, or lost on the way.
    fn plan_receipts(&mut self, sink: usize, frames: usize) {
        let faulty = self.chance.percent(self.network());
        let lost = faulty && self.chance.percent(50);
        if let Some(life) = &mut self.life {
            let driver = &mut life.seats[sink].driver;
            driver.mute |= lost;
            if driver.mute {
                return;
            }
        }
        let in_all = self.plan.sinks[sink].options.ack_timeout;
        let latest = if faulty { 2 * in_all } else { in_all / 3 };
        let micros = u64::try_from(latest.as_micros()).unwrap_or(u64::MAX) / 4;
        let mut left = frames;
        let last = self.life.as_ref().and_then(|life| life.seats[sink].driver.receipts.back().copied());
        let mut at = last.map_or(self.now, |(at, _)| at).max(self.now);
        while left > 0 {
            let n = self.chance.size(1, left);
            at += self.chance.micros(0, micros);
            if let Some(life) = &mut self.life {
                life.seats[sink].driver.receipts.push_back((at, n));
            }
            left -= n;
        }
    }

    fn end_receipts(&mut self, sink: usize, ends_well: bool) {
        if !ends_well && self.chance.percent(15) {
            return match self.chance.percent(20) {
                true => self.panic(sink),
                false => self.fail(sink, ErrorKind::Disconnected),
            };
        }
        let now = self.now;
        let level = self.plan.sinks[sink].level;
        let Some(life) = &mut self.life else { return };
        let driver = &mut life.seats[sink].driver;
        let mut n = 0;
        while let Some((_, frames)) = driver.receipts.pop_front_if(|(at, _)| *at <= now) {
            n += frames;
        }
        if let Some((n, _)) = driver.hands.acknowledged(n) {
            self.book(sink, n, level);
        }
    }

    /// The first frames of the batch are settled.
    fn deliver(&mut self, sink: usize, frames: usize, level: Level) {
        if let Some(life) = &mut self.life {
            life.seats[sink].driver.hands.settled(frames);
        }
        self.book(sink, frames, level);
    }

    fn book(&mut self, sink: usize, frames: usize, level: Level) {
        let now = self.now;
        let Some(life) = &mut self.life else { return };
        let seat = &mut life.seats[sink];
        let machine = seat.sink.machine(Route::Main);
        if !machine.is_finished() {
            seat.driver.settled += frames as u64;
        }
        machine.delivered(now, frames, level, 1, ms(1));
        self.note(|| format!("sink {sink}: {frames} settled as {level}"));
    }

    fn fail(&mut self, sink: usize, kind: ErrorKind) {
        let now = self.now;
        self.note(|| format!("sink {sink}: {kind}"));
        let Some(life) = &mut self.life else { return };
        let seat = &mut life.seats[sink];
        let unsettled = seat.driver.lose();
        seat.sink.machine(Route::Main).failed(now, unsettled, &error(kind));
    }

    fn panic(&mut self, sink: usize) {
        let now = self.now;
        self.note(|| format!("sink {sink}: panic"));
        let Some(life) = &mut self.life else { return };
        let seat = &mut life.seats[sink];
        let unsettled = seat.driver.lose();
        seat.sink.machine(Route::Main).panicked(now, unsettled, "simulated");
    }
}
