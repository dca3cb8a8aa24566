//! What the host and the stage do to a machine: admit, evict, fill.

use townlet_transport::Frame;

use super::{Admission, Machine, Phase};
use crate::queue::Room;
use crate::{Backpressure, DropReason, Receipt};

/// Events upstream that are more than a stage soon gets to: about a millisecond's work.
const STRAINED: usize = 1024;

impl Machine {
    /// Asks to admit an event of `weight` bytes. Bounded work.
    ///
    /// Where the answer is [`Admission::Upstream`] the event is on the books and
    /// must later be settled by [`fill`](Self::fill) or
    /// [`drop_upstream`](Self::drop_upstream).
    pub fn admit(&mut self, stream: u32, tick: u64, weight: usize) -> Admission {
        self.newest_tick = self.newest_tick.max(tick);
        let refused = match self.phase {
            Phase::SinkClosed => Some(DropReason::SinkClosed),
            Phase::Finished => Some(DropReason::UndeliveredAtShutdown),
            _ => None,
        };
        if let Some(reason) = refused {
            self.queue.refuse(stream, reason);
            return Admission::Dropped(reason);
        }
        let mut room = self.queue.room_for(weight);
        if room == Room::Full {
            self.pressed.set(true);
            self.merge_for(weight);
            room = self.queue.room_for(weight);
        }
        match room {
            Room::Fits => self.accept(stream, tick, weight),
            Room::Never => {
                self.queue.refuse(stream, DropReason::Oversize);
                Admission::Dropped(DropReason::Oversize)
            }
            Room::Full => {
                // Nobody waits for a worker that is parked (W18): then `block` sheds like `drop_oldest`.
                let sheds = match self.options.backpressure {
                    Backpressure::DropOldest => true,
                    // With a spill, what cannot become one goes there instead.
                    Backpressure::Coalesce => !self.queue.spools(),
                    Backpressure::Block => self.is_parked(),
                    Backpressure::FanOut | Backpressure::Spill => false,
                };
                if sheds {
                    self.admit_evicting(stream, tick, weight, DropReason::Backpressure)
                } else {
                    self.make_way();
                    Admission::Full
                }
            }
        }
    }

    /// Under `coalesce`: makes room for `weight` bytes by making one of states that
    /// wait, as far as that goes. Where it had to, what waits is due.
    pub fn merge_for(&mut self, weight: usize) {
        while self.queue.room_for(weight) == Room::Full && self.queue.could_fit(weight) && self.queue.coalesce() {
            self.pressed.set(true);
        }
    }

    /// With a spill: sends to disk what stands in the way of an event that found no room.
    pub(crate) fn make_way(&mut self) {
        self.queue.make_way();
    }

    /// True where nothing is shed for room, because a spill takes it: hosts wait for that.
    pub(crate) fn waits_for_spill(&self) -> bool {
        match self.options.backpressure {
            Backpressure::Spill => true,
            Backpressure::Coalesce => self.queue.spools(),
            _ => false,
        }
    }

    /// Admits by evicting the oldest ready frames, as many as it takes, for
    /// `reason`; under `coalesce` states are merged first. Where that cannot help, because the transport holds too much,
    /// nothing is evicted and the newcomer goes.
    pub fn admit_evicting(&mut self, stream: u32, tick: u64, weight: usize, reason: DropReason) -> Admission {
        loop {
            match self.queue.room_for(weight) {
                Room::Fits => return self.accept(stream, tick, weight),
                Room::Never => {
                    self.queue.refuse(stream, DropReason::Oversize);
                    return Admission::Dropped(DropReason::Oversize);
                }
                Room::Full if !self.queue.could_fit(weight) => {
                    self.queue.refuse(stream, reason);
                    return Admission::Dropped(reason);
                }
                Room::Full if self.queue.coalesce() => {}
                Room::Full if self.queue.evict_ready(reason) => {}
                Room::Full => return Admission::EvictUpstream,
            }
        }
    }

    fn accept(&mut self, stream: u32, tick: u64, weight: usize) -> Admission {
        self.queue.accept(stream, 1, weight);
        self.oldest_upstream_tick.get_or_insert(tick);
        Admission::Upstream
    }

    /// True where an event of `weight` bytes does not fit now but may later.
    /// What waits is due from then on.
    pub fn is_full(&self, weight: usize) -> bool {
        if self.queue.room_for(weight) != Room::Full {
            return false;
        }
        // A spill takes more although its worker is parked.
        let waits = matches!(self.phase, Phase::Running | Phase::Draining { .. })
            || self.queue.spools() && self.phase != Phase::Finished;
        if waits {
            self.pressed.set(true);
        }
        waits
    }

    /// True where at least a quarter of the queue is free, by count and by bytes.
    pub fn is_relieved(&self) -> bool {
        let (count, bytes) = (self.queue.len(), self.queue.bytes());
        count <= self.options.max_queue_length / 4 * 3 && bytes <= self.options.max_buffer_bytes / 4 * 3
    }

    /// True where more is upstream than the stage soon gets to, or a quarter of
    /// the queue: whoever emits may well do a part of its work.
    pub fn is_strained(&self) -> bool {
        let (upstream, bytes) = self.queue.upstream_amount();
        upstream > STRAINED.min(self.options.max_queue_length / 4) || bytes > self.options.max_buffer_bytes / 4
    }

    /// True where an event of `weight` bytes would fit now.
    pub fn has_room(&self, weight: usize) -> bool {
        self.queue.room_for(weight) == Room::Fits && matches!(self.phase, Phase::Running | Phase::Draining { .. })
    }

    /// A receipt for an event that was just admitted.
    pub fn watch(&mut self, stream: u32, seq: u64) -> Receipt {
        let receipt = Receipt::new();
        self.queue.watch(stream, seq, receipt.clone());
        receipt
    }

    /// Accepts and drops: the newcomer itself is the one that goes.
    pub fn refuse(&mut self, stream: u32, reason: DropReason) {
        self.queue.refuse(stream, reason);
    }

    /// True, once, where the driver dozes and a batch has become due by count,
    /// bytes or ticks, or because there is no room. There is no wake-up per
    /// event, except during a drain. Ask after each admission, and where the
    /// stage has a thread of its own after each [`fill`](Self::fill) and
    /// [`drop_upstream`](Self::drop_upstream).
    pub fn wants_wake(&mut self) -> bool {
        let wake = self.dozing && (matches!(self.phase, Phase::Draining { .. }) || self.due_by_amount());
        if wake {
            self.dozing = false;
        }
        wake
    }

    /// The upstream event `seq` of a stream, of `weight`, has become `frame`.
    pub fn fill(&mut self, stream: u32, seq: u64, weight: usize, frame: Frame) {
        // Events come out in the order in which they went in: the next is not older.
        let tick = frame.tick();
        match self.phase {
            Phase::SinkClosed => self.queue.drop_upstream(stream, seq, weight, DropReason::SinkClosed),
            Phase::Finished if !self.queue.stores() => {
                self.queue.drop_upstream(stream, seq, weight, DropReason::UndeliveredAtShutdown);
            }
            _ => self.queue.fill(stream, seq, weight, frame),
        }
        self.oldest_upstream_tick = (self.queue.upstream() > 0).then_some(tick);
    }

    /// The upstream event `seq` of a stream, of `weight`, ends here, for `reason`.
    pub fn drop_upstream(&mut self, stream: u32, seq: u64, weight: usize, reason: DropReason) {
        self.queue.drop_upstream(stream, seq, weight, reason);
        if self.queue.upstream() == 0 {
            self.oldest_upstream_tick = None;
        }
    }

    /// Makes what waits due now, whatever the batch size and intervals say.
    /// Holds until the next batch is taken; the caller wakes the driver.
    pub fn press(&self) {
        self.pressed.set(true);
    }
}
