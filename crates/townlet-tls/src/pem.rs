//! Reading certificates and keys from PEM files.

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{TlsError, TlsErrorKind as Kind};

/// A PEM file beyond this size is a mistake, not a certificate.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

fn read(role: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            TlsError::because(Kind::FileMissing, format!("{role} {shown} does not exist"), error)
        }
        _ => TlsError::because(Kind::FileUnreadable, format!("{role} {shown} cannot be read: {error}"), error),
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(TlsError::new(Kind::FileUnreadable, format!("{role} {shown} is not a file")));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(TlsError::new(Kind::FileUnreadable, format!("{role} {shown} is too large for a PEM file")));
    }
    std::fs::read(path).map_err(unreadable)
}

/// All certificates of a file, in order. `role` is the configuration key.
pub(crate) fn certificates(role: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = read(role, path)?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&content).collect::<Result<_, _>>().map_err(|e| damaged(role, path, e))?;
    if chain.is_empty() {
        return Err(TlsError::new(
            Kind::NoCertificate,
            format!("{role} {} holds no certificate (no BEGIN CERTIFICATE line)", path.display()),
        ));
    }
    Ok(chain)
}

/// The first private key of a file.
pub(crate) fn key(role: &str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let content = read(role, path)?;
    match PrivateKeyDer::from_pem_slice(&content) {
        Ok(key) => Ok(key),
        Err(PemError::NoItemsFound) => {
            let shown = path.display();
            let encrypted = content.windows(9).any(|w| w == b"ENCRYPTED");
            let message = if encrypted {
                format!("the key in {role} {shown} is encrypted: decrypt it first (openssl pkey -in … -out …)")
            } else {
                format!("{role} {shown} holds no private key (no BEGIN PRIVATE KEY line)")
            };
            Err(TlsError::new(Kind::NoKey, message))
        }
        Err(error) => Err(damaged(role, path, error)),
    }
}

fn damaged(role: &str, path: &Path, error: PemError) -> TlsError {
    // The library's message may quote a line of the file, which may be a key.
    let what = match error {
        PemError::MissingSectionEnd { .. } => "a section has no END line",
        PemError::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        PemError::Base64Decode(_) => "a section is not base64",
        PemError::SectionTooLarge => "a section is too large",
        _ => "it cannot be parsed",
    };
    TlsError::new(Kind::BadPem, format!("{role} {} is no valid PEM file: {what}", path.display()))
}

/// The authorities of a file, as the only ones to trust.
pub(crate) fn roots(role: &str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(role, path)? {
        roots.add(certificate).map_err(|error| {
            let message = format!("{role} {} holds a damaged certificate: {error}", path.display());
            TlsError::because(Kind::BadCertificate, message, error)
        })?;
    }
    Ok(roots)
}
