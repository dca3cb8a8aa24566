//! The transport: parts of a batch, one request each, and what the answers mean.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use townlet_http::{Portions, Poster, Request};
use townlet_tls::{ClientTls, Reload};
use townlet_transport::{Connected, ErrorKind, Format, Frame, Level, Outcome, SendError, Transport, TransportError};

use crate::HttpOptions;
use crate::body::{body, key};
use crate::verdict::{Verdict, judge};

/// Posts frames to one HTTP endpoint.
pub struct HttpTransport {
    options: HttpOptions,
    poster: Poster,
    /// True from a `connect` to the next failure.
    open: bool,
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
        let poster = Poster::new(options.post())?;
        let most = if options.format == Format::Json { 1 } else { usize::MAX };
        Ok(Self { options, poster, open: false, portions: Portions::new(most), unanswered: None })
    }

    /// The certificate files in use and what became of their renewals; none over plaintext.
    pub fn certificates(&self) -> Option<&Reload<ClientTls>> {
        self.poster.certificates()
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
        let target = Arc::clone(self.poster.target());
        let request = Request {
            target: Arc::clone(&target),
            body: body.bytes,
            content_type: body.content_type,
            encoding: body.encoding,
            key: Some(key.to_owned()),
            accept: None,
            answer_limit: 0,
        };
        let answer = self.poster.post(request, deadline)?;
        Ok(match judge(&answer, &target, again, SystemTime::now()) {
            // The token was renewed between our last look and this request.
            Verdict::AllRefused(_) if matches!(answer.status, 401 | 403) && self.poster.reread_credentials() => {
                let message =
                    format!("{} answered {}: retried with renewed credentials", target.shown(), answer.status);
                Verdict::Later(TransportError::new(ErrorKind::Unavailable, message))
            }
            verdict => verdict,
        })
    }

    /// Sends one part after the other; says how many frames the peer has.
    fn deliver(&mut self, batch: &[Frame], deadline: Instant) -> Result<(), SendError> {
        let mut settled = 0;
        while settled < batch.len() {
            let rest = &batch[settled..];
            if settled > 0 && Instant::now() >= deadline {
                return Err(SendError::after(settled, townlet_http::overdue(self.poster.target())));
            }
            let (count, key, again) = self.part(rest);
            let part = &rest[..count];
            let verdict = match self.post(part, &key, again, deadline) {
                Ok(verdict) => verdict,
                Err(error) => {
                    self.unanswered = Some((count, key));
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
        self.poster.prepare()?;
        let (peer, tls) = (self.poster.target().shown(), self.poster.certificates().is_some());
        let reused = std::mem::replace(&mut self.open, true);
        let connected = match reused {
            true => Connected::reused(peer, Level::PeerAcked, tls),
            false => Connected::fresh(peer, Level::PeerAcked, tls),
        };
        Ok(connected.showing(self.certificates().and_then(Reload::good_until)))
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        if !self.open {
            let message = format!("no connection to {}: connect first", self.poster.target().shown());
            return Err(TransportError::new(ErrorKind::Disconnected, message).into());
        }
        let deadline = self.poster.deadline(self.options.send_timeout);
        let result = self.deliver(batch, deadline);
        match &result {
            Ok(()) => {}
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
        self.poster.stop();
        self.open = false;
        self.portions.forget();
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("target", &self.poster.target().shown())
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
