//! One open connection.

use std::time::{Duration, Instant};

use bytes::Bytes;
use townlet_tls::Endpoint;
use townlet_transport::{ErrorKind, Frame, Level, TransportError};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

use crate::failure::{from_ws, is_pause};
use crate::handshake::Agreed;
use crate::limits::Limits;
use crate::resume::Have;
use crate::socket::Socket;
use crate::window::{Fate, TooLarge, Window};

/// How often one look reads before a peer that never stops talking has to wait.
const MAX_READS: usize = 64;
/// The longest message of a peer that is held: acknowledgements are short.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Bytes read at a time: a peer has little to say.
const READ_BUFFER: usize = 4 * 1024;

pub(crate) struct Link {
    endpoint: Endpoint,
    socket: WebSocket<Socket>,
    level: Level,
    /// Present where the peer acknowledges.
    window: Option<Window>,
    have: Have,
    /// Bytes and lines of the largest message, where nothing is acknowledged.
    largest: (usize, usize),
    pulse: Pulse,
    /// Why the connection ended, where acknowledgements came first.
    late: Option<TransportError>,
}

/// Whether the peer is alive.
struct Pulse {
    every: Duration,
    patience: Duration,
    heard: Instant,
    asked: Option<Instant>,
}

impl Link {
    pub(crate) fn new(endpoint: Endpoint, socket: Socket, agreed: Agreed, ping: (Duration, Duration)) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(LONGEST_ANSWER))
            .max_frame_size(Some(LONGEST_ANSWER));
        let level = match (agreed.acks, agreed.durable) {
            (false, _) => Level::Sent,
            (true, false) => Level::PeerAcked,
            (true, true) => Level::Durable,
        };
        Self {
            endpoint,
            socket: WebSocket::from_partially_read(socket, agreed.tail, Role::Client, Some(config)),
            level,
            window: agreed.acks.then(Window::default),
            have: agreed.have,
            largest: (0, 0),
            pulse: Pulse { every: ping.0, patience: ping.1, heard: Instant::now(), asked: None },
            late: None,
        }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.socket.get_ref().is_tls()
    }

    /// What this connection leaves unsettled, by stream.
    pub(crate) fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// Writes a batch before `deadline`, lines gathered in messages. Where the
    /// peer acknowledges, every frame is in the window afterwards, also after an
    /// error: whoever goes on elsewhere has to know. Otherwise it stops at the
    /// first frame that is too large, and says how many were written.
    pub(crate) fn write(
        &mut self,
        batch: &[Frame],
        limits: Limits,
        deadline: Instant,
    ) -> Result<Option<(usize, TooLarge)>, TransportError> {
        self.socket.get_mut().until(Some(deadline));
        let mut at = 0;
        let mut result = Ok(None);
        while at < batch.len() && result.is_ok() {
            let frame = &batch[at];
            let settled_otherwise = if self.have.holds(frame) {
                Some(Fate::Had)
            } else {
                (frame.len() > limits.line).then_some(Fate::TooLarge(frame.len()))
            };
            match (settled_otherwise, &mut self.window) {
                (Some(fate), Some(window)) => {
                    window.push(frame, fate);
                    at += 1;
                }
                (Some(Fate::TooLarge(bytes)), None) => {
                    result = Ok(Some((at, TooLarge(bytes))));
                    break;
                }
                _ => {
                    let end = at + limits.gather(&batch[at..]);
                    result = self.write_message(&batch[at..end]).map(|()| None);
                    at = end;
                }
            }
        }
        if let Some(window) = &mut self.window {
            for frame in &batch[at..] {
                window.push(frame, Fate::Sent { bytes: frame.len(), lines: 1 });
            }
        }
        let flushed = self.socket.flush().map_err(|error| self.failed("sending to", error));
        result.and_then(|stopped| flushed.map(|()| stopped))
    }

    fn write_message(&mut self, frames: &[Frame]) -> Result<(), TransportError> {
        let size = frames.iter().map(Frame::len).sum();
        let mut bytes = Vec::with_capacity(size);
        for frame in frames {
            bytes.extend_from_slice(frame.line());
        }
        match &mut self.window {
            Some(window) => {
                let fate = Fate::Sent { bytes: size, lines: frames.len() };
                frames.iter().for_each(|frame| window.push(frame, fate));
            }
            None => self.largest = self.largest.max((size, frames.len())),
        }
        let bytes = Bytes::from(bytes);
        // What is no text is for the peer to judge, and not an end of the connection.
        let message = match Utf8Bytes::try_from(bytes.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(bytes),
        };
        self.socket.write(message).map_err(|error| self.failed("sending to", error))
    }

    /// Looks at what the peer has said, without waiting. An error means that the
    /// connection is of no further use.
    pub(crate) fn hear(&mut self) -> Result<(), TransportError> {
        if let Some(error) = self.late.take() {
            return Err(error);
        }
        self.socket.get_mut().until(None);
        for _ in 0..MAX_READS {
            if !self.read_once()? {
                break;
            }
        }
        Ok(())
    }

    /// One message; false where none came in time.
    fn read_once(&mut self) -> Result<bool, TransportError> {
        let message = match self.socket.read() {
            Ok(message) => message,
            Err(error) if is_pause(&error) => return Ok(false),
            Err(error) => return Err(self.failed("reading from", error)),
        };
        self.pulse.heard = Instant::now();
        self.pulse.asked = None;
        let said = match &message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => &bytes[..],
            Message::Close(frame) => {
                // Sends our half of the goodbye, where that does not wait.
                let _ = self.socket.flush();
                return Err(self.goodbye(frame.as_ref()));
            }
            _ => return Ok(true),
        };
        // Without acknowledgements the peer has nothing to say that we would read.
        let Some(window) = &mut self.window else { return Ok(true) };
        window
            .hear(said)
            .map(|()| true)
            .map_err(|what| TransportError::new(ErrorKind::Disconnected, format!("{} sent {what}", self.endpoint)))
    }

    /// Asks for a sign of life where there was none for a while.
    fn check_pulse(&mut self) -> Result<(), TransportError> {
        let now = Instant::now();
        match self.pulse.asked {
            Some(asked) if now.duration_since(asked) >= self.pulse.patience => Err(self.silent()),
            None if now.duration_since(self.pulse.heard) >= self.pulse.every => {
                self.pulse.asked = Some(now);
                self.socket.get_mut().until(Some(now + self.pulse.patience));
                self.socket.send(Message::Ping(Bytes::new())).map_err(|error| self.failed("sending to", error))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that the peer is alive before it is trusted with a batch:
    /// after a silence it has to answer, within `wait` and its patience.
    pub(crate) fn prove_alive(&mut self, wait: Duration) -> Result<(), TransportError> {
        self.hear()?;
        self.check_pulse()?;
        let Some(asked) = self.pulse.asked else { return Ok(()) };
        let deadline = asked + self.pulse.patience.min(wait);
        while self.pulse.asked.is_some() {
            self.socket.get_mut().until(Some(deadline));
            if !self.read_once()? {
                return Err(self.silent());
            }
        }
        Ok(())
    }

    /// Waits at most `wait` for acknowledgements; returns how many frames they
    /// settle.
    pub(crate) fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        let deadline = Instant::now() + wait.min(Duration::from_secs(3600));
        let mut heard = self.hear();
        loop {
            let Some(window) = &mut self.window else { return heard.map(|()| 0) };
            let settled = window.take_settled().map_err(|TooLarge(bytes)| too_large(&self.endpoint, bytes))?;
            if settled > 0 {
                // What came before the end counts; the end is the next call's news.
                self.late = heard.err();
                return Ok(settled);
            }
            let awaited = window.is_awaited();
            heard?;
            self.check_pulse()?;
            if !awaited || Instant::now() >= deadline {
                return Ok(0);
            }
            let look = match self.pulse.asked {
                Some(asked) => asked + self.pulse.patience,
                None => self.pulse.heard + self.pulse.every,
            };
            self.socket.get_mut().until(Some(deadline.min(look)));
            heard = self.read_once().map(|_| ());
        }
    }

    /// Says goodbye and waits for the peer's, at most until `deadline`, so that
    /// nothing under way is lost to a reset.
    pub(crate) fn close(&mut self, deadline: Instant) {
        // Whatever fails here, the connection ends all the same.
        self.socket.get_mut().until(Some(deadline));
        let bye = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
        let _ = self.socket.close(Some(bye));
        for _ in 0..MAX_READS {
            // Its half of the goodbye is enough: all that it was to read lies before it.
            if matches!(self.socket.read(), Ok(Message::Close(_)) | Err(_)) {
                break;
            }
        }
        self.socket.get_mut().end();
    }

    /// The largest message that the peer has not confirmed.
    pub(crate) fn largest(&self) -> Option<(usize, usize)> {
        match &self.window {
            Some(window) => window.largest(),
            None => (self.largest.0 > 0).then_some(self.largest),
        }
    }

    fn goodbye(&self, frame: Option<&CloseFrame>) -> TransportError {
        let endpoint = &self.endpoint;
        match frame.map(|frame| u16::from(frame.code)) {
            Some(TOO_BIG) => {
                let message = format!("{endpoint} closed the connection: a message was too big for it (1009)");
                TransportError::with_source(ErrorKind::Disconnected, message, RefusedForSize)
            }
            Some(code) => {
                let message = format!("{endpoint} closed the connection with code {code}");
                TransportError::new(ErrorKind::Disconnected, message)
            }
            None => TransportError::new(ErrorKind::Disconnected, format!("{endpoint} closed the connection")),
        }
    }

    fn silent(&self) -> TransportError {
        let message = format!("{} did not answer a ping within {:?}", self.endpoint, self.pulse.patience);
        TransportError::new(ErrorKind::Disconnected, message)
    }

    /// An error; where the peer said before why it ends the connection, that.
    fn failed(&mut self, doing: &str, error: Error) -> TransportError {
        let broke = matches!(&error, Error::Io(error) if error.kind() != std::io::ErrorKind::WouldBlock);
        if doing == "sending to" && broke {
            self.socket.get_mut().until(None);
            for _ in 0..MAX_READS {
                match self.socket.read() {
                    Ok(Message::Close(frame)) => return self.goodbye(frame.as_ref()),
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        from_ws(&self.endpoint, doing, error)
    }
}

/// Close code 1009: the message is too big (RFC 6455, section 7.4.1).
const TOO_BIG: u16 = 1009;

/// The cause of an error after which messages have to be smaller.
#[derive(Debug)]
pub(crate) struct RefusedForSize;

impl std::fmt::Display for RefusedForSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebSocket close code 1009")
    }
}

impl std::error::Error for RefusedForSize {}

pub(crate) fn too_large(endpoint: &Endpoint, bytes: usize) -> TransportError {
    let message = format!("a line of {bytes} bytes is larger than {endpoint} takes");
    TransportError::new(ErrorKind::TooLarge, message)
}
