//! What a poster needs to know.

use std::time::Duration;

use townlet_tls::{ClientOptions, PlaintextFlags, Security};
use townlet_transport::{Auth, Compression, ErrorKind, Settings, TransportError};

use crate::Target;

/// The settings of a [`Poster`](crate::Poster).
#[derive(Clone, Debug)]
pub struct PostOptions {
    /// Where requests go. Those to other paths share its host and port.
    pub target: Target,
    /// TLS for `https://`, leave to go without for `http://`.
    pub security: Security,
    /// For name resolution, proxy, connect and handshake together; above zero.
    pub connect_timeout: Duration,
    /// What the peer is shown.
    pub auth: Option<Auth>,
}

impl PostOptions {
    /// An `https://` target with the defaults of the configuration: the platform's
    /// authorities, 5 s to connect, no credentials.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            security: Security::Tls(ClientOptions::default()),
            connect_timeout: Duration::from_secs(5),
            auth: None,
        }
    }

    /// The options that the settings of a sink of this `kind` stand for. The
    /// scheme of the endpoint selects TLS; `enable_tls` is not asked.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key at fault.
    pub fn from_settings(settings: &Settings, kind: &str) -> Result<Self, TransportError> {
        let text = settings.endpoint.as_deref().filter(|text| !text.trim().is_empty()).ok_or_else(|| {
            let message = format!("telemetry.transport.endpoint is required when type is '{kind}'");
            TransportError::new(ErrorKind::Misconfigured, message)
        })?;
        let target = Target::parse(text)?;
        if settings.compression == Compression::Deflate {
            let message =
                format!("telemetry.transport.compression of type '{kind}' is none or gzip: a request stands alone");
            return Err(TransportError::new(ErrorKind::Misconfigured, message));
        }
        if settings.compression == Compression::Zstd && !cfg!(feature = "zstd") {
            let message = "telemetry.transport.compression: this program was built without zstd; use gzip";
            return Err(TransportError::new(ErrorKind::Misconfigured, message));
        }
        let security = if target.is_secure() {
            Security::Tls(ClientOptions {
                ca_file: settings.ca_file.clone(),
                cert_file: settings.cert_file.clone(),
                key_file: settings.key_file.clone(),
                verify_hostname: settings.verify_hostname,
                ..ClientOptions::default()
            })
        } else {
            let both = settings.plaintext_acknowledged;
            target.plaintext(PlaintextFlags { allow_plaintext: both, dev_allow_plaintext: both })?
        };
        Ok(Self { target, security, connect_timeout: settings.connect_timeout, auth: settings.auth.clone() })
    }

    /// What cannot be right however the peer behaves.
    pub(crate) fn check(&self) -> Result<(), TransportError> {
        let wrong = |message: &str| Err(TransportError::new(ErrorKind::Misconfigured, message));
        if self.connect_timeout.is_zero() {
            return wrong(
                "connect_timeout_seconds must be above 0: without a limit a stuck peer would block the worker",
            );
        }
        match &self.security {
            Security::Tls(_) if !self.target.is_secure() => wrong("endpoint is http://, but TLS is on: use https://"),
            Security::Plaintext(leave) if self.target.is_secure() || leave.endpoint() != self.target.endpoint() => {
                wrong("the leave for plaintext is not for this endpoint")
            }
            _ => Ok(()),
        }
    }
}
