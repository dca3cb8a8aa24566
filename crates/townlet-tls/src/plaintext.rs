//! The rule that decides when a connection may go without TLS.

use std::error::Error;
use std::fmt;
use std::net::TcpStream;
use std::time::Instant;

use crate::dial::{self, Reach};
use crate::{Endpoint, TlsError};

/// The two settings that both have to be true for plaintext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaintextFlags {
    /// `allow_plaintext`.
    pub allow_plaintext: bool,
    /// `dev_allow_plaintext`: the second acknowledgement.
    pub dev_allow_plaintext: bool,
}

/// Leave to talk to one loopback endpoint without TLS. Whoever holds one has
/// passed the rule; there is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plaintext {
    endpoint: Endpoint,
}

/// Why plaintext is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlaintextRefused {
    /// `allow_plaintext` is not true.
    NotAllowed,
    /// `dev_allow_plaintext` is not true.
    NotAcknowledged,
    /// The endpoint is not on this machine.
    NotLoopback(Endpoint),
}

impl fmt::Display for PlaintextRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed => f.write_str("plaintext TCP needs allow_plaintext: true, or leave enable_tls on"),
            Self::NotAcknowledged => {
                f.write_str("plaintext TCP needs dev_allow_plaintext: true beside allow_plaintext")
            }
            Self::NotLoopback(endpoint) => write!(
                f,
                "plaintext TCP is for this machine only (localhost, 127.0.0.0/8, ::1), not {endpoint}: use TLS"
            ),
        }
    }
}

impl Error for PlaintextRefused {}

impl Plaintext {
    /// Grants leave where both flags are set and `endpoint` is on this machine.
    ///
    /// # Errors
    /// The first part of the rule that does not hold.
    pub fn allow(flags: PlaintextFlags, endpoint: &Endpoint) -> Result<Self, PlaintextRefused> {
        if !flags.allow_plaintext {
            return Err(PlaintextRefused::NotAllowed);
        }
        if !flags.dev_allow_plaintext {
            return Err(PlaintextRefused::NotAcknowledged);
        }
        if !endpoint.is_loopback() {
            return Err(PlaintextRefused::NotLoopback(endpoint.clone()));
        }
        Ok(Self { endpoint: endpoint.clone() })
    }

    /// Where it leads.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Logs the warning that operators watch for,
    /// `telemetry_tcp_plaintext_enabled endpoint=…`.
    pub fn announce(&self) {
        tracing::warn!(endpoint = %self.endpoint, "telemetry_tcp_plaintext_enabled");
    }

    /// Connects, and [announces](Self::announce) it. A name that leads off this
    /// machine, as an edited `/etc/hosts` may make `localhost` do, is refused.
    ///
    /// # Errors
    /// As [`dial`](crate::dial()).
    pub fn dial(&self, deadline: Instant) -> Result<TcpStream, TlsError> {
        self.announce();
        dial::dial_within(&self.endpoint, deadline, Reach::LoopbackOnly)
    }
}
