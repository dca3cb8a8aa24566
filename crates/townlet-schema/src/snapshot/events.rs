//! What happened in a tick.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::Name;
use crate::heap::heap_of;
use crate::{HeapSize, Json, Object};

/// Entry of section `events`: a named event with its own fields.
///
/// One flat object on the wire: `event`, `tick`, then the fields by key.
/// Fields named `event` or `tick` are left out, so that no key stands twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorldEvent {
    /// `affordance_start`, `queue_conflict`, ….
    pub event: Cow<'static, str>,
    /// When.
    pub tick: u64,
    /// What else the event says.
    pub fields: Object,
}

impl Serialize for WorldEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_flat(&self.event, Some(self.tick), &self.fields, serializer)
    }
}

impl<'de> Deserialize<'de> for WorldEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let FlatEvent { event, tick, fields } = FlatEvent::read(deserializer)?;
        Ok(Self { event: event.into(), tick: tick.unwrap_or_default(), fields })
    }
}

pub(crate) fn write_flat<S: Serializer>(
    event: &str,
    tick: Option<u64>,
    fields: &Object,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    // Without a length, so that the order below is kept: see `encode_into`.
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("event", event)?;
    if let Some(tick) = tick {
        map.serialize_entry("tick", &tick)?;
    }
    for (key, value) in fields.iter().filter(|(key, _)| !matches!(*key, "event" | "tick")) {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

/// An event as it stands in the text.
pub(crate) struct FlatEvent {
    pub(crate) event: String,
    pub(crate) tick: Option<u64>,
    pub(crate) fields: Object,
}

impl FlatEvent {
    pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Flat;
        impl<'de> Visitor<'de> for Flat {
            type Value = FlatEvent;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event with its fields")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FlatEvent, A::Error> {
                let (mut event, mut tick, mut fields) = (None, None, Vec::new());
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "event" => event = Some(map.next_value()?),
                        "tick" => tick = Some(map.next_value()?),
                        _ => fields.push((key, map.next_value::<Json>()?)),
                    }
                }
                let event = event.ok_or_else(|| A::Error::missing_field("event"))?;
                let fields = Object::from_entries(fields)
                    .map_err(|key| A::Error::custom(format_args!("the key {key:?} stands twice")))?;
                Ok(FlatEvent { event, tick, fields })
            }
        }
        deserializer.deserialize_map(Flat)
    }
}

impl HeapSize for WorldEvent {
    fn heap_size(&self) -> usize {
        self.event.heap_size() + self.fields.heap_size()
    }
}

impl JsonSchema for WorldEvent {
    fn schema_name() -> Cow<'static, str> {
        "WorldEvent".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A named event with its own fields.",
            "required": ["event"],
            "properties": {
                "event": { "type": "string" },
                "tick": { "type": "integer", "minimum": 0 },
            },
            "additionalProperties": true,
        })
    }
}

/// Entry of section `narrations`: a sentence for the observer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Narration {
    /// When.
    pub tick: u64,
    /// `queue_conflict`, `relationship_friendship`, ….
    pub category: Name,
    /// The sentence.
    pub message: String,
    /// True where it passes the cooldowns.
    pub priority: bool,
    /// What the sentence was made of.
    #[serde(skip_serializing_if = "Object::is_empty")]
    pub data: Object,
    /// Sentences with the same key are told once within a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
}

/// Entry of section `social_events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SocialEvent {
    /// A chat that went well.
    ChatSuccess {
        /// Who spoke.
        speaker: String,
        /// To whom.
        listener: String,
        /// 0 to 1.
        quality: f64,
    },
    /// A chat that went badly.
    ChatFailure {
        /// Who spoke.
        speaker: String,
        /// To whom.
        listener: String,
        /// 0 to 1.
        quality: f64,
    },
    /// An agent kept away from a rival.
    RivalryAvoidance {
        /// Who.
        agent: String,
        /// From what object.
        object: String,
        /// Why.
        reason: String,
    },
}

impl HeapSize for SocialEvent {
    fn heap_size(&self) -> usize {
        match self {
            Self::ChatSuccess { speaker, listener, .. } | Self::ChatFailure { speaker, listener, .. } => {
                speaker.heap_size() + listener.heap_size()
            }
            Self::RivalryAvoidance { agent, object, reason } => {
                agent.heap_size() + object.heap_size() + reason.heap_size()
            }
        }
    }
}

heap_of!(Narration { category, message, data, dedupe_key });
