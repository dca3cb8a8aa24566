//! Where a console listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// A place on this machine: `unix:PATH` or `tcp:ADDRESS:PORT`. What has a `/` in
/// it is a path without the word in front, too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A Unix socket. Its folder is made (mode 0700) where it is missing; what
    /// else stands at the path is never removed.
    Unix(PathBuf),
    /// A port of the loopback interface; 0 lets the system choose.
    Tcp(SocketAddr),
}

/// Why a text names no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// It is neither.
    #[error("{0:?} is no console endpoint: write unix:/run/town/console.sock or tcp:127.0.0.1:7070")]
    Syntax(String),
    /// Others could reach it: the console has no encryption.
    #[error("a console listens on this machine only, and {0} is no loopback address: use 127.0.0.1 or a Unix socket")]
    Exposed(SocketAddr),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let syntax = || EndpointError::Syntax(text.chars().take(200).collect());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(syntax()) } else { Ok(Self::Unix(path.into())) };
        }
        let address = text.strip_prefix("tcp:");
        if address.is_none() && text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        let address = address.unwrap_or(text);
        let parsed = match address.strip_prefix("localhost:") {
            // No resolver is asked what this machine is called.
            Some(port) => port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
            None => address.parse().ok(),
        };
        let address: SocketAddr = parsed.ok_or_else(syntax)?;
        if address.ip().is_loopback() { Ok(Self::Tcp(address)) } else { Err(EndpointError::Exposed(address)) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}
