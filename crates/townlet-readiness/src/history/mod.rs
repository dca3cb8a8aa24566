//! What the suites did in earlier runs: a file of JSON lines, appended to and never rewritten.

mod rates;

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::moment::Moment;

pub use rates::Rates;

/// The name of the file beside the reports.
pub const FILE: &str = "readiness_history.jsonl";

/// The version of the lines that this crate writes.
pub const VERSION: u32 = 1;

/// One suite in one run. A suite that was not run leaves none, and neither does one that was called off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// [`VERSION`].
    pub history_version: u32,
    /// The run.
    pub run_id: String,
    /// The suite, by name.
    pub suite: String,
    /// What was tested; `None` where files were changed since, so that nobody can say.
    pub revision: Option<String>,
    /// Digest of the command line.
    pub command_sha256: Digest,
    /// When the suite was over.
    pub ended_at: Moment,
    /// Its last attempt passed. Thresholds have no part in it: a rate that judged itself could never recover.
    pub passed: bool,
    /// It failed and passed within this run: an earlier attempt failed, or a test passed on a retry.
    pub flaky: bool,
    /// Attempts made.
    pub attempts: u32,
    /// The time of all attempts.
    pub duration_seconds: f64,
}

/// The entries of a file, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// What could be read.
    pub entries: Vec<Entry>,
    /// Lines that could not: torn by a crash in the middle of a write, or edited. They are counted in every scorecard.
    pub damaged_lines: u64,
}

/// Why a history cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The file cannot be read or written.
    #[error("the history cannot be used: {0}")]
    Io(#[from] io::Error),
    /// A newer version wrote it. Guessing at rates would be worse than having none.
    #[error("line {line} of the history has version {version}; this program reads {VERSION}: update it")]
    TooNew {
        /// The line, from 1.
        line: usize,
        /// Its version.
        version: u64,
    },
}

impl History {
    /// Reads a file; one that is not there is an empty history.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn read(path: &Path) -> Result<Self, HistoryError> {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`HistoryError::TooNew`].
    pub fn parse(text: &str) -> Result<Self, HistoryError> {
        #[derive(Deserialize)]
        struct Head {
            history_version: u64,
        }
        let mut history = Self::default();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match serde_json::from_str::<Entry>(line) {
                Ok(entry) if entry.history_version == VERSION => history.entries.push(entry),
                _ => match serde_json::from_str::<Head>(line) {
                    Ok(head) if head.history_version > VERSION.into() => {
                        return Err(HistoryError::TooNew { line: at + 1, version: head.history_version });
                    }
                    _ => history.damaged_lines += 1,
                },
            }
        }
        Ok(history)
    }

    /// How often a suite passed and flaked in its last `runs` runs.
    #[must_use]
    pub fn rates(&self, suite: &str, runs: usize) -> Rates {
        rates::of(&self.entries, suite, runs)
    }
}

/// Adds entries to a file and syncs it. A line that a crash tore is ended first, so that it damages no other.
///
/// # Errors
/// What the system says.
pub fn append(path: &Path, entries: &[Entry]) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut text = String::new();
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push('\n');
        }
    }
    for entry in entries {
        text.push_str(&serde_json::to_string(entry)?);
        text.push('\n');
    }
    // One write, so that two runs at a time do not mix their lines.
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
