//! One open connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use townlet_tls::Endpoint;
use townlet_transport::{ErrorKind, Frame, Level, TransportError};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

use crate::failure::{from_ws, is_pause};
use crate::goodbye::{Fault, goodbye};
use crate::handshake::Agreed;
use crate::limits::Limits;
use crate::resume::{self, Have};
use crate::socket::Socket;
use crate::suspicion::Suspicion;
use crate::window::{Fate, Unsettled, Window};

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
    terms: Terms,
    /// Whether the peer has answered a ping on this connection.
    proven: bool,
    /// What waits for its turn where lines go out one at a time.
    held: VecDeque<Frame>,
}

/// What earlier connections have taught, and what the configuration says.
pub(crate) struct Terms {
    pub(crate) limits: Limits,
    pub(crate) suspicion: Suspicion,
    pub(crate) ping_interval: Duration,
    pub(crate) pong_timeout: Duration,
    pub(crate) send_timeout: Duration,
}

/// Whether the peer is alive.
struct Pulse {
    every: Duration,
    patience: Duration,
    heard: Instant,
    asked: Option<Instant>,
}

impl Link {
    pub(crate) fn new(endpoint: Endpoint, socket: Socket, agreed: Agreed, terms: Terms) -> Self {
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
            pulse: Pulse {
                every: terms.ping_interval,
                patience: terms.pong_timeout,
                heard: Instant::now(),
                asked: None,
            },
            late: None,
            terms,
            proven: false,
            held: VecDeque::new(),
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
    /// peer acknowledges, every frame is in the window or held afterwards, also after
    /// an error: whoever goes on elsewhere has to know. Otherwise it stops at the
    /// first frame that the peer never takes, and says how many were written.
    pub(crate) fn write(
        &mut self,
        batch: &[Frame],
        deadline: Instant,
    ) -> Result<Option<(usize, Fault)>, TransportError> {
        self.socket.get_mut().until(Some(deadline));
        if self.window.is_some() && (self.terms.suspicion.careful > 0 || !self.held.is_empty()) {
            self.held.extend(batch.iter().cloned());
            return self.write_held().map(|()| None);
        }
        self.write_all(batch)
    }

    /// One line at a time: the next once the one before it is acknowledged.
    fn write_held(&mut self) -> Result<(), TransportError> {
        if self.terms.suspicion.careful == 0 {
            let held = Vec::from(std::mem::take(&mut self.held));
            return self.write_all(&held).map(|_| ());
        }
        while self.window.as_ref().is_some_and(|window| window.outstanding() == 0)
            && let Some(frame) = self.held.pop_front()
        {
            self.write_all(&[frame])?;
        }
        Ok(())
    }

    fn write_all(&mut self, batch: &[Frame]) -> Result<Option<(usize, Fault)>, TransportError> {
        let mut at = 0;
        let mut result = Ok(None);
        while at < batch.len() && result.is_ok() {
            let frame = &batch[at];
            let settled_otherwise =
                if self.have.holds(frame) { Some(Fate::Had) } else { self.fault(frame).map(Fate::Never) };
            match (settled_otherwise, &mut self.window) {
                (Some(fate), Some(window)) => {
                    window.push(frame, fate);
                    at += 1;
                }
                (Some(Fate::Never(fault)), None) => {
                    result = Ok(Some((at, fault)));
                    break;
                }
                _ => {
                    let fits = self.terms.limits.gather(&batch[at..]);
                    let end = at + batch[at..at + fits].iter().take_while(|frame| self.fault(frame).is_none()).count();
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

    /// Why the peer never takes this one, where that is known.
    fn fault(&self, frame: &Frame) -> Option<Fault> {
        if frame.len() > self.terms.limits.line {
            return Some(Fault::TooLarge(frame.len()));
        }
        self.terms.suspicion.convicts(frame).map(Fault::Refused)
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
        self.proven |= matches!(message, Message::Pong(_));
        let said = match &message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => &bytes[..],
            Message::Close(frame) => {
                // Sends our half of the goodbye, where that does not wait.
                let _ = self.socket.flush();
                return Err(goodbye(&self.endpoint, frame.as_ref()));
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
            None if now.duration_since(self.pulse.heard) >= self.pulse.every => self.ping(now),
            _ => Ok(()),
        }
    }

    fn ping(&mut self, now: Instant) -> Result<(), TransportError> {
        self.pulse.asked = Some(now);
        self.socket.get_mut().until(Some(now + self.pulse.patience));
        self.socket.send(Message::Ping(Bytes::new())).map_err(|error| self.failed("sending to", error))
    }

    /// Where lines go out one at a time, a new connection has to show first that its
    /// peer wants it at all.
    pub(crate) fn greet(&mut self, wait: Duration) -> Result<(), TransportError> {
        if self.terms.suspicion.careful == 0 || self.window.is_none() {
            return Ok(());
        }
        self.ping(Instant::now())?;
        self.prove_alive(wait)
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
            let settled = window.take_settled().map_err(|fault| fault.at(&self.endpoint))?;
            if settled > 0 {
                // What came before the end counts; the end is the next call's news.
                self.late = heard.and_then(|()| self.go_on(settled)).err();
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

    /// So many were settled: what was held for them may go out.
    fn go_on(&mut self, settled: usize) -> Result<(), TransportError> {
        self.terms.suspicion.careful = self.terms.suspicion.careful.saturating_sub(settled);
        if self.held.is_empty() {
            return Ok(());
        }
        self.socket.get_mut().until(Some(Instant::now() + self.terms.send_timeout));
        self.write_held()
    }

    /// What this connection has taught so far, and whether its peer answers on it.
    pub(crate) fn suspicion(&self) -> (Suspicion, bool) {
        (self.terms.suspicion.clone(), self.proven)
    }

    /// What is unsettled at its end, by stream; what was held back too.
    pub(crate) fn leaves(&mut self) -> Vec<Unsettled> {
        let Some(window) = &mut self.window else { return Vec::new() };
        for frame in self.held.drain(..) {
            window.push(&frame, Fate::Sent { bytes: frame.len(), lines: 1 });
        }
        window.unsettled(resume::MOST)
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
                    Ok(Message::Close(frame)) => return goodbye(&self.endpoint, frame.as_ref()),
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        from_ws(&self.endpoint, doing, error)
    }
}
