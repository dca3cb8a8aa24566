//! The observation envelope, DTO version 0.2.0.
//!
//! A schema of its own beside the stream's: it is told apart by
//! `dto_schema_version`, has no other version, and forbids unknown fields, so
//! that what is read can be written again without a loss.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::heap_of;
use crate::snapshot::{Employment, Perturbations, PolicyDecision, Promotion, RivalryEvent, Tie};
use crate::{Json, Number, Object, SchemaVersion};

/// The version of the observation envelope that this crate reads and writes.
pub const OBSERVATION_VERSION: SchemaVersion = SchemaVersion::new(0, 2, 0);

/// What one agent saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentObservation {
    /// Who.
    pub agent_id: String,
    /// Channels of rows of cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<Vec<Vec<Vec<f64>>>>,
    /// The feature vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<f64>>,
    /// What the encoder says of both.
    #[serde(default)]
    pub metadata: Object,
    /// By component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewards: Option<BTreeMap<String, f64>>,
    /// True in the agent's last tick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<bool>,
    /// Place on the grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Json>,
    /// 0 to 1, by need.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<BTreeMap<String, f64>>,
    /// In the town's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<f64>,
    /// What it carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Object>,
    /// Where it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Json>,
    /// What it is like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<Json>,
    /// Where it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_state: Option<Json>,
    /// What it is about to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_intent: Option<Json>,
}

/// What all agents share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GlobalObservation {
    /// Queue counters.
    pub queue_metrics: BTreeMap<String, i64>,
    /// Agent to component to reward.
    pub rewards: BTreeMap<String, BTreeMap<String, f64>>,
    /// Scheduled disturbances.
    pub perturbations: Perturbations,
    /// The latest decision, by agent.
    pub policy_snapshot: BTreeMap<String, PolicyDecision>,
    /// Recent clashes.
    pub rivalry_events: Vec<RivalryEvent>,
    /// What the stability monitor found.
    pub stability_metrics: Object,
    /// Where the promotion stands.
    pub promotion_state: Option<Promotion>,
    /// What the policy says of itself.
    pub policy_metadata: Object,
    /// Seed of the world.
    pub rng_seed: Option<i64>,
    /// State of the queues.
    pub queues: Object,
    /// Affordances under way, by object.
    pub running_affordances: Object,
    /// Ties: owner to other to tie.
    pub relationship_snapshot: BTreeMap<String, BTreeMap<String, Tie>>,
    /// Churn of the current window.
    pub relationship_metrics: Object,
    /// The exit queue.
    pub employment_snapshot: Option<Employment>,
    /// Cost of the queue system.
    pub queue_affinity_metrics: BTreeMap<String, Number>,
    /// `settings`, `active_price_spikes`, `utility_snapshot`.
    pub economy_snapshot: Object,
    /// Blending of scripted and learned behaviour.
    pub anneal_context: Object,
}

/// All observations of a tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservationEnvelope {
    /// When.
    pub tick: u64,
    /// [`OBSERVATION_VERSION`].
    pub dto_schema_version: SchemaVersion,
    /// What each saw.
    pub agents: Vec<AgentObservation>,
    /// What all share.
    pub global: GlobalObservation,
    /// By agent.
    #[serde(default)]
    pub actions: Object,
    /// By agent.
    #[serde(default)]
    pub terminated: BTreeMap<String, bool>,
    /// By agent.
    #[serde(default)]
    pub termination_reasons: BTreeMap<String, String>,
}

impl Default for ObservationEnvelope {
    fn default() -> Self {
        Self {
            tick: 0,
            dto_schema_version: OBSERVATION_VERSION,
            agents: Vec::new(),
            global: GlobalObservation::default(),
            actions: Object::new(),
            terminated: BTreeMap::new(),
            termination_reasons: BTreeMap::new(),
        }
    }
}

heap_of!(
    AgentObservation {
        agent_id, map, features, metadata, rewards, position, needs, inventory, job, personality, queue_state,
        pending_intent,
    }
    GlobalObservation {
        queue_metrics, rewards, perturbations, policy_snapshot, rivalry_events, stability_metrics, promotion_state,
        policy_metadata, queues, running_affordances, relationship_snapshot, relationship_metrics,
        employment_snapshot, queue_affinity_metrics, economy_snapshot, anneal_context,
    }
    ObservationEnvelope { agents, global, actions, terminated, termination_reasons }
);
