//! Who may call.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, ORIGIN};
use hyper::http::uri::Authority;

use super::options::GrpcOptions;
use super::status::{Code, Status};
use crate::server::web::names_this_machine;

/// Refuses a call that may not go on. `authority`: whom the client means to call.
pub(super) fn check(headers: &HeaderMap, authority: Option<&Authority>, options: &GrpcOptions) -> Result<(), Status> {
    let denied = |message: &str| Err(Status::new(Code::PermissionDenied, message));
    match &options.token {
        Some(token) => {
            let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
            });
            if !shown.is_some_and(|shown| token.matches(shown.as_bytes())) {
                let message = "a token is needed, as metadata authorization: Bearer …";
                return Err(Status::new(Code::Unauthenticated, message));
            }
        }
        None => {
            let host = headers.get(HOST).and_then(|value| value.to_str().ok());
            if !authority.map(Authority::as_str).or(host).is_none_or(names_this_machine) {
                return denied("without a token, the authority has to be localhost or a loopback address");
            }
        }
    }
    // No program that speaks gRPC sends one; a page may.
    if headers.contains_key(ORIGIN) { denied("pages may not call") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::Security;
    use crate::web::BearerToken;

    fn outcome(token: Option<&str>, authority: &str, header: (&str, &str)) -> Option<Code> {
        let mut options = GrpcOptions::new("127.0.0.1:0".parse().unwrap(), Security::PlaintextOnLoopback);
        options.token = token.map(|token| BearerToken::new(token).unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::try_from(header.0).unwrap(), HeaderValue::from_str(header.1).unwrap());
        check(&headers, authority.parse().ok().as_ref(), &options).err().map(|status| status.code)
    }

    #[test]
    fn without_a_token_this_machine_is_called_under_its_own_name_and_by_no_page() {
        let none = ("te", "trailers");
        for name in ["localhost:4317", "127.0.0.1:4317", "[::1]:4317", ""] {
            assert_eq!(outcome(None, name, none), None, "{name}");
        }
        assert_eq!(outcome(None, "evil.example:4317", none), Some(Code::PermissionDenied));
        assert_eq!(outcome(None, "", ("host", "evil.example")), Some(Code::PermissionDenied));
        assert_eq!(outcome(None, "localhost", ("origin", "http://localhost")), Some(Code::PermissionDenied));
    }

    #[test]
    fn with_one_it_has_to_be_shown_whoever_is_called() {
        let word = Some("hunter2-hunter2");
        assert_eq!(outcome(word, "far.example", ("authorization", "Bearer hunter2-hunter2")), None);
        assert_eq!(outcome(word, "far.example", ("authorization", "bearer  hunter2-hunter2")), None);
        for wrong in ["Bearer hunter2", "Basic hunter2-hunter2", "hunter2-hunter2", ""] {
            assert_eq!(outcome(word, "localhost", ("authorization", wrong)), Some(Code::Unauthenticated), "{wrong:?}");
        }
        assert_eq!(outcome(word, "localhost", ("te", "trailers")), Some(Code::Unauthenticated));
    }
}
