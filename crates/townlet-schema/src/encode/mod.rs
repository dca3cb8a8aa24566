//! One encoder for everything that goes on the wire.
//!
//! A serializer of its own, rather than serde_json's, because it owns four
//! rules: a non-finite float is an error, nesting is bounded, maps are sorted,
//! and no feature that a host turns on in serde_json changes a byte.

mod compound;
pub(crate) mod keys;
mod order;
mod serializer;
pub(crate) mod text;

use serde::ser::Serialize;

use self::serializer::Encoder;
pub(crate) use self::serializer::{FOREIGN_NUMBER, FOREIGN_RAW};
use crate::error::EncodeError;

/// How many containers may lie inside each other, in either direction.
pub const MAX_DEPTH: usize = 128;

/// Appends `value` to `out` as compact JSON.
///
/// Struct fields keep the order of their declaration. Maps whose length their
/// type declares (all of the standard library's and serde_json's, whatever its
/// features) are sorted by key, so that equal values give equal bytes; a map of
/// undeclared length, which is what `#[serde(flatten)]` makes of a struct, keeps
/// its order.
///
/// # Errors
/// See [`EncodeErrorKind`](crate::EncodeErrorKind); `out` is then as it was.
///
/// ```
/// use std::collections::HashMap;
/// use townlet_schema::{EncodeErrorKind, encode_into};
///
/// let mut out = Vec::new();
/// encode_into(&HashMap::from([("b", 2.0), ("a", 1.5)]), &mut out)?;
/// assert_eq!(out, br#"{"a":1.5,"b":2.0}"#);
///
/// let error = encode_into(&HashMap::from([("rate", f64::NAN)]), &mut out).unwrap_err();
/// assert_eq!(error.kind(), EncodeErrorKind::NonFinite);
/// assert_eq!(error.path().as_deref(), Some("rate"));
/// assert_eq!(out.len(), 17);
/// # Ok::<(), townlet_schema::EncodeError>(())
/// ```
#[inline]
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    append(value, out, |out| Encoder::new(out))
}

/// Appends the body of a line: as [`encode_into`], but refuses a value that has a
/// key of the envelope itself, since its line would have that key twice.
///
/// # Errors
/// [`EnvelopeKey`](crate::EncodeErrorKind::EnvelopeKey), and those of [`encode_into`].
///
/// ```
/// use std::collections::BTreeMap;
/// use townlet_schema::{EncodeErrorKind, encode_body_into};
///
/// let mut out = Vec::new();
/// let error = encode_body_into(&BTreeMap::from([("tick", 7)]), &mut out).unwrap_err();
/// assert_eq!((error.kind(), error.path().as_deref()), (EncodeErrorKind::EnvelopeKey, Some("tick")));
/// ```
#[inline]
pub fn encode_body_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    append(value, out, |out| Encoder::of_body(out))
}

/// Appends all of `value`, or nothing.
fn append<T: Serialize + ?Sized>(
    value: &T,
    out: &mut Vec<u8>,
    encoder: impl FnOnce(&mut Vec<u8>) -> Encoder<'_>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let result = value.serialize(&mut encoder(out));
    if result.is_err() {
        out.truncate(start);
    }
    result
}
