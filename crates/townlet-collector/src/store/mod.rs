//! The JSONL store: `<dir>/<run_id>/<stream>.jsonl`, whole lines only, bytes as
//! received.
//!
//! One file per run and stream, because a file is then exactly one sequence:
//! runs never mix, a gap is visible with any line reader, a run is deleted by
//! deleting its folder, and what must be read again after a restart to know
//! which lines are there is one file and not the whole store.
//!
//! Lines without `run_id` or `stream` (written before schema 1.0.0) go to
//! `@no-run-id` and `@no-stream`, all of them: their numbers, if they have any,
//! do not tell them apart. No peer's name can produce an `@`.
//!
//! One collector at a time uses a folder; a second one is refused, because each
//! would store what the other has already.

mod handles;
mod lock;
mod log;
pub(crate) mod name;

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use handles::Handles;
pub(crate) use log::{StreamLog, Unsynced};

/// How far a line must have got before it is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Settle {
    /// In this process. It reaches the file at the latest when the connection
    /// pauses; a crash of the collector loses what it held.
    Received,
    /// Handed to the operating system: survives a crash of the collector.
    #[default]
    Written,
    /// Synced to stable storage: survives a crash of the machine.
    Synced,
}

/// Where and how to store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The folder that holds one folder per run. Made where it is missing.
    pub dir: PathBuf,
    /// What an acknowledgement means.
    pub settle: Settle,
    /// Files kept open when nobody writes them, at least 1. Each connection that
    /// is writing may hold one more.
    pub max_open_files: usize,
}

impl StoreOptions {
    /// A store in `dir` that settles at [`Settle::Written`], with 128 open files.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), settle: Settle::default(), max_open_files: 128 }
    }
}

/// A failure of the store: what was tried on which path, and the cause.
#[derive(Debug)]
pub struct StoreError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl StoreError {
    pub(crate) fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self { doing, path: path.to_owned(), source }
    }

    /// The operating system's classification, [`io::ErrorKind::StorageFull`] for one.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The file or folder concerned.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedy = match self.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space, senders will try again",
            io::ErrorKind::PermissionDenied => "; give this user write permission there",
            _ => "",
        };
        write!(f, "{} {}: {}{remedy}", self.doing, self.path.display(), self.source)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// The folder and its open files, shared by all connections.
pub(crate) struct Store {
    dir: PathBuf,
    settle: Settle,
    handles: Handles,
    lock: Mutex<Option<File>>,
}

impl Store {
    pub(crate) fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        std::fs::create_dir_all(&options.dir)
            .map_err(|error| StoreError::new("making the store folder", &options.dir, error))?;
        let lock = Mutex::new(lock::lock(&options.dir)?);
        let handles = Handles::new(options.max_open_files);
        Ok(Self { dir: options.dir.clone(), settle: options.settle, handles, lock })
    }

    /// Leaves the folder to another collector: nothing is written any more.
    pub(crate) fn release(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn settle(&self) -> Settle {
        self.settle
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of a stream, or `None` where the names make no file name.
    pub(crate) fn path(&self, run_id: Option<&str>, stream: Option<&str>) -> Option<PathBuf> {
        let run = match run_id {
            Some(run_id) => name::component(run_id)?,
            None => "@no-run-id".to_owned(),
        };
        let stream = match stream {
            Some(stream) => name::component(stream)?,
            None => "@no-stream".to_owned(),
        };
        Some(self.dir.join(run).join(stream + ".jsonl"))
    }
}
