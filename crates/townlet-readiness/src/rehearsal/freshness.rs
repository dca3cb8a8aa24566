//! How old a rehearsal may be.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::record::{Outcome, Record};
use crate::moment::Moment;
use crate::report::{self, EvidenceError};

/// Whether a rehearsal still says something at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It does.
    Fresh {
        /// How long ago it was over.
        age: Duration,
    },
    /// It was over longer ago than is permitted, by a millisecond or more.
    Overdue {
        /// How long ago.
        age: Duration,
    },
    /// It is said to be over later than the time of the question. Somebody's clock or date is wrong, and no tolerance makes
    /// it right.
    Future {
        /// By how much.
        by: Duration,
    },
    /// Its outcome is not a pass, so its age does not matter.
    NotPassed,
}

impl Freshness {
    /// Whether a release may stand on it.
    #[must_use]
    pub fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh { .. })
    }
}

impl Record {
    /// Whether the record, over at `ended_at`, still says something at `as_of`. Durations are compared to the millisecond:
    /// exactly `max_age` is fresh.
    #[must_use]
    pub fn freshness(&self, as_of: Moment, max_age: Duration) -> Freshness {
        // The future first: whatever it says, a record of it is no evidence.
        let Some(age) = as_of.since(self.ended_at) else {
            return Freshness::Future { by: self.ended_at.since(as_of).unwrap_or_default() };
        };
        match self.outcome {
            Outcome::Passed if age <= max_age => Freshness::Fresh { age },
            Outcome::Passed => Freshness::Overdue { age },
            _ => Freshness::NotPassed,
        }
    }
}

/// The newest record of a rehearsal in an environment, by the time when it was over; whether it passed or not. A newer
/// failure is not hidden by an older pass, and of two at one time the failure counts.
///
/// # Errors
/// [`EvidenceError`] for a folder or a record that cannot be read: it could be the newest.
pub fn latest(folder: &Path, name: &str, environment: &str) -> Result<Option<Record>, EvidenceError> {
    let io = |source: io::Error| EvidenceError::Io { path: folder.to_owned(), source };
    let mut newest: Option<Record> = None;
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let file = entry.map_err(io)?.file_name();
        if !file.to_str().is_some_and(|file| file.starts_with("rehearsal_") && file.ends_with(".json")) {
            continue;
        }
        let record: Record = report::read(&folder.join(file))?;
        let same = record.name == name && record.environment == environment;
        if same && newest.as_ref().is_none_or(|newest| rank(newest) < rank(&record)) {
            newest = Some(record);
        }
    }
    Ok(newest)
}

/// Which of two counts, whatever order the folder has.
fn rank(record: &Record) -> (Moment, bool, &str) {
    (record.ended_at, record.outcome != Outcome::Passed, &record.run_id)
}
