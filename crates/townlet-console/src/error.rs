//! What can go wrong, by whose side it is seen from.

use std::io;

use crate::endpoint::Endpoint;

/// Why a console could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// The endpoint cannot be listened on.
    #[error("a console cannot listen on {endpoint}: {source}")]
    Bind {
        /// Where.
        endpoint: Endpoint,
        /// What the system says.
        source: io::Error,
    },
    /// A console of some process answers there.
    #[error("another console listens on {0}: stop it or choose another endpoint")]
    InUse(Endpoint),
    /// Something else than a socket stands at the path.
    #[error("{0} is there already and is no socket: choose another path")]
    NoSocket(Endpoint),
    /// Other machines could reach it.
    #[error("a console listens on this machine only, not on {0}")]
    Exposed(Endpoint),
    /// No thread could be started.
    #[error("the console's thread cannot start: {0}")]
    Thread(#[source] io::Error),
}

/// Why a client got no answer, or none that it wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens there, or not for us.
    #[error("no console answers on {endpoint}: {source}; is the process running, and with this endpoint?")]
    Unreachable {
        /// Where.
        endpoint: Endpoint,
        /// What the system says.
        source: io::Error,
    },
    /// The console said no.
    #[error("the console refused ({code}): {message}")]
    Refused {
        /// `forbidden`, `usage`, `invalid_args`, `unsupported`, `unknown_command` or `conflict`.
        code: String,
        /// In words.
        message: String,
    },
    /// The connection ended too early.
    #[error("the connection to the console broke: {0}")]
    Broken(#[source] io::Error),
    /// What came is not the protocol.
    #[error("the console's answer is not understood: {0}")]
    Protocol(String),
}
