//! What becomes of finished files: compressed, kept, deleted.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use townlet_transport::TransportError;

use crate::FileOptions;
use crate::names::{Form, Key, Member, Names, Period};
use crate::options::expanded;
use crate::pack::{Packing, pack, packed};

/// What housekeeping has done since its transport was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HousekeepingCounts {
    /// Files compressed.
    pub compressed: u64,
    /// Files deleted because of `keep_files`, `keep_bytes` or `keep_seconds`.
    pub deleted: u64,
    /// Bytes that those took on the disk.
    pub deleted_bytes: u64,
    /// Half-made files of killed processes that were removed.
    pub parts_removed: u64,
    /// What could not be done; the log says what.
    pub failed: u64,
    /// Syncs of `fsync: interval`.
    pub syncs: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    compressed: AtomicU64,
    deleted: AtomicU64,
    deleted_bytes: AtomicU64,
    parts_removed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) syncs: AtomicU64,
}

impl Counts {
    pub(crate) fn read(&self) -> HousekeepingCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        HousekeepingCounts {
            compressed: of(&self.compressed),
            deleted: of(&self.deleted),
            deleted_bytes: of(&self.deleted_bytes),
            parts_removed: of(&self.parts_removed),
            failed: of(&self.failed),
            syncs: of(&self.syncs),
        }
    }
}

pub(crate) fn add(count: &AtomicU64, n: u64) -> u64 {
    count.fetch_add(n, Ordering::Relaxed) + n
}

/// Compresses and deletes the finished files of one sink, as its options say.
///
/// Finished is what was set aside, and what belongs to a period before that of the
/// time it is told. It touches nothing else: not the file that is written to, and
/// no file whose name the transport would not have given. A transport runs it on a
/// thread of its own; without a transport it can be run by hand.
#[derive(Clone, Debug)]
pub struct Housekeeping {
    names: Names,
    gzip: bool,
    keep_files: Option<usize>,
    keep_bytes: Option<u64>,
    keep_for: Option<Duration>,
    pub(crate) counts: Arc<Counts>,
}

impl Housekeeping {
    /// What these options ask for. Touches no disk.
    ///
    /// # Errors
    /// [`Misconfigured`](townlet_transport::ErrorKind::Misconfigured) for a path
    /// that no transport would take.
    pub fn new(options: &FileOptions) -> Result<Self, TransportError> {
        Ok(Self::of(options, Names::new(&expanded(&options.path)?)?))
    }

    pub(crate) fn of(options: &FileOptions, names: Names) -> Self {
        Self {
            names,
            gzip: options.gzip,
            keep_files: options.keep_files,
            keep_bytes: options.keep_bytes,
            keep_for: options.keep_for,
            counts: Arc::default(),
        }
    }

    /// What was done so far.
    pub fn counts(&self) -> HousekeepingCounts {
        self.counts.read()
    }

    pub(crate) fn has_work(&self) -> bool {
        self.gzip || self.keep_files.is_some() || self.keep_bytes.is_some() || self.keep_for.is_some()
    }

    /// Does what there is to do at `now`. Stops soon after `stop` becomes true, at
    /// a place where nothing is lost. What fails is logged, counted, and tried
    /// again at the next run.
    pub fn run(&self, now: SystemTime, stop: &dyn Fn() -> bool) {
        self.run_before(now, &self.names.period(now), stop);
    }

    /// The same with the period that is written to, which a clock that was set
    /// back may be behind.
    pub(crate) fn run_before(&self, now: SystemTime, period: &Period, stop: &dyn Fn() -> bool) {
        if let Err(error) = self.try_run(now, period, stop) {
            self.failed(self.names.path(period).as_path(), "looking for the files beside", &error);
        }
    }

    fn try_run(&self, now: SystemTime, period: &Period, stop: &dyn Fn() -> bool) -> io::Result<()> {
        self.remove_parts()?;
        // First what is too old anyway, so that nothing is compressed in vain.
        self.delete(now, period, false)?;
        if self.gzip {
            for member in self.finished(period)?.into_values().flatten() {
                if stop() {
                    return Ok(());
                }
                if member.form == Form::Plain {
                    self.compress(&member, stop);
                }
            }
        }
        self.delete(now, period, true)
    }

    /// The forms of each finished file, the earliest file first.
    fn finished(&self, period: &Period) -> io::Result<BTreeMap<Key, Vec<Member>>> {
        let mut found: BTreeMap<Key, Vec<Member>> = BTreeMap::new();
        let finished = |member: &Member| member.key.mark.is_some() || member.key.period < *period;
        for member in self.names.scan()?.into_iter().filter(finished) {
            found.entry(member.key).or_default().push(member);
        }
        Ok(found)
    }

    fn remove_parts(&self) -> io::Result<()> {
        for member in self.names.scan()?.into_iter().filter(|member| member.form == Form::Part) {
            match std::fs::remove_file(&member.path) {
                Ok(()) => {
                    add(&self.counts.parts_removed, 1);
                    tracing::info!(path = %member.path.display(), "telemetry_file_part_removed");
                }
                Err(error) => self.failed(&member.path, "removing", &error),
            }
        }
        Ok(())
    }

    fn compress(&self, member: &Member, stop: &dyn Fn() -> bool) {
        if member.key.mark.is_none() && is_written_to(&member.path) {
            return;
        }
        match pack(&member.path, stop) {
            Ok(Packing::Stopped) => {}
            Ok(Packing::Done(before, after)) => {
                let total = add(&self.counts.compressed, 1);
                let path = packed(&member.path);
                tracing::info!(path = %path.display(), before, after, total, "telemetry_file_compressed");
            }
            // Deleted by somebody in the meantime: nothing is left to compress.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.failed(&member.path, "compressing", &error),
        }
    }

    /// Deletes the oldest files beyond what is to be kept. Whether too many bytes
    /// are there is a question for when all is compressed.
    fn delete(&self, now: SystemTime, period: &Period, bytes_too: bool) -> io::Result<()> {
        let finished = self.finished(period)?;
        let (mut files, mut bytes) = (0, 0_u64);
        let mut surplus = Vec::new();
        for (key, forms) in finished.iter().rev() {
            let size: u64 = forms.iter().filter_map(|form| form.path.metadata().ok()).map(|found| found.len()).sum();
            files += 1;
            bytes += size;
            let age = now.duration_since(self.names.finished(key)).unwrap_or_default();
            let why = if self.keep_files.is_some_and(|keep| files > keep) {
                "keep_files"
            } else if self.keep_for.is_some_and(|keep| age > keep) {
                "keep_seconds"
            } else if bytes_too && self.keep_bytes.is_some_and(|keep| bytes > keep) {
                "keep_bytes"
            } else {
                continue;
            };
            surplus.push((why, forms));
        }
        for (why, forms) in surplus.into_iter().rev() {
            for form in forms {
                self.delete_one(form, why);
            }
        }
        Ok(())
    }

    fn delete_one(&self, member: &Member, why: &str) {
        if member.key.mark.is_none() && member.form == Form::Plain && is_written_to(&member.path) {
            return;
        }
        let size = member.path.metadata().map(|found| found.len()).unwrap_or_default();
        match std::fs::remove_file(&member.path) {
            Ok(()) => {
                let files = add(&self.counts.deleted, 1);
                let bytes = add(&self.counts.deleted_bytes, size);
                let path = member.path.display();
                tracing::info!(%path, size, because_of = why, files, bytes, "telemetry_file_deleted");
                // Only empty ones go, and only those that time named.
                for folder in self.names.dated_folders(&member.path) {
                    if std::fs::remove_dir(folder).is_err() {
                        break;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.failed(&member.path, "deleting", &error),
        }
    }

    fn failed(&self, path: &Path, doing: &str, error: &io::Error) {
        let total = add(&self.counts.failed, 1);
        tracing::warn!(path = %path.display(), doing, %error, total, "telemetry_file_housekeeping_failed");
    }

    /// The finished files that are there now, the earliest first.
    ///
    /// # Errors
    /// What reading their folders reports.
    pub fn files(&self, now: SystemTime) -> io::Result<Vec<PathBuf>> {
        let finished = self.finished(&self.names.period(now))?;
        Ok(finished.into_values().flatten().map(|member| member.path).collect())
    }
}

/// A process that slept over the end of a day still holds its file.
fn is_written_to(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}
