//! Sinks: who still owes what, and how far each has read.

use std::collections::VecDeque;

use crate::error::{ErrorKind, SpillError};
use crate::log::{Position, Spill};
use crate::planted;
use crate::scan::Scan;
use crate::segment::NamedSlot;
use crate::state::{MAX_NAME, SlotState};

/// A registered sink of an open log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinkSlot(pub(crate) u8);

impl SinkSlot {
    /// Its bit in the targets of a record.
    pub fn bit(self) -> u64 {
        1 << self.0
    }
}

/// What a sink has yet to settle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Records, those that it has read included.
    pub records: u64,
    /// Their heads and bodies.
    pub bytes: u64,
    /// Of them, read and not settled.
    pub held: u64,
    /// False after the state file was lost, or once damage was met, until the
    /// sink has read to the end; then the figures may be too low or too high.
    pub exact: bool,
}

/// How far a sink has read.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// Position of the next record to read.
    pub(crate) at: u64,
    pub(crate) scan: Option<(u64, Scan)>,
}

#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) named: NamedSlot,
    /// Everything below is settled.
    pub(crate) settled: u64,
    pub(crate) cursor: Cursor,
    /// Position and bytes of what was read and not settled.
    pub(crate) held: VecDeque<(u64, u64)>,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) exact: bool,
    pub(crate) lost: u64,
}

impl Sink {
    fn restored(state: &SlotState) -> Self {
        Self {
            settled: state.settled,
            cursor: Cursor { at: state.settled, scan: None },
            held: VecDeque::new(),
            records: state.records,
            bytes: state.bytes,
            exact: state.exact,
            lost: 0,
            named: state.named.clone(),
        }
    }

    pub(crate) fn unread(&self) -> u64 {
        self.records.saturating_sub(self.held.len() as u64)
    }

    pub(crate) fn hold(&mut self, position: u64, bytes: u64) {
        self.held.push_back((position, bytes));
        // Without a state file the count began too low.
        self.records = self.records.max(self.held.len() as u64);
    }

    pub(crate) fn move_to(&mut self, position: u64) {
        self.cursor.at = position;
        self.cursor.scan = None;
    }

    /// All there is has been read: now the figures are known, and what is
    /// missing from them is lost.
    pub(crate) fn reached_end(&mut self, waiting: u64, waiting_bytes: u64) {
        let (records, bytes) = (self.held.len() as u64 + waiting, self.held_bytes() + waiting_bytes);
        if self.exact {
            self.lost += self.records.saturating_sub(records);
        }
        (self.records, self.bytes, self.exact) = (records, bytes, true);
        self.advance();
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        self.held.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Settled is everything before the first record that is not.
    pub(crate) fn advance(&mut self) {
        self.settled = self.settled.max(self.held.front().map_or(self.cursor.at, |(position, _)| *position));
    }
}

#[derive(Debug)]
pub(crate) struct Sinks {
    slots: [Option<Sink>; 64],
    /// Segment headers name the sinks: a new name begins a new segment.
    pub(crate) changed: bool,
}

impl Sinks {
    pub(crate) fn restored(states: &[SlotState]) -> Self {
        let mut slots = [const { None }; 64];
        for state in states {
            slots[usize::from(state.named.slot)] = Some(Sink::restored(state));
        }
        Self { slots, changed: false }
    }

    pub(crate) fn get(&self, slot: SinkSlot) -> Option<&Sink> {
        self.slots[usize::from(slot.0)].as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: SinkSlot) -> Option<&mut Sink> {
        self.slots[usize::from(slot.0)].as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sink> {
        self.slots.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Sink> {
        self.slots.iter_mut().flatten()
    }

    /// The sinks of a target set.
    pub(crate) fn targets_mut(&mut self, targets: u64) -> impl Iterator<Item = &mut Sink> {
        self.iter_mut().filter(move |sink| targets >> sink.named.slot & 1 == 1)
    }
}

impl Spill {
    /// The sink of that name: the one known from before with its backlog, or a
    /// new one that begins with the next record.
    ///
    /// # Errors
    /// [`TooManySinks`](ErrorKind::TooManySinks) beyond 64,
    /// [`TooLarge`](ErrorKind::TooLarge) for a name of more than 128 bytes.
    pub fn sink(&mut self, name: &str) -> Result<SinkSlot, SpillError> {
        if let Some(known) = self.sinks.iter().find(|sink| sink.named.name == name) {
            return Ok(SinkSlot(known.named.slot));
        }
        if name.len() > MAX_NAME {
            let what = format!("the sink's name has {} bytes; the spill takes at most {MAX_NAME}", name.len());
            return Err(SpillError::new(ErrorKind::TooLarge, what));
        }
        let Some(free) = self.sinks.slots.iter().position(Option::is_none) else {
            let what = "a spill serves at most 64 sinks; retire those that are no longer configured";
            return Err(SpillError::new(ErrorKind::TooManySinks, what));
        };
        let slot = free as u8;
        let named = NamedSlot { slot, name: name.to_owned(), since: self.pending.next() };
        self.sinks.slots[free] = Some(Sink::restored(&SlotState::begun(named)));
        self.sinks.changed = true;
        Ok(SinkSlot(slot))
    }

    /// Names of all sinks that hold segments, those that nobody asked for in this run included.
    pub fn sinks(&self) -> impl Iterator<Item = (&str, SinkSlot)> {
        self.sinks.iter().map(|sink| (sink.named.name.as_str(), SinkSlot(sink.named.slot)))
    }

    /// Gives a sink up; what it had not settled is nobody's and is returned.
    /// Lasts from the next checkpoint on. Its slot is free for another name.
    pub fn retire(&mut self, slot: SinkSlot) -> Backlog {
        let backlog = self.backlog(slot);
        if self.sinks.slots[usize::from(slot.0)].take().is_some() {
            self.sinks.changed = true;
            self.rolled = true;
        }
        backlog
    }

    /// What the sink has yet to settle; nothing for a retired one.
    pub fn backlog(&self, slot: SinkSlot) -> Backlog {
        self.sinks.get(slot).map_or(Backlog { exact: true, ..Backlog::default() }, |sink| Backlog {
            records: sink.records,
            bytes: sink.bytes,
            held: sink.held.len() as u64,
            exact: sink.exact,
        })
    }

    /// Settles what the sink has read up to and including `through`. Reaches
    /// the disk with the next checkpoint: after a crash before it, the records come again.
    pub fn settle(&mut self, slot: SinkSlot, through: Position) {
        let Some(sink) = self.sinks.get_mut(slot) else { return };
        let through = if planted::is("a sink settles one record too many") { through.0 + 1 } else { through.0 };
        while let Some((_, bytes)) = sink.held.pop_front_if(|(position, _)| *position <= through) {
            sink.records = sink.records.saturating_sub(1);
            sink.bytes = sink.bytes.saturating_sub(bytes);
        }
        sink.advance();
    }

    /// Reads again from the first record that is not settled. Records that
    /// [`shed`](Spill::shed) took meanwhile do not come again.
    pub fn rewind(&mut self, slot: SinkSlot) {
        let Some(sink) = self.sinks.get_mut(slot) else { return };
        sink.advance();
        for (position, bytes) in std::mem::take(&mut sink.held) {
            if position < sink.settled {
                // Shed meanwhile: only the caller had it.
                sink.records = sink.records.saturating_sub(1);
                sink.bytes = sink.bytes.saturating_sub(bytes);
            }
        }
        sink.move_to(sink.settled);
    }

    /// True where the sink has read, or passed, everything that is for it.
    pub fn is_caught_up(&self, slot: SinkSlot) -> bool {
        self.sinks.get(slot).is_some_and(|sink| sink.exact && sink.unread() == 0)
    }

    /// Passes a record that the caller keeps in memory too, so that `read` does
    /// not return it; it counts as read and is settled as others are.
    ///
    /// `false`, and nothing changed, if the sink has older records to read
    /// first, or if the record has been committed already. Ask right after
    /// `append`.
    pub fn skip_read(&mut self, slot: SinkSlot, position: Position) -> bool {
        let Some(record) = self.pending.get(position.0) else { return false };
        let newer = self.pending.from(position.0 + 1).iter().filter(|later| later.targets & slot.bit() != 0).count();
        let Some(sink) = self.sinks.get_mut(slot) else { return false };
        let next = sink.exact && sink.unread() == newer as u64 + 1 || sink.cursor.at == position.0;
        let next = next || planted::is("a record in memory overtakes those on disk");
        if record.targets & slot.bit() == 0 || !next || sink.cursor.at > position.0 {
            return false;
        }
        sink.move_to(position.0 + 1);
        sink.hold(position.0, record.content);
        sink.advance();
        true
    }

    /// Records owed to the sink that damage took, since the last call. Known, and then exact, once the
    /// sink has read to the end.
    pub fn take_lost(&mut self, slot: SinkSlot) -> u64 {
        self.sinks.get_mut(slot).map_or(0, |sink| std::mem::take(&mut sink.lost))
    }
}
