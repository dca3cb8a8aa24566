//! What a certificate says, for people and for checks before a deployment.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::error::{TlsError, TlsErrorKind as Kind};
use crate::pem::Pem;

/// One certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateInfo {
    /// The subject, as in `CN=collector, O=Town`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Subject alternative names: DNS names and IP addresses it is valid for.
    pub names: Vec<String>,
    /// Serial number, hexadecimal with colons.
    pub serial: String,
    /// Start of validity.
    pub not_before: SystemTime,
    /// End of validity.
    pub not_after: SystemTime,
    /// Whole days from the given `now` to the end; negative once it has passed.
    pub days_to_expiry: i64,
    /// True for the certificate of an authority.
    pub is_ca: bool,
    /// True where subject and issuer are the same.
    pub self_issued: bool,
}

impl CertificateInfo {
    /// True where `now` lies in the validity period, both ends included.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// Describes the certificates of a chain, in its order. Their signatures are
/// not checked: that is the handshake's work.
///
/// # Errors
/// [`BadCertificate`](Kind::BadCertificate) where one cannot be parsed.
pub fn inspect_chain(chain: &[CertificateDer<'_>], now: SystemTime) -> Result<Vec<CertificateInfo>, TlsError> {
    chain.iter().map(|der| inspect(der, now)).collect()
}

/// Describes the certificates of a PEM file.
///
/// # Errors
/// A kind about the file, or [`BadCertificate`](Kind::BadCertificate).
pub fn inspect_file(path: &Path, now: SystemTime) -> Result<Vec<CertificateInfo>, TlsError> {
    inspect_chain(&Pem::read("certificate file", path)?.certificates()?, now)
}

fn inspect(der: &CertificateDer<'_>, now: SystemTime) -> Result<CertificateInfo, TlsError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| {
        let message = format!("a certificate of {} bytes cannot be read: {error}", der.len());
        TlsError::new(Kind::BadCertificate, message)
    })?;
    let names = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name).collect(),
        _ => Vec::new(),
    };
    let not_after = system_time(certificate.validity().not_after);
    Ok(CertificateInfo {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names,
        serial: certificate.raw_serial_as_string(),
        not_before: system_time(certificate.validity().not_before),
        not_after,
        days_to_expiry: days_between(now, not_after),
        is_ca: certificate.is_ca(),
        self_issued: certificate.subject() == certificate.issuer(),
    })
}

/// True where a certificate names itself as its issuer; false where it cannot be read.
pub(crate) fn is_self_issued(der: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, c)| c.subject() == c.issuer())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(|b| Ipv4Addr::from(b).to_string())
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(|b| Ipv6Addr::from(b).to_string()))
            .ok(),
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    }
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let offset = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(offset)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(offset)
    };
    shifted.unwrap_or(SystemTime::UNIX_EPOCH)
}

pub(crate) fn days_between(now: SystemTime, then: SystemTime) -> i64 {
    const DAY: u64 = 86_400;
    let whole = |d: Duration| i64::try_from(d.as_secs() / DAY).unwrap_or(i64::MAX);
    match then.duration_since(now) {
        Ok(left) => whole(left),
        // An hour past the end is a day too late, not zero days left.
        Err(past) => -whole(past.duration()).saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_down_and_turn_negative_at_once() {
        let day = Duration::from_secs(86_400);
        let end = SystemTime::UNIX_EPOCH + 1000 * day;
        let second = Duration::from_secs(1);
        assert_eq!(days_between(end - 3 * day, end), 3);
        assert_eq!(days_between(end - second, end), 0);
        assert_eq!(days_between(end + second, end), -1);
        assert_eq!(days_between(end + 2 * day, end), -3);
    }
}
