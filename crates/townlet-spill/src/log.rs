//! The log itself: opening, and what it says about itself.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::disk::Disk;
use crate::error::{ErrorKind, SpillError};
use crate::options::{FsyncPolicy, SpillOptions};
use crate::pending::Pending;
use crate::recovery::{Damage, Recovery, RepairStep};
use crate::segment::{QUARANTINE, Segment};
use crate::sink::Sinks;
use crate::survey::Survey;
use crate::two_slot::TwoSlot;
use crate::window::Window;

/// The place of a record in the log: counts up by one, never reused for a
/// record that some sink may think it has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub(crate) u64);

impl Position {
    /// As a number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Figures of an open log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpillStatus {
    /// Segments on disk.
    pub segments: usize,
    /// Bytes of those segments.
    pub segment_bytes: u64,
    /// Bytes in memory that wait for a commit.
    pub pending_bytes: u64,
    /// Position of the next record.
    pub next: Position,
    /// Every record below it survives a power cut, as far as this process knows.
    pub durable: Position,
    /// Smoothed time of a sync; none before the first.
    pub sync_time: Option<Duration>,
    /// How long a commit waits for company.
    pub commit_window: Duration,
    /// Syncs that failed since the log was opened; what they covered was written again.
    pub failed_syncs: u64,
    /// Bytes appended since the last checkpoint: what the next start would read.
    pub since_checkpoint: u64,
}

/// A segmented append log with a cursor per sink. See the crate documentation.
///
/// `now` in its methods is the time since any fixed origin. For `max_age` to
/// count over restarts take the Unix time of the start plus the monotonic time
/// since then. Time that goes back is borne.
pub struct Spill {
    pub(crate) disk: Box<dyn Disk>,
    pub(crate) options: SpillOptions,
    pub(crate) two_slot: TwoSlot,
    pub(crate) segments: VecDeque<Segment>,
    /// Whether the last segment takes more records.
    pub(crate) active: bool,
    /// Bytes of the active segment that are safe.
    pub(crate) synced_len: u64,
    pub(crate) next_ordinal: u64,
    pub(crate) pending: Pending,
    /// Position up to which sinks may read.
    pub(crate) readable: u64,
    pub(crate) durable: u64,
    pub(crate) unsynced: bool,
    pub(crate) last_sync: Duration,
    pub(crate) last_write: Duration,
    pub(crate) sinks: Sinks,
    pub(crate) window: Window,
    /// Bytes of all segments.
    pub(crate) total: u64,
    pub(crate) since_checkpoint: u64,
    pub(crate) rolled: bool,
    pub(crate) failed_syncs: u64,
    pub(crate) damage: Vec<Damage>,
    /// Ranges that no segment has, as far as they are reported.
    pub(crate) gaps: Vec<(u64, u64)>,
    /// Segments that no cursor needs, until a checkpoint allows their removal.
    pub(crate) leavings: Vec<Segment>,
    /// Bytes of those, where the last checkpoint could not be stored: they take room until one can.
    pub(crate) stuck: u64,
    /// Oldest first.
    pub(crate) quarantined: VecDeque<String>,
}

impl fmt::Debug for Spill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spill").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Spill {
    /// Opens the log in the folder of `disk`, or begins one.
    ///
    /// Reads the state file, the names in the folder, and what was appended after
    /// the last checkpoint, whatever the backlog. Whatever the folder holds, the
    /// result is a usable log; what could not be used is put aside.
    ///
    /// # Errors
    /// [`Locked`](ErrorKind::Locked) where another process has the folder,
    /// [`Io`](ErrorKind::Io) where it cannot be locked or listed.
    pub fn open(disk: Box<dyn Disk>, options: SpillOptions, now: Duration) -> Result<(Self, Recovery), SpillError> {
        Self::open_with(disk, options, now, |_, _| {})
    }

    /// The same; `visit` sees targets and head of each record that was appended
    /// after the checkpoint whose [`extra`](Recovery::extra) is returned, so
    /// that the caller's account can be brought up to date.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(
        mut disk: Box<dyn Disk>,
        options: SpillOptions,
        now: Duration,
        mut visit: impl FnMut(u64, &[u8]),
    ) -> Result<(Self, Recovery), SpillError> {
        let options = options.sane();
        lock(disk.as_mut())?;
        let survey = Survey::take(disk.as_mut(), options.read_buffer, &mut visit)?;
        let mut quarantined: Vec<String> = survey.quarantined.iter().map(|file| file.name.clone()).collect();
        quarantined.sort();
        for step in &survey.steps {
            if let Err(error) = step.apply(disk.as_mut()) {
                tracing::warn!(%step, %error, "a repair of the spill did not succeed; the next start tries again");
            } else if let RepairStep::Quarantine { to, .. } = step {
                quarantined.push(to.clone());
            }
        }
        if options.fsync != FsyncPolicy::Never {
            survey.make_tail_safe(disk.as_mut());
        }
        let sinks = Sinks::restored(&survey.slots);
        let total = survey.segments.iter().map(|segment| segment.len).sum();
        let mut damage = survey.damage.clone();
        damage.extend(survey.steps.iter().filter_map(|step| put_aside(step, &survey)));
        let recovery = Recovery {
            state: survey.found,
            extra: survey.state.map(|state| state.extra),
            tail_records: survey.tail_records,
            tail_bytes: survey.tail_bytes,
            torn_bytes: survey.torn_bytes,
            damage,
            steps: survey.steps,
        };
        let mut spill = Self {
            disk,
            options,
            two_slot: survey.two_slot,
            segments: survey.segments,
            active: false,
            synced_len: 0,
            next_ordinal: survey.next_ordinal,
            pending: Pending::new(survey.next),
            readable: survey.next,
            durable: survey.next,
            unsynced: false,
            last_sync: now,
            last_write: now,
            sinks,
            window: Window::new(),
            total,
            since_checkpoint: recovery.tail_bytes,
            rolled: !recovery.steps.is_empty(),
            failed_syncs: 0,
            damage: Vec::new(),
            gaps: Vec::new(),
            leavings: Vec::new(),
            stuck: 0,
            quarantined: quarantined.into(),
        };
        spill.prune_quarantined();
        if !recovery.is_clean() {
            tracing::warn!(recovery = %recovery, "the spill was repaired");
        }
        Ok((spill, recovery))
    }

    /// Figures for a status page.
    pub fn status(&self) -> SpillStatus {
        SpillStatus {
            segments: self.segments.len(),
            segment_bytes: self.total,
            pending_bytes: self.pending.len() as u64,
            next: Position(self.pending.next()),
            durable: self.durable(),
            sync_time: self.window.sync_time(),
            commit_window: self.window.length(),
            failed_syncs: self.failed_syncs,
            since_checkpoint: self.since_checkpoint,
        }
    }

    /// Every record below it survives a power cut. With
    /// [`FsyncPolicy::Never`](crate::FsyncPolicy::Never) it stays where it was when the log was opened.
    pub fn durable(&self) -> Position {
        Position(self.durable)
    }

    /// Every record below it is committed, as far as the policy asks for, and can be read by sinks.
    pub fn readable(&self) -> Position {
        Position(self.readable)
    }

    /// Damage met since the last call, each place once, however many sinks pass it.
    pub fn take_damage(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damage)
    }

    /// Where the records of segment `at` end.
    pub(crate) fn end_of(&self, at: usize) -> u64 {
        self.segments.get(at + 1).map_or(self.readable, |next| next.first)
    }

    /// Notes damage once.
    pub(crate) fn note_damage(&mut self, at: usize, offset: u64, bytes: u64, records: u64) {
        let Some(segment) = self.segments.get_mut(at) else { return };
        if segment.damaged_at.contains(&offset) {
            return;
        }
        segment.damaged_at.push(offset);
        let damage = Damage { segment: segment.name.clone(), offset, bytes, records_at_most: records };
        tracing::warn!(?damage, "damage in the spill was passed");
        self.damage.push(damage);
    }

    /// Puts a damaged segment aside rather than removing it.
    pub(crate) fn set_aside(&mut self, name: &str) -> std::io::Result<()> {
        let to = format!("{name}{QUARANTINE}");
        self.disk.rename(name, &to)?;
        self.quarantined.push_back(to);
        self.prune_quarantined();
        Ok(())
    }

    /// So that damage does not fill the disk.
    fn prune_quarantined(&mut self) {
        while self.quarantined.len() > self.options.keep_quarantined {
            let Some(oldest) = self.quarantined.pop_front() else { return };
            if let Err(error) = self.disk.remove(&oldest) {
                tracing::debug!(oldest, %error, "an old quarantined segment stays");
            }
        }
    }
}

/// Takes the folder, or says who keeps it from us.
pub(crate) fn lock(disk: &mut dyn Disk) -> Result<(), SpillError> {
    match disk.lock() {
        Ok(true) => Ok(()),
        Ok(false) => {
            let what = "another process has the spill folder; end it, or give this one a folder of its own";
            Err(SpillError::new(ErrorKind::Locked, what))
        }
        Err(error) => Err(SpillError::io("the spill folder cannot be locked", error)),
    }
}

/// What a file costs that was put aside by its name alone.
fn put_aside(step: &RepairStep, survey: &Survey) -> Option<Damage> {
    let RepairStep::Quarantine { name, bytes, .. } = step else { return None };
    let known = survey.damage.iter().any(|damage| damage.segment == *name);
    (!known).then(|| Damage {
        segment: name.clone(),
        offset: 0,
        bytes: *bytes,
        // Each record takes at least its header.
        records_at_most: bytes / crate::frame::HEADER as u64,
    })
}
