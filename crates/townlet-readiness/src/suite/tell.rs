//! A run as metrics and spans.

use std::time::Duration;

use super::observe::{Event, Measure, Observer, Span, SpanStatus, span_id, trace_id};
use super::runner::Run;
use crate::process::Ended;
use crate::report::{Report, Status, SuiteResult};

impl Run<'_> {
    /// Tells the observer how a suite went, with metrics and a span.
    pub(super) fn tell(&self, result: &SuiteResult, observer: &mut dyn Observer) {
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

    pub(super) fn run_span(&self, report: &Report, duration: Duration) -> Span {
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
