//! What test runners and benchmarks wrote, read as evidence.
//!
//! Exit codes say too little: a runner that is told to, exits with 0 over failed tests. These readers take bytes, and
//! refuse what is not what it claims to be.

mod criterion;
mod junit;

use std::error::Error;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use criterion::leads_down;
pub use criterion::{Estimate, Estimates, Statistic};
pub use junit::read as read_junit;

/// What a test runner says about its tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// All of them.
    pub total: u64,
    /// Those that passed, the flaky ones included.
    pub passed: u64,
    /// Those that failed, in their last attempt.
    pub failed: u64,
    /// Those that were not run.
    pub skipped: u64,
    /// Those that failed and then passed, within one run.
    pub flaky: u64,
    /// Names of failed tests, at most [`Tests::MOST_NAMES`].
    pub failed_names: Vec<String>,
    /// Names of flaky tests, at most [`Tests::MOST_NAMES`].
    pub flaky_names: Vec<String>,
}

impl Tests {
    /// The most names that are kept of each list. The counts are always whole.
    pub const MOST_NAMES: usize = 50;
}

/// A result file that cannot be taken as evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsError(String);

impl ResultsError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for ResultsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ResultsError {}
