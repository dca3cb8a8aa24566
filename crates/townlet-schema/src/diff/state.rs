//! The body of a diff that changes a state from the inside.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Patch, PatchError};
use crate::heap::heap_of;
use crate::{ENVELOPE_KEYS, Json, Kind, Object, Payload, ReadError, ReadErrorKind, Section, SectionClass};

/// The key of a body under which its [`Patch`] stands.
const PATCH: &str = "patch";

/// Body of a `diff` line that says what changed inside the sections.
///
/// Under `patch` it has a [`Patch`] of the sections of class
/// [`State`](SectionClass::State); beside it, whole, the sections of class
/// [`PerTick`](SectionClass::PerTick) that are not empty. One that is not there
/// is an empty list now, for what happened in an earlier tick is over.
///
/// ```
/// use townlet_schema::{Json, Object, StateDiff};
///
/// let object = |text: &str| Json::parse(text.as_bytes()).map(|json| json.as_object().cloned().unwrap_or_default());
/// let mut state: Object = object(r#"{"events":[{"event":"chat"}],"utilities":{"power":true,"water":true}}"#)?;
/// let diff = StateDiff::from_body(object(r#"{"patch":{"utilities":{"power":false}}}"#)?)?;
/// diff.apply(&mut state)?;
/// assert_eq!(Json::Object(state).to_string(), r#"{"events":[],"utilities":{"power":false,"water":true}}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDiff {
    /// What changed in the sections that last.
    pub patch: Patch,
    /// What happened in this tick, by section.
    pub per_tick: Object,
}

heap_of!(StateDiff { patch, per_tick });

impl StateDiff {
    /// True where `body` has this form, and not that of [`Diff`](crate::Diff).
    pub fn is_body(body: &Object) -> bool {
        body.contains_key(PATCH)
    }

    /// From a line's object or from its body: keys of the envelope are left out,
    /// and so is what a later minor may add.
    ///
    /// # Errors
    /// A `patch` that is absent or no object.
    pub fn from_body(mut body: Object) -> Result<Self, ReadError> {
        let patch = match body.remove(PATCH) {
            Some(Json::Object(changes)) => Patch::new(changes),
            Some(other) => {
                let message = format!("expected an object, found {}", other.type_name());
                return Err(ReadError::field(ReadErrorKind::InvalidField, PATCH, message));
            }
            None => return Err(ReadError::missing(PATCH)),
        };
        body.retain(|key, _| is_per_tick(key) && !ENVELOPE_KEYS.contains(&key));
        Ok(Self { patch, per_tick: body })
    }

    /// Brings `state` forward: all of it, or nothing.
    ///
    /// # Errors
    /// As [`Patch::apply`].
    pub fn apply(&self, state: &mut Object) -> Result<(), PatchError> {
        self.patch.apply(state)?;
        for (key, value) in state.iter_mut() {
            if is_per_tick(key) {
                *value = Json::Array(Vec::new());
            }
        }
        for (key, value) in self.per_tick.iter() {
            state.insert(key, value.clone());
        }
        Ok(())
    }
}

fn is_per_tick(key: &str) -> bool {
    Section::from_name(key).is_some_and(|section| section.class() == SectionClass::PerTick)
}

impl Serialize for StateDiff {
    /// The body: the patch, then the sections of the tick by name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(PATCH, &self.patch)?;
        for (key, value) in self.per_tick.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Payload for StateDiff {
    const KIND: Kind = Kind::Diff;
}
