//! Points in time, as the engine is told them.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch, in UTC, up to the year 9999.
///
/// The engine has no clock. Every event brings its moment, and the simulator
/// makes them up. What lies later is taken for the end of time.
///
/// It is not [`townlet_policy::Time`], which counts from wherever its caller likes (a test of a policy from 0) and is
/// written nowhere: a moment is UTC, stands in logs, and has an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct Moment(u64);

/// The end of the year 9999: sums of times stay far from any overflow.
const END: u64 = 253_402_300_799_999;

impl From<u64> for Moment {
    fn from(ms: u64) -> Self {
        Self::from_ms(ms)
    }
}

impl From<Moment> for u64 {
    fn from(moment: Moment) -> Self {
        moment.0
    }
}

impl Moment {
    /// The moment that many milliseconds after the epoch.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(if ms < END { ms } else { END })
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero where it is before it.
    #[must_use]
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment that long before; the epoch where there is none.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(ms(span)))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Saturates at the end of time, so that no deadline of a plan overflows.
    fn add(self, span: Duration) -> Self {
        Self::from_ms(self.0.saturating_add(ms(span)))
    }
}

/// A duration in whole milliseconds, saturating.
pub(crate) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Writes a duration as a person would: `90m`, `12h`, `1m30s`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = ms(self.0);
        if all == 0 {
            return f.write_str("0s");
        }
        let (hours, minutes, seconds, rest) = (all / 3_600_000, all / 60_000 % 60, all / 1000 % 60, all % 1000);
        // A whole number of minutes up to two hours reads better as minutes: the checkpoints are called that.
        if all.is_multiple_of(60_000) && all < 7_200_000 && all != 3_600_000 {
            return write!(f, "{}m", all / 60_000);
        }
        for (n, unit) in [(hours, "h"), (minutes, "m"), (seconds, "s"), (rest, "ms")] {
            if n > 0 {
                write!(f, "{n}{unit}")?;
            }
        }
        Ok(())
    }
}
