//! One file that is only ever seen whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use townlet_transport::{ErrorKind, TransportError};

/// Readable for all: `node_exporter` runs as another user.
const MODE: u32 = 0o644;

/// What is larger was not written here.
const LARGEST: u64 = 16 << 20;

/// What replacing a file needs of a disk, in the order in which it is done.
pub(crate) trait Disk {
    /// Begins a file that does not exist yet.
    fn create(&mut self, path: &Path) -> io::Result<File>;
    fn write(&mut self, file: &mut File, text: &[u8]) -> io::Result<()>;
    fn sync(&mut self, file: &File) -> io::Result<()>;
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
}

/// The operating system's.
pub(crate) struct Os;

impl Disk for Os {
    fn create(&mut self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
        // Whatever the umask says.
        file.set_permissions(Permissions::from_mode(MODE))?;
        Ok(file)
    }
    fn write(&mut self, file: &mut File, text: &[u8]) -> io::Result<()> {
        file.write_all(text)
    }
    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_all()
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}

/// An open textfile: nobody else writes it while this exists.
#[derive(Debug)]
pub(crate) struct Textfile {
    path: PathBuf,
    folder: PathBuf,
    beside: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl Textfile {
    /// Makes the folder, takes the lock, clears away what a crash left; returns
    /// the content of the file that is there.
    pub(crate) fn open(path: &Path) -> Result<(Self, Option<String>), TransportError> {
        let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
            let message = format!("{} is a folder: name a file in it", path.display());
            return Err(TransportError::new(ErrorKind::Misconfigured, message));
        };
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|error| failure("making the folder of", path, error))?;
        let lock = lock(&beside(folder, name, ".lock"), path)?;
        let text = read(path)?;
        let temporary = beside(folder, name, ".tmp");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failure("clearing the remains of", path, error));
            }
            _ => {}
        }
        Ok((Self { path: path.to_owned(), folder: folder.to_owned(), beside: temporary, _lock: lock }, text))
    }

    /// Puts `text` in the place of what is there, or leaves that as it is.
    pub(crate) fn replace(&self, disk: &mut impl Disk, text: &str) -> Result<(), TransportError> {
        let result = self.replaced(disk, text.as_bytes());
        if result.is_err() {
            let _ = fs::remove_file(&self.beside);
        }
        result.map_err(|error| failure("writing", &self.path, error))?;
        // The new file is in its place; that its name survives a power cut is the folder's part.
        if let Err(error) = File::open(&self.folder).and_then(|folder| folder.sync_all()) {
            tracing::debug!(path = %self.folder.display(), %error, "telemetry_prometheus_folder_not_synced");
        }
        Ok(())
    }

    fn replaced(&self, disk: &mut impl Disk, text: &[u8]) -> io::Result<()> {
        let mut file = disk.create(&self.beside)?;
        disk.write(&mut file, text)?;
        disk.sync(&file)?;
        disk.rename(&self.beside, &self.path)
    }
}

/// A hidden name in the same folder, which does not end in `.prom`.
fn beside(folder: &Path, name: &std::ffi::OsStr, ending: &str) -> PathBuf {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(ending);
    folder.join(hidden)
}

fn lock(place: &Path, path: &Path) -> Result<File, TransportError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(place);
    let file = opened.map_err(|error| failure("locking", path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            let message = format!("{} is written by somebody else: each sink needs a file of its own", path.display());
            Err(TransportError::new(ErrorKind::Misconfigured, message))
        }
        // A file system without locks.
        Err(fs::TryLockError::Error(_)) => Ok(file),
    }
}

fn read(path: &Path) -> Result<Option<String>, TransportError> {
    let fail = |error| failure("reading back", path, error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(fail)?;
    // A file of this size is not ours either.
    let text = if bytes.len() as u64 > LARGEST { None } else { String::from_utf8(bytes).ok() };
    text.map(Some).ok_or_else(|| not_ours(path))
}

/// Somebody else's file must not be lost.
pub(crate) fn not_ours(path: &Path) -> TransportError {
    let message = format!("{} holds something else: name another file, or move it away", path.display());
    TransportError::new(ErrorKind::Misconfigured, message)
}

fn failure(doing: &str, path: &Path, error: io::Error) -> TransportError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::InvalidFilename => {
            ErrorKind::Misconfigured
        }
        _ => ErrorKind::Io,
    };
    TransportError::with_source(kind, format!("{doing} {}: {error}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails at one step, as far as it has got there.
    struct Failing {
        steps: usize,
    }

    impl Failing {
        fn step(&mut self) -> io::Result<()> {
            self.steps = self.steps.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            Ok(())
        }
    }

    impl Disk for Failing {
        fn create(&mut self, path: &Path) -> io::Result<File> {
            self.step()?;
            Os.create(path)
        }
        fn write(&mut self, file: &mut File, text: &[u8]) -> io::Result<()> {
            let half = text.len() / 2;
            Os.write(file, &text[..half])?;
            self.step()?;
            Os.write(file, &text[half..])
        }
        fn sync(&mut self, file: &File) -> io::Result<()> {
            self.step()?;
            Os.sync(file)
        }
        fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
            self.step()?;
            Os.rename(from, to)
        }
    }

    #[test]
    fn wherever_the_disk_fails_the_old_file_stays_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("town.prom");
        let (file, before) = Textfile::open(&path).unwrap();
        assert_eq!(before, None);
        file.replace(&mut Os, "old\n").unwrap();
        for steps in 0..4 {
            let error = file.replace(&mut Failing { steps }, "new\n").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "old\n", "after {steps} steps");
            let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names.len(), 2, "the file and its lock: {names:?}");
        }
        file.replace(&mut Failing { steps: 4 }, "new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    }
}
