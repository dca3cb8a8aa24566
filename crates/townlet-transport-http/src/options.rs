//! What a sender needs to know.

use std::time::Duration;

use townlet_http::{PostOptions, Security, Target};
use townlet_tls::PlaintextFlags;
use townlet_transport::{Auth, Compression, ErrorKind, Format, TransportError};

/// The settings of an [`HttpTransport`](crate::HttpTransport).
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Where frames are posted to.
    pub target: Target,
    /// TLS for `https://`, leave to go without for `http://`.
    pub security: Security,
    /// For name resolution, proxy, connect and handshake together; above zero.
    pub connect_timeout: Duration,
    /// For one batch, however many requests it takes; above zero.
    pub send_timeout: Duration,
    /// How frames are put into a request.
    pub format: Format,
    /// What is done to bodies.
    pub compression: Compression,
    /// What the peer is shown.
    pub auth: Option<Auth>,
}

impl HttpOptions {
    /// An `https://` endpoint with the defaults of the configuration: the
    /// platform's authorities, 5 s to connect, 1 s to send, NDJSON, no
    /// compression, no credentials.
    pub fn new(target: Target) -> Self {
        Self::over(PostOptions::new(target))
    }

    pub(crate) fn over(post: PostOptions) -> Self {
        Self {
            target: post.target,
            security: post.security,
            connect_timeout: post.connect_timeout,
            send_timeout: Duration::from_secs(1),
            format: Format::Ndjson,
            compression: Compression::None,
            auth: post.auth,
        }
    }

    /// The same for an `http://` endpoint on this machine.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) where the plaintext rule does not hold.
    pub fn plaintext(target: Target, flags: PlaintextFlags) -> Result<Self, TransportError> {
        Ok(Self { security: target.plaintext(flags)?, ..Self::new(target) })
    }

    /// What cannot be right however the peer behaves; the poster checks the rest.
    pub(crate) fn check(&self) -> Result<(), TransportError> {
        if !matches!(self.format, Format::Ndjson | Format::Json) {
            let message =
                "format: lines are not sent as protobuf, use 'ndjson' or 'json' (protobuf is for type 'otlp')";
            return Err(TransportError::new(ErrorKind::Misconfigured, message));
        }
        if self.compression == Compression::Zstd && !cfg!(feature = "zstd") {
            let message = "compression: this program was built without zstd; use gzip, or the feature zstd";
            return Err(TransportError::new(ErrorKind::Misconfigured, message));
        }
        if self.send_timeout.is_zero() {
            let message = "send_timeout_seconds must be above 0: without a limit a stuck peer would block the worker";
            return Err(TransportError::new(ErrorKind::Misconfigured, message));
        }
        Ok(())
    }

    pub(crate) fn post(&self) -> PostOptions {
        PostOptions {
            target: self.target.clone(),
            security: self.security.clone(),
            connect_timeout: self.connect_timeout,
            auth: self.auth.clone(),
        }
    }
}
