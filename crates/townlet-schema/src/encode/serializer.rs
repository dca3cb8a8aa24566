//! The serde data model as JSON text.

use std::cmp::Ordering;

use serde::ser::{self, Serialize, Serializer};

use super::MAX_DEPTH;
use super::keys::KeyEncoder;
use super::order::{compare_keys, sort_entries};
use super::text::{write_finite, write_finite_f32, write_integer, write_string};
use crate::error::{EncodeError, EncodeErrorKind};
use crate::json::Json;

/// The names under which serde_json smuggles a number of arbitrary precision
/// and a raw value through the data model, when a host turns those on.
const FOREIGN_NUMBER: &str = "$serde_json::private::Number";
const FOREIGN_RAW: &str = "$serde_json::private::RawValue";

/// Appends to a buffer.
pub(super) struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, depth: 0 }
    }

    #[inline]
    fn open(&mut self, bracket: u8) -> Result<(), EncodeError> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep());
        }
        self.depth += 1;
        self.out.push(bracket);
        Ok(())
    }

    #[inline]
    fn close(&mut self, bracket: u8) {
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

#[cold]
fn too_deep() -> EncodeError {
    EncodeError::new(EncodeErrorKind::TooDeep, format!("nested deeper than {MAX_DEPTH} levels"))
}

#[cold]
fn non_finite(value: f64) -> EncodeError {
    EncodeError::new(EncodeErrorKind::NonFinite, format!("{value} is not a finite number, which JSON cannot say"))
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
            return Err(non_finite(value));
        }
        write_finite(value, self.out);
        Ok(())
    }
    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        if !value.is_finite() {
            return Err(non_finite(value.into()));
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

/// A sequence under way.
pub(super) struct List<'e, 'a> {
    encoder: &'e mut Encoder<'a>,
    count: usize,
    wrapped: bool,
}

impl List<'_, '_> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        if self.count > 0 {
            self.encoder.out.push(b',');
        }
        value.serialize(&mut *self.encoder).map_err(|e| e.within_index(self.count))?;
        self.count += 1;
        Ok(())
    }

    #[inline]
    fn finish(self) {
        self.encoder.close(b']');
        if self.wrapped {
            self.encoder.close(b'}');
        }
    }
}

macro_rules! lists {
    ($($trait:ident: $method:ident),*) => {
        $(impl ser::$trait for List<'_, '_> {
            type Ok = ();
            type Error = EncodeError;
            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.element(value)
            }
            #[inline]
            fn end(self) -> Result<(), EncodeError> {
                self.finish();
                Ok(())
            }
        })*
    };
}

lists!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

/// What encloses the fields of a struct.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Plain,
    Variant,
    /// One of serde_json's own structs, whose single field is JSON text.
    Foreign,
}

/// A struct under way: keys are trusted to be distinct, as the compiler checks.
pub(super) struct Fields<'e, 'a> {
    encoder: &'e mut Encoder<'a>,
    first: bool,
    shape: Shape,
}

impl Fields<'_, '_> {
    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), EncodeError> {
        if self.shape == Shape::Foreign {
            return self.foreign(value);
        }
        if !self.first {
            self.encoder.out.push(b',');
        }
        self.first = false;
        write_string(key, self.encoder.out);
        self.encoder.out.push(b':');
        value.serialize(&mut *self.encoder).map_err(|e| e.within_key(key))
    }

    /// The text is somebody else's: it is read and written anew, so that it is
    /// valid, compact and sorted like the rest.
    #[cold]
    fn foreign<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let mut quoted = Vec::new();
        value.serialize(&mut Encoder::new(&mut quoted))?;
        let refuse = |e| EncodeError::new(EncodeErrorKind::Unsupported, format!("raw JSON that is not valid: {e}"));
        let Json::String(text) = Json::parse(&quoted).map_err(refuse)? else {
            return Err(EncodeError::new(EncodeErrorKind::Unsupported, "raw JSON that is not a text"));
        };
        Json::parse(text.as_bytes()).map_err(refuse)?.serialize(&mut *self.encoder)
    }

    #[inline]
    fn finish(self) {
        if self.shape != Shape::Foreign {
            self.encoder.close(b'}');
        }
        if self.shape == Shape::Variant {
            self.encoder.close(b'}');
        }
    }
}

macro_rules! structs {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Fields<'_, '_> {
            type Ok = ();
            type Error = EncodeError;
            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.field(key, value)
            }
            #[inline]
            fn end(self) -> Result<(), EncodeError> {
                self.finish();
                Ok(())
            }
        })*
    };
}

structs!(SerializeStruct, SerializeStructVariant);

/// A map under way.
pub(super) struct Entries<'e, 'a> {
    encoder: &'e mut Encoder<'a>,
    /// Where the body begins, after the brace.
    start: usize,
    /// Where the latest key lies in the buffer, without its quotes.
    key: (usize, usize),
    free_form: bool,
    in_order: bool,
}

impl Entries<'_, '_> {
    fn key_text(&self) -> String {
        String::from_utf8_lossy(&self.encoder.out[self.key.0..self.key.1]).into_owned()
    }
}

fn duplicate(key: &str) -> EncodeError {
    EncodeError::new(EncodeErrorKind::DuplicateKey, "the same key twice in one map").within_key(key)
}

impl ser::SerializeMap for Entries<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        let out = &mut *self.encoder.out;
        let first = out.len() == self.start;
        if !first {
            out.push(b',');
        }
        let from = out.len() + 1;
        key.serialize(KeyEncoder { out })?;
        let before = std::mem::replace(&mut self.key, (from, out.len() - 1));
        if !first {
            match compare_keys(&out[before.0..before.1], &out[self.key.0..self.key.1]) {
                Ordering::Less => {}
                Ordering::Equal => return Err(duplicate(&self.key_text())),
                Ordering::Greater => self.in_order = false,
            }
        }
        out.push(b':');
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let result = value.serialize(&mut *self.encoder);
        result.map_err(|e| e.within_key(&self.key_text()))
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        if self.free_form && !self.in_order {
            sort_entries(self.encoder.out, self.start).map_err(|key| duplicate(&key))?;
        }
        self.encoder.close(b'}');
        Ok(())
    }
}
