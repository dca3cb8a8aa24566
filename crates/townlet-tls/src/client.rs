//! The connecting side.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, SignatureScheme, StreamOwned};
use rustls_pki_types::ServerName;

use crate::classify::{handshake_error, pair_error};
use crate::error::{TlsError, TlsErrorKind as Kind};
use crate::files::{Files, Source};
use crate::origin::{CERT_FILE, KEY_FILE, Origin, OwnChain};
use crate::verify::Verifier;
use crate::{Endpoint, handshake};

const CA_FILE: &str = "ca_file";

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
    options: Arc<ClientOptions>,
    origin: Arc<Origin>,
}

impl ClientTls {
    /// Reads the files and builds a configuration for TLS 1.2 and 1.3 with the
    /// ring provider, whatever provider the process has installed.
    ///
    /// # Errors
    /// A kind about a file or about the pair of certificate and key; the message
    /// names the key of the configuration and the path.
    pub fn load(options: &ClientOptions) -> Result<Self, TlsError> {
        let sources = Source::list([
            (CA_FILE, options.ca_file.as_deref()),
            (CERT_FILE, options.cert_file.as_deref()),
            (KEY_FILE, options.key_file.as_deref()),
        ]);
        let files = Files::read(&sources);
        Self::build(Arc::new(options.clone()), sources, files)
    }

    /// The same configuration from files as they are now.
    pub(crate) fn rebuild(&self, files: Files) -> Result<Self, TlsError> {
        Self::build(Arc::clone(&self.options), self.origin.sources.clone(), files)
    }

    fn build(options: Arc<ClientOptions>, sources: Vec<Source>, mut files: Files) -> Result<Self, TlsError> {
        let provider = provider();
        let verifier = Arc::new(match files.take(CA_FILE) {
            Some(file) => Verifier::with_roots(file?.roots()?, &provider, options.verify_hostname)?,
            None => Verifier::with_platform_roots(&provider, options.verify_hostname)?,
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| TlsError::because(Kind::Other, "TLS 1.2 and 1.3 are not available", error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Verifier>::clone(&verifier));
        let (mut config, own) = match (files.take(CERT_FILE), files.take(KEY_FILE)) {
            (None, None) => (builder.with_no_client_auth(), None),
            (Some(cert), Some(key)) => {
                let (cert, key) = (cert?, key?);
                let chain = cert.certificates()?;
                let own = OwnChain::new(cert.path().to_owned(), &chain);
                let config = builder
                    .with_client_auth_cert(chain, key.key()?)
                    .map_err(|e| pair_error(cert.path(), key.path(), e))?;
                (config, Some(own))
            }
            (Some(_), None) => return Err(incomplete(CERT_FILE, KEY_FILE)),
            (None, Some(_)) => return Err(incomplete(KEY_FILE, CERT_FILE)),
        };
        config.enable_sni = options.verify_hostname;
        config.alpn_protocols.clone_from(&options.alpn);
        let origin = Arc::new(Origin { sources, seen: files.seen().clone(), own });
        Ok(Self { config: Arc::new(config), verifier, options, origin })
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whole days from `now` until the client's own certificate expires (or the
    /// first of its chain), negative once it has; `None` where the client has
    /// none, or its dates cannot be read.
    pub fn days_to_expiry(&self, now: SystemTime) -> Option<i64> {
        self.origin.days_to_expiry(now)
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
