//! What can be emitted.

use serde::Serialize;

use crate::{HeapSize, Kind};

/// A typed body of a line.
///
/// It serialises to one JSON object that has none of the envelope's keys:
/// `schema_version`, `payload_type`, `run_id`, `stream`, `seq`, `tick`,
/// `base_seq`, `rendering`.
///
/// ```
/// use serde::Serialize;
/// use townlet_schema::{HeapSize, Kind, Payload};
///
/// #[derive(Serialize)]
/// struct DoorOpened {
///     event: &'static str,
///     payload: Door,
/// }
///
/// #[derive(Serialize)]
/// struct Door {
///     name: String,
/// }
///
/// impl HeapSize for DoorOpened {
///     fn heap_size(&self) -> usize {
///         self.payload.name.heap_size()
///     }
/// }
///
/// impl Payload for DoorOpened {
///     const KIND: Kind = Kind::Event;
/// }
/// ```
pub trait Payload: Serialize + HeapSize + Send + 'static {
    /// The `payload_type` of its lines.
    const KIND: Kind;

    /// True where every value satisfies the bundled JSON Schema of its kind by
    /// construction, so that validation against that schema may be skipped. Only
    /// types of this crate, whose schemas are generated from them, say so.
    const PROVES_SCHEMA: bool = false;
}
