//! The transport, generic over where it writes.

use std::fmt;
use std::io::{self, Write};

use townlet_transport::{Connected, ErrorKind, Frame, Level, Outcome, SendError, Transport, TransportError};

use crate::{Output, StandardOutput};

/// Beyond this a batch buffer is given back after use.
const KEEP_BYTES: usize = 256 * 1024;

/// Writes frames to standard output or to another [`Output`].
pub struct StdoutTransport<O = StandardOutput> {
    output: O,
    open: bool,
    /// True once the reader is gone: nothing can be delivered any more.
    closed: bool,
    torn: Option<Torn>,
    buffer: Vec<u8>,
}

/// A line of which a part is out.
struct Torn {
    frame: Frame,
    written: usize,
}

impl StdoutTransport {
    /// A transport to the standard output of this process. Writes nothing yet.
    pub fn new() -> Self {
        Self::to_writer(StandardOutput)
    }
}

impl Default for StdoutTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl<O: Output> StdoutTransport<O> {
    /// A transport to another output, such as any unbuffered `Write`.
    pub fn to_writer(output: O) -> Self {
        Self { output, open: false, closed: false, torn: None, buffer: Vec::new() }
    }

    /// What it writes to.
    pub fn output(&self) -> &O {
        &self.output
    }

    fn failure(&mut self, error: io::Error) -> TransportError {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                self.closed = true;
                ended(Some(error))
            }
            _ => TransportError::from_io("writing to standard output", error),
        }
    }

    /// Fills the buffer with what has to be written for `batch`; returns how
    /// much of that completes a line which is not part of it, and how much of
    /// its first line is out already.
    fn gather(&mut self, batch: &[Frame]) -> (usize, usize) {
        self.buffer.clear();
        let (mut foreign, mut ahead) = (0, 0);
        if let Some(torn) = &self.torn {
            let same = batch.first().is_some_and(|head| {
                head.label() == torn.frame.label() && head.seq() == torn.frame.seq() && head.line() == torn.frame.line()
            });
            if same {
                ahead = torn.written;
            } else {
                // The frame was given up, but half of its line is out: it is completed.
                self.buffer.extend_from_slice(&torn.frame.line()[torn.written..]);
                foreign = self.buffer.len();
            }
        }
        for (at, frame) in batch.iter().enumerate() {
            self.buffer.extend_from_slice(&frame.line()[if at == 0 { ahead } else { 0 }..]);
        }
        (foreign, ahead)
    }

    /// Notes where the output stands after `written` bytes of the buffer;
    /// returns how many frames of `batch` are out whole.
    fn settle(&mut self, batch: &[Frame], (foreign, ahead): (usize, usize), written: usize) -> usize {
        if written < foreign {
            if let Some(torn) = &mut self.torn {
                torn.written += written;
            }
            return 0;
        }
        self.torn = None;
        let mut left = written - foreign + ahead;
        for (whole, frame) in batch.iter().enumerate() {
            if left < frame.len() {
                if left > 0 {
                    self.torn = Some(Torn { frame: frame.clone(), written: left });
                }
                return whole;
            }
            left -= frame.len();
        }
        batch.len()
    }
}

fn ended(cause: Option<io::Error>) -> TransportError {
    let message = "the reader of standard output is gone: nothing more can be delivered there";
    match cause {
        Some(cause) => TransportError::with_source(ErrorKind::Closed, message, cause),
        None => TransportError::new(ErrorKind::Closed, message),
    }
}

fn write_all(out: &mut dyn Write, mut bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(some) => {
                *written += some;
                bytes = &bytes[some..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    out.flush()
}

impl<O: Output> Transport for StdoutTransport<O> {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        if self.closed {
            return Err(ended(None));
        }
        let fresh = !std::mem::replace(&mut self.open, true);
        Ok(if fresh {
            Connected::fresh("stdout", Level::Sent, false)
        } else {
            Connected::reused("stdout", Level::Sent, false)
        })
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        if self.closed {
            return Err(ended(None).into());
        }
        if !self.open {
            let message = "standard output is not open: connect first";
            return Err(TransportError::new(ErrorKind::Disconnected, message).into());
        }
        let offsets = self.gather(batch);
        let buffer = std::mem::take(&mut self.buffer);
        let mut written = 0;
        let result = self.output.exclusively(&mut |out| write_all(out, &buffer[written..], &mut written));
        if buffer.capacity() <= KEEP_BYTES {
            self.buffer = buffer;
        }
        let settled = self.settle(batch, offsets, written);
        match result {
            Ok(()) => Ok(Outcome::Settled(Level::Sent)),
            Err(error) => Err(SendError::after(settled, self.failure(error))),
        }
    }

    fn flush(&mut self) -> Result<(), TransportError> {
        if self.closed {
            return Err(ended(None));
        }
        self.output.exclusively(&mut |out| out.flush()).map_err(|error| self.failure(error))
    }

    fn close(&mut self) {
        self.open = false;
    }
}

impl<O> fmt::Debug for StdoutTransport<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdoutTransport")
            .field("open", &self.open)
            .field("closed", &self.closed)
            .field("torn", &self.torn.is_some())
            .finish_non_exhaustive()
    }
}
