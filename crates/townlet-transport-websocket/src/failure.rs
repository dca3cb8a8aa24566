//! From what TLS and WebSocket report to errors that a worker can act on.

use std::io::{self, ErrorKind as Io};

use townlet_tls::{Endpoint, TlsError, TlsErrorKind as Tls, classify_io};
use townlet_transport::{ErrorKind, TransportError};
use tungstenite::Error;
use tungstenite::error::ProtocolError;

/// The kind that a worker acts on.
fn kind_of(kind: Tls) -> ErrorKind {
    match kind {
        Tls::NameNotFound | Tls::Unreachable => ErrorKind::Unavailable,
        Tls::ConnectTimeout | Tls::HandshakeTimeout => ErrorKind::Timeout,
        Tls::PeerClosed => ErrorKind::Disconnected,
        Tls::FileMissing
        | Tls::FileUnreadable
        | Tls::BadPem
        | Tls::NoCertificate
        | Tls::NoKey
        | Tls::IncompletePair
        | Tls::KeyMismatch
        | Tls::NoPlatformRoots
        | Tls::BadName => ErrorKind::Misconfigured,
        _ => ErrorKind::Tls,
    }
}

/// The same failure in the contract's terms.
pub(crate) fn from_tls(error: TlsError) -> TransportError {
    TransportError::with_source(kind_of(error.kind()), error.to_string(), error)
}

/// As [`from_tls`], and tells the operator's log.
pub(crate) fn logged(endpoint: &Endpoint, error: TlsError) -> TransportError {
    tracing::error!(%endpoint, kind = %error.kind(), %error, "telemetry_tls_error");
    from_tls(error)
}

/// An error of the socket, where TLS may have the better words for it.
pub(crate) fn from_io(endpoint: &Endpoint, doing: &str, error: io::Error) -> TransportError {
    match classify_io(&endpoint.to_string(), error) {
        Ok(tls) => logged(endpoint, tls),
        Err(error) => TransportError::from_io(format_args!("{doing} {endpoint}"), error),
    }
}

/// True where nothing is wrong but that the time is over.
pub(crate) fn is_pause(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == Io::WouldBlock)
}

/// An error of an open WebSocket. What the peer said wrongly is not quoted.
pub(crate) fn from_ws(endpoint: &Endpoint, doing: &str, error: Error) -> TransportError {
    match error {
        Error::Io(error) if error.kind() == Io::WouldBlock => {
            let message = format!("{endpoint} did not take a batch within the send timeout: it is slow or stuck");
            TransportError::with_source(ErrorKind::Timeout, message, error)
        }
        Error::Io(error) => from_io(endpoint, doing, error),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing) => {
            TransportError::new(ErrorKind::Disconnected, format!("{endpoint} closed the connection"))
        }
        Error::Capacity(_) => {
            let message = format!("{endpoint} sent a message far too long for an acknowledgement");
            TransportError::new(ErrorKind::Disconnected, message)
        }
        error => {
            let message = format!("{endpoint} broke the WebSocket protocol: {error}");
            TransportError::with_source(ErrorKind::Disconnected, message, error)
        }
    }
}
