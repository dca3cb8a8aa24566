//! Typed streams: the host's way in.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use townlet_schema::{EncodeError, Kind, Payload, encode_body_into, encode_into};
use townlet_transform::{Dropped, Head, Validator};
use townlet_worker::{DropReason, Sink};

use crate::admission::Emitted;
use crate::arena::LONGEST_PIECE;
use crate::body::{event_name, without_envelope};
use crate::error::EmitError;
use crate::intake::Routes;
use crate::lane::Item;
use crate::receipts::Receipts;
use crate::shared::Shared;
use crate::stage::reason_of_encoding;

/// What an event weighs beside its own bytes: envelope and queue slot.
pub(crate) const ENVELOPE_WEIGHT: usize = 160;

/// A stream of one payload type. Cheap to clone; clones number the same stream.
pub struct Stream<T> {
    shared: Arc<Shared>,
    index: u32,
    name: Arc<str>,
    /// Runs in `emit` where a `schema_validator` in mode `raise` concerns this kind.
    raising: Option<Arc<Validator>>,
    payload: PhantomData<fn(T)>,
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({})", self.name)
    }
}

impl<T> Clone for Stream<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            index: self.index,
            name: Arc::clone(&self.name),
            raising: self.raising.clone(),
            payload: PhantomData,
        }
    }
}

impl<T: Payload> Stream<T> {
    pub(crate) fn new(shared: Arc<Shared>, index: u32, name: Arc<str>, raising: Option<Arc<Validator>>) -> Self {
        Self { shared, index, name, raising, payload: PhantomData }
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Takes `value` over; a worker encodes it later. The loop pays for a move;
    /// where events come faster than the worker encodes them it pays for encoding
    /// its own, so that the work is shared among the threads that make it.
    ///
    /// It counts against the byte bound with its own size, what it owns on the
    /// heap ([`HeapSize`](townlet_schema::HeapSize)) and an allowance for the
    /// envelope, until it is encoded; then with its true length.
    ///
    /// # Errors
    /// [`EmitError::Closed`] after shutdown. [`EmitError::Invalid`] and
    /// [`EmitError::Unencodable`] where a validator in mode `raise` is set; the
    /// value is then encoded here, not later.
    pub fn emit(&self, tick: u64, value: T) -> Result<Emitted, EmitError> {
        if self.raising.is_some() {
            return self.emit_as(tick, &value);
        }
        // What cannot be encoded takes the other way, on which it is counted and logged.
        if self.shared.lends_a_hand()
            && let Ok(Some(emitted)) = with_encoded(&value, encode_for_the_stage, |body| self.offer_body(tick, body))
        {
            // As where the stage drops it: a panic of its destructor is not the emitter's.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(value)));
            return emitted;
        }
        let weight = size_of::<T>().saturating_add(value.heap_size()).saturating_add(ENVELOPE_WEIGHT);
        self.shared.emit(self.index, tick, weight, Item::Value(value))
    }

    /// As [`emit`](Self::emit), with receipts: for the few events of which the
    /// host must know that they arrived. Waiting for them is not for the loop.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_with_receipt(&self, tick: u64, value: T) -> Result<(Emitted, Receipts), EmitError> {
        if let Some(validator) = &self.raising {
            let source = |source| EmitError::Unencodable { kind: T::KIND.as_str(), source };
            with_encoded(&value, encode_body_into, |body| self.check(validator, tick, body)).map_err(source)??;
        }
        let weight = size_of::<T>().saturating_add(value.heap_size()).saturating_add(ENVELOPE_WEIGHT);
        let mut by_sink = Vec::new();
        let watch = |sinks: &mut [Sink], routes: Routes, seq| {
            for (index, sink) in sinks.iter_mut().enumerate() {
                if let Some(route) = routes.get(index) {
                    let name = sink.main().options().name.clone();
                    by_sink.push((name, sink.machine(route).watch(self.index, seq)));
                }
            }
        };
        let emitted = self.shared.emit_watched(self.index, tick, weight, Item::Value(value), watch)?;
        Ok((emitted, Receipts { by_sink }))
    }

    /// Encodes `value` here and takes the bytes over: for data that is borrowed,
    /// or so large that encoding is cheaper than cloning.
    ///
    /// A float that JSON cannot say is a counted drop (`non_finite`), as it is
    /// for [`emit`](Self::emit).
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_ref(&self, tick: u64, value: &T) -> Result<Emitted, EmitError> {
        self.emit_as(tick, value)
    }

    /// Takes over a body that is encoded already: one JSON object without the
    /// envelope's keys. Shared bytes are not copied. What is not one JSON object
    /// is a counted drop (`invalid_payload`).
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_encoded(&self, tick: u64, body: Bytes) -> Result<Emitted, EmitError> {
        if let Some(validator) = &self.raising {
            self.check(validator, tick, &body)?;
        }
        let weight = body.len() + ENVELOPE_WEIGHT;
        self.shared.emit(self.index, tick, weight, Item::<T>::Foreign(body))
    }

    /// Encodes here something that is written as a `T` would be.
    pub(crate) fn emit_as<V: Serialize + ?Sized>(&self, tick: u64, value: &V) -> Result<Emitted, EmitError> {
        let emitted = with_encoded(value, encode_body_into, |body| {
            if !self.fits(body) {
                return None;
            }
            if let Some(validator) = &self.raising
                && let Err(e) = self.check(validator, tick, body)
            {
                return Some(Err(e));
            }
            self.offer_body(tick, body)
        });
        self.outcome(emitted)
    }

    /// Encodes here something that may name fields of the envelope, which are left out.
    pub(crate) fn emit_loose<V: Serialize + ?Sized>(&self, tick: u64, value: &V) -> Result<Emitted, EmitError> {
        let emitted = with_encoded(value, encode_into, |body| {
            if !self.fits(body) {
                return None;
            }
            if let Some(validator) = &self.raising {
                let invalid = |e: Dropped| EmitError::Invalid { kind: T::KIND.as_str(), detail: e.to_string() };
                let checked = without_envelope(body.to_vec()).map_err(invalid);
                if let Err(e) = checked.and_then(|body| self.check(validator, tick, &body)) {
                    return Some(Err(e));
                }
            }
            let item = Item::<T>::Loose(Bytes::copy_from_slice(body));
            Some(self.shared.emit(self.index, tick, body.len() + ENVELOPE_WEIGHT, item))
        });
        self.outcome(emitted)
    }

    fn fits(&self, body: &[u8]) -> bool {
        body.len() + ENVELOPE_WEIGHT <= self.shared.tuning.largest_bound()
    }

    /// None where a body does not fit anywhere.
    fn offer_body(&self, tick: u64, body: &[u8]) -> Option<Result<Emitted, EmitError>> {
        if !self.fits(body) {
            return None;
        }
        Some(if body.len() > LONGEST_PIECE {
            let item = Item::<T>::Encoded(Bytes::copy_from_slice(body));
            self.shared.emit(self.index, tick, body.len() + ENVELOPE_WEIGHT, item)
        } else {
            self.shared.emit_body(self.index, tick, T::KIND, body)
        })
    }

    /// What a caller is told whose value was encoded on its thread, or could not be.
    fn outcome(&self, emitted: Result<Option<Result<Emitted, EmitError>>, EncodeError>) -> Result<Emitted, EmitError> {
        match emitted {
            Ok(Some(emitted)) => emitted,
            Ok(None) => self.shared.refuse(self.index, DropReason::Oversize),
            Err(source) if self.raising.is_some() => Err(EmitError::Unencodable { kind: T::KIND.as_str(), source }),
            Err(e) => self.shared.refuse(self.index, reason_of_encoding(&e)),
        }
    }

    fn check(&self, validator: &Validator, tick: u64, body: &[u8]) -> Result<(), EmitError> {
        let mut head = Head::new(T::KIND, Arc::clone(&self.name), tick);
        if T::KIND == Kind::Event {
            head.event = event_name(body);
        }
        validator.check(&head, body).map_err(|e| EmitError::Invalid { kind: T::KIND.as_str(), detail: e.to_string() })
    }
}

/// Where a thread's buffer starts: doubled twelve times it holds the longest line
/// and a little, where a plain power of two would double once more for the little.
const SCRATCH_START: usize = 4096 + 64;

/// Encodes what the stage would else encode: a panic of the value is not the emitter's, and the stage counts it.
fn encode_for_the_stage<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let encoded = catch_unwind(AssertUnwindSafe(|| encode_body_into(value, out)));
    encoded.unwrap_or_else(|_| Err(serde::ser::Error::custom("a value that panics when it is written")))
}

/// With the envelope's keys refused, or not.
type Encode<V> = fn(&V, &mut Vec<u8>) -> Result<(), EncodeError>;

/// Encodes into a buffer that the thread keeps, and lets `go_on` have the text.
fn with_encoded<T: Serialize + ?Sized, R>(
    value: &T,
    encode: Encode<T>,
    go_on: impl FnOnce(&[u8]) -> R,
) -> Result<R, EncodeError> {
    thread_local!(static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => {
            scratch.clear();
            scratch.reserve_exact(SCRATCH_START);
            let result = encode(value, &mut scratch).map(|()| go_on(&scratch));
            // A rare giant must not stay with the thread.
            if scratch.capacity() > 1 << 20 {
                *scratch = Vec::new();
            }
            result
        }
        // A `Serialize`, or a destructor of what was evicted, that itself emits.
        Err(_) => {
            let mut body = Vec::new();
            encode(value, &mut body).map(|()| go_on(&body))
        }
    })
}
