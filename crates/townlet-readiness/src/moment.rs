//! Points in time, as records have them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time in milliseconds, in UTC. In text it is RFC 3339 with exactly three decimals:
/// `2026-11-21T15:46:18.123Z`.
///
/// What is read must say its offset: a time without one is a different instant on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// That many milliseconds after the Unix epoch, within the years −9999 to 9999.
    #[must_use]
    pub fn from_ms(ms: i64) -> Self {
        Self(ms.clamp(Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond()))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; `None` where it is before it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<Duration> {
        u64::try_from(self.0.checked_sub(earlier.0)?).ok().map(Duration::from_millis)
    }

    /// That long after this one, at most the end of the year 9999.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self::from_ms(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The constructors keep it within what a timestamp holds.
        let stamp = Timestamp::from_millisecond(self.0).unwrap_or_default();
        write!(f, "{stamp:.3}")
    }
}

/// A text that is no point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no time with an offset; write it as 2026-11-21T15:46:18.123Z ({reason})")]
pub struct MomentError {
    text: String,
    reason: String,
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let stamp: Timestamp = text.parse().map_err(|reason: jiff::Error| MomentError {
            text: text.chars().take(60).collect(),
            reason: reason.to_string(),
        })?;
        Ok(Self(stamp.as_millisecond()))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339 with an offset" })
    }
}

/// A duration in seconds, as records have it: whole milliseconds, so that it reads back equal.
pub(crate) fn seconds(span: Duration) -> f64 {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn a_moment_prints_three_decimals_and_reads_back() {
        for ms in [0, 1, 999, 1_763_739_978_123, -1] {
            let moment = Moment::from_ms(ms);
            assert_eq!(moment.to_string().parse(), Ok(moment), "{moment}");
        }
        assert_eq!(Moment::from_ms(1_763_739_978_120).to_string(), "2025-11-21T15:46:18.120Z");
        assert_eq!("2025-11-21T16:46:18.120+01:00".parse(), Ok(Moment::from_ms(1_763_739_978_120)));
    }

    #[test]
    fn a_time_without_an_offset_or_a_date_alone_is_refused() {
        for text in ["", "2025-11-21", "2025-11-21T15:46:18", "yesterday", "1763739978"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let (first, last) = (Moment::from_ms(i64::MIN), Moment::from_ms(i64::MAX));
        assert!(first.to_string().parse::<Moment>().is_ok());
        assert_eq!(last.after(std::time::Duration::MAX), last);
        assert!(last.since(first).is_some() && first.since(last).is_none());
    }
}
