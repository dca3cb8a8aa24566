//! Checkpoints: where the next start begins to read, and what may be removed.

use std::time::Duration;

use crate::error::{ErrorKind, SpillError};
use crate::log::Spill;
use crate::options::FsyncPolicy;
use crate::planted;
use crate::sink::{Sink, SinkSlot};
use crate::state::{MAX_EXTRA, SlotState, State};

impl Spill {
    /// Whether a checkpoint is worth its sync: enough was appended, a segment
    /// was begun or can be removed.
    pub fn checkpoint_due(&self) -> bool {
        let settled = self.settled_by_all();
        self.since_checkpoint >= self.options.checkpoint_bytes
            || self.rolled
            || !self.leavings.is_empty()
            || (self.segments.len() > 1 && self.end_of(0) <= settled)
    }

    /// Commits, then saves cursors, figures and `extra` (at most 64 KiB, the
    /// caller's account at this moment) as one, then removes segments
    /// that no sink needs.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge) for `extra`, [`Full`](ErrorKind::Full), [`Io`](ErrorKind::Io). If
    /// the commit failed, its error is returned after the rest was saved: then
    /// records from [`durable`](Self::durable) on are in memory only, and a full disk has
    /// got back what could be removed.
    pub fn checkpoint(&mut self, now: Duration, extra: &[u8]) -> Result<(), SpillError> {
        if extra.len() > MAX_EXTRA {
            let what = format!("an account of {} bytes; the spill stores at most {MAX_EXTRA}", extra.len());
            return Err(SpillError::new(ErrorKind::TooLarge, what));
        }
        let committed = self.commit_as(now, true);
        self.advance_idle();
        self.leave_settled();
        let state = self.state(extra).encode();
        if planted::is("segments go before the checkpoint that lets them") {
            self.remove_leavings();
        }
        let saved = self.two_slot.save(self.disk.as_mut(), &state);
        self.stuck = match saved {
            Ok(_) => 0,
            Err(_) => self.leavings.iter().map(|segment| segment.len).sum(),
        };
        self.window.measured(saved?);
        (self.since_checkpoint, self.rolled) = (0, false);
        self.remove_leavings();
        committed.map(|_| ())
    }

    /// Below this position nobody needs anything.
    pub(crate) fn settled_by_all(&self) -> u64 {
        self.sinks.iter().map(|sink| sink.settled).min().unwrap_or(self.readable)
    }

    /// A sink that nothing is left for on disk must not hold segments of others.
    fn advance_idle(&mut self) {
        let slots: Vec<SinkSlot> = self.sinks().map(|(_, slot)| slot).collect();
        for slot in slots {
            let waiting = self.waiting_for(slot).0;
            let Some(sink) = self.sinks.get_mut(slot) else { continue };
            if sink.exact && sink.unread() == waiting && sink.cursor.at < self.readable {
                sink.move_to(self.readable);
            }
            sink.advance();
        }
    }

    fn leave_settled(&mut self) {
        let settled = self.settled_by_all();
        while !self.segments.is_empty() && self.end_of(0) <= settled {
            if self.segments.len() == 1 && self.active {
                break;
            }
            if let Some(segment) = self.segments.pop_front() {
                self.total -= segment.len;
                self.leavings.push(segment);
            }
        }
    }

    fn remove_leavings(&mut self) {
        for segment in std::mem::take(&mut self.leavings) {
            let done = match segment.damaged_at.is_empty() {
                true => self.disk.remove(&segment.name),
                false => self.set_aside(&segment.name),
            };
            match done {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(segment = segment.name, %error, "cannot be removed yet");
                    self.leavings.push(segment);
                }
                _ => {}
            }
        }
    }

    fn state(&self, extra: &[u8]) -> State {
        let tail =
            self.segments.back().map(|last| (last.ordinal, if self.active { self.synced_len } else { last.len }));
        let (tail_ordinal, mut tail_offset) = tail.unwrap_or((self.next_ordinal, 0));
        if planted::is("a checkpoint points behind what is to come") {
            tail_offset += 200;
        }
        State {
            first_ordinal: self.segments.front().map_or(self.next_ordinal, |front| front.ordinal),
            next_ordinal: self.next_ordinal,
            next: if planted::is("a checkpoint counts what is not written") {
                self.pending.next()
            } else {
                self.safe()
            },
            tail_ordinal,
            tail_offset,
            slots: self.sinks.iter().map(|sink| self.slot_state(sink)).collect(),
            extra: extra.to_vec(),
        }
    }

    /// As safe as the policy makes it.
    fn safe(&self) -> u64 {
        if self.options.fsync == FsyncPolicy::Never { self.readable } else { self.durable }
    }

    /// Without what is in memory only, and without what was shed from under the caller.
    fn slot_state(&self, sink: &Sink) -> SlotState {
        let bit = 1 << sink.named.slot;
        let waiting = self.pending.from(sink.settled).iter().filter(|record| record.targets & bit != 0);
        let shed = sink.held.iter().take_while(|(position, _)| *position < sink.settled);
        let absent = waiting.map(|record| record.content).chain(shed.map(|(_, bytes)| *bytes));
        let (mut records, bytes) = absent.fold((0u64, 0u64), |(records, sum), bytes| (records + 1, sum + bytes));
        if planted::is("a checkpoint counts records in memory as on disk") {
            records = 0;
        }
        let settled = match planted::is("a checkpoint saves the cursor as settled") {
            true => sink.cursor.at.min(self.safe()),
            false => sink.settled.min(self.safe()),
        };
        let at = self.segments.partition_point(|segment| segment.first <= settled).checked_sub(1);
        let place = at.map(|at| (self.segments[at].ordinal, self.segments[at].place_before(settled)));
        let (hint_ordinal, (hint_position, hint_offset)) = place.unwrap_or_default();
        SlotState {
            named: sink.named.clone(),
            settled,
            records: sink.records.saturating_sub(records),
            bytes: sink.bytes.saturating_sub(bytes),
            exact: sink.exact,
            hint_ordinal,
            hint_position,
            hint_offset,
        }
    }
}
