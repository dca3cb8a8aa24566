//! The transport: opens, rotates, appends, syncs.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use townlet_transport::{
    Connected, ErrorKind, Frame, Fsync, Level, Outcome, SendError, Transport, TransportError, runs,
};

use crate::FileOptions;
use crate::housekeeping::{Housekeeping, HousekeepingCounts};
use crate::janitor::Janitor;
use crate::lines::{Torn, append_lines};
use crate::names::{Names, Period};
use crate::options::expanded;
use crate::rotation::set_aside;
use crate::target::{Standing, Target, failure};

/// Finished files are looked through at least this often, as far as there are batches.
const ROUND: Duration = Duration::from_secs(60);

/// A clock that is behind by less than this was corrected: what it called the next
/// day goes on. One that is behind by more was wrong before.
const CORRECTION: Duration = Duration::from_secs(3600);

/// Appends frames to a file.
pub struct FileTransport {
    options: FileOptions,
    names: Names,
    /// Where it writes, and the stretch of time that this path stands for.
    path: PathBuf,
    period: Period,
    clock: Box<dyn Fn() -> SystemTime + Send>,
    target: Option<Target>,
    /// The file once more, for the thread that syncs it.
    shared: Option<Arc<File>>,
    housekeeping: Housekeeping,
    janitor: Option<Janitor>,
    /// When finished files were last looked through.
    looked: Option<SystemTime>,
    /// True where the next connect has to say `fresh` although the file is open.
    doubtful: bool,
    /// True while rotation fails, so that this is logged once.
    stuck: bool,
    buffer: Vec<u8>,
}

impl FileTransport {
    /// Builds a transport. Touches no disk.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) for an empty path, or a `~`
    /// that cannot be resolved.
    pub fn new(options: FileOptions) -> Result<Self, TransportError> {
        Self::with_clock(options, SystemTime::now)
    }

    /// The same with another wall clock, for rotation by age and for stamps.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_clock(
        mut options: FileOptions,
        clock: impl Fn() -> SystemTime + Send + 'static,
    ) -> Result<Self, TransportError> {
        let names = Names::new(&expanded(&options.path)?)?;
        options.run_marker = options.run_marker.filter(|marker| !marker.is_empty());
        let housekeeping = Housekeeping::of(&options, names.clone());
        let period = names.period(clock());
        Ok(Self {
            options,
            path: names.path(&period),
            names,
            period,
            clock: Box::new(clock),
            target: None,
            shared: None,
            housekeeping,
            janitor: None,
            looked: None,
            doubtful: false,
            stuck: false,
            buffer: Vec::new(),
        })
    }

    /// Where it writes, `~` and times resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was compressed, deleted and synced beside the batches so far.
    pub fn housekeeping(&self) -> HousekeepingCounts {
        self.housekeeping.counts()
    }

    /// A device cannot be synced, whatever the policy: what went there is sent.
    fn level(&self, target: &Target) -> Level {
        match self.options.fsync {
            Fsync::EachBatch if target.regular => Level::Durable,
            _ => Level::Sent,
        }
    }

    fn is_due(&self, target: &Target) -> bool {
        let age = || (self.clock)().duration_since(target.born).unwrap_or_default();
        target.regular
            && target.has_content
            && (self.options.rotate_bytes.is_some_and(|limit| target.size >= limit)
                || self.options.rotate_after.is_some_and(|limit| age() >= limit))
    }

    /// Goes on to the path of the present time, where that is another one. Never
    /// back: the order of the files is the order of their content.
    fn turn_the_page(&mut self, now: SystemTime) -> Result<(), TransportError> {
        if !self.names.is_dated() {
            return Ok(());
        }
        let mut period = self.names.period(now);
        if self.looked.is_none() && self.target.is_none() {
            // An earlier process may have been ahead of this clock.
            let found = self.names.scan().map_err(|error| failure("looking beside", &self.path, error))?;
            let newest = found.iter().map(|member| member.key.period).max();
            let bound = now.checked_add(CORRECTION).map_or(period, |bound| self.names.period(bound));
            self.period = newest.filter(|newest| *newest <= bound).map_or(period, |newest| newest.max(period));
            period = self.period;
        } else if period <= self.period {
            return Ok(());
        }
        // What was promised to be durable is so already; nothing else hangs on this.
        self.close();
        self.period = period;
        self.path = self.names.path(&period);
        self.looked = None;
        Ok(())
    }

    /// Sets the file aside and opens a new one. Where that is not possible the
    /// old one goes on: data before tidiness.
    fn rotate(&mut self, mut target: Target, now: SystemTime) -> Result<Target, TransportError> {
        self.sync(&mut target, When::Finished)?;
        if let Err(error) = set_aside(&self.names, &self.period, now) {
            if !std::mem::replace(&mut self.stuck, true) {
                tracing::warn!(path = %self.path.display(), %error, "telemetry_file_rotation_failed");
            }
            return Ok(target);
        }
        self.stuck = false;
        self.leave();
        drop(target);
        let mut next = Target::open(&self.path, now)?;
        // Some file systems give a new file an old one's birth.
        next.born = next.born.max(now);
        self.looked = None;
        Ok(next)
    }

    /// Forgets what was kept of the file that is being left.
    fn leave(&mut self) {
        self.shared = None;
        if let Some(janitor) = &self.janitor {
            janitor.clean();
        }
    }

    /// Has finished files looked through: at the start, after each of them, and
    /// now and then, because they grow old.
    fn tidy(&mut self, now: SystemTime) {
        let interval = match self.options.fsync {
            Fsync::Interval(interval) => Some(interval),
            _ => None,
        };
        if interval.is_none() && !self.housekeeping.has_work() {
            self.looked = Some(now);
            return;
        }
        let janitor = self.janitor.get_or_insert_with(|| Janitor::start(self.housekeeping.clone(), interval));
        let due = self.looked.is_none_or(|looked| now.duration_since(looked).is_ok_and(|passed| passed >= ROUND));
        if due && self.housekeeping.has_work() {
            janitor.tidy(now, self.period);
        }
        if due {
            self.looked = Some(now);
        }
    }

    fn sync(&self, target: &mut Target, when: When) -> Result<(), TransportError> {
        let asked = match self.options.fsync {
            Fsync::Never => false,
            Fsync::OnRotation => when == When::Finished,
            _ => true,
        };
        if !asked || !target.regular {
            return Ok(());
        }
        target.file.sync_data().map_err(|error| failure("syncing", &self.path, error))
    }

    /// Ends a torn last line and writes the run marker.
    fn begin(&mut self, target: &mut Target) -> Result<(), TransportError> {
        let torn = target.ends_torn().map_err(|error| failure("reading the end of", &self.path, error))?;
        let mut head = Vec::new();
        if torn {
            head.push(b'\n');
        }
        if let Some(marker) = &self.options.run_marker {
            head.extend_from_slice(marker);
            if !marker.ends_with(b"\n") {
                head.push(b'\n');
            }
        }
        let (piece, line) = (std::iter::once(head.as_slice()), std::iter::once(head.len()));
        self.append(target, piece, line).map_err(|torn| torn.into_error(&self.path))?;
        if self.options.fsync != Fsync::Never {
            sync_folder(&self.path);
        }
        target.begun = true;
        Ok(())
    }

    /// With `fsync: interval` somebody else sees to it.
    fn soon_on_disk(&mut self, target: &Target) {
        let (Fsync::Interval(_), Some(janitor), true) = (self.options.fsync, &self.janitor, target.regular) else {
            return;
        };
        if self.shared.is_none() {
            // Where there is no second handle, `flush` and the end of the file sync as ever.
            self.shared = target.file.try_clone().ok().map(Arc::new);
        }
        self.shared.iter().for_each(|file| janitor.dirty(file));
    }

    fn append<'a>(
        &mut self,
        target: &mut Target,
        pieces: impl Iterator<Item = &'a [u8]>,
        lines: impl Iterator<Item = usize>,
    ) -> Result<(), Torn> {
        let sync = self.options.fsync == Fsync::EachBatch && target.regular;
        match append_lines(&mut target.file, target.size, pieces, lines, sync, &mut self.buffer) {
            Ok(bytes) => {
                target.size += bytes;
                Ok(())
            }
            Err(torn) => {
                target.size += torn.bytes;
                Err(torn)
            }
        }
    }
}

impl Torn {
    fn into_error(self, path: &Path) -> TransportError {
        failure("writing to", path, self.error)
    }
}

/// On what occasion a file is synced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Somebody asked for it.
    Asked,
    /// Nothing more comes into this file, or not for now.
    Finished,
}

/// Makes the name of a new file durable. Not every system can; the data is what counts.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        tracing::debug!(path = %folder.display(), %error, "telemetry_file_folder_not_synced");
    }
}

impl Transport for FileTransport {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        let now = (self.clock)();
        self.turn_the_page(now)?;
        let mut fresh = std::mem::take(&mut self.doubtful);
        let standing = self.target.as_mut().map(|target| target.look(&self.path));
        let kept = self.target.take();
        let mut target = match (kept, standing) {
            (Some(target), Some(Standing::There)) => target,
            (Some(mut target), Some(Standing::Shortened)) => {
                (target.begun, target.has_content) = (false, target.size > 0);
                target
            }
            (gone, _) => {
                if let Some(mut gone) = gone {
                    // It may live on under another name; what it lacks cannot be helped.
                    let _ = self.sync(&mut gone, When::Finished);
                    self.leave();
                }
                Target::open(&self.path, now)?
            }
        };
        if self.is_due(&target) {
            target = self.rotate(target, now)?;
        }
        if !target.begun {
            fresh = true;
            if let Err(error) = self.begin(&mut target) {
                // Kept where it is whole, so that a retry does not open it again and again.
                if error.kind() == ErrorKind::StorageFull {
                    self.target = Some(target);
                }
                return Err(error);
            }
        }
        let (peer, level) = (self.path.display().to_string(), self.level(&target));
        self.target = Some(target);
        self.tidy(now);
        Ok(if fresh { Connected::fresh(peer, level, false) } else { Connected::reused(peer, level, false) })
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        let Some(mut target) = self.target.take().filter(|target| target.begun) else {
            let message = format!("{} is not open: connect first", self.path.display());
            return Err(TransportError::new(ErrorKind::Disconnected, message).into());
        };
        match self.append(&mut target, runs(batch), batch.iter().map(Frame::len)) {
            Ok(()) => {
                target.has_content |= !batch.is_empty();
                let level = self.level(&target);
                self.soon_on_disk(&target);
                self.target = Some(target);
                Ok(Outcome::Settled(level))
            }
            Err(torn) => {
                let (settled, clean) = (torn.whole, torn.clean && target.regular);
                let error = torn.into_error(&self.path);
                target.has_content |= settled > 0;
                self.doubtful = true;
                // On a full disk the file goes on where it stopped; else it is opened anew.
                if clean && error.kind() == ErrorKind::StorageFull {
                    self.target = Some(target);
                }
                Err(SendError::after(settled, error))
            }
        }
    }

    fn flush(&mut self) -> Result<(), TransportError> {
        let Some(mut target) = self.target.take() else { return Ok(()) };
        self.sync(&mut target, When::Asked)?;
        self.target = Some(target);
        Ok(())
    }

    fn close(&mut self) {
        self.leave();
        if let Some(mut target) = self.target.take()
            && let Err(error) = self.sync(&mut target, When::Finished)
        {
            tracing::warn!(path = %self.path.display(), %error, "telemetry_file_sync_failed");
        }
    }
}

impl Drop for FileTransport {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for FileTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTransport")
            .field("path", &self.path)
            .field("open", &self.target.is_some())
            .finish_non_exhaustive()
    }
}
