//! Commands, run to their end.
//!
//! [`Processes`] is what the runners ask; [`UnixProcesses`] does it. Tests answer from a table under simulated time.

mod capture;
mod unix;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use unix::UnixProcesses;

/// One command to run.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The program and its arguments. No shell reads them.
    pub command: &'a [String],
    /// Its working directory.
    pub directory: &'a Path,
    /// Its whole environment.
    pub env: &'a BTreeMap<String, OsString>,
    /// After this long it is killed, with everything that it started.
    pub timeout: Option<Duration>,
    /// The most bytes to keep of each of its two outputs.
    pub output_limit: usize,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Ended {
    /// By itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// By a signal that was not ours.
    Signalled {
        /// Its number.
        signal: i32,
    },
    /// It ran longer than it may, and its process group was killed.
    TimedOut,
    /// The run was called off, and its process group was killed.
    Cancelled,
    /// It did not start.
    NotStarted {
        /// What the system says.
        reason: String,
    },
}

impl Ended {
    /// Whether it exited with 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Exited { code: 0 }
    }
}

/// What one output of a command was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// What was kept: all of it, or its beginning and its end with a line between that counts what is missing.
    pub kept: Vec<u8>,
    /// How many bytes came.
    pub total: u64,
    /// Some of what came was not kept.
    pub shortened: bool,
    /// Something outside the process group still held it open when the command was over, so more may have come.
    pub left_open: bool,
}

/// What a command left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub ended: Ended,
    /// Its standard output.
    pub stdout: Output,
    /// Its standard error.
    pub stderr: Output,
}

impl Ran {
    /// It did not start.
    #[must_use]
    pub fn not_started(reason: impl Into<String>) -> Self {
        let ended = Ended::NotStarted { reason: reason.into() };
        Self { ended, stdout: Output::default(), stderr: Output::default() }
    }
}

/// Somebody who runs commands.
pub trait Processes {
    /// Runs one to its end. When this returns, nothing that the command started in its process group is alive.
    /// A command that cannot be started is an answer, not an error.
    fn run(&self, invocation: &Invocation<'_>) -> Ran;
}

/// The environment of a command, from the caller's and what the file sets, and the names that were asked for and are not
/// set.
pub(crate) fn environment(
    caller: &BTreeMap<String, OsString>,
    passed: &[String],
    set: &BTreeMap<String, String>,
) -> (BTreeMap<String, OsString>, Vec<String>) {
    let mut env: BTreeMap<String, OsString> = set.iter().map(|(name, value)| (name.clone(), value.into())).collect();
    let mut missing = Vec::new();
    for name in passed {
        match caller.get(name) {
            Some(value) => drop(env.insert(name.clone(), value.clone())),
            None => missing.push(name.clone()),
        }
    }
    (env, missing)
}
