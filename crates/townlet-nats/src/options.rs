//! What a connection needs to know.

use std::time::Duration;

use townlet_tls::{ClientOptions, Plaintext, PlaintextFlags};
use townlet_transport::{Auth, ErrorKind, Settings, TransportError};

use crate::Servers;

/// Whether bytes are encrypted on the way to any of several servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Under TLS. NATS begins in the open: the server's greeting comes before the
    /// handshake. Nothing of ours, and no credential, goes out before it.
    Tls(ClientOptions),
    /// Not at all: only where the plaintext rule has granted it, for each server.
    Plaintext(Vec<Plaintext>),
}

/// The settings of a connection.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// The servers of one cluster. Their scheme fits `security`.
    pub servers: Servers,
    /// TLS, or leave to go without.
    pub security: Security,
    /// A token, a user and password, the credentials of a user (`.creds`), or the seed of its
    /// NKey; read anew for each connection.
    pub auth: Option<Auth>,
    /// For name resolution, connect, TLS and greeting together, over all servers, 5 s.
    pub connect_timeout: Duration,
    /// For each request to the server: an acknowledgement, a question about a stream, 5 s.
    pub request_timeout: Duration,
    /// What the server's own lists call this connection.
    pub name: String,
}

impl NatsOptions {
    /// Under TLS with the platform's authorities, or, of `nats://`, by the rule of plaintext.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) where plaintext is refused.
    pub fn new(servers: Servers, flags: PlaintextFlags) -> Result<Self, TransportError> {
        let security = if servers.is_secure() {
            Security::Tls(ClientOptions::default())
        } else {
            let leave = servers.endpoints().iter().map(|endpoint| Plaintext::allow(flags, endpoint));
            Security::Plaintext(leave.collect::<Result<_, _>>().map_err(|refused| {
                TransportError::new(ErrorKind::Misconfigured, format!("endpoint is nats://: {refused}"))
            })?)
        };
        Ok(Self {
            servers,
            security,
            auth: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            name: "townlet".into(),
        })
    }

    /// What the settings of a sink stand for.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key at fault.
    pub fn from_settings(settings: &Settings) -> Result<Self, TransportError> {
        let text =
            settings.endpoint.as_deref().filter(|text| !text.trim().is_empty()).ok_or_else(|| {
                TransportError::new(ErrorKind::Misconfigured, "endpoint is required when type is 'nats'")
            })?;
        let both = settings.plaintext_acknowledged;
        let flags = PlaintextFlags { allow_plaintext: both, dev_allow_plaintext: both };
        let mut options = Self::new(Servers::parse(text)?, flags)?;
        if let Security::Tls(client) = &mut options.security {
            client.ca_file.clone_from(&settings.ca_file);
            client.cert_file.clone_from(&settings.cert_file);
            client.key_file.clone_from(&settings.key_file);
            client.verify_hostname = settings.verify_hostname;
        }
        options.auth.clone_from(&settings.auth);
        options.connect_timeout = settings.connect_timeout;
        Ok(options)
    }

    pub(crate) fn check(&self) -> Result<(), TransportError> {
        let wrong = |message: &str| Err(TransportError::new(ErrorKind::Misconfigured, message));
        if self.connect_timeout.is_zero() || self.request_timeout.is_zero() {
            return wrong("the time limits of NATS must be above 0: without one a stuck server would block the worker");
        }
        match (&self.security, self.servers.is_secure()) {
            (Security::Tls(_), true) => Ok(()),
            (Security::Plaintext(leaves), false) => {
                let granted = |endpoint| leaves.iter().any(|leave| leave.endpoint() == endpoint);
                if self.servers.endpoints().iter().all(granted) {
                    return Ok(());
                }
                wrong("the leave to go without TLS is for other servers")
            }
            (Security::Tls(_), false) => wrong("endpoint is nats://, which has no TLS: write tls://"),
            (Security::Plaintext(_), true) => wrong("endpoint is tls://, which has TLS: write nats://"),
        }
    }
}
