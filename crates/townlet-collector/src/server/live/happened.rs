//! What happened in the tick of a state.

use townlet_schema::{Json, Object, Section, SectionClass};
use townlet_state::per_tick_items;

/// The sections of a state that say what happened in its tick.
pub(super) struct Happened {
    pub(super) sections: Object,
    /// How many items there are in them.
    pub(super) items: u64,
    /// What they take of memory, nearly.
    pub(super) bytes: usize,
}

impl Happened {
    pub(super) fn of(sections: &Object) -> Self {
        let per_tick =
            |key: &str| Section::from_name(key).is_some_and(|section| section.class() == SectionClass::PerTick);
        let found = sections.iter().filter(|(key, _)| per_tick(key));
        let sections: Object = found.map(|(key, value)| (key, value.clone())).collect();
        let items = per_tick_items(&sections).values().sum();
        let bytes = size_of::<Self>() + object_bytes(&sections);
        Self { sections, items, bytes }
    }
}

/// As deep as what was read, which is bounded.
fn bytes(json: &Json) -> usize {
    size_of::<Json>()
        + match json {
            Json::Null | Json::Bool(_) | Json::Number(_) => 0,
            Json::String(text) => text.len(),
            Json::Array(items) => items.iter().map(bytes).sum(),
            Json::Object(object) => object_bytes(object),
        }
}

fn object_bytes(object: &Object) -> usize {
    object.iter().map(|(key, value)| size_of::<String>() + key.len() + bytes(value)).sum()
}
