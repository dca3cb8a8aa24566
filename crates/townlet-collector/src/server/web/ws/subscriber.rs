//! Somebody who watches: the states as they are, then what changes.
//!
//! A subscriber that reads slowly gets fewer and larger steps. What waits for it
//! is one message in the making and one state of each stream.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, WebSocket};

use super::super::super::connection::stopped;
use super::super::super::live::{Live, Mail, Mailbox, StreamName, Wants};
use super::super::super::wire::{Wire, is_pause};
use super::super::super::{LOOK_AROUND, Shared, Slot};
use super::super::Web;
use super::super::head::Head;
use super::super::response::Response;
use super::encoders::Encoders;
use super::lines::ended;
use crate::report::{EndKind, Ending, Via};

/// What a subscriber says is short.
const LONGEST_REQUEST: usize = 4 * 1024;
/// Requests read before it is its turn to get something.
const REQUESTS: usize = 16;
/// After such a silence it is asked for a sign of life.
const PING_AFTER: Duration = Duration::from_secs(30);

/// The close code for a mode that is not served, as the predecessor had it.
const WRONG_MODE: u16 = 4403;

/// What a subscriber may say. Types that are not known here are left alone: the
/// channel of operators is to come.
#[derive(Deserialize)]
struct Said {
    r#type: String,
    run_id: Option<String>,
    stream: Option<String>,
}

/// A subscriber whose wish was granted.
pub(super) struct Viewer {
    mailbox: Arc<Mailbox>,
    bell: UnixStream,
    timeout: Duration,
    /// It wants to be something else than a spectator.
    misled: bool,
}

impl Viewer {
    /// Reads the wish; an error is the answer to give.
    pub(super) fn join(head: &Head, shared: &Shared, web: &Web) -> Result<Self, Response> {
        let Some(live) = &shared.intake.live else {
            return Err(Response::error(404, "nothing is served at this path"));
        };
        if live.subscribers() >= web.options.max_subscribers {
            return Err(Response::error(503, "as many subscribers as there may be").retry_after(5));
        }
        let misled = head.parameter("mode").is_some_and(|mode| mode != "spectator");
        let no_bell = |_| Response::error(503, "no descriptor is left for a subscriber").retry_after(5);
        let (bell, rings) = UnixStream::pair().map_err(no_bell)?;
        bell.set_nonblocking(true).and_then(|()| rings.set_nonblocking(true)).map_err(no_bell)?;
        let wants = Wants { run_id: head.parameter("run_id"), stream: head.parameter("stream") };
        let mailbox = Arc::new(Mailbox::new(wants, rings));
        if !misled {
            live.subscribe(&mailbox);
        }
        Ok(Self { mailbox, bell, timeout: web.options.subscriber_timeout, misled })
    }

    pub(super) fn serve(self, shared: &Shared, slot: &Slot, wire: Wire, ahead: Vec<u8>) -> Ending {
        slot.update(|report| report.via = Via::Subscriber);
        let Some(live) = &shared.intake.live else { return stopped() };
        if let Err(error) = wire.set_nonblocking() {
            return Ending { kind: EndKind::Broken, detail: error.to_string() };
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(LONGEST_REQUEST)
            .write_buffer_size(0)
            .max_message_size(Some(LONGEST_REQUEST))
            .max_frame_size(Some(LONGEST_REQUEST));
        let socket = WebSocket::from_partially_read(wire, ahead, Role::Server, Some(config));
        let misled = self.misled;
        let mut watching = Watching {
            shared,
            live,
            socket,
            encoders: Encoders::default(),
            last: None,
            unsent_since: None,
            pulse: Pulse { heard: Instant::now(), asked: None },
            viewer: self,
        };
        if misled {
            return watching.end(CloseCode::from(WRONG_MODE), refused());
        }
        let ending = watching.run();
        let code = match ending.kind {
            EndKind::Stopped => CloseCode::Away,
            EndKind::LineTooLong => CloseCode::Size,
            EndKind::NotReading => CloseCode::Policy,
            EndKind::PeerClosed | EndKind::Broken => CloseCode::Normal,
            _ => CloseCode::Protocol,
        };
        watching.end(code, ending)
    }
}

struct Watching<'a> {
    shared: &'a Shared,
    live: &'a Live,
    viewer: Viewer,
    socket: WebSocket<Wire>,
    encoders: Encoders,
    /// The stream of the last line, after which it is the next one's turn.
    last: Option<Arc<StreamName>>,
    /// Since when a message has been on its way out.
    unsent_since: Option<Instant>,
    pulse: Pulse,
}

/// Whether the subscriber is there still.
struct Pulse {
    heard: Instant,
    asked: Option<Instant>,
}

impl Watching<'_> {
    fn run(&mut self) -> Ending {
        loop {
            if self.shared.stop.is_asked() {
                return stopped();
            }
            let round = self.listen().and_then(|()| self.speak()).and_then(|()| self.check_clocks());
            if let Err(ending) = round {
                return ending;
            }
            if let Err(error) = self.wait() {
                return Ending { kind: EndKind::Broken, detail: error.to_string() };
            }
        }
    }

    /// Reads what the subscriber has said.
    fn listen(&mut self) -> Result<(), Ending> {
        for _ in 0..REQUESTS {
            let message = match self.socket.read() {
                Ok(message) => message,
                Err(Error::Io(error)) if is_pause(&error) => return Ok(()),
                Err(error) => return Err(ended(&error)),
            };
            self.pulse = Pulse { heard: Instant::now(), asked: None };
            if let Message::Text(text) = &message
                && let Ok(said) = serde_json::from_str::<Said>(text)
                && said.r#type == "keyframe"
            {
                self.encoders.want(said.run_id.as_deref(), said.stream.as_deref());
            }
        }
        Ok(())
    }

    /// Says what is to be said, as far as the subscriber reads.
    fn speak(&mut self) -> Result<(), Ending> {
        loop {
            if self.unsent_since.is_some() {
                match self.socket.flush() {
                    Ok(()) => self.unsent_since = None,
                    Err(Error::Io(error)) if is_pause(&error) => return Ok(()),
                    Err(error) => return Err(ended(&error)),
                }
            }
            let Some(line) = self.next_line() else { return Ok(()) };
            self.say(Message::text(line))?;
        }
    }

    fn next_line(&mut self) -> Option<String> {
        let counts = &self.live.counts;
        loop {
            match self.viewer.mailbox.take(self.last.as_ref(), counts) {
                Some(Mail::State(name, current)) => {
                    let line = self.encoders.render(&name, &current, counts);
                    self.last = Some(name);
                    if line.is_some() {
                        return line;
                    }
                }
                Some(Mail::Gone(name)) => self.encoders.forget(&name),
                None => return self.encoders.wanted(counts),
            }
        }
    }

    fn say(&mut self, message: Message) -> Result<(), Ending> {
        let began = *self.unsent_since.get_or_insert_with(Instant::now);
        match self.socket.write(message) {
            Ok(()) => {}
            // It is kept, and goes out as the subscriber reads.
            Err(Error::Io(error)) if is_pause(&error) => self.unsent_since = Some(began),
            Err(error) => return Err(ended(&error)),
        }
        Ok(())
    }

    fn check_clocks(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        let timeout = self.viewer.timeout;
        let late = |since: Option<Instant>| since.is_some_and(|since| now.duration_since(since) >= timeout);
        if late(self.unsent_since) || late(self.pulse.asked) {
            let detail = format!("a message was left unread, or a ping unanswered, for {timeout:?}");
            return Err(Ending { kind: EndKind::NotReading, detail });
        }
        if self.pulse.asked.is_none() && now.duration_since(self.pulse.heard) >= PING_AFTER {
            self.pulse.asked = Some(now);
            self.say(Message::Ping(Bytes::new()))?;
        }
        Ok(())
    }

    /// Waits for the subscriber, for a state, or for a moment.
    fn wait(&mut self) -> io::Result<()> {
        let mut flags = PollFlags::IN;
        if self.unsent_since.is_some() {
            flags |= PollFlags::OUT;
        }
        let socket = self.socket.get_ref().socket();
        let mut both = [PollFd::new(socket, flags), PollFd::new(&self.viewer.bell, PollFlags::IN)];
        let moment = LOOK_AROUND.min(self.viewer.timeout);
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(moment.subsec_nanos()) };
        match poll(&mut both, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !both[1].revents().is_empty() {
            let mut rings = [0; 64];
            // Empty is what it should be; and where it rang again, that is seen next time.
            let _ = (&self.viewer.bell).read(&mut rings);
        }
        Ok(())
    }

    /// Says goodbye, where that does not wait.
    fn end(mut self, code: CloseCode, ending: Ending) -> Ending {
        let _ = self.socket.close(Some(CloseFrame { code, reason: ending.kind.as_str().into() }));
        let wire = self.socket.get_mut();
        wire.close();
        // Closed with something unread, the connection would be reset, and the goodbye lost.
        let until = Instant::now() + LOOK_AROUND;
        let mut rest = [0; 1024];
        while Instant::now() < until {
            match wire.read(&mut rest) {
                Ok(1..) => {}
                Err(error) if is_pause(&error) => {
                    let mut one = [PollFd::new(wire.socket(), PollFlags::IN)];
                    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_AROUND.subsec_nanos()) };
                    if poll(&mut one, Some(&timeout)) == Ok(0) {
                        break;
                    }
                }
                Ok(0) | Err(_) => break,
            }
        }
        ending
    }
}

fn refused() -> Ending {
    Ending { kind: EndKind::Finished, detail: "only mode=spectator is served".to_owned() }
}
