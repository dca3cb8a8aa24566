//! The TLS side of a peer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS12;
use rustls::{DEFAULT_VERSIONS, RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::certs::Issued;

/// How a peer presents itself under TLS.
#[derive(Clone, Debug)]
pub struct PeerTls {
    config: Arc<ServerConfig>,
}

impl PeerTls {
    /// Shows `certificate` and speaks no ALPN protocol.
    pub fn new(certificate: &Issued) -> Self {
        Self::build(certificate, None, &[], DEFAULT_VERSIONS)
    }

    /// Shows `certificate` and offers these ALPN protocols.
    pub fn with_alpn(certificate: &Issued, protocols: &[&str]) -> Self {
        Self::build(certificate, None, protocols, DEFAULT_VERSIONS)
    }

    /// Shows `certificate` and insists on a client certificate from `client_ca`.
    pub fn with_client_ca(certificate: &Issued, client_ca: &Path) -> Self {
        Self::build(certificate, Some(client_ca), &[], DEFAULT_VERSIONS)
    }

    /// Speaks TLS 1.2 at most; insists on a client certificate where a CA is given.
    pub fn tls12(certificate: &Issued, client_ca: Option<&Path>) -> Self {
        Self::build(certificate, client_ca, &[], &[&TLS12])
    }

    fn build(
        certificate: &Issued,
        client_ca: Option<&Path>,
        protocols: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&certificate.cert_file);
        let key = PrivateKeyDer::from_pem_file(&certificate.key_file).expect("the key file was made by the testkit");
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("ring serves TLS 1.2 and 1.3");
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(ca) {
                    roots.add(root).expect("the CA file was made by the testkit");
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .expect("there is a root");
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).expect("the key fits its certificate");
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config) }
    }

    pub(super) fn accept(&self, socket: TcpStream) -> Wire {
        let connection = ServerConnection::new(Arc::clone(&self.config)).expect("the configuration is complete");
        Wire::Tls(Box::new(StreamOwned::new(connection, socket)))
    }
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file)
        .expect("the certificate file was made by the testkit")
        .collect::<Result<_, _>>()
        .expect("the certificate file is PEM")
}

/// A connection, encrypted or not.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Says that nothing more comes, where the protocol has a word for it.
    pub(super) fn say_goodbye(&mut self) -> std::io::Result<()> {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        Ok(())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
