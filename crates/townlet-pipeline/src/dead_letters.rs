//! What peers refuse for good, in a file of lines with a bound.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use townlet_transport::Frame;
use townlet_worker::{DeadLetters, Refusal};

use crate::telemetry::Telemetry;

/// How a line of such a file begins; nothing else that is sent does.
const BEGINS: &[u8] = b"{\"dead_letter\":";

/// Where a sink keeps what its peer refuses for good: see
/// [`Builder::dead_letters`](crate::Builder::dead_letters).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterSettings {
    /// The file. It is made when the first frame is refused, and appended to. Sinks
    /// that name the same one share it; the limit of the first counts.
    pub path: PathBuf,
    /// Bytes that the file may have; what comes beyond it is counted and not kept.
    pub max_bytes: u64,
}

impl DeadLetterSettings {
    /// At most 64 MiB in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), max_bytes: 64 << 20 }
    }
}

/// What became of refused frames, by file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeadLetterReport {
    /// The file.
    pub path: PathBuf,
    /// Frames that were written to it by this process.
    pub kept: u64,
    /// Frames that were not, because the file has its bytes.
    pub beyond_limit: u64,
    /// Frames that were not, because writing failed.
    pub failed: u64,
    /// Why, the last time.
    pub last_error: Option<String>,
}

/// The file, shared by the workers of its sinks. What hosts read is not behind the
/// lock that is held while it is written.
pub(crate) struct DeadLetterFile {
    settings: DeadLetterSettings,
    file: Mutex<Option<File>>,
    kept: AtomicU64,
    beyond_limit: AtomicU64,
    failed: AtomicU64,
    last_error: Mutex<Option<String>>,
}

#[derive(Serialize)]
struct About<'a> {
    /// Milliseconds since 1970.
    at: u64,
    sink: &'a str,
    reason: &'static str,
    error: String,
    run_id: &'a str,
    stream: &'a str,
    seq: u64,
    tick: u64,
}

#[derive(Serialize)]
struct Letter<'a> {
    dead_letter: About<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a RawValue>,
    /// What is no JSON, with what is no UTF-8 replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Deserialize)]
struct Kept<'a> {
    #[serde(borrow)]
    line: &'a RawValue,
}

/// The line within a line of a file of dead letters; none where `line` is no such one.
pub(crate) fn within(line: &Bytes) -> Option<Bytes> {
    if !line.starts_with(BEGINS) {
        return None;
    }
    let kept: Kept<'_> = serde_json::from_slice(line).ok()?;
    Some(line.slice_ref(kept.line.get().as_bytes()))
}

impl DeadLetterFile {
    pub(crate) fn new(settings: DeadLetterSettings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            file: Mutex::default(),
            kept: AtomicU64::new(0),
            beyond_limit: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last_error: Mutex::default(),
        })
    }

    fn error(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> DeadLetterReport {
        DeadLetterReport {
            path: self.settings.path.clone(),
            kept: self.kept.load(Ordering::Relaxed),
            beyond_limit: self.beyond_limit.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            last_error: self.error().clone(),
        }
    }

    /// Appends the line, or nothing of it. False where there is no room for it.
    fn append(&self, line: &[u8]) -> io::Result<bool> {
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut file, size) = stands(open.take(), &self.settings.path)?;
        if size.saturating_add(line.len() as u64) > self.settings.max_bytes {
            *open = Some(file);
            return Ok(false);
        }
        match file.write_all(line) {
            Ok(()) => {
                *open = Some(file);
                Ok(true)
            }
            Err(error) => {
                // Half a line would spoil the next one, too. The file is opened anew for it.
                let _ = file.set_len(size);
                Err(error)
            }
        }
    }
}

/// The file at this path, and its size. Whoever moves it away gets a new one made.
fn stands(open: Option<File>, path: &Path) -> io::Result<(File, u64)> {
    let same = |one: &Metadata, other: &Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    if let Some(file) = open
        && let Ok(there) = fs::metadata(path)
        && same(&file.metadata()?, &there)
    {
        return Ok((file, there.len()));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

impl DeadLetters for DeadLetterFile {
    fn keep(&self, refusal: &Refusal<'_>, frames: &[Frame]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let error = refusal.error.to_string();
        for frame in frames {
            let line = match letter(at, &error, refusal, frame) {
                Ok(line) => line,
                Err(error) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    *self.error() = Some(error.to_string());
                    continue;
                }
            };
            let counted = match self.append(&line) {
                Ok(true) => &self.kept,
                Ok(false) => &self.beyond_limit,
                Err(error) => {
                    let path = self.settings.path.display();
                    tracing::error!(%path, %error, "telemetry_dead_letters_failed");
                    *self.error() = Some(format!("{path}: {error}"));
                    &self.failed
                }
            };
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn letter(at: u64, error: &str, refusal: &Refusal<'_>, frame: &Frame) -> serde_json::Result<Vec<u8>> {
    let bytes = frame.line().trim_ascii();
    let line: Option<&RawValue> = serde_json::from_slice(bytes).ok().filter(|_| !bytes.contains(&b'\n'));
    let text = String::from_utf8_lossy(bytes);
    let letter = Letter {
        dead_letter: About {
            at,
            sink: refusal.sink,
            reason: refusal.reason.as_str(),
            error: error.to_owned(),
            run_id: frame.label().run_id(),
            stream: frame.label().stream(),
            seq: frame.seq(),
            tick: frame.tick(),
        },
        line,
        text: line.is_none().then_some(&text),
    };
    let mut out = serde_json::to_vec(&letter)?;
    out.push(b'\n');
    Ok(out)
}

impl Telemetry {
    /// What became of the frames that peers refused for good, for each file that
    /// [`Builder::dead_letters`](crate::Builder::dead_letters) named. The frames
    /// themselves are in the ledger as dropped, kept or not.
    pub fn dead_letters(&self) -> Vec<DeadLetterReport> {
        let mut reports: Vec<DeadLetterReport> = Vec::new();
        for file in self.inner().shared.dead_letters.iter().flatten() {
            if reports.iter().all(|report| report.path != file.settings.path) {
                reports.push(file.report());
            }
        }
        reports
    }
}

/// For each of `count` sinks its file; sinks that name the same one share it.
pub(crate) fn files(
    count: usize,
    settings: impl IntoIterator<Item = (usize, DeadLetterSettings)>,
) -> Vec<Option<Arc<DeadLetterFile>>> {
    let mut files: Vec<Option<Arc<DeadLetterFile>>> = vec![None; count];
    for (sink, settings) in settings {
        let known = files.iter().flatten().find(|file| file.settings.path == settings.path).cloned();
        files[sink] = Some(known.unwrap_or_else(|| DeadLetterFile::new(settings)));
    }
    files
}
