//! Reads any file of townlet lines, old or new, also one that a terminal's log
//! text runs through, and says what is in it.
//!
//! Pure over [`Read`]. Memory does not grow with the length of a
//! line beyond the limit, and with the number of lines only by what is listed,
//! each list with its bound.

mod drift;
mod follow;
mod probe;
mod report;
mod sizes;
mod states;
mod trace;

use std::collections::BTreeMap;
use std::io::{self, Read};

use townlet_schema::{LineHead, MAX_LINE_BYTES, read_head, read_record};

pub use drift::{Drift, Finding, FindingKind, compare};
pub use follow::{RunSummary, StreamSummary, TickGap};
pub use report::InspectReport;
pub use sizes::SizeSummary;

use crate::lines::{Found, LineBuffer};
use crate::report::InvalidLine;
use crate::sequence;
use crate::server::reason_key;
use follow::Follow;
use probe::{Cadence, Class, Compared};
use sizes::Sizes;
use states::States;

/// Unreadable lines that are listed.
const INVALID_LISTED: usize = 100;
/// Runs that are listed.
const RUNS_LISTED: usize = 1000;
/// Different names that are counted apart, against files that have one a line.
const NAMES_COUNTED: usize = 1000;
/// How every record of every version begins, when it follows log text on its line.
const RECORD_STARTS: [&[u8]; 2] = [b"{\"schema_version\":", b"{\"schema_version\" :"];

/// Limits of an inspection.
#[derive(Clone, Debug)]
pub struct InspectOptions {
    /// The longest line to hold, in bytes without its newline. A longer one is
    /// counted invalid with its length. The default is what the schema's readers
    /// take, 16 MiB.
    pub max_line_bytes: usize,
    /// How many entries of each run are kept for [`compare`] (a change of the
    /// queue metrics, an agent's observation: each is one), 250,000 by default.
    /// 0 keeps none.
    pub compare_entries: usize,
}

impl Default for InspectOptions {
    fn default() -> Self {
        Self { max_line_bytes: MAX_LINE_BYTES, compare_entries: 250_000 }
    }
}

/// Reads `source` to its end.
///
/// # Errors
/// Only those of `source`; nothing in the bytes is an error.
///
/// ```
/// use townlet_collector::inspect::{InspectOptions, inspect};
///
/// let captured = "tick_health tick=1 queue=0\n\
///     {\"schema_version\":\"0.9.0\",\"tick\":1,\"queue_metrics\":{}}\n\
///     {\"schema_version\":\"0.9.0\",\"tick\":3,\"queue_metrics\":{}}\n\
///     {\"schema_version\":\"0.9.0\",\"tick\":4,\"queue_m";
/// let report = inspect(captured.as_bytes(), &InspectOptions::default())?;
/// assert_eq!((report.records, report.noise_lines, report.tick_gaps, report.invalid), (2, 1, 1, 1));
/// assert_eq!(report.invalid_lines[0].line, 4);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn inspect(mut source: impl Read, options: &InspectOptions) -> io::Result<InspectReport> {
    let mut inspector = Inspector::new(options);
    let mut buffer = LineBuffer::new(options.max_line_bytes);
    loop {
        match buffer.fill(&mut source) {
            Ok(0) => break,
            Ok(read) => inspector.report.bytes += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        while let Some(found) = buffer.next_line() {
            inspector.report.lines += 1;
            match found {
                Found::Line(range) => inspector.line(buffer.bytes(range)),
                Found::Overlong(len) => inspector.overlong(len),
            }
        }
    }
    if buffer.partial_len() > 0 {
        inspector.report.lines += 1;
        inspector.report.unterminated = true;
        if buffer.is_discarding() {
            inspector.overlong(buffer.partial_len());
        } else {
            inspector.line(buffer.partial());
        }
    }
    Ok(inspector.finish())
}

struct Inspector<'a> {
    options: &'a InspectOptions,
    report: InspectReport,
    follow: Follow,
    states: States,
    sizes: Sizes,
}

impl<'a> Inspector<'a> {
    fn new(options: &'a InspectOptions) -> Self {
        let (follow, states, sizes) = (Follow::default(), States::default(), Sizes::default());
        Self { options, report: InspectReport::default(), follow, states, sizes }
    }

    fn line(&mut self, line: &[u8]) {
        // A byte order mark before the first line is an editor's doing.
        let without_mark = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| self.report.lines == 1).unwrap_or(line);
        let text = without_mark.trim_ascii();
        if text.is_empty() {
            self.report.blank_lines += 1;
        } else if text.starts_with(b"{") {
            self.object(text, line.len());
        } else {
            self.not_an_object(text);
        }
    }

    fn object(&mut self, text: &[u8], size: usize) {
        let record = match read_record(text) {
            Ok(record) => record,
            Err(_) if is_foreign(text) => {
                self.report.noise_lines += 1;
                return;
            }
            Err(error) => return self.invalid(reason_key(error.kind()), error.to_string()),
        };
        let head = match read_head(text) {
            Ok(head) => head,
            Err(error) => return self.invalid(reason_key(error.kind()), error.to_string()),
        };
        let class = Class::of(&record);
        let compared = match class.cadence {
            Cadence::State => self.states.record(&head, text),
            _ => None,
        };
        let compared = compared.unwrap_or_else(|| Compared::of(text));
        self.report.records += 1;
        self.sizes.add(size as u64);
        count(&mut self.report.by_kind, class.name);
        let version = head.schema_version.map_or("none".to_owned(), |version| version.to_string());
        count(&mut self.report.schema_versions, &version);
        if let Some(version) = &compared.dto_schema_version {
            count(&mut self.report.dto_schema_versions, version);
        }
        let variant = self.follow.record(&head, class, compared, self.options.compare_entries);
        if class.cadence == Cadence::State {
            count(&mut self.report.runtime_variants, variant.unwrap_or("none"));
        }
    }

    fn not_an_object(&mut self, text: &[u8]) {
        if std::str::from_utf8(text).is_err() {
            self.invalid("utf8", "neither a record nor text: not UTF-8".to_owned());
        } else if text.contains(&0) {
            self.invalid("nul", "neither a record nor text: contains NUL bytes".to_owned());
        } else if let Some(at) = RECORD_STARTS.iter().find_map(|start| memchr::memmem::find(text, start)) {
            self.invalid("text_before_record", format!("text before the record that begins at byte {at} of the line"));
        } else {
            self.report.noise_lines += 1;
        }
    }

    fn overlong(&mut self, len: u64) {
        let limit = self.options.max_line_bytes;
        self.invalid("too_large", format!("{len} bytes, and lines of at most {limit} are read"));
    }

    fn invalid(&mut self, key: &str, reason: String) {
        self.report.invalid += 1;
        count(&mut self.report.invalid_by_reason, key);
        if self.report.invalid_lines.len() < INVALID_LISTED {
            self.report.invalid_lines.push(InvalidLine { line: self.report.lines, reason });
        }
    }

    fn finish(self) -> InspectReport {
        let Self { mut report, follow, states, sizes, .. } = self;
        let mut names = Vec::new();
        for run in &follow.runs {
            let summary = run.summary();
            for (stream, summary) in &summary.streams {
                report.duplicates += summary.duplicates;
                if let Some(sequence) = &summary.sequence {
                    report.missing += sequence.missing;
                    report.out_of_order += sequence.counts.out_of_order;
                }
                if run.named {
                    names.push((run.name.clone(), stream.clone()));
                }
            }
            if report.run_list.len() < RUNS_LISTED {
                report.run_list.push(summary);
            }
        }
        report.restarts = sequence::restarts(names.iter().map(|(run, stream)| (run.as_str(), stream.as_str())));
        report.runs = follow.runs.len() as u64;
        report.record_bytes = sizes.summary();
        report.tick_gaps = follow.tick_gaps;
        report.state_gaps = states.gaps;
        report.tick_gap_list = follow.listed;
        report.unfollowed = follow.unfollowed;
        report.traces = follow.runs.into_iter().map(|run| run.trace).collect();
        report
    }
}

/// True for a valid object without any key of an envelope: a structured log
/// line, not a record gone wrong.
fn is_foreign(text: &[u8]) -> bool {
    read_head(text).is_ok_and(|head| head == LineHead::default())
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else if counts.len() < NAMES_COUNTED {
        counts.insert(name.to_owned(), 1);
    } else {
        *counts.entry("other".to_owned()).or_default() += 1;
    }
}
