//! A run: suites in their order, records at the end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::attempt::{Ground, Watched};
use super::config::{Config, Kind, SuiteConfig};
use super::gather::{artifacts, benches, given};
use super::observe::{Event, Observer, trace_id};
use crate::clock::Clock;
use crate::digest::{Digest, FileDigest};
use crate::history::{self, Entry, History, HistoryError};
use crate::moment::seconds;
use crate::process::{Ended, Invocation, Processes, environment};
use crate::report::{
    Attempt, Environment, HistorySummary, Producer, REPORT_FILE, Report, Revision, SCHEMA_VERSION, Scorecard, Status,
    SuiteResult, Tool, scorecard_file, write_json,
};

/// What a program that is asked for its version has.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that a run needs. It reads no clock, no environment and no configuration by itself.
pub struct Run<'a> {
    /// The suites.
    pub config: &'a Config,
    /// The file that they were read from, for the report.
    pub config_file: FileDigest,
    /// The folder that the directories of suites are seen from.
    pub root: &'a Path,
    /// The folder for the report, the scorecard, the logs and the history. It must exist.
    pub out: &'a Path,
    /// The name of this run, used once; see [`is_run_id`].
    pub run_id: &'a str,
    /// What is tested.
    pub revision: Revision,
    /// The caller's environment, from which suites see what they are passed.
    pub env: &'a BTreeMap<String, OsString>,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Who runs commands.
    pub processes: &'a dyn Processes,
}

/// A run that is over, with what was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The report.
    pub report: Report,
    /// Its scorecard.
    pub scorecard: Scorecard,
}

/// Why a run left no report. A suite that fails, in whatever way, is not among the reasons.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The name of the run cannot be part of a file name, or was used before.
    #[error("the run cannot be called '{0}': take up to 64 letters, digits, - and _ that no run here had")]
    RunId(String),
    /// Something cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The history cannot be used.
    #[error("{}: {source}", path.display())]
    History {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HistoryError,
    },
}

/// Whether a text can be the name of a run: 1 to 64 letters, digits, `-` and `_`.
#[must_use]
pub fn is_run_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
}

impl Run<'_> {
    /// Runs the suites in their order, up to the first blocking one that fails, and writes the records. Suites that come
    /// after are recorded as not run.
    ///
    /// # Errors
    /// [`RunError`]. Where suites were run and their records cannot be written, there is no report, also not that of an
    /// earlier run.
    pub fn go(&self, observer: &mut dyn Observer) -> Result<Finished, RunError> {
        let scorecard_name = scorecard_file(self.run_id);
        if !is_run_id(self.run_id) || self.out.join(&scorecard_name).exists() {
            return Err(RunError::RunId(crate::reading::shorten(self.run_id)));
        }
        let history_file = self.out.join(history::FILE);
        let mut past =
            History::read(&history_file).map_err(|source| RunError::History { path: history_file.clone(), source })?;
        // Whoever looks during this run, or after it died, must not find the verdict of another one.
        let old = self.out.join(REPORT_FILE);
        if let Err(source) = fs::remove_file(&old)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(RunError::Io { path: old, source });
        }
        let (started_at, start) = (self.clock.now(), self.clock.elapsed());
        let tools = self.config.tools.iter().map(|probe| self.tool(&probe.name, &probe.command)).collect();
        let mut stop: Option<String> = None;
        let (mut suites, mut entries) = (Vec::new(), Vec::new());
        for suite in &self.config.suites {
            let result = match &stop {
                Some(because) => self.passed_over(suite, because),
                None => {
                    let (result, entry) = self.suite(suite, &mut past, observer)?;
                    entries.extend(entry);
                    stop = self.stops(&result);
                    result
                }
            };
            self.tell(&result, observer);
            suites.push(result);
        }
        let ended_at = self.clock.now();
        let duration = self.clock.elapsed().saturating_sub(start);
        let covered = |kind: &Kind| self.config.suites.iter().any(|suite| suite.kind == *kind);
        let mut scorecard = Scorecard {
            schema_version: SCHEMA_VERSION.to_owned(),
            run_id: self.run_id.to_owned(),
            overall_passed: false,
            revision: self.revision.clone(),
            started_at,
            ended_at,
            suites,
            kinds_not_covered: Kind::ALL.into_iter().filter(|kind| !covered(kind)).collect(),
            history: HistorySummary { window_runs: self.config.history_runs as u64, damaged_lines: past.damaged_lines },
        };
        scorecard.overall_passed = scorecard.has_passed();
        history::append(&history_file, &entries)
            .map_err(|source| RunError::Io { path: history_file.clone(), source })?;
        let io = |name: &str| {
            let path = self.out.join(name);
            move |source| RunError::Io { path, source }
        };
        let written = write_json(self.out, &scorecard_name, &scorecard).map_err(io(&scorecard_name))?;
        let report = Report {
            schema_version: SCHEMA_VERSION.to_owned(),
            run_id: self.run_id.to_owned(),
            trace_id: trace_id(self.run_id),
            overall_passed: scorecard.overall_passed,
            failures: scorecard.named(Status::Failed),
            not_run: scorecard.named(Status::NotRun),
            revision: self.revision.clone(),
            started_at,
            ended_at,
            duration_seconds: seconds(duration),
            config: self.config_file.clone(),
            scorecard: written,
            environment: Environment::here(),
            tools,
            producer: Producer::this(),
        };
        write_json(self.out, REPORT_FILE, &report).map_err(io(REPORT_FILE))?;
        observer.observe(&Event::Span(self.run_span(&report, duration)));
        Ok(Finished { report, scorecard })
    }

    /// Why the run ends with this suite, if it does.
    fn stops(&self, result: &SuiteResult) -> Option<String> {
        if result.attempts.iter().any(|attempt| attempt.ended == Ended::Cancelled) {
            return Some("the run was called off".to_owned());
        }
        (result.blocking && result.status == Status::Failed).then(|| format!("{} failed before it", result.name))
    }

    fn suite(
        &self,
        suite: &SuiteConfig,
        past: &mut History,
        observer: &mut dyn Observer,
    ) -> Result<(SuiteResult, Option<Entry>), RunError> {
        let directory = self.root.join(&suite.directory);
        let logs = self.out.join("logs").join(self.run_id).join(&suite.name);
        let io = |source| RunError::Io { path: logs.clone(), source };
        fs::create_dir_all(&logs).map_err(io)?;
        let (env, env_missing) = environment(self.env, &suite.pass_env, &suite.env);
        let ground = Ground {
            suite,
            directory: &directory,
            env: &env,
            out: self.out,
            logs: &logs,
            log_bytes: self.config.log_bytes,
            clock: self.clock,
            processes: self.processes,
        };
        let marked = suite.results.benches.iter().map(|bench| Watched::mark(&directory, &bench.path));
        let marked: Vec<Watched> = marked.collect();
        let (mut attempts, mut total): (Vec<Attempt>, Duration) = (Vec::new(), Duration::ZERO);
        for number in 1..=suite.retries + 1 {
            observer.observe(&Event::Started { name: &suite.name, attempt: number });
            let (attempt, duration) = ground.attempt(number).map_err(io)?;
            observer.observe(&Event::AttemptEnded { suite: &suite.name, attempt: &attempt });
            total += duration;
            let over = attempt.passed || attempt.ended == Ended::Cancelled;
            attempts.push(attempt);
            if over {
                break;
            }
        }
        let last = attempts.last();
        let (passed, ended_at) = (last.is_some_and(|last| last.passed), last.map(|last| last.ended_at));
        let retried = passed && attempts.len() > 1;
        let flaky = retried || attempts.iter().filter_map(|one| one.tests.as_ref()).any(|tests| tests.flaky > 0);
        let cancelled = last.is_some_and(|last| last.ended == Ended::Cancelled);
        let (benches, mut problems) = if passed { benches(suite, &directory, &marked) } else { Default::default() };
        let artifacts = if passed { artifacts(suite, &directory, &mut problems) } else { Vec::new() };
        let entry = Entry {
            history_version: history::VERSION,
            run_id: self.run_id.to_owned(),
            suite: suite.name.clone(),
            revision: (self.revision.modified != Some(true)).then(|| self.revision.id.clone()),
            command_sha256: Digest::of(suite.command.join("\0").as_bytes()),
            ended_at: ended_at.unwrap_or_else(|| self.clock.now()),
            passed,
            flaky,
            attempts: u32::try_from(attempts.len()).unwrap_or(u32::MAX),
            duration_seconds: seconds(total),
        };
        let entry = (!cancelled).then_some(entry);
        past.entries.extend(entry.clone());
        let rates = past.rates(&suite.name, self.config.history_runs);
        let given = given(suite, total, &attempts, &benches, rates);
        let mut result = SuiteResult {
            status: Status::Failed,
            flaky,
            env_passed: env.keys().filter(|name| !suite.env.contains_key(*name)).cloned().collect(),
            env_missing,
            started_at: attempts.first().map(|first| first.started_at),
            ended_at,
            duration_seconds: seconds(total),
            attempts,
            benches,
            history: Some(rates),
            thresholds: suite.thresholds.iter().map(|threshold| threshold.judge(&suite.metrics, &given)).collect(),
            artifacts,
            problems,
            not_run_because: None,
            ..self.passed_over(suite, "")
        };
        if result.has_passed() {
            result.status = Status::Passed;
        }
        Ok((result, entry))
    }

    fn passed_over(&self, suite: &SuiteConfig, because: &str) -> SuiteResult {
        SuiteResult {
            name: suite.name.clone(),
            kind: suite.kind,
            description: suite.description.clone(),
            blocking: suite.blocking,
            status: Status::NotRun,
            not_run_because: Some(because.to_owned()),
            flaky: false,
            command: suite.command.clone(),
            directory: suite.directory.clone(),
            env_passed: Vec::new(),
            env_missing: Vec::new(),
            env_set: suite.env.keys().cloned().collect(),
            started_at: None,
            ended_at: None,
            duration_seconds: 0.0,
            attempts: Vec::new(),
            benches: Vec::new(),
            history: None,
            thresholds: Vec::new(),
            artifacts: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Asks a program for its version.
    fn tool(&self, name: &str, command: &[String]) -> Tool {
        let (env, _) = environment(self.env, &self.config.pass_env, &BTreeMap::new());
        let timeout = Some(PROBE_TIMEOUT);
        let ran = self.processes.run(&Invocation {
            command,
            directory: self.root,
            env: &env,
            timeout,
            output_limit: 64 * 1024,
        });
        let text = String::from_utf8_lossy(&ran.stdout.kept);
        let first = text.lines().map(str::trim).find(|line| !line.is_empty());
        let problem = super::attempt::problem_of(&ran.ended, timeout).map(|problem| problem.message);
        let problem = problem.or_else(|| first.is_none().then(|| "it printed nothing".to_owned()));
        let version = first.filter(|_| problem.is_none()).map(|line| line.chars().take(200).collect());
        Tool { name: name.to_owned(), version, problem }
    }
}
