//! What happens during a run, told to whoever wants to know: a terminal, a pipeline, OTLP.
//!
//! Names are those of the seed (`readiness.passed`, `readiness.duration_seconds`) and of the OpenTelemetry conventions for
//! CI/CD, v1.44 (`cicd.pipeline.*`, `vcs.ref.head.revision`). Suites and outcomes are few; nothing here grows without
//! bounds, so every attribute may be a label.

use std::time::Duration;

use crate::digest::Digest;
use crate::moment::Moment;
use crate::rehearsal::StepResult;
use crate::report::{Attempt, SuiteResult};

/// Somebody who wants to know.
pub trait Observer {
    /// Something happened. The run waits until this returns.
    fn observe(&mut self, event: &Event<'_>);
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An attempt of a suite, or a step of a rehearsal, begins.
    Started {
        /// Which.
        name: &'a str,
        /// From 1.
        attempt: u32,
    },
    /// An attempt is over.
    AttemptEnded {
        /// Of which suite.
        suite: &'a str,
        /// The attempt.
        attempt: &'a Attempt,
    },
    /// A suite is over, or was passed over.
    SuiteEnded(&'a SuiteResult),
    /// A step of a rehearsal is over, or was passed over.
    StepEnded(&'a StepResult),
    /// Something was measured.
    Measured(Measure),
    /// A stretch of time is over.
    Span(Span),
}

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// Its unit, as UCUM has it.
    pub unit: &'static str,
    /// Its value.
    pub value: f64,
    /// When.
    pub at: Moment,
    /// What it is about.
    pub attributes: Vec<(&'static str, String)>,
}

/// A stretch of time with a name, as a trace has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its name.
    pub name: &'static str,
    /// 32 hexadecimal digits; the report has them too.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// Those of the span around it.
    pub parent_id: Option<String>,
    /// When it began.
    pub start: Moment,
    /// How long it took, by a clock that nobody sets.
    pub duration: Duration,
    /// How it went.
    pub status: SpanStatus,
    /// What it is about.
    pub attributes: Vec<(&'static str, String)>,
}

/// How a span went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanStatus {
    /// Well.
    Ok,
    /// Not well.
    Error,
}

/// Wants to know nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _: &Event<'_>) {}
}

/// The trace of a run: the same for everybody who knows the run.
#[must_use]
pub fn trace_id(run_id: &str) -> String {
    nonzero(&Digest::of(format!("trace/{run_id}").as_bytes()).to_string(), 32)
}

/// The span of a part of a run (the empty name: of the run).
#[must_use]
pub fn span_id(run_id: &str, part: &str) -> String {
    nonzero(&Digest::of(format!("span/{run_id}/{part}").as_bytes()).to_string(), 16)
}

/// An id of nothing but zeros is none, says W3C Trace Context.
fn nonzero(digits: &str, length: usize) -> String {
    let id: String = digits.chars().take(length).collect();
    if id.bytes().all(|digit| digit == b'0') { format!("1{}", &id[1..]) } else { id }
}
