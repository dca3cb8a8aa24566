//! A serializer whose result is the canonical text.

use std::fmt::{self, Display, Write as _};

use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::check::order;
use super::{MAX_DEPTH, number};

/// Why a value has no canonical text.
#[derive(Debug)]
pub(super) struct Refusal(String);

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl serde::ser::Error for Refusal {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Text = Result<Vec<u8>, Refusal>;

/// Writes one value; what holds it puts the parts together. Bounds on depth are kept on the way down.
#[derive(Clone, Copy, Default)]
pub(super) struct Writer {
    depth: usize,
}

impl Writer {
    fn inner(self) -> Result<Self, Refusal> {
        if self.depth >= MAX_DEPTH {
            return Err(Refusal(format!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(Self { depth: self.depth + 1 })
    }

    fn list(self) -> Result<List, Refusal> {
        Ok(List { writer: self.inner()?, text: b"[".to_vec(), variant: None })
    }

    fn object(self) -> Result<Object, Refusal> {
        Ok(Object { writer: self.inner()?, members: Vec::new(), variant: None })
    }
}

fn integer(magnitude: u64, negative: bool) -> Text {
    if magnitude > number::MAX_INTEGER {
        let sign = if negative { "-" } else { "" };
        return Err(Refusal(format!("{sign}{magnitude} is beyond what a double holds exactly; write it as text")));
    }
    let sign = if negative && magnitude > 0 { "-" } else { "" };
    Ok(format!("{sign}{magnitude}").into_bytes())
}

fn quoted(value: &str) -> Vec<u8> {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            // Writing into a String does not fail.
            c if c < '\u{20}' => drop(write!(text, "\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text.into_bytes()
}

/// `{"variant":value}`, as serde writes enums.
fn tagged(variant: Option<&str>, value: Vec<u8>) -> Vec<u8> {
    match variant {
        None => value,
        Some(variant) => [b"{", quoted(variant).as_slice(), b":", &value, b"}"].concat(),
    }
}

impl Serializer for Writer {
    type Ok = Vec<u8>;
    type Error = Refusal;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Object;
    type SerializeStruct = Object;
    type SerializeStructVariant = Object;

    fn serialize_bool(self, v: bool) -> Text {
        Ok(v.to_string().into_bytes())
    }
    fn serialize_i8(self, v: i8) -> Text {
        self.serialize_i64(v.into())
    }
    fn serialize_i16(self, v: i16) -> Text {
        self.serialize_i64(v.into())
    }
    fn serialize_i32(self, v: i32) -> Text {
        self.serialize_i64(v.into())
    }
    fn serialize_i64(self, v: i64) -> Text {
        integer(v.unsigned_abs(), v < 0)
    }
    fn serialize_u8(self, v: u8) -> Text {
        integer(v.into(), false)
    }
    fn serialize_u16(self, v: u16) -> Text {
        integer(v.into(), false)
    }
    fn serialize_u32(self, v: u32) -> Text {
        integer(v.into(), false)
    }
    fn serialize_u64(self, v: u64) -> Text {
        integer(v, false)
    }
    fn serialize_f32(self, v: f32) -> Text {
        self.serialize_f64(v.into())
    }
    fn serialize_f64(self, v: f64) -> Text {
        if !v.is_finite() {
            return Err(Refusal(format!("{v} is no JSON number")));
        }
        Ok(number::text(v).into_bytes())
    }
    fn serialize_char(self, v: char) -> Text {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, v: &str) -> Text {
        Ok(quoted(v))
    }
    fn serialize_bytes(self, _: &[u8]) -> Text {
        Err(Refusal("bytes have no one text; encode them, for example in base64".to_owned()))
    }
    fn serialize_none(self) -> Text {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Text {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Text {
        Ok(b"null".to_vec())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Text {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Text {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Text {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Text {
        Ok(tagged(Some(variant), value.serialize(self.inner()?)?))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List, Refusal> {
        self.list()
    }
    fn serialize_tuple(self, _: usize) -> Result<List, Refusal> {
        self.list()
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List, Refusal> {
        self.list()
    }
    fn serialize_tuple_variant(self, _: &'static str, _: u32, name: &'static str, _: usize) -> Result<List, Refusal> {
        Ok(List { variant: Some(name), ..self.inner()?.list()? })
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Object, Refusal> {
        self.object()
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object, Refusal> {
        self.object()
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Object, Refusal> {
        Ok(Object { variant: Some(name), ..self.inner()?.object()? })
    }
}

pub(super) struct List {
    writer: Writer,
    text: Vec<u8>,
    variant: Option<&'static str>,
}

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        self.text.extend(value.serialize(self.writer)?);
        Ok(())
    }

    fn close(mut self) -> Text {
        self.text.push(b']');
        Ok(tagged(self.variant, self.text))
    }
}

pub(super) struct Object {
    writer: Writer,
    members: Vec<(String, Vec<u8>)>,
    variant: Option<&'static str>,
}

impl Object {
    fn push<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Refusal> {
        self.members.push((name.to_owned(), value.serialize(self.writer)?));
        Ok(())
    }

    fn close(mut self) -> Text {
        self.members.sort_by(|a, b| order(&a.0, &b.0));
        if let Some(twice) = self.members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Refusal(format!("member `{}` stands twice", twice[0].0)));
        }
        let mut text = b"{".to_vec();
        for (at, (name, value)) in self.members.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            text.extend(quoted(name));
            text.push(b':');
            text.extend(value);
        }
        text.push(b'}');
        Ok(tagged(self.variant, text))
    }
}

macro_rules! list {
    ($($of:ident $method:ident),*) => {$(
        impl $of for List {
            type Ok = Vec<u8>;
            type Error = Refusal;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
                self.push(value)
            }
            fn end(self) -> Text {
                self.close()
            }
        }
    )*};
}

list!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! object {
    ($($of:ident),*) => {$(
        impl $of for Object {
            type Ok = Vec<u8>;
            type Error = Refusal;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Refusal> {
                self.push(name, value)
            }
            fn end(self) -> Text {
                self.close()
            }
        }
    )*};
}

object!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Object {
    type Ok = Vec<u8>;
    type Error = Refusal;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        self.members.push((key.serialize(Name)?, Vec::new()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        let text = value.serialize(self.writer)?;
        let (_, place) = self.members.last_mut().ok_or_else(|| Refusal("a value without a name".to_owned()))?;
        *place = text;
        Ok(())
    }

    fn end(self) -> Text {
        self.close()
    }
}

/// Writes the name of a member: text, or an integer as text.
struct Name;

fn no_name<T>(what: &str) -> Result<T, Refusal> {
    Err(Refusal(format!("{what} is no name of a member")))
}

macro_rules! numbers_as_names {
    ($($method:ident $of:ty),*) => {$(
        fn $method(self, v: $of) -> Result<String, Refusal> {
            Ok(v.to_string())
        }
    )*};
}

impl Serializer for Name {
    type Ok = String;
    type Error = Refusal;
    type SerializeSeq = Impossible<String, Refusal>;
    type SerializeTuple = Impossible<String, Refusal>;
    type SerializeTupleStruct = Impossible<String, Refusal>;
    type SerializeTupleVariant = Impossible<String, Refusal>;
    type SerializeMap = Impossible<String, Refusal>;
    type SerializeStruct = Impossible<String, Refusal>;
    type SerializeStructVariant = Impossible<String, Refusal>;

    numbers_as_names!(
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64,
        serialize_char char
    );

    fn serialize_str(self, v: &str) -> Result<String, Refusal> {
        Ok(v.to_owned())
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<String, Refusal> {
        Ok(variant.to_owned())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<String, Refusal> {
        value.serialize(self)
    }

    fn serialize_bool(self, _: bool) -> Result<String, Refusal> {
        no_name("a boolean")
    }
    fn serialize_f32(self, _: f32) -> Result<String, Refusal> {
        no_name("a float")
    }
    fn serialize_f64(self, _: f64) -> Result<String, Refusal> {
        no_name("a float")
    }
    fn serialize_bytes(self, _: &[u8]) -> Result<String, Refusal> {
        no_name("a run of bytes")
    }
    fn serialize_none(self) -> Result<String, Refusal> {
        no_name("nothing")
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, Refusal> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<String, Refusal> {
        no_name("nothing")
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<String, Refusal> {
        no_name("nothing")
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, Refusal> {
        no_name("a variant with a value")
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Refusal> {
        no_name("a list")
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Refusal> {
        no_name("a list")
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Refusal> {
        no_name("a list")
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Refusal> {
        no_name("a list")
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Refusal> {
        no_name("an object")
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Refusal> {
        no_name("an object")
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Refusal> {
        no_name("an object")
    }
}
