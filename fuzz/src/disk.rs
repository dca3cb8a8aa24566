//! A folder in memory, for logs that are opened on files of any content.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use townlet_spill::{Disk, FileInfo};

/// No file grows beyond it: what is damaged may name any place.
const LARGEST: u64 = 4 << 20;

/// Handles of one folder; what one writes the others read. Everything is durable at once.
#[derive(Clone, Debug, Default)]
pub struct Folder(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, Vec<u8>>,
    /// Bytes that may still be written before every write fails.
    left: Option<usize>,
}

impl Folder {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a file there.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.inner().files.insert(name.to_owned(), bytes);
    }

    /// The names and lengths, sorted by name.
    pub fn names(&self) -> Vec<(String, usize)> {
        self.inner().files.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect()
    }

    /// Changes the bytes of a file.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(bytes) = self.inner().files.get_mut(name) {
            change(bytes);
        }
    }

    /// Lets so many more bytes be written, and then none: a power cut in the middle of a write.
    pub fn fail_after(&self, bytes: usize) {
        self.inner().left = Some(bytes);
    }

    /// Lets everything be written again.
    pub fn mend(&self) {
        self.inner().left = None;
    }
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, name.to_owned())
}

impl Disk for Folder {
    fn list(&mut self) -> io::Result<Vec<FileInfo>> {
        let info = |(name, bytes): (&String, &Vec<u8>)| FileInfo { name: name.clone(), len: bytes.len() as u64 };
        Ok(self.inner().files.iter().map(info).collect())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        inner.files.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let inner = self.inner();
        let bytes = inner.files.get(name).ok_or_else(|| missing(name))?;
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.inner();
        let mut count = bytes.len();
        if let Some(left) = &mut inner.left {
            count = count.min(*left);
            *left -= count;
            if count == 0 {
                return Err(io::Error::other("no more"));
            }
        }
        let end = offset.saturating_add(count as u64);
        if end > LARGEST {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = inner.files.get_mut(name).ok_or_else(|| missing(name))?;
        let (start, end) = (offset as usize, end as usize);
        file.resize(file.len().max(end), 0);
        file[start..end].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn sync_data(&mut self, name: &str) -> io::Result<Duration> {
        let inner = self.inner();
        if inner.left == Some(0) {
            return Err(io::Error::other("no more"));
        }
        inner.files.contains_key(name).then_some(Duration::from_millis(1)).ok_or_else(|| missing(name))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut inner = self.inner();
        let file = inner.files.get_mut(name).ok_or_else(|| missing(name))?;
        file.resize(usize::try_from(len.min(LARGEST)).unwrap_or(file.len()), 0);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner();
        let file = inner.files.remove(from).ok_or_else(|| missing(from))?;
        inner.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.inner().files.remove(name).map(|_| ()).ok_or_else(|| missing(name))
    }

    fn lock(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}
