//! Where emitted values wait until the stage encodes them.
//!
//! One lane a stream, first in first out. A lane holds owned typed values, so
//! that `emit` pays for a move. They lie in runs: the host's side fills runs, the
//! stage's side, a lane of the same type, takes them over as a whole under the
//! lock and gives them back empty. So hosts do not wait while values are moved,
//! write where was written lately, and in the steady state nothing is allocated.

use std::any::Any;
use std::collections::VecDeque;

use bytes::Bytes;
use townlet_schema::{EncodeError, Json, Payload, encode_body_into};

/// Items in a run, so many as the stage takes in hand at a time.
const RUN: usize = crate::intake::CHUNK;

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
pub(crate) trait AnyLane: Any + Send {
    /// Moves the `n` oldest items to the stage's side of the same stream, and takes
    /// back the runs that it has emptied.
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

/// Items one behind the other.
type Run<T> = VecDeque<Item<T>>;

#[derive(Debug)]
pub(crate) struct Lane<T> {
    /// Oldest first, none of them empty.
    runs: VecDeque<Run<T>>,
    /// Empty ones, which keep their memory; the last was in use last.
    spares: Vec<Run<T>>,
    evicted: Vec<Item<T>>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { runs: VecDeque::new(), spares: Vec::new(), evicted: Vec::new() }
    }
}

impl<T: Payload> Lane<T> {
    #[inline]
    pub(crate) fn push(&mut self, item: Item<T>) {
        if self.runs.back().is_none_or(|run| run.len() >= RUN) {
            self.runs.push_back(self.spares.pop().unwrap_or_default());
        }
        if let Some(run) = self.runs.back_mut() {
            run.push_back(item);
        }
    }

    fn pop(&mut self) -> Option<Item<T>> {
        let front = self.runs.front_mut()?;
        let item = front.pop_front();
        if front.is_empty() {
            self.spares.extend(self.runs.pop_front());
        }
        item
    }
}

impl<T: Payload> AnyLane for Lane<T> {
    fn hand_over(&mut self, n: usize, stage: &mut dyn AnyLane) {
        let Some(stage) = (stage as &mut dyn Any).downcast_mut::<Self>() else { return };
        self.spares.append(&mut stage.spares);
        let mut left = n;
        while let Some(front) = self.runs.front_mut().filter(|_| left > 0) {
            if front.len() <= left {
                left -= front.len();
                stage.runs.extend(self.runs.pop_front());
            } else {
                // A part of a run has to be moved, item by item.
                let mut part = self.spares.pop().unwrap_or_default();
                part.extend(front.drain(..std::mem::take(&mut left)));
                stage.runs.push_back(part);
            }
        }
    }

    fn hand_graves(&mut self, stage: &mut dyn AnyLane) {
        let Some(stage) = (stage as &mut dyn Any).downcast_mut::<Self>() else { return };
        if stage.evicted.is_empty() {
            std::mem::swap(&mut self.evicted, &mut stage.evicted);
        } else {
            stage.evicted.append(&mut self.evicted);
        }
    }

    fn discard_front(&mut self, keep: bool) -> Option<Box<dyn Any + Send>> {
        let item = self.pop()?;
        if keep {
            self.evicted.push(item);
            return None;
        }
        Some(Box::new(item))
    }

    fn encode_front(&mut self, out: &mut Vec<u8>) -> Option<Result<Encoded, EncodeError>> {
        let (bytes, origin) = match self.pop()? {
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
        let Item::Value(_) = self.runs.front()?.front()? else { return None };
        if let Item::Value(value) = self.pop()? { Some(Json::from_serialize(&value)) } else { None }
    }

    fn bury(&mut self) {
        self.evicted.clear();
    }
}
