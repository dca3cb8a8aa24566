//! Where servers are.

use std::fmt;

use townlet_tls::Endpoint;
use townlet_transport::{ErrorKind, TransportError};

/// The port that a server has where none is written.
const PORT: u16 = 4222;

/// The servers that a connection may be made to, the first of them first. Any of
/// them is as good as any other: they are one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    endpoints: Vec<Endpoint>,
    tls: bool,
}

impl Servers {
    /// Reads `tls://host:4222` or `nats://host:4222`, or several of one scheme with commas
    /// between them. `tls://` is TLS, `nats://` is not: there is no third way that would
    /// leave it to the server. A missing port is 4222.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), which says what to write instead. A
    /// user's name or password in a URL is refused and not repeated.
    pub fn parse(text: &str) -> Result<Self, TransportError> {
        let wrong = |message: String| TransportError::new(ErrorKind::Misconfigured, message);
        let (mut endpoints, mut schemes) = (Vec::new(), Vec::new());
        for one in text.split(',').map(str::trim) {
            let Some((scheme, rest)) = one.split_once("://") else {
                return Err(wrong(format!("endpoint: {one:?} has no scheme: write tls://{one}")));
            };
            if rest.contains('@') {
                return Err(wrong("endpoint: credentials in a URL end up in logs; put them into auth".into()));
            }
            let tls = match scheme.to_ascii_lowercase().as_str() {
                "tls" => true,
                "nats" => false,
                _ => return Err(wrong(format!("endpoint: {scheme}:// is not NATS: write tls:// or nats://"))),
            };
            let host = rest.strip_suffix('/').unwrap_or(rest);
            let has_port = host.rsplit_once(':').is_some_and(|(_, after)| !after.contains(']'));
            let text = if has_port { host.to_owned() } else { format!("{host}:{PORT}") };
            let endpoint = Endpoint::parse(&text).map_err(|error| wrong(format!("endpoint: {error}")))?;
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
            schemes.push(tls);
        }
        let tls = schemes.first().copied().unwrap_or(true);
        if schemes.iter().any(|other| *other != tls) {
            return Err(wrong(
                "endpoint: some servers are tls:// and others nats://: write one of them for all".into(),
            ));
        }
        Ok(Self { endpoints, tls })
    }

    /// Each of them, at least one.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// True for `tls://`.
    pub fn is_secure(&self) -> bool {
        self.tls
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "tls" } else { "nats" };
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            write!(f, "{}{scheme}://{endpoint}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_shown_as_they_are_meant() {
        for (text, shown, tls) in [
            ("nats://localhost", "nats://localhost:4222", false),
            (" TLS://a.example:4443/ ", "tls://a.example:4443", true),
            ("nats://[::1]:1, nats://127.0.0.1", "nats://[::1]:1,nats://127.0.0.1:4222", false),
            ("tls://a.example,tls://a.example:4222", "tls://a.example:4222", true),
            ("nats://[::1]", "nats://[::1]:4222", false),
        ] {
            let servers = Servers::parse(text).unwrap();
            assert_eq!((servers.to_string().as_str(), servers.is_secure()), (shown, tls), "{text}");
        }
    }

    #[test]
    fn what_is_no_server_is_told_what_to_be() {
        for (text, says) in [
            ("", "no scheme"),
            ("localhost:4222", "write tls://localhost:4222"),
            ("http://a", "write tls:// or nats://"),
            ("tls://ann:secret@a", "put them into auth"),
            ("tls://a,nats://a", "one of them for all"),
            ("tls://a:0", "endpoint"),
            ("tls://", "endpoint"),
            ("tls://a b", "endpoint"),
        ] {
            let error = Servers::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(says), "{text}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
