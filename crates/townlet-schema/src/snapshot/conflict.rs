//! Queues and rivalry.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::heap::{heap_of, no_heap};

/// Counters of the queue system, or their change in a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueueMetrics {
    /// Agents that had to wait out a cooldown.
    pub cooldown_events: u64,
    /// Agents let past a blocked head of the queue after three attempts.
    pub ghost_step_events: u64,
    /// Requeues and promotions.
    pub rotation_events: u64,
}

/// The counters of one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueueHistoryEntry {
    /// The tick.
    pub tick: u64,
    /// Events of that tick.
    pub delta: QueueMetrics,
    /// Events since the start.
    pub totals: QueueMetrics,
}

/// A clash of two agents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RivalryEvent {
    /// The tick.
    pub tick: u64,
    /// One agent.
    pub agent_a: String,
    /// The other.
    pub agent_b: String,
    /// Strength, 0.1 to 5.
    pub intensity: f64,
    /// What it was about: `ghost_step`, `queue_conflict`, ….
    pub reason: Name,
}

/// Section `conflict`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Conflict {
    /// As `queue_metrics`.
    pub queues: QueueMetrics,
    /// At most the last 20 ticks.
    pub queue_history: Vec<QueueHistoryEntry>,
    /// Owner to other to rivalry, 0 to 1.
    pub rivalry: BTreeMap<String, BTreeMap<String, f64>>,
    /// At most the last 20 clashes.
    pub rivalry_events: Vec<RivalryEvent>,
}

no_heap!(QueueMetrics, QueueHistoryEntry);
heap_of!(RivalryEvent { agent_a, agent_b, reason } Conflict { queue_history, rivalry, rivalry_events });
