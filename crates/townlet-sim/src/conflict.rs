//! The record of clashes: counters that never fall, a short history, and the rivalry that clashes leave behind.

use std::collections::VecDeque;

use crate::events::{Clash, ClashReason};
use crate::town::AgentRef;
use crate::world::World;

/// Entries of the queue history and of the list of recent rivalry events.
pub const HISTORY_LENGTH: usize = 20;
/// Ticks after which a rivalry event leaves the recent list and the spike alert (W14: it never did).
pub const RIVALRY_WINDOW_TICKS: u64 = 30;

/// Rivalry that a clash of intensity 1 leaves.
const RIVALRY_PER_INTENSITY: f64 = 0.15;

/// Queue events; as totals they count since the start and never fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct QueueCounters {
    /// Requests refused because of a cooldown.
    pub(crate) cooldown_events: u64,
    /// Waiting agents that were passed over.
    pub(crate) ghost_step_events: u64,
    /// Changes of the order in a queue.
    pub(crate) rotation_events: u64,
}

impl QueueCounters {
    fn add(&mut self, other: Self) {
        self.cooldown_events += other.cooldown_events;
        self.ghost_step_events += other.ghost_step_events;
        self.rotation_events += other.rotation_events;
    }
}

/// The counters at the end of one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueSample {
    pub(crate) tick: u64,
    pub(crate) delta: QueueCounters,
    pub(crate) totals: QueueCounters,
}

/// One clash that left rivalry behind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RivalryEvent {
    pub(crate) tick: u64,
    pub(crate) a: AgentRef,
    pub(crate) b: AgentRef,
    pub(crate) intensity: f64,
    pub(crate) reason: ClashReason,
}

/// Clashes of this tick and of the recent past.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conflict {
    pub(crate) totals: QueueCounters,
    pub(crate) delta: QueueCounters,
    pub(crate) history: VecDeque<QueueSample>,
    /// Newest last, at most [`HISTORY_LENGTH`], none older than [`RIVALRY_WINDOW_TICKS`].
    pub(crate) recent: VecDeque<RivalryEvent>,
    /// This tick's clashes that left rivalry behind.
    pub(crate) fresh: Vec<RivalryEvent>,
    /// Sum of this tick's intensities.
    pub(crate) intensity: f64,
}

impl Conflict {
    pub(crate) fn begin_tick(&mut self, tick: u64) {
        self.delta = QueueCounters::default();
        self.intensity = 0.0;
        self.fresh.clear();
        while self.recent.front().is_some_and(|event| event.tick + RIVALRY_WINDOW_TICKS <= tick) {
            self.recent.pop_front();
        }
    }

    pub(crate) fn count(&mut self, events: QueueCounters) {
        self.delta.add(events);
        self.totals.add(events);
    }

    pub(crate) fn end_tick(&mut self, tick: u64) {
        for event in self.fresh.iter().rev().take(HISTORY_LENGTH).rev() {
            push_bounded(&mut self.recent, *event, HISTORY_LENGTH);
        }
        push_bounded(&mut self.history, QueueSample { tick, delta: self.delta, totals: self.totals }, HISTORY_LENGTH);
    }
}

/// Appends, and drops from the front what exceeds `limit`.
pub(crate) fn push_bounded<T>(queue: &mut VecDeque<T>, value: T, limit: usize) {
    while queue.len() >= limit.max(1) {
        queue.pop_front();
    }
    queue.push_back(value);
}

/// `boost + 0.25 * (queue - 1)`, clamped to `0.1..=5`; the boost is 1.5 for a ghost step and 0.4 otherwise.
pub(crate) fn clash_intensity(reason: ClashReason, queue_length: u32) -> f64 {
    let boost = if reason == ClashReason::GhostStep { 1.5 } else { 0.4 };
    (boost + 0.25 * (f64::from(queue_length) - 1.0)).clamp(0.1, 5.0)
}

impl World {
    /// A clash: both sides remember it, each by its own tolerance.
    pub(crate) fn record_clash(&mut self, clash: Clash) {
        let Clash { actor, rival, intensity, reason, .. } = clash;
        self.conflict.intensity += intensity;
        for (owner, other) in [(actor, rival), (rival, actor)] {
            let tolerance = self.agents[owner.index()].profile.conflict_tolerance();
            self.relationships.adjust(owner, other, 0.0, 0.0, RIVALRY_PER_INTENSITY * intensity * tolerance);
        }
        self.conflict.fresh.push(RivalryEvent { tick: self.tick, a: actor, b: rival, intensity, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intensity_follows_the_formula_and_its_bounds() {
        assert_eq!(clash_intensity(ClashReason::GhostStep, 1), 1.5);
        assert_eq!(clash_intensity(ClashReason::Contested, 3), 0.9);
        assert_eq!(clash_intensity(ClashReason::Contested, 0), 0.15000000000000002);
        assert_eq!(clash_intensity(ClashReason::GhostStep, 1000), 5.0);
    }

    #[test]
    fn recent_rivalries_are_bounded_in_number_and_in_age() {
        let mut conflict = Conflict::default();
        let (a, b) = (AgentRef { slot: 0, life: 0 }, AgentRef { slot: 1, life: 0 });
        for tick in 1..=10 {
            conflict.begin_tick(tick);
            for _ in 0..5 {
                let reason = ClashReason::GhostStep;
                conflict.fresh.push(RivalryEvent { tick, a, b, intensity: 1.5, reason });
            }
            conflict.end_tick(tick);
        }
        assert_eq!((conflict.recent.len(), conflict.recent[0].tick), (HISTORY_LENGTH, 7));
        conflict.begin_tick(10 + RIVALRY_WINDOW_TICKS);
        assert!(conflict.recent.is_empty());
    }
}
