//! The host's side of a schedule: offers, waits for room, stages, shutdown.

use std::time::Duration;

use bytes::Bytes;
use townlet_transport::Frame;
use townlet_worker::{Admitted, DropReason, Route};

use super::world::{Fate, STREAMS, Stage, World, stream_of};

/// Admitted, and not a frame yet.
pub(super) struct Upstream {
    route: Route,
    weight: usize,
    frame: Frame,
}

/// A host that waits for room.
pub(super) struct Blocked {
    frame: Frame,
    weight: usize,
    give_up: Duration,
}

impl World {
    pub(super) fn offer(&mut self) {
        let stream = self.rng.between(0, STREAMS as u64 - 1) as u32;
        if self.deadline.is_some() || self.blocked.iter().any(|b| stream_of(&b.frame) == stream) {
            return;
        }
        let largest = if self.rng.chance(5) { self.options.max_buffer_bytes * 5 / 4 } else { 200 };
        let len = self.rng.between(1, largest as u64) as usize;
        let owner = &mut self.streams[stream as usize];
        owner.next_seq += 1;
        let label = owner.label.clone().expect("every stream has a label");
        let frame = Frame::new(label, "event", owner.next_seq, self.tick, Bytes::from(vec![b'x'; len]));
        let weight = if self.estimates { len * self.rng.between(80, 120) as usize / 100 } else { len };
        self.admit(frame, weight, None);
    }

    /// One try to admit; where there is no room the host waits, until `give_up`.
    fn admit(&mut self, frame: Frame, weight: usize, give_up: Option<Duration>) {
        let (stream, seq, tick) = (stream_of(&frame), frame.seq(), frame.tick());
        let timed_out = give_up.is_some_and(|at| self.now >= at);
        loop {
            let admitted = if timed_out {
                self.sink.admit_after_timeout(stream, tick, weight)
            } else {
                self.sink.admit(stream, tick, weight)
            };
            let reason = if timed_out { DropReason::BlockTimeout } else { DropReason::Backpressure };
            match admitted {
                Admitted::Upstream(route) => {
                    self.accepted(stream, seq);
                    self.note(|| format!("accepted {stream}/{seq} {route:?}"));
                    if route == Route::Lane {
                        self.meet("fan_out: lane");
                    }
                    if give_up.is_some() {
                        self.meet(if timed_out { "block: timed out" } else { "block: released" });
                    }
                    self.intake.push_back(Upstream { route, weight, frame });
                    if self.stage == Stage::Host {
                        self.run_stage(Some(usize::MAX));
                    }
                    return self.wake();
                }
                Admitted::Dropped(reason) => {
                    self.accepted(stream, seq);
                    match reason {
                        DropReason::Oversize => self.meet("oversize"),
                        DropReason::FanOutFull => self.meet("fan_out: lane full"),
                        _ => {}
                    }
                    return self.ended(stream, seq, Fate::Dropped);
                }
                Admitted::EvictUpstream => {
                    let oldest = self.intake.iter().position(|u| u.route == Route::Main);
                    let Some(oldest) = oldest.and_then(|at| self.intake.remove(at)) else {
                        self.sink.machine(Route::Main).refuse(stream, reason);
                        self.accepted(stream, seq);
                        return self.ended(stream, seq, Fate::Dropped);
                    };
                    self.meet("evicted upstream");
                    let owner = stream_of(&oldest.frame);
                    self.sink.machine(Route::Main).drop_upstream(owner, 0, oldest.weight, reason);
                    self.frame_ended(&oldest.frame, Fate::Dropped);
                }
                Admitted::Full => {
                    assert!(!timed_out, "a host would wait longer than the timeout");
                    let give_up = give_up.unwrap_or(self.now + self.options.block_timeout);
                    self.drivers[0].woken = true;
                    return self.blocked.push(Blocked { frame, weight, give_up });
                }
            }
        }
    }

    pub(super) fn retry_blocked(&mut self) {
        for Blocked { frame, weight, give_up } in std::mem::take(&mut self.blocked) {
            self.admit(frame, weight, Some(give_up));
        }
    }

    /// Wakes the drivers whose machines ask for it, and no others.
    pub(super) fn wake(&mut self) {
        for driver in &mut self.drivers {
            driver.woken |= self.sink.machine(driver.route).wants_wake();
        }
    }

    /// Turns up to `most` admitted events into frames.
    pub(super) fn run_stage(&mut self, most: Option<usize>) {
        let most = most.unwrap_or_else(|| self.rng.between(1, 6) as usize);
        for _ in 0..most {
            let Some(Upstream { route, weight, frame }) = self.intake.pop_front() else { break };
            let stream = stream_of(&frame);
            let machine = self.sink.machine(route);
            if self.stage != Stage::Host && self.rng.chance(3) {
                machine.drop_upstream(stream, 0, weight, DropReason::Transform);
                self.meet("stage dropped");
                self.frame_ended(&frame, Fate::Dropped);
                continue;
            }
            let before = machine.statement().account.dropped();
            machine.fill(stream, frame.seq(), weight, frame.clone());
            if machine.statement().account.dropped() > before {
                self.frame_ended(&frame, Fate::Dropped);
            }
        }
        if self.stage == Stage::Apart {
            self.wake();
        }
    }

    pub(super) fn shutdown(&mut self, timeout: Duration) {
        let deadline = self.now + timeout;
        self.deadline = Some(deadline);
        if self.sink.main().is_parked() {
            self.meet("shutdown while parked");
        }
        // Hosts that wait are told that it is closed; their frames are not on the books.
        self.blocked.clear();
        let now = self.now;
        self.sink.machines().for_each(|m| m.shutdown(now, deadline));
        for driver in &mut self.drivers {
            driver.woken = true;
        }
    }

    pub(super) fn drop_everything_upstream(&mut self) {
        for Upstream { route, weight, frame } in std::mem::take(&mut self.intake) {
            let stream = stream_of(&frame);
            self.sink.machine(route).drop_upstream(stream, 0, weight, DropReason::UndeliveredAtShutdown);
            self.frame_ended(&frame, Fate::Dropped);
        }
    }
}
