//! Narration lines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::heap_of;
use crate::snapshot::{Name, Narration};
use crate::{Kind, Object, Payload};

/// Body of a `narration` line: a [`Narration`] whose tick is in the envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NarrationRecord {
    /// `queue_conflict`, `relationship_friendship`, ….
    pub category: Name,
    /// The sentence.
    pub message: String,
    /// True where it passes the cooldowns.
    pub priority: bool,
    /// What the sentence was made of.
    pub data: Object,
    /// Sentences with the same key are told once within a window.
    pub dedupe_key: Option<String>,
}

impl From<Narration> for NarrationRecord {
    fn from(narration: Narration) -> Self {
        let Narration { tick: _, category, message, priority, data, dedupe_key } = narration;
        Self { category, message, priority, data, dedupe_key }
    }
}

heap_of!(NarrationRecord { category, message, data, dedupe_key });

impl Payload for NarrationRecord {
    const KIND: Kind = Kind::Narration;
    const PROVES_SCHEMA: bool = true;
}
