//! Where emitted values wait until the stage encodes them.
//!
//! One lane a stream, first in first out. A lane holds owned typed values, so
//! that `emit` pays for a move; capacity is kept, so that the steady state
//! allocates nothing. The host's side and the stage's side are two lanes of the
//! same type; values move from one to the other under the lock.

use std::any::Any;
use std::collections::VecDeque;

use bytes::Bytes;
use townlet_schema::{EncodeError, Json, Payload, encode_body_into};

/// A value as it was emitted.
#[derive(Debug)]
pub(crate) enum Item<T> {
    /// To be encoded by the stage.
    Value(T),
    /// Encoded by our encoder from a `T`, on the caller's thread; too long for the arena.
    Encoded(Bytes),
    /// Encoded by our encoder from whatever the host passed by event name.
    Loose(Bytes),
    /// Encoded by the host itself: not to be trusted to be JSON.
    Foreign(Bytes),
    /// A captured line with an envelope of its own.
    Line(Bytes),
}

/// Where the text in the scratch buffer comes from.
pub(crate) enum Encoded {
    /// Our encoder wrote it from the stream's type.
    Typed,
    /// Our encoder wrote it from something else, which may have named fields of the envelope.
    Loose,
    /// Somebody else wrote it.
    Foreign,
    /// It is a whole line.
    Line,
}

/// A lane whose item type only its stream knows.
pub(crate) trait AnyLane: Send {
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// Moves the `n` oldest items to the stage's side of the same stream.
    fn hand_over(&mut self, n: usize, stage: &mut dyn AnyLane);
    /// Moves what was evicted to the stage's side of the same stream.
    fn hand_graves(&mut self, stage: &mut dyn AnyLane);
    /// Removes the oldest item: it was evicted. Kept for [`bury`](Self::bury), or
    /// given to the caller to drop.
    fn discard_front(&mut self, keep: bool) -> Option<Box<dyn Any + Send>>;
    /// Removes the oldest item and appends it to `out`, encoded.
    fn encode_front(&mut self, out: &mut Vec<u8>) -> Option<Result<Encoded, EncodeError>>;
    /// Removes the oldest item and gives its tree, where it is a value.
    fn build_front(&mut self) -> Option<Result<Json, EncodeError>>;
    /// Frees what was evicted.
    fn bury(&mut self);
}

#[derive(Debug)]
pub(crate) struct Lane<T> {
    items: VecDeque<Item<T>>,
    evicted: Vec<Item<T>>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), evicted: Vec::new() }
    }
}

impl<T: Payload> Lane<T> {
    pub(crate) fn push(&mut self, item: Item<T>) {
        self.items.push_back(item);
    }
}

impl<T: Payload> AnyLane for Lane<T> {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn hand_over(&mut self, n: usize, stage: &mut dyn AnyLane) {
        let Some(stage) = stage.as_any_mut().downcast_mut::<Self>() else { return };
        // Moved, not traded, although that costs more: the host's side keeps its capacity.
        stage.items.extend(self.items.drain(..n.min(self.items.len())));
    }

    fn hand_graves(&mut self, stage: &mut dyn AnyLane) {
        let Some(stage) = stage.as_any_mut().downcast_mut::<Self>() else { return };
        if stage.evicted.is_empty() {
            std::mem::swap(&mut self.evicted, &mut stage.evicted);
        } else {
            stage.evicted.append(&mut self.evicted);
        }
    }

    fn discard_front(&mut self, keep: bool) -> Option<Box<dyn Any + Send>> {
        let item = self.items.pop_front()?;
        if keep {
            self.evicted.push(item);
            return None;
        }
        Some(Box::new(item))
    }

    fn encode_front(&mut self, out: &mut Vec<u8>) -> Option<Result<Encoded, EncodeError>> {
        let (bytes, origin) = match self.items.pop_front()? {
            Item::Value(value) => return Some(encode_body_into(&value, out).map(|()| Encoded::Typed)),
            Item::Encoded(bytes) => (bytes, Encoded::Typed),
            Item::Loose(bytes) => (bytes, Encoded::Loose),
            Item::Foreign(bytes) => (bytes, Encoded::Foreign),
            Item::Line(line) => (line, Encoded::Line),
        };
        out.extend_from_slice(&bytes);
        Some(Ok(origin))
    }

    fn build_front(&mut self) -> Option<Result<Json, EncodeError>> {
        let item = self.items.pop_front_if(|item| matches!(item, Item::Value(_)))?;
        if let Item::Value(value) = item { Some(Json::from_serialize(&value)) } else { None }
    }

    fn bury(&mut self) {
        self.evicted.clear();
    }
}
