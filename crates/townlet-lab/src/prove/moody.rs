//! A sink in memory that misbehaves, and remembers what it really took.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use townlet_transport::{Connected, ErrorKind, Frame, Level, Outcome, SendError, Transport, TransportError};

use super::gate::Gate;
use crate::dice::Dice;

/// How a sink behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Takes everything at once.
    Healthy,
    /// Takes up to so long for each call.
    Slow(Duration),
    /// Takes a few batches, then hangs in some call for so long, again and again.
    Hangs(Duration),
    /// Cannot be reached.
    Refuses,
    /// Loses its connection in so many of a hundred sends, part of the batch taken.
    Fails(u64),
    /// Panics in so many of a hundred calls.
    Panics(u64),
    /// Refuses so many of a hundred batches at one frame, for ever.
    Rejects(u64),
    /// Acknowledges later, one part after the other, and sometimes never.
    Acknowledges,
    /// Its reader goes away after so many batches.
    Leaves(u64),
    /// The transport cannot even be built.
    Unbuildable,
}

/// What a sink did, seen from outside of the pipeline.
#[derive(Debug, Default)]
pub(super) struct Truth {
    taken: AtomicU64,
    /// Opened when nothing needs to hang any longer.
    pub(super) over: Gate,
}

impl Truth {
    /// Frames that were taken before the pipeline was told so; those that came twice count twice.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }
}

/// The transport of one mood.
#[derive(Debug)]
pub(super) struct Moody {
    mood: Mood,
    dice: Dice,
    truth: Arc<Truth>,
    open: bool,
    sends: u64,
    unacked: usize,
}

impl Moody {
    /// As a sink's factory makes it.
    pub(super) fn build(mood: Mood, dice: Dice, truth: Arc<Truth>) -> Result<Box<dyn Transport>, TransportError> {
        if mood == Mood::Unbuildable {
            return Err(error(ErrorKind::Misconfigured));
        }
        Ok(Box::new(Self { mood, dice, truth, open: false, sends: 0, unacked: 0 }))
    }

    /// What any call may suffer.
    fn suffer(&mut self) {
        match self.mood {
            Mood::Slow(longest) => {
                let wait = self.dice.up_to(longest);
                self.truth.over.pass(wait);
            }
            Mood::Hangs(wait) if self.sends >= 2 => {
                self.truth.over.pass(wait);
            }
            // Not `panic!`: the hook would print each of thousands.
            Mood::Panics(n) if self.dice.per_cent(n) => resume_unwind(Box::new("planned")),
            _ => {}
        }
    }

    fn lose(&mut self, taken: usize, settled: usize, kind: ErrorKind) -> Result<Outcome, SendError> {
        self.take(taken);
        (self.open, self.unacked) = (false, 0);
        Err(SendError::after(settled, error(kind)))
    }

    fn take(&self, frames: usize) {
        self.truth.taken.fetch_add(frames as u64, Ordering::AcqRel);
    }
}

fn error(kind: ErrorKind) -> TransportError {
    TransportError::new(kind, "planned")
}

impl Transport for Moody {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        if self.open {
            return Ok(Connected::reused("moody", self.level(), false));
        }
        self.suffer();
        if self.mood == Mood::Refuses {
            return Err(error(ErrorKind::Unavailable));
        }
        self.open = true;
        Ok(Connected::fresh("moody", self.level(), false))
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        self.sends += 1;
        self.suffer();
        let part = self.dice.within(0..=batch.len() as u64) as usize;
        match self.mood {
            Mood::Hangs(_) if self.sends > 2 => return self.lose(part, 0, ErrorKind::Timeout),
            Mood::Fails(n) if self.dice.per_cent(n) => {
                // What was taken beyond what is certain will come again.
                let settled = self.dice.within(0..=part as u64) as usize;
                return self.lose(part, settled, ErrorKind::Disconnected);
            }
            Mood::Rejects(n) if self.dice.per_cent(n) && part < batch.len() => {
                self.take(part);
                return Err(SendError::after(part, error(ErrorKind::Rejected)));
            }
            Mood::Leaves(after) if self.sends > after => return self.lose(0, 0, ErrorKind::Closed),
            _ => {}
        }
        self.take(batch.len());
        if self.mood == Mood::Acknowledges {
            self.unacked += batch.len();
            return Ok(Outcome::Pending);
        }
        Ok(Outcome::Settled(Level::Sent))
    }

    fn receipts(&mut self, wait: Duration) -> Result<usize, TransportError> {
        if self.unacked == 0 {
            return Ok(0);
        }
        let nap = self.dice.up_to(wait.min(Duration::from_millis(5)));
        self.truth.over.pass(nap);
        if self.dice.per_cent(3) {
            (self.open, self.unacked) = (false, 0);
            return Err(error(ErrorKind::Disconnected));
        }
        let acked = self.dice.within(0..=self.unacked as u64) as usize;
        self.unacked -= acked;
        Ok(acked)
    }

    fn flush(&mut self) -> Result<(), TransportError> {
        self.suffer();
        Ok(())
    }

    fn close(&mut self) {
        if self.open {
            self.suffer();
        }
        (self.open, self.unacked) = (false, 0);
    }
}

impl Moody {
    fn level(&self) -> Level {
        if self.mood == Mood::Acknowledges { Level::PeerAcked } else { Level::Sent }
    }
}
