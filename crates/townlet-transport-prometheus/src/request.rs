//! Reading the head of a request, and what it deserves.

use crate::token::Token;

/// The longest head that is read, in bytes.
pub(crate) const LONGEST: usize = 8 * 1024;

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The figures; of a `HEAD` request their size alone.
    Metrics {
        body: bool,
    },
    BadRequest,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
}

/// True once the head is complete.
pub(crate) fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n")
}

/// Judges a complete head (RFC 9112 section 2). The token comes first: without it
/// nobody learns which paths there are.
pub(crate) fn judge(head: &[u8], token: Option<&Token>) -> Verdict {
    let Ok(head) = std::str::from_utf8(head) else { return Verdict::BadRequest };
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some(version), None) = (method, target, version, words.next()) else {
        return Verdict::BadRequest;
    };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Verdict::BadRequest;
    }
    if let Some(token) = token
        && !lines.any(|line| bearer(line).is_some_and(|given| token.matches(given)))
    {
        return Verdict::Unauthorized;
    }
    if target.split('?').next() != Some("/metrics") {
        return Verdict::NotFound;
    }
    match method {
        "GET" => Verdict::Metrics { body: true },
        "HEAD" => Verdict::Metrics { body: false },
        _ => Verdict::MethodNotAllowed,
    }
}

/// The token of an `Authorization: Bearer …` line; names and schemes know no case.
fn bearer(line: &str) -> Option<&str> {
    let (name, value) = line.split_once(':')?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let is_it = name.eq_ignore_ascii_case("authorization") && scheme.eq_ignore_ascii_case("bearer");
    is_it.then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_at_one_path_for_two_methods() {
        for (head, verdict) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Verdict::Metrics { body: true }),
            ("HEAD /metrics?x=1 HTTP/1.0\n\n", Verdict::Metrics { body: false }),
            ("POST /metrics HTTP/1.1\r\n\r\n", Verdict::MethodNotAllowed),
            ("GET / HTTP/1.1\r\n\r\n", Verdict::NotFound),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", Verdict::NotFound),
            ("GET /metrics\r\n\r\n", Verdict::BadRequest),
            ("GET http://a/metrics HTTP/1.1\r\n\r\n", Verdict::BadRequest),
            ("GET /metrics HTTP/2\r\n\r\n", Verdict::BadRequest),
            ("\x16\x03\x01\r\n\r\n", Verdict::BadRequest),
            ("\r\n\r\n", Verdict::BadRequest),
        ] {
            assert!(is_whole(head.as_bytes()), "{head:?}");
            assert_eq!(judge(head.as_bytes(), None), verdict, "{head:?}");
        }
        assert_eq!(judge(b"GET /\xff HTTP/1.1\r\n\r\n", None), Verdict::BadRequest);
        assert!(!is_whole(b"GET /metrics HTTP/1.1\r\n"));
    }

    #[test]
    fn without_the_token_nothing_is_told_apart() {
        let token = Token::new("a-good-token").unwrap();
        let ask = |line: &str| judge(format!("GET /metrics HTTP/1.1\r\n{line}\r\n\r\n").as_bytes(), Some(&token));
        for good in ["Authorization: Bearer a-good-token", "authorization:bearer  a-good-token "] {
            assert_eq!(ask(good), Verdict::Metrics { body: true }, "{good}");
        }
        for bad in
            ["", "Authorization: Basic a-good-token", "Authorization: Bearer", "Authorization: Bearer a-good-toke"]
        {
            assert_eq!(ask(bad), Verdict::Unauthorized, "{bad}");
        }
        assert_eq!(judge(b"GET /other HTTP/1.1\r\n\r\n", Some(&token)), Verdict::Unauthorized);
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
