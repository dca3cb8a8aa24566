//! What a sender needs to know.

use std::time::Duration;

use townlet_tls::{ClientOptions, Plaintext, PlaintextFlags};
use townlet_transport::{Auth, Compression, ErrorKind, Format, TransportError};

use crate::Target;

/// Whether requests are encrypted on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Under TLS 1.2 or 1.3.
    Tls(ClientOptions),
    /// Not at all: only where the plaintext rule has granted it.
    Plaintext(Plaintext),
}

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
        Self {
            target,
            security: Security::Tls(ClientOptions::default()),
            connect_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(1),
            format: Format::Ndjson,
            compression: Compression::None,
            auth: None,
        }
    }

    /// The same for an `http://` endpoint on this machine.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) where the plaintext rule does not hold.
    pub fn plaintext(target: Target, flags: PlaintextFlags) -> Result<Self, TransportError> {
        let leave = Plaintext::allow(flags, target.endpoint()).map_err(|refused| {
            TransportError::with_source(ErrorKind::Misconfigured, format!("endpoint is http://: {refused}"), refused)
        })?;
        Ok(Self { security: Security::Plaintext(leave), ..Self::new(target) })
    }

    /// What cannot be right however the peer behaves.
    pub(crate) fn check(&self) -> Result<(), TransportError> {
        let wrong = |message: String| Err(TransportError::new(ErrorKind::Misconfigured, message));
        for (key, value) in
            [("connect_timeout_seconds", self.connect_timeout), ("send_timeout_seconds", self.send_timeout)]
        {
            if value.is_zero() {
                return wrong(format!("{key} must be above 0: without a limit a stuck peer would block the worker"));
            }
        }
        match &self.security {
            Security::Tls(_) if !self.target.is_secure() => {
                wrong("endpoint is http://, but TLS is on: use https://".into())
            }
            Security::Plaintext(leave) if self.target.is_secure() || leave.endpoint() != self.target.endpoint() => {
                wrong("the leave for plaintext is not for this endpoint".into())
            }
            _ => Ok(()),
        }
    }
}
