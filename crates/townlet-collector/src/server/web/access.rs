//! Who may ask.

use std::net::IpAddr;

use super::head::Head;
use super::options::WebOptions;
use super::response::Response;

/// What to answer a request that may not go on.
pub(super) fn check(head: &Head, options: &WebOptions, by_query: bool) -> Result<(), Response> {
    match &options.token {
        Some(token) => {
            let shown = head.header("authorization").and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
            });
            // A page cannot set headers for a WebSocket.
            let in_query = if shown.is_none() && by_query { head.parameter("token") } else { None };
            let given = shown.or(in_query.as_deref());
            if !given.is_some_and(|given| token.matches(given.as_bytes())) {
                let answer = Response::error(401, "a token is needed: Authorization: Bearer …");
                return Err(answer.with_header("WWW-Authenticate", "Bearer"));
            }
        }
        // Nobody but programs of this machine connects. A page that somebody else
        // made can have a browser of this machine do it, under its own name.
        None if !head.header("host").is_none_or(names_this_machine) => {
            return Err(Response::error(403, "without a token, Host has to be localhost or a loopback address"));
        }
        None => {}
    }
    match head.header("origin") {
        Some(origin) if !is_allowed(origin, head.header("host"), options) => {
            Err(Response::error(403, "pages of this origin may not ask"))
        }
        _ => Ok(()),
    }
}

fn is_allowed(origin: &str, host: Option<&str>, options: &WebOptions) -> bool {
    let own = origin.split_once("://").map(|(_, authority)| authority);
    own.is_some() && own.zip(host).is_some_and(|(own, host)| own.eq_ignore_ascii_case(host))
        || options.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
}

/// True for the names of this machine, with or without a port.
pub(in crate::server) fn names_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::token::BearerToken;
    use super::*;
    use crate::Security;

    fn status(token: Option<&str>, target: &str, headers: &str) -> u16 {
        let mut options = WebOptions::new("127.0.0.1:0".parse().unwrap(), Security::PlaintextOnLoopback);
        options.token = token.map(|token| BearerToken::new(token).unwrap());
        options.allowed_origins = vec!["https://ops.example".to_owned()];
        let text = format!("GET {target} HTTP/1.1\r\n{headers}\r\n");
        let (head, _) = Head::parse(text.as_bytes()).unwrap();
        check(&head, &options, target.starts_with("/ws")).map_or_else(|answer| answer.status, |()| 200)
    }

    #[test]
    fn without_a_token_only_this_machine_is_answered_under_its_own_name() {
        for host in ["localhost", "LocalHost:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:80", "[::1]"] {
            assert_eq!(status(None, "/", &format!("Host: {host}\r\n")), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "[::2]:80", "", "127.0.0.1.evil.example:80"]
        {
            assert_eq!(status(None, "/", &format!("Host: {host}\r\n")), 403, "{host}");
        }
    }

    #[test]
    fn a_page_from_elsewhere_is_turned_away_even_with_a_token() {
        let host = "Host: localhost:8080\r\n";
        let with = |origin: &str| status(None, "/", &format!("{host}Origin: {origin}\r\n"));
        assert_eq!(with("http://localhost:8080"), 200);
        assert_eq!(with("https://ops.example"), 200);
        for origin in ["http://localhost:9090", "http://evil.example", "null", "localhost:8080", ""] {
            assert_eq!(with(origin), 403, "{origin}");
        }
    }

    #[test]
    fn a_token_is_wanted_in_the_header_and_for_sockets_also_in_the_query() {
        let word = Some("hunter2-hunter2");
        let asked = |target: &str, rest: &str| status(word, target, &format!("Host: far.example\r\n{rest}"));
        assert_eq!(asked("/metrics", "Authorization: Bearer hunter2-hunter2\r\n"), 200);
        assert_eq!(asked("/metrics", "authorization: bearer   hunter2-hunter2\r\n"), 200);
        assert_eq!(asked("/ws/telemetry?token=hunter2%2Dhunter2", ""), 200);
        assert_eq!(asked("/metrics?token=hunter2-hunter2", ""), 401);
        for wrong in ["", "Authorization: Bearer hunter2\r\n", "Authorization: Basic hunter2-hunter2\r\n"] {
            assert_eq!(asked("/metrics", wrong), 401, "{wrong:?}");
        }
        assert_eq!(asked("/ws/telemetry?token=hunter2-hunter2", "Authorization: Bearer wrong-wrong\r\n"), 401);
    }
}
