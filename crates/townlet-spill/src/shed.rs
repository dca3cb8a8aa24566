//! Giving up the oldest segments, with an exact account of what goes with them.

use std::time::Duration;

use crate::error::SpillError;
use crate::log::{Position, Spill};
use crate::scan::{Met, Scan};
use crate::survey::read_header;

/// A record that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShedRecord<'a> {
    /// Its place in the log.
    pub position: Position,
    /// Sinks that had not read it: lost to them.
    pub owing: u64,
    /// Sinks that have read and not settled it: the caller's copy is now the only one; a rewind does not
    /// bring it back.
    pub held: u64,
    /// As it was appended.
    pub head: &'a [u8],
    /// Length of its body.
    pub body_len: u32,
}

/// What [`Spill::shed`] gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Segments.
    pub segments: u64,
    /// Their bytes on disk, free once the next checkpoint is done.
    pub bytes: u64,
    /// Records that some sink had not settled.
    pub records: u64,
}

impl Spill {
    /// Gives up the oldest segments until `room` more bytes stay within
    /// `max_bytes` and no segment has only records older than `max_age`. `visit` sees each
    /// record that some sink had not settled, oldest first.
    ///
    /// Files go, and cursors move on disk, with the next
    /// [`checkpoint`](Self::checkpoint): put the account of what was shed into its `extra`
    /// and call it soon. While checkpoints fail nothing is given up for room, since that makes none.
    ///
    /// # Errors
    /// Those of [`commit`](Self::commit), where the segment to give up is the one being written.
    pub fn shed(
        &mut self,
        now: Duration,
        room: u64,
        mut visit: impl FnMut(ShedRecord<'_>),
    ) -> Result<Shed, SpillError> {
        let mut shed = Shed::default();
        while !self.segments.is_empty() && (self.stuck == 0 && !self.has_room(room) || self.front_is_old(now)) {
            if self.segments.len() == 1 && self.active {
                if self.unsynced {
                    self.commit_as(now, true)?;
                }
                self.active = false;
                continue;
            }
            shed.records += self.give_up_front(&mut visit);
            shed.segments += 1;
            if let Some(front) = self.segments.pop_front() {
                shed.bytes += front.len;
                self.total -= front.len;
                self.leavings.push(front);
            }
        }
        Ok(shed)
    }

    /// By its youngest record: that is from before the next segment was begun.
    fn front_is_old(&mut self, now: Duration) -> bool {
        let Some(most) = self.options.max_age else { return false };
        let Some(next) = self.segments.get_mut(1) else {
            return now.saturating_sub(self.last_write) > most;
        };
        if next.created.is_none() {
            // A header that cannot be read makes it as young as this run.
            let header = read_header(self.disk.as_mut(), &next.name);
            next.created = Some(header.map_or(now, |header| header.created.min(now)));
        }
        next.created.is_some_and(|begun| now.saturating_sub(begun) > most)
    }

    fn give_up_front(&mut self, visit: &mut impl FnMut(ShedRecord<'_>)) -> u64 {
        let Some(front) = self.segments.front() else { return 0 };
        let (stop, from) = (self.end_of(0), self.settled_by_all());
        let offset = front.place_before(from).1;
        let chunk = self.options.read_buffer;
        let mut scan = Scan::new(&front.name, front.first, front.len, from, stop, offset, chunk);
        let mut records = 0;
        loop {
            let met = if from < stop { scan.next_readable(self.disk.as_mut()) } else { Met::End };
            match met {
                Met::Record { frame, .. } => {
                    let (mut owing, mut held) = (0, 0);
                    for sink in self.sinks.targets_mut(frame.targets) {
                        let bit = 1 << sink.named.slot;
                        if frame.position >= sink.cursor.at {
                            owing |= bit;
                            sink.records = sink.records.saturating_sub(1);
                            sink.bytes = sink.bytes.saturating_sub(frame.content_len());
                        } else if frame.position >= sink.settled {
                            held |= bit;
                        }
                    }
                    if owing | held != 0 && !crate::planted::is("shedding is not told") {
                        records += 1;
                        let position = Position(frame.position);
                        let head = &scan.content()[..frame.head_len as usize];
                        visit(ShedRecord { position, owing, held, head, body_len: frame.body_len });
                    }
                }
                Met::Damage { offset, bytes, records } => self.note_damage(0, offset, bytes, records),
                Met::BadEnd { .. } | Met::End => {
                    self.note_end(0, &met, scan.expected.max(from));
                    break;
                }
            }
        }
        for sink in self.sinks.iter_mut() {
            if sink.cursor.at < stop {
                sink.move_to(stop);
            }
            sink.settled = sink.settled.max(stop);
        }
        records
    }
}
