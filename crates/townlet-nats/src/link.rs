//! One connection: made, watched, and over when it ends.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, ServerAddr};
use rustls::{ClientConfig, RootCertStore};
use townlet_tls::{ClientTls, Endpoint, Reload, TlsError};
use townlet_transport::{ErrorKind, TransportError};

use crate::engine::Engine;
use crate::failure::of_connecting;
use crate::secret::{Pass, warn_of_readers};
use crate::watch::Watch;
use crate::{NatsOptions, Security};

/// After so long a silence the server is asked for a sign of life; two that are missed
/// are the end.
const PING: Duration = Duration::from_secs(15);

/// Makes connections, with certificates and secrets as they are at that time.
pub struct Connector {
    options: NatsOptions,
    tls: Option<Reload<ClientTls>>,
    /// Set where a handshake failed: files may have been renewed a moment ago.
    doubted: bool,
}

impl Connector {
    /// Reads certificate files and the secret, touches no network.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key or file at fault.
    pub fn new(options: NatsOptions) -> Result<Self, TransportError> {
        options.check()?;
        let tls = match &options.security {
            Security::Plaintext(_) => None,
            Security::Tls(client) => Some(Reload::client(ClientTls::load(client).map_err(from_tls)?)),
        };
        if let Some(auth) = &options.auth {
            Pass::read(auth)?;
            warn_of_readers(auth);
        }
        Ok(Self { options, tls, doubted: false })
    }

    /// What it was made with.
    pub fn options(&self) -> &NatsOptions {
        &self.options
    }

    /// The certificate files in use and what became of their renewals; none over plaintext.
    pub fn certificates(&self) -> Option<&Reload<ClientTls>> {
        self.tls.as_ref()
    }

    /// Connects to the first server that answers.
    ///
    /// # Errors
    /// Any kind; the message names the servers. Takes at most the connect timeout.
    pub fn open(&mut self) -> Result<Link, TransportError> {
        self.refresh();
        let peer = self.options.servers.to_string();
        let (servers, config) = match (&self.options.security, &self.tls) {
            (Security::Tls(_), Some(tls)) => {
                (addresses(self.options.servers.endpoints(), "tls"), ClientConfig::clone(tls.current().config()))
            }
            (Security::Plaintext(leaves), _) => {
                leaves.iter().for_each(townlet_tls::Plaintext::announce);
                (addresses(&here(self.options.servers.endpoints()), "nats"), nobody()?)
            }
            (Security::Tls(_), None) => {
                let message = format!("no TLS configuration for {peer}");
                return Err(TransportError::new(ErrorKind::Misconfigured, message));
            }
        };
        let watch = Watch::new();
        let pass = self.options.auth.as_ref().map(Pass::read).transpose()?;
        let options = self.client_options(pass.as_ref(), config, &watch);
        let engine = Engine::start()?;
        let connecting = async move { options.connect(servers?).await };
        let client = match engine.call(self.options.connect_timeout, connecting) {
            Some(Ok(client)) => client,
            Some(Err(error)) => {
                let advice = Pass::advice(pass.as_ref(), SystemTime::now());
                let error = of_connecting(&peer, &advice, error);
                self.doubted = error.kind() == ErrorKind::Tls;
                return Err(error);
            }
            None => {
                let message =
                    format!("{peer} did not greet us within the connect timeout: it is slow, stuck, or no NATS server");
                return Err(TransportError::new(ErrorKind::Timeout, message));
            }
        };
        let context = {
            let (client, timeout) = (client.clone(), self.options.request_timeout);
            engine.call(timeout, async move {
                let mut context = jetstream::new(client);
                context.set_timeout(timeout);
                context
            })
        };
        let context =
            context.ok_or_else(|| TransportError::new(ErrorKind::Timeout, format!("the client of {peer} is stuck")))?;
        let tls = self.tls.is_some();
        let inner = Inner { client, context, watch, engine, peer, tls, patience: self.options.request_timeout };
        Ok(Link(Arc::new(inner)))
    }

    fn client_options(&self, pass: Option<&Pass>, config: ClientConfig, watch: &Arc<Watch>) -> ConnectOptions {
        let watch = Arc::clone(watch);
        pass.map_or_else(ConnectOptions::new, Pass::options)
            .name(&self.options.name)
            .connection_timeout(self.options.connect_timeout)
            .request_timeout(Some(self.options.request_timeout))
            .ping_interval(PING)
            // Each server once. Whoever holds the link makes another one, and knows then what
            // to send again.
            .max_reconnects(self.options.servers.endpoints().len().saturating_mul(2))
            .ignore_discovered_servers()
            .require_tls(self.tls.is_some())
            .tls_client_config(config)
            .event_callback(move |event| {
                watch.happened(event);
                std::future::ready(())
            })
    }

    /// Takes up certificate files that were renewed: at most one look a second, or at
    /// once after a handshake that failed. [`open`](Self::open) does so by itself; who keeps a
    /// connection open calls it now and then, so that a change is known before that ends.
    pub fn refresh(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        let now = SystemTime::now();
        if std::mem::take(&mut self.doubted) {
            tls.check_now(now);
        } else {
            tls.check(now);
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("servers", &self.options.servers).finish_non_exhaustive()
    }
}

/// An open connection. Clones are the same one; it ends when the last of them is dropped.
#[derive(Clone)]
pub struct Link(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) context: Context,
    pub(crate) watch: Arc<Watch>,
    pub(crate) peer: String,
    tls: bool,
    /// For a request to the server.
    pub(crate) patience: Duration,
    /// Last, so that what lives on its thread is dropped before it.
    pub(crate) engine: Engine,
}

impl Link {
    /// False once the connection has ended; it does not come back.
    pub fn is_open(&self) -> bool {
        !self.0.watch.is_gone()
    }

    /// The servers, as they were written, for logs and status.
    pub fn peer(&self) -> &str {
        &self.0.peer
    }

    /// True under TLS.
    pub fn is_tls(&self) -> bool {
        self.0.tls
    }

    /// The address of the server that we are connected to, as it calls itself.
    pub fn address(&self) -> Option<SocketAddr> {
        let info = self.0.client.server_info();
        Some(SocketAddr::new(info.host.parse().ok()?, info.port))
    }

    /// The largest message that the server takes, headers included, in bytes.
    pub fn max_payload(&self) -> usize {
        self.0.client.server_info().max_payload
    }

    pub(crate) fn overdue(&self, doing: &str) -> TransportError {
        let peer = self.peer();
        let silence = TransportError::new(ErrorKind::Timeout, format!("{doing} at {peer}: no answer in time"));
        self.0.watch.explain(peer, silence)
    }

    pub(crate) fn gone(&self) -> TransportError {
        self.0.watch.ended(self.peer())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("peer", &self.0.peer).field("open", &self.is_open()).finish_non_exhaustive()
    }
}

fn from_tls(error: TlsError) -> TransportError {
    TransportError::with_source(ErrorKind::Misconfigured, error.to_string(), error)
}

fn addresses(endpoints: &[Endpoint], scheme: &str) -> Result<Vec<ServerAddr>, std::io::Error> {
    endpoints.iter().map(|endpoint| format!("{scheme}://{endpoint}").parse()).collect()
}

/// Names of this machine as its addresses: an edited table of hosts may lead elsewhere.
fn here(endpoints: &[Endpoint]) -> Vec<Endpoint> {
    let both = |endpoint: &Endpoint| {
        if endpoint.address().is_some() {
            return vec![endpoint.clone()];
        }
        let port = endpoint.port();
        ["127.0.0.1", "[::1]"].iter().filter_map(|host| Endpoint::parse(&format!("{host}:{port}")).ok()).collect()
    };
    endpoints.iter().flat_map(both).collect()
}

/// Trusts nobody: a server that wants TLS where we were told to go without is refused,
/// and the client does not look for authorities of its own.
fn nobody() -> Result<ClientConfig, TransportError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder
        .map_err(|error| TransportError::new(ErrorKind::Misconfigured, format!("TLS is not available: {error}")))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}
