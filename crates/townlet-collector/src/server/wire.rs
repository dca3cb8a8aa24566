//! The bytes of a connection, under TLS or in the open.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::ServerConnection;
use townlet_tls::{ServerTls, TlsError};

use super::inflate::Inflating;
use crate::lines::{FIRST, next_ask};
use crate::{ACK_DEFLATE_PROTOCOL, ACK_PROTOCOL};

/// An accepted connection.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsWire>),
    /// Under TLS and compressed.
    Deflated(Box<Inflating<TlsWire>>),
}

/// A TLS session over a socket that is read in large pieces: rustls itself asks
/// for 4 KiB at a time, which is a system call for each quarter of a record.
pub(super) struct TlsWire {
    session: ServerConnection,
    socket: Ahead,
    /// An error that came behind bytes which had to be delivered first.
    postponed: Option<io::Error>,
}

/// A socket with a read buffer, as large as what comes at a time.
struct Ahead {
    socket: TcpStream,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    ask: usize,
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.buf.resize(self.ask, 0);
            self.end = self.socket.read(&mut self.buf)?;
            self.ask = next_ask(self.ask, self.end == self.buf.len());
        }
        let n = out.len().min(self.end - self.start);
        out[..n].copy_from_slice(&self.buf[self.start..self.start + n]);
        self.start += n;
        Ok(n)
    }
}

impl Wire {
    /// Does the TLS handshake, where there is to be one, by `deadline`.
    pub(super) fn open(
        socket: TcpStream,
        peer: SocketAddr,
        tls: Option<&ServerTls>,
        deadline: Instant,
    ) -> Result<Self, TlsError> {
        let Some(tls) = tls else { return Ok(Self::Plain(socket)) };
        let stream = tls.handshake(socket, &peer.to_string(), deadline)?;
        let (session, socket) = stream.into_parts();
        let socket = Ahead { socket, buf: Vec::new(), start: 0, end: 0, ask: FIRST };
        let wire = TlsWire { session, socket, postponed: None };
        Ok(match wire.session.alpn_protocol() == Some(ACK_DEFLATE_PROTOCOL) {
            true => Self::Deflated(Box::new(Inflating::new(wire))),
            false => Self::Tls(Box::new(wire)),
        })
    }

    /// True where the client asked for acknowledgements and got them.
    pub(super) fn wants_acks(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(wire) => wire.session.alpn_protocol() == Some(ACK_PROTOCOL),
            Self::Deflated(_) => true,
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// How long the next reads and writes may take.
    pub(super) fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        match self {
            Self::Plain(socket) => set_timeouts(socket, read, write),
            Self::Tls(wire) => wire.set_timeouts(read, write),
            Self::Deflated(wire) => wire.source().set_timeouts(read, write),
        }
    }

    /// From now on reads and writes do not wait: they end with `WouldBlock`.
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        self.socket().set_nonblocking(true)
    }

    /// To wait for. What a read left behind shows in no wait, so reads have to go
    /// on until they would block.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(wire) => &wire.socket.socket,
            Self::Deflated(wire) => &wire.source().socket.socket,
        }
    }

    /// Gives back what no byte needs at the moment.
    pub(super) fn release(&mut self) {
        let ahead = match self {
            Self::Plain(_) => return,
            Self::Tls(wire) => &mut wire.socket,
            Self::Deflated(wire) => &mut wire.source_mut().socket,
        };
        if ahead.start == ahead.end {
            (ahead.buf, ahead.start, ahead.end, ahead.ask) = (Vec::new(), 0, 0, FIRST);
        }
    }

    /// Writes all of `bytes` or fails; after a failure the connection is useless.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(wire) => wire.send(bytes),
            Self::Deflated(wire) => wire.source_mut().send(bytes),
        }
    }

    /// Ends politely: close_notify under TLS, then the end of our direction.
    pub(super) fn close(&mut self) {
        match self {
            Self::Plain(socket) => {
                let _ = socket.shutdown(std::net::Shutdown::Write);
            }
            Self::Tls(wire) => wire.close(),
            Self::Deflated(wire) => wire.source_mut().close(),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(wire) => wire.write(bytes),
            Self::Deflated(wire) => wire.source_mut().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(wire) => wire.write_out(),
            Self::Deflated(wire) => wire.source_mut().write_out(),
        }
    }
}

impl Read for Wire {
    /// `Ok(0)` is the end: the peer closed, with or without close_notify. Lines
    /// carry their own framing, so a truncated connection shows as a torn line.
    /// `Interrupted`: bytes came, and nothing that could be read; go on after a look
    /// at the clocks.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(out),
            Self::Tls(wire) => wire.read(out),
            Self::Deflated(wire) => wire.read(out),
        }
    }
}

impl Read for TlsWire {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.postponed.take() {
            return Err(error);
        }
        let (mut filled, mut waited) = (0, false);
        while filled < out.len() {
            match self.session.reader().read(&mut out[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Only what is here already; waiting is for an empty hand.
                    let waits = self.socket.start == self.socket.end;
                    if waits && filled > 0 {
                        break;
                    }
                    // A record that trickles in must not keep the caller from its clocks.
                    if waits && std::mem::replace(&mut waited, true) {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    if let Err(error) = self.receive() {
                        if filled == 0 {
                            return Err(error);
                        }
                        self.postponed = Some(error);
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl TlsWire {
    /// Brings more bytes to the session. At the end of the bytes `read_tls` takes
    /// in 0, and after that the session's reader says how it ended.
    fn receive(&mut self) -> io::Result<()> {
        self.session.read_tls(&mut self.socket)?;
        self.process()?;
        match self.write_out() {
            // What TLS itself has to say waits, as long as what is said to the peer does.
            Err(error) if is_pause(&error) => Ok(()),
            other => other,
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = self.write(bytes)?;
            bytes = &bytes[taken..];
        }
        self.write_out()
    }

    fn close(&mut self) {
        self.session.send_close_notify();
        let _ = self.write_out();
        let _ = self.socket.socket.shutdown(std::net::Shutdown::Write);
    }

    fn process(&mut self) -> io::Result<()> {
        match self.session.process_new_packets() {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    /// The session takes a bounded amount; what it has goes out first where it is
    /// full. An error means that nothing of `bytes` was taken.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.session.writer().write(bytes)?;
        if taken > 0 || bytes.is_empty() {
            return Ok(taken);
        }
        self.write_out()?;
        self.session.writer().write(bytes)
    }

    fn write_out(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if self.session.write_tls(&mut self.socket.socket)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        set_timeouts(&self.socket.socket, read, write)
    }
}

fn set_timeouts(socket: &TcpStream, read: Duration, write: Duration) -> io::Result<()> {
    // The system reads a timeout of zero as "for ever".
    let at_least = |wait: Duration| Some(wait.max(Duration::from_millis(1)));
    socket.set_read_timeout(at_least(read))?;
    socket.set_write_timeout(at_least(write))
}

/// A timeout of the socket, under the names that systems give it.
pub(super) fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
