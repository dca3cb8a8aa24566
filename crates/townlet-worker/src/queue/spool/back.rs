//! From disk back to memory, and what damage and shedding take on the way.

use townlet_spill::Position;
use townlet_transport::Frame;

use super::{Ending, Queue, Waiting};
use crate::{DropReason, planted};

impl Queue {
    /// How much may be read back now: memory is nearly empty and the log is not.
    pub(crate) fn room_to_restore(&self) -> Option<(usize, usize)> {
        let spool = self.spool.as_ref()?;
        let (count, bytes) = self.room_to_keep();
        let nearly_empty = count >= self.max_count.div_ceil(4) && bytes >= self.max_bytes / 4;
        if spool.spilled == 0 || !nearly_empty {
            return None;
        }
        let count = count.min(self.max_count.saturating_sub(self.len()));
        let bytes = bytes.min(self.max_bytes.saturating_sub(self.bytes()));
        if count > 0 && bytes > 0 {
            return Some((count, bytes));
        }
        // Memory is full of what a full disk does not take: one at a time is sent all the same, beyond the bound,
        // or the disk would never have room again.
        (self.ready.is_empty() && self.taken.is_empty()).then_some((1, 1))
    }

    /// Keeps places for what is read back; 0 when it is done.
    pub(crate) fn reserve(&mut self, places: (usize, usize)) {
        if let Some(spool) = &mut self.spool
            && !planted::is("no room is kept for what is read back")
        {
            spool.reserved = places;
        }
    }

    /// A frame has come back from the log; `stream` is the one of its account.
    pub(crate) fn restore(&mut self, stream: u32, position: Position, frame: Frame) {
        let Some(spool) = &mut self.spool else { return };
        if spool.end != Ending::Open {
            // It stays where it was, for the next run; to the log it is read and not settled.
            if spool.given_back.len() as u64 >= spool.spilled {
                return;
            }
            if spool.given_up < Some(position) {
                let at = spool.given_back.partition_point(|(known, ..)| *known < position);
                spool.given_back.insert(at, (position, stream, frame.seq()));
            } else {
                // It was shed in the turn that read it.
                spool.spilled -= 1;
                self.drop_one(stream, frame.seq(), DropReason::SpillShed);
            }
            return;
        }
        if spool.spilled == 0 {
            // The log did not know how much it had: it is on the books from now on.
            self.ledger.accept_many(stream, 1);
        } else {
            spool.spilled -= 1;
        }
        let seq = frame.seq();
        self.came_ready(&frame);
        self.ready.push_back(Waiting { stream, seq, frame, position: Some(position), tried: false });
        self.peak = self.peak.max(self.len());
        self.bytes_peak = self.bytes_peak.max(self.bytes());
    }

    /// The log held this much when it was opened.
    pub(crate) fn recover(&mut self, stream: u32, events: u64) {
        if let Some(spool) = &mut self.spool {
            spool.spilled += events;
            self.ledger.accept_many(stream, events);
        }
    }

    /// The event at `position` of the log is gone, for `reason`.
    pub(crate) fn drop_spilled(&mut self, stream: u32, seq: u64, position: Position, reason: DropReason) {
        let Some(spool) = &mut self.spool else { return };
        // It may not have been told yet that it was committed.
        let at = spool.at(position).filter(|_| !planted::is("a shed record stays on its way"));
        if let Some(waiting) = at.and_then(|at| spool.appending.remove(at)) {
            spool.bytes -= waiting.frame.len();
            self.drop_one(waiting.stream, waiting.seq, reason);
        } else if spool.spilled > 0 {
            spool.spilled -= 1;
            self.drop_one(stream, seq, reason);
        }
    }

    /// The log has given up everything up to `through`, also what memory holds.
    pub(crate) fn give_up(&mut self, through: Position) {
        let Some(spool) = &mut self.spool else { return };
        spool.given_up = spool.given_up.max(Some(through));
        if spool.end == Ending::Open || planted::is("what is shed at the end counts as stored") {
            return;
        }
        // Memory has given it back meanwhile: nobody has it any more.
        let mut gone = Vec::new();
        while let Some((_, stream, seq)) = spool.given_back.pop_front_if(|(position, ..)| *position <= through) {
            spool.spilled = spool.spilled.saturating_sub(1);
            gone.push((stream, seq));
        }
        while let Some(waiting) = spool.appending.pop_front_if(|w| w.position.is_some_and(|at| at <= through)) {
            spool.bytes -= waiting.frame.len();
            gone.push((waiting.stream, waiting.seq));
        }
        for (stream, seq) in gone {
            self.drop_one(stream, seq, DropReason::SpillShed);
        }
    }

    /// The log has `left` events for this sink, whatever the books thought.
    pub(crate) fn reconcile(&mut self, stream: u32, left: u64) {
        let Some(spool) = &mut self.spool else { return };
        let given_back = match planted::is("what memory gave back at the end is missed") {
            true => 0,
            false => spool.given_back.len() as u64,
        };
        let missing = spool.spilled.saturating_sub(left + given_back);
        spool.spilled -= missing;
        self.ledger.drop_many(stream, DropReason::SpillDamaged, missing);
    }

    /// At the very end: a sync failed, and what it was to make safe goes with the
    /// process. What waits for its commit is still counted as that.
    pub(crate) fn unstored(&mut self, stream: u32, positions: &[Position]) {
        let Some(spool) = &mut self.spool else { return };
        if planted::is("at the end nobody asks what was stored") {
            return;
        }
        let gone = positions.iter().filter(|position| spool.at(**position).is_none()).count() as u64;
        let gone = gone.min(spool.spilled);
        spool.spilled -= gone;
        self.ledger.drop_many(stream, DropReason::UndeliveredAtShutdown, gone);
    }
}
