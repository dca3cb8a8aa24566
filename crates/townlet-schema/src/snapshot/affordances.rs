//! What objects let agents do, and the embedding slots of their observations.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::heap::{heap_of, no_heap};

/// Section `embedding_metrics`. Counts are floats, as they always were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EmbeddingMetrics {
    /// Slots given out.
    pub allocations_total: f64,
    /// Slots taken again before their rest was over.
    pub forced_reuse_count: f64,
    /// Their share, 0 to 1.
    pub forced_reuse_rate: f64,
    /// 1 while the share is too high, else 0.
    pub reuse_warning: f64,
}

/// Section `affordance_manifest`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AffordanceManifest {
    /// File, as configured.
    pub path: String,
    /// SHA-256 of the file, hexadecimal.
    pub checksum: String,
    /// Objects in it.
    pub object_count: u64,
    /// Affordances in it.
    pub affordance_count: u64,
}

/// An affordance under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunningAffordance {
    /// Who.
    pub agent_id: String,
    /// With what.
    pub object_id: String,
    /// Doing what: `eat_meal`, `use_shower`, ….
    pub affordance_id: Name,
    /// Ticks to go.
    pub duration_remaining: u64,
    /// Changes at the end, by need or `money`.
    pub effects: BTreeMap<String, f64>,
}

/// Affordance events of a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AffordanceEventCounts {
    /// Begun.
    pub start: u64,
    /// Ended well.
    pub finish: u64,
    /// Ended badly.
    pub fail: u64,
    /// Refused.
    pub precondition_fail: u64,
}

/// Section `affordance_runtime`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AffordanceRuntime {
    /// The tick of this state.
    pub tick: u64,
    /// Affordances under way.
    pub running_count: u64,
    /// They, by object.
    pub running: BTreeMap<String, RunningAffordance>,
    /// Object to the agent that has it.
    pub active_reservations: BTreeMap<String, String>,
    /// Events of this tick.
    pub event_counts: AffordanceEventCounts,
}

no_heap!(EmbeddingMetrics, AffordanceEventCounts);
heap_of!(
    AffordanceManifest { path, checksum }
    RunningAffordance { agent_id, object_id, affordance_id, effects }
    AffordanceRuntime { running, active_reservations }
);
