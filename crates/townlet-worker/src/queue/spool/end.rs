//! The end of a run: what memory holds goes to the log, or is counted.

use std::collections::VecDeque;

use townlet_spill::Position;

use super::{Ending, Queue, Waiting};
use crate::{DropReason, planted};

impl Queue {
    /// At the end: what memory holds goes to the log, in order; what is there
    /// already counts as spilled, or waits for its commit.
    pub(crate) fn spool_all(&mut self) {
        let Some(spool) = &mut self.spool else { return };
        if spool.end == Ending::Open {
            spool.end = Ending::Storing;
        }
        let given_up = spool.given_up;
        let mut unstored = VecDeque::with_capacity(self.taken.len() + self.ready.len());
        let mut uncommitted = VecDeque::new();
        for taken in std::mem::take(&mut self.taken) {
            let (stream, seq, position) = (taken.stream, taken.seq, taken.position);
            match (taken.copy, position.filter(|position| given_up < Some(*position))) {
                (Some(_), None) if planted::is("at the end what is in flight counts as stored") => {
                    if let Some(spool) = &mut self.spool {
                        spool.spilled += 1;
                    }
                }
                (Some(frame), None) => {
                    unstored.push_back(Waiting { stream, seq, frame: *frame, position: None, tried: true })
                }
                (Some(frame), Some(_)) if !self.is_committed(position) => {
                    uncommitted.push_back(Waiting { stream, seq, frame: *frame, position, tried: true });
                }
                (_, Some(position)) => self.count_spilled(position, stream, seq),
                // Only the transport has it.
                (None, None) => self.drop_one(stream, seq, DropReason::UnackedAtShutdown),
            }
        }
        self.taken_bytes = 0;
        for ready in std::mem::take(&mut self.ready) {
            match ready.position.filter(|position| given_up < Some(*position)) {
                None => unstored.push_back(Waiting { position: None, ..ready }),
                Some(position) if self.is_committed(ready.position) => {
                    self.count_spilled(position, ready.stream, ready.seq);
                }
                Some(_) => uncommitted.push_back(ready),
            }
        }
        (self.ready_bytes, self.ready_states) = (0, 0);
        if let Some(spool) = &mut self.spool {
            spool.bytes += unstored.iter().chain(&uncommitted).map(|w| w.frame.len()).sum::<usize>();
            // What the log has is older than what waits for a place in it; an appending
            // frame is with the spooler already, so these come last in the log.
            while let Some(last) = uncommitted.pop_back() {
                spool.kept_to_the_end.extend(last.position);
                spool.appending.push_front(last);
            }
            spool.older = unstored.len();
            while let Some(last) = unstored.pop_back() {
                spool.spooling.push_front(last);
            }
        }
    }

    fn is_committed(&self, position: Option<Position>) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.has(position))
    }

    fn count_spilled(&mut self, position: Position, stream: u32, seq: u64) {
        if let Some(spool) = &mut self.spool {
            spool.spilled += 1;
            spool.given_back.push_back((position, stream, seq));
        }
    }

    /// At the very end: what no commit came for is lost.
    pub(crate) fn abandon_spool(&mut self, reason: DropReason) {
        let Some(spool) = &mut self.spool else { return };
        let uncommitted = std::mem::take(&mut spool.uncommitted);
        let mut left = std::mem::take(&mut spool.appending);
        left.append(&mut spool.spooling);
        spool.bytes = 0;
        spool.end = Ending::Over;
        for waiting in left {
            self.drop_one(waiting.stream, waiting.seq, reason);
        }
        for entry in uncommitted {
            if let Some(level) = entry.delivered {
                self.end_receipt(entry.stream, entry.seq, level);
            }
        }
        self.end_receipts();
    }
}
