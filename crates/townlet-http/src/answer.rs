//! What a peer answered.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use townlet_transport::{ErrorKind, TransportError};

use crate::Target;

/// What is kept of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `Retry-After`, as it came.
    pub retry_after: Option<String>,
    /// `Date`, as it came.
    pub date: Option<String>,
    /// `Location`, as it came.
    pub location: Option<String>,
    /// `Content-Type`, as it came.
    pub content_type: Option<String>,
    /// As much of the body as the request asked for. None where it was longer, or
    /// did not come in time; empty where nothing was asked for.
    pub body: Option<Bytes>,
}

impl Answer {
    /// An answer with this status and nothing else.
    pub fn status(status: u16) -> Self {
        Self { status, body: Some(Bytes::new()), ..Self::default() }
    }

    /// An error that says who answered what, with `advice` behind it.
    pub fn error(&self, kind: ErrorKind, target: &Target, advice: &str) -> TransportError {
        let status = self.status;
        let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
        let (reason, gap) = reason.map_or(("", ""), |reason| (reason, " "));
        TransportError::new(kind, format!("{} answered {status}{gap}{reason}{advice}", target.shown()))
    }

    /// The same with the pause that the peer asks for, where it asks for one.
    pub fn later(&self, kind: ErrorKind, target: &Target, advice: &str, now: SystemTime) -> TransportError {
        let error = self.error(kind, target, advice);
        match self.retry_after.as_deref().and_then(|text| pause(text, self.date.as_deref(), now)) {
            Some(pause) => error.asking_to_wait(pause),
            None => error,
        }
    }

    /// The error of a redirect, which names where it points to.
    pub fn redirect(&self, target: &Target, now: SystemTime) -> TransportError {
        let elsewhere = self.location.as_deref().and_then(|location| target.resolve(location));
        let to = elsewhere.map_or_else(String::new, |to| format!(" and points to {to}"));
        let advice =
            format!("{to}: set endpoint to the final URL (a redirect is not followed, it would lose the body)");
        self.later(ErrorKind::Misconfigured, target, &advice, now)
    }
}

/// Reads `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date, which is
/// held against the peer's own `Date` where it sends one, so that its clock need
/// not agree with ours. What cannot be read is none.
fn pause(text: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a very long time; the contract bounds it.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    // A time that is past asks for no pause.
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn asked(retry_after: &str, date: Option<&str>) -> Option<Duration> {
        let answer =
            Answer { retry_after: Some(retry_after.into()), date: date.map(Into::into), ..Answer::status(503) };
        let target = Target::parse("https://collector.example/in").unwrap();
        let now = httpdate::parse_http_date(NOW).unwrap();
        answer.later(ErrorKind::Unavailable, &target, "", now).retry_after()
    }

    #[test]
    fn retry_after_is_read_in_every_form_and_bounded() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (text, expected) in [
            ("0", seconds(0)),
            (" 120 ", seconds(120)),
            ("301", seconds(300)),
            ("99999999999999999999999999", seconds(300)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", seconds(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", seconds(60)),
            ("Sun Nov  6 08:50:37 1994", seconds(60)),
            ("Sun, 06 Nov 1994 07:00:00 GMT", seconds(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", seconds(300)),
            ("-5", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("\u{ff11}", None),
        ] {
            assert_eq!(asked(text, None), expected, "{text:?}");
        }
    }

    #[test]
    fn a_date_is_held_against_the_peers_own_clock() {
        let its_clock = Some("Sun, 06 Nov 1994 10:00:00 GMT");
        assert_eq!(asked("Sun, 06 Nov 1994 10:00:30 GMT", its_clock), Some(Duration::from_secs(30)));
        assert_eq!(asked("30", its_clock), Some(Duration::from_secs(30)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:37 GMT", Some("nonsense")), Some(Duration::from_secs(60)));
    }
}
