//! What the spooler does with the log: append, shed, commit, read back, checkpoint.

use std::time::Duration;

use townlet_spill::{Entry, ErrorKind, ShedRecord};
use townlet_transport::Frame;

use super::{ACCOUNT_EVERY, RETRY, Spooler, account_of, frame, head};
use crate::DropReason;
use crate::planted;
use crate::queue::Appended;

impl Spooler {
    pub(super) fn append(&mut self, now: Duration, index: usize) {
        let errand = std::mem::take(&mut self.seats[index].errand);
        let (mut count, mut bytes) = errand.keep;
        for (stream, frame) in &errand.frames {
            if self.streams.get(frame.label()) != Some(stream) {
                self.streams.insert(frame.label().clone(), *stream);
            }
            let fits = count > 0 && bytes >= frame.len();
            let answer = self.append_one(now, index, frame, fits);
            if matches!(answer, Appended::Kept(_) | Appended::Passed) {
                count -= 1;
                bytes -= frame.len();
            }
            self.seats[index].answers.push(answer);
        }
        self.seats[index].errand.restore = errand.restore;
        self.seats[index].errand.keep = (count, bytes);
    }

    fn append_one(&mut self, now: Duration, index: usize, frame: &Frame, keep: bool) -> Appended {
        let slot = self.seats[index].slot;
        // What is sent from memory all the same would pile up there for as long as the disk takes nothing.
        if keep && self.is_stuffed() && self.seats[index].waits.is_empty() && self.spill.is_caught_up(slot) {
            return Appended::Passed;
        }
        // A log is a peer of which nothing is known, and that outlives every base.
        let whole = frame.state().map(|_| frame.whole());
        let frame = whole.as_ref().unwrap_or(frame);
        head::encode(frame, &mut self.head);
        let head = std::mem::take(&mut self.head);
        let mut appended = self.spill.append(now, slot.bit(), &head, frame.line());
        if let Err(error) = &appended
            && error.kind() == ErrorKind::Cap
        {
            // A quarter of a segment at least, so that it is not done for each record.
            self.shed(now, (head.len() + frame.len()) as u64 + 4096);
            appended = self.spill.append(now, slot.bit(), &head, frame.line());
        }
        self.head = head;
        match appended {
            Ok(position) if keep && self.spill.skip_read(slot, position) => Appended::Kept(position),
            Ok(position) => {
                self.seats[index].waits.push_back(position);
                Appended::Waits(position)
            }
            Err(error) if error.kind() == ErrorKind::TooLarge => Appended::Refused(DropReason::Oversize),
            Err(error) => {
                self.note_error(&error);
                Appended::Refused(DropReason::SpillFull)
            }
        }
    }

    /// Gives up the oldest on disk, for room or for age.
    fn shed(&mut self, now: Duration, room: u64) {
        let (seats, streams) = (&mut self.seats, &self.streams);
        let visit = |record: ShedRecord<'_>| {
            for seat in seats.iter_mut().filter(|seat| record.owing & seat.slot.bit() != 0) {
                let (stream, seq) = account_of(streams, seat.recovered, record.head);
                seat.waits.retain(|position| *position != record.position);
                seat.dropped.push((stream, seq, record.position, DropReason::SpillShed));
            }
            for seat in seats.iter_mut().filter(|seat| record.held & seat.slot.bit() != 0) {
                seat.given_up = seat.given_up.max(Some(record.position));
            }
        };
        match self.spill.shed(now, room, visit) {
            Ok(shed) if shed.segments > 0 => {
                tracing::warn!(segments = shed.segments, records = shed.records, "telemetry_spill_shed");
                self.touched = true;
                self.account_at = Duration::ZERO;
            }
            Ok(_) => {}
            Err(error) => self.note_error(&error),
        }
    }

    pub(super) fn sweep(&mut self, now: Duration) {
        if now >= self.swept_at + ACCOUNT_EVERY {
            self.swept_at = now;
            self.shed(now, 0);
        }
        for damage in self.spill.take_damage() {
            self.status.damaged_total = self.status.damaged_total.saturating_add(damage.records_at_most);
            tracing::error!(?damage, "telemetry_spill_damaged");
        }
    }

    pub(super) fn commit(&mut self, now: Duration, at_once: bool) {
        if self.retry_at.is_some_and(|at| now < at && !at_once) {
            return self.rescue();
        }
        if !at_once && self.retry_at.is_none() && self.spill.commit_due(now) != Some(Duration::ZERO) {
            return;
        }
        self.status.commits_total += 1;
        if !self.commit_now(now) {
            self.rescue();
        }
    }

    /// False where the disk takes nothing.
    fn commit_now(&mut self, now: Duration) -> bool {
        let committed = self.spill.commit(now);
        let goes_well = committed.is_ok();
        match committed {
            Ok(_) => {
                self.status.error = None;
                self.retry_at = None;
            }
            Err(_) if planted::is("a failed commit is believed to have worked") => {
                self.committed = Some(self.spill.status().next);
                self.seats.iter_mut().for_each(|seat| seat.waits.clear());
            }
            Err(error) => {
                self.note_error(&error);
                self.retry_at = Some(now + RETRY);
            }
        }
        if goes_well {
            self.catch_up();
        }
        goes_well
    }

    /// Takes note of what the log has committed by now: a checkpoint or shedding does that too.
    pub(super) fn catch_up(&mut self) {
        let end = self.spill.readable();
        self.committed = Some(end);
        for seat in &mut self.seats {
            while seat.waits.pop_front_if(|position| *position < end).is_some() {}
        }
    }

    /// The disk takes nothing: what may go on in memory does.
    fn rescue(&mut self) {
        for seat in &mut self.seats {
            seat.rescue(&mut self.spill);
        }
    }

    pub(super) fn read_back(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        let Some((count, bytes)) = seat.errand.restore.take() else { return };
        let mut entries: Vec<Entry> = Vec::new();
        let outcome = self.spill.read(seat.slot, count, bytes, &mut entries);
        let at_the_end = entries.is_empty() && outcome.is_ok();
        for Entry { position, head, body, .. } in entries {
            let (stream, _) = account_of(&self.streams, seat.recovered, &head);
            match frame(&mut self.labels, &self.streams, self.options.kinds, &head, body) {
                Some(frame) => seat.restored.push((stream, position, frame)),
                // Not ours: it stays settled with the next one, and is missed by `reconcile`.
                None => self.status.damaged_total += 1,
            }
        }
        let lost = self.spill.take_lost(seat.slot);
        seat.recount |= at_the_end || lost > 0;
        if planted::is("the log is counted before the last commit") && std::mem::take(&mut seat.recount) {
            let backlog = self.spill.backlog(seat.slot);
            seat.left = Some(backlog.records.saturating_sub(backlog.held + seat.waits.len() as u64));
        }
        if let Err(error) = outcome {
            self.note_error(&error);
        }
    }

    pub(super) fn checkpoint(&mut self, now: Duration, account: &[u8]) {
        self.account_at = now;
        self.touched = false;
        match self.spill.checkpoint(now, account) {
            Ok(()) => {
                self.status.error = None;
                self.retry_at = None;
            }
            Err(error) => {
                self.note_error(&error);
                self.touched = true;
            }
        }
        // Whether or not the rest was saved, it may have committed. Nothing is rescued here: what was read back in
        // this turn comes first.
        if !planted::is("a commit is noticed too late") || !self.touched {
            self.catch_up();
        }
    }
}
