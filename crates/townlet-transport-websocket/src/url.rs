//! Where a WebSocket server is: `ws://host:port/path` or `wss://…`.

use std::fmt;

use townlet_tls::Endpoint;
use townlet_transport::{ErrorKind, TransportError};

/// A WebSocket URL, parsed once (RFC 6455, section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsUrl {
    secure: bool,
    endpoint: Endpoint,
    /// As it stands in the URL, for the `Host` header.
    authority: Box<str>,
    /// Path and query.
    target: Box<str>,
}

impl WsUrl {
    /// Parses a URL. Without a port it is 80 or 443.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured): another scheme, a user name
    /// or password, a fragment, white space, a host or port that cannot be.
    pub fn parse(text: &str) -> Result<Self, TransportError> {
        let wrong = |what: &str| {
            let message = format!("websocket_url {what}: write wss://host:port/path");
            Err(TransportError::new(ErrorKind::Misconfigured, message))
        };
        let Some((scheme, rest)) = text.split_once("://") else { return wrong("has no scheme") };
        let secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("wss") => true,
            _ if scheme.eq_ignore_ascii_case("ws") => false,
            _ => return wrong("has a scheme that is neither ws nor wss"),
        };
        if rest.chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
            return wrong("has something in it that is no printable ASCII");
        }
        if rest.contains('#') {
            return wrong("has a fragment, which WebSocket knows not");
        }
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        if authority.contains('@') {
            return wrong("carries a user name or password, which do not belong there");
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, after)| !after.contains(']'));
        let with_port =
            if has_port { authority.to_owned() } else { format!("{authority}:{}", if secure { 443 } else { 80 }) };
        let endpoint = Endpoint::parse(&with_port).map_err(|error| {
            TransportError::new(ErrorKind::Misconfigured, format!("websocket_url has a bad host or port: {error}"))
        })?;
        let target = if target.starts_with('/') { target.into() } else { format!("/{target}").into() };
        Ok(Self { secure, endpoint, authority: authority.into(), target })
    }

    /// True for `wss`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host and port that it leads to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for WsUrl {
    /// Without the query, in which some put a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{}://{}{path}", if self.secure { "wss" } else { "ws" }, self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::WsUrl;

    #[test]
    fn urls_are_split_and_ports_have_defaults() {
        for (text, secure, endpoint, authority, target) in [
            ("ws://localhost", false, "localhost:80", "localhost", "/"),
            ("WSS://c.example/v1/ws?x=1", true, "c.example:443", "c.example", "/v1/ws?x=1"),
            ("wss://[::1]:9443/", true, "[::1]:9443", "[::1]:9443", "/"),
            ("ws://[::1]?a", false, "[::1]:80", "[::1]", "/?a"),
        ] {
            let url = WsUrl::parse(text).unwrap();
            assert_eq!((url.is_secure(), &*url.endpoint().to_string()), (secure, endpoint), "{text}");
            assert_eq!((url.authority(), url.target()), (authority, target), "{text}");
        }
        assert_eq!(WsUrl::parse("wss://c.example/in?token=abc").unwrap().to_string(), "wss://c.example:443/in");
    }

    #[test]
    fn what_is_no_websocket_url_is_refused() {
        for text in [
            "",
            "localhost:80",
            "http://a/",
            "ws://",
            "ws://me:pw@a/",
            "ws://a/#f",
            "ws://a b/",
            "ws://a:0/",
            "ws://a/\u{e9}",
        ] {
            let error = WsUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains("websocket_url") && !error.contains("pw"), "{text}: {error}");
        }
    }
}
