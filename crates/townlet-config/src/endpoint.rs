//! `host:port` and URLs, checked while the person who wrote them is looking.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is wrong with an endpoint, and how it should look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) help: String,
}

fn wrong(message: impl Into<String>, help: impl Into<String>) -> Wrong {
    Wrong { message: message.into(), help: help.into() }
}

/// A host and a port; the host without brackets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HostPort<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

impl HostPort<'_> {
    /// True for `localhost` and loopback addresses of either family: the only
    /// hosts to which telemetry may travel in the clear.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// Reads `collector.example:9000`, `10.0.0.1:9000`, `[2001:db8::1]:9000`.
pub(crate) fn host_port(text: &str) -> Result<HostPort<'_>, Wrong> {
    const SHAPE: &str = "write host:port, as in 'collector.example:9000' or '[::1]:9000'";
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong("has a blank in it", SHAPE));
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(wrong(format!("starts with '{scheme}://'"), "leave the scheme out: host:port"));
    }
    if text.contains('@') {
        return Err(wrong("has a user name in it", SHAPE));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let Some((host, after)) = rest.split_once(']') else {
            return Err(wrong("opens a bracket and never closes it", SHAPE));
        };
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(wrong(format!("'{host}' is not an IPv6 address"), "brackets hold an address such as ::1"));
        }
        let Some(port) = after.strip_prefix(':') else {
            return Err(wrong("has no port", format!("add one: '[{host}]:9000'")));
        };
        return Ok(HostPort { host, port: port_of(port)? });
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(wrong("has no port", format!("add one: '{text}:9000'")));
    };
    if host.contains(':') {
        let help = if text.parse::<Ipv6Addr>().is_ok() && host.parse::<Ipv6Addr>().is_err() {
            format!("write '[{text}]:9000'")
        } else {
            format!("write '[{host}]:{port}'")
        };
        return Err(wrong("is an IPv6 address without brackets", help));
    }
    check_host(host)?;
    Ok(HostPort { host, port: port_of(port)? })
}

fn port_of(text: &str) -> Result<u16, Wrong> {
    let help = "a port is a number from 1 to 65535";
    if text.is_empty() {
        return Err(wrong("has no port", help));
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(wrong(format!("has the port '{text}'"), help)),
    }
}

/// RFC 1123 names, with the underscore that container networks use, and IPv4.
fn check_host(host: &str) -> Result<(), Wrong> {
    let help = "a host is a DNS name or an IP address";
    if host.is_empty() {
        return Err(wrong("has no host", help));
    }
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(wrong(format!("'{host}' is not an IPv4 address"), help));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let good_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(good_label) {
        return Err(wrong(format!("'{host}' is not a host name"), help));
    }
    Ok(())
}

/// A URL that was checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// The scheme in lower case (RFC 3986 section 3.1: schemes are case-insensitive).
    pub(crate) text: String,
    pub(crate) is_secure: bool,
    pub(crate) host: String,
    pub(crate) is_loopback: bool,
}

/// A URL with one of two schemes, plain and secure.
pub(crate) fn url(text: &str, plain: &str, secure: &str) -> Result<Url, Wrong> {
    let shape = format!("write {plain}://host/path or {secure}://host/path");
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(wrong(format!("does not start with {plain}:// or {secure}://"), shape));
    };
    let is_secure = scheme.eq_ignore_ascii_case(secure);
    if !is_secure && !scheme.eq_ignore_ascii_case(plain) {
        return Err(wrong(format!("does not start with {plain}:// or {secure}://"), shape));
    }
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong("has a blank in it", shape));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        // Also keeps passwords out of dumps, logs and status.
        return Err(wrong("carries a user name or password", "credentials do not belong in an endpoint"));
    }
    let has_port = match authority.rsplit_once(':') {
        Some((_, after)) => !after.contains(']'),
        None => false,
    };
    let with_port = if has_port { authority.to_owned() } else { format!("{authority}:1") };
    let peer = host_port(&with_port)?;
    Ok(Url {
        text: format!("{}://{rest}", scheme.to_ascii_lowercase()),
        is_secure,
        host: peer.host.to_owned(),
        is_loopback: peer.is_loopback(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Url, host_port, url};

    #[test]
    fn a_url_on_this_machine_is_known_by_its_host() {
        let is_near = |text: &str| url(text, "http", "https").is_ok_and(|url| url.is_loopback);
        for url in ["http://localhost", "http://127.0.0.1:80/x", "http://[::1]", "http://[::1]:8080/?a#b"] {
            assert!(is_near(url), "{url}");
        }
        for url in
            ["http://c.example/localhost", "http://10.0.0.1", "http://localhost.example:80/", "http://[2001:db8::1]/"]
        {
            assert!(!is_near(url), "{url}");
        }
    }

    #[test]
    fn good_endpoints_are_split() {
        for (text, host, port, loopback) in [
            ("localhost:9000", "localhost", 9000, true),
            ("LOCALHOST:1", "LOCALHOST", 1, true),
            ("127.0.0.1:65535", "127.0.0.1", 65535, true),
            ("[::1]:9000", "::1", 9000, true),
            ("[2001:db8::7]:443", "2001:db8::7", 443, false),
            ("collector_1.example.org.:9000", "collector_1.example.org.", 9000, false),
            ("localhost.evil.example:9000", "localhost.evil.example", 9000, false),
            ("10.0.0.1:9", "10.0.0.1", 9, false),
        ] {
            let parsed = host_port(text).unwrap();
            assert_eq!((parsed.host, parsed.port, parsed.is_loopback()), (host, port, loopback), "{text}");
        }
    }

    #[test]
    fn urls_keep_everything_but_the_case_of_the_scheme() {
        for (text, out, is_secure, host, is_loopback) in [
            ("HTTPS://a.example/In?x=1", "https://a.example/In?x=1", true, "a.example", false),
            ("http://[::1]:80/", "http://[::1]:80/", false, "::1", true),
            ("http://localhost", "http://localhost", false, "localhost", true),
            (
                "http://localhost.evil.example?@localhost",
                "http://localhost.evil.example?@localhost",
                false,
                "localhost.evil.example",
                false,
            ),
        ] {
            let expected = Url { text: out.into(), is_secure, host: host.into(), is_loopback };
            assert_eq!(url(text, "http", "https"), Ok(expected), "{text}");
        }
        for bad in ["ftp://a", "http://", "http://a b", "http://user:pw@a/", "http://a:0/", "a.example", "http://:80"] {
            assert!(url(bad, "http", "https").is_err(), "{bad}");
        }
    }
}
