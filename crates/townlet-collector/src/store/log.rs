//! The file of one stream: what waits to be written, and how writing fails.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Settle, Store, StoreError};
use crate::lines::{Found, LineBuffer};

/// Bytes that may wait before a line must be written at once.
pub(crate) const PENDING_LIMIT: usize = 256 * 1024;

/// The append side of one file.
///
/// Lines wait in `pending` until [`flush`](Self::flush). A write that fails
/// half-way leaves the unwritten rest waiting, and the next flush goes on at that
/// byte: the file never has a torn line in its middle.
pub(crate) struct StreamLog {
    path: PathBuf,
    pending: Vec<u8>,
    /// Bytes handed to the operating system, and how many of them are synced.
    written: u64,
    synced: u64,
    /// After a failed sync the kernel may have thrown the pages away and report
    /// success next time, so nothing is acknowledged from this file any more
    /// until the collector starts again and reads what is really there.
    broken: Option<(io::ErrorKind, String)>,
}

/// What was found in a file that existed already.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Whole lines.
    pub(crate) lines: u64,
    /// Bytes of a torn last line, cut off. It was never acknowledged at
    /// [`Settle::Written`] or above, so its sender has it still.
    pub(crate) torn_bytes: u64,
}

impl StreamLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, pending: Vec::new(), written: 0, synced: 0, broken: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads an existing file through `each_line` and cuts off a torn last line.
    /// `line_limit`: longest line to hold; longer ones are counted only.
    pub(crate) fn recover(
        &mut self,
        line_limit: usize,
        mut each_line: impl FnMut(&[u8]),
    ) -> Result<Recovered, StoreError> {
        let path = &self.path;
        let failed = |doing| move |error| StoreError::new(doing, path, error);
        let mut file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Recovered::default()),
            Err(error) => return Err(failed("opening")(error)),
        };
        let mut recovered = Recovered::default();
        let mut buffer = LineBuffer::new(line_limit);
        let mut size = 0;
        loop {
            match buffer.fill(&mut Read::by_ref(&mut file)) {
                Ok(0) => break,
                Ok(read) => size += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed("reading")(error)),
            }
            while let Some(found) = buffer.next_line() {
                recovered.lines += 1;
                if let Found::Line(range) = found {
                    each_line(buffer.bytes(range));
                }
            }
        }
        recovered.torn_bytes = buffer.partial_len();
        if recovered.torn_bytes > 0 {
            file.seek(SeekFrom::Start(0)).map_err(failed("reading"))?;
            file.set_len(size - recovered.torn_bytes).map_err(failed("cutting the torn last line of"))?;
            tracing::warn!(
                path = %self.path.display(),
                bytes = recovered.torn_bytes,
                "collector_store_torn_line_cut: the last run ended while writing this line"
            );
        }
        // Nobody knows what of it is synced: the one before may have been killed before its sync.
        self.written = size - recovered.torn_bytes;
        Ok(recovered)
    }

    /// Adds a line (newline included) to what waits.
    pub(crate) fn push(&mut self, line: &[u8]) {
        self.pending.extend_from_slice(line);
    }

    /// Gives the memory back, where nothing waits.
    pub(crate) fn release(&mut self) {
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
    }

    /// True where so much waits that the next line must not be taken before a flush.
    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= PENDING_LIMIT
    }

    /// Whole lines that wait, a line that is written in part among them.
    pub(crate) fn pending_lines(&self) -> u64 {
        memchr::memchr_iter(b'\n', &self.pending).count() as u64
    }

    /// Writes what waits. Where the store settles at [`Settle::Synced`] and not
    /// everything is synced yet, the file comes back, to be synced outside the
    /// caller's lock; then call [`synced`](Self::synced).
    pub(crate) fn flush(&mut self, store: &Store) -> Result<Option<Unsynced>, StoreError> {
        self.trusted()?;
        if !self.is_due(store) {
            return Ok(None);
        }
        let must_sync = store.settle() == Settle::Synced;
        let file = store.handles.get(&self.path, store.settle())?;
        self.write_pending(&file).map_err(|error| StoreError::new("writing", &self.path, error))?;
        Ok(must_sync.then_some(Unsynced { file, up_to: self.written }))
    }

    /// True where a flush has something to ask of the disk.
    pub(crate) fn is_due(&self, store: &Store) -> bool {
        !self.pending.is_empty() || (store.settle() == Settle::Synced && self.synced < self.written)
    }

    fn write_pending(&mut self, mut file: &File) -> io::Result<()> {
        let mut done = 0;
        let outcome = loop {
            if done == self.pending.len() {
                break Ok(());
            }
            match file.write(&self.pending[done..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.written += done as u64;
        self.pending.drain(..done);
        // After a burst the memory follows what comes now, by halves, so that it does not follow each pause.
        if self.pending.is_empty() && done < self.pending.capacity() / 4 {
            self.pending.shrink_to(self.pending.capacity() / 2);
        }
        outcome
    }

    /// True once a sync has failed: what was read back into memory would hide what is lost.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    fn trusted(&self) -> Result<(), StoreError> {
        match &self.broken {
            None => Ok(()),
            Some((kind, text)) => {
                Err(StoreError::new("no longer trusting", &self.path, io::Error::new(*kind, text.clone())))
            }
        }
    }

    /// Takes in how a sync went. The kernel reports a failure once for an open file, so
    /// after one a good outcome is worth nothing.
    pub(crate) fn synced(&mut self, up_to: u64, outcome: io::Result<()>) -> Result<(), StoreError> {
        match outcome.and_then(|()| self.trusted().map_err(io::Error::other)) {
            Ok(()) => {
                self.synced = self.synced.max(up_to);
                Ok(())
            }
            Err(error) => {
                self.broken.get_or_insert_with(|| {
                    (error.kind(), format!("a sync failed earlier ({error}); restart the collector"))
                });
                Err(StoreError::new("syncing", &self.path, error))
            }
        }
    }
}

/// A file with bytes that are written and not yet synced.
#[derive(Debug)]
pub(crate) struct Unsynced {
    file: Arc<File>,
    /// To be handed to [`StreamLog::synced`].
    pub(crate) up_to: u64,
}

impl Unsynced {
    /// Makes the bytes survive a crash of the machine.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;

    #[test]
    fn a_failed_write_keeps_the_rest_and_the_next_flush_completes_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreOptions::new(dir.path())).unwrap();
        let path = store.path(Some("run"), Some("town")).unwrap();
        // A folder where the file should be makes every open fail.
        std::fs::create_dir_all(&path).unwrap();
        let mut log = StreamLog::new(path.clone());
        log.push(b"{\"a\":1}\n");
        log.push(b"{\"a\":2}\n");
        let error = log.flush(&store).unwrap_err();
        assert!(error.to_string().contains("town.jsonl"), "{error}");
        assert_eq!(log.pending_lines(), 2);
        std::fs::remove_dir(&path).unwrap();
        log.flush(&store).unwrap();
        assert_eq!(log.pending_lines(), 0);
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"a\":1}\n{\"a\":2}\n");
    }

    #[test]
    fn after_a_burst_the_memory_follows_what_comes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreOptions::new(dir.path())).unwrap();
        let mut log = StreamLog::new(store.path(Some("run"), Some("town")).unwrap());
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let round = |log: &mut StreamLog, lines: usize| {
            (0..lines).for_each(|_| log.push(&line));
            log.flush(&store).unwrap();
            log.pending.capacity()
        };
        assert!(round(&mut log, 400) >= 400_000);
        assert!(round(&mut log, 300) >= 400_000, "as long as it is needed it stays");
        // A producer that never pauses, with one line a round.
        for _ in 0..10 {
            round(&mut log, 1);
        }
        let held = log.pending.capacity();
        assert!((1000..=4096).contains(&held), "{held} bytes are held for a line at a time");
    }

    #[test]
    fn after_a_failed_sync_nothing_is_confirmed_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreOptions { settle: Settle::Synced, ..StoreOptions::new(dir.path()) }).unwrap();
        let mut log = StreamLog::new(store.path(Some("run"), Some("town")).unwrap());
        log.push(b"{}\n");
        let unsynced = log.flush(&store).unwrap().unwrap();
        assert_eq!(log.flush(&store).unwrap().unwrap().up_to, 3, "a second writer has to wait for the sync too");
        log.synced(unsynced.up_to, Ok(())).unwrap();
        assert!(log.flush(&store).unwrap().is_none());
        log.synced(3, Err(io::Error::other("disk gone"))).unwrap_err();
        log.synced(3, Ok(())).expect_err("another sync of the same file, which the kernel tells nothing of it");
        assert!(log.is_broken());
        assert!(log.flush(&store).unwrap_err().to_string().contains("disk gone"));
    }

    #[test]
    fn a_torn_last_line_is_cut_and_the_lines_before_it_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("town.jsonl");
        std::fs::write(&path, b"{\"a\":1}\n{\"a\":2}\n{\"a\":").unwrap();
        let mut seen = Vec::new();
        let mut log = StreamLog::new(path.clone());
        let recovered = log.recover(100, |line| seen.push(line.to_vec())).unwrap();
        assert_eq!(recovered, Recovered { lines: 2, torn_bytes: 5 });
        assert_eq!(seen, [b"{\"a\":1}\n".to_vec(), b"{\"a\":2}\n".to_vec()]);
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"a\":1}\n{\"a\":2}\n");
    }

    #[test]
    fn what_an_earlier_run_wrote_is_synced_before_it_is_confirmed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreOptions { settle: Settle::Synced, ..StoreOptions::new(dir.path()) }).unwrap();
        let path = store.path(Some("run"), Some("town")).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"{\"a\":1}\n{\"a\":").unwrap();
        let mut log = StreamLog::new(path);
        log.recover(100, |_| {}).unwrap();
        let unsynced = log.flush(&store).unwrap().expect("it was killed before its sync, for all we know");
        assert_eq!(unsynced.up_to, 8);
        log.synced(8, unsynced.sync()).unwrap();
        assert!(log.flush(&store).unwrap().is_none());
    }
}
