//! The connecting side.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, SignatureScheme, StreamOwned};
use rustls_pki_types::ServerName;

use crate::classify::{handshake_error, pair_error};
use crate::error::{TlsError, TlsErrorKind as Kind};
use crate::verify::Verifier;
use crate::{Endpoint, handshake, pem};

/// An encrypted connection to a server.
pub type ClientStream = StreamOwned<ClientConnection, TcpStream>;

/// The settings of a client, named as in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// `ca_file`: the only authorities to trust; absent means the platform's.
    pub ca_file: Option<PathBuf>,
    /// `cert_file`: the client's own chain, where the server asks for one.
    pub cert_file: Option<PathBuf>,
    /// `key_file`: its private key.
    pub key_file: Option<PathBuf>,
    /// `verify_hostname`: false checks the chain and not the name, and sends no
    /// server name (SNI).
    pub verify_hostname: bool,
    /// Application protocols to offer, the preferred one first.
    pub alpn: Vec<Vec<u8>>,
}

impl Default for ClientOptions {
    /// Platform roots, no client certificate, names verified, no ALPN.
    fn default() -> Self {
        Self { ca_file: None, cert_file: None, key_file: None, verify_hostname: true, alpn: Vec::new() }
    }
}

/// A client configuration, loaded and checked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    pub(crate) verifier: Arc<Verifier>,
}

impl ClientTls {
    /// Reads the files and builds a configuration for TLS 1.2 and 1.3 with the
    /// ring provider, whatever provider the process has installed.
    ///
    /// # Errors
    /// A kind about a file or about the pair of certificate and key; the message
    /// names the key of the configuration and the path.
    pub fn load(options: &ClientOptions) -> Result<Self, TlsError> {
        let provider = provider();
        let verifier = Arc::new(match &options.ca_file {
            Some(path) => Verifier::with_roots(pem::roots("ca_file", path)?, &provider, options.verify_hostname)?,
            None => Verifier::with_platform_roots(&provider, options.verify_hostname)?,
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| TlsError::because(Kind::Other, "TLS 1.2 and 1.3 are not available", error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Verifier>::clone(&verifier));
        let mut config = match (&options.cert_file, &options.key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(pem::certificates("cert_file", cert)?, pem::key("key_file", key)?)
                .map_err(|error| pair_error(&cert.display().to_string(), &key.display().to_string(), error))?,
            (Some(_), None) => return Err(incomplete("cert_file", "key_file")),
            (None, Some(_)) => return Err(incomplete("key_file", "cert_file")),
        };
        config.enable_sni = options.verify_hostname;
        config.alpn_protocols.clone_from(&options.alpn);
        Ok(Self { config: Arc::new(config), verifier })
    }

    /// The configuration, for libraries that make their own connections.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Encrypts an open connection to `endpoint`. Ends by `deadline`, however
    /// slowly the peer answers; afterwards the socket has no timeouts.
    ///
    /// Where the server asked for a client certificate, a success means that it
    /// did not refuse the one it got.
    ///
    /// # Errors
    /// Any kind of handshake failure; the connection is of no further use.
    pub fn handshake(
        &self,
        socket: TcpStream,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Result<ClientStream, TlsError> {
        handshake_with(ClientConfig::clone(&self.config), socket, endpoint, deadline)
    }
}

pub(crate) fn handshake_with(
    mut config: ClientConfig,
    mut socket: TcpStream,
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<ClientStream, TlsError> {
    let peer = endpoint.to_string();
    let asked = Arc::new(Asked { inner: config.client_auth_cert_resolver, asked: AtomicBool::new(false) });
    config.client_auth_cert_resolver = Arc::<Asked>::clone(&asked);
    let name = server_name(endpoint)?;
    let mut connection =
        ClientConnection::new(Arc::new(config), name).map_err(|error| handshake_error(&peer, error))?;
    let started = Instant::now();
    handshake::complete(&mut connection, &mut socket, &peer, deadline)?;
    let late_verdict = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    if late_verdict && asked.asked.load(Ordering::Relaxed) {
        // The handshake took at least one round trip, the verdict takes one more.
        // Nearly every server says something at once (a session ticket); only
        // behind one that does not is this a delay.
        let patience = (started.elapsed() * 4).clamp(Duration::from_secs(1), Duration::from_secs(3));
        handshake::await_verdict(&mut connection, &mut socket, &peer, deadline.min(Instant::now() + patience))?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// The name that a certificate has to carry.
pub(crate) fn server_name(endpoint: &Endpoint) -> Result<ServerName<'static>, TlsError> {
    match endpoint.address() {
        Some(address) => Ok(ServerName::from(address)),
        None => ServerName::try_from(endpoint.host()).map_err(|error| {
            TlsError::because(Kind::BadName, format!("the host of {endpoint} cannot stand in a certificate"), error)
        }),
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn incomplete(given: &str, missing: &str) -> TlsError {
    TlsError::new(Kind::IncompletePair, format!("{given} is set without {missing}: set both, or neither"))
}

/// Notices whether the server asked for a certificate.
#[derive(Debug)]
struct Asked {
    inner: Arc<dyn ResolvesClientCert>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.inner.resolve(hints, schemes)
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}
