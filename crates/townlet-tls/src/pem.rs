//! PEM files: reading them, and what stands in them.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{TlsError, TlsErrorKind as Kind};

/// A PEM file beyond this size is a mistake, not a certificate.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The content of a file, and what messages say about it. It may be a key: no `Debug`.
pub(crate) struct Pem {
    role: &'static str,
    path: PathBuf,
    content: Vec<u8>,
}

impl Pem {
    /// Reads a file. `role` is the configuration key.
    pub(crate) fn read(role: &'static str, path: &Path) -> Result<Self, TlsError> {
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
        let content = std::fs::read(path).map_err(unreadable)?;
        Ok(Self { role, path: path.to_owned(), content })
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All certificates of the file, in order.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(&self.content).collect::<Result<_, _>>().map_err(|e| self.damaged(e))?;
        if chain.is_empty() {
            return Err(TlsError::new(
                Kind::NoCertificate,
                format!("{} {} holds no certificate (no BEGIN CERTIFICATE line)", self.role, self.path.display()),
            ));
        }
        Ok(chain)
    }

    /// The first private key of the file.
    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        match PrivateKeyDer::from_pem_slice(&self.content) {
            Ok(key) => Ok(key),
            Err(PemError::NoItemsFound) => {
                let (role, shown) = (self.role, self.path.display());
                let encrypted = self.content.windows(9).any(|w| w == b"ENCRYPTED");
                let message = if encrypted {
                    format!("the key in {role} {shown} is encrypted: decrypt it first (openssl pkey -in … -out …)")
                } else {
                    format!("{role} {shown} holds no private key (no BEGIN PRIVATE KEY line)")
                };
                Err(TlsError::new(Kind::NoKey, message))
            }
            Err(error) => Err(self.damaged(error)),
        }
    }

    /// The authorities of the file, as the only ones to trust.
    pub(crate) fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| {
                let message = format!("{} {} holds a damaged certificate: {error}", self.role, self.path.display());
                TlsError::because(Kind::BadCertificate, message, error)
            })?;
        }
        Ok(roots)
    }

    fn damaged(&self, error: PemError) -> TlsError {
        // The library's message may quote a line of the file, which may be a key.
        let what = match error {
            PemError::MissingSectionEnd { .. } => "a section has no END line",
            PemError::IllegalSectionStart { .. } => "a BEGIN line is malformed",
            PemError::Base64Decode(_) => "a section is not base64",
            PemError::SectionTooLarge => "a section is too large",
            _ => "it cannot be parsed",
        };
        TlsError::new(Kind::BadPem, format!("{} {} is no valid PEM file: {what}", self.role, self.path.display()))
    }
}
