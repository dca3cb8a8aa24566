//! Records as files: written whole or not at all, read strictly, checked against the bytes that they quote.

use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::types::{Report, SCHEMA_VERSION, Scorecard};
use super::{REPORT_FILE, scorecard_file};
use crate::digest::{Digest, FileDigest};

/// The largest record that is read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// A run, read back from its folder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The report.
    pub report: Report,
    /// Its scorecard.
    pub scorecard: Scorecard,
    /// What does not fit: digests, and contradictions within the records. Evidence with any is worth nothing.
    pub findings: Vec<String>,
}

/// Why there is no evidence to look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is no record.
    #[error("{}: {message}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Another version wrote it.
    #[error("{}: schema version '{found}'; this program reads {SCHEMA_VERSION}", path.display())]
    Version {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: String,
    },
}

/// Reads the report of a folder with its scorecard, and checks every digest that they hold of files in the folder.
///
/// # Errors
/// [`EvidenceError`] where a record is missing or no record. What is there and does not fit is a finding.
pub fn open(folder: &Path) -> Result<Evidence, EvidenceError> {
    let report: Report = read(&folder.join(REPORT_FILE))?;
    let mut findings = Vec::new();
    if report.scorecard.path != scorecard_file(&report.run_id) {
        findings.push(format!("the scorecard of run {} cannot be called {}", report.run_id, report.scorecard.path));
    }
    // Not the path that the file gives: a report must not lead anywhere.
    let path = folder.join(scorecard_file(&plain(&report.run_id)));
    let scorecard: Scorecard = read(&path)?;
    check(folder, &report.scorecard.path, &report.scorecard.sha256, report.scorecard.bytes, &mut findings);
    findings.extend(report.contradictions(&scorecard));
    findings.extend(scorecard.contradictions());
    let attempts = scorecard.suites.iter().flat_map(|suite| &suite.attempts);
    for log in attempts.flat_map(|attempt| [&attempt.stdout, &attempt.stderr]) {
        check(folder, &log.path, &log.sha256, log.bytes, &mut findings);
    }
    Ok(Evidence { report, scorecard, findings })
}

/// A run id as part of a file name, whatever it holds.
pub(crate) fn plain(run_id: &str) -> String {
    run_id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect()
}

/// Adds a finding unless a file of the folder is what a record says.
pub(crate) fn check(folder: &Path, path: &str, sha256: &Digest, bytes: u64, findings: &mut Vec<String>) {
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        findings.push(format!("{path} leads out of the folder"));
        return;
    }
    match Digest::of_file(&folder.join(path)) {
        Ok((found, length)) if found == *sha256 && length == bytes => {}
        Ok((found, _)) => findings.push(format!("{path} is not what was written: sha256 {found}, not {sha256}")),
        Err(error) => findings.push(format!("{path}: {error}")),
    }
}

/// Reads a record of [`SCHEMA_VERSION`]. Any other version is refused, and everything that a writer of this version does
/// not write: other keys, missing ones, times and numbers in another form.
pub(crate) fn read<T: DeserializeOwned + Serialize>(path: &Path) -> Result<T, EvidenceError> {
    let io = |source| EvidenceError::Io { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(io)?.len();
    let form = |message: String| EvidenceError::Form { path: path.to_owned(), message };
    if length > MOST_BYTES {
        return Err(form(format!("it is longer than {MOST_BYTES} bytes")));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    #[derive(Deserialize)]
    struct Head {
        schema_version: String,
    }
    // The version first, so that a newer file is called newer, and not broken.
    let head: Head = serde_json::from_slice(&bytes).map_err(|error| form(format!("it is no record: {error}")))?;
    if head.schema_version != SCHEMA_VERSION {
        let found = crate::reading::shorten(&head.schema_version);
        return Err(EvidenceError::Version { path: path.to_owned(), found });
    }
    let record: T = serde_json::from_slice(&bytes).map_err(|error| form(error.to_string()))?;
    // Absent and null are the same to serde, and not to whoever asks later what was known.
    let same = serde_json::from_slice::<Value>(&bytes).ok() == serde_json::to_value(&record).ok();
    if same { Ok(record) } else { Err(form("a key is missing, or a value is not in the form that is written".into())) }
}

/// Writes a record, through a file beside it, so that there is never half of one.
pub(crate) fn write_json(folder: &Path, name: &str, record: &impl Serialize) -> io::Result<FileDigest> {
    let mut bytes = serde_json::to_vec_pretty(record)?;
    bytes.push(b'\n');
    let mut file = tempfile::Builder::new().prefix(".readiness").tempfile_in(folder)?;
    file.write_all(&bytes)?;
    readable_by_others(file.as_file())?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name)).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(FileDigest { path: name.to_owned(), sha256: Digest::of(&bytes), bytes: bytes.len() as u64 })
}

/// A temporary file is its owner's alone; a report is for others too.
fn readable_by_others(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

/// A path seen from a folder, if it lies there; else as it is. With `/` between the parts.
pub(crate) fn relative(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}
