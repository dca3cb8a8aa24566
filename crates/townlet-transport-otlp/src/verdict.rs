//! What an answer means for what was sent, by the specification of OTLP/HTTP.

use std::time::SystemTime;

use townlet_http::{Answer, Target};
use townlet_transport::{ErrorKind, TransportError};

use crate::wire::{self, Partial};

#[derive(Debug)]
pub(crate) enum Verdict {
    /// The peer has all but those that it rejects.
    Taken(Partial),
    /// It may take them another time.
    Later(TransportError),
    /// They are too much at once.
    TooMuch(TransportError),
    /// It takes none of them, and they must not be sent again.
    Refused(TransportError),
}

/// Judges by section "OTLP/HTTP Response" of the specification; what is not in it,
/// by RFC 9110.
pub(crate) fn judge(answer: &Answer, target: &Target, now: SystemTime) -> Verdict {
    let quoted = |advice: &str| match wire::failure(answer) {
        Some(message) => format!(": {message}{advice}"),
        None => advice.to_owned(),
    };
    let later = |advice: &str| Verdict::Later(answer.later(ErrorKind::Unavailable, target, &quoted(advice), now));
    let refused = |advice: &str| Verdict::Refused(answer.error(ErrorKind::Rejected, target, &quoted(advice)));
    match answer.status {
        200..=299 => match wire::response(answer) {
            Some(partial) => Verdict::Taken(partial),
            None => {
                let advice = ", but not as OTLP does: check that endpoint is the base of an OTLP/HTTP receiver";
                Verdict::Later(answer.later(ErrorKind::Misconfigured, target, advice, now))
            }
        },
        300..=399 => Verdict::Later(answer.redirect(target, now)),
        429 | 502 | 503 | 504 => later(""),
        413 => {
            let advice = quoted("; raise the limit there, or lower max_batch_size");
            Verdict::TooMuch(answer.error(ErrorKind::TooLarge, target, &advice))
        }
        401 | 403 => refused("; check auth"),
        407 => refused("; put credentials into the proxy variable"),
        404 | 405 => refused("; check endpoint: the path of the signal is put below it"),
        415 => refused("; check format and compression"),
        400..=599 => refused(""),
        _ => later(", which is no final status of HTTP"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn exactly_the_codes_of_the_specification_are_retried() {
        let target = Target::parse("https://collector.example/v1/logs?key=hunter2").unwrap();
        for status in 0..=u16::MAX {
            let mut answer = Answer::status(status);
            answer.content_type = Some("application/x-protobuf".into());
            answer.retry_after = Some("7".into());
            let verdict = judge(&answer, &target, SystemTime::UNIX_EPOCH);
            match (status, &verdict) {
                (200, Verdict::Taken(partial)) => assert_eq!(partial, &Partial::default()),
                (201..=399, Verdict::Later(error)) => assert_eq!(error.kind(), ErrorKind::Misconfigured),
                (413, Verdict::TooMuch(error)) => assert_eq!(error.kind(), ErrorKind::TooLarge),
                (429 | 502 | 503 | 504 | ..200 | 600.., Verdict::Later(error)) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable);
                    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
                }
                (400..=599, Verdict::Refused(error)) => {
                    assert!(!matches!(status, 413 | 429 | 502 | 503 | 504));
                    assert_eq!(error.kind(), ErrorKind::Rejected);
                    let text = error.to_string();
                    assert!(text.contains(&status.to_string()) && !text.contains("hunter2"), "{text}");
                }
                _ => panic!("{status}: {verdict:?}"),
            }
        }
    }
}
