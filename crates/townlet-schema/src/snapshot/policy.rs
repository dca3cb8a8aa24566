//! The acting policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::Object;
use crate::heap::heap_of;

/// Section `policy_identity`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyIdentity {
    /// Version of the configuration.
    pub config_id: String,
    /// Digest of the policy's weights.
    pub policy_hash: Option<String>,
    /// `hybrid`, ….
    pub observation_variant: Option<Name>,
    /// Share of learned behaviour, 0 to 1.
    pub anneal_ratio: Option<f64>,
}

/// An action with its probability.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ActionProbability {
    /// The action.
    pub action: Name,
    /// 0 to 1.
    pub probability: f64,
}

/// Entry of section `policy_snapshot`: the latest decision for an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyDecision {
    /// When it was made.
    pub tick: u64,
    /// What was chosen.
    pub selected_action: Name,
    /// Natural logarithm of its probability.
    pub log_prob: f64,
    /// Estimated value of the state.
    pub value_pred: f64,
    /// At most the five likeliest.
    pub top_actions: Vec<ActionProbability>,
}

/// Section `anneal_status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AnnealStatus {
    /// Share of learned behaviour, 0 to 1.
    pub anneal_ratio: Option<f64>,
    /// True where both are mixed.
    pub blend_enabled: bool,
    /// By agent, what it is committed to.
    pub commit_state: Object,
    /// How long a commitment lasts, in ticks.
    pub option_commit_ticks: u64,
    /// Agents under outside control.
    pub possessed_agents: Vec<String>,
}

heap_of!(
    PolicyIdentity { config_id, policy_hash, observation_variant }
    ActionProbability { action }
    PolicyDecision { selected_action, top_actions }
    AnnealStatus { commit_state, possessed_agents }
);
