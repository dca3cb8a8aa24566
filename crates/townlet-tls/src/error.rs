//! Errors that name the file or peer and say what to do.

use std::error::Error;
use std::fmt;

/// What went wrong on the way to a TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsErrorKind {
    /// A PEM file does not exist.
    FileMissing,
    /// A PEM file cannot be read: permissions, a folder.
    FileUnreadable,
    /// A PEM file is damaged.
    BadPem,
    /// A certificate file without a certificate.
    NoCertificate,
    /// A key file without a usable private key.
    NoKey,
    /// Only one of certificate and key is given.
    IncompletePair,
    /// The key belongs to another certificate.
    KeyMismatch,
    /// A certificate that cannot be read.
    BadCertificate,
    /// The signature in a certificate, or the one made with its key, is wrong: an
    /// authority with the name but not the key of a trusted one.
    BadSignature,
    /// The machine has no list of trusted authorities.
    NoPlatformRoots,
    /// The endpoint's host cannot be the name in a certificate.
    BadName,
    /// The host name does not resolve.
    NameNotFound,
    /// No address of the host accepts a connection.
    Unreachable,
    /// No address accepted a connection in time.
    ConnectTimeout,
    /// A certificate has expired: the peer's, or our own in a renewed file.
    Expired,
    /// A certificate is not valid yet: the peer's, or our own in a renewed file.
    NotYetValid,
    /// The peer's certificate is for other hosts.
    WrongHost,
    /// The peer's certificate comes from an authority that is not trusted here.
    UnknownCa,
    /// The peer signed its certificate itself.
    SelfSigned,
    /// The peer's certificate was revoked.
    Revoked,
    /// The peer's certificate is not meant for this use.
    WrongPurpose,
    /// The peer does not speak TLS, or no version and cipher in common.
    BadProtocol,
    /// No application protocol (ALPN) in common.
    NoCommonAlpn,
    /// The peer ended the handshake with an alert, as for a missing or
    /// untrusted client certificate.
    PeerRefused,
    /// The handshake did not end in time.
    HandshakeTimeout,
    /// The peer closed or reset the connection within the handshake.
    PeerClosed,
    /// Anything else.
    Other,
}

impl TlsErrorKind {
    /// A stable name for logs and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FileMissing => "file_missing",
            Self::FileUnreadable => "file_unreadable",
            Self::BadPem => "bad_pem",
            Self::NoCertificate => "no_certificate",
            Self::NoKey => "no_key",
            Self::IncompletePair => "incomplete_pair",
            Self::KeyMismatch => "key_mismatch",
            Self::BadCertificate => "bad_certificate",
            Self::BadSignature => "bad_signature",
            Self::NoPlatformRoots => "no_platform_roots",
            Self::BadName => "bad_name",
            Self::NameNotFound => "name_not_found",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongHost => "wrong_host",
            Self::UnknownCa => "unknown_ca",
            Self::SelfSigned => "self_signed",
            Self::Revoked => "revoked",
            Self::WrongPurpose => "wrong_purpose",
            Self::BadProtocol => "bad_protocol",
            Self::NoCommonAlpn => "no_common_alpn",
            Self::PeerRefused => "peer_refused",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::PeerClosed => "peer_closed",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for TlsErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure with its kind, a message to act on, and the cause.
#[derive(Debug)]
pub struct TlsError {
    kind: TlsErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl TlsError {
    pub(crate) fn new(kind: TlsErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn because(
        kind: TlsErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(source.into()) }
    }

    /// What to act on.
    pub fn kind(&self) -> TlsErrorKind {
        self.kind
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}
