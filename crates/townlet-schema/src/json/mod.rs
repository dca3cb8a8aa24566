//! A JSON tree of our own.
//!
//! serde_json's `Value` changes with the features that a host turns on: the
//! order of its keys, the precision and the shape of its numbers. The bytes of
//! the stream must not.

mod build;
mod described;
mod from_serde;
mod number;
mod object;
pub(crate) mod parse;
mod read;
pub(crate) mod scan;
mod write;

use serde::de::Deserialize;
use serde::ser::{Serialize, Serializer};

use crate::error::{EncodeError, ReadError};

pub use number::{NonFinite, Number};
pub use object::Object;
pub use parse::MAX_LINE_BYTES;

/// A JSON value.
///
/// ```
/// use townlet_schema::Json;
///
/// let value = Json::parse(br#"{"b":[1,2.5],"a":null}"#)?;
/// assert_eq!(value.to_string(), r#"{"a":null,"b":[1,2.5]}"#);
///
/// let error = Json::parse(br#"{"a":1,"a":2}"#).unwrap_err();
/// assert_eq!(error.path().as_deref(), Some("a"));
/// # Ok::<(), townlet_schema::ReadError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer or a finite float.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// Keys with values, sorted by key.
    Object(Object),
}

impl Json {
    /// Reads one JSON value that takes the whole of `bytes`, but for white space.
    ///
    /// # Errors
    /// Anything [`ReadErrorKind`](crate::ReadErrorKind) names, with the byte and
    /// the field: among them duplicate keys, half surrogates, nesting beyond
    /// [`MAX_DEPTH`](crate::MAX_DEPTH), and more than [`MAX_LINE_BYTES`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        parse::parse(bytes)
    }

    /// The tree that reading what [`encode_into`](crate::encode_into) writes would
    /// give, built without that text.
    ///
    /// # Errors
    /// As [`encode_into`](crate::encode_into); its limit counts here what a text has
    /// without escapes, numbers and words.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        build::build(value)
    }

    /// Reads a typed value out of this tree.
    ///
    /// # Errors
    /// Names the field that is missing or has the wrong type.
    pub fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ReadError> {
        T::deserialize(read::Cursor::new(self))
    }

    /// Appends the compact text to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        write::compact(self, out);
    }

    /// The text with two spaces of indentation and no final newline, for files
    /// that people read.
    pub fn to_pretty(&self) -> String {
        write::pretty(self)
    }

    /// The value of `key`, where this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.as_object().and_then(|object| object.get(key))
    }

    /// True for `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The boolean.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The number.
    pub fn as_number(&self) -> Option<&Number> {
        if let Self::Number(value) = self { Some(value) } else { None }
    }

    /// The number as a float.
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number().map(Number::as_f64)
    }

    /// The number, where it is an integer and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number().and_then(Number::as_i64)
    }

    /// The number, where it is an integer and fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number().and_then(Number::as_u64)
    }

    /// The text.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(value) = self { Some(value) } else { None }
    }

    /// The list.
    pub fn as_array(&self) -> Option<&[Json]> {
        if let Self::Array(value) = self { Some(value) } else { None }
    }

    /// The list, to change.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Json>> {
        if let Self::Array(value) = self { Some(value) } else { None }
    }

    /// The object.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(value) = self { Some(value) } else { None }
    }

    /// The object, to change.
    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        if let Self::Object(value) = self { Some(value) } else { None }
    }

    /// What it is, for messages: `an object`, `null`, ….
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl std::fmt::Display for Json {
    /// The compact text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

macro_rules! from {
    ($($type:ty => |$value:ident| $json:expr),* $(,)?) => {
        $(impl From<$type> for Json {
            fn from($value: $type) -> Self {
                $json
            }
        })*
    };
}

from!(
    bool => |v| Json::Bool(v),
    Number => |v| Json::Number(v),
    u64 => |v| Json::Number(v.into()),
    u32 => |v| Json::Number(u64::from(v).into()),
    i64 => |v| Json::Number(v.into()),
    i32 => |v| Json::Number(i64::from(v).into()),
    &str => |v| Json::String(v.to_owned()),
    String => |v| Json::String(v),
    std::borrow::Cow<'_, str> => |v| Json::String(v.into_owned()),
    Vec<Json> => |v| Json::Array(v),
    Object => |v| Json::Object(v),
);

impl TryFrom<f64> for Json {
    type Error = NonFinite;

    fn try_from(value: f64) -> Result<Self, NonFinite> {
        Number::try_from(value).map(Self::Number)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(value) => value.serialize(serializer),
            Self::Object(value) => value.serialize(serializer),
        }
    }
}
