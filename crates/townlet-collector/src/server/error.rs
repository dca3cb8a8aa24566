//! Why a collector does not start.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use townlet_transport::TransportError;

use crate::store::StoreError;

/// Why a collector could not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum CollectorError {
    /// The address cannot be listened on.
    Bind {
        /// The address asked for.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Plaintext was asked for on an address that others can reach.
    PlaintextExposed(SocketAddr),
    /// The web or the gRPC listener can be reached by others, and no token was given.
    TokenMissing(SocketAddr),
    /// The store cannot be used.
    Store(StoreError),
    /// No thread could be started: the one that accepts, or the one that
    /// follows the certificate files.
    Thread(io::Error),
    /// The connection to NATS can never come about.
    Nats(TransportError),
}

impl fmt::Display for CollectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { listen, source } => {
                write!(f, "cannot listen on {listen}: {source}; choose another address or port 0")
            }
            Self::PlaintextExposed(listen) => {
                write!(f, "plaintext is allowed on loopback only, not on {listen}; use TLS or listen on 127.0.0.1")
            }
            Self::TokenMissing(listen) => {
                write!(f, "the listener on {listen} needs a token: without one only loopback is allowed")
            }
            Self::Store(error) => write!(f, "the store cannot be used: {error}"),
            Self::Thread(source) => write!(f, "cannot start a thread: {source}"),
            Self::Nats(error) => write!(f, "NATS cannot be used: {error}"),
        }
    }
}

impl Error for CollectorError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Thread(source) => Some(source),
            Self::Store(error) => Some(error),
            Self::Nats(error) => Some(error),
            Self::PlaintextExposed(_) | Self::TokenMissing(_) => None,
        }
    }
}
