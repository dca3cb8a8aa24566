//! The opening handshake (RFC 6455, section 4.1), bounded in time and size.

use std::fmt::Write as _;
use std::io::{ErrorKind as Io, Read, Write};
use std::time::Duration;

use townlet_transport::{ErrorKind, Level, TransportError};
use tungstenite::handshake::{client::generate_key, derive_accept_key};

use crate::failure::from_io;
use crate::resume::{Have, write_unsettled};
use crate::socket::Socket;
use crate::window::Unsettled;
use crate::{SUBPROTOCOL, Secret, WsUrl};

/// The longest answer that is read.
const MAX_ANSWER: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// What is asked for.
pub(crate) struct Request<'a> {
    pub(crate) url: &'a WsUrl,
    pub(crate) token: Option<&'a Secret>,
    pub(crate) acks: bool,
    pub(crate) settle_at: Level,
    pub(crate) unsettled: &'a [Unsettled],
}

/// What the peer agreed to.
#[derive(Debug, Default)]
pub(crate) struct Agreed {
    pub(crate) acks: bool,
    pub(crate) durable: bool,
    pub(crate) have: Have,
    /// Bytes that came behind the answer.
    pub(crate) tail: Vec<u8>,
}

/// Does the handshake over `socket`, within the socket's time.
pub(crate) fn upgrade(socket: &mut Socket, request: &Request<'_>) -> Result<Agreed, TransportError> {
    let key = generate_key();
    let head = request.head(&key);
    let endpoint = request.url.endpoint();
    let late = || {
        let message = format!("{endpoint} did not answer the WebSocket handshake in time: is it a WebSocket port?");
        TransportError::new(ErrorKind::Timeout, message)
    };
    let failed = |error: std::io::Error| match error.kind() {
        Io::WouldBlock => late(),
        _ => from_io(endpoint, "doing the WebSocket handshake with", error),
    };
    socket.write_all(head.as_bytes()).and_then(|()| socket.flush()).map_err(failed)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let got = socket.read(&mut chunk).map_err(failed)?;
        if got == 0 {
            let message = format!("{endpoint} closed the connection within the WebSocket handshake");
            return Err(TransportError::new(ErrorKind::Disconnected, message));
        }
        answer.extend_from_slice(&chunk[..got]);
        if let Some(agreed) = request.read(&answer, &key)? {
            return Ok(agreed);
        }
        if answer.len() > MAX_ANSWER {
            return Err(request.nonsense("an answer that does not end"));
        }
    }
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3); a date is left to the worker's own pauses.
fn seconds(text: &str) -> Option<Duration> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than fit are a very long time; the contract bounds it.
    plain.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

impl Request<'_> {
    fn head(&self, key: &str) -> String {
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: \
             13\r\nSec-WebSocket-Key: {key}\r\nUser-Agent: townlet-telemetry/{}\r\n",
            self.url.target(),
            self.url.authority(),
            env!("CARGO_PKG_VERSION"),
        );
        // Writing to a string cannot fail.
        if self.acks {
            let _ = write!(head, "Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n");
            if self.settle_at == Level::Durable {
                let _ = write!(head, "Townlet-Settle: {}\r\n", Level::Durable);
            }
            if !self.unsettled.is_empty() {
                let _ = write!(head, "Townlet-Resume: {}\r\n", write_unsettled(self.unsettled));
            }
        }
        if let Some(token) = self.token {
            let _ = write!(head, "Authorization: Bearer {}\r\n", token.expose());
        }
        head.push_str("\r\n");
        head
    }

    /// None where the answer is not complete yet.
    fn read(&self, bytes: &[u8], key: &str) -> Result<Option<Agreed>, TransportError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let length = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(self.nonsense("something that is no HTTP")),
        };
        if answer.version != Some(1) {
            return Err(self.nonsense("an answer of another HTTP version than 1.1"));
        }
        let header = |name: &str| {
            let found = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
        };
        match answer.code {
            Some(101) => {}
            code => {
                let error = self.refused(code.unwrap_or(0));
                return Err(match header("Retry-After").and_then(seconds) {
                    Some(pause) => error.asking_to_wait(pause),
                    None => error,
                });
            }
        }
        let has = |name: &str, word: &str| {
            header(name).is_some_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
        };
        if !has("Upgrade", "websocket") || !has("Connection", "upgrade") {
            return Err(self.nonsense("an upgrade to something else than WebSocket"));
        }
        if header("Sec-WebSocket-Accept") != Some(&*derive_accept_key(key.as_bytes())) {
            return Err(self.nonsense("an answer to another handshake (Sec-WebSocket-Accept)"));
        }
        if header("Sec-WebSocket-Extensions").is_some_and(|value| !value.is_empty()) {
            return Err(self.nonsense("an extension that was not offered"));
        }
        let acks = match header("Sec-WebSocket-Protocol") {
            None => false,
            Some(protocol) if self.acks && protocol == SUBPROTOCOL => true,
            Some(_) => return Err(self.nonsense("a subprotocol that was not offered")),
        };
        Ok(Some(Agreed {
            acks,
            durable: acks && header("Townlet-Settle") == Some(Level::Durable.as_str()),
            have: if acks { Have::parse(header("Townlet-Resume"), self.unsettled) } else { Have::default() },
            tail: bytes[length..].to_vec(),
        }))
    }

    fn refused(&self, code: u16) -> TransportError {
        let url = self.url;
        let (kind, what) = match code {
            300..=399 => (ErrorKind::Misconfigured, "a redirect, which is not followed: write the final URL"),
            401 | 403 if self.token.is_some() => {
                (ErrorKind::Misconfigured, "it does not accept our token: look into auth.bearer_file")
            }
            401 | 403 => (ErrorKind::Misconfigured, "it wants a token: set auth.bearer_file"),
            404 | 405 => (ErrorKind::Misconfigured, "there is no WebSocket at this path"),
            408 | 429 | 500..=599 => (ErrorKind::Unavailable, "it cannot take a connection now"),
            _ => (ErrorKind::Misconfigured, "it does not take a WebSocket here: is the URL right?"),
        };
        TransportError::new(kind, format!("{url} answered the WebSocket handshake with {code}: {what}"))
    }

    fn nonsense(&self, what: &str) -> TransportError {
        let message = format!("{} answered the WebSocket handshake with {what}", self.url);
        TransportError::new(ErrorKind::Misconfigured, message)
    }
}
