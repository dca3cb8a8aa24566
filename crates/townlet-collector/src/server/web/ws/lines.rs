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

/// What the buffer of a quiet connection may keep of the messages that it held.
const SPARE: usize = 64 * 1024;

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
    let mut socket = WebSocket::from_partially_read(timed, ahead, Role::Server, Some(config));
    let since = Instant::now();
    let mut producer = Producer {
        shared,
        slot,
        config,
        session,
        acks,
        acknowledged: 0,
        since,
        heard: since,
        handed_out: 0,
        largest: 0,
        last: 0,
    };
    let ending = loop {
        match producer.step(&mut socket) {
            Ok(()) if producer.is_bloated(&socket) => socket = producer.renewed(socket),
            Ok(()) => {}
            Err(ending) => break ending,
        }
    };
    producer.end(&mut socket, ending)
}

struct Producer<'a> {
    shared: &'a Shared,
    slot: &'a Slot,
    config: WebSocketConfig,
    session: Session,
    acks: bool,
    acknowledged: u64,
    since: Instant,
    heard: Instant,
    /// Messages of any kind that the socket gave out.
    handed_out: u64,
    /// Bytes of the largest since the socket was made, and of the last one.
    largest: usize,
    last: usize,
}

type Socket = WebSocket<Timed>;

impl Producer<'_> {
    /// One message, or a pause.
    fn step(&mut self, socket: &mut Socket) -> Result<(), Ending> {
        if self.shared.stop.is_asked() && (self.acks || self.shared.stop.is_overdue(Instant::now())) {
            return Err(stopped());
        }
        let limit = self.shared.options.first_line_timeout;
        // Pings show that somebody is there, and no producer.
        if self.session.counts.lines == 0 && self.since.elapsed() >= limit {
            let detail = format!("no line within {limit:?} (first_line_timeout)");
            return Err(Ending { kind: EndKind::IdleTimeout, detail });
        }
        match socket.read() {
            Ok(message) => {
                self.heard = Instant::now();
                self.handed_out += 1;
                self.message(socket, message)
            }
            Err(_) if let Some(stuck) = socket.get_ref().stuck() => Err(cut(self.shared, stuck)),
            Err(Error::Io(error)) if is_pause(&error) && self.shared.stop.is_asked() => Err(stopped()),
            Err(Error::Io(error)) if is_pause(&error) => self.pause(socket),
            Err(error) => Err(ended(&error)),
        }
    }

    /// True where the socket keeps the memory of a large message although small ones
    /// come, and nothing is in it that would be lost with it. The library's buffer only
    /// ever grows.
    fn is_bloated(&self, socket: &Socket) -> bool {
        self.largest > SPARE && self.last <= SPARE && socket.get_ref().is_between(self.handed_out)
    }

    /// The same connection with a buffer of its first size.
    fn renewed(&mut self, mut socket: Socket) -> Socket {
        // An answer to a ping may wait in it; where it does not go out now, the next time will do.
        if !socket.can_write() || socket.flush().is_err() {
            return socket;
        }
        self.largest = 0;
        WebSocket::from_raw_socket(socket.into_inner(), Role::Server, Some(self.config))
    }

    fn message(&mut self, socket: &mut Socket, message: Message) -> Result<(), Ending> {
        let bytes = match message {
            Message::Text(text) => text.into(),
            Message::Binary(bytes) => bytes,
            // The answer goes out with the next read. It may stand in the middle of a
            // message, whose time goes on.
            _ => return Ok(()),
        };
        (self.last, self.largest) = (bytes.len(), self.largest.max(bytes.len()));
        let taken = self.whole(socket, &bytes);
        drop(bytes);
        socket.get_mut().message_done();
        taken
    }

    fn whole(&mut self, socket: &mut Socket, bytes: &[u8]) -> Result<(), Ending> {
        let before = self.session.counts.lines;
        let begun = Instant::now();
        self.session.at(begun);
        let taken = self.lines(bytes);
        self.shared.intake.figures.batch(self.session.counts.lines - before, begun.elapsed());
        // The lines before one that ends the connection are in order.
        self.confirm(socket)?;
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

    fn confirm(&mut self, socket: &mut Socket) -> Result<(), Ending> {
        self.session.settle()?;
        self.publish();
        let lines = self.session.counts.lines;
        if self.acks && lines > self.acknowledged {
            let sent = socket.send(Message::text(format!("{{\"ack\":{lines}}}")));
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
    fn pause(&mut self, socket: &mut Socket) -> Result<(), Ending> {
        self.session.write_out()?;
        self.session.release();
        socket.get_mut().wire().release();
        self.last = 0;
        match self.shared.options.idle_timeout {
            Some(limit) if self.heard.elapsed() >= limit => {
                Err(Ending { kind: EndKind::IdleTimeout, detail: format!("nothing came for {limit:?}") })
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, socket: &mut Socket, mut ending: Ending) -> Ending {
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
            EndKind::StoreFailed
            | EndKind::TooManyStreams
            | EndKind::NoRoom
            | EndKind::IdleTimeout
            | EndKind::LineTimeout => Some(CloseCode::Again),
            _ => None,
        };
        if let Some(code) = code {
            // The reason is for a person who looks at the other end.
            let _ = socket.close(Some(CloseFrame { code, reason: ending.kind.as_str().into() }));
        }
        socket.get_mut().wire().close();
        // Closed with something unread, the connection would be reset, and the reason lost.
        let until = Instant::now() + LOOK_AROUND;
        let mut rest = [0; 4096];
        while code.is_some() && Instant::now() < until {
            match io::Read::read(socket.get_mut().wire(), &mut rest) {
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
