//! Typed streams: the host's way in.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use townlet_schema::{EncodeError, Kind, Payload, encode_body_into, encode_into};
use townlet_transform::{Dropped, Head, Validator};
use townlet_worker::DropReason;

use crate::admission::Emitted;
use crate::body::{event_name, without_envelope};
use crate::error::EmitError;
use crate::lane::Item;
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

    /// Takes `value` over; a worker encodes it later. The loop pays for a move.
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
        let weight = size_of::<T>().saturating_add(value.heap_size()).saturating_add(ENVELOPE_WEIGHT);
        self.shared.emit(self.index, tick, weight, Item::Value(value))
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
        let body = match self.encoded(value, encode_body_into)? {
            Ok(body) => body,
            Err(reason) => return self.shared.refuse(self.index, reason),
        };
        if let Some(validator) = &self.raising {
            self.check(validator, tick, &body)?;
        }
        let weight = body.len() + ENVELOPE_WEIGHT;
        self.shared.emit(self.index, tick, weight, Item::<T>::Encoded(body))
    }

    /// Encodes here something that may name fields of the envelope, which are left out.
    pub(crate) fn emit_loose<V: Serialize + ?Sized>(&self, tick: u64, value: &V) -> Result<Emitted, EmitError> {
        let body = match self.encoded(value, encode_into)? {
            Ok(body) => body,
            Err(reason) => return self.shared.refuse(self.index, reason),
        };
        if let Some(validator) = &self.raising {
            let invalid = |e: Dropped| EmitError::Invalid { kind: T::KIND.as_str(), detail: e.to_string() };
            self.check(validator, tick, &without_envelope(body.to_vec()).map_err(invalid)?)?;
        }
        let weight = body.len() + ENVELOPE_WEIGHT;
        self.shared.emit(self.index, tick, weight, Item::<T>::Loose(body))
    }

    /// The text of `value`, or why it is dropped; with a validator of mode `raise`, that is an error.
    fn encoded<V: Serialize + ?Sized>(
        &self,
        value: &V,
        encode: Encode<V>,
    ) -> Result<Result<Bytes, DropReason>, EmitError> {
        let fits = |len: usize| len + ENVELOPE_WEIGHT <= self.shared.largest_bound();
        match encode_scratch(value, encode, fits) {
            Ok(Some(body)) => Ok(Ok(body)),
            Ok(None) => Ok(Err(DropReason::Oversize)),
            Err(source) if self.raising.is_some() => Err(EmitError::Unencodable { kind: T::KIND.as_str(), source }),
            Err(e) => Ok(Err(reason_of_encoding(&e))),
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

/// With the envelope's keys refused, or not.
type Encode<V> = fn(&V, &mut Vec<u8>) -> Result<(), EncodeError>;

/// Encodes into a buffer that the thread keeps, and copies out exactly; none
/// where the length does not fit.
fn encode_scratch<T: Serialize + ?Sized>(
    value: &T,
    encode: Encode<T>,
    fits: impl Fn(usize) -> bool,
) -> Result<Option<Bytes>, EncodeError> {
    thread_local!(static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => {
            scratch.clear();
            scratch.reserve_exact(SCRATCH_START);
            let encoded = encode(value, &mut scratch);
            let body = encoded.map(|()| fits(scratch.len()).then(|| Bytes::copy_from_slice(&scratch)));
            // A rare giant must not stay with the thread.
            if scratch.capacity() > 1 << 20 {
                *scratch = Vec::new();
            }
            body
        }
        // A `Serialize` that itself emits.
        Err(_) => {
            let mut body = Vec::new();
            encode(value, &mut body).map(|()| fits(body.len()).then(|| Bytes::from(body)))
        }
    })
}
