//! What a run did, tick by tick, as far as two runs are compared.

use std::collections::{BTreeMap, BTreeSet};

use super::probe::Compared;

/// Bounded: beyond the limit nothing more is kept and `truncated_at` says where.
#[derive(Clone, Debug, Default)]
pub(super) struct RunTrace {
    /// Ticks that are there, as ranges in ascending order.
    pub(super) ticks: Vec<(u64, u64)>,
    /// Each change of `runtime_variant`, with its tick.
    pub(super) variants: Vec<(u64, Option<String>)>,
    /// Each change of `queue_metrics`, with its tick.
    pub(super) queue: Vec<(u64, BTreeMap<String, f64>)>,
    pub(super) observations: Vec<ObservationTrace>,
    agents: BTreeMap<String, u32>,
    shapes: BTreeMap<String, u32>,
    pub(super) truncated_at: Option<u64>,
}

/// One agent's observation at one tick; names by their index in the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObservationTrace {
    pub(super) tick: u64,
    pub(super) agent: u32,
    pub(super) shape: u32,
    pub(super) digest: u64,
}

impl RunTrace {
    pub(super) fn record(&mut self, tick: u64, seen: Compared, limit: usize) {
        let entries = self.ticks.len() + self.variants.len() + self.queue.len() + self.observations.len();
        if self.truncated_at.is_some() || entries + 3 + seen.observations.len() > limit {
            self.truncated_at.get_or_insert(tick);
            return;
        }
        match self.ticks.last_mut() {
            Some((_, last)) if tick <= *last => {}
            Some((_, last)) if tick == *last + 1 => *last = tick,
            _ => self.ticks.push((tick, tick)),
        }
        if let Some(variant) = seen.runtime_variant
            && self.variants.last().is_none_or(|(_, last)| *last != variant)
        {
            self.variants.push((tick, variant));
        }
        if let Some(queue) = seen.queue_metrics
            && self.queue.last().is_none_or(|(_, last)| *last != queue)
        {
            self.queue.push((tick, queue));
        }
        for seen in seen.observations {
            let agent = index(&mut self.agents, seen.agent);
            let shape = index(&mut self.shapes, seen.shape);
            self.observations.push(ObservationTrace { tick, agent, shape, digest: seen.digest });
        }
    }

    pub(super) fn has_tick(&self, tick: u64) -> bool {
        self.next_tick(tick) == Some(tick)
    }

    /// The first tick from `tick` on that is there.
    pub(super) fn next_tick(&self, tick: u64) -> Option<u64> {
        let at = self.ticks.partition_point(|(_, last)| *last < tick);
        self.ticks.get(at).map(|(first, _)| tick.max(*first))
    }

    /// Every variant that was in force.
    pub(super) fn variant_names(&self) -> BTreeSet<Option<&str>> {
        self.variants.iter().map(|(_, variant)| variant.as_deref()).collect()
    }

    /// The queue metrics in force at `tick`.
    pub(super) fn queue_at(&self, tick: u64) -> Option<&BTreeMap<String, f64>> {
        let at = self.queue.partition_point(|(since, _)| *since <= tick);
        self.queue.get(at.checked_sub(1)?).map(|(_, metrics)| metrics)
    }

    /// Observations by tick and agent: shape and digest.
    pub(super) fn observations_by_name(&self) -> BTreeMap<(u64, &str), (&str, u64)> {
        let agents = names(&self.agents);
        let shapes = names(&self.shapes);
        let named = |o: &ObservationTrace| {
            let key = (o.tick, agents.get(&o.agent).copied().unwrap_or_default());
            (key, (shapes.get(&o.shape).copied().unwrap_or_default(), o.digest))
        };
        self.observations.iter().map(named).collect()
    }
}

fn index(names: &mut BTreeMap<String, u32>, name: String) -> u32 {
    let next = names.len() as u32;
    *names.entry(name).or_insert(next)
}

fn names(index: &BTreeMap<String, u32>) -> BTreeMap<u32, &str> {
    index.iter().map(|(name, at)| (*at, name.as_str())).collect()
}
