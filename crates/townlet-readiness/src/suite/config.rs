//! What a suites file says.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use townlet_policy::{Findings, Metric};

use super::read;
use super::threshold::Threshold;
use crate::results::Statistic;

/// The suites of a project, in the order in which they run.
///
/// ```yaml
/// pass_env: [PATH, HOME, CARGO_HOME]   # what every suite sees of the caller's environment; PATH and HOME unless given
/// require_kinds: [unit, integration]   # refused unless a blocking suite of each kind is here
/// history: { runs: 20 }                # rates look at so many runs; 20 unless given
/// log_bytes: 1048576                   # kept of each output; 1 MiB unless given
/// tools:                               # asked for their versions, which the report quotes
///   rustc: [rustc, --version]
/// suites:
///   - name: unit                       # who it is
///     kind: unit                       # what it is: unit, integration, end-to-end, performance or security
///     command: [cargo, nextest, run, --profile, ci]
///     directory: .                     # seen from the folder of this file
///     env: { RUST_BACKTRACE: "1" }
///     pass_env: [CI]                   # beside those above
///     blocking: true                   # unless given; a failure ends the run
///     retries: 1                       # 0 unless given
///     timeout: 15m                     # of each attempt
///     results:
///       junit: target/nextest/ci/junit.xml
///       criterion:
///         folder: target/criterion
///         baseline: main               # of limits with a sign
///         benches: { emit: { id: emit/owned, statistic: median } }
///     artifacts: [target/coverage.json]
///     thresholds:
///       max_duration_seconds: 1200
///       max_flake_rate: 0.1
///       min_success_rate: 0.98
///       max_error_budget_burn: 2
///       require: ["tests >= 100", "emit <= +10%"]
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The suites, at least one, each with a name of its own.
    pub suites: Vec<SuiteConfig>,
    /// Programs whose versions the report quotes.
    pub tools: Vec<Probe>,
    /// Variables of the caller that every command sees.
    pub pass_env: Vec<String>,
    /// How many runs the rates look at, the present one included.
    pub history_runs: usize,
    /// The most bytes to keep of each output of each attempt.
    pub log_bytes: usize,
}

/// One suite.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteConfig {
    /// Who it is: unique, and a folder name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// For readers of the report.
    pub description: Option<String>,
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// Its working directory, seen from the folder of the file.
    pub directory: String,
    /// Variables that the file sets.
    pub env: BTreeMap<String, String>,
    /// Variables of the caller that it sees. Nothing else is passed on.
    pub pass_env: Vec<String>,
    /// A failure ends the run.
    pub blocking: bool,
    /// Attempts after the first.
    pub retries: u32,
    /// Of each attempt.
    pub timeout: Option<Duration>,
    /// Where its results are.
    pub results: ResultSources,
    /// Files that it makes, which the scorecard quotes by digest; seen from its directory.
    pub artifacts: Vec<String>,
    /// What its thresholds may be about.
    pub metrics: Vec<Metric>,
    /// What must hold.
    pub thresholds: Vec<Threshold>,
    /// The least success rate that its thresholds name; what an error budget is measured by.
    pub objective: Option<f64>,
}

/// Files with results, seen from the directory of the suite.
///
/// An attempt must write them. What is there before it begins gets 1970 as its time of modification, so that even the
/// same bytes, written again at once, are seen to be new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSources {
    /// A JUnit XML file.
    pub junit: Option<String>,
    /// Criterion's benchmarks.
    pub benches: Vec<BenchSource>,
}

/// One benchmark of Criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchSource {
    /// The metric that it becomes.
    pub metric: String,
    /// Its `estimates.json`.
    pub path: String,
    /// That of the baseline, if one is named.
    pub baseline: Option<String>,
    /// Which estimate.
    pub statistic: Statistic,
}

/// A program that is asked for its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its name in the report.
    pub name: String,
    /// What to run. The first line that it prints is the version.
    pub command: Vec<String>,
}

/// What a suite is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Parts by themselves.
    Unit,
    /// Parts together.
    Integration,
    /// The product as its users meet it.
    EndToEnd,
    /// How fast.
    Performance,
    /// Known holes.
    Security,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Unit, Self::Integration, Self::EndToEnd, Self::Performance, Self::Security];

    /// The word in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Integration => "integration",
            Self::EndToEnd => "end-to-end",
            Self::Performance => "performance",
            Self::Security => "security",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Config {
    /// Reads a suites file. Every fault that can be found without guessing is, each with its place; `None` if any is an
    /// error. Keys that are not known are errors, and so are thresholds that can never fire.
    #[must_use]
    pub fn read(text: &str, found: &mut Findings) -> Option<Self> {
        read::config(text, found)
    }
}
