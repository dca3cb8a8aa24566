//! Events that are let in without asking the machine about each.
//!
//! Between two looks of the stage hosts emit hundreds of events, and about nearly all of them the machine would say the
//! same. So it says once how much it takes, and is told later, in one go, what it got.

use super::{Machine, Phase};
use crate::planted;

/// How much a machine takes before it has to be asked again, as long as nobody else does anything to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit {
    events: usize,
    bytes: usize,
    /// Events of this tick or a later one have to be asked about.
    before_tick: u64,
}

impl Credit {
    /// Every event has to be asked about.
    pub const NONE: Self = Self { events: 0, bytes: 0, before_tick: 0 };

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            events: self.events.min(other.events),
            bytes: self.bytes.min(other.bytes),
            before_tick: self.before_tick.min(other.before_tick),
        }
    }

    /// Takes the room of one event out of it; false, and nothing taken, where it does not allow that.
    #[inline]
    pub fn spend(&mut self, tick: u64, weight: usize) -> bool {
        let allows = self.events > 0 && weight <= self.bytes && tick < self.before_tick;
        if allows {
            self.events -= 1;
            self.bytes -= weight;
        }
        allows
    }
}

/// Events of one stream that were let in on credit, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnCredit {
    events: usize,
    bytes: usize,
    newest_tick: u64,
}

impl OnCredit {
    /// No event.
    pub const NONE: Self = Self { events: 0, bytes: 0, newest_tick: 0 };

    /// One more.
    #[inline]
    pub fn add(&mut self, tick: u64, weight: usize) {
        self.events += 1;
        self.bytes += weight;
        self.newest_tick = self.newest_tick.max(tick);
    }

    /// How many.
    pub fn events(&self) -> usize {
        self.events
    }
}

impl Machine {
    /// So much [`admit`](Self::admit) would answer with [`Admission::Upstream`](super::Admission::Upstream), and
    /// [`wants_wake`](Self::wants_wake) thereafter with no. Holds until anything else is done to the machine. None where
    /// every event has to be asked about: with a spill, at the end, and where a batch is due.
    pub fn credit(&self) -> Credit {
        let asks = self.phase != Phase::Running || planted::is("what is in flight takes no room");
        let Some((mut events, mut bytes)) = self.queue.room().filter(|_| !asks) else { return Credit::NONE };
        let mut before_tick = u64::MAX;
        if self.inline_stage && self.dozing {
            // Whoever makes a batch due has to wake the driver.
            let (waiting, waiting_bytes) = self.workable();
            let Some(oldest) = self.oldest_workable_tick() else { return Credit::NONE };
            if self.pressed.get() || self.options.flush_interval.is_zero() {
                return Credit::NONE;
            }
            events = events.min(self.options.batch_events().saturating_sub(waiting + 1));
            bytes = bytes.min(self.options.batch_bytes().saturating_sub(waiting_bytes + 1));
            before_tick = oldest.saturating_add(self.options.flush_interval_ticks);
            if self.newest_tick >= before_tick {
                return Credit::NONE;
            }
        }
        Credit { events, bytes, before_tick }
    }

    /// Puts on the books what was let in on [`credit`](Self::credit); `first_tick` is that of the first event that this
    /// credit let in, of whatever stream.
    pub fn admit_on_credit(&mut self, stream: u32, first_tick: u64, admitted: &OnCredit) {
        let OnCredit { events, bytes, newest_tick } = *admitted;
        if events > 0 {
            self.newest_tick = self.newest_tick.max(newest_tick);
            self.oldest_upstream_tick.get_or_insert(first_tick);
            self.queue.accept(stream, events, bytes);
        }
    }
}
