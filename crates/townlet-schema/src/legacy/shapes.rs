//! Shapes of sections that differ from today's.

use std::collections::BTreeMap;

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::heap::heap_of;
use crate::snapshot::{
    FlatEvent, Needs, ObjectStock, PriceSpike, QueueHistoryEntry, QueueMetrics, RivalryEvent, Tie, Utilities,
    write_flat,
};
use crate::{HeapSize, Json, Number, Object};

/// The end of a path in `conflict.rivalry`, whose type changed within 0.9
/// without a new version.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LegacyRivalry {
    /// 0.9.0: the rivalry alone.
    Score(f64),
    /// Later: the whole tie.
    Tie(Tie),
}

impl<'de> Deserialize<'de> for LegacyRivalry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        match json.as_f64() {
            Some(score) => Ok(Self::Score(score)),
            None => json.read().map(Self::Tie).map_err(serde::de::Error::custom),
        }
    }
}

impl LegacyRivalry {
    /// The rivalry, 0 to 1.
    pub fn score(self) -> f64 {
        match self {
            Self::Score(score) => score,
            Self::Tie(tie) => tie.rivalry,
        }
    }
}

/// Section `conflict`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegacyConflict {
    /// Queue counters.
    pub queues: QueueMetrics,
    /// At most the last 20 ticks.
    pub queue_history: Vec<QueueHistoryEntry>,
    /// Owner to other to rivalry.
    pub rivalry: BTreeMap<String, BTreeMap<String, LegacyRivalry>>,
    /// At most the last 20 clashes.
    pub rivalry_events: Vec<RivalryEvent>,
}

/// Section `relationships`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegacyChurn {
    /// First tick.
    pub window_start: u64,
    /// Tick after the last.
    pub window_end: u64,
    /// Evictions so far.
    pub total: u64,
    /// By owner.
    pub owners: BTreeMap<String, u64>,
    /// By reason.
    pub reasons: BTreeMap<String, u64>,
    /// At most the last eight windows; hand-made samples lack it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<Json>>,
}

/// Entry of `relationship_updates`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegacyRelationshipUpdate {
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
    /// `added`, `updated`, `removed`; a sample says `conflict`.
    pub status: String,
    /// By how much.
    pub delta: Tie,
}

/// Entry of `relationship_overlay`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegacyOverlayEntry {
    /// Who feels; hand-made samples lack it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// For whom.
    pub other: String,
    /// -1 to 1.
    pub trust: f64,
    /// -1 to 1.
    pub familiarity: f64,
    /// 0 to 1.
    pub rivalry: f64,
    /// Change of `trust`.
    pub delta_trust: f64,
    /// Change of `familiarity`.
    pub delta_familiarity: f64,
    /// Change of `rivalry`.
    pub delta_rivalry: f64,
}

/// Entry of `events`; the tick may be absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LegacyEvent {
    /// The name.
    pub event: String,
    /// When.
    pub tick: Option<u64>,
    /// What else it says.
    pub fields: Object,
}

impl Serialize for LegacyEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_flat(&self.event, self.tick, &self.fields, serializer)
    }
}

impl<'de> Deserialize<'de> for LegacyEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let FlatEvent { event, tick, fields } = FlatEvent::read(deserializer)?;
        Ok(Self { event, tick, fields })
    }
}

/// Entry of `jobs`. Its three counters lay flat in 0.9.0 and in `inventory` later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegacyJob {
    /// Where the agent works.
    pub job_id: Option<String>,
    /// True while a shift runs.
    pub on_shift: bool,
    /// In the town's currency.
    pub wallet: f64,
    /// Late shifts so far.
    pub lateness_counter: u64,
    /// In the town's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wages_earned: Option<Number>,
    /// Meals made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meals_cooked: Option<u64>,
    /// Meals eaten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meals_consumed: Option<u64>,
    /// Price of a meal with all its parts.
    pub basket_cost: f64,
    /// Where in its shift the agent is.
    pub shift_state: String,
    /// 0 to 1.
    pub attendance_ratio: f64,
    /// Ticks late on this day.
    pub late_ticks_today: u64,
    /// Shifts missed in seven days.
    pub absent_shifts_7d: u64,
    /// In the town's currency.
    pub wages_withheld: f64,
    /// True while an exit waits for a decision.
    pub exit_pending: bool,
    /// How the agent is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
    /// The counters and whatever else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Object>,
}

/// Section `economy`, which had two shapes under one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LegacyEconomy {
    /// 0.2 to 0.9.0: stock by object.
    Objects(BTreeMap<String, ObjectStock>),
    /// Later: settings, price spikes and utilities.
    Context(LegacyEconomyContext),
}

/// The later shape of `economy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegacyEconomyContext {
    /// As `economy_settings`.
    pub settings: BTreeMap<String, f64>,
    /// As `price_spikes`.
    pub active_price_spikes: BTreeMap<String, PriceSpike>,
    /// As `utilities`.
    pub utility_snapshot: Utilities,
}

impl<'de> Deserialize<'de> for LegacyEconomy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let is_context =
            ["settings", "active_price_spikes", "utility_snapshot"].iter().any(|key| json.get(key).is_some());
        let economy = if is_context { json.read().map(Self::Context) } else { json.read().map(Self::Objects) };
        economy.map_err(serde::de::Error::custom)
    }
}

/// Section `stability`. Its metrics changed with nearly every version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegacyStability {
    /// What the monitor found.
    pub metrics: Object,
    /// Alerts raised.
    pub alerts: Vec<String>,
    /// What it was given; not in console snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Object>,
    /// Where the promotion stands; in console snapshots only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion_state: Option<Object>,
}

impl HeapSize for LegacyRivalry {
    fn heap_size(&self) -> usize {
        0
    }
}

impl HeapSize for LegacyEconomy {
    fn heap_size(&self) -> usize {
        match self {
            Self::Objects(objects) => objects.heap_size(),
            Self::Context(context) => context.heap_size(),
        }
    }
}

heap_of!(
    LegacyConflict { queue_history, rivalry, rivalry_events }
    LegacyChurn { owners, reasons, history }
    LegacyRelationshipUpdate { owner, other, status }
    LegacyOverlayEntry { owner, other }
    LegacyEvent { event, fields }
    LegacyJob { job_id, shift_state, inventory }
    LegacyEconomyContext { settings, active_price_spikes }
    LegacyStability { metrics, alerts, inputs, promotion_state }
);
