//! From TLS errors to errors that a worker can act on.

use townlet_tls::{Endpoint, TlsError, TlsErrorKind as Tls};
use townlet_transport::{ErrorKind, TransportError};

/// The kind that a worker acts on.
pub(crate) fn kind_of(kind: Tls) -> ErrorKind {
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
