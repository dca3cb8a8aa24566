//! The accepting side.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::classify::{handshake_error, pair_error};
use crate::client::provider;
use crate::error::{TlsError, TlsErrorKind as Kind};
use crate::files::{Files, Source};
use crate::handshake;
use crate::origin::{CERT_FILE, KEY_FILE, Origin, OwnChain};

const CLIENT_CA_FILE: &str = "client_ca_file";

/// An encrypted connection from a client.
pub type ServerStream = StreamOwned<ServerConnection, TcpStream>;

/// The settings of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// The certificate chain, leaf first, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// Authorities of client certificates; present means that one is required.
    pub client_ca_file: Option<PathBuf>,
    /// Application protocols to accept, the preferred one first. A client that
    /// offers none is accepted without; one that offers only others is refused.
    pub alpn: Vec<Vec<u8>>,
}

impl ServerOptions {
    /// A server without client certificates and ALPN.
    pub fn new(cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self { cert_file: cert_file.into(), key_file: key_file.into(), client_ca_file: None, alpn: Vec::new() }
    }
}

/// A server configuration, loaded and checked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    options: Arc<ServerOptions>,
    origin: Arc<Origin>,
}

impl ServerTls {
    /// Reads the files and builds a configuration for TLS 1.2 and 1.3 with the
    /// ring provider.
    ///
    /// # Errors
    /// A kind about a file or about the pair of certificate and key.
    pub fn load(options: &ServerOptions) -> Result<Self, TlsError> {
        let sources = Source::list([
            (CLIENT_CA_FILE, options.client_ca_file.as_deref()),
            (CERT_FILE, Some(&*options.cert_file)),
            (KEY_FILE, Some(&*options.key_file)),
        ]);
        let files = Files::read(&sources);
        Self::build(Arc::new(options.clone()), sources, files)
    }

    /// The same configuration from files as they are now.
    pub(crate) fn rebuild(&self, files: Files) -> Result<Self, TlsError> {
        Self::build(Arc::clone(&self.options), self.origin.sources.clone(), files)
    }

    fn build(options: Arc<ServerOptions>, sources: Vec<Source>, mut files: Files) -> Result<Self, TlsError> {
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| TlsError::because(Kind::Other, "TLS 1.2 and 1.3 are not available", error))?;
        let builder = match files.take(CLIENT_CA_FILE) {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let file = file?;
                let roots = Arc::new(file.roots()?);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, provider).build().map_err(|error| {
                        let message = format!("{CLIENT_CA_FILE} {} cannot be used: {error}", file.path().display());
                        TlsError::because(Kind::BadCertificate, message, error)
                    })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (cert, key) = (files.need(CERT_FILE)?, files.need(KEY_FILE)?);
        let chain = cert.certificates()?;
        let own = Some(OwnChain::new(cert.path().to_owned(), &chain));
        let mut config =
            builder.with_single_cert(chain, key.key()?).map_err(|e| pair_error(cert.path(), key.path(), e))?;
        config.alpn_protocols.clone_from(&options.alpn);
        let origin = Arc::new(Origin { sources, seen: files.seen().clone(), own });
        Ok(Self { config: Arc::new(config), options, origin })
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whole days from `now` until the server's certificate expires (or the
    /// first of its chain), negative once it has; `None` where its dates cannot
    /// be read.
    pub fn days_to_expiry(&self, now: SystemTime) -> Option<i64> {
        self.origin.days_to_expiry(now)
    }

    /// The configuration, for libraries that accept their own connections.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Encrypts a connection that was accepted from `peer` (its address, for
    /// messages). Ends by `deadline`, however slowly the peer answers;
    /// afterwards the socket has no timeouts.
    ///
    /// # Errors
    /// Any kind of handshake failure; the connection is of no further use.
    pub fn handshake(&self, mut socket: TcpStream, peer: &str, deadline: Instant) -> Result<ServerStream, TlsError> {
        let mut connection =
            ServerConnection::new(Arc::clone(&self.config)).map_err(|error| handshake_error(peer, error))?;
        handshake::complete(&mut connection, &mut socket, peer, deadline)?;
        Ok(StreamOwned::new(connection, socket))
    }
}
