//! Checking the server's certificate: chain always, name unless told otherwise.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::error::{TlsError, TlsErrorKind as Kind};

/// The peer's certificate names itself as its issuer and is not trusted.
#[derive(Debug)]
pub(crate) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("self-signed certificate")
    }
}

impl StdError for SelfSigned {}

/// What a client trusts.
#[derive(Debug)]
pub(crate) struct Verifier {
    inner: Arc<dyn ServerCertVerifier>,
    check_name: bool,
    /// Present where the chain is to be described, not judged.
    seen: Option<Mutex<Vec<CertificateDer<'static>>>>,
}

impl Verifier {
    /// Trusts `roots` and nothing else.
    pub(crate) fn with_roots(
        roots: RootCertStore,
        provider: &Arc<CryptoProvider>,
        check_name: bool,
    ) -> Result<Self, TlsError> {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| TlsError::because(Kind::BadCertificate, "the CA file cannot be used", error))?;
        Ok(Self { inner, check_name, seen: None })
    }

    /// Trusts what the operating system trusts.
    pub(crate) fn with_platform_roots(provider: &Arc<CryptoProvider>, check_name: bool) -> Result<Self, TlsError> {
        let inner = rustls_platform_verifier::Verifier::new(Arc::clone(provider)).map_err(|error| {
            let message =
                "this machine has no list of trusted authorities: install it (ca-certificates) or set ca_file";
            TlsError::because(Kind::NoPlatformRoots, message, error)
        })?;
        Ok(Self { inner: Arc::new(inner), check_name, seen: None })
    }

    /// The same trust, for a probe: keeps the chain that it is shown and lets
    /// every one pass, so that it can be described. The handshake's signatures
    /// are still checked: the peer has the leaf's key.
    pub(crate) fn describing(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), check_name: self.check_name, seen: Some(Mutex::default()) }
    }

    /// The chain of the last handshake, leaf first, where this one describes.
    pub(crate) fn take_seen(&self) -> Vec<CertificateDer<'static>> {
        let Some(seen) = &self.seen else { return Vec::new() };
        std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Checks a chain, leaf first.
    pub(crate) fn check(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (leaf, others) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        self.verify_server_cert(leaf, others, name, &[], now)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError as E;
        if let Some(seen) = &self.seen {
            let mut chain = seen.lock().unwrap_or_else(PoisonError::into_inner);
            *chain = std::iter::once(leaf).chain(others).map(|c| c.clone().into_owned()).collect();
            return Ok(ServerCertVerified::assertion());
        }
        match self.inner.verify_server_cert(leaf, others, name, ocsp, now) {
            // The name is the last thing checked: whoever gets here has passed the chain.
            Err(Error::InvalidCertificate(E::NotValidForName | E::NotValidForNameContext { .. }))
                if !self.check_name =>
            {
                Ok(ServerCertVerified::assertion())
            }
            Err(Error::InvalidCertificate(E::UnknownIssuer)) if crate::inspect::is_self_issued(leaf) => {
                Err(Error::InvalidCertificate(E::Other(OtherError(Arc::new(SelfSigned)))))
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
