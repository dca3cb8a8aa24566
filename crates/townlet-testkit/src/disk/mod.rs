//! A disk that forgets, tears, fills up and lies, the same way for the same seed.
//!
//! What it does is what file systems are known to do: writes that were not synced
//! survive a crash in any subset of their 512-byte sectors and across files in
//! any order; names that were not synced are as before, or not; a sync that
//! fails has lost what it was to write, although the next one succeeds and
//! reads still show it; a file can end in zeros that nobody wrote.

mod file;
mod handle;
mod random;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use file::SimFile;
pub use handle::SimHandle;
pub use random::Dice;

/// A fault at one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// The operation fails with an I/O error. A failing write may have written a part; a failing
    /// sync has lost what it was to make durable.
    Eio,
    /// Everything stops: this and each later operation fails until `reboot`.
    Crash,
}

/// What survives a crash of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing.
    None,
    /// Everything, as after a killed process.
    All,
    /// Any subset of sectors and names.
    Any,
    /// One of the three, by the seed.
    Mixed,
}

/// The disk behind any number of [`SimHandle`]s. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// Names to files, by number: a file outlives its name for as long as a crash can bring it back.
type Folder = BTreeMap<String, usize>;

#[derive(Debug)]
struct State {
    dice: Dice,
    files: Vec<SimFile>,
    names: Folder,
    durable_names: Folder,
    /// Changes of names since the last `sync_dir`: a name, and the file that it now means.
    name_changes: Vec<Vec<(String, Option<usize>)>>,
    steps: u64,
    faults: BTreeMap<u64, DiskFault>,
    failing_syncs: u32,
    failing_reads: Option<(String, u64, u64)>,
    capacity: Option<u64>,
    /// One in so many transfers is short; 0 for none.
    short_one_in: u32,
    sync_time: Duration,
    crashed: bool,
    locked: bool,
    bytes_read: u64,
    largest_read: usize,
    bytes_written: u64,
    syncs: u64,
    log: Option<Vec<String>>,
}

impl SimDisk {
    /// An empty folder on a disk without faults.
    pub fn new(seed: u64) -> Self {
        let state = State {
            dice: Dice::new(seed),
            files: Vec::new(),
            names: Folder::new(),
            durable_names: Folder::new(),
            name_changes: Vec::new(),
            steps: 0,
            faults: BTreeMap::new(),
            failing_syncs: 0,
            failing_reads: None,
            capacity: None,
            short_one_in: 0,
            sync_time: Duration::from_millis(3),
            crashed: false,
            locked: false,
            bytes_read: 0,
            largest_read: 0,
            bytes_written: 0,
            syncs: 0,
            log: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A way to use the disk. The lock that one takes ends when it is dropped.
    pub fn handle(&self) -> SimHandle {
        SimHandle::new(self.clone())
    }

    /// Crashes at step `step`, counted from 0: each operation that changes something, or syncs, is a step.
    pub fn crash_at(&self, step: u64) -> &Self {
        self.fault_at(step, DiskFault::Crash)
    }

    /// Puts a fault at a step.
    pub fn fault_at(&self, step: u64, fault: DiskFault) -> &Self {
        self.lock().faults.insert(step, fault);
        self
    }

    /// Lets the next `count` syncs of files fail. What they were to make durable is lost,
    /// though reads still show it.
    pub fn fail_next_syncs(&self, count: u32) -> &Self {
        self.lock().failing_syncs = count;
        self
    }

    /// Lets reads that touch these bytes of a file fail, until `None` is given.
    pub fn fail_reads(&self, range: Option<(&str, u64, u64)>) -> &Self {
        self.lock().failing_reads = range.map(|(name, from, to)| (name.to_owned(), from, to));
        self
    }

    /// Files together take at most this much; `None` for no bound.
    pub fn capacity(&self, bytes: Option<u64>) -> &Self {
        self.lock().capacity = bytes;
        self
    }

    /// Makes one in so many reads and writes short; 0 for none.
    pub fn short_transfers(&self, one_in: u32) -> &Self {
        self.lock().short_one_in = one_in;
        self
    }

    /// Takes back every fault that was planned and has not come.
    pub fn forget_faults(&self) -> &Self {
        let mut state = self.lock();
        state.faults.clear();
        state.failing_syncs = 0;
        state.failing_reads = None;
        drop(state);
        self
    }

    /// What each sync says that it took.
    pub fn sync_time(&self, time: Duration) -> &Self {
        self.lock().sync_time = time;
        self
    }

    /// Stops the disk now.
    pub fn crash(&self) {
        self.lock().crashed = true;
    }

    /// Whether it has stopped.
    pub fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.lock().bytes_read
    }

    /// The largest buffer that a read was to fill so far.
    pub fn largest_read(&self) -> usize {
        self.lock().largest_read
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.lock().bytes_written
    }

    /// Syncs of files that succeeded.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Writes each step down from now on.
    pub fn keep_log(&self) {
        self.lock().log = Some(Vec::new());
    }

    /// The steps written down.
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone().unwrap_or_default()
    }

    /// The disk after a crash and a restart: what was synced, and what chance
    /// let survive of the rest. Faults are gone, limits stay. The crashed disk is as
    /// it was, so that several outcomes of one crash can be looked at.
    pub fn reboot(&self, seed: u64, survival: Survival) -> Self {
        let state = self.lock();
        let mut dice = Dice::new(seed);
        let survival = match survival {
            Survival::Mixed => [Survival::None, Survival::All, Survival::Any, Survival::Any][dice.below(4) as usize],
            fixed => fixed,
        };
        let mut names = state.durable_names.clone();
        for change in &state.name_changes {
            if survives(survival, &mut dice) {
                for (name, file) in change {
                    match file {
                        Some(file) => names.insert(name.clone(), *file),
                        None => names.remove(name),
                    };
                }
            }
        }
        let rebooted = Self::new(dice.roll());
        {
            let mut after = rebooted.lock();
            for (name, file) in names {
                let content = state.files[file].after_crash(survival, &mut dice);
                let number = after.files.len();
                after.files.push(SimFile::durable(content));
                after.names.insert(name, number);
            }
            after.durable_names = after.names.clone();
            (after.capacity, after.short_one_in, after.sync_time) =
                (state.capacity, state.short_one_in, state.sync_time);
        }
        rebooted
    }

    /// Every file as reads show it.
    pub fn image(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.lock();
        state.names.iter().map(|(name, file)| (name.clone(), state.files[*file].shown().to_vec())).collect()
    }

    /// A disk with these files, all durable.
    pub fn with_image(seed: u64, image: &BTreeMap<String, Vec<u8>>) -> Self {
        let disk = Self::new(seed);
        {
            let mut state = disk.lock();
            for (number, (name, content)) in image.iter().enumerate() {
                state.files.push(SimFile::durable(content.clone()));
                state.names.insert(name.clone(), number);
            }
            state.durable_names = state.names.clone();
        }
        disk
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn survives(survival: Survival, dice: &mut Dice) -> bool {
    match survival {
        Survival::None => false,
        Survival::All => true,
        Survival::Any | Survival::Mixed => dice.below(2) == 0,
    }
}

impl State {
    fn file(&mut self, name: &str) -> io::Result<&mut SimFile> {
        let number = *self.names.get(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(&mut self.files[number])
    }

    fn alive(&self) -> io::Result<()> {
        if self.crashed { Err(io::Error::other("the simulated machine has crashed")) } else { Ok(()) }
    }

    /// One step: the fault that was put there, if any.
    fn step(&mut self, what: impl Fn() -> String) -> io::Result<Option<DiskFault>> {
        self.alive()?;
        if let Some(log) = &mut self.log {
            log.push(what());
        }
        let fault = self.faults.get(&self.steps).copied();
        self.steps += 1;
        if fault == Some(DiskFault::Crash) {
            self.crashed = true;
        }
        Ok(fault)
    }

    /// Bytes that can still be allocated.
    fn room(&self) -> u64 {
        let used = |capacity: u64| {
            let used: u64 = self.names.values().map(|file| self.files[*file].shown().len() as u64).sum();
            capacity.saturating_sub(used)
        };
        self.capacity.map_or(u64::MAX, used)
    }

    /// How much of a transfer of `len` bytes is done at once.
    fn transfer(&mut self, len: usize) -> usize {
        let short = self.short_one_in > 0 && len > 1 && self.dice.below(u64::from(self.short_one_in)) == 0;
        if short { 1 + self.dice.below(len as u64 - 1) as usize } else { len }
    }
}

fn eio() -> io::Error {
    io::Error::other("simulated I/O error")
}
