//! The file while it is open.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use townlet_transport::{ErrorKind, TransportError};

/// An open file and what is known of it.
pub(crate) struct Target {
    pub(crate) file: File,
    identity: Option<(u64, u64)>,
    /// False for devices: they are neither cut, locked nor renamed.
    pub(crate) regular: bool,
    /// Bytes in the file.
    pub(crate) size: u64,
    /// When it was created, as far as that is known.
    pub(crate) born: SystemTime,
    /// True where it holds more than a run marker.
    pub(crate) has_content: bool,
    /// True once the run marker is in and lines can follow.
    pub(crate) begun: bool,
}

/// How an open file stands to its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The path leads to it.
    There,
    /// The path leads to it, but it has lost its end.
    Shortened,
    /// The path leads elsewhere or nowhere.
    Gone,
}

impl Target {
    /// Opens `path` for appending, creating it and its folders.
    pub(crate) fn open(path: &Path, now: SystemTime) -> Result<Self, TransportError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|error| failure("creating the folder of", path, error))?;
        }
        // A pipe would block in `open` until somebody reads.
        if std::fs::metadata(path).is_ok_and(|found| is_pipe(&found)) {
            let message = format!("{} is a pipe, not a file: use transport type stdout", path.display());
            return Err(TransportError::new(ErrorKind::Misconfigured, message));
        }
        let opened = OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = opened.map_err(|error| failure("opening", path, error))?;
        let found = file.metadata().map_err(|error| failure("looking at", path, error))?;
        let regular = found.is_file();
        if regular {
            lock(&file, path)?;
        }
        let size = if regular { found.len() } else { 0 };
        Ok(Self {
            file,
            identity: identity(&found),
            regular,
            size,
            born: found.created().unwrap_or(now),
            has_content: size > 0,
            begun: false,
        })
    }

    /// Compares it with what is at `path` now, and takes over the size.
    pub(crate) fn look(&mut self, path: &Path) -> Standing {
        let Ok(found) = std::fs::metadata(path) else { return Standing::Gone };
        if identity(&found) != self.identity {
            return Standing::Gone;
        }
        if !self.regular {
            return Standing::There;
        }
        let shortened = found.len() < self.size;
        self.size = found.len();
        if shortened { Standing::Shortened } else { Standing::There }
    }

    /// True where the last line has no end, as a crash may leave it.
    pub(crate) fn ends_torn(&mut self) -> io::Result<bool> {
        if !self.regular || self.size == 0 {
            return Ok(false);
        }
        let mut last = [0];
        self.file.seek(SeekFrom::Start(self.size - 1))?;
        self.file.read_exact(&mut last)?;
        Ok(last != *b"\n")
    }
}

fn lock(file: &File, path: &Path) -> Result<(), TransportError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let message = format!("{} is being written by another sink or process: give each its own", path.display());
            Err(TransportError::new(ErrorKind::Unavailable, message))
        }
        Err(TryLockError::Error(error)) => {
            // Some network file systems have no locks; writing goes on without.
            tracing::debug!(path = %path.display(), %error, "telemetry_file_not_locked");
            Ok(())
        }
    }
}

/// Classifies what happened at `path`.
pub(crate) fn failure(doing: &str, path: &Path, error: io::Error) -> TransportError {
    let what = match error.kind() {
        io::ErrorKind::IsADirectory => "it is a folder, name a file in it",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "a part of its path is no folder",
        io::ErrorKind::PermissionDenied => "this user may not write there",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        io::ErrorKind::InvalidFilename => "the name is not allowed there",
        _ => return TransportError::from_io(format_args!("{doing} {}", path.display()), error),
    };
    TransportError::with_source(ErrorKind::Misconfigured, format!("{doing} {}: {what}", path.display()), error)
}

#[cfg(unix)]
pub(crate) fn identity(found: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
pub(crate) fn identity(_found: &Metadata) -> Option<(u64, u64)> {
    // An open file can be neither renamed nor deleted there.
    None
}

#[cfg(unix)]
fn is_pipe(found: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_found: &Metadata) -> bool {
    false
}
