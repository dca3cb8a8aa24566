//! What a sender needs to know.

use std::time::Duration;

use townlet_fields::FieldPath;
use townlet_http::{PostOptions, Security, Target};
use townlet_tls::PlaintextFlags;
use townlet_transport::{Auth, Compression, ErrorKind, TransportError};

/// How messages are put into bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Binary protobuf, which every receiver takes.
    #[default]
    Protobuf,
    /// Protobuf's JSON with the deviations of OTLP; about three times the bytes.
    Json,
}

/// The settings of an [`OtlpTransport`](crate::OtlpTransport).
#[derive(Clone, Debug)]
pub struct OtlpOptions {
    /// The base of the endpoint: `v1/logs` and its like go below it.
    pub target: Target,
    /// TLS for `https://`, leave to go without for `http://`.
    pub security: Security,
    /// For name resolution, proxy, connect and handshake together; above zero.
    pub connect_timeout: Duration,
    /// For one batch, however many requests it takes; above zero.
    pub send_timeout: Duration,
    /// What the peer is shown.
    pub auth: Option<Auth>,
    /// How messages are put into bytes.
    pub encoding: Encoding,
    /// What is done to bodies.
    pub compression: Compression,
    /// The most bytes of a request before compression; above zero.
    pub max_request_bytes: usize,
    /// Attributes of the resource. Without a `service.name` it is `townlet`;
    /// `service.instance.id` is the run and cannot be set.
    pub resource: Vec<(String, String)>,
    /// Whether metrics are published.
    pub metrics: bool,
    /// Whether spans are published.
    pub traces: bool,
    /// The least time between two publications of metrics and spans.
    pub interval: Duration,
    /// Numeric payload fields that are published as metrics.
    pub fields: Vec<FieldPath>,
    /// The most of them at a time.
    pub max_series: usize,
}

impl OtlpOptions {
    /// How many levels of a line are kept as they are. Protobuf readers stop at 100
    /// levels of messages; a level of JSON takes three of them.
    pub const DEEPEST: usize = 24;

    /// An `https://` endpoint with the defaults: the platform's authorities, 5 s to
    /// connect, 1 s to send, protobuf without compression, 4 MiB a request, metrics
    /// and spans every 10 s, no credentials, no payload fields.
    pub fn new(target: Target) -> Self {
        Self::over(PostOptions::new(target))
    }

    pub(crate) fn over(post: PostOptions) -> Self {
        Self {
            target: post.target,
            security: post.security,
            connect_timeout: post.connect_timeout,
            send_timeout: Duration::from_secs(1),
            auth: post.auth,
            encoding: Encoding::Protobuf,
            compression: Compression::None,
            max_request_bytes: 4 << 20,
            resource: Vec::new(),
            metrics: true,
            traces: true,
            interval: Duration::from_secs(10),
            fields: Vec::new(),
            max_series: 256,
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
        let wrong = |message: &str| Err(TransportError::new(ErrorKind::Misconfigured, message));
        if self.send_timeout.is_zero() {
            return wrong("send_timeout_seconds must be above 0: without a limit a stuck peer would block the worker");
        }
        if self.max_request_bytes == 0 {
            return wrong("max_request_bytes must be above 0");
        }
        if self.resource.iter().any(|(name, _)| name == "service.instance.id") {
            return wrong("service.instance.id is the run, so that streams stay apart: take it out of labels");
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
