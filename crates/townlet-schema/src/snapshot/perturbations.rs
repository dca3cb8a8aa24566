//! Scheduled disturbances.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::Object;
use crate::heap::heap_of;

/// One disturbance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Perturbation {
    /// Its name.
    pub event_id: String,
    /// The specification it comes from.
    pub spec_name: Name,
    /// `price_spike`, `blackout`, `outage` or `arranged_meet`.
    pub kind: Name,
    /// First tick.
    pub started_at: u64,
    /// Tick after the last.
    pub ends_at: u64,
    /// What the kind needs: `magnitude`, `location`, ….
    pub payload: Object,
    /// Whom or what it hits.
    pub targets: Vec<String>,
}

/// Ticks until which nothing new may begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PerturbationCooldowns {
    /// By specification.
    pub spec: BTreeMap<String, u64>,
    /// By agent.
    pub agents: BTreeMap<String, u64>,
}

/// Section `perturbations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Perturbations {
    /// Under way, by event.
    pub active: BTreeMap<String, Perturbation>,
    /// Yet to come.
    pub pending: Vec<Perturbation>,
    /// What must wait.
    pub cooldowns: PerturbationCooldowns,
}

heap_of!(
    Perturbation { event_id, spec_name, kind, payload, targets }
    PerturbationCooldowns { spec, agents }
    Perturbations { active, pending, cooldowns }
);
