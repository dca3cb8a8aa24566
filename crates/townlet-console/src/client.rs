//! The asking side.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::PROTOCOL;
use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::request::{self, Command, TapRequest};
use crate::socket::{Stream, is_pause};
use crate::token::Token;

/// The longest line that a client takes: the largest telemetry line, and room.
const MAX_LINE: usize = (16 << 20) + 64 * 1024;

/// A connection to a console, good for one request.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    timeout: Duration,
}

impl Client {
    /// Connects. `timeout` bounds this, and the answer to the request.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Self, ClientError> {
        let connected = Stream::connect(endpoint, timeout);
        let stream = connected.map_err(|source| ClientError::Unreachable { endpoint: endpoint.clone(), source })?;
        Ok(Self { stream, timeout })
    }

    /// The transport status and the books of every sink, as JSON: `run_id`,
    /// `transport`, `statements` by sink, `console`.
    ///
    /// # Errors
    /// [`ClientError::Refused`], or the connection broke.
    pub fn status(self, token: &Token) -> Result<Value, ClientError> {
        let (_, result) = self.ask(token, &Command::Status)?;
        Ok(result)
    }

    /// Starts a tap: what is emitted from now on is shown.
    ///
    /// # Errors
    /// [`ClientError::Refused`], or the connection broke.
    pub fn tap(self, token: &Token, request: &TapRequest) -> Result<Tapped, ClientError> {
        let (lines, _) = self.ask(token, &Command::Tap(request.clone()))?;
        Ok(Tapped { lines, over: false })
    }

    fn ask(mut self, token: &Token, command: &Command) -> Result<(Lines, Value), ClientError> {
        let bound = self.stream.set_write_timeout(self.timeout);
        // A console that is full answers without reading: the answer counts, not this error.
        let sent = bound.and_then(|()| self.stream.write_all(&request::write(token, command)));
        let mut lines = Lines { stream: self.stream, bytes: Vec::new(), at: 0 };
        let answer = match lines.next(self.timeout) {
            Ok(Some(line)) => Answer::read(line),
            Ok(None) => return Err(ClientError::Broken(ErrorKind::TimedOut.into())),
            Err(error) => return Err(ClientError::Broken(sent.err().unwrap_or(error))),
        };
        Ok((lines, answer?))
    }
}

#[derive(Deserialize)]
struct Answer {
    v: u32,
    status: String,
    #[serde(default)]
    result: Value,
    error: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    code: String,
    message: String,
}

impl Answer {
    fn read(line: &[u8]) -> Result<Value, ClientError> {
        let answer: Self = serde_json::from_slice(line).map_err(|e| ClientError::Protocol(e.to_string()))?;
        match (answer.v, answer.status.as_str(), answer.error) {
            (PROTOCOL, "ok", None) => Ok(answer.result),
            (PROTOCOL, "error", Some(error)) => Err(ClientError::Refused { code: error.code, message: error.message }),
            (v, ..) => Err(ClientError::Protocol(format!("an answer of version {v}, where {PROTOCOL} is spoken here"))),
        }
    }
}

/// What a tap shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shown {
    /// A telemetry line, its line's end included.
    Line(Vec<u8>),
    /// Frames that this tap was too slow for are missing here.
    Missed {
        /// Here.
        frames: u64,
        /// Since the tap began.
        total: u64,
    },
    /// Nothing follows.
    End {
        /// `limit`, `pipeline_ended` or `console_stopped`.
        reason: String,
        /// Telemetry lines in all.
        shown: u64,
        /// Frames missed in all.
        missed: u64,
    },
}

/// A tap that is running. Dropping it ends it.
#[derive(Debug)]
pub struct Tapped {
    lines: Lines,
    over: bool,
}

#[derive(Deserialize)]
struct Missed {
    frames: u64,
    total: u64,
}

#[derive(Deserialize)]
struct End {
    reason: String,
    shown: u64,
    missed: u64,
}

impl Tapped {
    /// What comes next; none where nothing came within `wait`, and after the end.
    ///
    /// # Errors
    /// [`ClientError::Broken`] where the connection ended without an end.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Shown>, ClientError> {
        if self.over {
            return Ok(None);
        }
        let Some(line) = self.lines.next(wait).map_err(ClientError::Broken)? else { return Ok(None) };
        if line.first() == Some(&b'{') {
            return Ok(Some(Shown::Line(line.to_vec())));
        }
        let shown = note(line).ok_or_else(|| {
            ClientError::Protocol(String::from_utf8_lossy(line).chars().take(100).filter(|c| !c.is_control()).collect())
        })?;
        self.over = matches!(shown, Shown::End { .. });
        Ok(Some(shown))
    }
}

/// A line of the console's own.
fn note(line: &[u8]) -> Option<Shown> {
    let (word, content): (String, Value) = serde_json::from_slice(line).ok()?;
    match word.as_str() {
        "missed" => {
            let Missed { frames, total } = serde_json::from_value(content).ok()?;
            Some(Shown::Missed { frames, total })
        }
        "end" => {
            let End { reason, shown, missed } = serde_json::from_value(content).ok()?;
            Some(Shown::End { reason, shown, missed })
        }
        _ => None,
    }
}

/// Lines off a socket, bounded in length and in waiting.
#[derive(Debug)]
struct Lines {
    stream: Stream,
    bytes: Vec<u8>,
    /// What is before this was returned.
    at: usize,
}

impl Lines {
    fn next(&mut self, wait: Duration) -> io::Result<Option<&[u8]>> {
        let deadline = Instant::now().checked_add(wait);
        let mut searched = self.at;
        loop {
            if let Some(end) = self.bytes[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.at..searched + end + 1;
                self.at = line.end;
                return Ok(Some(&self.bytes[line]));
            }
            self.bytes.drain(..self.at);
            self.at = 0;
            searched = self.bytes.len();
            if self.bytes.len() > MAX_LINE {
                return Err(io::Error::new(ErrorKind::InvalidData, "a line is longer than a telemetry line can be"));
            }
            let left = deadline.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(left.min(Duration::from_secs(3600)))?;
            let mut part = [0; 64 * 1024];
            match self.stream.read(&mut part) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.bytes.extend_from_slice(&part[..read]),
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
