//! Days and hours of UTC, as they stand in the names of files.

use std::time::{Duration, SystemTime};

/// A time taken apart: year, month, day, hour, minute, second, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) year: u64,
    pub(crate) month: u64,
    pub(crate) day: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
}

impl Moment {
    /// `now`, to the second. What lies before 1970 is 1970.
    pub(crate) fn of(now: SystemTime) -> Self {
        Self::of_seconds(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    fn of_seconds(seconds: u64) -> Self {
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        Self { year, month, day, hour: rest / 3600, minute: rest / 60 % 60, second: rest % 60 }
    }

    /// The beginning of an hour; none where there is no such day or hour.
    pub(crate) fn begin(year: u64, month: u64, day: u64, hour: u64) -> Option<Self> {
        let found = Self { year, month, day, hour, minute: 0, second: 0 };
        found.exists().then_some(found)
    }

    fn exists(&self) -> bool {
        // What the calendar does not know comes back as another day.
        self.year >= 1970
            && (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && Self::of_seconds(self.seconds()) == *self
    }

    /// Seconds since 1970.
    pub(crate) fn seconds(&self) -> u64 {
        days(self.year, self.month, self.day) * 86_400 + self.hour * 3600 + self.minute * 60 + self.second
    }

    pub(crate) fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds())
    }

    /// `20261121T065501Z`: ISO 8601 basic format, UTC.
    pub(crate) fn stamp(&self) -> String {
        let Self { year, month, day, hour, minute, second } = self;
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }

    /// Reads what [`stamp`](Self::stamp) writes, and nothing else.
    pub(crate) fn of_stamp(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 16
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                8 => *byte == b'T',
                15 => *byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        if !shaped {
            return None;
        }
        let number = |from: usize, to: usize| text[from..to].parse().ok();
        let found = Self {
            year: number(0, 4)?,
            month: number(4, 6)?,
            day: number(6, 8)?,
            hour: number(9, 11)?,
            minute: number(11, 13)?,
            second: number(13, 15)?,
        };
        found.exists().then_some(found)
    }
}

/// Days since 1970-01-01 to year, month, day in the Gregorian calendar, by
/// counting from 1 March of year 0, so that the leap day ends a year (H. Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The way back (`days_from_civil` of the same source), from 1970 on.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_utc_know_leap_years_and_are_read_back() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_164_800, "20240229T000000Z"),
            (1_795_244_101, "20261121T065501Z"),
            (4_107_542_400, "21000301T000000Z"),
            (4_107_456_000, "21000228T000000Z"),
        ] {
            let moment = Moment::of(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!((moment.stamp().as_str(), moment.seconds()), (text, seconds));
            assert_eq!(Moment::of_stamp(text), Some(moment));
        }
    }

    #[test]
    fn days_that_the_calendar_does_not_know_are_none() {
        for text in ["20260229T000000Z", "20261301T000000Z", "20260100T000000Z", "20260101T240000Z", "19691231T235959Z"]
        {
            assert_eq!(Moment::of_stamp(text), None, "{text}");
        }
        for text in ["", "20260101T0000000", "2026é101T00000Z", "20260101 000000Z", "20260101T000000Z "] {
            assert_eq!(Moment::of_stamp(text), None, "{text}");
        }
        assert_eq!(Moment::begin(2024, 2, 30, 0), None);
        assert_eq!(Moment::begin(2024, 2, 29, 23).map(|found| found.stamp()), Some("20240229T230000Z".into()));
    }
}
