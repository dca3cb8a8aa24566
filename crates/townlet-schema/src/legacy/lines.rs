//! The lines that carry sections.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::LegacySections;
use crate::heap::heap_of;
use crate::{Json, Kind, Object, ReadError, ReadErrorKind, SchemaVersion};

/// A snapshot of 0.9 or before.
#[derive(Clone, Debug, PartialEq)]
pub struct LegacySnapshot {
    /// As written.
    pub schema_version: SchemaVersion,
    /// When.
    pub tick: u64,
    /// True where the line said `"payload_type":"snapshot"`, as it does where
    /// diffs follow.
    pub has_payload_type: bool,
    /// What it carries.
    pub sections: LegacySections,
}

/// A diff of 0.9: each changed section replaces the old one as a whole.
///
/// It names no base. A consumer can only assume the tick before.
#[derive(Clone, Debug, PartialEq)]
pub struct LegacyDiff {
    /// As written.
    pub schema_version: SchemaVersion,
    /// When.
    pub tick: u64,
    /// The new sections.
    pub changes: LegacySections,
    /// Sections that are gone.
    pub removed: Vec<String>,
}

/// What the console command `telemetry_snapshot` answered: sections without a
/// tick, with blocks of the console's own in `other`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsoleSnapshot {
    /// As written.
    pub schema_version: SchemaVersion,
    /// What it carries.
    pub sections: LegacySections,
}

const LINE_KEYS: [&str; 3] = ["schema_version", "tick", "payload_type"];

impl LegacySnapshot {
    pub(crate) fn read(version: SchemaVersion, object: &Object) -> Result<Self, ReadError> {
        Ok(Self {
            schema_version: version,
            tick: tick(object)?,
            has_payload_type: object.contains_key("payload_type"),
            sections: LegacySections::read(object, &LINE_KEYS)?,
        })
    }
}

impl LegacyDiff {
    pub(crate) fn read(version: SchemaVersion, object: &Object) -> Result<Self, ReadError> {
        let tick = tick(object)?;
        let changes = object.get("changes").ok_or_else(|| ReadError::missing("changes"))?;
        let changes = changes.as_object().ok_or_else(|| {
            let message = format!("expected an object, found {}", changes.type_name());
            ReadError::field(ReadErrorKind::InvalidField, "changes", message)
        })?;
        let changes = LegacySections::read(changes, &[]).map_err(|e| e.within_key("changes"))?;
        let removed = match object.get("removed") {
            Some(removed) => removed.read().map_err(|e| e.within_key("removed"))?,
            None => Vec::new(),
        };
        Ok(Self { schema_version: version, tick, changes, removed })
    }
}

impl ConsoleSnapshot {
    pub(crate) fn read(version: SchemaVersion, object: &Object) -> Result<Self, ReadError> {
        Ok(Self { schema_version: version, sections: LegacySections::read(object, &LINE_KEYS)? })
    }
}

fn tick(object: &Object) -> Result<u64, ReadError> {
    let tick = object.get("tick").ok_or_else(|| ReadError::missing("tick"))?;
    tick.as_u64().ok_or_else(|| {
        let message = match tick {
            Json::Number(number) => format!("expected an integer from 0 to 2^64-1, found {number}"),
            other => format!("expected an integer from 0 to 2^64-1, found {}", other.type_name()),
        };
        ReadError::field(ReadErrorKind::InvalidField, "tick", message)
    })
}

impl Serialize for LegacySnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema_version", &self.schema_version)?;
        map.serialize_entry("tick", &self.tick)?;
        if self.has_payload_type {
            map.serialize_entry("payload_type", &Kind::Snapshot)?;
        }
        self.sections.write(&mut map)?;
        map.end()
    }
}

impl Serialize for LegacyDiff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema_version", &self.schema_version)?;
        map.serialize_entry("tick", &self.tick)?;
        map.serialize_entry("payload_type", &Kind::Diff)?;
        map.serialize_entry("changes", &self.changes)?;
        if !self.removed.is_empty() {
            map.serialize_entry("removed", &self.removed)?;
        }
        map.end()
    }
}

impl Serialize for ConsoleSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema_version", &self.schema_version)?;
        self.sections.write(&mut map)?;
        map.end()
    }
}

heap_of!(LegacySnapshot { sections } LegacyDiff { changes, removed } ConsoleSnapshot { sections });
