//! The transport: parts of a batch, one request each, and what the answers mean.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use townlet_tls::{ClientTls, Reload, ReloadCheck};
use townlet_transport::{Connected, ErrorKind, Format, Frame, Level, Outcome, SendError, Transport, TransportError};

use crate::body::{body, key};
use crate::courier::{Courier, Parcel};
use crate::credentials::Credentials;
use crate::portions::Portions;
use crate::verdict::{Verdict, judge};
use crate::{HttpOptions, Security, failure};

/// No timeout is longer: `Instant` has an end.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Posts frames to one HTTP endpoint.
pub struct HttpTransport {
    options: HttpOptions,
    target: Arc<crate::Target>,
    tls: Option<Reload<ClientTls>>,
    /// Set where a handshake failed: files may have been renewed a moment ago.
    doubted: bool,
    credentials: Option<Credentials>,
    courier: Option<Courier>,
    /// True from a `connect` to the next failure.
    open: bool,
    /// True where the last request was answered, so that a connection stands.
    warm: bool,
    portions: Portions,
    /// What was sent last and not answered: its length and key.
    unanswered: Option<(usize, String)>,
}

impl HttpTransport {
    /// Builds a transport. Reads certificate files and the secret, touches no network.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) for a timeout of zero, a file
    /// that is missing, unreadable or without its content, or TLS settings that do
    /// not fit the scheme of the endpoint.
    pub fn new(options: HttpOptions) -> Result<Self, TransportError> {
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
        let most = if options.format == Format::Json { 1 } else { usize::MAX };
        Ok(Self {
            target: Arc::new(options.target.clone()),
            options,
            tls,
            doubted: false,
            credentials,
            courier: None,
            open: false,
            warm: false,
            portions: Portions::new(most),
            unanswered: None,
        })
    }

    /// The certificate files in use and what became of their renewals; none over plaintext.
    pub fn certificates(&self) -> Option<&Reload<ClientTls>> {
        self.tls.as_ref()
    }

    /// Takes up renewed files. Connections made with the old ones end.
    fn refresh(&mut self) {
        if let Some(credentials) = &mut self.credentials {
            credentials.refresh(Instant::now());
        }
        let Some(tls) = &mut self.tls else { return };
        let now = SystemTime::now();
        let found = if std::mem::take(&mut self.doubted) { tls.check_now(now) } else { tls.check(now) };
        if found == ReloadCheck::Reloaded {
            self.courier = None;
            self.warm = false;
        }
    }

    fn start(&mut self) -> Result<&Courier, TransportError> {
        let courier = match self.courier.take() {
            Some(courier) => courier,
            None => {
                if let Security::Plaintext(leave) = &self.options.security {
                    leave.announce();
                }
                let config = self.tls.as_ref().map(|tls| Arc::clone(tls.current().config()));
                Courier::start(Arc::clone(&self.target), config, self.options.connect_timeout.min(LONGEST))?
            }
        };
        Ok(self.courier.insert(courier))
    }

    /// How many of `rest` go next, and their key. What was sent without an answer
    /// goes out again as it was, so that the peer knows it by its key.
    fn part(&mut self, rest: &[Frame]) -> (usize, String, bool) {
        if let Some((count, known)) = self.unanswered.take()
            && count <= rest.len()
            && key(&rest[..count]) == known
        {
            return (count, known, true);
        }
        let count = self.portions.next(rest.iter().map(Frame::len)).min(rest.len());
        (count, key(&rest[..count]), false)
    }

    fn post(&mut self, part: &[Frame], key: &str, again: bool, deadline: Instant) -> Result<Verdict, TransportError> {
        let body = body(part, self.options.format, self.options.compression)
            .map_err(|error| TransportError::from_io("compressing a batch", error))?;
        let pass = self.credentials.as_ref().map(Credentials::pass);
        let parcel = Parcel { body, key: key.to_owned(), pass, deadline };
        let target = Arc::clone(&self.target);
        let reply = self.start()?.post(parcel, &target);
        if let Err(error) = &reply {
            self.doubted |= error.kind() == ErrorKind::Tls;
        }
        let answer = reply?;
        self.warm = true;
        Ok(match judge(&answer, &target, again, SystemTime::now()) {
            // The token was renewed between our last look and this request.
            Verdict::AllRefused(_) if matches!(answer.status, 401 | 403) && self.reread_credentials() => {
                let message =
                    format!("{} answered {}: retried with renewed credentials", target.shown(), answer.status);
                Verdict::Later(TransportError::new(ErrorKind::Unavailable, message))
            }
            verdict => verdict,
        })
    }

    fn reread_credentials(&mut self) -> bool {
        self.credentials.as_mut().is_some_and(|credentials| credentials.reread(Instant::now()))
    }

    /// Sends one part after the other; says how many frames the peer has.
    fn deliver(&mut self, batch: &[Frame], deadline: Instant) -> Result<(), SendError> {
        let mut settled = 0;
        while settled < batch.len() {
            let rest = &batch[settled..];
            if settled > 0 && Instant::now() >= deadline {
                return Err(SendError::after(settled, failure::overdue(&self.target)));
            }
            let (count, key, again) = self.part(rest);
            let part = &rest[..count];
            let verdict = match self.post(part, &key, again, deadline) {
                Ok(verdict) => verdict,
                Err(error) => {
                    self.unanswered = Some((count, key));
                    // What it is stuck in, it may be stuck in for long.
                    self.courier = None;
                    return Err(SendError::after(settled, error));
                }
            };
            match verdict {
                Verdict::Taken => {
                    self.portions.taken();
                    settled += count;
                }
                Verdict::TooMuch(error) => {
                    if !self.portions.too_large(count, part.iter().map(Frame::len).sum()) {
                        return Err(SendError::after(settled, error));
                    }
                }
                Verdict::OneRefused(error) => {
                    if !self.portions.refused(count) {
                        return Err(SendError::after(settled, error));
                    }
                }
                Verdict::AllRefused(error) => return Err(SendError::refusing(settled, count, error)),
                Verdict::Later(error) => {
                    self.unanswered = Some((count, key));
                    return Err(SendError::after(settled, error));
                }
            }
        }
        Ok(())
    }
}

impl Transport for HttpTransport {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        self.refresh();
        self.start()?;
        let (peer, tls) = (self.target.shown(), self.tls.is_some());
        let reused = std::mem::replace(&mut self.open, true);
        let connected = match reused {
            true => Connected::reused(peer, Level::PeerAcked, tls),
            false => Connected::fresh(peer, Level::PeerAcked, tls),
        };
        Ok(connected.showing(self.certificates().and_then(Reload::good_until)))
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        if !self.open {
            let message = format!("no connection to {}: connect first", self.target.shown());
            return Err(TransportError::new(ErrorKind::Disconnected, message).into());
        }
        let mut limit = self.options.send_timeout.min(LONGEST);
        if !std::mem::take(&mut self.warm) {
            limit += self.options.connect_timeout.min(LONGEST);
        }
        let result = self.deliver(batch, Instant::now() + limit);
        match &result {
            Ok(()) => self.warm |= batch.is_empty(),
            Err(failed) if failed.error.kind().is_about_frame() => {}
            Err(_) => {
                self.open = false;
                self.portions.forget();
            }
        }
        result.map(|()| Outcome::Settled(Level::PeerAcked))
    }

    /// Ends the connections; the requests are all answered.
    fn close(&mut self) {
        self.courier = None;
        (self.open, self.warm) = (false, false);
        self.portions.forget();
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("target", &self.target.shown())
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
