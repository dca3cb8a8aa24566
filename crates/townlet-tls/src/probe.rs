//! A handshake for its own sake: what `validate --connect` reports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, Error, ProtocolVersion};
use rustls_pki_types::UnixTime;

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
    let describing = Arc::new(client.verifier.describing());
    let mut config = ClientConfig::clone(client.config());
    config.dangerous().set_certificate_verifier(Arc::<Verifier>::clone(&describing));
    let shaken = handshake_with(config, socket, endpoint, deadline);
    let chain = describing.take_seen();
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
