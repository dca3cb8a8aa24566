//! Between the queues and the spill: what is appended, committed, read back.
//!
//! Three steps make a turn: [`gather`](Spooler::gather) takes from each sink what
//! it wants stored (under the owner's lock), [`work`](Spooler::work) does the I/O
//! (without it), [`report`](Spooler::report) tells each sink what came of it.

mod disk;
mod head;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use townlet_spill::{FsyncPolicy, Position, SinkSlot, Spill, SpillError};
use townlet_transport::{Frame, Label};

use crate::DropReason;
use crate::machine::{Errand, Machine};
use crate::planted;
use crate::queue::Appended;

/// Bytes taken from a sink in one turn: hosts wait for the lock meanwhile.
const TURN_BYTES: usize = 256 << 10;

/// A failed commit is tried again so much later.
const RETRY: Duration = Duration::from_millis(100);

/// While the disk takes nothing, no more than this waits for it in the memory of the log.
const STUFFED: u64 = 8 << 20;

/// An account that changed is stored at least so often.
const ACCOUNT_EVERY: Duration = Duration::from_secs(1);

/// What the spooler has to know of its owner.
#[derive(Clone, Debug)]
pub struct SpoolerOptions {
    /// The payload types that frames of the owner have; others read back as `event`.
    pub kinds: &'static [&'static str],
    /// What the log was opened with.
    pub fsync: FsyncPolicy,
}

/// The spill's own state, for status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolStatus {
    /// Why the disk takes nothing at present.
    pub error: Option<String>,
    /// Failures of the disk, ever.
    pub errors_total: u64,
    /// Commits, ever.
    pub commits_total: u64,
    /// Records that damage has cost, as far as known.
    pub damaged_total: u64,
}

/// Drives a [`Spill`] for one or more sinks.
#[derive(Debug)]
pub struct Spooler {
    spill: Spill,
    options: SpoolerOptions,
    seats: Vec<Seat>,
    /// Streams of this run, for frames that come back.
    streams: HashMap<Label, u32>,
    /// Labels of earlier runs, shared by the frames that come back.
    labels: HashMap<(Box<str>, Box<str>), Label>,
    head: Vec<u8>,
    committed: Option<Position>,
    retry_at: Option<Duration>,
    account: Option<Vec<u8>>,
    account_at: Duration,
    touched: bool,
    accepted: u64,
    swept_at: Duration,
    status: SpoolStatus,
}

/// One sink of the log.
#[derive(Debug)]
struct Seat {
    slot: SinkSlot,
    /// The account of frames of earlier runs.
    recovered: u32,
    errand: Errand,
    answers: Vec<Appended>,
    /// Appended and not committed, oldest first.
    waits: VecDeque<Position>,
    rescued: Vec<Position>,
    restored: Vec<(u32, Position, Frame)>,
    dropped: Vec<(u32, u64, Position, DropReason)>,
    /// The log has just been found to have more or less than it said.
    recount: bool,
    left: Option<u64>,
    /// At the end: what was committed and is in no file all the same.
    unstored: Vec<Position>,
    given_up: Option<Position>,
}

impl Seat {
    /// The disk takes nothing: what may go on in memory does. True where something does.
    fn rescue(&mut self, spill: &mut Spill) -> bool {
        let before = self.rescued.len();
        while self.errand.keep.0 > 0
            && let Some(front) = self.waits.front().copied()
            && spill.skip_read(self.slot, front)
        {
            self.waits.pop_front();
            self.rescued.push(front);
            self.errand.keep.0 -= 1;
        }
        self.rescued.len() > before
    }
}

impl Spooler {
    /// A spooler for an open log.
    pub fn new(spill: Spill, options: SpoolerOptions) -> Self {
        Self {
            spill,
            options,
            seats: Vec::new(),
            streams: HashMap::new(),
            labels: HashMap::new(),
            head: Vec::new(),
            committed: None,
            retry_at: None,
            account: None,
            account_at: Duration::ZERO,
            touched: false,
            accepted: 0,
            swept_at: Duration::ZERO,
            status: SpoolStatus::default(),
        }
    }

    /// Adds a sink, named as in the log. What the log holds for it from earlier
    /// runs goes on the books of `machine`, under the stream `recovered`. Returns
    /// the number of events.
    ///
    /// # Errors
    /// Too many sinks, or too long a name.
    pub fn add(&mut self, name: &str, recovered: u32, machine: &mut Machine) -> Result<u64, SpillError> {
        let slot = self.spill.sink(name)?;
        let backlog = self.spill.backlog(slot).records;
        machine.recovered(recovered, backlog);
        self.seats.push(Seat {
            slot,
            recovered,
            errand: Errand::default(),
            answers: Vec::new(),
            waits: VecDeque::new(),
            rescued: Vec::new(),
            restored: Vec::new(),
            dropped: Vec::new(),
            recount: false,
            left: None,
            unstored: Vec::new(),
            given_up: None,
        });
        Ok(backlog)
    }

    /// Sinks of earlier runs that nobody has added, with what the log holds for them: it keeps that, and with it
    /// every later segment, until somebody does.
    pub fn unclaimed(&self) -> impl Iterator<Item = (&str, u64)> {
        let strange = self.spill.sinks().filter(|(_, slot)| self.seats.iter().all(|seat| seat.slot != *slot));
        strange.map(|(name, slot)| (name, self.spill.backlog(slot).records)).filter(|(_, records)| *records > 0)
    }

    /// Stores the owner's books as they are at the start, so that they name the
    /// run that is about to begin. A disk that does not take them shows in the status.
    pub fn begin(&mut self, now: Duration, account: &[u8]) {
        self.checkpoint(now, account);
    }

    /// How many sinks it serves.
    pub fn sinks(&self) -> usize {
        self.seats.len()
    }

    /// The state of the disk.
    pub fn status(&self) -> &SpoolStatus {
        &self.status
    }

    /// Takes the errands of sink `index`, and while the disk takes nothing lets go on in memory what there is room
    /// for. True where there is something to do, or to report.
    pub fn gather(&mut self, index: usize, machine: &mut Machine) -> bool {
        let takes = !self.is_stuffed();
        let Some(seat) = self.seats.get_mut(index) else { return false };
        let errand = machine.errand(TURN_BYTES, takes);
        let busy = !errand.frames.is_empty() || errand.restore.is_some();
        self.touched |= busy || errand.settled.is_some();
        let settled = errand.settled.or(seat.errand.settled);
        seat.errand = Errand { settled, ..errand };
        // Memory has got room: a sink does not wait for the next attempt at the disk.
        let waits = self.retry_at.is_none() || planted::is("a sink waits for the next attempt at the disk");
        if waits || !seat.rescue(&mut self.spill) {
            return busy;
        }
        // At once: they are older than what was just taken.
        machine.rescue(&seat.rescued);
        seat.rescued.clear();
        true
    }

    /// Events accepted so far, over all sinks: an account is renewed while there are more.
    pub fn note_accepted(&mut self, accepted: u64) {
        self.touched |= accepted != self.accepted;
        self.accepted = accepted;
    }

    /// How long there is nothing to do unless a sink has an errand.
    pub fn due(&self, now: Duration) -> Option<Duration> {
        let retry = self.retry_at.map(|at| at.saturating_sub(now));
        let commit = match retry {
            Some(_) => None,
            None => self.spill.commit_due(now),
        };
        let account = self.touched.then(|| (self.account_at + ACCOUNT_EVERY).saturating_sub(now));
        [retry, commit, account].into_iter().flatten().min()
    }

    /// True where [`work`](Self::work) would store an account: hand it over first.
    pub fn wants_account(&self, now: Duration) -> bool {
        self.spill.checkpoint_due() || self.touched && now >= self.account_at + ACCOUNT_EVERY
    }

    /// The owner's books of this moment, stored with the next checkpoint.
    pub fn set_account(&mut self, account: Vec<u8>) {
        self.account = Some(account);
    }

    /// Does the I/O of a turn.
    pub fn work(&mut self, now: Duration) {
        for index in 0..self.seats.len() {
            let seat = &mut self.seats[index];
            if let Some(through) = seat.errand.settled.take() {
                self.spill.settle(seat.slot, through);
            }
            self.append(now, index);
        }
        self.commit(now, false);
        if !planted::is("a commit is noticed too late") {
            self.catch_up();
        }
        for index in 0..self.seats.len() {
            self.read_back(index);
        }
        self.sweep(now);
        if let Some(account) = self.account.take() {
            self.checkpoint(now, &account);
        }
        // After the last commit of the turn: what that takes is not missing.
        for seat in &mut self.seats {
            if !std::mem::take(&mut seat.recount) {
                continue;
            }
            let backlog = self.spill.backlog(seat.slot);
            seat.left = Some(backlog.records.saturating_sub(backlog.held + seat.waits.len() as u64));
        }
    }

    /// Bytes in the memory of the log that wait for the disk.
    pub fn pending_bytes(&self) -> u64 {
        self.spill.status().pending_bytes
    }

    /// True where the disk takes nothing, and enough waits for it already.
    fn is_stuffed(&self) -> bool {
        self.retry_at.is_some() && self.pending_bytes() > STUFFED
    }

    fn note_error(&mut self, error: &SpillError) {
        self.status.errors_total += 1;
        if self.status.error.is_none() {
            tracing::warn!(error = %error, "telemetry_spill_error");
        }
        self.status.error = Some(error.to_string());
    }

    /// Tells sink `index` what came of its errands.
    pub fn report(&mut self, index: usize, machine: &mut Machine) {
        let Some(seat) = self.seats.get_mut(index) else { return };
        machine.note_disk(self.retry_at.is_some());
        machine.appended(&seat.answers);
        seat.answers.clear();
        // Before the commit: what was rescued is not on disk alone, and what was shed is not there.
        machine.rescue(&seat.rescued);
        seat.rescued.clear();
        for (stream, seq, position, reason) in seat.dropped.drain(..) {
            machine.drop_spilled(stream, seq, position, reason);
        }
        if let Some(through) = seat.given_up.take() {
            machine.give_up(through);
        }
        if let Some(end) = self.committed {
            machine.committed(end, self.options.fsync == FsyncPolicy::EachCommit);
        }
        for (stream, position, frame) in seat.restored.drain(..) {
            machine.restore(stream, position, frame);
        }
        if let Some(left) = seat.left.take() {
            machine.reconcile(seat.recovered, left);
        }
        machine.unstored(seat.recovered, &seat.unstored);
        seat.unstored.clear();
        machine.errand_done();
    }

    /// Commits and stores the account, whatever the windows say; for the end.
    /// What could not be stored is then still on its way: see
    /// [`Machine::abandon_spool`].
    pub fn close(&mut self, now: Duration, account: &[u8]) {
        self.commit(now, true);
        self.checkpoint(now, account);
        if self.touched {
            // The last chance to make safe what was written.
            self.checkpoint(now, account);
        }
        for seat in &mut self.seats {
            seat.unstored = self.spill.in_memory(seat.slot).collect();
        }
    }
}

/// The account and number of a stored frame.
fn account_of(streams: &HashMap<Label, u32>, recovered: u32, head: &[u8]) -> (u32, u64) {
    let Some(head) = head::decode(head) else { return (recovered, 0) };
    let stream = streams.get(&head.label()).filter(|_| !planted::is("what comes back is booked elsewhere"));
    (stream.copied().unwrap_or(recovered), head.seq)
}

fn frame(
    labels: &mut HashMap<(Box<str>, Box<str>), Label>,
    streams: &HashMap<Label, u32>,
    kinds: &[&'static str],
    head: &[u8],
    body: Bytes,
) -> Option<Frame> {
    let head = head::decode(head)?;
    let label = labels.entry((head.run_id.into(), head.stream.into())).or_insert_with(|| {
        let label = head.label();
        streams.get_key_value(&label).map_or(label, |(known, _)| known.clone())
    });
    let kind = kinds.iter().copied().find(|kind| *kind == head.kind).unwrap_or("event");
    Some(Frame::new(label.clone(), kind, head.seq, head.tick, body))
}
