//! The records, field by field.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, FileDigest};
use crate::history::Rates;
use crate::moment::Moment;
use crate::process::Ended;
use crate::results::Tests;
use crate::suite::Kind;

/// The version of reports and scorecards.
///
/// - `1.0`: the first.
pub const SCHEMA_VERSION: &str = "1.0";

/// `readiness_report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: String,
    /// The run.
    pub run_id: String,
    /// Its trace, for spans and logs: 32 hexadecimal digits.
    pub trace_id: String,
    /// Every blocking suite was run and passed.
    pub overall_passed: bool,
    /// The suites that failed, blocking or not, by name.
    pub failures: Vec<String>,
    /// The suites that were not run, by name.
    pub not_run: Vec<String>,
    /// What was tested.
    pub revision: Revision,
    /// When the run began.
    pub started_at: Moment,
    /// When it was over.
    pub ended_at: Moment,
    /// By a clock that nobody sets; so it may differ from the difference of the two.
    pub duration_seconds: f64,
    /// The suites file.
    pub config: FileDigest,
    /// The scorecard, with the digest of its bytes.
    pub scorecard: FileDigest,
    /// Where it ran.
    pub environment: Environment,
    /// The programs that the suites file asks about.
    pub tools: Vec<Tool>,
    /// What wrote this.
    pub producer: Producer,
}

/// What was tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Its name: a commit, for example.
    pub id: String,
    /// Whether files differed from it; `None` if nobody looked.
    pub modified: Option<bool>,
}

/// Where a run took place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The operating system.
    pub os: String,
    /// The processor.
    pub arch: String,
}

impl Environment {
    /// Of this program.
    #[must_use]
    pub fn here() -> Self {
        Self { os: std::env::consts::OS.to_owned(), arch: std::env::consts::ARCH.to_owned() }
    }
}

/// A program and the version that it printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name in the suites file.
    pub name: String,
    /// The first line that it printed; `None` if it failed.
    pub version: Option<String>,
    /// How it failed.
    pub problem: Option<String>,
}

/// What wrote a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Producer {
    /// The crate.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Producer {
    /// This crate.
    #[must_use]
    pub fn this() -> Self {
        Self { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// `readiness_scorecard_{run_id}.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scorecard {
    /// [`SCHEMA_VERSION`].
    pub schema_version: String,
    /// The run.
    pub run_id: String,
    /// Every blocking suite was run and passed.
    pub overall_passed: bool,
    /// What was tested.
    pub revision: Revision,
    /// When the run began.
    pub started_at: Moment,
    /// When the last suite was over.
    pub ended_at: Moment,
    /// Every suite of the file, in its order.
    pub suites: Vec<SuiteResult>,
    /// Kinds that no suite of the file is of.
    pub kinds_not_covered: Vec<Kind>,
    /// What the rates stand on.
    pub history: HistorySummary,
}

/// The history that the rates stand on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistorySummary {
    /// How many runs of a suite the rates look at, at most.
    pub window_runs: u64,
    /// Lines that could not be read and were left out.
    pub damaged_lines: u64,
}

/// How a suite stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its last attempt passed and every threshold held.
    Passed,
    /// It did not pass.
    Failed,
    /// A blocking suite before it failed, or the run was called off.
    NotRun,
}

/// One suite in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuiteResult {
    /// Who it is.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// For readers.
    pub description: Option<String>,
    /// Whether its failure ends the run.
    pub blocking: bool,
    /// How it stands.
    pub status: Status,
    /// Why it was not run: the suite that ended the run, or that the run was called off.
    pub not_run_because: Option<String>,
    /// It failed and passed within this run.
    pub flaky: bool,
    /// What was run.
    pub command: Vec<String>,
    /// Where, seen from the folder of the suites file.
    pub directory: String,
    /// Names of the caller's variables that it saw. Values may be secret.
    pub env_passed: Vec<String>,
    /// Names of the caller's variables that it asked for and that were not set.
    pub env_missing: Vec<String>,
    /// Names of the variables that the suites file set.
    pub env_set: Vec<String>,
    /// When its first attempt began.
    pub started_at: Option<Moment>,
    /// When its last attempt was over.
    pub ended_at: Option<Moment>,
    /// All of its attempts together.
    pub duration_seconds: f64,
    /// Every attempt, the failed ones too.
    pub attempts: Vec<Attempt>,
    /// Its benchmarks.
    pub benches: Vec<Bench>,
    /// Over its last runs, this one included.
    pub history: Option<Rates>,
    /// What became of its thresholds.
    pub thresholds: Vec<ThresholdResult>,
    /// The files that it makes.
    pub artifacts: Vec<FileDigest>,
    /// What is wrong beside failed attempts and thresholds.
    pub problems: Vec<Problem>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// It exited with 0 and its results say nothing else.
    pub passed: bool,
    /// When it began.
    pub started_at: Moment,
    /// When it was over.
    pub ended_at: Moment,
    /// By a clock that nobody sets.
    pub duration_seconds: f64,
    /// How it ended.
    pub ended: Ended,
    /// What its test runner says.
    pub tests: Option<Tests>,
    /// Its standard output.
    pub stdout: Log,
    /// Its standard error.
    pub stderr: Log,
    /// Why it did not pass, and what else is wrong with it.
    pub problems: Vec<Problem>,
}

/// An output of an attempt, kept in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The file, seen from the folder of the report.
    pub path: String,
    /// The digest of the file.
    pub sha256: Digest,
    /// The length of the file.
    pub bytes: u64,
    /// How many bytes the command wrote.
    pub written: u64,
    /// The middle is left out of the file.
    pub shortened: bool,
    /// Something outside the process group still held it open; more may have come.
    pub left_open: bool,
}

/// One benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bench {
    /// The metric.
    pub metric: String,
    /// In nanoseconds; `None` if there is none of this run.
    pub ns: Option<f64>,
    /// In nanoseconds; `None` if there is none.
    pub baseline_ns: Option<f64>,
    /// Why something is missing.
    pub problem: Option<String>,
}

/// What became of a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdResult {
    /// The key that gave it.
    pub key: String,
    /// The condition.
    pub threshold: String,
    /// Whether it held.
    pub state: ThresholdState,
    /// The values that it looked at. What is missing has none.
    pub values: BTreeMap<String, f64>,
    /// Why it is unknown.
    pub reasons: Vec<String>,
}

/// Whether a threshold held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdState {
    /// It held.
    Held,
    /// It did not.
    Violated,
    /// Nobody can tell. That is no pass.
    Unknown,
    /// Nobody can tell, which the threshold permits (`unless no-data`).
    Excused,
}

impl ThresholdState {
    /// Whether a suite may pass with it.
    #[must_use]
    pub fn permits(self) -> bool {
        matches!(self, Self::Held | Self::Excused)
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// What kind, for programs.
    pub code: ProblemCode,
    /// What exactly, for people.
    pub message: String,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// The exit code is not 0.
    ExitCode,
    /// A signal ended it.
    Signal,
    /// It ran longer than it may.
    TimedOut,
    /// The run was called off.
    Cancelled,
    /// The command could not be started.
    NotStarted,
    /// Tests failed, whatever the exit code says.
    TestsFailed,
    /// No test was run.
    NoTests,
    /// There is no result file.
    ResultsMissing,
    /// The result file was there before the attempt, and the attempt did not write it.
    ResultsStale,
    /// The result file cannot be read.
    ResultsUnreadable,
    /// A file that the suite makes is not there.
    ArtifactMissing,
}
