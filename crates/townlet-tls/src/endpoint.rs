//! `host:port`, parsed once and precisely.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Name(Box<str>),
    Address(IpAddr),
}

/// What is wrong with the text of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointErrorKind {
    /// Nothing but white space.
    Empty,
    /// A URL where `host:port` is wanted.
    Url,
    /// Nothing before the port.
    EmptyHost,
    /// No `:port`.
    MissingPort,
    /// The port is not a number.
    PortNotANumber,
    /// The port is 0 or above 65535.
    PortOutOfRange,
    /// An IPv6 address without `[` and `]`.
    UnbracketedIpv6,
    /// `[` without `]`, or something else than an IPv6 address between them.
    BadIpv6,
    /// Neither a host name nor an IPv4 address.
    BadHost,
}

/// Why a text is no endpoint; the message quotes it and says what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointError {
    kind: EndpointErrorKind,
    message: String,
}

impl EndpointError {
    fn new(kind: EndpointErrorKind, message: String) -> Self {
        Self { kind, message }
    }

    /// What is wrong.
    pub fn kind(&self) -> EndpointErrorKind {
        self.kind
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for EndpointError {}

impl Endpoint {
    /// Parses `host:port`, `192.0.2.1:9000` or `[2001:db8::1]:9000`. White space
    /// around it is ignored.
    ///
    /// # Errors
    /// [`EndpointError`], whose message quotes `text`.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        use EndpointErrorKind as Kind;
        let fail = |kind, what: &str| Err(EndpointError::new(kind, format!("endpoint {text:?} {what}")));
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return fail(Kind::Empty, "is empty: write host:port, as in collector.example:9000");
        }
        if let Some((scheme, _)) = trimmed.split_once("://") {
            return fail(Kind::Url, &format!("is a URL: leave out {scheme}:// and write host:port"));
        }
        let (host, port) = if let Some(rest) = trimmed.strip_prefix('[') {
            let Some((address, after)) = rest.split_once(']') else {
                return fail(Kind::BadIpv6, "opens a bracket and does not close it: write [::1]:9000");
            };
            let Ok(address) = address.parse::<Ipv6Addr>() else {
                return fail(Kind::BadIpv6, "has something else than an IPv6 address between its brackets");
            };
            let Some(port) = after.strip_prefix(':') else {
                return fail(Kind::MissingPort, &format!("has no port: write [{address}]:9000"));
            };
            (Host::Address(address.into()), port)
        } else {
            let Some((host, port)) = trimmed.rsplit_once(':') else {
                return fail(Kind::MissingPort, &format!("has no port: write {trimmed}:9000"));
            };
            if host.contains(':') {
                // `::1` alone is an address, `::1:9000` is ambiguous: both want brackets.
                return match host.parse::<Ipv6Addr>() {
                    Ok(_) if trimmed.parse::<Ipv6Addr>().is_err() || is_port_like(port) => fail(
                        Kind::UnbracketedIpv6,
                        &format!("has an IPv6 address without brackets: write [{host}]:{port}"),
                    ),
                    _ => fail(Kind::UnbracketedIpv6, "has more than one colon: write an IPv6 address as [::1]:9000"),
                };
            }
            if host.trim().is_empty() {
                return fail(Kind::EmptyHost, "has no host before the port");
            }
            match parse_host(host) {
                Some(host) => (host, port),
                None => return fail(Kind::BadHost, "has a host that is neither a host name nor an address"),
            }
        };
        if port.is_empty() {
            return fail(Kind::MissingPort, "ends after the colon: the port is missing");
        }
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return fail(Kind::PortNotANumber, &format!("has the port {port:?}, which is not a number"));
        }
        match port.parse::<u16>() {
            Ok(port) if port != 0 => Ok(Self { host, port }),
            _ => fail(Kind::PortOutOfRange, &format!("has port {port}: ports go from 1 to 65535")),
        }
    }

    /// The host without brackets, as it was written.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        }
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, where the host is one and needs no name resolution.
    pub fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Name(_) => None,
            Host::Address(address) => Some(address),
        }
    }

    /// True for `localhost`, 127.0.0.0/8 and `::1`: what never leaves the machine.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
            Host::Address(address) => address.is_loopback(),
        }
    }
}

/// True where the last group of an address may have been meant as a port: it is
/// a decimal number that no one writes as a group.
fn is_port_like(text: &str) -> bool {
    text.len() >= 4 && text.bytes().all(|b| b.is_ascii_digit())
}

/// RFC 1123 names (and underscores, which real networks use), or IPv4.
fn parse_host(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(Host::Address(address.into()));
    }
    let looks_numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let name = text.strip_suffix('.').unwrap_or(text);
    let valid = name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    (valid && !looks_numeric).then(|| Host::Name(text.into()))
}

impl FromStr for Endpoint {
    type Err = EndpointError;
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(address) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}
