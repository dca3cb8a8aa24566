//! The identity of a process run.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Length of a UUID in its text form (RFC 9562, section 4).
const TEXT: usize = 36;

/// A UUID that names one run of the producing process, as lower-case text.
///
/// It is an argument, like the clock: a live run takes a UUIDv7, a seeded run
/// derives it from the seed so that the same seed gives the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId([u8; TEXT]);

impl RunId {
    /// Formats 128 bits as a UUID. Sets no version or variant bits.
    pub fn from_u128(bits: u128) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; TEXT];
        let places = (0..TEXT).filter(|at| !is_hyphen(*at));
        for (digit, at) in places.enumerate() {
            let nibble = (bits >> (124 - 4 * digit)) & 0xf;
            text[at] = HEX[nibble as usize];
        }
        Self(text)
    }

    /// The 36 characters.
    pub fn as_str(&self) -> &str {
        // Only hexadecimal digits and hyphens are ever stored, so this never falls back.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn is_hyphen(at: usize) -> bool {
    matches!(at, 8 | 13 | 18 | 23)
}

/// A text that is not a UUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a run id: expected a UUID of 36 characters such as \"01932c07-1d3a-7cc2-8f6e-0123456789ab\"")]
pub struct RunIdError {
    text: String,
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || RunIdError { text: text.chars().take(40).collect() };
        let mut bytes: [u8; TEXT] = text.as_bytes().try_into().map_err(|_| error())?;
        let valid =
            bytes.iter().enumerate().all(|(at, b)| if is_hyphen(at) { *b == b'-' } else { b.is_ascii_hexdigit() });
        bytes.make_ascii_lowercase();
        if valid { Ok(Self(bytes)) } else { Err(error()) }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = RunId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}
