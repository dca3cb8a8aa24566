//! The bytes below a WebSocket, every wait bounded.

use std::io::{self, ErrorKind as Io, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use townlet_tls::ClientStream;

/// What TLS encrypts at a time: four full records.
const TLS_CHUNK: usize = 64 * 1024;

/// A connection, encrypted or not. A read or write that is not done by the time
/// set with [`until`](Self::until) ends as `WouldBlock`.
pub(crate) struct Socket {
    stream: Stream,
    /// None: what cannot be done at once is not waited for.
    until: Option<Instant>,
    nonblocking: bool,
}

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<ClientStream>),
}

impl Socket {
    pub(crate) fn new(stream: Stream, until: Instant) -> Self {
        Self { stream, until: Some(until), nonblocking: false }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// By when reads and writes have to end; `None` is at once.
    pub(crate) fn until(&mut self, until: Option<Instant>) {
        self.until = until;
    }

    /// Ends our direction; what the peer still says can be read.
    pub(crate) fn end(&mut self) {
        // Whatever fails here, the connection ends all the same.
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            let _ = self.write_out();
        }
        let _ = self.tcp().shutdown(Shutdown::Write);
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    /// Allows the next call of the socket what is left of the time.
    fn allow(&mut self, writing: bool) -> io::Result<()> {
        let Some(until) = self.until else {
            if !self.nonblocking {
                self.tcp().set_nonblocking(true)?;
                self.nonblocking = true;
            }
            return Ok(());
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Io::WouldBlock.into());
        }
        if self.nonblocking {
            self.tcp().set_nonblocking(false)?;
            self.nonblocking = false;
        }
        if writing { self.tcp().set_write_timeout(Some(left)) } else { self.tcp().set_read_timeout(Some(left)) }
    }

    fn write_out(&mut self) -> io::Result<()> {
        loop {
            match &self.stream {
                Stream::Tls(stream) if stream.conn.wants_write() => {}
                _ => return Ok(()),
            }
            self.allow(true)?;
            let Stream::Tls(stream) = &mut self.stream else { return Ok(()) };
            match stream.conn.write_tls(&mut stream.sock) {
                Ok(0) => return Err(Io::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == Io::Interrupted => {}
                Err(error) => return Err(would_block(error)),
            }
        }
    }
}

/// One name for a wait that was too long, whatever the system calls it.
fn would_block(error: io::Error) -> io::Error {
    if error.kind() == Io::TimedOut { Io::WouldBlock.into() } else { error }
}

impl Read for Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Stream::Tls(stream) = &mut self.stream {
                match stream.conn.reader().read(out) {
                    // A WebSocket ends with a close frame; how TLS ends is no news.
                    Err(error) if error.kind() == Io::UnexpectedEof => return Ok(0),
                    Err(error) if error.kind() == Io::WouldBlock => {}
                    done => return done,
                }
            }
            self.allow(false)?;
            let got = match &mut self.stream {
                Stream::Plain(socket) => match socket.read(out) {
                    Err(error) if error.kind() == Io::Interrupted => continue,
                    done => return done.map_err(would_block),
                },
                Stream::Tls(stream) => stream.conn.read_tls(&mut stream.sock),
            };
            match got {
                Ok(_) => {}
                Err(error) if error.kind() == Io::Interrupted => continue,
                Err(error) => return Err(would_block(error)),
            }
            if let Stream::Tls(stream) = &mut self.stream {
                stream.conn.process_new_packets().map_err(|error| io::Error::new(Io::InvalidData, error))?;
            }
        }
    }
}

impl Write for Socket {
    /// Writes as much as the time allows, all of it as a rule.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            let step = match &mut self.stream {
                Stream::Plain(_) => self.write_plain(&bytes[done..]),
                Stream::Tls(_) => self.write_tls(&bytes[done..]),
            };
            match step {
                Ok(0) => break,
                Ok(taken) => done += taken,
                // The caller keeps the rest, and meets the error again with it.
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out()
    }
}

impl Socket {
    fn write_plain(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.allow(true)?;
            let Stream::Plain(socket) = &mut self.stream else { return Ok(0) };
            match socket.write(bytes) {
                Err(error) if error.kind() == Io::Interrupted => {}
                done => return done.map_err(would_block),
            }
        }
    }

    fn write_tls(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_out()?;
        let Stream::Tls(stream) = &mut self.stream else { return Ok(0) };
        stream.conn.writer().write(&bytes[..bytes.len().min(TLS_CHUNK)])
    }
}
