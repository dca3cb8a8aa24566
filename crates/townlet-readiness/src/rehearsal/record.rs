//! What came of a rehearsal.

use std::fmt::Write as _;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::FileDigest;
use crate::moment::Moment;
use crate::process::Ended;
use crate::report::{self, EvidenceError, Log, Problem, Producer, Revision};

/// The name of the record of a rehearsal.
#[must_use]
pub fn record_file(run_id: &str) -> String {
    format!("rehearsal_{run_id}.json")
}

/// `rehearsal_{run_id}.json`, in the schema version of reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`SCHEMA_VERSION`](crate::report::SCHEMA_VERSION).
    pub schema_version: String,
    /// This rehearsal.
    pub run_id: String,
    /// Its trace: 32 hexadecimal digits.
    pub trace_id: String,
    /// What was rehearsed.
    pub name: String,
    /// Where.
    pub environment: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What was rolled back, if somebody said so.
    pub revision: Option<Revision>,
    /// When it began.
    pub started_at: Moment,
    /// When it was over; from then on it grows old.
    pub ended_at: Moment,
    /// Measured by a clock that nobody sets.
    pub duration_seconds: f64,
    /// How long it may have taken.
    pub deadline_seconds: f64,
    /// The rehearsal file.
    pub config: FileDigest,
    /// Who took part.
    pub participants: Vec<String>,
    /// What people noticed.
    pub notes: Vec<String>,
    /// Every step and check of the file, in its order.
    pub steps: Vec<StepResult>,
    /// What wrote this.
    pub producer: Producer,
}

/// How a rehearsal went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step and every check did its work in time.
    Passed,
    /// A step failed. The rollback does not work.
    StepFailed,
    /// The steps worked, and a check says that they did not help.
    CheckFailed,
    /// It took longer than it may.
    TooLate,
    /// Somebody called it off.
    Cancelled,
}

/// Whether something acts or looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It acts.
    Step,
    /// It looks whether the steps helped.
    Check,
}

impl Role {
    /// For messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Step => "a step",
            Self::Check => "a check",
        }
    }
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// It exited with 0 within its deadline.
    Passed,
    /// It did not.
    Failed,
    /// The rehearsal was over before.
    NotRun,
}

/// One step or check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepResult {
    /// Its name.
    pub name: String,
    /// Whether it acts or looks.
    pub role: Role,
    /// How it stands.
    pub status: StepStatus,
    /// What was run.
    pub command: Vec<String>,
    /// Where, seen from the folder of the file.
    pub directory: String,
    /// When it began.
    pub started_at: Option<Moment>,
    /// When it was over.
    pub ended_at: Option<Moment>,
    /// Measured by a clock that nobody sets.
    pub duration_seconds: f64,
    /// How long it may have taken.
    pub deadline_seconds: f64,
    /// How it ended.
    pub ended: Option<Ended>,
    /// Its standard output.
    pub stdout: Option<Log>,
    /// Its standard error.
    pub stderr: Option<Log>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Record {
    /// What the steps say, whatever the record says.
    #[must_use]
    pub fn outcome_of_steps(&self) -> Outcome {
        let failed = self.steps.iter().find(|step| step.status == StepStatus::Failed);
        if self.steps.iter().any(|step| step.ended == Some(Ended::Cancelled)) {
            return Outcome::Cancelled;
        }
        // Killed when the time of the whole was over, not its own.
        let cut = failed.is_some_and(|step| step.ended == Some(Ended::TimedOut));
        let late = self.duration_seconds > self.deadline_seconds;
        match failed.map(|step| step.role) {
            _ if late || cut && self.duration_seconds >= self.deadline_seconds => Outcome::TooLate,
            Some(Role::Step) => Outcome::StepFailed,
            Some(Role::Check) => Outcome::CheckFailed,
            None if self.steps.iter().any(|step| step.status == StepStatus::NotRun) => Outcome::TooLate,
            None => Outcome::Passed,
        }
    }

    /// Where the record contradicts itself. What this crate writes never does; what somebody edited may.
    #[must_use]
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.outcome != self.outcome_of_steps() {
            found.push(format!("the outcome is {:?}, and the steps say {:?}", self.outcome, self.outcome_of_steps()));
        }
        for role in [Role::Step, Role::Check] {
            if !self.steps.iter().any(|step| step.role == role) {
                found.push(format!("there is not {} in it", role.as_str()));
            }
        }
        for step in &self.steps {
            let success = step.ended.as_ref().is_some_and(Ended::is_success) && step.problems.is_empty();
            let run = step.status != StepStatus::NotRun;
            if (step.status == StepStatus::Passed) != success || run != step.ended.is_some() {
                found.push(format!("the status of {} is not what its end says", step.name));
            }
            let late = step.duration_seconds > step.deadline_seconds;
            if success && late {
                found.push(format!("{} passed behind its deadline", step.name));
            }
            if step.ended.as_ref().is_some_and(Ended::is_success) && !step.problems.is_empty() && !late {
                found.push(format!("{} has problems in spite of its end", step.name));
            }
        }
        let sum: f64 = self.steps.iter().map(|step| step.duration_seconds).sum();
        // Sums of milliseconds are not exact.
        if sum > self.duration_seconds + 1e-6 {
            found.push("the steps took longer than the whole".to_owned());
        }
        found
    }
}

/// Reads a record with its logs, and says what does not fit.
///
/// # Errors
/// [`EvidenceError`] where it is missing or no record.
pub fn open(folder: &Path, run_id: &str) -> Result<(Record, Vec<String>), EvidenceError> {
    let record: Record = report::read(&folder.join(record_file(&report::plain(run_id))))?;
    let mut findings = record.contradictions();
    if record.run_id != run_id {
        findings.push(format!("it is the record of another rehearsal, {}", record.run_id));
    }
    for log in record.steps.iter().flat_map(|step| [&step.stdout, &step.stderr]).flatten() {
        report::check(folder, &log.path, &log.sha256, log.bytes, &mut findings);
    }
    Ok((record, findings))
}

/// The record for people, in plain text.
#[must_use]
pub fn render(record: &Record) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "rehearsal {} of {} in {}", record.run_id, record.name, record.environment);
    let _ = writeln!(text, "{} to {}", record.started_at, record.ended_at);
    let wide = record.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
    for step in &record.steps {
        let status = match step.status {
            StepStatus::Passed => "passed",
            StepStatus::Failed => "FAILED",
            StepStatus::NotRun => "not run",
        };
        let role = if step.role == Role::Check { "check" } else { "step" };
        let _ = write!(text, "  {status:<8}{role:<6}{:<wide$}", step.name);
        let _ = match step.status {
            StepStatus::NotRun => writeln!(text),
            _ => writeln!(text, "{:>8.1} s of {} s", step.duration_seconds, step.deadline_seconds),
        };
        for problem in &step.problems {
            let _ = writeln!(text, "          {}", problem.message);
        }
    }
    let verdict = match record.outcome {
        Outcome::Passed => "the rollback works",
        Outcome::StepFailed => "the rollback does NOT work",
        Outcome::CheckFailed => "the rollback does NOT help",
        Outcome::TooLate => "the rollback takes TOO LONG",
        Outcome::Cancelled => "the rehearsal was called off",
    };
    let _ = write!(text, "{verdict}: {:.1} s of {} s", record.duration_seconds, record.deadline_seconds);
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}
