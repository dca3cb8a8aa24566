//! The streams that a collector follows, over all its connections.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Instant;

use townlet_schema::{HeadReader, LineHead};

use super::foreign;
use super::shown::{Figures, Shown};
use crate::planted;
use crate::report::{ShardReport, StreamReport};
use crate::sequence::{Arrival, SequenceCounts, SequenceReport, SequenceTracker};
use crate::store::{Store, StoreError, StreamLog, Unsynced};

/// Gaps that the report of a shard names.
const GAPS_NAMED: usize = 16;

/// Streams that left memory with gaps of which is known how many, so that these are not counted twice where the
/// stream comes back and its file tells of them again.
const AWAY: usize = 65_536;

/// The name in both places under which the metrics of many streams are summed up: a stream that is called so has
/// none of its own.
pub(super) const OTHER: &str = "other";

type Key = (Option<Box<str>>, Option<Box<str>>);

/// The streams in memory. Bounded: where room is needed, the stream that was
/// idle longest and that no connection uses leaves, and comes back by reading
/// its file.
pub(super) struct Directory {
    limit: usize,
    gap_limit: usize,
    line_limit: usize,
    label_limit: usize,
    table: Mutex<Table>,
    clock: AtomicU64,
}

#[derive(Default)]
struct Table {
    streams: BTreeMap<Key, Arc<Stream>>,
    labelled: usize,
    retired: Retired,
    /// By a digest of their names, how many lines of streams that left are in `retired.missing`.
    away: BTreeMap<u64, u64>,
    hasher: RandomState,
}

/// Sums over the streams that left memory.
#[derive(Clone, Copy, Default)]
pub(super) struct Retired {
    pub(super) streams: u64,
    /// Of those without metrics of their own: what had a series is not counted a second time in another.
    pub(super) unlabelled: u64,
    /// Lines that never came; they stay missing until the stream comes back.
    pub(super) missing: u64,
    pub(super) stored: u64,
    pub(super) duplicates: u64,
}

/// One stream: its sequence and its file, under one lock.
pub(super) struct Stream {
    pub(super) run_id: Option<Box<str>>,
    pub(super) stream: Option<Box<str>>,
    /// Has metrics of its own. Decided once, so that no counter ever goes back.
    pub(super) labelled: bool,
    /// What was missing when it left memory before; its file says so once it was read.
    missed: u64,
    last_used: AtomicU64,
    users: AtomicUsize,
    state: Mutex<StreamState>,
    /// For readers, while the state waits for the disk.
    shown: Shown,
}

/// A connection's hold on a stream: it does not leave memory meanwhile.
pub(super) struct Held(Arc<Stream>);

impl Held {
    fn new(stream: &Arc<Stream>) -> Self {
        // Under the directory's lock, as is the check before a stream leaves.
        stream.users.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(stream))
    }
}

impl Deref for Held {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(super) struct StreamState {
    tracker: SequenceTracker,
    received: u64,
    accepted: u64,
    duplicates: u64,
    unnumbered: u64,
    bytes: u64,
    recovered: u64,
    /// When the last line came.
    heard: Option<Instant>,
    /// The file was looked at. Done by the first line, not while the directory
    /// is locked, because a long file takes a while to read.
    ready: bool,
    log: Option<StreamLog>,
    shown: Shown,
}

/// There is no room for another stream.
pub(super) struct Full;

impl Directory {
    pub(super) fn new(limit: usize, gap_limit: usize, line_limit: usize, label_limit: usize) -> Self {
        let (table, clock) = (Mutex::default(), AtomicU64::new(0));
        Self { limit: limit.max(1), gap_limit, line_limit, label_limit, table, clock }
    }

    /// The stream of that name, made where it is new. `path`: its file, if there is a store.
    pub(super) fn stream(
        &self,
        run_id: Option<&str>,
        stream: Option<&str>,
        path: Option<PathBuf>,
    ) -> Result<Held, Full> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let run_id = run_id.filter(|_| !planted::is("the run is no part of what tells lines apart"));
        let key: Key = (run_id.map(Into::into), stream.map(Into::into));
        let mut table = self.table();
        if let Some(found) = table.streams.get(&key) {
            found.last_used.store(now, Ordering::Relaxed);
            return Ok(Held::new(found));
        }
        if table.streams.len() >= self.limit {
            table.retire_one()?;
        }
        let shown = Shown::default();
        let state = StreamState {
            tracker: SequenceTracker::new(self.gap_limit),
            received: 0,
            accepted: 0,
            duplicates: 0,
            unnumbered: 0,
            bytes: 0,
            recovered: 0,
            heard: None,
            ready: path.is_none(),
            log: path.map(StreamLog::new),
            shown: shown.clone(),
        };
        let is_other = run_id == Some(OTHER) && stream == Some(OTHER);
        let labelled = table.labelled < self.label_limit && !is_other;
        table.labelled += usize::from(labelled);
        let missed = table.comes_back(&key);
        let made = Arc::new(Stream {
            labelled,
            missed,
            run_id: key.0.clone(),
            stream: key.1.clone(),
            last_used: AtomicU64::new(now),
            users: AtomicUsize::new(0),
            state: Mutex::new(state),
            shown,
        });
        let held = Held::new(&made);
        table.streams.insert(key, made);
        Ok(held)
    }

    /// True where the stream is in memory.
    pub(super) fn knows(&self, run_id: &str, stream: &str) -> bool {
        self.table().streams.contains_key(&(Some(run_id.into()), Some(stream.into())))
    }

    /// All streams in memory, and the sums of those that left it.
    pub(super) fn all(&self) -> (Vec<Arc<Stream>>, Retired) {
        let table = self.table();
        (table.streams.values().cloned().collect(), table.retired)
    }

    pub(super) fn line_limit(&self) -> usize {
        self.line_limit
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// What was counted as missing of a stream that left is counted with the stream again.
    fn comes_back(&mut self, (run_id, stream): &Key) -> u64 {
        let missed = self.away.remove(&self.hasher.hash_one((run_id, stream))).unwrap_or_default();
        self.retired.missing = self.retired.missing.saturating_sub(missed);
        missed
    }

    fn retire_one(&mut self) -> Result<(), Full> {
        // Whose lock is taken is being written; nobody waits for it here, where all streams would wait.
        let idle = |stream: &Stream| {
            stream.users.load(Ordering::Acquire) == 0 && stream.try_lock().is_some_and(|state| state.may_leave())
        };
        let oldest = self
            .streams
            .iter()
            .filter(|(_, stream)| idle(stream))
            .min_by_key(|(_, stream)| stream.last_used.load(Ordering::Relaxed))
            .map(|(key, _)| key.clone());
        let stream = oldest.and_then(|key| self.streams.remove(&key)).ok_or(Full)?;
        let report = stream.report();
        self.labelled -= usize::from(stream.labelled);
        self.retired.streams += 1;
        if !stream.labelled {
            self.retired.unlabelled += report.received;
        }
        // Of a file that was never read again is known what there was before.
        let unread = stream.try_lock().is_some_and(|state| !state.ready);
        let missing = if unread { stream.missed } else { report.sequence.missing };
        self.retired.missing = self.retired.missing.saturating_add(missing);
        if missing > 0 && report.file.is_some() && self.away.len() < AWAY {
            let of = self.hasher.hash_one((&stream.run_id, &stream.stream));
            self.away.insert(of, missing);
        }
        self.retired.stored += report.stored;
        self.retired.duplicates += report.duplicates;
        Ok(())
    }
}

impl Stream {
    pub(super) fn lock(&self) -> MutexGuard<'_, StreamState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, StreamState>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Reads the figures, of now or of when the disk began to be waited for. Who holds
    /// the lock without showing them does no more than take a line.
    fn read<T>(&self, of: impl Fn(&StreamState) -> T, shown: impl Fn(&Figures) -> T) -> T {
        loop {
            if let Some(state) = self.try_lock() {
                return of(&state);
            }
            if let Some(figures) = self.shown.read() {
                return shown(&figures);
            }
            thread::yield_now();
        }
    }

    /// Writes what waits, and syncs it where the store says so. The sync happens
    /// outside the lock: other connections go on writing this stream meanwhile.
    pub(super) fn write_out(&self, store: &Store) -> Result<(), StoreError> {
        let unsynced = self.lock().flush(store)?;
        let Some(unsynced) = unsynced else { return Ok(()) };
        let outcome = unsynced.sync();
        self.lock().log.as_mut().map_or(Ok(()), |log| log.synced(unsynced.up_to, outcome))
    }

    pub(super) fn is(&self, run_id: Option<&str>, stream: Option<&str>) -> bool {
        let same_run = self.run_id.as_deref() == run_id;
        self.stream.as_deref() == stream && (same_run || planted::is("the run is no part of what tells lines apart"))
    }

    /// What the metrics and the list of shards say of it.
    pub(super) fn shard(&self, now: Instant) -> ShardReport {
        let (report, last_tick, heard) = self.read(
            |state| (state.in_short(), state.tracker.last_tick(), state.heard),
            |figures| (figures.report.clone(), figures.last_tick, figures.heard),
        );
        let (last, missing) = (report.sequence.last, report.sequence.missing);
        ShardReport {
            run_id: self.run_id.as_deref().map(str::to_owned),
            stream: self.stream.as_deref().map(str::to_owned),
            received: report.received,
            duplicates: report.duplicates,
            last_seq: last,
            last_tick,
            missing,
            #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
            loss_ratio: if last == 0 { 0.0 } else { missing as f64 / last as f64 },
            gaps: report.sequence.gaps.into_iter().take(GAPS_NAMED).collect(),
            silent_ms: heard
                .map(|heard| u64::try_from(now.saturating_duration_since(heard).as_millis()).unwrap_or(u64::MAX)),
        }
    }

    pub(super) fn report(&self) -> StreamReport {
        let report = self.read(StreamState::report, |figures| figures.report.clone());
        StreamReport {
            run_id: self.run_id.as_deref().map(str::to_owned),
            stream: self.stream.as_deref().map(str::to_owned),
            ..report
        }
    }
}

impl StreamState {
    /// Takes one valid line (newline included). True where it is new and was
    /// put in line for the file.
    ///
    /// # Errors
    /// The store cannot take it; then the line is not marked as seen, so that
    /// its sender can bring it again.
    pub(super) fn take(
        &mut self,
        head: &LineHead<'_>,
        line: &[u8],
        store: Option<&Store>,
        line_limit: usize,
        now: Instant,
    ) -> Result<bool, StoreError> {
        self.make_ready(line_limit)?;
        self.heard = Some(now);
        if let Some(store) = store
            && self.log.as_ref().is_some_and(StreamLog::is_full)
        {
            self.flush(store)?;
        }
        self.received += 1;
        self.bytes += line.len() as u64;
        match observe(&mut self.tracker, head) {
            Some(arrival) if arrival.is_duplicate() => {
                self.duplicates += 1;
                return Ok(false);
            }
            Some(_) => {}
            None => self.unnumbered += 1,
        }
        self.accepted += 1;
        if let Some(log) = &mut self.log {
            log.push(line);
        }
        Ok(true)
    }

    /// Writes what waits. The disk may take as long as it likes.
    fn flush(&mut self, store: &Store) -> Result<Option<Unsynced>, StoreError> {
        if !self.log.as_ref().is_some_and(|log| log.is_due(store)) {
            return self.log.as_mut().map_or(Ok(None), |log| log.flush(store));
        }
        let _showing = self.shown.show(self.figures());
        self.log.as_mut().map_or(Ok(None), |log| log.flush(store))
    }

    fn figures(&self) -> Figures {
        Figures { report: self.report(), last_tick: self.tracker.last_tick(), heard: self.heard }
    }

    /// Without the names, which the stream knows.
    fn report(&self) -> StreamReport {
        StreamReport { sequence: self.tracker.report(), ..self.counts() }
    }

    /// The same with no more gaps than a shard names.
    fn in_short(&self) -> StreamReport {
        let sequence = SequenceReport {
            counts: SequenceCounts::default(),
            last: self.tracker.last(),
            gaps: self.tracker.gaps().take(GAPS_NAMED).collect(),
            missing: self.tracker.missing(),
        };
        StreamReport { sequence, ..self.counts() }
    }

    fn counts(&self) -> StreamReport {
        let unwritten = self.unwritten();
        StreamReport {
            received: self.received,
            stored: self.accepted - unwritten,
            unwritten,
            duplicates: self.duplicates,
            unnumbered: self.unnumbered,
            recovered: self.recovered,
            bytes: self.bytes,
            file: self.log.as_ref().map(|log| log.path().to_owned()),
            ..StreamReport::default()
        }
    }

    /// Gives back the memory that no waiting line needs.
    pub(super) fn release(&mut self) {
        if let Some(log) = &mut self.log {
            log.release();
        }
    }

    /// See [`SequenceTracker::has_up_to`].
    pub(super) fn has_up_to(&mut self, from: u64, line_limit: usize) -> Option<u64> {
        self.make_ready(line_limit).ok()?;
        self.tracker.has_up_to(from)
    }

    /// True where reading the file again would say the same. After a failed sync it would not: the kernel may show
    /// what is not on disk.
    fn may_leave(&self) -> bool {
        self.unwritten() == 0 && !self.log.as_ref().is_some_and(StreamLog::is_broken)
    }

    /// Lines accepted that are not with the operating system yet.
    fn unwritten(&self) -> u64 {
        self.log.as_ref().map_or(0, StreamLog::pending_lines)
    }

    fn make_ready(&mut self, line_limit: usize) -> Result<(), StoreError> {
        if self.ready {
            return Ok(());
        }
        let _showing = self.shown.show(self.figures());
        if let Some(log) = &mut self.log {
            let (mut tracker, mut heads) = (self.tracker.clone(), HeadReader::default());
            // The limit may have been lowered since the lines were taken.
            let recovered = log.recover(line_limit.max(townlet_schema::MAX_LINE_BYTES), |line| {
                if let Ok(head) = foreign::read(&mut heads, line) {
                    observe(&mut tracker, &head);
                }
            })?;
            self.tracker = tracker;
            self.recovered = recovered.lines;
        }
        self.ready = true;
        Ok(())
    }
}

/// None where the line does not say which one it is: a number counts within a
/// run and a stream only, and without either two lines of the same number may
/// well be two.
fn observe(tracker: &mut SequenceTracker, head: &LineHead<'_>) -> Option<Arrival> {
    if head.run_id.is_none() || head.stream.is_none() {
        return None;
    }
    let seq = head.seq.and_then(NonZeroU64::new)?;
    Some(match head.rendering {
        Some(rendering) if !planted::is("a keyframe of a state that is there is thrown away") => {
            tracker.observe_keyframe(seq, rendering, head.tick)
        }
        _ => tracker.observe(seq, head.tick),
    })
}
