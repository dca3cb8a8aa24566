//! Ties between agents.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::{heap_of, no_heap};

/// What one agent feels for another, or the change of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tie {
    /// -1 to 1.
    pub trust: f64,
    /// -1 to 1.
    pub familiarity: f64,
    /// 0 to 1.
    pub rivalry: f64,
}

/// What happened to a tie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UpdateStatus {
    /// It is new.
    Added,
    /// A value changed by more than a millionth.
    #[default]
    Updated,
    /// It is gone: values are zero, deltas negative.
    Removed,
}

/// Entry of section `relationship_updates`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RelationshipUpdate {
    /// Who feels.
    pub owner: String,
    /// For whom.
    pub other: String,
    /// -1 to 1.
    pub trust: f64,
    /// -1 to 1.
    pub familiarity: f64,
    /// 0 to 1.
    pub rivalry: f64,
    /// What happened.
    pub status: UpdateStatus,
    /// By how much.
    pub delta: Tie,
}

/// Entry of section `relationship_overlay`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OverlayEntry {
    /// Who feels.
    pub owner: String,
    /// For whom.
    pub other: String,
    /// -1 to 1.
    pub trust: f64,
    /// -1 to 1.
    pub familiarity: f64,
    /// 0 to 1.
    pub rivalry: f64,
    /// Change of `trust` in this tick.
    pub delta_trust: f64,
    /// Change of `familiarity` in this tick.
    pub delta_familiarity: f64,
    /// Change of `rivalry` in this tick.
    pub delta_rivalry: f64,
}

/// Evictions of one closed window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ChurnSample {
    /// First tick.
    pub window_start: u64,
    /// Tick after the last.
    pub window_end: u64,
    /// Evictions.
    pub total: u64,
    /// Evictions by owner.
    pub owners: BTreeMap<String, u64>,
    /// Evictions by reason.
    pub reasons: BTreeMap<String, u64>,
}

/// Section `relationships`: evictions of ties in the current window of 600 ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RelationshipChurn {
    /// First tick.
    pub window_start: u64,
    /// Tick after the last.
    pub window_end: u64,
    /// Evictions so far.
    pub total: u64,
    /// Evictions by owner.
    pub owners: BTreeMap<String, u64>,
    /// Evictions by reason.
    pub reasons: BTreeMap<String, u64>,
    /// At most the last eight windows.
    pub history: Vec<ChurnSample>,
}

no_heap!(Tie, UpdateStatus);
heap_of!(
    RelationshipUpdate { owner, other }
    OverlayEntry { owner, other }
    ChurnSample { owners, reasons }
    RelationshipChurn { owners, reasons, history }
);
