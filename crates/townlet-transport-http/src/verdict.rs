//! What an answer of the peer means for the frames that it answers.

use std::time::{Duration, SystemTime};

use townlet_transport::{ErrorKind, TransportError};

use crate::Target;

/// What is kept of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) date: Option<String>,
    pub(crate) location: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Verdict {
    /// The peer has them.
    Taken,
    /// It may take them another time.
    Later(TransportError),
    /// They are too much at once.
    TooMuch(TransportError),
    /// It will never take one of them, and does not say which.
    OneRefused(TransportError),
    /// It takes none of them, whatever they say.
    AllRefused(TransportError),
}

/// Judges by RFC 9110 section 15 (and RFC 6585 for 429). `again` is true where
/// these very frames were sent before, under the same key, without an answer.
pub(crate) fn judge(answer: &Answer, target: &Target, again: bool, now: SystemTime) -> Verdict {
    let status = answer.status;
    let says = |kind, advice: &str| {
        let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
        let (reason, gap) = reason.map_or(("", ""), |reason| (reason, " "));
        TransportError::new(kind, format!("{} answered {status}{gap}{reason}{advice}", target.shown()))
    };
    let later = |kind, advice: &str| {
        let error = says(kind, advice);
        let asked = answer.retry_after.as_deref().and_then(|text| pause(text, answer.date.as_deref(), now));
        Verdict::Later(match asked {
            Some(pause) => error.asking_to_wait(pause),
            None => error,
        })
    };
    match status {
        200..=299 => Verdict::Taken,
        300..=399 => {
            let elsewhere = answer.location.as_deref().and_then(|location| target.resolve(location));
            let advice = elsewhere.map_or_else(String::new, |to| format!(" and points to {to}"));
            later(
                ErrorKind::Misconfigured,
                &format!(
                    "{advice}: set endpoint to the final URL (a redirect is not followed, it would lose the body)"
                ),
            )
        }
        408 => later(ErrorKind::Timeout, ": it did not get the request in time"),
        // draft-ietf-httpapi-idempotency-key-header, section 2.7: the first one is still being worked on.
        409 if again => later(ErrorKind::Unavailable, ": it still works on the same batch"),
        413 => Verdict::TooMuch(says(ErrorKind::TooLarge, ": raise the limit there, or lower max_batch_size")),
        429 => later(ErrorKind::Unavailable, ": it is asked too often"),
        401 => Verdict::AllRefused(says(ErrorKind::Rejected, ": check auth")),
        403 => Verdict::AllRefused(says(ErrorKind::Rejected, ": check auth and what it is allowed to do there")),
        407 => Verdict::AllRefused(says(ErrorKind::Rejected, ": put credentials into the proxy variable")),
        404 | 405 | 410 | 421 => Verdict::AllRefused(says(ErrorKind::Rejected, ": check the path of endpoint")),
        415 => Verdict::AllRefused(says(ErrorKind::Rejected, ": check format and compression")),
        402 | 406 | 411 | 417 | 426 | 428 | 431 | 451 => Verdict::AllRefused(says(ErrorKind::Rejected, "")),
        400..=499 => Verdict::OneRefused(says(ErrorKind::Rejected, "")),
        500..=599 => later(ErrorKind::Unavailable, ""),
        _ => later(ErrorKind::Unavailable, ", which is no final status of HTTP"),
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
        let answer = Answer {
            status: 503,
            retry_after: Some(retry_after.into()),
            date: date.map(Into::into),
            ..Answer::default()
        };
        let target = Target::parse("https://collector.example/in").unwrap();
        match judge(&answer, &target, false, httpdate::parse_http_date(NOW).unwrap()) {
            Verdict::Later(error) => error.retry_after(),
            other => panic!("{other:?}"),
        }
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

    #[test]
    fn every_status_has_one_meaning() {
        let target = Target::parse("https://collector.example/in?key=hunter2").unwrap();
        for status in 0..=u16::MAX {
            let answer = Answer { status, location: Some("/next?key=hunter2".into()), ..Answer::default() };
            for again in [false, true] {
                let verdict = judge(&answer, &target, again, SystemTime::UNIX_EPOCH);
                let error = match &verdict {
                    Verdict::Taken => None,
                    Verdict::Later(e) | Verdict::TooMuch(e) | Verdict::OneRefused(e) | Verdict::AllRefused(e) => {
                        Some(e)
                    }
                };
                let kind = error.map(TransportError::kind);
                match status {
                    200..=299 => assert!(kind.is_none()),
                    300..=399 => assert_eq!(kind, Some(ErrorKind::Misconfigured)),
                    408 => assert_eq!(kind, Some(ErrorKind::Timeout)),
                    409 if again => assert_eq!(kind, Some(ErrorKind::Unavailable)),
                    413 => assert!(matches!(verdict, Verdict::TooMuch(_))),
                    429 | 500..=599 => assert_eq!(kind, Some(ErrorKind::Unavailable)),
                    400..=499 => assert_eq!(kind, Some(ErrorKind::Rejected), "{status}"),
                    _ => assert_eq!(kind, Some(ErrorKind::Unavailable)),
                }
                if let Some(error) = error {
                    let text = error.to_string();
                    assert!(text.contains("https://collector.example/in answered"), "{text}");
                    assert!(text.contains(&status.to_string()) && !text.contains("hunter2"), "{text}");
                }
            }
        }
        let moved = Answer { status: 301, location: Some("https://new.example/in".into()), ..Answer::default() };
        let Verdict::Later(error) = judge(&moved, &target, false, SystemTime::UNIX_EPOCH) else { panic!() };
        assert!(error.to_string().contains("301 Moved Permanently and points to https://new.example/in"), "{error}");
    }
}
