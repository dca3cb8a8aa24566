//! Lists, structs and maps under way to a tree.

use serde::ser::{self, Serialize};

use super::{Builder, variant_of};
use crate::encode::keys::KeyEncoder;
use crate::error::{EncodeError, EncodeErrorKind};
use crate::json::{Json, Object};

/// What a type declares about its length is a hint: no more is allocated for it.
const LARGEST_HINT: usize = 1024;

/// A sequence under way.
pub(super) struct List<'a> {
    builder: Builder<'a>,
    items: Vec<Json>,
    variant: Option<&'static str>,
}

impl<'a> List<'a> {
    pub(super) fn new(builder: Builder<'a>, len: Option<usize>, variant: Option<&'static str>) -> Self {
        Self { builder, items: Vec::with_capacity(len.unwrap_or_default().min(LARGEST_HINT)), variant }
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.builder.charge(1)?;
        let index = self.items.len();
        self.items.push(value.serialize(self.builder).map_err(|e| e.within_index(index))?);
        Ok(())
    }

    fn finish(self) -> Json {
        let list = Json::Array(self.items);
        match self.variant {
            Some(variant) => variant_of(variant, list),
            None => list,
        }
    }
}

macro_rules! lists {
    ($($trait:ident: $method:ident),*) => {
        $(impl ser::$trait for List<'_> {
            type Ok = Json;
            type Error = EncodeError;
            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.element(value)
            }
            #[inline]
            fn end(self) -> Result<Json, EncodeError> {
                Ok(self.finish())
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
pub(super) enum Shape {
    Plain,
    Variant(&'static str),
    /// One of serde_json's own structs, whose single field is JSON text; with the
    /// value that was read from it.
    Foreign(Json),
}

/// A struct under way.
pub(super) struct Fields<'a> {
    builder: Builder<'a>,
    entries: Vec<(String, Json)>,
    shape: Shape,
}

impl<'a> Fields<'a> {
    pub(super) fn new(builder: Builder<'a>, len: usize, shape: Shape) -> Self {
        Self { builder, entries: Vec::with_capacity(len.min(LARGEST_HINT)), shape }
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), EncodeError> {
        if let Shape::Foreign(read) = &mut self.shape {
            *read = foreign(self.builder, value)?;
            return Ok(());
        }
        self.builder.charge(key.len() + 3)?;
        let value = value.serialize(self.builder).map_err(|e| e.within_key(key))?;
        self.entries.push((key.to_owned(), value));
        Ok(())
    }

    fn finish(self) -> Result<Json, EncodeError> {
        match self.shape {
            Shape::Foreign(read) => Ok(read),
            Shape::Plain => object(self.entries),
            Shape::Variant(variant) => Ok(variant_of(variant, object(self.entries)?)),
        }
    }
}

/// The text is somebody else's: it is read, and held to the same depth as the rest.
#[cold]
fn foreign<T: Serialize + ?Sized>(builder: Builder<'_>, value: &T) -> Result<Json, EncodeError> {
    let refuse = |e: String| EncodeError::new(EncodeErrorKind::Unsupported, e);
    let Json::String(text) = value.serialize(builder)? else {
        return Err(refuse("raw JSON that is not a text".into()));
    };
    let read = Json::parse(text.as_bytes()).map_err(|e| refuse(format!("raw JSON that is not valid: {e}")))?;
    read.serialize(builder)
}

macro_rules! structs {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Fields<'_> {
            type Ok = Json;
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
            fn end(self) -> Result<Json, EncodeError> {
                self.finish()
            }
        })*
    };
}

structs!(SerializeStruct, SerializeStructVariant);

/// A map under way.
pub(super) struct Entries<'a> {
    builder: Builder<'a>,
    entries: Vec<(String, Json)>,
    /// The latest key as JSON text.
    quoted: Vec<u8>,
    key: String,
}

impl<'a> Entries<'a> {
    pub(super) fn new(builder: Builder<'a>, len: Option<usize>) -> Self {
        let entries = Vec::with_capacity(len.unwrap_or_default().min(LARGEST_HINT));
        Self { builder, entries, quoted: Vec::new(), key: String::new() }
    }
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = Json;
    type Error = EncodeError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.quoted.clear();
        key.serialize(KeyEncoder { out: &mut self.quoted })?;
        self.builder.charge(self.quoted.len() + 1)?;
        let inner = self.quoted.get(1..self.quoted.len().saturating_sub(1)).unwrap_or_default();
        self.key = match std::str::from_utf8(inner) {
            Ok(plain) if !inner.contains(&b'\\') => plain.to_owned(),
            _ => match Json::parse(&self.quoted) {
                Ok(Json::String(key)) => key,
                _ => return Err(EncodeError::new(EncodeErrorKind::Custom, "a key that is no text")),
            },
        };
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let key = std::mem::take(&mut self.key);
        match value.serialize(self.builder) {
            Ok(value) => {
                self.entries.push((key, value));
                Ok(())
            }
            Err(e) => Err(e.within_key(&key)),
        }
    }

    #[inline]
    fn end(self) -> Result<Json, EncodeError> {
        object(self.entries)
    }
}

fn object(entries: Vec<(String, Json)>) -> Result<Json, EncodeError> {
    Object::from_entries(entries).map(Json::Object).map_err(|key| EncodeError::duplicate_key(&key))
}
