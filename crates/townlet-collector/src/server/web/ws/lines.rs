//! A producer that brings lines in messages, and their acknowledgements.

use std::io;
use std::time::Instant;

use tungstenite::error::CapacityError;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::super::super::connection::stopped;
use super::super::super::intake::Session;
use super::super::super::wire::is_pause;
use super::super::super::{LOOK_AROUND, Shared, Slot};
use super::timed::{Stuck, Timed};
use crate::report::{EndKind, Ending, Via};

/// Bytes read at a time; longer messages are gathered.
const READ_BUFFER: usize = 8 * 1024;

/// A message may be so long even where lines may not.
const LEAST_MESSAGE: usize = 64 * 1024;

pub(super) fn serve(
    shared: &Shared,
    slot: &Slot,
    mut timed: Timed,
    ahead: Vec<u8>,
    session: Session,
    acks: bool,
) -> Ending {
    let options = &shared.options;
    slot.update(|report| {
        report.via = Via::Websocket;
        report.acks = acks;
    });
    let longest = options.max_line_bytes.saturating_add(1).max(LEAST_MESSAGE);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // Acknowledgements are not to wait for more of them.
        .write_buffer_size(0)
        .max_message_size(Some(longest))
        .max_frame_size(Some(longest));
    let wait = LOOK_AROUND.min(options.line_timeout);
    if let Err(error) = timed.wire().set_timeouts(wait, options.write_timeout) {
        return broken(&error);
    }
    let socket = WebSocket::from_partially_read(timed, ahead, Role::Server, Some(config));
    let mut producer = Producer { shared, slot, socket, session, acks, acknowledged: 0, heard: Instant::now() };
    let ending = producer.run();
    producer.end(ending)
}

struct Producer<'a> {
    shared: &'a Shared,
    slot: &'a Slot,
    socket: WebSocket<Timed>,
    session: Session,
    acks: bool,
    acknowledged: u64,
    heard: Instant,
}

impl Producer<'_> {
    fn run(&mut self) -> Ending {
        loop {
            if self.shared.stop.is_asked() && (self.acks || self.shared.stop.is_overdue(Instant::now())) {
                return stopped();
            }
            let read = self.socket.read();
            let step = match read {
                Ok(message) => {
                    self.heard = Instant::now();
                    self.message(message)
                }
                Err(_) if let Some(stuck) = self.socket.get_ref().stuck() => Err(cut(self.shared, stuck)),
                Err(Error::Io(error)) if is_pause(&error) && self.shared.stop.is_asked() => Err(stopped()),
                Err(Error::Io(error)) if is_pause(&error) => self.pause(),
                Err(error) => Err(ended(&error)),
            };
            if let Err(ending) = step {
                return ending;
            }
        }
    }

    fn message(&mut self, message: Message) -> Result<(), Ending> {
        let bytes = match message {
            Message::Text(text) => text.into(),
            Message::Binary(bytes) => bytes,
            // The answer goes out with the next read. It may stand in the middle of a
            // message, whose time goes on.
            _ => return Ok(()),
        };
        let taken = self.whole(&bytes);
        drop(bytes);
        self.socket.get_mut().message_done();
        taken
    }

    fn whole(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        let before = self.session.counts.lines;
        let begun = Instant::now();
        self.session.at(begun);
        let taken = self.lines(bytes);
        self.shared.intake.figures.batch(self.session.counts.lines - before, begun.elapsed());
        // The lines before one that ends the connection are in order.
        self.confirm()?;
        taken
    }

    /// Lines of one message; the last one is whole without its newline, too.
    fn lines(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let limit = self.shared.options.max_line_bytes;
            let length = line.strip_suffix(b"\n").unwrap_or(line).len();
            if length > limit {
                let number = self.session.counts.lines + 1;
                let detail = format!("line {number} is {length} bytes, at most {limit} are taken (max_line_bytes)");
                return Err(Ending { kind: EndKind::LineTooLong, detail });
            }
            if length == line.len() {
                self.session.take(&[line, b"\n"].concat())?;
            } else {
                self.session.take(line)?;
            }
        }
        Ok(())
    }

    fn confirm(&mut self) -> Result<(), Ending> {
        self.session.settle()?;
        self.publish();
        let lines = self.session.counts.lines;
        if self.acks && lines > self.acknowledged {
            let sent = self.socket.send(Message::text(format!("{{\"ack\":{lines}}}")));
            sent.map_err(|error| match error {
                Error::Io(error) if is_pause(&error) => {
                    let detail = "the peer does not read its acknowledgements".to_owned();
                    Ending { kind: EndKind::AckTimeout, detail }
                }
                error => ended(&error),
            })?;
            self.acknowledged = lines;
            self.slot.update(|report| report.acknowledged = lines);
        }
        Ok(())
    }

    /// Nothing came for a while.
    fn pause(&mut self) -> Result<(), Ending> {
        self.session.write_out()?;
        self.session.release();
        self.socket.get_mut().wire().release();
        match self.shared.options.idle_timeout {
            Some(limit) if self.heard.elapsed() >= limit => {
                Err(Ending { kind: EndKind::IdleTimeout, detail: format!("nothing came for {limit:?}") })
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, mut ending: Ending) -> Ending {
        if let Err(store) = self.session.write_out()
            && !ending.kind.is_cut()
        {
            ending = store;
        }
        self.publish();
        // RFC 6455, section 7.4.1.
        let code = match ending.kind {
            EndKind::LineTooLong => Some(CloseCode::Size),
            EndKind::BadRequest => Some(CloseCode::Protocol),
            EndKind::Stopped => Some(CloseCode::Away),
            EndKind::StoreFailed | EndKind::TooManyStreams | EndKind::NoRoom => Some(CloseCode::Again),
            EndKind::IdleTimeout | EndKind::LineTimeout => Some(CloseCode::Policy),
            _ => None,
        };
        if let Some(code) = code {
            // The reason is for a person who looks at the other end.
            let _ = self.socket.close(Some(CloseFrame { code, reason: ending.kind.as_str().into() }));
        }
        self.socket.get_mut().wire().close();
        // Closed with something unread, the connection would be reset, and the reason lost.
        let until = Instant::now() + LOOK_AROUND;
        let mut rest = [0; 4096];
        while code.is_some() && Instant::now() < until {
            match io::Read::read(self.socket.get_mut().wire(), &mut rest) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
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

fn cut(shared: &Shared, stuck: Stuck) -> Ending {
    match stuck {
        Stuck::Overdue => {
            let detail = format!("a message did not come to its end within {:?}", shared.options.line_timeout);
            Ending { kind: EndKind::LineTimeout, detail }
        }
        Stuck::NoRoom => {
            let detail = "too many bytes of messages and requests at a time (max_bytes_in_flight)".to_owned();
            Ending { kind: EndKind::NoRoom, detail }
        }
    }
}

fn broken(error: &io::Error) -> Ending {
    Ending { kind: EndKind::Broken, detail: error.to_string() }
}

/// How a WebSocket ended that cannot be read any more.
pub(super) fn ended(error: &Error) -> Ending {
    let kind = match error {
        Error::ConnectionClosed | Error::AlreadyClosed => EndKind::PeerClosed,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => EndKind::LineTooLong,
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => {
            EndKind::Broken
        }
        Error::Protocol(_) | Error::Utf8(_) | Error::Capacity(_) => EndKind::BadRequest,
        _ => EndKind::Broken,
    };
    Ending { kind, detail: error.to_string() }
}
