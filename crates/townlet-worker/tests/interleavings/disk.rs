//! The smallest disk: it loses what was not synced, and can be full.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use townlet_spill::{Disk, FileInfo, Spill, SpillOptions};

use crate::sync::{AtomicUsize, Ordering};

type Files = BTreeMap<String, File>;

const BLOCK: usize = 4096;

/// Content with holes: the state file has one of 128 KiB, and a copy of it in each round would cost more than all else.
#[derive(Clone, Default)]
struct File {
    len: usize,
    blocks: BTreeMap<usize, Vec<u8>>,
}

impl File {
    fn write(&mut self, mut at: usize, mut bytes: &[u8]) {
        self.len = self.len.max(at + bytes.len());
        while !bytes.is_empty() {
            let block = self.blocks.entry(at / BLOCK).or_insert_with(|| vec![0; BLOCK]);
            let count = bytes.len().min(BLOCK - at % BLOCK);
            block[at % BLOCK..][..count].copy_from_slice(&bytes[..count]);
            (at, bytes) = (at + count, &bytes[count..]);
        }
    }

    /// At most one block: reads may be short.
    fn read(&self, at: usize, into: &mut [u8]) -> usize {
        let count = into.len().min(BLOCK - at % BLOCK).min(self.len.saturating_sub(at));
        match self.blocks.get(&(at / BLOCK)) {
            Some(block) => into[..count].copy_from_slice(&block[at % BLOCK..][..count]),
            None => into[..count].fill(0),
        }
        count
    }

    fn cut(&mut self, len: usize) {
        self.len = len;
        self.blocks.retain(|number, _| number * BLOCK < len);
        if let Some(last) = self.blocks.get_mut(&(len / BLOCK)) {
            last[len % BLOCK..].fill(0);
        }
    }
}

/// How the log is opened: with a small buffer, since it is read in every order of the threads.
pub(crate) fn options() -> SpillOptions {
    SpillOptions { read_buffer: 512, ..SpillOptions::default() }
}

/// A folder in memory. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Memory {
    // Not loom's: one thread works on it, and what others look at changes in `sync_data` alone.
    folder: Arc<Mutex<Folder>>,
    /// Where other threads may come while the disk works.
    syncs: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Folder {
    now: Files,
    /// What a power cut leaves.
    safe: Files,
    is_full: bool,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { folder: Arc::default(), syncs: Arc::new(AtomicUsize::new(0)) }
    }

    fn folder(&self) -> MutexGuard<'_, Folder> {
        self.folder.lock().unwrap()
    }

    /// From now on nothing can be written.
    pub(crate) fn fill_up(&self) {
        self.folder().is_full = true;
    }

    /// Whether a power cut would leave these bytes in some file, settled or not.
    pub(crate) fn has_safe(&self, bytes: &str) -> bool {
        let folder = self.folder();
        let mut blocks = folder.safe.values().flat_map(|file| file.blocks.values());
        blocks.any(|block| block.windows(bytes.len()).any(|part| part == bytes.as_bytes()))
    }

    /// The numbers of the frames that the next start would find, were the power cut now.
    pub(crate) fn survivors(&self) -> Vec<u64> {
        let safe = self.folder().safe.clone();
        let folder = Folder { now: safe.clone(), safe, is_full: false };
        let disk = Self { folder: Arc::new(Mutex::new(folder)), syncs: Arc::clone(&self.syncs) };
        let (mut spill, recovery) = Spill::open(Box::new(disk), options(), Duration::ZERO).unwrap();
        assert!(recovery.damage.is_empty(), "{recovery}");
        let sink = spill.sink("main").unwrap();
        let mut entries = Vec::new();
        spill.read(sink, usize::MAX, usize::MAX, &mut entries).unwrap();
        let number =
            |body: &[u8]| std::str::from_utf8(body).unwrap().trim_start_matches("frame ").trim().parse().unwrap();
        entries.iter().map(|entry| number(&entry.body)).collect()
    }

    fn folder_with_room(&self) -> io::Result<MutexGuard<'_, Folder>> {
        let folder = self.folder();
        if folder.is_full { Err(ErrorKind::StorageFull.into()) } else { Ok(folder) }
    }
}

impl Disk for Memory {
    fn list(&mut self) -> io::Result<Vec<FileInfo>> {
        let files = self.folder().now.iter().map(|(name, file)| (name.clone(), file.len as u64)).collect::<Vec<_>>();
        Ok(files.into_iter().map(|(name, len)| FileInfo { name, len }).collect())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.folder_with_room()?.now.insert(name.to_owned(), File::default());
        Ok(())
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let folder = self.folder();
        let file = folder.now.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(file.read(offset as usize, buffer))
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.folder_with_room()?.now.get_mut(name).ok_or(ErrorKind::NotFound)?.write(offset as usize, bytes);
        Ok(bytes.len())
    }

    fn sync_data(&mut self, name: &str) -> io::Result<Duration> {
        self.syncs.fetch_add(1, Ordering::AcqRel);
        let mut folder = self.folder();
        let file = folder.now.get(name).ok_or(ErrorKind::NotFound)?.clone();
        folder.safe.insert(name.to_owned(), file);
        Ok(Duration::ZERO)
    }

    /// Names are as safe as the content.
    fn sync_dir(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.folder().now.get_mut(name).ok_or(ErrorKind::NotFound)?.cut(len as usize);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut folder = self.folder();
        let file = folder.now.remove(from).ok_or(ErrorKind::NotFound)?;
        folder.now.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut folder = self.folder();
        folder.safe.remove(name);
        folder.now.remove(name).map(drop).ok_or(ErrorKind::NotFound.into())
    }

    fn lock(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}
