//! A connection under a WebSocket: no message takes for ever, however it trickles,
//! and none is gathered for which there is no room.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use super::super::super::budget::Share;
use super::super::super::wire::Wire;
use super::frames::Frames;

/// So much of a message takes nothing of the budget, so that a producer of few
/// lines at a time is never turned away by those who bring much.
const FREE: usize = 64 * 1024;

pub(super) struct Timed {
    wire: Wire,
    limit: Duration,
    frames: Frames,
    share: Share,
    /// Since when a message has been coming in.
    begun: Option<Instant>,
    stuck: Option<Stuck>,
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// The message that was begun had its time.
    Overdue,
    /// There is no room for the message that was begun.
    NoRoom,
}

impl Timed {
    /// `limit`: from the first byte of a message to its last, whatever comes between.
    /// `ahead`: what was read before.
    pub(super) fn new(wire: Wire, limit: Duration, share: Share, ahead: &[u8]) -> Self {
        let mut timed = Self { wire, limit, frames: Frames::default(), share, begun: None, stuck: None };
        timed.took(ahead);
        timed
    }

    /// A message was worked off, and no other one was read meanwhile: what was begun
    /// of the next one has its own time.
    pub(super) fn message_done(&mut self) {
        self.begun = self.begun.map(|_| Instant::now());
        self.share.shrink(self.frames.gathered().saturating_sub(FREE));
    }

    /// True where nothing is begun and every message that was read has been handed
    /// out: so many of them, pings and their like among them.
    pub(super) fn is_between(&self, handed_out: u64) -> bool {
        !self.frames.is_begun() && self.frames.whole() == handed_out
    }

    pub(super) fn stuck(&self) -> Option<Stuck> {
        self.stuck
    }

    pub(super) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn took(&mut self, bytes: &[u8]) {
        let fresh = self.frames.take(bytes);
        self.begun = match self.begun {
            _ if !self.frames.is_begun() => None,
            Some(begun) if !fresh => Some(begun),
            _ => Some(Instant::now()),
        };
        let more = self.frames.gathered().saturating_sub(FREE).saturating_sub(self.share.held());
        if !self.share.grow(more) {
            self.stuck = Some(Stuck::NoRoom);
        }
    }
}

impl Read for Timed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.begun.is_some_and(|begun| begun.elapsed() >= self.limit) {
            self.stuck.get_or_insert(Stuck::Overdue);
        }
        if self.stuck.is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.wire.read(out)?;
        self.took(&out[..read]);
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
