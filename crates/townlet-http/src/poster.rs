//! A client for one peer, up to date with its files.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use townlet_tls::{ClientTls, Reload, ReloadCheck};
use townlet_transport::{ErrorKind, TransportError};

use crate::courier::{Courier, Parcel, Request};
use crate::credentials::Credentials;
use crate::{Answer, PostOptions, Security, Target};

/// No timeout is longer: `Instant` has an end.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Posts to one peer, one request at a time.
pub struct Poster {
    target: Arc<Target>,
    security: Security,
    connect_timeout: Duration,
    tls: Option<Reload<ClientTls>>,
    /// Set where a handshake failed: files may have been renewed a moment ago.
    doubted: bool,
    credentials: Option<Credentials>,
    courier: Option<Courier>,
    /// True where the last request was answered, so that a connection stands.
    warm: bool,
}

impl Poster {
    /// Builds a poster. Reads certificate files and the secret, touches no network.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) for a timeout of zero, a file
    /// that is missing, unreadable or without its content, or TLS settings that do
    /// not fit the scheme of the target.
    pub fn new(options: PostOptions) -> Result<Self, TransportError> {
        options.check()?;
        let tls = match &options.security {
            Security::Plaintext(_) => None,
            Security::Tls(client) => {
                let mut client = client.clone();
                client.alpn = vec![b"http/1.1".to_vec()];
                let loaded = ClientTls::load(&client)
                    .map_err(|error| TransportError::with_source(ErrorKind::Misconfigured, error.to_string(), error))?;
                Some(Reload::client(loaded))
            }
        };
        let credentials = options.auth.as_ref().map(Credentials::load).transpose()?;
        Ok(Self {
            target: Arc::new(options.target),
            security: options.security,
            connect_timeout: options.connect_timeout.min(LONGEST),
            tls,
            doubted: false,
            credentials,
            courier: None,
            warm: false,
        })
    }

    /// Where requests go.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The certificate files in use and what became of their renewals; none over plaintext.
    pub fn certificates(&self) -> Option<&Reload<ClientTls>> {
        self.tls.as_ref()
    }

    /// Takes up renewed files and starts the client. Connections that were made
    /// with the old files end. Touches no network; cheap where nothing is new.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn prepare(&mut self) -> Result<(), TransportError> {
        if let Some(credentials) = &mut self.credentials {
            credentials.refresh(Instant::now());
        }
        if let Some(tls) = &mut self.tls {
            let now = SystemTime::now();
            let found = if std::mem::take(&mut self.doubted) { tls.check_now(now) } else { tls.check(now) };
            if found == ReloadCheck::Reloaded {
                self.stop();
            }
        }
        self.start().map(drop)
    }

    /// By when requests that begin now have to be answered: after `limit`, and the
    /// connect timeout on top where no connection stands.
    pub fn deadline(&self, limit: Duration) -> Instant {
        let connecting = if self.warm { Duration::ZERO } else { self.connect_timeout };
        Instant::now() + limit.min(LONGEST) + connecting
    }

    /// Sends one request and waits for its answer, at most until `deadline`. After
    /// an error the next request goes over a connection of its own.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable), [`Timeout`](ErrorKind::Timeout),
    /// [`Disconnected`](ErrorKind::Disconnected) or [`Tls`](ErrorKind::Tls) where
    /// there was no answer.
    pub fn post(&mut self, request: Request, deadline: Instant) -> Result<Answer, TransportError> {
        self.send(true, request, deadline)
    }

    /// Asks the target with a `GET`, as a probe of readiness does, and keeps at most `answer_limit` bytes of the answer.
    ///
    /// # Errors
    /// As for [`post`](Self::post).
    pub fn get(&mut self, answer_limit: u64, deadline: Instant) -> Result<Answer, TransportError> {
        let request = Request {
            target: Arc::clone(&self.target),
            body: Bytes::new(),
            content_type: "",
            encoding: None,
            key: None,
            accept: None,
            answer_limit,
        };
        self.send(false, request, deadline)
    }

    fn send(&mut self, is_post: bool, request: Request, deadline: Instant) -> Result<Answer, TransportError> {
        let pass = self.credentials.as_ref().map(Credentials::pass);
        let target = Arc::clone(&request.target);
        let reply = self.start()?.post(Parcel { is_post, request, pass, deadline }, &target);
        self.warm = reply.is_ok();
        if let Err(error) = &reply {
            self.doubted |= error.kind() == ErrorKind::Tls;
            // What it is stuck in, it may be stuck in for long.
            self.courier = None;
        }
        reply
    }

    /// Reads the file of the credentials again; true where there are others in it.
    pub fn reread_credentials(&mut self) -> bool {
        self.credentials.as_mut().is_some_and(|credentials| credentials.reread(Instant::now()))
    }

    /// Ends the connections. The next request makes others.
    pub fn stop(&mut self) {
        self.courier = None;
        self.warm = false;
    }

    fn start(&mut self) -> Result<&Courier, TransportError> {
        let courier = match self.courier.take() {
            Some(courier) => courier,
            None => {
                if let Security::Plaintext(leave) = &self.security {
                    leave.announce();
                }
                let config = self.tls.as_ref().map(|tls| Arc::clone(tls.current().config()));
                Courier::start(Arc::clone(&self.target), config, self.connect_timeout)?
            }
        };
        Ok(self.courier.insert(courier))
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").field("target", &self.target.shown()).finish_non_exhaustive()
    }
}
