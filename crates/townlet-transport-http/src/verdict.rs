//! What an answer of the peer means for the frames that it answers.

use std::time::SystemTime;

use townlet_http::{Answer, Target};
use townlet_transport::{ErrorKind, TransportError};

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
    let says = |kind, advice: &str| answer.error(kind, target, advice);
    let later = |kind, advice: &str| Verdict::Later(answer.later(kind, target, advice, now));
    match status {
        200..=299 => Verdict::Taken,
        300..=399 => Verdict::Later(answer.redirect(target, now)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_meaning() {
        let target = Target::parse("https://collector.example/in?key=hunter2").unwrap();
        for status in 0..=u16::MAX {
            let mut answer = Answer::status(status);
            answer.location = Some("/next?key=hunter2".into());
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
        let mut moved = Answer::status(301);
        moved.location = Some("https://new.example/in".into());
        let Verdict::Later(error) = judge(&moved, &target, false, SystemTime::UNIX_EPOCH) else { panic!() };
        assert!(error.to_string().contains("301 Moved Permanently and points to https://new.example/in"), "{error}");
    }
}
