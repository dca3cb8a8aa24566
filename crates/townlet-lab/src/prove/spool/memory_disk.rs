//! A folder in memory, so that a hundred thousand of them cost minutes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use townlet_spill::{Disk, FileInfo};

/// Files by name.
pub(super) type Image = BTreeMap<String, Vec<u8>>;

/// A handle of the folder; clones share it. Everything succeeds at once and lasts.
#[derive(Clone, Debug)]
pub(super) struct MemoryDisk(Arc<Mutex<Image>>);

impl MemoryDisk {
    pub(super) fn new(image: Image) -> Self {
        Self(Arc::new(Mutex::new(image)))
    }

    /// What the folder holds now.
    pub(super) fn image(&self) -> Image {
        self.files().clone()
    }

    fn files(&self) -> MutexGuard<'_, Image> {
        // A panic of the log, which is counted, leaves whole files.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, name: &str, work: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        self.files().get_mut(name).map(work).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl Disk for MemoryDisk {
    fn list(&mut self) -> io::Result<Vec<FileInfo>> {
        let info = |(name, content): (&String, &Vec<u8>)| FileInfo { name: name.clone(), len: content.len() as u64 };
        Ok(self.files().iter().map(info).collect())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut files = self.files();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        files.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let at = place(offset)?;
        self.with(name, |content| {
            let rest = content.get(at..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            count
        })
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let at = place(offset)?;
        self.with(name, |content| {
            if content.len() < at + bytes.len() {
                content.resize(at + bytes.len(), 0);
            }
            content[at..at + bytes.len()].copy_from_slice(bytes);
            bytes.len()
        })
    }

    fn sync_data(&mut self, name: &str) -> io::Result<Duration> {
        self.with(name, |_| Duration::ZERO)
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let len = place(len)?;
        self.with(name, |content| content.resize(len, 0))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        let content = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files().remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn lock(&mut self) -> io::Result<bool> {
        // Each trial has its folder to itself.
        Ok(true)
    }
}
