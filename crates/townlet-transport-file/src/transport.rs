//! The transport: opens, rotates, appends, syncs.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use townlet_transport::{
    Connected, ErrorKind, Frame, Fsync, Level, Outcome, SendError, Transport, TransportError, runs,
};

use crate::FileOptions;
use crate::lines::{Torn, append_lines};
use crate::options::expand;
use crate::rotation::{prune, set_aside};
use crate::target::{Standing, Target, failure};

/// Appends frames to a file.
pub struct FileTransport {
    options: FileOptions,
    path: PathBuf,
    clock: Box<dyn Fn() -> SystemTime + Send>,
    target: Option<Target>,
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
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let path = expand(&options.path, home.as_deref())?;
        options.run_marker = options.run_marker.filter(|marker| !marker.is_empty());
        let buffer = Vec::new();
        Ok(Self { options, path, clock: Box::new(clock), target: None, doubtful: false, stuck: false, buffer })
    }

    /// Where it writes, `~` resolved.
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Sets the file aside and opens a new one. Where that is not possible the
    /// old one goes on: data before tidiness.
    fn rotate(&mut self, mut target: Target) -> Result<Target, TransportError> {
        let now = (self.clock)();
        self.sync(&mut target)?;
        if let Err(error) = set_aside(&self.path, now) {
            if !std::mem::replace(&mut self.stuck, true) {
                tracing::warn!(path = %self.path.display(), %error, "telemetry_file_rotation_failed");
            }
            return Ok(target);
        }
        self.stuck = false;
        drop(target);
        let mut next = Target::open(&self.path, now)?;
        // Some file systems give a new file an old one's birth.
        next.born = next.born.max(now);
        if let Some(keep) = self.options.keep_files
            && let Err(error) = prune(&self.path, keep)
        {
            tracing::warn!(path = %self.path.display(), %error, "telemetry_file_prune_failed");
        }
        Ok(next)
    }

    fn sync(&self, target: &mut Target) -> Result<(), TransportError> {
        if self.options.fsync == Fsync::Never || !target.regular {
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

/// Makes the name of a new file durable. Not every system can; the data is what counts.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        tracing::debug!(path = %folder.display(), %error, "telemetry_file_folder_not_synced");
    }
}

impl Transport for FileTransport {
    fn connect(&mut self) -> Result<Connected, TransportError> {
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
                    let _ = self.sync(&mut gone);
                }
                Target::open(&self.path, (self.clock)())?
            }
        };
        if self.is_due(&target) {
            target = self.rotate(target)?;
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
        self.sync(&mut target)?;
        self.target = Some(target);
        Ok(())
    }

    fn close(&mut self) {
        if let Some(mut target) = self.target.take()
            && let Err(error) = self.sync(&mut target)
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
