//! A handshake for its own sake: what `validate --connect` reports.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::classify::handshake_error;
use crate::client::{handshake_with, server_name};
use crate::inspect::inspect_chain;
use crate::verify::Verifier;
use crate::{CertificateInfo, ClientTls, Endpoint, TlsError, dial};

/// No probe takes longer: `Instant` has an end.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a probe found.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProbeReport {
    /// The address that answered.
    pub address: SocketAddr,
    /// The chain that the peer showed, leaf first.
    pub chain: Vec<CertificateInfo>,
    /// True where the leaf is valid for the endpoint's host.
    pub host_matches: bool,
    /// Whole days until the first certificate of the chain expires.
    pub days_to_expiry: i64,
    /// `TLS 1.2` or `TLS 1.3`, once the handshake was through.
    pub version: Option<&'static str>,
    /// The application protocol that was chosen.
    pub alpn: Option<String>,
    /// What a real connection would have met: the peer's certificate judged
    /// with the configured trust at the given time, or its refusal of ours.
    pub verdict: Result<(), TlsError>,
}

/// Connects to `endpoint`, performs a handshake, sends no data, and reports.
/// A certificate that would be refused is described all the same.
///
/// `limit` bounds name resolution, connect and handshake together; `now` is
/// the time at which certificates are judged.
///
/// # Errors
/// Where no certificate was seen: unreachable, no TLS, stalled.
pub fn probe(
    endpoint: &Endpoint,
    client: &ClientTls,
    limit: Duration,
    now: SystemTime,
) -> Result<ProbeReport, TlsError> {
    let deadline = Instant::now() + limit.min(LONGEST);
    let socket = dial(endpoint, deadline)?;
    let address = socket.peer_addr().map_err(|error| {
        TlsError::because(crate::TlsErrorKind::PeerClosed, format!("{endpoint} closed the connection at once"), error)
    })?;
    let seen = Arc::new(Seen { chain: Mutex::new(Vec::new()), inner: Arc::clone(&client.verifier) });
    let mut config = ClientConfig::clone(client.config());
    config.dangerous().set_certificate_verifier(Arc::<Seen>::clone(&seen));
    let shaken = handshake_with(config, socket, endpoint, deadline);
    let chain = std::mem::take(&mut *seen.chain.lock().unwrap_or_else(PoisonError::into_inner));
    let Some(leaf) = chain.first() else {
        return match shaken {
            Err(error) => Err(error),
            Ok(_) => Err(handshake_error(&endpoint.to_string(), Error::NoCertificatesPresented)),
        };
    };
    let name = server_name(endpoint)?;
    let host_matches = ParsedCertificate::try_from(leaf).is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok());
    let unix = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let judged =
        client.verifier.check(&chain, &name, unix).map_err(|error| handshake_error(&endpoint.to_string(), error));
    let chain = inspect_chain(&chain, now)?;
    let days_to_expiry = chain.iter().map(|certificate| certificate.days_to_expiry).min().unwrap_or(0);
    let (version, alpn, shaken) = match shaken {
        Ok(stream) => {
            let version = match stream.conn.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => Some("TLS 1.3"),
                Some(ProtocolVersion::TLSv1_2) => Some("TLS 1.2"),
                _ => None,
            };
            let alpn = stream.conn.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned());
            (version, alpn, Ok(()))
        }
        Err(error) => (None, None, Err(error)),
    };
    let verdict = judged.map(|_| ()).and(shaken);
    Ok(ProbeReport { address, chain, host_matches, days_to_expiry, version, alpn, verdict })
}

/// Keeps the chain and lets every one pass, so that it can be described. The
/// handshake's signatures are still checked: the peer has the leaf's key.
#[derive(Debug)]
struct Seen {
    chain: Mutex<Vec<CertificateDer<'static>>>,
    inner: Arc<Verifier>,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        *chain = std::iter::once(leaf).chain(others).map(|c| c.clone().into_owned()).collect();
        Ok(ServerCertVerified::assertion())
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
