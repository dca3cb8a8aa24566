//! The state of a town after a tick: one struct for each section.
//!
//! Sections keep the predecessor's names, and so do their fields. A section or
//! field that a line lacks reads as its default, because redaction may have
//! taken it out and an older minor may not have had it; a field of the wrong
//! type is an error.

mod affordances;
mod conflict;
mod economy;
mod employment;
mod events;
mod people;
mod perturbations;
mod policy;
mod relationships;
mod rewards;
mod stability;

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::heap_of;
use crate::{Kind, Payload};

pub use affordances::{
    AffordanceEventCounts, AffordanceManifest, AffordanceRuntime, EmbeddingMetrics, RunningAffordance,
};
pub use conflict::{Conflict, QueueHistoryEntry, QueueMetrics, RivalryEvent};
pub use economy::{ObjectStock, PriceSpike, Utilities};
pub use employment::{Employment, Inventory, Job, Needs};
pub(crate) use events::{FlatEvent, write_flat};
pub use events::{Narration, SocialEvent, WorldEvent};
pub use people::{Multipliers, Personality, Traits};
pub use perturbations::{Perturbation, PerturbationCooldowns, Perturbations};
pub use policy::{ActionProbability, AnnealStatus, PolicyDecision, PolicyIdentity};
pub use relationships::{ChurnSample, OverlayEntry, RelationshipChurn, RelationshipUpdate, Tie, UpdateStatus};
pub use rewards::RewardBreakdown;
pub use stability::{
    KpiHistory, OptionThrashThreshold, Promotion, PromotionWindow, RewardVarianceThreshold, Stability, StabilityInputs,
    StabilityMetrics, StarvationThreshold, Thresholds,
};

/// A name out of a small set, mostly a constant of the producer.
pub type Name = Cow<'static, str>;

/// The whole state of a town. Body of a `snapshot` line; its tick is in the envelope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Snapshot {
    /// Which implementation of the world produced it; `facade` in production.
    pub runtime_variant: Option<String>,
    /// Queue counters since the start.
    pub queue_metrics: QueueMetrics,
    /// Use of observation embedding slots.
    pub embedding_metrics: EmbeddingMetrics,
    /// The exit queue.
    pub employment: Employment,
    /// Queue history and rivalry.
    pub conflict: Conflict,
    /// Relationship churn of the current window.
    pub relationships: RelationshipChurn,
    /// Ties: owner to other to tie.
    pub relationship_snapshot: BTreeMap<String, BTreeMap<String, Tie>>,
    /// Ties that changed in this tick.
    pub relationship_updates: Vec<RelationshipUpdate>,
    /// For each owner the strongest ties by trust, at most three.
    pub relationship_overlay: BTreeMap<String, Vec<OverlayEntry>>,
    /// World events of this tick, each once.
    pub events: Vec<WorldEvent>,
    /// Narrations of this tick.
    pub narrations: Vec<Narration>,
    /// Agents at work, by agent.
    pub jobs: BTreeMap<String, Job>,
    /// Interactive objects with their stock, by object.
    pub economy: BTreeMap<String, ObjectStock>,
    /// Prices and wages by name, in the town's currency.
    pub economy_settings: BTreeMap<String, f64>,
    /// Price spikes in force, by event.
    pub price_spikes: BTreeMap<String, PriceSpike>,
    /// Which utilities run.
    pub utilities: Utilities,
    /// Where the affordances were loaded from.
    pub affordance_manifest: AffordanceManifest,
    /// Affordances under way.
    pub affordance_runtime: AffordanceRuntime,
    /// Rewards of this tick, by agent.
    pub reward_breakdown: BTreeMap<String, RewardBreakdown>,
    /// Stability of the simulation.
    pub stability: Stability,
    /// Where the policy's promotion stands.
    pub promotion: Option<Promotion>,
    /// Scheduled disturbances.
    pub perturbations: Perturbations,
    /// Which policy acts. The default redaction removes it.
    pub policy_identity: Option<PolicyIdentity>,
    /// The latest decision, by agent.
    pub policy_snapshot: BTreeMap<String, PolicyDecision>,
    /// Blending of scripted and learned behaviour.
    pub anneal_status: Option<AnnealStatus>,
    /// Recent values of the key indicators.
    pub kpi_history: KpiHistory,
    /// Personalities, by agent.
    pub personalities: BTreeMap<String, Personality>,
    /// Chats and avoidances of this tick.
    pub social_events: Vec<SocialEvent>,
}

heap_of!(Snapshot {
    runtime_variant,
    employment,
    conflict,
    relationships,
    relationship_snapshot,
    relationship_updates,
    relationship_overlay,
    events,
    narrations,
    jobs,
    economy,
    economy_settings,
    price_spikes,
    affordance_manifest,
    affordance_runtime,
    reward_breakdown,
    stability,
    promotion,
    perturbations,
    policy_identity,
    policy_snapshot,
    anneal_status,
    kpi_history,
    personalities,
    social_events,
});

impl Payload for Snapshot {
    const KIND: Kind = Kind::Snapshot;
    const PROVES_SCHEMA: bool = true;
}
