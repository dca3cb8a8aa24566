//! Moments, in whole milliseconds of UTC.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, ErrorKind};

/// A moment, in milliseconds since 1970-01-01 UTC. Nothing here reads a clock: who calls says what time it is.
///
/// Its text is that of RFC 3339 in UTC with three digits after the second, `2026-11-21T16:00:00.000Z`. Any offset and
/// up to nine digits are read; what is finer than a millisecond is cut off. A time without an offset is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// So many milliseconds after 1970-01-01 UTC. What lies outside the years 1 to 9999 has no text, and becomes the nearest
    /// moment that has one.
    #[must_use]
    pub fn from_ms(ms: i64) -> Self {
        Self(ms.clamp(-62_135_596_800_000, 253_402_128_000_000))
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn as_ms(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Time {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let time: jiff::Timestamp = text.parse().map_err(|error| {
            Error::caused(ErrorKind::Malformed, format!("`{text}` is no time like 2026-11-21T16:00:00Z"), error)
        })?;
        // Cut towards the past, on both sides of 1970.
        let ms = time.as_nanosecond().div_euclid(1_000_000);
        i64::try_from(ms).map(Self::from_ms).map_err(|error| Error::caused(ErrorKind::Malformed, text, error))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
