//! Rewards.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::no_heap;

/// Entry of section `reward_breakdown`: the reward of one agent in one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RewardBreakdown {
    /// After clipping to ±0.2 a tick.
    pub total: f64,
    /// `survival` + `needs_penalty`.
    pub homeostasis: f64,
    /// Shaping of intermediate goals.
    pub shaping: f64,
    /// `wage` + `punctuality`.
    pub work: f64,
    /// `social_bonus` + `social_penalty` + `social_avoidance`.
    pub social: f64,
    /// For being alive.
    pub survival: f64,
    /// For unmet needs, negative.
    pub needs_penalty: f64,
    /// For working.
    pub wage: f64,
    /// For being on time.
    pub punctuality: f64,
    /// For good company.
    pub social_bonus: f64,
    /// For bad company, negative.
    pub social_penalty: f64,
    /// For avoiding rivals.
    pub social_avoidance: f64,
    /// For leaving the simulation, negative.
    pub terminal_penalty: f64,
    /// What clipping added.
    pub clip_adjustment: f64,
}

no_heap!(RewardBreakdown);
