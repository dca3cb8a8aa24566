//! Appending, and the group commit that makes it last.

use std::time::Duration;

use crate::disk::write_full;
use crate::error::{ErrorKind, SpillError};
use crate::frame::{HEADER, MAX_HEAD};
use crate::log::{Position, Spill};
use crate::options::FsyncPolicy;
use crate::planted;
use crate::segment::{Header, Segment, file_name};

/// With [`FsyncPolicy::Every`]: so much waits for no interval.
const MAX_UNSYNCED: usize = 8 << 20;
/// Distance of the places remembered in a segment.
const NOTE_EVERY: u64 = 64 << 10;

impl Spill {
    /// Takes a record for the sinks whose bits are in `targets`. `head` is what tells it from others (at most
    /// 64 KiB), `body` what it is. No system call: it waits in memory for the next commit.
    ///
    /// Bits without a registered sink are nobody's.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge) above `max_record_bytes`, or where `max_bytes` is too small for it alone;
    /// [`Cap`](ErrorKind::Cap) where the log would exceed `max_bytes`: nothing was taken.
    pub fn append(&mut self, now: Duration, targets: u64, head: &[u8], body: &[u8]) -> Result<Position, SpillError> {
        let content = (head.len() as u64).saturating_add(body.len() as u64);
        if content > u64::from(self.options.max_record_bytes) || head.len() > MAX_HEAD {
            let most = self.options.max_record_bytes;
            let what =
                format!("a record of {content} bytes; the spill takes at most {most}, of them {MAX_HEAD} as head");
            return Err(SpillError::new(ErrorKind::TooLarge, what));
        }
        if HEADER as u64 + content > self.options.max_bytes {
            let what =
                format!("a record of {content} bytes; the max_bytes of the spill are {}", self.options.max_bytes);
            return Err(SpillError::new(ErrorKind::TooLarge, what));
        }
        if !self.has_room(HEADER as u64 + content) {
            let what = format!("the spill has reached its max_bytes of {}", self.options.max_bytes);
            return Err(SpillError::new(ErrorKind::Cap, what));
        }
        self.window.appended(now);
        for sink in self.sinks.targets_mut(targets) {
            sink.records += 1;
            sink.bytes += content;
        }
        Ok(Position(self.pending.push(targets, head, body)))
    }

    /// Whether `bytes` more stay within `max_bytes`.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let unwritten = self.pending.unwritten().len() as u64;
        self.total.saturating_add(self.stuck).saturating_add(unwritten).saturating_add(bytes) <= self.options.max_bytes
    }

    /// Time until [`commit`](Self::commit) should be called; `None` if nothing waits
    /// for one. The window is a quarter of what a sync takes (0.1 to 20 ms): what
    /// comes while one is under way is a group already.
    pub fn commit_due(&self, now: Duration) -> Option<Duration> {
        if self.unsynced && self.pending.unwritten().is_empty() {
            let FsyncPolicy::Every(interval) = self.options.fsync else { return None };
            return Some((self.last_sync + interval).saturating_sub(now).min(interval));
        }
        self.window.due(now, self.pending.unwritten().len())
    }

    /// Writes what waits, and syncs as the policy says. Everything below the position that is
    /// returned can be read by sinks, and with [`FsyncPolicy::EachCommit`] is durable.
    ///
    /// # Errors
    /// [`Full`](ErrorKind::Full) and [`Io`](ErrorKind::Io). Nothing is lost and
    /// nothing is reported as safe that is not: what waits goes on waiting, for
    /// the next call, which is due at once: how long to wait after an error is
    /// the caller's choice. After a failed sync the records in question are first written
    /// to a new segment, since the system may have forgotten them.
    pub fn commit(&mut self, now: Duration) -> Result<Position, SpillError> {
        self.commit_as(now, false)
    }

    pub(crate) fn commit_as(&mut self, now: Duration, force: bool) -> Result<Position, SpillError> {
        let mut took = Duration::ZERO;
        if !self.pending.unwritten().is_empty() {
            took += self.write(now)?;
            self.last_write = now;
        }
        if self.unsynced && self.sync_is_due(now, force) {
            took += self.sync(now)?;
        }
        self.window.committed(now, took);
        Ok(Position(self.readable))
    }

    fn sync_is_due(&self, now: Duration, force: bool) -> bool {
        match self.options.fsync {
            FsyncPolicy::EachCommit => true,
            FsyncPolicy::Every(interval) => {
                let since = now.checked_sub(self.last_sync);
                // A clock that went back puts no sync off.
                force || since.is_none_or(|since| since >= interval) || self.pending.len() >= MAX_UNSYNCED
            }
            FsyncPolicy::Never => false,
        }
    }

    fn write(&mut self, now: Duration) -> Result<Duration, SpillError> {
        let full = self.segments.back().is_none_or(|last| last.len >= self.options.segment_bytes);
        if self.active && !full && !self.sinks.changed {
            return self.extend().map(|()| Duration::ZERO);
        }
        let mut took = Duration::ZERO;
        if self.active && self.unsynced && self.options.fsync != FsyncPolicy::Never {
            // What the old segment holds has to be safe before the new one can be.
            took = self.sync(now)?;
            if self.pending.unwritten().is_empty() {
                return Ok(took);
            }
        }
        Ok(took + self.begin_segment(now)?)
    }

    /// Writes behind what the active segment holds.
    fn extend(&mut self) -> Result<(), SpillError> {
        let Some(segment) = self.segments.back_mut() else { return Ok(()) };
        let (name, at) = (segment.name.clone(), segment.len);
        if let Err(error) = write_full(self.disk.as_mut(), &name, at, self.pending.unwritten())
            && !planted::is("a failed write is believed to have worked")
        {
            // What was written of it will be written again at the same place;
            // until then it only takes room.
            let _ = self.disk.truncate(&name, at);
            return Err(SpillError::io(format!("cannot append to {name}"), error));
        }
        self.wrote(at);
        Ok(())
    }

    /// Begins a segment with everything that is not written. It is safe when this returns, unless
    /// nothing is to be synced.
    fn begin_segment(&mut self, now: Duration) -> Result<Duration, SpillError> {
        let (ordinal, first) = (self.next_ordinal, self.pending.written_to());
        // Never the same again: an attempt that failed may still be there after a crash.
        self.next_ordinal += 1;
        let name = file_name(ordinal, first);
        let slots = self.sinks.iter().map(|sink| sink.named.clone()).collect();
        let header = Header { ordinal, first, created: now, slots }.encode();
        let written = self.fill_segment(&name, &header);
        let took = match written {
            Ok(took) => took,
            Err(error) => {
                self.active = false;
                let _ = self.disk.remove(&name);
                return Err(SpillError::io(format!("cannot begin segment {name}"), error));
            }
        };
        let mut segment = Segment::new(name, ordinal, first, header.len() as u64);
        segment.created = Some(now);
        self.total += segment.len;
        self.segments.push_back(segment);
        (self.active, self.rolled, self.sinks.changed) = (true, true, false);
        self.wrote(header.len() as u64);
        if self.options.fsync != FsyncPolicy::Never {
            self.window.measured(took);
            self.synced(now);
        }
        Ok(took)
    }

    fn fill_segment(&mut self, name: &str, header: &[u8]) -> std::io::Result<Duration> {
        self.disk.create(name)?;
        write_full(self.disk.as_mut(), name, 0, header)?;
        write_full(self.disk.as_mut(), name, header.len() as u64, self.pending.unwritten())?;
        if self.options.fsync == FsyncPolicy::Never {
            return Ok(Duration::ZERO);
        }
        let took = match planted::is("a new segment is not synced") {
            true => Duration::ZERO,
            false => self.disk.sync_data(name)?,
        };
        if !planted::is("the folder of a new segment is not synced") {
            self.disk.sync_dir()?;
        }
        Ok(took)
    }

    /// Everything that waits stands in the last segment, from `base` on.
    fn wrote(&mut self, base: u64) {
        let bytes = self.pending.unwritten().len() as u64;
        let Some(segment) = self.segments.back_mut() else { return };
        let mut next_note = 0;
        for (position, offset) in self.pending.unwritten_offsets() {
            if offset >= next_note {
                segment.note(position, base + offset);
                next_note = offset + NOTE_EVERY;
            }
        }
        segment.len = base + bytes;
        self.total += bytes;
        self.since_checkpoint += bytes;
        self.pending.mark_written();
        match self.options.fsync {
            FsyncPolicy::EachCommit => self.unsynced = true,
            FsyncPolicy::Every(_) => {
                self.unsynced = true;
                self.readable = self.pending.written_to();
            }
            FsyncPolicy::Never => {
                self.pending.release();
                self.readable = self.pending.first;
                self.synced_len = segment.len;
            }
        }
    }

    fn sync(&mut self, now: Duration) -> Result<Duration, SpillError> {
        let Some(name) = self.segments.back().map(|segment| segment.name.clone()) else {
            return Ok(Duration::ZERO);
        };
        let synced = match planted::is("a commit does not sync") {
            true => Ok(Duration::ZERO),
            false => self.disk.sync_data(&name),
        };
        match synced {
            Err(_) if planted::is("a failed sync is believed to have worked") => {
                self.synced(now);
                Ok(Duration::ZERO)
            }
            Ok(took) => {
                self.window.measured(took);
                self.synced(now);
                Ok(took)
            }
            Err(error) => {
                tracing::warn!(segment = name, %error, "a sync failed; its records are written again elsewhere");
                self.failed_syncs += 1;
                self.abandon();
                self.begin_segment(now)
            }
        }
    }

    fn synced(&mut self, now: Duration) {
        self.pending.release();
        self.durable = self.pending.first;
        self.readable = self.durable;
        self.synced_len = self.segments.back().map_or(0, |segment| segment.len);
        (self.unsynced, self.last_sync) = (false, now);
    }

    /// Gives the active segment up at its last safe byte: of the rest nobody
    /// knows what the disk has, and a sync that succeeds later proves nothing.
    fn abandon(&mut self) {
        (self.active, self.unsynced) = (false, false);
        if !planted::is("what a failed sync lost is not written again") {
            self.pending.mark_unwritten();
        }
        self.readable = self.pending.first;
        let Some(segment) = self.segments.back_mut() else { return };
        self.total -= segment.len - self.synced_len;
        segment.len = self.synced_len;
        let (name, len, ordinal) = (segment.name.clone(), segment.len, segment.ordinal);
        let _ = self.disk.truncate(&name, len);
        for sink in self.sinks.iter_mut() {
            if sink.cursor.scan.as_ref().is_some_and(|(at, _)| *at == ordinal) {
                sink.move_to(sink.cursor.at);
            }
        }
    }
}
