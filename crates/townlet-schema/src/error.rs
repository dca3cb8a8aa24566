//! Errors of reading and of encoding: a kind to act on, the field, the reason.

use std::fmt;

use serde::{de, ser};

/// One step from the root of a document to the place of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// The way to a field, innermost step first while an error travels outwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Path(Vec<Step>);

impl Path {
    fn text(&self) -> String {
        let mut text = String::new();
        for step in self.0.iter().rev() {
            match step {
                Step::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(&presentable(key, 80));
                }
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

/// What may come from the input, for a message: bounded, and free of what a log or a terminal would act on.
fn presentable(text: &str, longest: usize) -> String {
    text.chars().take(longest).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Why a line could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// Not JSON.
    Syntax,
    /// Not UTF-8.
    Utf8,
    /// A `\u` escape that is half of a surrogate pair.
    LoneSurrogate,
    /// The same key twice in one object.
    DuplicateKey,
    /// Nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    TooDeep,
    /// Longer than [`MAX_LINE_BYTES`](crate::MAX_LINE_BYTES).
    TooLarge,
    /// A number that no finite 64-bit float can hold.
    NumberRange,
    /// A line whose top level is not an object.
    NotAnObject,
    /// A field that this kind of record must have.
    MissingField,
    /// A field with a value that it cannot have.
    InvalidField,
    /// A `payload_type` that this crate does not know.
    UnknownKind,
    /// A `schema_version` without a reader.
    UnsupportedVersion,
}

/// A line that could not be read.
///
/// The message names the field or the byte, and never quotes more than a few
/// characters of the input.
#[derive(Clone, PartialEq, Eq)]
pub struct ReadError(Box<ReadErrorParts>);

#[derive(Clone, PartialEq, Eq)]
struct ReadErrorParts {
    kind: ReadErrorKind,
    path: Path,
    offset: Option<usize>,
    message: String,
}

impl ReadError {
    pub(crate) fn at(kind: ReadErrorKind, offset: usize, message: impl Into<String>) -> Self {
        Self(Box::new(ReadErrorParts { kind, path: Path::default(), offset: Some(offset), message: message.into() }))
    }

    pub(crate) fn field(kind: ReadErrorKind, field: &str, message: impl Into<String>) -> Self {
        let error =
            Self(Box::new(ReadErrorParts { kind, path: Path::default(), offset: None, message: message.into() }));
        error.within_key(field)
    }

    pub(crate) fn missing(field: &str) -> Self {
        Self::field(ReadErrorKind::MissingField, field, "missing")
    }

    pub(crate) fn whole(kind: ReadErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(ReadErrorParts { kind, path: Path::default(), offset: None, message: message.into() }))
    }

    pub(crate) fn within_key(mut self, key: &str) -> Self {
        self.0.path.0.push(Step::Key(key.to_owned()));
        self
    }

    pub(crate) fn within_index(mut self, index: usize) -> Self {
        self.0.path.0.push(Step::Index(index));
        self
    }

    /// What to act on.
    pub fn kind(&self) -> ReadErrorKind {
        self.0.kind
    }

    /// The field at fault, such as `jobs.alice.wallet` or `events[3].tick`;
    /// none where the error is about the text itself.
    pub fn path(&self) -> Option<String> {
        let path = self.0.path.text();
        (!path.is_empty()).then_some(path)
    }

    /// The byte of the line at which reading stopped, from 0, where it is known.
    pub fn offset(&self) -> Option<usize> {
        self.0.offset
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.path() {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.0.message)?;
        match self.0.offset {
            Some(offset) => write!(f, " (at byte {offset})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadError({:?}: {self})", self.0.kind)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::whole(ReadErrorKind::InvalidField, presentable(&message.to_string(), 300))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::missing(field)
    }
}

/// Why a value could not be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// NaN or an infinity, which JSON cannot say.
    NonFinite,
    /// Nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    TooDeep,
    /// Longer than [`MAX_LINE_BYTES`](crate::MAX_LINE_BYTES), which no reader takes.
    TooLarge,
    /// The same key twice in one object.
    DuplicateKey,
    /// A key of the envelope at the top of a body.
    EnvelopeKey,
    /// A value that has no place in JSON: a map key that is no string, number or
    /// boolean, an integer beyond 64 bits.
    Unsupported,
    /// The value's own `Serialize` implementation failed.
    Custom,
}

/// A value that could not be encoded. Nothing was written.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodeError(Box<EncodeErrorParts>);

#[derive(Clone, PartialEq, Eq)]
struct EncodeErrorParts {
    kind: EncodeErrorKind,
    path: Path,
    message: String,
}

impl EncodeError {
    #[cold]
    pub(crate) fn new(kind: EncodeErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(EncodeErrorParts { kind, path: Path::default(), message: message.into() }))
    }

    #[cold]
    pub(crate) fn too_deep() -> Self {
        Self::new(EncodeErrorKind::TooDeep, format!("nested deeper than {} levels", crate::MAX_DEPTH))
    }

    #[cold]
    pub(crate) fn too_large() -> Self {
        let limit = crate::MAX_LINE_BYTES;
        Self::new(EncodeErrorKind::TooLarge, format!("more than {limit} bytes, which no reader takes"))
    }

    #[cold]
    pub(crate) fn non_finite(value: f64) -> Self {
        Self::new(EncodeErrorKind::NonFinite, format!("{value} is not a finite number, which JSON cannot say"))
    }

    #[cold]
    pub(crate) fn duplicate_key(key: &str) -> Self {
        Self::new(EncodeErrorKind::DuplicateKey, "the same key twice in one map").within_key(key)
    }

    #[cold]
    pub(crate) fn within_key(mut self, key: &str) -> Self {
        self.0.path.0.push(Step::Key(key.to_owned()));
        self
    }

    #[cold]
    pub(crate) fn within_index(mut self, index: usize) -> Self {
        self.0.path.0.push(Step::Index(index));
        self
    }

    /// What to act on.
    pub fn kind(&self) -> EncodeErrorKind {
        self.0.kind
    }

    /// The field at fault, such as `jobs.alice.wallet`.
    pub fn path(&self) -> Option<String> {
        let path = self.0.path.text();
        (!path.is_empty()).then_some(path)
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.path() {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodeError({:?}: {self})", self.0.kind)
    }
}

impl std::error::Error for EncodeError {}

impl ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(EncodeErrorKind::Custom, presentable(&message.to_string(), 300))
    }
}
