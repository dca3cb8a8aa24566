//! The simulated disk as the log sees it.

use std::io;
use std::time::Duration;

use townlet_spill::{Disk, FileInfo};

use super::file::SimFile;
use super::{DiskFault, SimDisk, State, eio};

/// One user of a [`SimDisk`].
#[derive(Debug)]
pub struct SimHandle {
    disk: SimDisk,
    has_lock: bool,
}

impl SimHandle {
    pub(super) fn new(disk: SimDisk) -> Self {
        Self { disk, has_lock: false }
    }

    /// Runs a step that a crash stops, done or not, and that an error keeps from happening.
    fn step<T>(&self, what: impl Fn() -> String, action: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.lock();
        match state.step(what)? {
            None => action(&mut state),
            Some(DiskFault::Eio) => Err(eio()),
            Some(DiskFault::Crash) => {
                // Issued or not when the power went: what is not durable is chance anyway.
                let _ = action(&mut state);
                Err(eio())
            }
        }
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        if self.has_lock {
            self.disk.lock().locked = false;
        }
    }
}

impl Disk for SimHandle {
    fn list(&mut self) -> io::Result<Vec<FileInfo>> {
        let state = self.disk.lock();
        state.alive()?;
        let info = |(name, file): (&String, &usize)| FileInfo {
            name: name.clone(),
            len: state.files[*file].shown().len() as u64,
        };
        Ok(state.names.iter().map(info).collect())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.step(
            || format!("create {name}"),
            |state| {
                if state.names.contains_key(name) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                let number = state.files.len();
                state.files.push(SimFile::default());
                state.names.insert(name.to_owned(), number);
                state.name_changes.push(vec![(name.to_owned(), Some(number))]);
                Ok(())
            },
        )
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.lock();
        state.alive()?;
        let end = offset + buffer.len() as u64;
        if state.failing_reads.as_ref().is_some_and(|(file, from, to)| file == name && offset < *to && end > *from) {
            return Err(eio());
        }
        state.largest_read = state.largest_read.max(buffer.len());
        let wanted = state.transfer(buffer.len());
        let content = state.file(name)?.shown();
        let rest = content.get(offset as usize..).unwrap_or_default();
        let count = wanted.min(rest.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        state.bytes_read += count as u64;
        Ok(count)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.lock();
        let fault = state.step(|| format!("write {name} at {offset}: {} bytes", bytes.len()))?;
        let mut count = state.transfer(bytes.len());
        if fault.is_some() {
            count = state.dice.below(count as u64 + 1) as usize;
        }
        let end = offset + count as u64;
        let grows = end.saturating_sub(state.file(name)?.shown().len() as u64);
        let room = state.room();
        if grows > room {
            count = count.saturating_sub((grows - room) as usize);
        }
        if count > 0 {
            state.file(name)?.write(offset, &bytes[..count]);
            state.bytes_written += count as u64;
        }
        match fault {
            Some(_) => Err(eio()),
            None if count == 0 && !bytes.is_empty() => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(count),
        }
    }

    fn sync_data(&mut self, name: &str) -> io::Result<Duration> {
        let mut state = self.disk.lock();
        let mut fault = state.step(|| format!("sync {name}"))?;
        if fault.is_none() && state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            fault = Some(DiskFault::Eio);
        }
        let mut dice = state.dice.clone();
        let file = state.file(name)?;
        match fault {
            None => {
                file.sync();
                state.syncs += 1;
                Ok(state.sync_time)
            }
            Some(DiskFault::Eio) => {
                file.lose(&mut dice);
                state.dice = dice;
                Err(eio())
            }
            Some(DiskFault::Crash) => Err(eio()),
        }
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        let mut state = self.disk.lock();
        match state.step(|| "sync folder".to_owned())? {
            None => {
                state.durable_names = state.names.clone();
                state.name_changes.clear();
                Ok(())
            }
            Some(_) => Err(eio()),
        }
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.step(|| format!("cut {name} to {len}"), |state| state.file(name).map(|file| file.cut(len)))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.step(
            || format!("rename {from} to {to}"),
            |state| {
                let number = state.names.remove(from).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
                state.names.insert(to.to_owned(), number);
                state.name_changes.push(vec![(from.to_owned(), None), (to.to_owned(), Some(number))]);
                Ok(())
            },
        )
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.step(
            || format!("remove {name}"),
            |state| {
                state.names.remove(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
                state.name_changes.push(vec![(name.to_owned(), None)]);
                Ok(())
            },
        )
    }

    fn lock(&mut self) -> io::Result<bool> {
        let mut state = self.disk.lock();
        state.alive()?;
        if self.has_lock {
            return Ok(true);
        }
        if state.locked {
            return Ok(false);
        }
        state.locked = true;
        self.has_lock = true;
        Ok(true)
    }
}
