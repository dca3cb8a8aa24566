//! One sink's bounded queue with its books. Pure: no lock, no clock.
//!
//! An event passes four places: *upstream* (admitted, not yet a frame),
//! *ready* (a frame that waits), *taken* (in the transport's hands) and
//! settled (only a number in the ledger). Count and byte bounds span the first
//! three together. With a spill there are three more between upstream and
//! ready, see [`spool`].

mod coalesce;
mod spool;

use std::collections::{HashMap, VecDeque};

use townlet_spill::Position;
use townlet_transport::{Frame, Level};

pub(crate) use self::spool::{Appended, Spool};
use crate::ledger::Ledger;
use crate::planted;
use crate::receipt::Receipt;
use crate::{Account, Backpressure, DropReason, Options, Statement};

/// Evicted frames kept for the worker to free, so that the host does not pay
/// for it. Beyond either bound the host frees them itself: while the worker is
/// held up, what is off the books takes no more memory than this.
const GRAVEYARD: usize = 1024;
const GRAVEYARD_BYTES: usize = 1 << 20;

#[derive(Clone, Debug)]
struct Waiting {
    stream: u32,
    seq: u64,
    frame: Frame,
    /// Its place in the spill, where it is there too.
    position: Option<Position>,
    /// A transport has had it: the peer may have it already.
    tried: bool,
}

#[derive(Debug)]
struct Taken {
    stream: u32,
    seq: u64,
    bytes: usize,
    /// Of the line that was sent: of a state it differs from its weight.
    wire: usize,
    position: Option<Position>,
    /// For a sink with a spill: so that what a stuck transport holds is not lost with it.
    copy: Option<Box<Frame>>,
}

/// Whether an event of some weight can be admitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Fits,
    Full,
    /// Larger than the whole bound: it never fits.
    Never,
}

#[derive(Debug)]
pub(crate) struct Queue {
    max_count: usize,
    max_bytes: usize,
    upstream: usize,
    upstream_bytes: usize,
    ready: VecDeque<Waiting>,
    ready_bytes: usize,
    /// States among the ready frames.
    ready_states: usize,
    /// States become one before anything else goes.
    merges: bool,
    taken: VecDeque<Taken>,
    taken_bytes: usize,
    ledger: Ledger,
    peak: usize,
    bytes_peak: usize,
    graveyard: Vec<Frame>,
    graveyard_bytes: usize,
    spool: Option<Spool>,
    /// Events whose emitters wait for a receipt, by stream and number.
    watched: HashMap<(u32, u64), Receipt>,
}

impl Queue {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            spool: options.spill.map(Spool::new),
            watched: HashMap::new(),
            max_count: options.max_queue_length,
            max_bytes: options.max_buffer_bytes,
            merges: options.backpressure == Backpressure::Coalesce,
            upstream: 0,
            upstream_bytes: 0,
            ready: VecDeque::new(),
            ready_bytes: 0,
            ready_states: 0,
            taken: VecDeque::new(),
            taken_bytes: 0,
            ledger: Ledger::default(),
            peak: 0,
            bytes_peak: 0,
            graveyard: Vec::new(),
            graveyard_bytes: 0,
        }
    }

    /// Other bounds, for what comes.
    pub(crate) fn retune(&mut self, max_count: usize, max_bytes: usize) {
        (self.max_count, self.max_bytes) = (max_count, max_bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.upstream + self.ready.len() + self.taken.len() + self.spool.as_ref().map_or(0, Spool::len)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.upstream_bytes + self.ready_bytes + self.taken_bytes + self.spool.as_ref().map_or(0, Spool::bytes)
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    pub(crate) fn bytes_peak(&self) -> usize {
        self.bytes_peak
    }

    pub(crate) fn upstream(&self) -> usize {
        self.upstream
    }

    pub(crate) fn upstream_amount(&self) -> (usize, usize) {
        (self.upstream, self.upstream_bytes)
    }

    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.len()
    }

    pub(crate) fn ready_amount(&self) -> (usize, usize) {
        (self.ready.len(), self.ready_bytes)
    }

    pub(crate) fn taken_bytes(&self) -> usize {
        self.taken_bytes
    }

    /// Events and bytes that no transport holds yet.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.upstream + self.ready.len(), self.upstream_bytes + self.ready_bytes)
    }

    /// The tick of the oldest ready frame.
    pub(crate) fn oldest_ready_tick(&self) -> Option<u64> {
        self.ready.front().map(|w| w.frame.tick())
    }

    /// Events and bytes that fit beside what is there. None where room is also reserved for what comes back from a spill.
    pub(crate) fn room(&self) -> Option<(usize, usize)> {
        let within = (self.max_count.saturating_sub(self.len()), self.max_bytes.saturating_sub(self.bytes()));
        self.spool.is_none().then_some(within)
    }

    pub(crate) fn room_for(&self, weight: usize) -> Room {
        let reserved = self.spool.as_ref().map_or((0, 0), Spool::reserved);
        let taken = if planted::is("what is in flight takes no room") { self.taken.len() } else { 0 };
        if weight > self.max_bytes || self.max_count == 0 {
            return Room::Never;
        }
        let fits =
            self.len() - taken + reserved.0 < self.max_count && self.bytes() + reserved.1 + weight <= self.max_bytes;
        if fits || self.has_way_to_disk() { Room::Fits } else { Room::Full }
    }

    /// False where what the transport holds leaves no room for `weight`, so that
    /// evicting others would help nobody.
    pub(crate) fn could_fit(&self, weight: usize) -> bool {
        self.taken.len() < self.max_count && self.taken_bytes + weight <= self.max_bytes
    }

    /// Admits events that are still upstream, of so many bytes together.
    pub(crate) fn accept(&mut self, stream: u32, events: usize, bytes: usize) {
        self.ledger.accept_many(stream, events as u64);
        self.upstream += events;
        self.upstream_bytes += bytes;
        self.peak = self.peak.max(self.len());
        self.bytes_peak = self.bytes_peak.max(self.bytes());
    }

    /// Accepts an event only to drop it at once.
    pub(crate) fn refuse(&mut self, stream: u32, reason: DropReason) {
        self.ledger.accept_many(stream, 1);
        self.ledger.drop_one(stream, reason);
    }

    /// Somebody waits for what becomes of an admitted event.
    pub(crate) fn watch(&mut self, stream: u32, seq: u64, receipt: Receipt) {
        self.watched.insert((stream, seq), receipt);
    }

    fn drop_one(&mut self, stream: u32, seq: u64, reason: DropReason) {
        self.ledger.drop_one(stream, reason);
        if !self.watched.is_empty()
            && !planted::is("a drop is not told to who waits")
            && let Some(receipt) = self.watched.remove(&(stream, seq))
        {
            receipt.note_dropped(reason);
        }
    }

    /// What is in flight has left this process.
    pub(crate) fn note_sent(&mut self) {
        if !self.watched.is_empty() {
            let sent = self.taken.iter().filter_map(|taken| self.watched.get(&(taken.stream, taken.seq)));
            let level = match planted::is("sent counts as acknowledged") {
                true => Level::PeerAcked,
                false => Level::Sent,
            };
            sent.for_each(|receipt| receipt.note(level));
        }
        if planted::is("what was sent leaves the log") {
            let last = self.taken.iter().filter_map(|taken| taken.position).max();
            self.settled_on_disk(last);
        }
    }

    /// Drops the oldest ready frame; false where none is ready.
    pub(crate) fn evict_ready(&mut self, reason: DropReason) -> bool {
        let Some(Waiting { stream, seq, frame, position, .. }) = self.ready.pop_front() else { return false };
        self.left_ready(&frame);
        if !planted::is("an eviction is not booked") {
            self.drop_one(stream, seq, reason);
        }
        // What is in flight is older and not settled: it must stay in the log.
        self.settled_on_disk(position.filter(|_| self.taken.is_empty()));
        if self.graveyard.len() < GRAVEYARD && self.graveyard_bytes + frame.len() <= GRAVEYARD_BYTES {
            self.graveyard_bytes += frame.len();
            self.graveyard.push(frame);
        }
        true
    }

    /// Drops an event that is upstream.
    pub(crate) fn drop_upstream(&mut self, stream: u32, seq: u64, weight: usize, reason: DropReason) {
        self.leave_upstream(weight);
        self.drop_one(stream, seq, reason);
    }

    fn leave_upstream(&mut self, weight: usize) {
        debug_assert!(self.upstream > 0 && self.upstream_bytes >= weight, "settled more upstream than was admitted");
        self.upstream = self.upstream.saturating_sub(1);
        self.upstream_bytes = self.upstream_bytes.saturating_sub(weight);
    }

    /// An upstream event has become a frame. Its true size replaces the estimate;
    /// where that was too low the bound is exceeded by the difference, until the
    /// next admission evicts or waits for it.
    pub(crate) fn fill(&mut self, stream: u32, seq: u64, weight: usize, frame: Frame) {
        self.leave_upstream(weight);
        if frame.len() > self.max_bytes {
            if !planted::is("an oversized frame is not booked") {
                self.drop_one(stream, seq, DropReason::Oversize);
            }
            return;
        }
        if self.merges && self.leaves_memory_for_room_alone() {
            self.push_merging(Waiting { stream, seq, frame, position: None, tried: false });
        } else if self.goes_to_spool() {
            self.spool_ready();
            self.push_to_spool(Waiting { stream, seq, frame, position: None, tried: false });
        } else {
            self.came_ready(&frame);
            self.ready.push_back(Waiting { stream, seq, frame, position: None, tried: false });
        }
        self.bytes_peak = self.bytes_peak.max(self.bytes());
    }

    /// Moves up to `max_count` frames and `max_bytes` bytes, but the first frame of a batch whatever
    /// its size, to the end of `batch`; they stay on the books as taken.
    pub(crate) fn take(&mut self, max_count: usize, max_bytes: usize, batch: &mut Vec<Frame>) {
        let mut bytes = 0;
        for _ in 0..max_count {
            let Some(front) = self.ready.front() else { break };
            let len = front.frame.len();
            if !batch.is_empty() && bytes + len > max_bytes {
                break;
            }
            let Some(Waiting { stream, seq, frame, position, .. }) = self.ready.pop_front() else { break };
            bytes += len;
            self.left_ready(&frame);
            let stored = self.spool.as_ref().is_none_or(|spool| spool.has(position));
            let copy = (!stored).then(|| Box::new(frame.clone()));
            self.taken.push_back(Taken { stream, seq, bytes: len, wire: len, position, copy });
            self.taken_bytes += len;
            batch.push(frame);
        }
    }

    fn came_ready(&mut self, frame: &Frame) {
        self.ready_bytes += frame.len();
        self.ready_states += usize::from(frame.state().is_some());
    }

    fn left_ready(&mut self, frame: &Frame) {
        self.ready_bytes -= frame.len();
        self.ready_states -= usize::from(frame.state().is_some());
    }

    /// The frames that were taken last go out as these lines.
    pub(crate) fn rendered(&mut self, lines: &[Frame]) {
        for (taken, line) in self.taken.iter_mut().rev().zip(lines.iter().rev()) {
            taken.wire = line.len();
        }
    }

    fn pop_taken(&mut self) -> Option<Taken> {
        let taken = self.taken.pop_front()?;
        self.taken_bytes -= taken.bytes;
        Some(taken)
    }

    /// The `n` oldest taken frames reached `level`; returns their bytes.
    pub(crate) fn deliver(&mut self, n: usize, level: Level) -> u64 {
        let mut bytes = 0;
        // Neighbours are mostly of one stream: they are booked together, since hosts wait for this lock.
        let mut run = (0, 0);
        for _ in 0..n {
            let Some(taken) = self.pop_taken() else { break };
            bytes += taken.wire as u64;
            if !self.watched.is_empty() && !self.awaits_commit(&taken, level) {
                self.end_receipt(taken.stream, taken.seq, level);
            }
            self.settled_on_disk(taken.position);
            if taken.stream != run.0 {
                self.ledger.deliver(run.0, level, run.1);
                run = (taken.stream, 0);
            }
            run.1 += 1;
        }
        let extra = u64::from(planted::is("a delivery is booked twice"));
        self.ledger.deliver(run.0, level, run.1 + extra);
        bytes
    }

    pub(super) fn end_receipt(&mut self, stream: u32, seq: u64, level: Level) {
        if let Some(receipt) = self.watched.remove(&(stream, seq)) {
            receipt.note_delivered(level);
        }
    }

    /// Nobody works on this queue any more: who waits for what it leaves to the next run waits in vain.
    pub(super) fn end_receipts(&mut self) {
        self.watched.drain().for_each(|(_, receipt)| receipt.note_run_ended());
    }

    /// The oldest taken frame is dropped.
    pub(crate) fn drop_taken(&mut self, reason: DropReason) {
        if let Some(taken) = self.pop_taken() {
            self.drop_one(taken.stream, taken.seq, reason);
            self.settled_on_disk(taken.position);
        }
    }

    /// The `count` newest taken frames are dropped.
    pub(crate) fn drop_last_taken(&mut self, count: usize, reason: DropReason) {
        let mut last = None;
        for _ in 0..count {
            let Some(taken) = self.taken.pop_back() else { break };
            self.taken_bytes -= taken.bytes;
            self.drop_one(taken.stream, taken.seq, reason);
            last = last.max(taken.position);
        }
        // What was sent before them is settled in order; only the newest can be out of it.
        self.settled_on_disk(last.filter(|_| self.taken.is_empty()));
    }

    /// The newest taken frames, given back in order, wait again at the head.
    pub(crate) fn put_back(&mut self, frames: impl DoubleEndedIterator<Item = Frame>) {
        for frame in frames.rev() {
            let Some(taken) = self.taken.pop_back() else { break };
            debug_assert_eq!(taken.bytes, frame.len(), "frames come back as they were taken");
            self.taken_bytes -= taken.bytes;
            self.came_ready(&frame);
            let Taken { stream, seq, position, .. } = taken;
            match planted::is("what comes back waits at the end") {
                true => self.ready.push_back(Waiting { stream, seq, frame, position, tried: true }),
                false => self.ready.push_front(Waiting { stream, seq, frame, position, tried: true }),
            }
        }
    }

    /// Settles everything that is taken or ready, for good.
    pub(crate) fn abandon(&mut self, taken: DropReason, ready: DropReason) {
        while !self.taken.is_empty() {
            self.drop_taken(taken);
        }
        while self.evict_ready(ready) {}
    }

    /// Evicted frames, for the worker to free outside the lock.
    pub(crate) fn take_graveyard(&mut self) -> Vec<Frame> {
        if self.graveyard.is_empty() {
            return Vec::new();
        }
        self.graveyard_bytes = 0;
        // The next ones find their place allocated: a host that evicts does not pay for that either.
        let capacity = self.graveyard.len();
        std::mem::replace(&mut self.graveyard, Vec::with_capacity(capacity))
    }

    pub(crate) fn statement(&self) -> Statement {
        let spilled = self.spool.as_ref().map_or(0, Spool::spilled);
        Statement { account: *self.ledger.total(), buffered: self.len() as u64, spilled }
    }

    pub(crate) fn streams(&self) -> &[Account] {
        self.ledger.streams()
    }
}

impl Drop for Queue {
    /// Of a pipeline that was dropped without being shut down.
    fn drop(&mut self) {
        self.end_receipts();
    }
}
