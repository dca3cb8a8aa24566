//! Objects, prices, utilities.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::heap::{heap_of, no_heap};

/// Entry of section `economy`: an interactive object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ObjectStock {
    /// `shower`, `bed`, `fridge`, `stove`, …. On the wire: `type`.
    #[serde(rename = "type")]
    pub kind: Name,
    /// Units by name: `meals`, `raw_ingredients`, `power_on`, ….
    pub stock: BTreeMap<String, i64>,
}

/// Entry of section `price_spikes`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PriceSpike {
    /// Factor on the price.
    pub magnitude: f64,
    /// Names of the settings that it multiplies.
    pub targets: Vec<String>,
}

/// Section `utilities`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Utilities {
    /// False during a blackout.
    pub power: bool,
    /// False during an outage.
    pub water: bool,
}

impl Default for Utilities {
    /// Both run.
    fn default() -> Self {
        Self { power: true, water: true }
    }
}

no_heap!(Utilities);
heap_of!(ObjectStock { kind, stock } PriceSpike { targets });
