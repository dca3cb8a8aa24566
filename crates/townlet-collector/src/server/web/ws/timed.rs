//! A connection under a WebSocket: no message takes for ever, however it trickles.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use super::super::super::wire::Wire;

pub(super) struct Timed {
    wire: Wire,
    limit: Duration,
    /// Since when a message has been coming in.
    begun: Option<Instant>,
    overdue: bool,
}

impl Timed {
    /// `limit`: from the first byte of a message to its last.
    pub(super) fn new(wire: Wire, limit: Duration) -> Self {
        Self { wire, limit, begun: None, overdue: false }
    }

    /// A message is whole: the next one has its own time.
    pub(super) fn message_came(&mut self) {
        self.begun = None;
    }

    /// True where the message that was begun had its time.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue
    }

    pub(super) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

impl Read for Timed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.begun.is_some_and(|begun| begun.elapsed() >= self.limit) {
            self.overdue = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.wire.read(out)?;
        if read > 0 {
            self.begun.get_or_insert_with(Instant::now);
        }
        Ok(read)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}
