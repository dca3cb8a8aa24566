//! The part of a queue that stands between memory and the spill.
//!
//! A frame that has to go to disk is *spooling* (in memory, nobody has it yet),
//! then *appending* (handed to the spooler), then either *ready* again (it is in
//! memory and in the log) or, once it is committed, *spilled* (on disk alone).
//! Spilled frames come back in order as *ready* when memory has room.
//!
//! Order: ready, spilled, appending, spooling. So while anything is spilled or
//! on its way there, newcomers queue up behind it.

mod back;
mod end;

use std::collections::{HashSet, VecDeque};

use townlet_spill::Position;
use townlet_transport::{Frame, Level};

use super::{Queue, Taken, Waiting};
use crate::{DropReason, SpillMode, planted};

#[derive(Debug)]
pub(crate) struct Spool {
    mode: SpillMode,
    /// The worker is parked: everything goes to disk.
    diverted: bool,
    end: Ending,
    /// The disk takes nothing: what waits for a commit goes on in memory as soon as there is room.
    held_up: bool,
    /// At the end: how many of the spooling are older than what the spooler has in hand.
    older: usize,
    spooling: VecDeque<Waiting>,
    appending: VecDeque<Waiting>,
    bytes: usize,
    spilled: u64,
    /// Of them, what memory gave back at the end: to the log it is read and not settled.
    given_back: VecDeque<(Position, u32, u64)>,
    /// What will be of them once it is committed.
    kept_to_the_end: HashSet<Position>,
    /// Places kept for what is being read back, by count and bytes.
    reserved: (usize, usize),
    /// Everything below is on disk, as far as the spooler said.
    committed: Option<Position>,
    /// Everything up to here may leave the log.
    settled: Option<Position>,
    /// The log no longer has anything up to here, whatever positions say.
    given_up: Option<Position>,
    /// Events in memory and log whose emitters wait for the commit.
    uncommitted: VecDeque<Uncommitted>,
}

/// An event of which somebody waits to hear that it is stored.
#[derive(Debug)]
struct Uncommitted {
    position: Position,
    stream: u32,
    seq: u64,
    /// The sink was faster than the disk.
    delivered: Option<Level>,
}

/// How far the end of the worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It has not come.
    Open,
    /// Nobody sends any more: everything is for the log.
    Storing,
    /// Nobody stores any more either.
    Over,
}

/// What became of a frame that was handed to the spooler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in the log, and the queue may go on with its copy.
    Kept(Position),
    /// It waits for a commit, and will be read back.
    Waits(Position),
    /// The log has enough that no disk takes: the queue goes on with what it has.
    Passed,
    /// The log does not take it, and never will.
    Refused(DropReason),
}

impl Spool {
    pub(crate) fn new(mode: SpillMode) -> Self {
        Self {
            mode,
            diverted: false,
            end: Ending::Open,
            held_up: false,
            older: 0,
            spooling: VecDeque::new(),
            appending: VecDeque::new(),
            bytes: 0,
            spilled: 0,
            given_back: VecDeque::new(),
            kept_to_the_end: HashSet::new(),
            reserved: (0, 0),
            committed: None,
            settled: None,
            given_up: None,
            uncommitted: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.spooling.len() + self.appending.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn spilled(&self) -> u64 {
        self.spilled
    }

    pub(crate) fn reserved(&self) -> (usize, usize) {
        self.reserved
    }

    /// Whether the log has it for certain.
    pub(super) fn has(&self, position: Option<Position>) -> bool {
        position.is_some() && position < self.committed
    }

    /// Which of those that wait for a commit is at `position`.
    fn at(&self, position: Position) -> Option<usize> {
        self.appending.iter().position(|waiting| waiting.position == Some(position))
    }
}

impl Queue {
    pub(crate) fn spools(&self) -> bool {
        self.spool.is_some()
    }

    /// True where the next frame must not overtake what is on disk, or memory
    /// has as much as the transport soon gets to.
    pub(super) fn goes_to_spool(&self) -> bool {
        let Some(spool) = &self.spool else { return false };
        spool.mode == SpillMode::WriteAhead
            || spool.diverted
            || spool.end != Ending::Open && !planted::is("after the end frames go to memory")
            || spool.spilled > 0 && !planted::is("newcomers overtake what is on disk")
            || spool.len() > 0
            || !self.has_room_in_memory()
    }

    /// True where the next frame would go to disk, and for no other reason than that
    /// memory has as much as the transport soon gets to.
    pub(super) fn leaves_memory_for_room_alone(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| {
            spool.mode == SpillMode::Overflow
                && !spool.diverted
                && spool.end == Ending::Open
                && spool.spilled == 0
                && spool.len() == 0
        }) && !self.has_room_in_memory()
    }

    /// True until what memory holds at the end was stored, or given up.
    pub(crate) fn stores(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.end != Ending::Over)
    }

    /// Whether nobody sends what memory holds, so that it belongs on disk.
    pub(crate) fn divert(&mut self, diverted: bool) {
        if let Some(spool) = &mut self.spool {
            spool.diverted = diverted;
        }
    }

    /// Half of the bounds is for what the transport works on, the rest for what
    /// is on its way in.
    fn has_room_in_memory(&self) -> bool {
        self.ready.len() + self.taken.len() < self.max_count.div_ceil(2)
            && self.ready_bytes + self.taken_bytes < self.max_bytes / 2
    }

    /// The same, of what memory holds already.
    pub(super) fn is_within_memory(&self) -> bool {
        self.ready.len() + self.taken.len() <= self.max_count.div_ceil(2)
            && self.ready_bytes + self.taken_bytes <= self.max_bytes / 2
    }

    pub(super) fn push_to_spool(&mut self, waiting: Waiting) {
        if let Some(spool) = &mut self.spool {
            spool.bytes += waiting.frame.len();
            match planted::is("the newest goes to disk first") {
                true => spool.spooling.push_front(waiting),
                false => spool.spooling.push_back(waiting),
            }
        }
    }

    /// Before the first frame of a stretch goes to disk: those that wait before it
    /// go there as well, so that the log has all in order should the process end.
    pub(super) fn spool_ready(&mut self) {
        let Some(spool) = &mut self.spool else { return };
        if spool.mode == SpillMode::WriteAhead || spool.spilled > 0 || spool.len() > 0 {
            return;
        }
        // What has a place in the log is older than what has none.
        let first = self.ready.iter().position(|waiting| waiting.position.is_none()).unwrap_or(self.ready.len());
        for waiting in self.ready.drain(first..) {
            self.ready_bytes -= waiting.frame.len();
            self.ready_states -= usize::from(waiting.frame.state().is_some());
            spool.bytes += waiting.frame.len();
            spool.spooling.push_back(waiting);
        }
    }

    /// True where memory holds one frame, the next to be sent, and nothing is on its way to disk: however large that
    /// one is, another goes past it, beyond the bound.
    pub(crate) fn has_way_to_disk(&self) -> bool {
        let is_free = |spool: &Spool| spool.end == Ending::Open && spool.len() == 0 && spool.reserved == (0, 0);
        self.spool.as_ref().is_some_and(is_free) && self.upstream == 0 && self.ready.len() + self.taken.len() <= 1
    }

    /// A newcomer waits for room that the disk can make: what memory holds goes there at once, as it would with the
    /// next frame. That one does not come where few large ones fill the bounds.
    pub(crate) fn make_way(&mut self) {
        if self.leaves_memory_for_room_alone() && !planted::is("large frames keep others from the disk") {
            self.spool_ready();
        }
    }

    /// What is settled need not stay in the log.
    pub(super) fn settled_on_disk(&mut self, position: Option<Position>) {
        if let (Some(spool), Some(position)) = (&mut self.spool, position) {
            spool.settled = spool.settled.max(Some(position));
        }
    }

    /// The log may forget everything up to here.
    pub(crate) fn take_settled(&mut self) -> Option<Position> {
        self.spool.as_mut()?.settled.take()
    }

    /// True where frames wait for the spooler.
    pub(crate) fn has_spooling(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| !spool.spooling.is_empty())
    }

    /// True where nothing is on its way to the log.
    pub(crate) fn has_spooled(&self) -> bool {
        self.spool.as_ref().is_none_or(|spool| spool.len() == 0 && spool.uncommitted.is_empty())
    }

    /// Hands frames to the spooler, oldest first; answers follow in this order
    /// by [`appended`](Self::appended).
    pub(crate) fn spool(&mut self, max_bytes: usize) -> Vec<(u32, Frame)> {
        self.hand_over(|count, bytes| count == 0 || bytes <= max_bytes)
    }

    /// The same for those alone that may go on in memory.
    pub(crate) fn spool_what_is_kept(&mut self) -> Vec<(u32, Frame)> {
        let (most, room) = self.room_to_keep();
        self.hand_over(|count, bytes| count < most && bytes <= room)
    }

    /// `fits`: whether one more is handed over, by the count before it and the bytes with it.
    fn hand_over(&mut self, fits: impl Fn(usize, usize) -> bool) -> Vec<(u32, Frame)> {
        let mut frames = Vec::new();
        let Some(spool) = &mut self.spool else { return frames };
        let mut bytes = 0;
        while let Some(front) = spool.spooling.front()
            && fits(frames.len(), bytes + front.frame.len())
            && let Some(waiting) = spool.spooling.pop_front()
        {
            bytes += waiting.frame.len();
            frames.push((waiting.stream, waiting.frame.clone()));
            spool.appending.push_back(waiting);
        }
        frames
    }

    /// The answers for the frames that were handed over last, in order.
    pub(crate) fn appended(&mut self, answers: &[Appended]) {
        let mut at = self.spool.as_ref().map_or(0, |spool| spool.appending.len().saturating_sub(answers.len()));
        for answer in answers {
            let Some(spool) = &mut self.spool else { return };
            let answer = match *answer {
                // Nobody sends it any more: it waits for its commit like the others.
                Appended::Kept(position) if spool.end != Ending::Open => {
                    spool.kept_to_the_end.insert(position);
                    Appended::Waits(position)
                }
                as_it_is => as_it_is,
            };
            match answer {
                Appended::Waits(position) => {
                    if let Some(waiting) = spool.appending.get_mut(at) {
                        waiting.position = Some(position);
                        if planted::is("a receipt comes with the append")
                            && let Some(receipt) = self.watched.get(&(waiting.stream, waiting.seq))
                        {
                            receipt.note_stored();
                        }
                    }
                    at += 1;
                }
                Appended::Kept(position) => {
                    let Some(waiting) = spool.appending.remove(at) else { return };
                    self.keep(Waiting { position: Some(position), ..waiting });
                }
                Appended::Passed => {
                    let Some(waiting) = spool.appending.remove(at) else { return };
                    if spool.end == Ending::Open {
                        spool.bytes -= waiting.frame.len();
                        self.came_ready(&waiting.frame);
                        self.ready.push_back(waiting);
                    } else {
                        // Nobody sends it any more: once more to the log, in its place.
                        spool.spooling.insert(spool.older.min(spool.spooling.len()), waiting);
                        spool.older += 1;
                    }
                }
                Appended::Refused(reason) => {
                    let Some(waiting) = spool.appending.remove(at) else { return };
                    if !planted::is("a refused frame keeps its room") {
                        spool.bytes -= waiting.frame.len();
                    }
                    self.drop_one(waiting.stream, waiting.seq, reason);
                }
            }
        }
    }

    fn keep(&mut self, waiting: Waiting) {
        if let (Some(spool), Some(position)) = (&mut self.spool, waiting.position) {
            spool.bytes -= waiting.frame.len();
            if self.watched.contains_key(&(waiting.stream, waiting.seq)) {
                let (stream, seq) = (waiting.stream, waiting.seq);
                spool.uncommitted.push_back(Uncommitted { position, stream, seq, delivered: None });
            }
        }
        if planted::is("what memory has leaves the log") {
            self.settled_on_disk(waiting.position);
        }
        self.came_ready(&waiting.frame);
        self.ready.push_back(waiting);
    }

    /// These wait for a commit and go on in memory after all: the disk takes
    /// nothing, and they need not wait for it.
    pub(crate) fn rescue(&mut self, positions: &[Position]) {
        for position in positions {
            if planted::is("what was rescued stays where it was") {
                return;
            }
            let Some(spool) = self.spool.as_mut().filter(|spool| spool.end == Ending::Open) else { return };
            let waiting = spool.at(*position).and_then(|at| spool.appending.remove(at));
            if let Some(waiting) = waiting {
                self.keep(waiting);
            }
        }
    }

    /// Whether the disk takes nothing at present.
    pub(crate) fn note_disk(&mut self, held_up: bool) {
        if let Some(spool) = &mut self.spool {
            spool.held_up = held_up;
        }
    }

    /// True where the disk takes nothing, and memory has room for the oldest that waits for it.
    pub(crate) fn awaits_rescue(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| {
            // What is on disk comes first.
            spool.held_up
                && spool.spilled == 0
                && spool.appending.front().is_some_and(|waiting| waiting.position.is_some())
        }) && self.room_to_keep().0 > 0
    }

    /// How many of the handed frames may go on in memory, by count and bytes.
    pub(crate) fn room_to_keep(&self) -> (usize, usize) {
        if self.spool.as_ref().is_some_and(|spool| spool.diverted || spool.end != Ending::Open) {
            return (0, 0);
        }
        let count = self.max_count.div_ceil(2).saturating_sub(self.ready.len() + self.taken.len());
        (count, (self.max_bytes / 2).saturating_sub(self.ready_bytes + self.taken_bytes))
    }

    /// Everything below `end` is committed, on stable storage where `durable`.
    pub(crate) fn committed(&mut self, end: Position, durable: bool) {
        let durable = durable || planted::is("each commit counts as durable");
        let one_more = planted::is("a commit covers one more");
        let Some(spool) = &mut self.spool else { return };
        spool.committed = spool.committed.max(Some(end));
        while let Some(front) = spool.appending.front()
            && front.position.is_some_and(|position| position < end || one_more && position == end)
            && let Some(waiting) = spool.appending.pop_front()
        {
            spool.bytes -= waiting.frame.len();
            spool.spilled += 1;
            if let Some(position) = waiting.position.filter(|position| spool.kept_to_the_end.remove(position)) {
                spool.given_back.push_back((position, waiting.stream, waiting.seq));
            }
            if durable && let Some(receipt) = self.watched.get(&(waiting.stream, waiting.seq)) {
                receipt.note_stored();
            }
        }
        while let Some(spool) = &mut self.spool
            && let given_up = spool.given_up
            && let Some(entry) = spool.uncommitted.pop_front_if(|entry| entry.position < end)
        {
            let Uncommitted { position, stream, seq, delivered } = entry;
            if durable
                && given_up < Some(position)
                && let Some(receipt) = self.watched.get(&(stream, seq))
            {
                receipt.note_stored();
            }
            if let Some(level) = delivered {
                self.end_receipt(stream, seq, level);
            }
        }
    }

    /// True where a delivered frame is not committed yet, and somebody may wait for
    /// just that: its receipt ends with the commit.
    pub(super) fn awaits_commit(&mut self, taken: &Taken, level: Level) -> bool {
        let (Some(spool), Some(position)) = (&mut self.spool, taken.position) else { return false };
        let Some(entry) = spool.uncommitted.iter_mut().find(|entry| entry.position == position) else { return false };
        entry.delivered = Some(level);
        if let Some(receipt) = self.watched.get(&(taken.stream, taken.seq)) {
            receipt.note(level);
        }
        true
    }
}
