//! A run for people, in plain text.

use std::fmt::Write as _;

use super::files::Evidence;
use super::types::{Status, SuiteResult, ThresholdState};

/// Names of flaky tests of a suite; the scorecard has more.
const FLAKES_SHOWN: usize = 5;

/// The run as text: one line a suite, below it what is wrong, at the end the verdict.
#[must_use]
pub fn render(evidence: &Evidence) -> String {
    let Evidence { report, scorecard, findings } = evidence;
    let mut text = String::new();
    let modified = if report.revision.modified == Some(true) { ", with changes" } else { "" };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "run {} of {}{modified}", report.run_id, report.revision.id);
    let _ = writeln!(text, "{} to {}, {:.1} s", report.started_at, report.ended_at, report.duration_seconds);
    for tool in &report.tools {
        let version = tool.version.as_deref().or(tool.problem.as_deref()).unwrap_or("unknown");
        let _ = writeln!(text, "{}: {version}", tool.name);
    }
    let wide = scorecard.suites.iter().map(|suite| suite.name.chars().count()).max().unwrap_or(0);
    for suite in &scorecard.suites {
        suite_lines(&mut text, suite, wide);
    }
    if !scorecard.kinds_not_covered.is_empty() {
        let kinds: Vec<&str> = scorecard.kinds_not_covered.iter().map(|kind| kind.as_str()).collect();
        let _ = writeln!(text, "no suite is of the kind {}", kinds.join(", "));
    }
    if scorecard.history.damaged_lines > 0 {
        let _ = writeln!(text, "{} lines of the history are damaged", scorecard.history.damaged_lines);
    }
    for finding in findings {
        let _ = writeln!(text, "EVIDENCE: {finding}");
    }
    let verdict = match (findings.is_empty(), report.overall_passed) {
        (false, _) => "not to be trusted",
        (true, true) => "ready",
        (true, false) => "NOT ready",
    };
    text.push_str(verdict);
    // Names of tests and versions of tools come from elsewhere, and a terminal obeys control characters.
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn suite_lines(text: &mut String, suite: &SuiteResult, wide: usize) {
    let status = match suite.status {
        Status::Passed if suite.flaky => "flaky",
        Status::Passed => "passed",
        Status::Failed => "FAILED",
        Status::NotRun => "not run",
    };
    let _ = write!(text, "  {status:<8}{:<wide$}  {:<12}", suite.name, suite.kind);
    if suite.status == Status::NotRun {
        let _ = writeln!(text, "{}", suite.not_run_because.as_deref().unwrap_or_default());
        return;
    }
    let _ = write!(text, "{:>8.1} s", suite.duration_seconds);
    if suite.attempts.len() > 1 {
        let _ = write!(text, "  {} attempts", suite.attempts.len());
    }
    if let Some(tests) = suite.attempts.last().and_then(|attempt| attempt.tests.as_ref()) {
        let _ = write!(text, "  {} of {} tests passed", tests.passed, tests.total);
    }
    if let Some(rates) = suite.history.filter(|rates| rates.runs > 1) {
        let _ = write!(text, "  {} of {} runs passed, {} flaky", rates.passed, rates.runs, rates.flaky);
    }
    text.push_str(if suite.blocking { "\n" } else { "  (does not block)\n" });
    for attempt in &suite.attempts {
        for problem in &attempt.problems {
            let _ = writeln!(text, "          attempt {}: {}", attempt.number, problem.message);
        }
    }
    let tests = suite.attempts.iter().filter_map(|attempt| attempt.tests.as_ref());
    for name in tests.flat_map(|tests| &tests.flaky_names).take(FLAKES_SHOWN) {
        let _ = writeln!(text, "          flaky: {name}");
    }
    for problem in &suite.problems {
        let _ = writeln!(text, "          {}", problem.message);
    }
    for threshold in suite.thresholds.iter().filter(|threshold| threshold.state != ThresholdState::Held) {
        let values: Vec<String> = threshold.values.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let (state, about) = match threshold.state {
            ThresholdState::Violated => ("violated", values),
            ThresholdState::Excused => ("excused", threshold.reasons.clone()),
            _ => ("unknown", threshold.reasons.clone()),
        };
        let _ = writeln!(text, "          {}: {state}, {}", threshold.threshold, about.join(", "));
    }
}
