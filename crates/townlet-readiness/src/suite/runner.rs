//! A run: suites in their order, records at the end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::attempt::{Ground, Watched};
use super::config::{Config, Kind, SuiteConfig};
use super::observe::{Event, Measure, Observer, Span, SpanStatus, span_id, trace_id};
use super::threshold::Given;
use crate::clock::Clock;
use crate::digest::{Digest, FileDigest};
use crate::history::{self, Entry, History, HistoryError, Rates};
use crate::moment::seconds;
use crate::process::{Ended, Invocation, Processes};
use crate::report::{
    Attempt, Bench, Environment, HistorySummary, Problem, ProblemCode, Producer, REPORT_FILE, Report, Revision,
    SCHEMA_VERSION, Scorecard, Status, SuiteResult, Tool, scorecard_file, write_json,
};
use crate::results::Estimates;

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
    /// [`RunError`] if the records cannot be written; then there is no report, also not that of an earlier run.
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
        let (env, env_missing) = self.environment(&suite.pass_env, &suite.env);
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

    /// The environment of a command, and the names that were asked for and are not set.
    fn environment(
        &self,
        passed: &[String],
        set: &BTreeMap<String, String>,
    ) -> (BTreeMap<String, OsString>, Vec<String>) {
        let mut env: BTreeMap<String, OsString> =
            set.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        let mut missing = Vec::new();
        for name in passed {
            match self.env.get(name) {
                Some(value) => drop(env.insert(name.clone(), value.clone())),
                None => missing.push(name.clone()),
            }
        }
        (env, missing)
    }

    /// Asks a program for its version.
    fn tool(&self, name: &str, command: &[String]) -> Tool {
        let (env, _) = self.environment(&self.config.pass_env, &BTreeMap::new());
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

    /// Tells the observer how a suite went, with metrics and a span.
    fn tell(&self, result: &SuiteResult, observer: &mut dyn Observer) {
        observer.observe(&Event::SuiteEnded(result));
        let (Some(start), Some(at)) = (result.started_at, result.ended_at) else { return };
        let attributes = self.attributes(result);
        let passed = f64::from(u8::from(result.status == Status::Passed));
        let attempts = f64::from(u32::try_from(result.attempts.len()).unwrap_or(u32::MAX));
        let measured = [
            ("readiness.passed", "1", passed),
            ("readiness.duration_seconds", "s", result.duration_seconds),
            ("readiness.attempts", "{attempt}", attempts),
        ];
        for (name, unit, value) in measured {
            let attributes = attributes.clone();
            observer.observe(&Event::Measured(Measure { name, unit, value, at, attributes }));
        }
        let open = result.thresholds.iter().filter(|threshold| !threshold.state.permits()).count();
        let mut attributes = attributes;
        attributes.push(("readiness.attempts", result.attempts.len().to_string()));
        attributes.push(("readiness.threshold_violations", open.to_string()));
        observer.observe(&Event::Span(Span {
            name: "readiness.suite",
            trace_id: trace_id(self.run_id),
            span_id: span_id(self.run_id, &result.name),
            parent_id: Some(span_id(self.run_id, "")),
            start,
            duration: Duration::from_secs_f64(result.duration_seconds.max(0.0)),
            status: if result.status == Status::Passed { SpanStatus::Ok } else { SpanStatus::Error },
            attributes,
        }));
    }

    fn attributes(&self, result: &SuiteResult) -> Vec<(&'static str, String)> {
        let timed_out = result.attempts.last().is_some_and(|attempt| attempt.ended == Ended::TimedOut);
        let outcome = match result.status {
            Status::Passed => "success",
            Status::Failed if timed_out => "timeout",
            Status::Failed => "failure",
            Status::NotRun => "skip",
        };
        vec![
            ("cicd.pipeline.name", "readiness".to_owned()),
            ("cicd.pipeline.run.id", self.run_id.to_owned()),
            ("cicd.pipeline.task.name", result.name.clone()),
            ("cicd.pipeline.task.type", "test".to_owned()),
            ("cicd.pipeline.task.run.result", outcome.to_owned()),
            ("vcs.ref.head.revision", self.revision.id.clone()),
            ("readiness.suite", result.name.clone()),
            ("readiness.kind", result.kind.to_string()),
            ("readiness.blocking", result.blocking.to_string()),
        ]
    }

    fn run_span(&self, report: &Report, duration: Duration) -> Span {
        let result = if report.overall_passed { "success" } else { "failure" };
        Span {
            name: "readiness.run",
            trace_id: report.trace_id.clone(),
            span_id: span_id(self.run_id, ""),
            parent_id: None,
            start: report.started_at,
            duration,
            status: if report.overall_passed { SpanStatus::Ok } else { SpanStatus::Error },
            attributes: vec![
                ("cicd.pipeline.name", "readiness".to_owned()),
                ("cicd.pipeline.run.id", self.run_id.to_owned()),
                ("cicd.pipeline.action.name", "RUN".to_owned()),
                ("cicd.pipeline.result", result.to_owned()),
                ("vcs.ref.head.revision", self.revision.id.clone()),
                ("readiness.suites_total", self.config.suites.len().to_string()),
            ],
        }
    }
}

/// What the thresholds of a suite look at, in the order of its metrics.
fn given(suite: &SuiteConfig, total: Duration, attempts: &[Attempt], benches: &[Bench], rates: Rates) -> Vec<Given> {
    let tests = attempts.last().and_then(|attempt| attempt.tests.as_ref());
    #[expect(clippy::cast_precision_loss, reason = "numbers of tests and attempts are far below 2^52")]
    let count = |number: Option<u64>| Given { value: number.map(|n| n as f64), weight: 1, baseline: None };
    let rate = |value| Given { value, weight: rates.runs, baseline: None };
    let of = |name: &str| match name {
        "duration_seconds" => Given { value: Some(seconds(total)), weight: 1, baseline: None },
        "attempts" => count(Some(attempts.len() as u64)),
        "success_rate" => rate(rates.success_rate()),
        "flake_rate" => rate(rates.flake_rate()),
        "error_budget_burn" => rate(suite.objective.and_then(|objective| rates.error_budget_burn(objective))),
        "tests" => count(tests.map(|tests| tests.total)),
        "tests_passed" => count(tests.map(|tests| tests.passed)),
        "tests_failed" => count(tests.map(|tests| tests.failed)),
        "tests_skipped" => count(tests.map(|tests| tests.skipped)),
        "tests_flaky" => count(tests.map(|tests| tests.flaky)),
        name => {
            let bench = benches.iter().find(|bench| bench.metric == name);
            bench.map_or_else(Given::default, |bench| Given { value: bench.ns, weight: 1, baseline: bench.baseline_ns })
        }
    };
    suite.metrics.iter().map(|metric| of(&metric.name)).collect()
}

fn benches(suite: &SuiteConfig, directory: &Path, marked: &[Watched]) -> (Vec<Bench>, Vec<Problem>) {
    let (mut benches, mut problems) = (Vec::new(), Vec::new());
    for (source, watched) in suite.results.benches.iter().zip(marked) {
        let unreadable = |error: String| watched.problem(ProblemCode::ResultsUnreadable, error);
        let read = watched.read().and_then(|text| {
            let estimates = Estimates::read(&text).map_err(|error| unreadable(error.to_string()))?;
            estimates.of(source.statistic).ok_or_else(|| unreadable("it does not have the statistic".to_owned()))
        });
        // The baseline is of an earlier run, so nothing is asked of its age. Without it limits with a sign are unknown.
        let baseline = source.baseline.as_ref().map(|path| {
            let text = fs::read_to_string(directory.join(path)).map_err(|error| format!("{path}: {error}"))?;
            let estimates = Estimates::read(&text).map_err(|error| format!("{path}: {error}"))?;
            estimates.of(source.statistic).ok_or_else(|| format!("{path}: it does not have the statistic"))
        });
        let mut problem = baseline.as_ref().and_then(|read| read.as_ref().err().cloned());
        let ns = read.map_err(|found| {
            problem = Some(found.message.clone());
            problems.push(found);
        });
        benches.push(Bench {
            metric: source.metric.clone(),
            ns: ns.ok(),
            baseline_ns: baseline.and_then(Result::ok),
            problem,
        });
    }
    (benches, problems)
}

fn artifacts(suite: &SuiteConfig, directory: &Path, problems: &mut Vec<Problem>) -> Vec<FileDigest> {
    let mut found = Vec::new();
    for path in &suite.artifacts {
        match Digest::of_file(&directory.join(path)) {
            Ok((sha256, bytes)) => found.push(FileDigest { path: path.clone(), sha256, bytes }),
            Err(error) => {
                let message = format!("{path} should have been made: {error}");
                problems.push(Problem { code: ProblemCode::ArtifactMissing, message });
            }
        }
    }
    found
}
