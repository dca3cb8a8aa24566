//! What peers refuse for good, in a file of lines with a bound.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use townlet_schema::DeadLetterCounts;
use townlet_transport::Frame;
use townlet_worker::{DeadLetters, DropReason, Refusal};

use crate::telemetry::Telemetry;

mod file;
mod letter;

use file::LetterFile;
pub(crate) use letter::within;

/// Under which a frame can be refused for good ([`DropReason::of_refusal`]).
const REASONS: [DropReason; 2] = [DropReason::Rejected, DropReason::Oversize];

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
    /// Bytes that they are there.
    pub bytes: u64,
    /// Frames that were not, because the file has its bytes.
    pub beyond_limit: u64,
    /// Frames that were not, because writing failed.
    pub failed: u64,
    /// Why, the last time.
    pub last_error: Option<String>,
    /// The same by sink, and there by reason.
    pub sinks: BTreeMap<String, BTreeMap<String, DeadLetterCounts>>,
}

/// What was counted, and why writing failed the last time.
#[derive(Default)]
struct Tally {
    /// As [`REASONS`].
    counts: [DeadLetterCounts; 2],
    last_error: Option<String>,
}

/// The dead letters of one sink. What hosts read is not behind the lock that is held
/// while the file is written.
pub(crate) struct SinkLetters {
    sink: String,
    file: Arc<LetterFile>,
    tally: Mutex<Tally>,
}

impl SinkLetters {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of its frames, by reason: each of those that there can be.
    pub(crate) fn counts(&self) -> [(DropReason, DeadLetterCounts); 2] {
        let counts = self.tally().counts;
        std::array::from_fn(|at| (REASONS[at], counts[at]))
    }

    /// The same by the names of the reasons.
    pub(crate) fn by_reason(&self) -> BTreeMap<String, DeadLetterCounts> {
        self.counts().into_iter().map(|(reason, counts)| (reason.as_str().to_owned(), counts)).collect()
    }

    fn add(&self, reason: DropReason, outcome: std::io::Result<Option<u64>>) {
        let at = REASONS.iter().position(|known| *known == reason).unwrap_or_default();
        let mut tally = self.tally();
        match outcome {
            Ok(Some(bytes)) => {
                tally.counts[at].kept += 1;
                tally.counts[at].bytes += bytes;
            }
            Ok(None) => tally.counts[at].beyond_limit += 1,
            Err(error) => {
                let path = self.file.settings.path.display();
                tracing::error!(%path, %error, "telemetry_dead_letters_failed");
                tally.counts[at].failed += 1;
                tally.last_error = Some(format!("{path}: {error}"));
            }
        }
    }
}

impl DeadLetters for SinkLetters {
    fn keep(&self, refusal: &Refusal<'_>, frames: &[Frame]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let error = refusal.error.to_string();
        let render = |frame: &Frame, out: &mut Vec<u8>| letter::write(at, refusal, &error, frame, out);
        self.file.append(frames, render, |outcome| self.add(refusal.reason, outcome));
    }
}

impl Telemetry {
    /// What became of the frames that peers refused for good, for each file that
    /// [`Builder::dead_letters`](crate::Builder::dead_letters) named. The frames
    /// themselves are in the ledger as dropped, kept or not.
    pub fn dead_letters(&self) -> Vec<DeadLetterReport> {
        let mut reports: Vec<DeadLetterReport> = Vec::new();
        for letters in self.inner().shared.dead_letters.iter().flatten() {
            let path = &letters.file.settings.path;
            let known = reports.iter().position(|report| report.path == *path).unwrap_or_else(|| {
                reports.push(DeadLetterReport { path: path.clone(), ..DeadLetterReport::default() });
                reports.len() - 1
            });
            let report = &mut reports[known];
            let by_reason = letters.by_reason();
            for counts in by_reason.values() {
                report.kept += counts.kept;
                report.bytes += counts.bytes;
                report.beyond_limit += counts.beyond_limit;
                report.failed += counts.failed;
            }
            report.last_error = letters.tally().last_error.clone().or(report.last_error.take());
            report.sinks.insert(letters.sink.clone(), by_reason);
        }
        reports
    }
}

/// For each of the sinks, by name, its dead letters; those that name the same file share it.
pub(crate) fn by_sink(
    names: &[&str],
    settings: impl IntoIterator<Item = (usize, DeadLetterSettings)>,
) -> Vec<Option<Arc<SinkLetters>>> {
    let mut all: Vec<Option<Arc<SinkLetters>>> = vec![None; names.len()];
    for (at, settings) in settings {
        let known = all.iter().flatten().find(|other| other.file.settings.path == settings.path);
        let file = known.map_or_else(|| Arc::new(LetterFile::new(settings)), |other| Arc::clone(&other.file));
        all[at] = Some(Arc::new(SinkLetters { sink: names[at].to_owned(), file, tally: Mutex::default() }));
    }
    all
}
