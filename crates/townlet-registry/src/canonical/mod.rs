//! Canonical JSON: one value, one text.
//!
//! The text is that of RFC 8785: no white space, members sorted by the UTF-16 code units of their names, the shortest
//! escapes, numbers as ECMAScript prints them. Three things are narrower than there, so that nothing is lost silently:
//! - integers beyond ±(2⁵³ − 1) are refused on writing: other readers hold numbers as doubles. Write them as text.
//!   A finite double is written whatever its size, and reads back to the bit.
//! - NaN and the infinities are refused; they never become `null`.
//! - nesting ends at [`MAX_DEPTH`].
//!
//! Reading is strict: [`check`] takes the one text of a value and refuses every other, which also refuses repeated
//! members. Signatures never depend on this, since they are over bytes; digests that two parties compute from the same
//! value do.

mod check;
mod number;
mod write;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};

pub use check::check;

/// How deep arrays and objects may lie in each other.
pub const MAX_DEPTH: usize = 100;

/// The canonical text of `value`.
///
/// # Errors
/// [`ErrorKind::Unrepresentable`] for integers beyond ±(2⁵³ − 1), NaN, infinities, bytes, members of one name,
/// names that are no text, and nesting deeper than [`MAX_DEPTH`].
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    value
        .serialize(write::Writer::default())
        .map_err(|why| Error::new(ErrorKind::Unrepresentable, format!("no canonical JSON: {why}")))
}

/// Reads canonical text as a `T`. Doubles come back to the bit.
///
/// # Errors
/// [`ErrorKind::Malformed`] where the text is not the canonical one, or is not a `T`; with the place.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    check(bytes)?;
    read(bytes)
}

/// Reads JSON in any layout, with the errors of this crate.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::caused(ErrorKind::Malformed, "JSON of another shape", error))
}
