//! Lists, structs and maps under way.

use std::cmp::Ordering;

use serde::ser::{self, Serialize};

use super::keys::KeyEncoder;
use super::order::{check_entries, compare_keys, sort_entries};
use super::serializer::Encoder;
use super::text::write_key;
use crate::error::{EncodeError, EncodeErrorKind};
use crate::json::Json;

/// A sequence under way.
pub(super) struct List<'e, 'a> {
    pub(super) encoder: &'e mut Encoder<'a>,
    pub(super) count: usize,
    pub(super) wrapped: bool,
}

impl List<'_, '_> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.encoder.room_for(1)?;
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
pub(super) enum Shape {
    Plain,
    Variant,
    /// One of serde_json's own structs, whose single field is JSON text.
    Foreign,
}

/// A struct under way: keys are trusted to be distinct, as the compiler checks.
pub(super) struct Fields<'e, 'a> {
    pub(super) encoder: &'e mut Encoder<'a>,
    pub(super) first: bool,
    pub(super) shape: Shape,
}

impl Fields<'_, '_> {
    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), EncodeError> {
        if self.shape == Shape::Foreign {
            return self.foreign(value);
        }
        self.encoder.own_key(key.as_bytes())?;
        write_key(key, std::mem::replace(&mut self.first, false), self.encoder.out);
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
    pub(super) encoder: &'e mut Encoder<'a>,
    /// Where the body begins, after the brace.
    pub(super) start: usize,
    /// Where the latest key lies in the buffer, without its quotes.
    pub(super) key: (usize, usize),
    pub(super) free_form: bool,
    pub(super) in_order: bool,
}

impl Entries<'_, '_> {
    fn key_text(&self) -> String {
        String::from_utf8_lossy(&self.encoder.out[self.key.0..self.key.1]).into_owned()
    }
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
                Ordering::Equal => return Err(EncodeError::duplicate_key(&self.key_text())),
                Ordering::Greater => self.in_order = false,
            }
        }
        out.push(b':');
        self.encoder.own_key(&self.encoder.out[self.key.0..self.key.1])
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let result = value.serialize(&mut *self.encoder);
        result.map_err(|e| e.within_key(&self.key_text()))
    }

    #[inline]
    fn end(self) -> Result<(), EncodeError> {
        if !self.in_order {
            let out = &mut *self.encoder.out;
            // The fields of a flattened struct keep their order, and what is flattened into it may have their names.
            let distinct =
                if self.free_form { sort_entries(out, self.start) } else { check_entries(&out[self.start..]) };
            distinct.map_err(|key| EncodeError::duplicate_key(&key))?;
        }
        self.encoder.close(b'}');
        Ok(())
    }
}
