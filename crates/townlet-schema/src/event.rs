//! Event lines: a name with its payload.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use crate::heap::heap_of;
use crate::snapshot::{Name, PolicyIdentity, Promotion, RivalryEvent, StabilityMetrics};
use crate::{HeapSize, Json, Kind, Object, Payload};

/// Body of an `event` line whose payload has no type here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventRecord {
    /// `policy.metadata`, `loop.tick`, or a name of the host's own.
    pub event: Cow<'static, str>,
    /// What it says: any JSON value; an object where it may grow.
    #[serde(default)]
    pub payload: Json,
}

impl EventRecord {
    /// An event with a free-form payload.
    pub fn new(event: impl Into<Cow<'static, str>>, payload: impl Into<Json>) -> Self {
        Self { event: event.into(), payload: payload.into() }
    }
}

heap_of!(EventRecord { event, payload });

impl Payload for EventRecord {
    const KIND: Kind = Kind::Event;
    const PROVES_SCHEMA: bool = true;
}

/// A payload type that belongs to one event name.
pub trait EventPayload: Serialize + HeapSize + Send + 'static {
    /// The name on the wire.
    const EVENT: &'static str;
}

/// Body of an `event` line with a typed payload.
///
/// ```
/// use townlet_schema::{Event, Json, PolicyPossession};
///
/// let event = Event(PolicyPossession { provider: "scripted".into(), ..PolicyPossession::default() });
/// let json = Json::from_serialize(&event)?;
/// assert_eq!(json.get("event").and_then(Json::as_str), Some("policy.possession"));
/// # Ok::<(), townlet_schema::EncodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event<P>(pub P);

impl<P: EventPayload> Serialize for Event<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_struct("Event", 2)?;
        body.serialize_field("event", P::EVENT)?;
        body.serialize_field("payload", &self.0)?;
        body.end()
    }
}

impl<P: EventPayload> HeapSize for Event<P> {
    fn heap_size(&self) -> usize {
        self.0.heap_size()
    }
}

impl<P: EventPayload> Payload for Event<P> {
    const KIND: Kind = Kind::Event;
    const PROVES_SCHEMA: bool = true;
}

/// What `policy.metadata` says of the policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyDetails {
    /// Which policy acts.
    pub identity: Option<PolicyIdentity>,
    /// Agents under outside control, sorted.
    pub possessed_agents: Vec<String>,
    /// Changes of mind, by agent.
    pub option_switch_counts: std::collections::BTreeMap<String, u64>,
    /// Share of learned behaviour, 0 to 1.
    pub anneal_ratio: Option<f64>,
}

/// Payload of `policy.metadata`, sent when it changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyMetadata {
    /// Which implementation of policies acts.
    pub provider: Name,
    /// What it says of itself.
    pub metadata: PolicyDetails,
}

/// Payload of `policy.possession`, sent when the set changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyPossession {
    /// Which implementation of policies acts.
    pub provider: Name,
    /// Agents under its control, sorted.
    pub agents: Vec<String>,
    /// Agents under outside control, sorted.
    pub possessed_agents: Vec<String>,
}

/// Payload of `policy.anneal.update`, sent when it changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyAnnealUpdate {
    /// Which implementation of policies acts.
    pub provider: Name,
    /// Share of learned behaviour, 0 to 1.
    pub ratio: Option<f64>,
    /// What else it says.
    pub context: Object,
}

/// Payload of `stability.metrics`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StabilityUpdate {
    /// What the monitor found.
    pub metrics: StabilityMetrics,
    /// Where the promotion stands.
    pub promotion_state: Option<Promotion>,
}

/// Payload of `rivalry.events`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RivalryEvents {
    /// Clashes since the last one.
    pub events: Vec<RivalryEvent>,
}

heap_of!(
    PolicyDetails { identity, possessed_agents, option_switch_counts }
    PolicyMetadata { provider, metadata }
    PolicyPossession { provider, agents, possessed_agents }
    PolicyAnnealUpdate { provider, context }
    StabilityUpdate { metrics, promotion_state }
    RivalryEvents { events }
);

macro_rules! names {
    ($($type:ty = $name:literal,)*) => {
        $(impl EventPayload for $type {
            const EVENT: &'static str = $name;
        })*
    };
}

names! {
    PolicyMetadata = "policy.metadata",
    PolicyPossession = "policy.possession",
    PolicyAnnealUpdate = "policy.anneal.update",
    StabilityUpdate = "stability.metrics",
    RivalryEvents = "rivalry.events",
}
