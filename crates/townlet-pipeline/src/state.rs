//! A state that several readers share while it waits to be encoded.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use townlet_schema::{HeapSize, Kind, Payload, Snapshot};

/// A snapshot that the `latest_*` getters and the queue share: nothing is copied (W27).
#[derive(Clone, Debug)]
pub(crate) struct StateValue(pub(crate) Arc<Snapshot>);

impl Serialize for StateValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl HeapSize for StateValue {
    fn heap_size(&self) -> usize {
        size_of::<Snapshot>() + self.0.heap_size()
    }
}

impl Payload for StateValue {
    const KIND: Kind = Kind::Snapshot;
    const PROVES_SCHEMA: bool = Snapshot::PROVES_SCHEMA;
}
