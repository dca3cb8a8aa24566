//! A rehearsal: steps, checks, record.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::{Config, StepConfig};
use super::record::{Outcome, Record, StepResult, StepStatus, record_file};
use crate::clock::Clock;
use crate::digest::FileDigest;
use crate::moment::seconds;
use crate::process::{Ended, Invocation, Processes, environment};
use crate::report::{Producer, Revision, SCHEMA_VERSION, relative, write_json};
use crate::suite::attempt::{log, problem_of};
use crate::suite::{Event, Measure, Observer, Span, SpanStatus, is_run_id, span_id, trace_id};

/// Everything that a rehearsal needs.
pub struct Rehearsal<'a> {
    /// The steps.
    pub config: &'a Config,
    /// The file that they were read from, for the record.
    pub config_file: FileDigest,
    /// The folder that the directories of steps are seen from.
    pub root: &'a Path,
    /// The folder for the record and the logs. It must exist.
    pub out: &'a Path,
    /// The name of this rehearsal, used once; see [`is_run_id`](crate::suite::is_run_id).
    pub run_id: &'a str,
    /// What is rolled back.
    pub revision: Option<Revision>,
    /// Who takes part.
    pub participants: Vec<String>,
    /// What people noticed.
    pub notes: Vec<String>,
    /// The caller's environment, from which steps see what they are passed.
    pub env: &'a BTreeMap<String, OsString>,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Who runs commands.
    pub processes: &'a dyn Processes,
}

/// Why a rehearsal left no record. A step that fails, in whatever way, is not among the reasons.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RehearsalError {
    /// The name cannot be part of a file name, or was used before.
    #[error("the rehearsal cannot be called '{0}': take up to 64 letters, digits, - and _ that none here had")]
    RunId(String),
    /// Something cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Rehearsal<'_> {
    /// Runs the steps and then the checks, up to the first that fails or to the deadline, and writes the record.
    ///
    /// # Errors
    /// [`RehearsalError`] if the record cannot be written.
    pub fn go(&self, observer: &mut dyn Observer) -> Result<Record, RehearsalError> {
        let name = record_file(self.run_id);
        if !is_run_id(self.run_id) || self.out.join(&name).exists() {
            return Err(RehearsalError::RunId(crate::reading::shorten(self.run_id)));
        }
        let (started_at, start) = (self.clock.now(), self.clock.elapsed());
        let mut steps = Vec::new();
        let mut over = false;
        for (at, step) in self.config.steps.iter().enumerate() {
            let spent = self.clock.elapsed().saturating_sub(start);
            let left = self.config.deadline.saturating_sub(spent);
            let result = if over || left.is_zero() {
                passed_over(step)
            } else {
                observer.observe(&Event::Started { name: &step.name, attempt: 1 });
                self.step(at + 1, step, left)?
            };
            observer.observe(&Event::StepEnded(&result));
            over |= result.status != StepStatus::Passed;
            steps.push(result);
        }
        let duration = self.clock.elapsed().saturating_sub(start);
        let mut record = Record {
            schema_version: SCHEMA_VERSION.to_owned(),
            run_id: self.run_id.to_owned(),
            trace_id: trace_id(self.run_id),
            name: self.config.name.clone(),
            environment: self.config.environment.clone(),
            outcome: Outcome::Cancelled,
            revision: self.revision.clone(),
            started_at,
            ended_at: self.clock.now(),
            duration_seconds: seconds(duration),
            deadline_seconds: seconds(self.config.deadline),
            config: self.config_file.clone(),
            participants: self.participants.clone(),
            notes: self.notes.clone(),
            steps,
            producer: Producer::this(),
        };
        record.outcome = record.outcome_of_steps();
        let path = self.out.join(&name);
        write_json(self.out, &name, &record).map_err(|source| RehearsalError::Io { path, source })?;
        self.tell(&record, duration, observer);
        Ok(record)
    }

    fn step(&self, number: usize, step: &StepConfig, left: Duration) -> Result<StepResult, RehearsalError> {
        let logs = self.out.join("logs").join(self.run_id);
        fs::create_dir_all(&logs).map_err(|source| RehearsalError::Io { path: logs.clone(), source })?;
        let (env, _) = environment(self.env, &step.pass_env, &step.env);
        let timeout = Some(step.deadline.min(left));
        let (started_at, start) = (self.clock.now(), self.clock.elapsed());
        let ran = self.processes.run(&Invocation {
            command: &step.command,
            directory: &self.root.join(&step.directory),
            env: &env,
            timeout,
            output_limit: self.config.log_bytes,
        });
        let duration = self.clock.elapsed().saturating_sub(start);
        let ended_at = self.clock.now();
        let mut problems: Vec<_> = problem_of(&ran.ended, timeout).into_iter().collect();
        // It may have ended by itself between its deadline and the look at the clock.
        if problems.is_empty() && duration > step.deadline {
            problems.extend(problem_of(&Ended::TimedOut, timeout));
        }
        let mut written = Vec::new();
        for (suffix, output) in [("out", &ran.stdout), ("err", &ran.stderr)] {
            let path = logs.join(format!("{number}_{}.{suffix}", step.name));
            fs::write(&path, &output.kept).map_err(|source| RehearsalError::Io { path: path.clone(), source })?;
            written.push(log(relative(&path, self.out), output));
        }
        let passed = problems.is_empty();
        let (stderr, stdout) = (written.pop(), written.pop());
        Ok(StepResult {
            status: if passed { StepStatus::Passed } else { StepStatus::Failed },
            started_at: Some(started_at),
            ended_at: Some(ended_at),
            duration_seconds: seconds(duration),
            ended: Some(ran.ended),
            stdout,
            stderr,
            problems,
            ..passed_over(step)
        })
    }

    fn tell(&self, record: &Record, duration: Duration, observer: &mut dyn Observer) {
        let outcome = match record.outcome {
            Outcome::Passed => "success",
            Outcome::TooLate => "timeout",
            Outcome::Cancelled => "cancellation",
            Outcome::StepFailed | Outcome::CheckFailed => "failure",
        };
        let attributes = vec![
            ("cicd.pipeline.name", "rollback-rehearsal".to_owned()),
            ("cicd.pipeline.run.id", self.run_id.to_owned()),
            ("cicd.pipeline.result", outcome.to_owned()),
            ("deployment.environment.name", self.config.environment.clone()),
            ("deployment.name", self.config.name.clone()),
        ];
        observer.observe(&Event::Measured(Measure {
            name: "deployment.rollback_rehearsal_duration",
            unit: "s",
            value: record.duration_seconds,
            at: record.ended_at,
            attributes: attributes.clone(),
        }));
        observer.observe(&Event::Span(Span {
            name: "governance.rollback_rehearsal",
            trace_id: record.trace_id.clone(),
            span_id: span_id(self.run_id, ""),
            parent_id: None,
            start: record.started_at,
            duration,
            status: if record.outcome == Outcome::Passed { SpanStatus::Ok } else { SpanStatus::Error },
            attributes,
        }));
    }
}

fn passed_over(step: &StepConfig) -> StepResult {
    StepResult {
        name: step.name.clone(),
        role: step.role,
        status: StepStatus::NotRun,
        command: step.command.clone(),
        directory: step.directory.clone(),
        started_at: None,
        ended_at: None,
        duration_seconds: 0.0,
        deadline_seconds: seconds(step.deadline),
        ended: None,
        stdout: None,
        stderr: None,
        problems: Vec::new(),
    }
}
