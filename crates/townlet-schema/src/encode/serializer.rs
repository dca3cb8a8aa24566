//! The serde data model as JSON text.

use serde::ser::{Serialize, Serializer};

use super::MAX_DEPTH;
use super::compound::{Entries, Fields, List, Shape};
use super::text::{write_finite, write_finite_f32, write_integer, write_string};
use crate::error::{EncodeError, EncodeErrorKind};
use crate::json::MAX_LINE_BYTES;
use crate::line::ENVELOPE_KEYS;

/// The names under which serde_json smuggles a number of arbitrary precision
/// and a raw value through the data model, when a host turns those on.
pub(crate) const FOREIGN_NUMBER: &str = "$serde_json::private::Number";
pub(crate) const FOREIGN_RAW: &str = "$serde_json::private::RawValue";

/// Appends to a buffer, up to a limit.
pub(super) struct Encoder<'a> {
    pub(super) out: &'a mut Vec<u8>,
    depth: usize,
    /// Where the buffer may end. Looked at before a text and at each element, so
    /// that what is over the limit is refused before it is written.
    end: usize,
    /// The value is the body of a line: its own keys must not be the envelope's.
    body: bool,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let end = out.len().saturating_add(MAX_LINE_BYTES);
        Self { out, depth: 0, end, body: false }
    }

    pub(super) fn of_body(out: &'a mut Vec<u8>) -> Self {
        Self { body: true, ..Self::new(out) }
    }

    /// Fails where `key` stands at the top of a body and belongs to the envelope.
    #[inline]
    pub(super) fn own_key(&self, key: &[u8]) -> Result<(), EncodeError> {
        if self.body && self.depth == 1 && is_envelope_key(key) { Err(envelope_key(key)) } else { Ok(()) }
    }

    /// Fails where `more` bytes would go over the limit.
    #[inline]
    pub(super) fn room_for(&self, more: usize) -> Result<(), EncodeError> {
        if self.out.len().saturating_add(more) > self.end { Err(EncodeError::too_large()) } else { Ok(()) }
    }

    #[inline]
    pub(super) fn open(&mut self, bracket: u8) -> Result<(), EncodeError> {
        if self.depth == MAX_DEPTH {
            return Err(EncodeError::too_deep());
        }
        self.depth += 1;
        self.out.push(bracket);
        Ok(())
    }

    #[inline]
    pub(super) fn close(&mut self, bracket: u8) {
        self.depth -= 1;
        self.out.push(bracket);
    }

    fn open_variant(&mut self, variant: &str) -> Result<(), EncodeError> {
        self.open(b'{')?;
        write_string(variant, self.out);
        self.out.push(b':');
        Ok(())
    }
}

fn is_envelope_key(key: &[u8]) -> bool {
    matches!(key.len(), 3..=14) && ENVELOPE_KEYS.iter().any(|name| name.as_bytes() == key)
}

#[cold]
fn envelope_key(key: &[u8]) -> EncodeError {
    let key = String::from_utf8_lossy(key);
    EncodeError::new(EncodeErrorKind::EnvelopeKey, "a key of the envelope: name it otherwise").within_key(&key)
}

macro_rules! integers {
    ($($method:ident: $type:ty),*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            write_integer(value, self.out);
            Ok(())
        })*
    };
}

impl<'e, 'a> Serializer for &'e mut Encoder<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = List<'e, 'a>;
    type SerializeTuple = List<'e, 'a>;
    type SerializeTupleStruct = List<'e, 'a>;
    type SerializeTupleVariant = List<'e, 'a>;
    type SerializeMap = Entries<'e, 'a>;
    type SerializeStruct = Fields<'e, 'a>;
    type SerializeStructVariant = Fields<'e, 'a>;

    integers!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    );

    fn serialize_i128(self, value: i128) -> Result<(), EncodeError> {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => self.serialize_i64(value),
            (_, Ok(value)) => self.serialize_u64(value),
            _ => Err(EncodeError::new(EncodeErrorKind::Unsupported, format!("{value} does not fit in 64 bits"))),
        }
    }
    fn serialize_u128(self, value: u128) -> Result<(), EncodeError> {
        match u64::try_from(value) {
            Ok(value) => self.serialize_u64(value),
            Err(_) => Err(EncodeError::new(EncodeErrorKind::Unsupported, format!("{value} does not fit in 64 bits"))),
        }
    }
    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), EncodeError> {
        if !value.is_finite() {
            return Err(EncodeError::non_finite(value));
        }
        write_finite(value, self.out);
        Ok(())
    }
    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        if !value.is_finite() {
            return Err(EncodeError::non_finite(value.into()));
        }
        write_finite_f32(value, self.out);
        Ok(())
    }
    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }
    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), EncodeError> {
        self.room_for(text.len())?;
        write_string(text, self.out);
        Ok(())
    }
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.collect_seq(bytes)
    }
    #[inline]
    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }
    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }
    #[inline]
    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.open_variant(variant)?;
        value.serialize(&mut *self).map_err(|e| e.within_key(variant))?;
        self.close(b'}');
        Ok(())
    }
    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<List<'e, 'a>, EncodeError> {
        self.open(b'[')?;
        Ok(List { encoder: self, count: 0, wrapped: false })
    }
    fn serialize_tuple(self, len: usize) -> Result<List<'e, 'a>, EncodeError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<List<'e, 'a>, EncodeError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'e, 'a>, EncodeError> {
        self.open_variant(variant)?;
        self.open(b'[')?;
        Ok(List { encoder: self, count: 0, wrapped: true })
    }
    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Entries<'e, 'a>, EncodeError> {
        self.open(b'{')?;
        let start = self.out.len();
        Ok(Entries { encoder: self, start, key: (start, start), free_form: len.is_some(), in_order: true })
    }
    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'e, 'a>, EncodeError> {
        if name == FOREIGN_NUMBER || name == FOREIGN_RAW {
            return Ok(Fields { encoder: self, first: true, shape: Shape::Foreign });
        }
        self.open(b'{')?;
        Ok(Fields { encoder: self, first: true, shape: Shape::Plain })
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'e, 'a>, EncodeError> {
        self.open_variant(variant)?;
        self.open(b'{')?;
        Ok(Fields { encoder: self, first: true, shape: Shape::Variant })
    }
}
