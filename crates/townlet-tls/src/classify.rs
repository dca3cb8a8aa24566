//! From what rustls reports to what an operator can act on.

use std::io;
use std::path::Path;

use rustls::{AlertDescription, CertificateError, Error, InconsistentKeys};

use crate::error::{TlsError, TlsErrorKind as Kind};
use crate::verify::SelfSigned;

/// Classifies what rustls reports about a connection with `peer` (as in
/// `collector:9000`), within the handshake or after it.
pub fn classify(peer: &str, error: Error) -> TlsError {
    handshake_error(peer, error)
}

/// The same for an error that came through [`std::io`], as from a stream over
/// TLS; gives it back where it is none of rustls.
pub fn classify_io(peer: &str, error: io::Error) -> Result<TlsError, io::Error> {
    match error.get_ref().and_then(|source| source.downcast_ref::<Error>()) {
        Some(inner) => Ok(handshake_error(peer, inner.clone())),
        None => Err(error),
    }
}

pub(crate) fn handshake_error(peer: &str, error: Error) -> TlsError {
    let (kind, message) = match &error {
        Error::InvalidCertificate(certificate) => certificate_error(peer, certificate),
        Error::AlertReceived(alert) => alert_error(peer, *alert),
        Error::InvalidMessage(_) | Error::PeerMisbehaved(_) | Error::InappropriateMessage { .. } => (
            Kind::BadProtocol,
            format!("{peer} does not speak TLS as it should ({error}): check that the port is the TLS one"),
        ),
        Error::InappropriateHandshakeMessage { .. } | Error::PeerSentOversizedRecord | Error::DecryptError => {
            (Kind::BadProtocol, format!("{peer} broke the TLS protocol: {error}"))
        }
        Error::PeerIncompatible(reason) => (
            Kind::BadProtocol,
            format!("{peer} has no TLS version or cipher in common with us ({reason:?}): it must offer TLS 1.2 or 1.3"),
        ),
        Error::NoCertificatesPresented => (
            Kind::PeerRefused,
            format!("{peer} showed no certificate, and one is required: set cert_file and key_file there"),
        ),
        Error::NoApplicationProtocol => {
            (Kind::NoCommonAlpn, format!("{peer} has no application protocol in common with us"))
        }
        _ => (Kind::Other, format!("TLS handshake with {peer} failed: {error}")),
    };
    TlsError::because(kind, message, error)
}

fn certificate_error(peer: &str, error: &CertificateError) -> (Kind, String) {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => {
            let since = match error {
                E::ExpiredContext { time, not_after } => days(time.as_secs().saturating_sub(not_after.as_secs())),
                _ => String::new(),
            };
            (Kind::Expired, format!("the certificate of {peer} expired{since}: renew it, or check the clock here"))
        }
        E::NotValidYet | E::NotValidYetContext { .. } => (
            Kind::NotYetValid,
            format!("the certificate of {peer} is not valid yet: check the clock here and its validity period"),
        ),
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            let names = match error {
                E::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                    let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
                    format!(" (it is for {})", names.join(", "))
                }
                _ => String::new(),
            };
            (
                Kind::WrongHost,
                format!("the certificate of {peer} is for another host{names}: use one of its names in the endpoint"),
            )
        }
        E::UnknownIssuer => (
            Kind::UnknownCa,
            format!(
                "the certificate of {peer} comes from an authority that is not trusted: set ca_file (client_ca_file on a \
                 server) to its CA, or let the peer send its intermediate certificates along"
            ),
        ),
        E::BadSignature => (
            Kind::BadSignature,
            format!(
                "a signature of {peer} is wrong: is ca_file out of date, an authority of the same name with another key?"
            ),
        ),
        E::Revoked => (Kind::Revoked, format!("the certificate of {peer} was revoked: it needs a new one")),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            (Kind::WrongPurpose, format!("the certificate of {peer} is not meant for this use: {error}"))
        }
        E::Other(other) if other.0.is::<SelfSigned>() => (
            Kind::SelfSigned,
            format!("{peer} signed its certificate itself: set ca_file to that certificate to trust it"),
        ),
        _ => (Kind::BadCertificate, format!("the certificate of {peer} is not acceptable: {error}")),
    }
}

/// A name of a certificate as rustls shows it, `DnsName("a.example")`, without the shell.
fn bare(shown: &str) -> &str {
    let inner = shown.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.map_or(shown, |inner| inner.trim_matches('"'))
}

fn days(seconds: u64) -> String {
    match seconds / 86_400 {
        0 => " today".into(),
        1 => " 1 day ago".into(),
        n => format!(" {n} days ago"),
    }
}

fn alert_error(peer: &str, alert: AlertDescription) -> (Kind, String) {
    match alert {
        AlertDescription::CertificateRequired => {
            (Kind::PeerRefused, format!("{peer} requires a client certificate: set cert_file and key_file"))
        }
        AlertDescription::ProtocolVersion => {
            (Kind::BadProtocol, format!("{peer} has no TLS version in common with us: it must offer TLS 1.2 or 1.3"))
        }
        AlertDescription::NoApplicationProtocol => {
            (Kind::NoCommonAlpn, format!("{peer} has no application protocol in common with us"))
        }
        AlertDescription::CloseNotify => {
            (Kind::PeerClosed, format!("{peer} closed the connection within the handshake"))
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::DecryptError
        | AlertDescription::AccessDenied => (
            Kind::PeerRefused,
            format!("{peer} does not accept our certificate ({alert:?}): check its CA and the validity of cert_file"),
        ),
        AlertDescription::UnrecognisedName => (
            Kind::PeerRefused,
            format!("{peer} does not know the host name of the endpoint: use the name that it serves"),
        ),
        _ => (Kind::PeerRefused, format!("{peer} refused the handshake with the alert {alert:?}")),
    }
}

/// Classifies what rustls says about our own certificate and key.
pub(crate) fn pair_error(cert: &Path, key: &Path, error: Error) -> TlsError {
    let (cert, key) = (cert.display(), key.display());
    let (kind, message) = match &error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            (Kind::KeyMismatch, format!("the key in {key} does not belong to the certificate in {cert}"))
        }
        Error::InvalidCertificate(_) => {
            (Kind::BadCertificate, format!("the certificate in {cert} is damaged: {error}"))
        }
        _ => (Kind::NoKey, format!("the key in {key} cannot be used: {error}")),
    };
    TlsError::because(kind, message, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_of_rustls_is_classified_and_any_other_is_given_back() {
        let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
        let error = classify_io("c:1", io::Error::new(io::ErrorKind::InvalidData, alert)).unwrap();
        assert_eq!(error.kind(), Kind::PeerRefused);
        assert_eq!(classify_io("c:1", io::ErrorKind::BrokenPipe.into()).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
