//! Schema versions: three numbers, compared as numbers.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A version of the stream schema.
///
/// Ordered by its numbers, never by its text: `0.90.1` is a version after
/// `0.9.7`, not a `0.9`. On the wire it is the string `"1.0.0"`.
///
/// ```
/// use townlet_schema::SchemaVersion;
///
/// let recorded: SchemaVersion = "0.90.1".parse()?;
/// assert!(recorded > SchemaVersion::new(0, 9, 7));
/// assert_ne!((recorded.major, recorded.minor), (0, 9));
/// # Ok::<(), townlet_schema::VersionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaVersion {
    /// Changes when a field changes its meaning or type, or goes away.
    pub major: u16,
    /// Changes when a field, section or kind is added.
    pub minor: u16,
    /// Changes when only descriptions change.
    pub patch: u16,
}

impl SchemaVersion {
    /// What this crate writes.
    ///
    /// - 1.0.0: the first version with an envelope (`run_id`, `stream`, `seq`)
    ///   on every line, `base_seq` on diffs and a version on failures. Sections
    ///   keep the predecessor's names; `conflict.rivalry` is a number again,
    ///   the three job counters live in `inventory`, `economy` holds objects.
    /// - 1.1.0: diffs that change a state from the inside, under `patch`. A reader
    ///   of 1.0 refuses them, as they have no `changes`.
    pub const CURRENT: Self = Self::new(1, 1, 0);

    /// The newest version of the predecessor's stream.
    pub const LEGACY: Self = Self::new(0, 9, 7);

    /// The oldest version that [`read_record`](crate::read_record) understands.
    pub const OLDEST: Self = Self::new(0, 2, 0);

    /// A version from its numbers.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// What a program written for `reader` must expect of data of this version.
    pub fn read_by(self, reader: Self) -> Compatibility {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match (self.major == reader.major, self.minor.cmp(&reader.minor)) {
            (false, _) => Compatibility::DifferentMajor,
            (true, Less) => Compatibility::OlderMinor,
            (true, Equal) => Compatibility::Same,
            (true, Greater) => Compatibility::NewerMinor,
        }
    }

    /// True where [`read_record`](crate::read_record) has a reader: 0.2 to 0.9,
    /// and every minor of the current major.
    pub fn is_readable(self) -> bool {
        match self.major {
            0 => (2..=9).contains(&self.minor),
            major => major == Self::CURRENT.major,
        }
    }
}

/// The verdict of [`SchemaVersion::read_by`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compatibility {
    /// Same major and minor: every field is known.
    Same,
    /// Written before the reader: fields may be absent and read as defaults.
    OlderMinor,
    /// Written after the reader: unknown fields are ignored. Worth a warning.
    NewerMinor,
    /// Fields may mean something else. Stop, or use a reader for that major.
    DifferentMajor,
}

impl Compatibility {
    /// True where a reader may go on without a conversion.
    pub fn is_readable(self) -> bool {
        self != Self::DifferentMajor
    }

    /// True where an operator should hear of it.
    pub fn is_worth_a_warning(self) -> bool {
        matches!(self, Self::NewerMinor | Self::DifferentMajor)
    }
}

/// A text that is not a schema version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a schema version: expected three numbers from 0 to 65535 as in \"1.0.0\"")]
pub struct VersionError {
    text: String,
}

impl FromStr for SchemaVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError { text: text.chars().take(40).collect() };
        let mut parts = text.split('.').map(number);
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten(), parts.next()) {
            (Some(major), Some(minor), Some(patch), None) => Ok(Self { major, minor, patch }),
            _ => Err(error()),
        }
    }
}

/// Digits only: `u16::from_str` alone would take `+1` and `01`.
fn number(text: &str) -> Option<u16> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Serialize for SchemaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SchemaVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SchemaVersion;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a schema version such as \"1.0.0\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for SchemaVersion {
    fn schema_name() -> Cow<'static, str> {
        "SchemaVersion".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)$" })
    }
}
