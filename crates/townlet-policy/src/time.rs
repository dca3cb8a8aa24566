//! Points in time as the evaluator is told them, and durations as people write them.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A point in time: milliseconds since an origin that the caller chooses, the
/// Unix epoch or the start of a test. Nothing here reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// That many milliseconds after the origin.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the origin.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero where it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates at the end of time.
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span(Duration::from_millis(self.0)).fmt(f)
    }
}

/// A duration as the grammar has it: `90s`, `1h30m`; `0s` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// The units of a duration, largest first. Days and weeks are 24 hours and 7 days, whatever the calendar does.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        // Weeks only where nothing else is left, so that `8d` does not come back as `1w1d`.
        let units = if rest.is_multiple_of(UNITS[0].1) { &UNITS[..] } else { &UNITS[1..] };
        for (name, size) in units {
            if rest >= *size {
                write!(f, "{}{name}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

/// Reads `90s`, `1h30m`, `2d`: whole numbers with units, each unit once, largest first, as Prometheus does.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{}' is no duration; write 30s, 10m, 1h30m or 2d", shorten(text));
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut total, mut below) = (text, 0_u64, 0);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = &rest[digits..digits + letters];
        let at = UNITS.iter().position(|(name, _)| *name == unit).filter(|at| *at >= below).ok_or_else(wrong)?;
        below = at + 1;
        let part = number.checked_mul(UNITS[at].1).and_then(|part| total.checked_add(part));
        total = part
            .filter(|total| *total <= LONGEST)
            .ok_or_else(|| format!("'{}' is longer than {} days", shorten(text), LONGEST / UNITS[1].1))?;
        rest = &rest[digits + letters..];
    }
    Ok(Duration::from_millis(total))
}

/// The longest duration: ten years. Beyond it only a slip of the pen lies.
const LONGEST: u64 = 3650 * 86_400_000;

/// User text for a message: cut, and harmless on a terminal.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text.chars().take(LONGEST).map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// Control characters, and those that turn the direction of writing, become one visible character.
pub(crate) fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) => {
            '\u{fffd}'
        }
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::{Span, parse_duration};

    #[test]
    fn durations_are_read_and_printed_alike() {
        for text in ["0s", "30s", "10m", "1h30m", "2d", "1w", "8d", "250ms", "1d2h3m4s5ms"] {
            assert_eq!(Span(parse_duration(text).unwrap()).to_string(), text);
        }
        assert_eq!(parse_duration("90m"), parse_duration("1h30m"));
        for text in ["", "10", "m", "1m1h", "1m1m", "-1m", "1.5h", "10 m", "99999999999999999999s", "9999999w", "1é"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
