//! What a line carries: the `payload_type` of the envelope.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// The type of a line's body. `kind` in configuration, `payload_type` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The whole state of a town after a tick.
    Snapshot,
    /// What changed against the state `base_seq`.
    Diff,
    /// One named event with its payload.
    Event,
    /// How the loop and its telemetry do.
    Health,
    /// A tick that failed.
    Failure,
    /// A console command with its result.
    Console,
    /// A sentence for the observer.
    Narration,
    /// The start of a process run.
    Run,
}

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::Snapshot,
        Self::Diff,
        Self::Event,
        Self::Health,
        Self::Failure,
        Self::Console,
        Self::Narration,
        Self::Run,
    ];

    /// The name on the wire and in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Diff => "diff",
            Self::Event => "event",
            Self::Health => "health",
            Self::Failure => "failure",
            Self::Console => "console",
            Self::Narration => "narration",
            Self::Run => "run",
        }
    }
}

/// A name that no [`Kind`] has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a payload type: expected snapshot, diff, event, health, failure, console, narration or run")]
pub struct KindError {
    name: String,
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().copied().find(|kind| kind.as_str() == name);
        known.ok_or_else(|| KindError { name: name.chars().take(40).collect() })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Kind;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a payload type such as \"snapshot\"")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                name.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Name)
    }
}

impl JsonSchema for Kind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
        json_schema!({ "type": "string", "enum": names })
    }
}
