//! The transport: parts of a batch, one request each.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use townlet_http::Portions;
use townlet_tls::Reload;
use townlet_transport::{Connected, ErrorKind, Figures, Frame, Level, Outcome, SendError, Transport, TransportError};

use crate::delivery::{Delivery, Sent};
use crate::logs;
use crate::losses::{Loss, Signal};
use crate::options::OtlpOptions;
use crate::publisher::{Publisher, nanos};
use crate::spans::Flush;
use crate::told::Told;
use crate::verdict::Verdict;
use crate::wire::Partial;

/// No timeout is longer: `Instant` has an end.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Sends records, and beside them metrics and spans, to one OTLP/HTTP receiver.
pub struct OtlpTransport {
    delivery: Delivery,
    publisher: Publisher,
    resource: Vec<(String, String)>,
    traces: bool,
    send_timeout: Duration,
    tls: bool,
    /// True from a `connect` to the next failure.
    open: bool,
    /// Something was settled since the last publication.
    stale: bool,
    portions: Portions,
}

impl OtlpTransport {
    /// Builds a transport. Reads certificate files and the secret, touches no network.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) for a limit of zero, a file that
    /// is missing, unreadable or without its content, or TLS settings that do not
    /// fit the scheme of the endpoint.
    pub fn new(options: OtlpOptions) -> Result<Self, TransportError> {
        options.check()?;
        Ok(Self {
            delivery: Delivery::new(&options)?,
            publisher: Publisher::new(&options),
            traces: options.traces,
            send_timeout: options.send_timeout.min(LONGEST),
            tls: options.target.is_secure(),
            open: false,
            stale: false,
            portions: Portions::new(usize::MAX),
            resource: options.resource,
        })
    }

    /// How many data points and spans did not arrive, by signal and reason. Records
    /// are not among them: those are in the ledger.
    pub fn losses(&self) -> impl Iterator<Item = (Signal, Loss, u64)> + '_ {
        self.publisher.losses().iter()
    }

    /// Sends one part after the other; says how many frames the peer has.
    fn deliver(&mut self, batch: &[Frame], deadline: Instant) -> Result<(), SendError> {
        let mut settled = 0;
        while settled < batch.len() {
            let rest = &batch[settled..];
            if settled > 0 && Instant::now() >= deadline {
                let error = townlet_http::overdue(self.delivery.target(Signal::Logs));
                return Err(SendError::after(settled, error));
            }
            let count = self.portions.next(rest.iter().map(Frame::len)).min(rest.len());
            let part = &rest[..count];
            let (verdict, told) = self.post(part, deadline).map_err(|error| SendError::after(settled, error))?;
            match verdict {
                Verdict::Taken(partial) => {
                    self.portions.taken();
                    self.stale = true;
                    self.publisher.settled(part, nanos(SystemTime::now()));
                    self.publisher.told(&told);
                    let rejected = rejected(&partial, count);
                    settled += count - rejected;
                    if rejected > 0 {
                        return Err(SendError::refusing(settled, rejected, self.partly(&partial, rejected, count)));
                    }
                }
                Verdict::TooMuch(error) => {
                    if !self.portions.too_large(count, part.iter().map(Frame::len).sum()) {
                        return Err(SendError::after(settled, error));
                    }
                }
                Verdict::Refused(error) => {
                    // A peer without records, such as one for traces alone, may take what stands in
                    // them, and the figures, which say that they were refused.
                    let told = self.publisher.told(&told);
                    self.stale |= told || self.publisher.has_figures();
                    return Err(SendError::refusing(settled, count, error));
                }
                Verdict::Later(error) => return Err(SendError::after(settled, error)),
            }
        }
        Ok(())
    }

    fn post(&mut self, part: &[Frame], deadline: Instant) -> Result<(Verdict, Vec<(String, Told)>), TransportError> {
        let start = nanos(SystemTime::now());
        let (request, told) = logs::request(part, &self.resource, start, self.traces);
        let sent = self.delivery.send(Signal::Logs, &request, deadline);
        let (bytes, status, failed) = match &sent {
            // It never left.
            Ok(Sent { status: None, .. }) => return sent.map(|sent| (sent.verdict, told)),
            Ok(Sent { verdict, bytes, status }) => (*bytes, *status, error(verdict)),
            Err(error) => (0, None, Some(error.kind())),
        };
        let endpoint = self.delivery.target(Signal::Logs).endpoint();
        let flush = Flush {
            start,
            end: nanos(SystemTime::now()),
            records: part.len() as u64,
            bytes,
            status,
            failed,
            host: endpoint.host().to_owned(),
            port: endpoint.port(),
        };
        let run_id = part.last().map_or("", |frame| frame.label().run_id());
        self.publisher.flushed(run_id, &flush);
        sent.map(|sent| (sent.verdict, told))
    }

    /// The reason of a partial success.
    fn partly(&self, partial: &Partial, rejected: usize, count: usize) -> TransportError {
        let shown = self.delivery.target(Signal::Logs).shown();
        let why = if partial.message.is_empty() { "it does not say why" } else { &partial.message };
        let message = format!("{shown} rejected {rejected} of {count} records, without saying which: {why}");
        TransportError::new(ErrorKind::Rejected, message)
    }

    fn publish(&mut self) {
        if std::mem::take(&mut self.stale) {
            // Ending is polite for no longer than a send, connecting included.
            self.publisher.publish(&mut self.delivery, Instant::now() + self.send_timeout);
        }
    }
}

fn error(verdict: &Verdict) -> Option<ErrorKind> {
    match verdict {
        Verdict::Taken(_) => None,
        Verdict::Later(error) | Verdict::TooMuch(error) | Verdict::Refused(error) => Some(error.kind()),
    }
}

/// How many of `count` records the peer rejected. What it cannot mean is bounded.
fn rejected(partial: &Partial, count: usize) -> usize {
    if partial.rejected <= 0 && !partial.message.is_empty() {
        tracing::warn!(signal = "logs", says = %partial.message, "telemetry_otlp_warning");
    }
    usize::try_from(partial.rejected.max(0)).unwrap_or(usize::MAX).min(count)
}

impl Transport for OtlpTransport {
    fn watch(&mut self, figures: Arc<dyn Figures>) {
        self.publisher.watch(figures);
    }

    fn connect(&mut self) -> Result<Connected, TransportError> {
        self.delivery.poster().prepare()?;
        let peer = self.delivery.poster().target().shown();
        let reused = std::mem::replace(&mut self.open, true);
        let connected = match reused {
            true => Connected::reused(peer, Level::PeerAcked, self.tls),
            false => Connected::fresh(peer, Level::PeerAcked, self.tls),
        };
        Ok(connected.showing(self.delivery.poster().certificates().and_then(Reload::good_until)))
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        if !self.open {
            let message = format!("no connection to {}: connect first", self.delivery.poster().target().shown());
            return Err(TransportError::new(ErrorKind::Disconnected, message).into());
        }
        let deadline = self.delivery.poster().deadline(self.send_timeout);
        let result = self.deliver(batch, deadline);
        match &result {
            Ok(()) => {
                if self.stale {
                    self.publisher.publish_when_due(&mut self.delivery, deadline);
                }
            }
            Err(failed) if failed.error.kind().is_about_frame() => {
                if self.stale && self.publisher.has_figures() {
                    self.publisher.publish_when_due(&mut self.delivery, deadline);
                }
            }
            Err(_) => {
                self.open = false;
                self.portions.forget();
            }
        }
        result.map(|()| Outcome::Settled(Level::PeerAcked))
    }

    /// Publishes metrics and spans, whether or not it is time.
    fn flush(&mut self) -> Result<(), TransportError> {
        if self.open {
            self.publish();
        }
        Ok(())
    }

    /// Publishes metrics and spans once more, then ends the connections.
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.publish();
        }
        self.delivery.poster().stop();
        self.portions.forget();
    }
}

impl fmt::Debug for OtlpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpTransport")
            .field("target", &self.delivery.target(Signal::Logs).shown())
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
