//! Slots of the policy's embedding table: one per life, handed out again only after a rest.

use std::collections::VecDeque;

/// Ticks for which a released slot rests before it is handed out again.
const REST_TICKS: u64 = 2000;
/// Slots of a small town's table; a larger one has two per household.
const SLOTS: u32 = 64;
/// Share of forced reuse from which the table is called too small.
const REUSE_WARNING: f64 = 0.05;

/// The table's allocator.
#[derive(Debug, Clone)]
pub(crate) struct Embeddings {
    unused: u32,
    slots: u32,
    released: VecDeque<(u32, u64)>,
    pub(crate) allocations: u64,
    pub(crate) forced_reuse: u64,
}

impl Embeddings {
    pub(crate) fn new(agents: u32) -> Self {
        let slots = SLOTS.max(agents.saturating_mul(2));
        Self { unused: 0, slots, released: VecDeque::new(), allocations: 0, forced_reuse: 0 }
    }

    /// A slot that has rested, or one that was never used, or, counted as forced, the one that has rested longest.
    pub(crate) fn allocate(&mut self, tick: u64) -> u32 {
        self.allocations += 1;
        let rested = self.released.front().is_some_and(|(_, since)| since + REST_TICKS <= tick);
        if !rested && self.unused < self.slots {
            self.unused += 1;
            return self.unused - 1;
        }
        self.forced_reuse += u64::from(!rested);
        // Every household holds at most one slot and there are two for each, so something was released.
        self.released.pop_front().map_or(0, |(slot, _)| slot)
    }

    pub(crate) fn release(&mut self, slot: u32, tick: u64) {
        self.released.push_back((slot, tick));
    }

    pub(crate) fn forced_rate(&self) -> f64 {
        self.forced_reuse as f64 / self.allocations.max(1) as f64
    }

    pub(crate) fn warns(&self) -> bool {
        self.forced_rate() > REUSE_WARNING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_rests_unless_the_table_is_too_small() {
        let mut table = Embeddings::new(1);
        for expected in 0..SLOTS {
            let slot = table.allocate(u64::from(expected));
            assert_eq!(slot, expected);
            table.release(slot, u64::from(expected));
        }
        assert_eq!(table.allocate(REST_TICKS + 5), 0);
        assert_eq!(table.forced_reuse, 0);
        for expected in 1..=6 {
            assert_eq!(table.allocate(REST_TICKS + 5), expected);
        }
        assert_eq!(table.forced_reuse, 1, "slot 6 was released at tick 6 and had not rested");
    }
}
