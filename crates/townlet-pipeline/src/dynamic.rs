//! Events by name, and the streams that every pipeline has.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use townlet_schema::{ConsoleResult, Failure, Health, HeapSize, Json, Kind, Payload};

use crate::admission::Emitted;
use crate::error::{EmitError, StreamError};
use crate::shared::Shared;
use crate::state::StateValue;
use crate::stream::Stream;
use crate::telemetry::{kind_of, open};

/// `{"event": name, "payload": …}` with a free-form payload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NamedEvent {
    pub(crate) event: Cow<'static, str>,
    pub(crate) payload: Json,
}

impl HeapSize for NamedEvent {
    fn heap_size(&self) -> usize {
        self.event.heap_size() + self.payload.heap_size()
    }
}

impl Payload for NamedEvent {
    const KIND: Kind = Kind::Event;
}

/// The same, borrowed, with any serialisable payload.
#[derive(Serialize)]
struct NamedEventRef<'a, P: ?Sized> {
    event: &'a str,
    payload: &'a P,
}

#[derive(Debug)]
pub(crate) struct StandardStreams {
    pub(crate) snapshots: Stream<StateValue>,
    pub(crate) events: Stream<NamedEvent>,
    pub(crate) health: Stream<Health>,
    pub(crate) failures: Stream<Failure>,
    pub(crate) console: Stream<ConsoleResult>,
}

impl StandardStreams {
    pub(crate) fn open(shared: &Arc<Shared>, producer: &str) -> Result<Self, StreamError> {
        Ok(Self {
            snapshots: open(shared, producer)?,
            events: open(shared, &format!("{producer}.events"))?,
            health: open(shared, &format!("{producer}.health"))?,
            failures: open(shared, &format!("{producer}.failure"))?,
            console: open(shared, &format!("{producer}.console"))?,
        })
    }

    pub(crate) fn emit_named<P: Serialize + ?Sized>(
        &self,
        name: &str,
        tick: u64,
        payload: &P,
    ) -> Result<Emitted, EmitError> {
        match kind_of(name) {
            Kind::Snapshot => self.snapshots.emit_loose(tick, payload),
            Kind::Health => self.health.emit_loose(tick, payload),
            Kind::Failure => self.failures.emit_loose(tick, payload),
            Kind::Console => self.console.emit_loose(tick, payload),
            _ => self.events.emit_as(tick, &NamedEventRef { event: name, payload }),
        }
    }
}
