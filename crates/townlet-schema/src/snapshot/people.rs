//! Personalities.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::heap::{heap_of, no_heap};

/// Traits, each -1 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Traits {
    /// Seeks company.
    pub extroversion: f64,
    /// Forgets rivalry.
    pub forgiveness: f64,
    /// Seeks work.
    pub ambition: f64,
}

/// Factors on the defaults, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Multipliers {
    /// On the decay of needs.
    pub needs: BTreeMap<String, f64>,
    /// On rewards.
    pub rewards: BTreeMap<String, f64>,
    /// On thresholds of behaviour.
    pub behaviour: BTreeMap<String, f64>,
}

/// Entry of section `personalities`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Personality {
    /// `balanced`, `socialite`, `industrious` or `stoic`.
    pub profile: Name,
    /// The traits of the profile.
    pub traits: Traits,
    /// Factors of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multipliers: Option<Multipliers>,
}

no_heap!(Traits);
heap_of!(Multipliers { needs, rewards, behaviour } Personality { profile, multipliers });
