//! The part of a start that reads records: those written after the last checkpoint.

use crate::disk::Disk;
use crate::planted;
use crate::recovery::{Damage, RepairStep};
use crate::scan::{Met, Scan};
use crate::segment::QUARANTINE;
use crate::state::SlotState;
use crate::survey::{Survey, read_header};

impl Survey {
    /// Scans from the checkpoint on; without one, a small log as a whole and of a large one the last segment.
    pub(crate) fn read_tail(&mut self, disk: &mut dyn Disk, chunk: usize, visit: &mut dyn FnMut(u64, &[u8])) {
        let last = self.segments.back().map_or(0, |segment| segment.ordinal);
        let (ordinal, offset) = match &self.state {
            Some(state) => (state.tail_ordinal, state.tail_offset),
            None if self.reads_all() => (0, 0),
            None => (last, 0),
        };
        let mut at = self.segments.partition_point(|segment| segment.ordinal < ordinal);
        while at < self.segments.len() && !planted::is("a start does not read the tail") {
            let offset = if self.segments[at].ordinal == ordinal { offset } else { 0 };
            if self.read_tail_of(disk, at, offset, chunk, visit) {
                at += 1;
            }
        }
        let highest = self.segments.iter().map(|segment| segment.first).max().unwrap_or(0);
        self.next = self.next.max(highest);
    }

    /// A process that was killed leaves what it wrote to the system, not to the disk. It counts as stored from now on,
    /// so it has to be.
    pub(crate) fn make_tail_safe(&self, disk: &mut dyn Disk) {
        if self.tail_records == 0 || planted::is("a start does not sync the tail") {
            return;
        }
        let from = self.state.as_ref().map_or(0, |state| state.tail_ordinal);
        let mut tail = self.segments.iter().filter(|segment| segment.ordinal >= from);
        let synced = tail.try_for_each(|segment| disk.sync_data(&segment.name).map(drop));
        if let Err(error) = synced.and_then(|()| disk.sync_dir()) {
            tracing::warn!(%error, "what the last run wrote at its end cannot be synced");
        }
    }

    /// `false` if the segment is none and was taken off the list.
    fn read_tail_of(
        &mut self,
        disk: &mut dyn Disk,
        at: usize,
        offset: u64,
        chunk: usize,
        visit: &mut dyn FnMut(u64, &[u8]),
    ) -> bool {
        let stop = self.segments.get(at + 1).map_or(u64::MAX, |next| next.first);
        let segment = &self.segments[at];
        let (name, first, len) = (segment.name.clone(), segment.first, segment.len);
        let on_disk = self.on_disk(&name).to_owned();
        if offset == 0 {
            self.meet_sinks(disk, &on_disk);
        }
        let from = if offset == 0 { first } else { self.next.max(first) };
        let mut scan = Scan::new(&on_disk, first, len, from, stop, offset.min(len), chunk);
        let mut good = offset > 0;
        loop {
            match scan.next_readable(disk) {
                Met::Record { offset, frame } => {
                    good = true;
                    self.segments[at].note(frame.position, offset);
                    self.next = self.next.max(frame.position + 1);
                    self.tail_records += 1;
                    self.tail_bytes += frame.content_len();
                    for slot in &mut self.slots {
                        let unsettled =
                            frame.position >= slot.settled && !planted::is("a start does not count the tail");
                        if frame.targets >> slot.named.slot & 1 == 1 && unsettled {
                            slot.records += 1;
                            slot.bytes += frame.content_len();
                        }
                    }
                    visit(frame.targets, &scan.content()[..frame.head_len as usize]);
                }
                Met::Damage { offset, bytes, records } => self.note(at, offset, bytes, records),
                Met::BadEnd { offset, bytes } => return self.end(at, offset, bytes, scan.expected, good),
                Met::End if good || len > 0 => return true,
                Met::End => {
                    self.segments.remove(at);
                    self.next = self.next.max(first);
                    self.steps.push(RepairStep::Remove { name, bytes: 0 });
                    return false;
                }
            }
        }
    }

    /// The segment ends in something that is no record.
    fn end(&mut self, at: usize, offset: u64, bytes: u64, expected: u64, good: bool) -> bool {
        let lost = match self.segments.get(at + 1) {
            // Where the next segment begins was known when it was made.
            Some(next) => next.first.saturating_sub(expected),
            None => {
                self.torn_bytes += bytes;
                0
            }
        };
        if good || offset > 0 {
            let segment = &mut self.segments[at];
            let name = segment.name.clone();
            if lost > 0 {
                // Kept as it is: evidence.
                self.note(at, offset, bytes, lost);
                return true;
            }
            let from = segment.len;
            segment.len = offset;
            self.steps.push(RepairStep::Truncate { name, from, to: offset });
            return true;
        }
        // Nothing in it can be read, not even the header.
        if let Some(segment) = self.segments.remove(at) {
            let known = self.segments.get(at).map_or(segment.first, |next| next.first);
            // Of an unfinished last segment nobody knows how much was in it:
            // a record takes at least its header.
            let at_most =
                if known > segment.first { known - segment.first } else { bytes / crate::frame::HEADER as u64 };
            self.damage.push(Damage { segment: segment.name.clone(), offset, bytes, records_at_most: at_most });
            let to = format!("{}{QUARANTINE}", segment.name);
            let reason = "no record in it can be read".to_owned();
            self.next = self.next.max(segment.first);
            self.steps.push(RepairStep::Quarantine { name: segment.name, to, bytes, reason });
        }
        false
    }

    /// Sinks that were registered after the checkpoint stand in the header.
    fn meet_sinks(&mut self, disk: &mut dyn Disk, name: &str) {
        let Some(header) = read_header(disk, name) else { return };
        for named in header.slots {
            match self.slots.iter_mut().find(|slot| slot.named.slot == named.slot) {
                Some(known) if known.named.name == named.name => {}
                Some(other) => *other = SlotState::begun(named),
                None => self.slots.push(SlotState::begun(named)),
            }
        }
    }

    fn note(&mut self, at: usize, offset: u64, bytes: u64, records: u64) {
        let segment = &mut self.segments[at];
        segment.damaged_at.push(offset);
        self.damage.push(Damage { segment: segment.name.clone(), offset, bytes, records_at_most: records });
    }
}
