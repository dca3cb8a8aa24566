//! The host's side: emits, waits for room, and the stage that makes frames.

use std::time::Duration;

use bytes::Bytes;
use townlet_transport::{Frame, Label};
use townlet_worker::{Admitted, DropReason, Route};

use super::ground_truth::{FIRST_STATES, Id, NAMES, Offered, STREAMS, run_name};
use super::world::World;

/// Admitted, and not a frame yet.
#[derive(Debug)]
pub(crate) struct Upstream {
    weight: usize,
    frame: Frame,
}

/// A host that waits for room in a sink.
#[derive(Debug)]
pub(crate) struct Blocked {
    sink: usize,
    weight: usize,
    frame: Frame,
    offered: Offered,
    give_up: Duration,
}

fn reason_of(timed_out: bool) -> DropReason {
    if timed_out { DropReason::BlockTimeout } else { DropReason::Backpressure }
}

impl World {
    pub(crate) fn emit(&mut self) {
        let streams = if self.plan.states { STREAMS } else { FIRST_STATES };
        let stream = self.chance.size(0, streams - 1);
        let tick = self.tick;
        let len = self.chance.size(0, if self.chance.clone().percent(5) { 900 } else { 200 });
        let Some(life) = &mut self.life else { return };
        if life.deadline.is_some() || life.blocked.iter().any(|b| Id::of(&b.frame).stream == stream) {
            return;
        }
        life.seqs[stream] += 1;
        let id = Id { run: life.run, stream, seq: life.seqs[stream] };
        let (frame, offered) = if id.is_state() {
            let (frame, state) = life.towns.next(id, tick, &mut self.chance);
            (frame, Offered::State(state))
        } else {
            let line = id.line(tick, len, self.plan.states);
            let frame = Frame::new(life.labels[stream].clone(), "event", id.seq, tick, Bytes::from(line.clone()));
            (frame, Offered::Event(line.into_bytes()))
        };
        for sink in 0..self.plan.sinks.len() {
            let weight = if self.plan.estimates { frame.len() * self.chance.size(80, 120) / 100 } else { frame.len() };
            self.admit(sink, frame.clone(), &offered, weight, None);
        }
    }

    /// One try to admit; where there is no room the host waits, until `give_up`.
    fn admit(&mut self, sink: usize, frame: Frame, offered: &Offered, weight: usize, give_up: Option<Duration>) {
        let (id, tick) = (Id::of(&frame), frame.tick());
        let now = self.now;
        let timed_out = give_up.is_some_and(|at| now >= at);
        let watched = self.chance.percent(self.plan.watched);
        let at_once = !self.plan.apart;
        let Some(life) = &mut self.life else { return };
        let seat = &mut life.seats[sink];
        let stream = id.stream as u32;
        loop {
            let admitted = match timed_out {
                true => seat.sink.admit_after_timeout(stream, tick, weight),
                false => seat.sink.admit(stream, tick, weight),
            };
            match admitted {
                Admitted::Upstream(_) => {
                    let machine = seat.sink.machine(Route::Main);
                    let receipt = watched.then(|| machine.watch(stream, id.seq));
                    self.truths[sink].accept(id, offered, receipt);
                    seat.intake.push_back(Upstream { weight, frame });
                    if at_once {
                        self.make_frames(sink, usize::MAX);
                    }
                    break;
                }
                Admitted::Dropped(reason) => {
                    self.truths[sink].refuse(id, offered, reason);
                    break;
                }
                Admitted::EvictUpstream => match seat.intake.pop_front() {
                    Some(Upstream { weight, frame: oldest }) => {
                        let evicted = Id::of(&oldest);
                        let machine = seat.sink.machine(Route::Main);
                        machine.drop_upstream(evicted.stream as u32, evicted.seq, weight, reason_of(timed_out));
                    }
                    None => {
                        let reason = reason_of(timed_out);
                        seat.sink.machine(Route::Main).refuse(stream, reason);
                        self.truths[sink].refuse(id, offered, reason);
                        break;
                    }
                },
                Admitted::Full => {
                    assert!(!timed_out, "a host would wait longer than its timeout");
                    let give_up = give_up.unwrap_or(now + self.plan.sinks[sink].options.block_timeout);
                    seat.driver.woken = true;
                    let offered = offered.clone();
                    life.blocked.push(Blocked { sink, weight, frame, offered, give_up });
                    return;
                }
            }
        }
        self.note(|| format!("sink {sink}: offered {id:?}"));
        self.wake(sink);
    }

    pub(crate) fn retry_blocked(&mut self) {
        let Some(life) = &mut self.life else { return };
        for Blocked { sink, weight, frame, offered, give_up } in std::mem::take(&mut life.blocked) {
            self.admit(sink, frame, &offered, weight, Some(give_up));
        }
    }

    /// Wakes a driver whose machine asks for it, and no other.
    pub(crate) fn wake(&mut self, sink: usize) {
        if let Some(life) = &mut self.life {
            let seat = &mut life.seats[sink];
            seat.driver.woken |= seat.sink.machine(Route::Main).wants_wake();
        }
    }

    /// Turns up to `most` admitted events into frames.
    pub(crate) fn make_frames(&mut self, sink: usize, most: usize) {
        for _ in 0..most {
            let refused = self.plan.apart && self.chance.percent(2);
            let Some(life) = &mut self.life else { return };
            let seat = &mut life.seats[sink];
            let Some(Upstream { weight, frame }) = seat.intake.pop_front() else { break };
            let id = Id::of(&frame);
            let machine = seat.sink.machine(Route::Main);
            match refused {
                true => machine.drop_upstream(id.stream as u32, id.seq, weight, DropReason::Transform),
                false => machine.fill(id.stream as u32, id.seq, weight, frame),
            }
        }
        self.wake(sink);
    }

    /// What nobody will make a frame of any more.
    pub(crate) fn drop_upstream(&mut self, sink: usize) {
        let Some(life) = &mut self.life else { return };
        let seat = &mut life.seats[sink];
        while let Some(Upstream { weight, frame }) = seat.intake.pop_front() {
            let id = Id::of(&frame);
            let reason = DropReason::UndeliveredAtShutdown;
            seat.sink.machine(Route::Main).drop_upstream(id.stream as u32, id.seq, weight, reason);
        }
    }
}

/// The labels of a run.
pub(crate) fn labels(run: u32, whole: bool) -> [Label; STREAMS] {
    NAMES.map(|name| Label::new(&run_name(run, whole), name))
}
