//! The accepting side.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::classify::{handshake_error, pair_error};
use crate::client::provider;
use crate::error::{TlsError, TlsErrorKind as Kind};
use crate::{handshake, pem};

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
}

impl ServerTls {
    /// Reads the files and builds a configuration for TLS 1.2 and 1.3 with the
    /// ring provider.
    ///
    /// # Errors
    /// A kind about a file or about the pair of certificate and key.
    pub fn load(options: &ServerOptions) -> Result<Self, TlsError> {
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| TlsError::because(Kind::Other, "TLS 1.2 and 1.3 are not available", error))?;
        let builder = match &options.client_ca_file {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(pem::roots("client_ca_file", path)?);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, provider).build().map_err(|error| {
                        let message = format!("client_ca_file {} cannot be used: {error}", path.display());
                        TlsError::because(Kind::BadCertificate, message, error)
                    })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = pem::certificates("cert_file", &options.cert_file)?;
        let key = pem::key("key_file", &options.key_file)?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            pair_error(&options.cert_file.display().to_string(), &options.key_file.display().to_string(), error)
        })?;
        config.alpn_protocols.clone_from(&options.alpn);
        Ok(Self { config: Arc::new(config) })
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
