//! A folder of the operating system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::disk::{Disk, FileInfo};

/// Files kept open: the one written, the state, and one per sink that reads.
const OPEN_FILES: usize = 8;
const LOCK: &str = "lock";

/// A folder of the operating system, created when it is first used.
///
/// The lock is advisory (`flock`), on a file `lock` in the folder, and ends with
/// the value or the process.
#[derive(Debug)]
pub struct OsDisk {
    folder: PathBuf,
    lock: Option<File>,
    /// Most recently used last.
    open: Vec<(String, File)>,
}

impl OsDisk {
    /// The folder at `path`. Touches nothing yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { folder: path.into(), lock: None, open: Vec::new() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        match self.open.iter().position(|(open, _)| open == name) {
            Some(at) => {
                let entry = self.open.remove(at);
                self.open.push(entry);
            }
            None => {
                let path = self.folder.join(name);
                // A folder that may only be read can still be inspected.
                let file = match OpenOptions::new().read(true).write(true).open(&path) {
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&path)?,
                    other => other?,
                };
                self.keep(name, file);
            }
        }
        self.open.last_mut().map(|(_, file)| file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn keep(&mut self, name: &str, file: File) {
        if self.open.len() >= OPEN_FILES {
            self.open.remove(0);
        }
        self.open.push((name.to_owned(), file));
    }

    fn forget(&mut self, name: &str) {
        self.open.retain(|(open, _)| open != name);
    }
}

impl Disk for OsDisk {
    fn list(&mut self) -> io::Result<Vec<FileInfo>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let info = match entry.metadata() {
                Ok(info) => info,
                // Gone between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // Names of ours are ASCII; others are none of the log's business.
            if let (true, Ok(name)) = (info.is_file(), entry.file_name().into_string()) {
                files.push(FileInfo { name, len: info.len() });
            }
        }
        Ok(files)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.folder.join(name))?;
        self.forget(name);
        self.keep(name, file);
        Ok(())
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.file(name)?;
        file.seek(SeekFrom::Start(offset))?;
        file.read(buffer)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let file = self.file(name)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write(bytes)
    }

    fn sync_data(&mut self, name: &str) -> io::Result<Duration> {
        let file = self.file(name)?;
        let start = Instant::now();
        file.sync_data()?;
        Ok(start.elapsed())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        // Elsewhere a folder cannot be opened as a file, and names need no sync.
        if cfg!(unix) { File::open(&self.folder)?.sync_all() } else { Ok(()) }
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.file(name)?.set_len(len)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.forget(name);
        fs::remove_file(self.folder.join(name))
    }

    fn lock(&mut self) -> io::Result<bool> {
        if self.lock.is_some() {
            return Ok(true);
        }
        if !self.folder.exists() {
            fs::create_dir_all(&self.folder)?;
            // The name of a new folder has to last too. Further up it is the host's.
            if let Some(parent) = self.folder.parent().filter(|parent| cfg!(unix) && !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        let path = self.folder.join(LOCK);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                self.lock = Some(file);
                Ok(true)
            }
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            // A file system without locks: better a spill without one than none at all.
            Err(fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(folder = %self.folder.display(), "the file system has no locks; do not share the folder");
                self.lock = Some(file);
                Ok(true)
            }
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}
