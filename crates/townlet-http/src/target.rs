//! The URL of the endpoint, checked once.

use reqwest::Url;
use townlet_tls::{Endpoint, Plaintext, PlaintextFlags, Security};
use townlet_transport::{ErrorKind, TransportError};

/// Where frames are posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: Url,
    endpoint: Endpoint,
}

impl Target {
    /// Parses an `https://` or `http://` URL. A port may be left out.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key `endpoint`, for
    /// another scheme, a missing host, credentials (which belong in `auth`) or a
    /// fragment.
    pub fn parse(text: &str) -> Result<Self, TransportError> {
        // Never quoted: there may be a password in it.
        let wrong = |what: &str| TransportError::new(ErrorKind::Misconfigured, format!("endpoint {what}"));
        let url = Url::parse(text.trim()).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("must begin with https:// (or http:// on this machine)"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not contain credentials: use auth"));
        }
        if url.fragment().is_some() {
            return Err(wrong("must not contain a fragment (#)"));
        }
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        let endpoint = Endpoint::parse(&format!("{host}:{port}"))
            .map_err(|error| wrong(&format!("has a host that cannot be used: {error}")))?;
        Ok(Self { url, endpoint })
    }

    /// Leave to go there without TLS, on this machine.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) where the plaintext rule does not hold.
    pub fn plaintext(&self, flags: PlaintextFlags) -> Result<Security, TransportError> {
        let leave = Plaintext::allow(flags, self.endpoint()).map_err(|refused| {
            TransportError::with_source(ErrorKind::Misconfigured, format!("endpoint is http://: {refused}"), refused)
        })?;
        Ok(Security::Plaintext(leave))
    }

    /// True for `https://`.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Host and port.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The URL for logs and messages: without its query, in which some servers
    /// want a key.
    pub fn shown(&self) -> String {
        shown(&self.url)
    }

    /// The same host and port with `path` behind the path that is there, as OTLP
    /// has a path for each kind of data below the one that is configured.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        let mut url = self.url.clone();
        let joined = format!("{}/{}", url.path().trim_end_matches('/'), path.trim_start_matches('/'));
        url.set_path(&joined);
        Self { url, endpoint: self.endpoint.clone() }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The place that a `Location` header names, fit for a message.
    pub(crate) fn resolve(&self, location: &str) -> Option<String> {
        self.url.join(location).ok().map(|url| shown(&url))
    }
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // These fail only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_neither_query_nor_credentials() {
        let target = Target::parse("https://collector.example/in?key=hunter2").unwrap();
        assert_eq!(target.shown(), "https://collector.example/in");
        assert_eq!(target.endpoint().to_string(), "collector.example:443");
        assert_eq!(target.url().query(), Some("key=hunter2"), "it is sent all the same");
        let elsewhere = target.resolve("//ann:hunter2@other.example/x?token=hunter2#here").unwrap();
        assert_eq!(elsewhere, "https://other.example/x");
        assert_eq!(target.resolve("/v2").unwrap(), "https://collector.example/v2");
    }

    #[test]
    fn a_path_below_keeps_the_query_and_doubles_no_slash() {
        for (text, shown) in [
            ("https://collector.example", "https://collector.example/v1/logs"),
            ("https://collector.example/otlp/", "https://collector.example/otlp/v1/logs"),
            ("https://collector.example:4318/otlp?key=k", "https://collector.example:4318/otlp/v1/logs"),
        ] {
            let target = Target::parse(text).unwrap().below("/v1/logs");
            assert_eq!(target.shown(), shown);
            assert_eq!(target.url().query().is_some(), text.contains('?'));
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_being_quoted() {
        for (text, says) in [
            ("", "not a URL"),
            ("collector.example:9000", "must begin with https://"),
            ("ftp://collector.example/", "must begin with https://"),
            ("https://ann:hunter2@collector.example/", "credentials"),
            ("https://hunter2@collector.example/", "credentials"),
            ("https:///", "not a URL"),
            ("https://collector.example:99999/", "not a URL"),
            ("https://collector.example/#hunter2", "fragment"),
        ] {
            let error = Target::parse(text).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("endpoint"), "{text:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let local = Target::parse("http://[::1]:8080").unwrap();
        assert!(!local.is_secure() && local.endpoint().is_loopback());
    }
}
