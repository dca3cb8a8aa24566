//! One attempt of a suite: the command, its logs, its results.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::config::SuiteConfig;
use crate::clock::Clock;
use crate::digest::Digest;
use crate::moment::seconds;
use crate::process::{Ended, Invocation, Output, Processes};
use crate::report::{Attempt, Log, Problem, ProblemCode, relative};
use crate::results::{Tests, read_junit};

/// The most of a result file that is read.
const MOST_RESULT_BYTES: u64 = 64 * 1024 * 1024;

/// What all attempts of a suite share.
pub(super) struct Ground<'a> {
    pub(super) suite: &'a SuiteConfig,
    /// The working directory.
    pub(super) directory: &'a Path,
    /// The whole environment.
    pub(super) env: &'a BTreeMap<String, OsString>,
    /// The folder of the report.
    pub(super) out: &'a Path,
    /// The folder for the logs of this suite.
    pub(super) logs: &'a Path,
    pub(super) log_bytes: usize,
    pub(super) clock: &'a dyn Clock,
    pub(super) processes: &'a dyn Processes,
}

impl Ground<'_> {
    /// Runs the command once. A command that fails in any way is an answer; only a log that cannot be written is an error.
    pub(super) fn attempt(&self, number: u32) -> io::Result<(Attempt, Duration)> {
        let junit = self.suite.results.junit.as_ref().map(|path| Watched::mark(self.directory, path));
        let (started_at, start) = (self.clock.now(), self.clock.elapsed());
        let ran = self.processes.run(&Invocation {
            command: &self.suite.command,
            directory: self.directory,
            env: self.env,
            timeout: self.suite.timeout,
            output_limit: self.log_bytes,
        });
        let duration = self.clock.elapsed().saturating_sub(start);
        let ended_at = self.clock.now();
        let mut problems: Vec<Problem> = problem_of(&ran.ended, self.suite.timeout).into_iter().collect();
        let mut tests = None;
        if let (Some(junit), Ended::Exited { .. }) = (junit, &ran.ended) {
            match junit.read().and_then(|text| {
                read_junit(&text).map_err(|error| junit.problem(ProblemCode::ResultsUnreadable, error.to_string()))
            }) {
                Ok(read) => {
                    problems.extend(problem_with(&read));
                    tests = Some(read);
                }
                Err(problem) => problems.push(problem),
            }
        }
        let attempt = Attempt {
            number,
            passed: ran.ended.is_success() && problems.is_empty(),
            started_at,
            ended_at,
            duration_seconds: seconds(duration),
            ended: ran.ended,
            tests,
            stdout: self.log(&format!("attempt_{number}.out"), &ran.stdout)?,
            stderr: self.log(&format!("attempt_{number}.err"), &ran.stderr)?,
            problems,
        };
        Ok((attempt, duration))
    }

    fn log(&self, name: &str, output: &Output) -> io::Result<Log> {
        let path = self.logs.join(name);
        fs::write(&path, &output.kept)?;
        Ok(log(relative(&path, self.out), output))
    }
}

/// An output as a record has it.
pub(crate) fn log(path: String, output: &Output) -> Log {
    Log {
        path,
        sha256: Digest::of(&output.kept),
        bytes: output.kept.len() as u64,
        written: output.total,
        shortened: output.shortened,
        left_open: output.left_open,
    }
}

/// Why a command that ended so did not pass.
pub(crate) fn problem_of(ended: &Ended, timeout: Option<Duration>) -> Option<Problem> {
    let (code, message) = match ended {
        Ended::Exited { code: 0 } => return None,
        Ended::Exited { code } => (ProblemCode::ExitCode, format!("it exited with {code}")),
        Ended::Signalled { signal } => (ProblemCode::Signal, format!("signal {signal} ended it")),
        Ended::TimedOut => {
            let limit = timeout.map_or(0.0, |timeout| timeout.as_secs_f64());
            (ProblemCode::TimedOut, format!("it ran longer than {limit} s, and was killed with all that it started"))
        }
        Ended::Cancelled => (ProblemCode::Cancelled, "the run was called off".to_owned()),
        Ended::NotStarted { reason } => (ProblemCode::NotStarted, format!("it could not be started: {reason}")),
    };
    Some(Problem { code, message })
}

fn problem_with(tests: &Tests) -> Option<Problem> {
    let Tests { total, failed, failed_names, .. } = tests;
    if *failed > 0 {
        let first = failed_names.first().map_or("", String::as_str);
        let message = format!("{failed} of {total} tests failed, the first is {first}");
        return Some(Problem { code: ProblemCode::TestsFailed, message });
    }
    let message = "not a single test was run, so nothing was shown".to_owned();
    (tests.passed == 0).then_some(Problem { code: ProblemCode::NoTests, message })
}

/// A result file that the attempt should write.
pub(super) struct Watched {
    /// As the suites file has it. Where a machine keeps its folders is nobody's business.
    name: String,
    path: PathBuf,
    before: Option<Stamp>,
}

/// What changes when a file is written or replaced.
#[derive(PartialEq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Watched {
    /// Remembers what is there. Its time is set to 1970 where that is possible: clocks of disks are coarse, and a file
    /// that is written twice within one of their steps must not look untouched.
    pub(super) fn mark(directory: &Path, name: &str) -> Self {
        let path = directory.join(name);
        if let Ok(file) = File::options().write(true).open(&path) {
            // Without it the comparison is as good as the disk's clock.
            let _ = file.set_modified(SystemTime::UNIX_EPOCH);
        }
        let before = stamp(&path);
        Self { name: name.to_owned(), path, before }
    }

    /// What the attempt wrote.
    pub(super) fn read(&self) -> Result<String, Problem> {
        let now = stamp(&self.path);
        match &now {
            None => return Err(self.problem(ProblemCode::ResultsMissing, "it is not there")),
            now if *now == self.before => {
                let message = "it was there before, and this attempt did not write it";
                return Err(self.problem(ProblemCode::ResultsStale, message));
            }
            Some(Stamp { length, .. }) if *length > MOST_RESULT_BYTES => {
                return Err(self.problem(ProblemCode::ResultsUnreadable, "it is longer than 64 MiB"));
            }
            Some(_) => {}
        }
        fs::read_to_string(&self.path).map_err(|error| self.problem(ProblemCode::ResultsUnreadable, error.to_string()))
    }

    pub(super) fn problem(&self, code: ProblemCode, message: impl AsRef<str>) -> Problem {
        Problem { code, message: format!("{}: {}", self.name, message.as_ref()) }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let about = fs::metadata(path).ok()?;
    Some(Stamp { modified: about.modified().ok(), length: about.len(), inode: about.ino() })
}
