//! Bytes of requests off a connection, bounded in size and time.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::super::budget::Share;
use super::super::connection::stopped;
use super::super::wire::{Wire, is_pause};
use super::super::{LOOK_AROUND, Stop};
use super::encoding::{no_room, too_large};
use super::head::{BARE_LF, Framing, Head, has_bare_lf};
use super::response::Response;
use crate::report::{EndKind, Ending};

/// Bytes read at a time.
const PIECE: usize = 16 * 1024;

/// The longest line with the size of a chunk, and all that may follow the last one.
const MAX_CHUNK_LINE: usize = 1024;
const MAX_TRAILER: usize = 8 * 1024;

/// After an answer to a request that was not read to its end: closed at once,
/// the connection would be reset, and the answer lost on its way.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) struct Inbound<'a> {
    wire: Wire,
    stop: &'a Stop,
    buf: Vec<u8>,
    timeout: Option<Duration>,
}

/// Why a request is not answered as it would be.
pub(super) enum Fault {
    /// It gets this answer, and the connection ends.
    Answer(Response),
    /// The connection is over.
    End(Ending),
}

impl From<Response> for Fault {
    fn from(answer: Response) -> Self {
        Self::Answer(answer)
    }
}

/// Bounds of one body.
pub(super) struct Bounds {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

impl<'a> Inbound<'a> {
    pub(super) fn new(wire: Wire, stop: &'a Stop) -> Self {
        Self { wire, stop, buf: Vec::new(), timeout: None }
    }

    /// The connection for another protocol, and what came ahead of it.
    pub(super) fn into_parts(self) -> (Wire, Vec<u8>) {
        (self.wire, self.buf)
    }

    /// The next head. Ends with [`EndKind::Finished`] where none begins.
    pub(super) fn head(&mut self, limit: usize, time: Duration, keep_alive: Duration) -> Result<Head, Fault> {
        let idle_until = Instant::now() + keep_alive;
        if self.buf.is_empty() {
            // What a large request needed is not kept for the next one.
            self.buf = Vec::new();
            self.wire.release();
        }
        while self.buf.is_empty() {
            if self.stop.is_asked() {
                return Err(Fault::End(stopped()));
            }
            if Instant::now() >= idle_until {
                return Err(finished("no further request came"));
            }
            if self.read_once(idle_until)? == Some(0) {
                return Err(finished("closed by the peer between requests"));
            }
        }
        let deadline = Instant::now() + time;
        let mut searched = 0;
        loop {
            // An empty line or two before a request are forgiven (RFC 9112, section 2.2).
            while self.buf.starts_with(b"\r\n") {
                self.buf.drain(..2);
                searched = 0;
            }
            let from = usize::saturating_sub(searched, 3);
            if let Some(at) = memchr::memmem::find(&self.buf[from..], b"\r\n\r\n") {
                let end = from + at + 4;
                if end > limit {
                    break;
                }
                let (head, length) = Head::parse(&self.buf[..end])?;
                self.buf.drain(..length);
                return Ok(head);
            }
            if has_bare_lf(&self.buf) {
                return Err(Response::error(400, BARE_LF).into());
            }
            searched = self.buf.len();
            if searched > limit {
                break;
            }
            self.more(deadline, "head")?;
        }
        Err(Response::error(431, &format!("first line and headers may have {limit} bytes")).into())
    }

    /// The body of the request with this head.
    pub(super) fn body(&mut self, head: &Head, share: &mut Share, bounds: &Bounds) -> Result<Vec<u8>, Fault> {
        let deadline = Instant::now() + bounds.time;
        match head.framing()? {
            Framing::Length(0) => Ok(Vec::new()),
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > bounds.bytes {
                    return Err(too_large(bounds.bytes).into());
                }
                // Only what comes takes of the budget: an announcement costs its sender nothing.
                if !share.has_room_for(length) {
                    return Err(no_room().into());
                }
                self.give_leave(head, deadline)?;
                let mut counted = 0;
                loop {
                    let here = self.buf.len().min(length);
                    if !share.grow(here - counted) {
                        return Err(no_room().into());
                    }
                    counted = here;
                    if here == length {
                        return Ok(self.take(length));
                    }
                    self.more(deadline, "body")?;
                }
            }
            Framing::Chunked => {
                self.give_leave(head, deadline)?;
                self.chunks(share, bounds.bytes, deadline)
            }
        }
    }

    /// RFC 9112, section 7.1. Extensions and trailers are read over.
    fn chunks(&mut self, share: &mut Share, limit: usize, deadline: Instant) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        loop {
            let line = self.line(MAX_CHUNK_LINE, deadline)?;
            let size = chunk_size(&self.buf[..line]).ok_or_else(broken)?;
            if size > limit - body.len() {
                return Err(too_large(limit).into());
            }
            self.buf.drain(..line);
            if size == 0 {
                break;
            }
            let whole = body.len() + size;
            while body.len() < whole {
                if self.buf.is_empty() {
                    self.more(deadline, "body")?;
                }
                let piece = self.buf.len().min(whole - body.len());
                if !share.grow(piece) {
                    return Err(no_room().into());
                }
                body.extend(self.buf.drain(..piece));
            }
            while self.buf.len() < 2 {
                self.more(deadline, "body")?;
            }
            if !self.buf.starts_with(b"\r\n") {
                return Err(broken());
            }
            self.buf.drain(..2);
        }
        let mut left = MAX_TRAILER;
        loop {
            let line = self.line(left, deadline)?;
            self.buf.drain(..line);
            if line == 2 {
                return Ok(body);
            }
            left -= line;
        }
    }

    /// How long the line at the front is, its end included, once it is here. It ends
    /// with CR and LF, and has no other control character but tabs: what one reader
    /// takes for the end of a line and another does not hides a request from one of them.
    fn line(&mut self, limit: usize, deadline: Instant) -> Result<usize, Fault> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buf[searched..]) {
                let end = searched + at + 1;
                let text = self.buf[..end].strip_suffix(b"\r\n").ok_or_else(broken)?;
                let plain = text.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
                return if plain && end <= limit { Ok(end) } else { Err(broken()) };
            }
            searched = self.buf.len();
            if searched >= limit {
                return Err(broken());
            }
            self.more(deadline, "body")?;
        }
    }

    fn give_leave(&mut self, head: &Head, deadline: Instant) -> Result<(), Fault> {
        if head.expects_leave() && self.buf.is_empty() {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n", deadline).map_err(Fault::End)?;
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buf.split_off(length);
        std::mem::replace(&mut self.buf, rest)
    }

    /// Reads until there is more; what was begun has until `deadline`.
    fn more(&mut self, deadline: Instant, what: &str) -> Result<(), Fault> {
        loop {
            if Instant::now() >= deadline {
                return Err(Response::error(408, &format!("the {what} did not come in time")).into());
            }
            if self.stop.is_overdue(Instant::now()) {
                return Err(Fault::End(stopped()));
            }
            match self.read_once(deadline)? {
                None => {}
                Some(0) => {
                    let detail = format!("closed by the peer within the {what} of a request");
                    return Err(Fault::End(Ending { kind: EndKind::Broken, detail }));
                }
                Some(_) => return Ok(()),
            }
        }
    }

    /// One look; none where nothing came for a moment.
    fn read_once(&mut self, deadline: Instant) -> Result<Option<usize>, Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = if left < LOOK_AROUND { left.max(Duration::from_millis(1)) } else { LOOK_AROUND };
        let read = self.set_timeout(wait).and_then(|()| {
            let held = self.buf.len();
            self.buf.resize(held + PIECE, 0);
            let read = self.wire.read(&mut self.buf[held..]);
            self.buf.truncate(held + read.as_ref().map_or(0, |read| *read));
            read
        });
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if is_pause(&error) => Ok(None),
            Err(error) => Err(Fault::End(Ending { kind: EndKind::Broken, detail: error.to_string() })),
        }
    }

    fn set_timeout(&mut self, wait: Duration) -> io::Result<()> {
        if self.timeout != Some(wait) {
            self.wire.set_timeouts(wait, LOOK_AROUND)?;
            self.timeout = Some(wait);
        }
        Ok(())
    }

    /// Writes all of `bytes` by `deadline`, however slowly the peer reads.
    pub(super) fn send(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), Ending> {
        use std::io::Write;
        let mut rest = bytes;
        let mut flushed = false;
        while !flushed {
            let step = if rest.is_empty() { self.wire.flush().map(|()| 0) } else { self.wire.write(rest) };
            match step {
                Ok(written) => {
                    flushed = rest.is_empty();
                    rest = &rest[written..];
                }
                Err(error) if is_pause(&error) => {
                    if Instant::now() >= deadline || self.stop.is_overdue(Instant::now()) {
                        let detail = "the peer does not read its answer".to_owned();
                        return Err(Ending { kind: EndKind::RequestTimeout, detail });
                    }
                }
                Err(error) => return Err(Ending { kind: EndKind::Broken, detail: error.to_string() }),
            }
        }
        Ok(())
    }

    /// Ends our direction, and waits a moment for the peer to end its own.
    pub(super) fn farewell(&mut self, unread: bool) {
        self.wire.close();
        let until = Instant::now() + if unread { FAREWELL } else { LOOK_AROUND };
        self.buf = Vec::new();
        while Instant::now() < until && !self.stop.is_overdue(Instant::now()) {
            match self.read_once(until) {
                Ok(None | Some(1..)) => self.buf.clear(),
                Ok(Some(0)) | Err(_) => return,
            }
        }
    }
}

fn broken() -> Fault {
    Fault::Answer(Response::error(400, "broken chunks"))
}

/// The size in this line. httparse takes a line without a digit for the last chunk.
fn chunk_size(line: &[u8]) -> Option<usize> {
    if !line.first()?.is_ascii_hexdigit() {
        return None;
    }
    match httparse::parse_chunk_size(line) {
        Ok(httparse::Status::Complete((length, size))) if length == line.len() => {
            Some(usize::try_from(size).unwrap_or(usize::MAX))
        }
        _ => None,
    }
}

fn finished(detail: &str) -> Fault {
    Fault::End(Ending { kind: EndKind::Finished, detail: detail.to_owned() })
}
