//! One open connection.

use std::io::{self, ErrorKind as Io, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use townlet_tls::{ClientStream, Endpoint, classify};
use townlet_transport::{ErrorKind, Level, TransportError};

use crate::acks::{ACK_PROTOCOL, Acks};
use crate::deflate::{ACK_DEFLATE_PROTOCOL, Deflater};
use crate::failure::logged;

/// What TLS encrypts at a time: four full records.
const TLS_CHUNK: usize = 64 * 1024;
/// How often one look reads before a peer that never stops talking has to wait.
const MAX_READS: usize = 64;

pub(crate) struct Link {
    endpoint: Endpoint,
    stream: Stream,
    /// Present where the peer acknowledges.
    acks: Option<Acks>,
    /// Present where lines travel compressed.
    deflater: Option<Box<Deflater>>,
    /// Why the connection ended, where acknowledgements came first.
    late: Option<TransportError>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<ClientStream>),
}

impl Link {
    pub(crate) fn plain(endpoint: Endpoint, socket: TcpStream) -> Self {
        Self { endpoint, stream: Stream::Plain(socket), acks: None, deflater: None, late: None }
    }

    pub(crate) fn tls(endpoint: Endpoint, stream: ClientStream) -> Self {
        let agreed = stream.conn.alpn_protocol();
        let deflater = (agreed == Some(ACK_DEFLATE_PROTOCOL)).then(|| Box::new(Deflater::new()));
        let acks = (agreed == Some(ACK_PROTOCOL) || deflater.is_some()).then(Acks::default);
        Self { endpoint, stream: Stream::Tls(Box::new(stream)), acks, deflater, late: None }
    }

    pub(crate) fn level(&self) -> Level {
        if self.acks.is_some() { Level::PeerAcked } else { Level::Sent }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Notes that a batch is wholly written; true where acknowledgements follow.
    pub(crate) fn sent(&mut self, lines: usize) -> bool {
        if let Some(acks) = &mut self.acks {
            acks.sent(lines);
        }
        self.acks.is_some()
    }

    /// Writes all of `bytes` before `deadline`; where lines travel compressed, some of
    /// them only with [`flush`](Self::flush).
    pub(crate) fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), TransportError> {
        let stream = &mut self.stream;
        let result = match &mut self.deflater {
            Some(deflater) => deflater.put(bytes, |bytes| stream.write(bytes, deadline)),
            None => stream.write(bytes, deadline),
        };
        result.map_err(|error| self.not_taken(error))
    }

    /// Writes what compression still holds back of a batch.
    pub(crate) fn flush(&mut self, deadline: Instant) -> Result<(), TransportError> {
        let stream = &mut self.stream;
        let Some(deflater) = &mut self.deflater else { return Ok(()) };
        deflater.flush(|bytes| stream.write(bytes, deadline)).map_err(|error| self.not_taken(error))
    }

    fn not_taken(&mut self, error: io::Error) -> TransportError {
        if matches!(error.kind(), Io::TimedOut | Io::WouldBlock) {
            let message =
                format!("{} did not take a batch within the send timeout: it is slow or stuck", self.endpoint);
            return TransportError::with_source(ErrorKind::Timeout, message, error);
        }
        // A peer that refuses us says why before it resets the connection.
        match self.hear() {
            Err(said) if said.kind() == ErrorKind::Tls => said,
            _ => self.broken("sending to", error),
        }
    }

    /// Looks at what the peer has said, without waiting. An error means that
    /// the connection is of no further use.
    pub(crate) fn hear(&mut self) -> Result<(), TransportError> {
        if let Some(error) = self.late.take() {
            return Err(error);
        }
        self.blocking(false)?;
        let mut result = Ok(true);
        for _ in 0..MAX_READS {
            result = self.read_once();
            if !matches!(result, Ok(true)) {
                break;
            }
        }
        result?;
        self.blocking(true)
    }

    /// Waits at most `wait` for acknowledgements; returns how many lines they cover.
    pub(crate) fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        let deadline = Instant::now() + wait.min(Duration::from_secs(3600));
        let mut heard = self.hear();
        loop {
            let Some(acks) = &mut self.acks else { return heard.map(|()| 0) };
            let new = acks.take_new();
            if new > 0 {
                // What came before the end counts; the end is the next call's news.
                self.late = heard.err();
                return Ok(new);
            }
            heard?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !acks.are_due() {
                return Ok(0);
            }
            self.socket().set_read_timeout(Some(left)).map_err(|error| self.broken("reading from", error))?;
            heard = self.read_once().map(|_| ());
        }
    }

    /// Says goodbye and waits for the peer's, at most until `deadline`, so that
    /// nothing under way is lost to a reset.
    pub(crate) fn close(mut self, deadline: Instant) {
        // Whatever fails here, the connection ends all the same.
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            let _ = write_tls(stream, &[], deadline);
        }
        let _ = self.socket().shutdown(Shutdown::Write);
        let mut scratch = [0; 4096];
        for _ in 0..MAX_READS {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.socket().set_read_timeout(Some(left)).is_err() {
                break;
            }
            match self.socket().read(&mut scratch) {
                Ok(got) if got > 0 => {}
                _ => break,
            }
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    fn blocking(&self, blocking: bool) -> Result<(), TransportError> {
        self.socket().set_nonblocking(!blocking).map_err(|error| self.broken("using the connection to", error))
    }

    /// One read; false where nothing has come.
    fn read_once(&mut self) -> Result<bool, TransportError> {
        let mut scratch = [0; 4096];
        let got = match &mut self.stream {
            Stream::Plain(socket) => socket.read(&mut scratch),
            Stream::Tls(stream) => stream.conn.read_tls(&mut stream.sock),
        };
        match got {
            Ok(0) => return Err(self.gone()),
            Ok(_) => {}
            Err(error) => {
                return match error.kind() {
                    Io::WouldBlock | Io::TimedOut => Ok(false),
                    Io::Interrupted => Ok(true),
                    _ => Err(self.broken("reading from", error)),
                };
            }
        }
        let Stream::Tls(stream) = &mut self.stream else {
            // A plaintext peer has nothing to say that we would read.
            return Ok(true);
        };
        let state = stream
            .conn
            .process_new_packets()
            .map_err(|error| logged(&self.endpoint, classify(&self.endpoint.to_string(), error)))?;
        // Ends with WouldBlock where no more has come, which is no news.
        while let Ok(got @ 1..) = stream.conn.reader().read(&mut scratch) {
            if let Some(acks) = &mut self.acks {
                acks.hear(&scratch[..got]).map_err(|what| {
                    TransportError::new(ErrorKind::Disconnected, format!("{} sent {what}", self.endpoint))
                })?;
            }
        }
        if state.peer_has_closed() { Err(self.gone()) } else { Ok(true) }
    }

    fn gone(&self) -> TransportError {
        TransportError::new(ErrorKind::Disconnected, format!("{} closed the connection", self.endpoint))
    }

    fn broken(&self, doing: &str, error: io::Error) -> TransportError {
        TransportError::from_io(format_args!("{doing} {}", self.endpoint), error)
    }
}

impl Stream {
    fn write(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        match self {
            Self::Plain(socket) => write_plain(socket, bytes, deadline),
            Self::Tls(stream) => write_tls(stream, bytes, deadline),
        }
    }
}

fn allow(socket: &TcpStream, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Io::TimedOut.into());
    }
    socket.set_write_timeout(Some(left))
}

fn write_plain(socket: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        allow(socket, deadline)?;
        match socket.write(bytes) {
            Ok(0) => return Err(Io::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == Io::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write_tls(stream: &mut ClientStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    loop {
        while stream.conn.wants_write() {
            allow(&stream.sock, deadline)?;
            match stream.conn.write_tls(&mut stream.sock) {
                Ok(0) => return Err(Io::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == Io::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let taken = stream.conn.writer().write(&bytes[..bytes.len().min(TLS_CHUNK)])?;
        bytes = &bytes[taken..];
    }
}
