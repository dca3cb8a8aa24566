//! From a typed value to a tree, without the text between.

mod compound;

use std::cell::Cell;

use serde::ser::{Serialize, Serializer};

use self::compound::{Entries, Fields, List, Shape};
use super::{Json, MAX_LINE_BYTES, Number, Object};
use crate::encode::text::write_finite_f32;
use crate::encode::{FOREIGN_NUMBER, FOREIGN_RAW, MAX_DEPTH};
use crate::error::{EncodeError, EncodeErrorKind};

/// The tree that reading the encoded text would give, by the encoder's rules.
pub(super) fn build<T: Serialize + ?Sized>(value: &T) -> Result<Json, EncodeError> {
    let left = Cell::new(MAX_LINE_BYTES);
    value.serialize(Builder { depth: 0, left: &left })
}

/// Builds one value, inside of `depth` containers.
#[derive(Clone, Copy)]
struct Builder<'a> {
    depth: usize,
    /// Bytes of text that may follow. Counted without escapes, so that a tree is
    /// bounded although its text may still be refused.
    left: &'a Cell<usize>,
}

impl Builder<'_> {
    fn charge(self, bytes: usize) -> Result<(), EncodeError> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(EncodeError::too_large()),
        }
    }

    /// For what lies inside of a container that opens here.
    fn inside(self) -> Result<Self, EncodeError> {
        self.charge(2)?;
        if self.depth == MAX_DEPTH { Err(EncodeError::too_deep()) } else { Ok(Self { depth: self.depth + 1, ..self }) }
    }
}

/// `{"variant": value}`.
fn variant_of(variant: &str, value: Json) -> Json {
    let mut object = Object::new();
    object.insert(variant, value);
    Json::Object(object)
}

#[cold]
fn not_64_bits(value: impl std::fmt::Display) -> EncodeError {
    EncodeError::new(EncodeErrorKind::Unsupported, format!("{value} does not fit in 64 bits"))
}

macro_rules! integers {
    ($($method:ident: $type:ty as $wide:ty),*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<Json, EncodeError> {
            Ok(Json::Number(<$wide>::from(value).into()))
        })*
    };
}

impl<'a> Serializer for Builder<'a> {
    type Ok = Json;
    type Error = EncodeError;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    integers!(
        serialize_i8: i8 as i64, serialize_i16: i16 as i64, serialize_i32: i32 as i64, serialize_i64: i64 as i64,
        serialize_u8: u8 as u64, serialize_u16: u16 as u64, serialize_u32: u32 as u64, serialize_u64: u64 as u64
    );

    fn serialize_i128(self, value: i128) -> Result<Json, EncodeError> {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => self.serialize_i64(value),
            (_, Ok(value)) => self.serialize_u64(value),
            _ => Err(not_64_bits(value)),
        }
    }
    fn serialize_u128(self, value: u128) -> Result<Json, EncodeError> {
        u64::try_from(value).map_err(|_| not_64_bits(value)).and_then(|value| self.serialize_u64(value))
    }
    #[inline]
    fn serialize_f64(self, value: f64) -> Result<Json, EncodeError> {
        Number::try_from(value).map(Json::Number).map_err(|_| EncodeError::non_finite(value))
    }
    fn serialize_f32(self, value: f32) -> Result<Json, EncodeError> {
        if !value.is_finite() {
            return Err(EncodeError::non_finite(value.into()));
        }
        // By its shortest text, as it is written: 0.1 and not 0.10000000149011612.
        let mut text = Vec::with_capacity(24);
        write_finite_f32(value, &mut text);
        let read = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
        self.serialize_f64(read.unwrap_or(f64::from(value)))
    }
    #[inline]
    fn serialize_bool(self, value: bool) -> Result<Json, EncodeError> {
        Ok(Json::Bool(value))
    }
    fn serialize_char(self, value: char) -> Result<Json, EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    #[inline]
    fn serialize_str(self, text: &str) -> Result<Json, EncodeError> {
        self.charge(text.len())?;
        Ok(Json::String(text.to_owned()))
    }
    fn serialize_bytes(self, bytes: &[u8]) -> Result<Json, EncodeError> {
        self.collect_seq(bytes)
    }
    #[inline]
    fn serialize_none(self) -> Result<Json, EncodeError> {
        Ok(Json::Null)
    }
    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Json, EncodeError> {
        value.serialize(self)
    }
    #[inline]
    fn serialize_unit(self) -> Result<Json, EncodeError> {
        Ok(Json::Null)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Json, EncodeError> {
        Ok(Json::Null)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Json, EncodeError> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Json, EncodeError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Json, EncodeError> {
        let value = value.serialize(self.inside()?).map_err(|e| e.within_key(variant))?;
        Ok(variant_of(variant, value))
    }
    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<List<'a>, EncodeError> {
        Ok(List::new(self.inside()?, len, None))
    }
    fn serialize_tuple(self, len: usize) -> Result<List<'a>, EncodeError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<List<'a>, EncodeError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<List<'a>, EncodeError> {
        Ok(List::new(self.inside()?.inside()?, Some(len), Some(variant)))
    }
    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Entries<'a>, EncodeError> {
        Ok(Entries::new(self.inside()?, len))
    }
    #[inline]
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Fields<'a>, EncodeError> {
        if name == FOREIGN_NUMBER || name == FOREIGN_RAW {
            return Ok(Fields::new(self, 0, Shape::Foreign(Json::Null)));
        }
        Ok(Fields::new(self.inside()?, len, Shape::Plain))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'a>, EncodeError> {
        Ok(Fields::new(self.inside()?.inside()?, len, Shape::Variant(variant)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::encode_into;
    use crate::encode::text::write_finite;

    #[test]
    fn floats_are_those_of_their_text() {
        for value in [0.1_f32, -0.0, 1.0, f32::MIN_POSITIVE, f32::MAX, 1e-45, 16_777_217.0, 0.333_333_34] {
            let mut text = Vec::new();
            encode_into(&value, &mut text).unwrap();
            assert_eq!(build(&value).unwrap(), Json::parse(&text).unwrap(), "{value}");
        }
        for value in [0.1_f64, -0.0, 1.0, 1e16, 1e22, f64::MAX, f64::MIN_POSITIVE, 5e-324, 9_007_199_254_740_993.0] {
            let mut text = Vec::new();
            write_finite(value, &mut text);
            assert_eq!(build(&value).unwrap(), Json::parse(&text).unwrap(), "{value}");
        }
    }
}
