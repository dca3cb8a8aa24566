//! Diff lines: what changed against an earlier state.

mod patch;
mod state;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::heap_of;
use crate::{Json, Kind, Object, Payload};

pub use patch::{Patch, PatchError};
pub use state::StateDiff;

/// Body of a `diff` line. The state it applies to is the envelope's `base_seq`.
///
/// Each changed section replaces the old one as a whole. It is never merged
/// into it: an agent that left is simply not in the new section.
///
/// ```
/// use townlet_schema::{Diff, Json, Object};
///
/// let mut state: Object = [("jobs", Json::parse(br#"{"ann":1,"bob":2}"#)?)].into_iter().collect();
/// let diff = Diff { changes: [("jobs", Json::parse(br#"{"bob":3}"#)?)].into_iter().collect(), removed: vec![] };
/// diff.apply(&mut state);
/// assert_eq!(state.get("jobs").map(Json::to_string).as_deref(), Some(r#"{"bob":3}"#));
/// # Ok::<(), townlet_schema::ReadError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// Section to its whole new value.
    pub changes: Object,
    /// Sections that are gone.
    #[serde(default)]
    pub removed: Vec<String>,
}

impl Diff {
    /// What leads from `base` to `next`, section by section.
    pub fn between(base: &Object, next: &Object) -> Self {
        let changed = next.iter().filter(|(key, value)| base.get(key) != Some(value));
        let changes = changed.map(|(key, value)| (key, value.clone())).collect();
        let removed = base.keys().filter(|key| !next.contains_key(key)).map(str::to_owned).collect();
        Self { changes, removed }
    }

    /// True where nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.removed.is_empty()
    }

    /// Brings `state` forward: replaces the changed sections, then deletes the
    /// removed ones.
    pub fn apply(&self, state: &mut Object) {
        for (section, value) in self.changes.iter() {
            state.insert(section, Json::clone(value));
        }
        for section in &self.removed {
            state.remove(section);
        }
    }
}

heap_of!(Diff { changes, removed });

impl Payload for Diff {
    const KIND: Kind = Kind::Diff;
}
