//! Reading for one sink, in order, with a bounded buffer.

use bytes::Bytes;

use crate::error::SpillError;
use crate::log::{Position, Spill};
use crate::recovery::Damage;
use crate::scan::{Met, Scan};
use crate::sink::SinkSlot;

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log.
    pub position: Position,
    /// The sinks that it was for.
    pub targets: u64,
    /// What tells it from others.
    pub head: Bytes,
    /// What it is.
    pub body: Bytes,
}

enum Next {
    Record(Entry),
    Passed,
    End,
}

impl Spill {
    /// Appends to `into` the next committed records for the sink: at most `max_records`, and no more once their heads
    /// and bodies reach `max_bytes`. Returns how many; 0 at the end.
    ///
    /// Memory: the records returned, and a buffer of `read_buffer` bytes, or of
    /// the largest record. Damage is passed: see [`take_damage`](Self::take_damage).
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) where the disk cannot be read; records before it are in `into`. After
    /// three attempts at one place the block there is given up as damaged.
    pub fn read(
        &mut self,
        slot: SinkSlot,
        max_records: usize,
        max_bytes: usize,
        into: &mut Vec<Entry>,
    ) -> Result<usize, SpillError> {
        let (mut count, mut bytes) = (0, 0);
        let waiting = self.waiting_for(slot);
        while count < max_records && (count == 0 || bytes < max_bytes) {
            match self.read_on(slot, waiting)? {
                Next::Record(entry) => {
                    count += 1;
                    bytes += entry.head.len() + entry.body.len();
                    into.push(entry);
                }
                Next::Passed => {}
                Next::End => break,
            }
        }
        Ok(count)
    }

    /// Places of the sink's unsettled records that are in memory and in no file:
    /// not written so far, or written to a file whose sync failed. A process
    /// that ends now takes them with it.
    pub fn in_memory(&self, slot: SinkSlot) -> impl Iterator<Item = Position> {
        let settled = self.sinks.get(slot).map_or(u64::MAX, |sink| sink.settled);
        let from = self.pending.written_to().max(settled);
        let records = self.pending.from(from).iter().zip(from..);
        records.filter(move |(record, _)| record.targets & slot.bit() != 0).map(|(_, position)| Position(position))
    }

    /// Records of the sink that nobody can read yet, and their bytes.
    pub(crate) fn waiting_for(&self, slot: SinkSlot) -> (u64, u64) {
        let Some(sink) = self.sinks.get(slot) else { return (0, 0) };
        let waiting = self.pending.from(self.readable.max(sink.cursor.at));
        let mine = waiting.iter().filter(|record| record.targets & slot.bit() != 0);
        mine.fold((0, 0), |(records, bytes), record| (records + 1, bytes + record.content))
    }

    fn read_on(&mut self, slot: SinkSlot, waiting: (u64, u64)) -> Result<Next, SpillError> {
        let Some(sink) = self.sinks.get(slot) else { return Ok(Next::End) };
        let (at, exact, unread) = (sink.cursor.at, sink.exact, sink.unread());
        if at >= self.readable {
            if let Some(sink) = self.sinks.get_mut(slot) {
                sink.cursor.scan = None;
                sink.reached_end(waiting.0, waiting.1);
            }
            return Ok(Next::End);
        }
        if exact && unread == waiting.0 {
            // What is left on disk is for others.
            return Ok(self.move_on(slot, self.readable));
        }
        let (ordinal, mut scan) = match self.sinks.get_mut(slot).and_then(|sink| sink.cursor.scan.take()) {
            Some(placed) => placed,
            None => match self.place(at) {
                Some(placed) => placed,
                None => return Ok(self.pass_gap(slot, at)),
            },
        };
        let index = self.segments.partition_point(|segment| segment.ordinal < ordinal);
        if self.segments.get(index).is_none_or(|segment| segment.ordinal != ordinal) {
            return Ok(Next::Passed);
        }
        // It may have grown.
        (scan.len, scan.stop) = (self.segments[index].len, self.end_of(index));
        let met = match scan.next(self.disk.as_mut()) {
            Ok(met) => met,
            Err(error) => {
                let gave_up = scan.failed(&error);
                if let Some(sink) = self.sinks.get_mut(slot) {
                    sink.cursor.scan = Some((ordinal, scan));
                }
                let what = format!("cannot read {}", self.segments[index].name);
                return if gave_up { Ok(Next::Passed) } else { Err(SpillError::io(what, error)) };
            }
        };
        let next = match met {
            Met::Record { offset, frame } => {
                self.segments[index].note(frame.position, offset);
                let mine = frame.targets & slot.bit() != 0;
                let entry = mine.then(|| {
                    let mut content = Bytes::copy_from_slice(scan.content());
                    let head = content.split_to(frame.head_len as usize);
                    Entry { position: Position(frame.position), targets: frame.targets, head, body: content }
                });
                if let Some(sink) = self.sinks.get_mut(slot) {
                    sink.cursor.at = frame.position + 1;
                    if mine {
                        sink.hold(frame.position, frame.content_len());
                    }
                }
                entry.map_or(Next::Passed, Next::Record)
            }
            Met::Damage { offset, bytes, records } => {
                self.note_damage(index, offset, bytes, records);
                if let Some(sink) = self.sinks.get_mut(slot) {
                    sink.cursor.at = sink.cursor.at.max(scan.expected);
                }
                Next::Passed
            }
            Met::BadEnd { .. } | Met::End => {
                let end = self.end_of(index);
                self.note_end(index, &met, scan.expected);
                return Ok(self.move_on(slot, end));
            }
        };
        if let Some(sink) = self.sinks.get_mut(slot) {
            sink.cursor.scan = Some((ordinal, scan));
        }
        Ok(next)
    }

    /// A segment was read to its end: what should have come and did not is damage.
    pub(crate) fn note_end(&mut self, index: usize, met: &Met, expected: u64) {
        let missing = self.end_of(index).saturating_sub(expected);
        let (offset, bytes) = match met {
            Met::BadEnd { offset, bytes } => (*offset, *bytes),
            _ => (self.segments[index].len, 0),
        };
        if missing > 0 {
            self.note_damage(index, offset, bytes, missing);
        }
    }

    fn move_on(&mut self, slot: SinkSlot, to: u64) -> Next {
        if let Some(sink) = self.sinks.get_mut(slot) {
            sink.move_to(to.max(sink.cursor.at));
            sink.advance();
        }
        Next::Passed
    }

    /// Where to begin for the record at `position`; `None` if no segment has it.
    fn place(&self, position: u64) -> Option<(u64, Scan)> {
        let index = self.segments.partition_point(|segment| segment.first <= position).checked_sub(1)?;
        let segment = &self.segments[index];
        let (_, offset) = segment.place_before(position);
        let (len, stop, chunk) = (segment.len, self.end_of(index), self.options.read_buffer);
        Some((segment.ordinal, Scan::new(&segment.name, segment.first, len, position, stop, offset, chunk)))
    }

    /// Records are gone with the files that they were in.
    fn pass_gap(&mut self, slot: SinkSlot, at: u64) -> Next {
        let to = self.segments.front().map_or(self.readable, |front| front.first);
        let segment = match self.segments.front() {
            Some(front) => format!("missing before {}", front.name),
            None => "missing".to_owned(),
        };
        // Another sink may have met the rest of it.
        let end = match self.gaps.iter_mut().find(|(_, end)| *end == to) {
            Some((begin, _)) => std::mem::replace(begin, at.min(*begin)),
            None => {
                self.gaps.push((at, to));
                to
            }
        };
        if at < end {
            let damage = Damage { segment, offset: 0, bytes: 0, records_at_most: end - at };
            tracing::warn!(?damage, "segments are missing from the spill");
            self.damage.push(damage);
        }
        self.move_on(slot, to)
    }
}
