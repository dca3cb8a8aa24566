//! The life of one connection, on its own thread.

use std::fmt::Write;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use townlet_tls::TlsErrorKind;

use super::certificates::Certificates;
use super::intake::Session;
use super::wire::{Wire, is_pause};
use super::{LOOK_AROUND, Shared, Slot};
use crate::lines::{Found, LineBuffer};
use crate::report::{EndKind, Ending};
use crate::store::{Settle, Store};

/// Serves `socket` until it ends; its numbers go to `slot`.
pub(super) fn serve(shared: &Arc<Shared>, slot: &Slot, socket: TcpStream) -> Ending {
    let options = &shared.options;
    let wire = match open(shared, slot, socket, shared.certificates.as_deref()) {
        Ok(wire) => wire,
        Err(ending) => return ending,
    };
    let acks = wire.wants_acks();
    slot.update(|report| report.acks = acks);
    let mut conversation = Conversation {
        shared,
        slot,
        wire,
        acks,
        acknowledged: 0,
        buffer: LineBuffer::new(options.max_line_bytes),
        session: Session::new(Arc::clone(&shared.intake), slot.id, slot.peer),
        clock: LineClock::default(),
        since: Instant::now(),
        heard: Instant::now(),
        timeout: None,
    };
    let ending = conversation.run();
    conversation.end(ending)
}

/// Does the TLS handshake, where there are certificates.
pub(super) fn open(
    shared: &Shared,
    slot: &Slot,
    socket: TcpStream,
    certificates: Option<&Certificates>,
) -> Result<Wire, Ending> {
    let deadline = Instant::now() + shared.options.handshake_timeout;
    slot.handshaking(&socket);
    if shared.stop.is_asked() {
        // The round that ends handshakes may have passed already.
        return Err(stopped());
    }
    let tls = certificates.map(Certificates::current);
    let opened = Wire::open(socket, slot.peer, tls.as_ref(), deadline);
    slot.handshake_over();
    match opened {
        Ok(wire) => {
            slot.update(|report| report.tls = wire.is_tls());
            Ok(wire)
        }
        Err(_) if shared.stop.is_asked() => Err(stopped()),
        Err(error) => {
            let timeout = error.kind() == TlsErrorKind::HandshakeTimeout;
            let kind = if timeout { EndKind::HandshakeTimeout } else { EndKind::HandshakeFailed };
            Err(Ending { kind, detail: error.to_string() })
        }
    }
}

struct Conversation<'a> {
    shared: &'a Shared,
    slot: &'a Slot,
    wire: Wire,
    acks: bool,
    acknowledged: u64,
    buffer: LineBuffer,
    session: Session,
    clock: LineClock,
    since: Instant,
    /// When the last bytes came.
    heard: Instant,
    /// The socket's read timeout, to set it only when it changes.
    timeout: Option<Duration>,
}

impl Conversation<'_> {
    fn run(&mut self) -> Ending {
        loop {
            let stopping = self.shared.stop.is_asked();
            // A client with acknowledgements sends the rest again elsewhere. One
            // without cannot, so what has arrived is read until it pauses.
            if stopping && (self.acks || self.shared.stop.is_overdue(Instant::now())) {
                return stopped();
            }
            let read = match self.set_timeout(stopping) {
                Ok(()) => self.buffer.fill(&mut self.wire),
                Err(error) => Err(error),
            };
            let step = match read {
                Ok(0) if stopping => return stopped(),
                Ok(0) => return Ending { kind: EndKind::PeerClosed, detail: "closed by the peer".to_owned() },
                Ok(_) => self.chunk(),
                // Something came that is no content yet.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.check_clocks(),
                Err(error) if is_pause(&error) && stopping => return stopped(),
                Err(error) if is_pause(&error) => self.pause(),
                Err(error) => return Ending { kind: EndKind::Broken, detail: error.to_string() },
            };
            if let Err(ending) = step {
                return ending;
            }
        }
    }

    /// Takes the lines of what was just read, settles them, acknowledges them.
    fn chunk(&mut self) -> Result<(), Ending> {
        let before = self.session.counts.lines;
        let begun = Instant::now();
        self.session.at(begun);
        let taken = self.take_lines();
        self.shared.intake.figures.batch(self.session.counts.lines - before, begun.elapsed());
        // The lines before one that ends the connection are in order.
        self.confirm()?;
        taken?;
        self.heard = Instant::now();
        self.clock.after_read(self.heard, self.session.counts.lines > before, self.buffer.partial_len() > 0);
        self.check_clocks()
    }

    fn take_lines(&mut self) -> Result<(), Ending> {
        while let Some(found) = self.buffer.next_line() {
            match found {
                Found::Line(range) => self.session.take(self.buffer.bytes(range))?,
                Found::Overlong(len) => return Err(self.too_long(len)),
            }
        }
        if self.buffer.is_discarding() { Err(self.too_long(self.buffer.partial_len())) } else { Ok(()) }
    }

    fn confirm(&mut self) -> Result<(), Ending> {
        self.session.settle()?;
        self.publish();
        let lines = self.session.counts.lines;
        if self.acks && lines > self.acknowledged {
            let mut ack = String::with_capacity(32);
            // Writing to a string cannot fail.
            let _ = writeln!(ack, "{{\"ack\":{lines}}}");
            self.wire.send(ack.as_bytes()).map_err(|error| ack_failed(&error))?;
            self.acknowledged = lines;
            self.slot.update(|report| report.acknowledged = lines);
        }
        Ok(())
    }

    /// Nothing came for a while.
    fn pause(&mut self) -> Result<(), Ending> {
        self.session.write_out()?;
        self.session.release();
        self.buffer.release();
        self.wire.release();
        self.check_clocks()
    }

    fn check_clocks(&self) -> Result<(), Ending> {
        let options = &self.shared.options;
        let now = Instant::now();
        if self.session.counts.lines == 0 && now.duration_since(self.since) >= options.first_line_timeout {
            let detail = format!("no line within {:?} (first_line_timeout)", options.first_line_timeout);
            return Err(Ending { kind: EndKind::IdleTimeout, detail });
        }
        if self.clock.is_overdue(now, options.line_timeout) {
            let detail =
                format!("{} bytes without a newline for {:?}", self.buffer.partial_len(), options.line_timeout);
            return Err(Ending { kind: EndKind::LineTimeout, detail });
        }
        match options.idle_timeout {
            Some(limit) if now.duration_since(self.heard) >= limit => {
                Err(Ending { kind: EndKind::IdleTimeout, detail: format!("nothing came for {limit:?}") })
            }
            _ => Ok(()),
        }
    }

    fn set_timeout(&mut self, stopping: bool) -> io::Result<()> {
        let options = &self.shared.options;
        let mut wait = LOOK_AROUND.min(options.line_timeout);
        if let Some(idle) = options.idle_timeout {
            wait = wait.min(idle);
        }
        if stopping || self.shared.intake.store.as_ref().map(Store::settle) == Some(Settle::Received) {
            wait = wait.min(LOOK_AROUND / 4);
        }
        if self.timeout != Some(wait) {
            self.wire.set_timeouts(wait, options.write_timeout)?;
            self.timeout = Some(wait);
        }
        Ok(())
    }

    fn too_long(&self, len: u64) -> Ending {
        let detail = format!(
            "line {} is {len} bytes or more, at most {} are taken (max_line_bytes)",
            self.session.counts.lines + 1,
            self.shared.options.max_line_bytes
        );
        Ending { kind: EndKind::LineTooLong, detail }
    }

    fn end(&mut self, mut ending: Ending) -> Ending {
        // Where lines are acknowledged on receipt, some may not be in their file yet.
        if let Err(store) = self.session.write_out()
            && !ending.kind.is_cut()
        {
            ending = store;
        }
        self.publish();
        let partial = self.buffer.partial_len();
        self.slot.update(|report| report.partial_bytes = partial);
        self.wire.close();
        ending
    }

    fn publish(&self) {
        let counts = self.session.counts;
        self.slot.update(|report| {
            report.counts = counts;
            if report.invalid_lines.len() != self.session.invalid_lines.len() {
                report.invalid_lines.clone_from(&self.session.invalid_lines);
            }
        });
    }
}

pub(super) fn stopped() -> Ending {
    Ending { kind: EndKind::Stopped, detail: "the collector stopped".to_owned() }
}

fn ack_failed(error: &io::Error) -> Ending {
    if is_pause(error) {
        let detail = "the peer does not read its acknowledgements".to_owned();
        Ending { kind: EndKind::AckTimeout, detail }
    } else {
        Ending { kind: EndKind::Broken, detail: format!("sending an acknowledgement: {error}") }
    }
}

/// Since when a begun line waits for its newline. Bytes that trickle in do not
/// move it; only a completed line does.
#[derive(Default)]
struct LineClock {
    begun: Option<Instant>,
}

impl LineClock {
    fn after_read(&mut self, now: Instant, completed_a_line: bool, line_begun: bool) {
        self.begun = match self.begun {
            _ if !line_begun => None,
            Some(begun) if !completed_a_line => Some(begun),
            _ => Some(now),
        };
    }

    fn is_overdue(&self, now: Instant, limit: Duration) -> bool {
        self.begun.is_some_and(|begun| now.duration_since(begun) >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trickling_bytes_do_not_buy_a_begun_line_more_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let limit = Duration::from_secs(30);
        let mut clock = LineClock::default();
        clock.after_read(at(0), false, true);
        clock.after_read(at(20), false, true);
        assert!(!clock.is_overdue(at(29), limit));
        assert!(clock.is_overdue(at(30), limit));
        clock.after_read(at(30), true, true);
        assert!(!clock.is_overdue(at(59), limit), "a completed line starts the clock anew");
        clock.after_read(at(40), true, false);
        assert!(!clock.is_overdue(at(4000), limit), "an idle connection has begun no line");
    }
}
