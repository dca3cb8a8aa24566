//! Runs under simulated time.

use std::time::Duration;

use townlet_readiness::Ended;
use townlet_readiness::report::{ProblemCode, Revision, Status};
use townlet_readiness::suite::{RunError, SpanStatus, is_run_id};

use crate::support::{Act, Project, ends, exits, junit};

fn one(command: &str, more: &str) -> String {
    format!("suites: [{{ name: {command}, kind: unit, command: [{command}]{more} }}]")
}

fn codes(finished: &townlet_readiness::suite::Finished, suite: usize, attempt: usize) -> Vec<ProblemCode> {
    let attempt = &finished.scorecard.suites[suite].attempts[attempt];
    attempt.problems.iter().map(|problem| problem.code).collect()
}

#[test]
fn suites_run_in_their_order_and_a_blocking_failure_leaves_the_later_ones_not_run() {
    let mut project = Project::new();
    project.does("a", [exits(0)]).does("b", [exits(3).takes(20)]).does("c", [exits(0)]);
    let yaml = "suites:\n- { name: a, kind: unit, command: [a] }\n- { name: b, kind: integration, command: [b] }\n- { \
                name: c, kind: unit, command: [c] }";
    let finished = project.run("r1", yaml);
    let status: Vec<Status> = finished.scorecard.suites.iter().map(|suite| suite.status).collect();
    assert_eq!(status, [Status::Passed, Status::Failed, Status::NotRun]);
    assert!(!finished.report.overall_passed);
    assert_eq!((finished.report.failures, finished.report.not_run), (vec!["b".to_owned()], vec!["c".to_owned()]));
    assert_eq!(finished.scorecard.suites[2].not_run_because.as_deref(), Some("b failed before it"));
    assert_eq!(finished.report.duration_seconds, 30.0);
    assert_eq!(finished.report.ended_at.since(finished.report.started_at), Some(Duration::from_secs(30)));
    assert_eq!(project.table.calls.borrow().len(), 2);
}

#[test]
fn a_suite_that_does_not_block_may_fail() {
    let mut project = Project::new();
    project.does("a", [exits(1)]).does("b", [exits(0)]);
    let yaml = "suites:\n- { name: a, kind: unit, command: [a], blocking: false }\n- { name: b, kind: unit, command: \
                [b] }";
    let finished = project.run("r1", yaml);
    assert!(finished.report.overall_passed);
    assert_eq!(finished.report.failures, ["a"]);
}

#[test]
fn a_suite_that_passes_at_last_keeps_every_attempt_and_is_flaky() {
    let mut project = Project::new();
    project.does("a", [exits(1).takes(5), ends(Ended::Signalled { signal: 11 }), exits(0).prints("ok\n")]);
    let finished = project.run("r1", &one("a", ", retries: 5"));
    let suite = &finished.scorecard.suites[0];
    assert_eq!((suite.status, suite.flaky, suite.attempts.len()), (Status::Passed, true, 3));
    assert_eq!(
        (codes(&finished, 0, 0), codes(&finished, 0, 1)),
        (vec![ProblemCode::ExitCode], vec![ProblemCode::Signal])
    );
    assert_eq!((suite.duration_seconds, suite.attempts[0].duration_seconds), (25.0, 5.0));
    assert_eq!(suite.attempts[2].stdout.path, "logs/r1/a/attempt_3.out");
    assert_eq!(std::fs::read(project.out().join("logs/r1/a/attempt_3.out")).unwrap(), b"ok\n");
}

#[test]
fn a_timeout_is_of_each_attempt() {
    let mut project = Project::new();
    project.does("a", [exits(0).takes(61), exits(0).takes(60)]);
    let finished = project.run("r1", &one("a", ", retries: 1, timeout: 1m"));
    assert_eq!(codes(&finished, 0, 0), [ProblemCode::TimedOut]);
    assert_eq!(finished.scorecard.suites[0].status, Status::Passed);
    assert_eq!(finished.scorecard.suites[0].duration_seconds, 120.0);
}

#[test]
fn a_suite_sees_the_variables_that_the_file_names_and_the_scorecard_keeps_their_names_only() {
    let mut project = Project::new();
    project.does("a", [exits(0)]);
    let finished = project.run("r1", &one("a", ", env: { MODE: ci }, pass_env: [TOKEN]"));
    let call = project.table.calls.borrow()[0].clone();
    assert_eq!(call.env.keys().collect::<Vec<_>>(), ["HOME", "MODE", "PATH"]);
    let suite = &finished.scorecard.suites[0];
    assert_eq!(
        (suite.env_passed.clone(), suite.env_set.clone()),
        (vec!["HOME".into(), "PATH".into()], vec!["MODE".into()])
    );
    assert_eq!(suite.env_missing, ["TOKEN"]);
    let written = std::fs::read_to_string(project.out().join("readiness_scorecard_r1.json")).unwrap();
    assert!(!written.contains("/nowhere") && !written.contains("hush"), "{written}");
}

#[test]
fn results_count_beside_the_exit_code() {
    let with = |act: Act| {
        let mut project = Project::new();
        project.does("a", [act]);
        let finished = project.run("r1", &one("a", ", results: { junit: out.xml }"));
        (finished.scorecard.suites[0].status, codes(&finished, 0, 0))
    };
    assert_eq!(with(exits(0).writes("out.xml", junit(3, 0, 0))), (Status::Passed, vec![]));
    // A runner that was told not to fail.
    assert_eq!(with(exits(0).writes("out.xml", junit(3, 1, 0))), (Status::Failed, vec![ProblemCode::TestsFailed]));
    // A filter that matches nothing.
    assert_eq!(with(exits(0).writes("out.xml", junit(0, 0, 0))), (Status::Failed, vec![ProblemCode::NoTests]));
    assert_eq!(with(exits(0)), (Status::Failed, vec![ProblemCode::ResultsMissing]));
    assert_eq!(with(exits(0).writes("out.xml", "<no")), (Status::Failed, vec![ProblemCode::ResultsUnreadable]));
    assert_eq!(with(exits(1).writes("out.xml", junit(3, 0, 0))), (Status::Failed, vec![ProblemCode::ExitCode]));
}

#[test]
fn a_result_file_of_an_earlier_attempt_is_no_evidence() {
    let mut project = Project::new();
    let good = junit(3, 0, 0);
    std::fs::write(project.folder.path().join("out.xml"), &good).unwrap();
    project.does("a", [exits(0), exits(0).writes("out.xml", good.clone()), exits(0).writes("out.xml", good)]);
    let yaml = one("a", ", retries: 1, results: { junit: out.xml }");
    let finished = project.run("r1", &yaml);
    assert_eq!(codes(&finished, 0, 0), [ProblemCode::ResultsStale]);
    assert_eq!(finished.scorecard.suites[0].status, Status::Passed);
    // The same bytes again, at once: still written by this attempt.
    assert_eq!(project.run("r2", &yaml).scorecard.suites[0].attempts.len(), 1);
}

#[test]
fn artifacts_are_quoted_by_digest_and_one_that_is_missing_fails_the_suite() {
    let mut project = Project::new();
    project.does("a", [exits(0).writes("made", "x"), exits(0)]);
    let finished = project.run("r1", &one("a", ", artifacts: [made]"));
    let made = &finished.scorecard.suites[0].artifacts[0];
    assert_eq!((made.bytes, made.sha256), (1, townlet_readiness::Digest::of(b"x")));
    let finished = project.run("r2", &one("a", ", artifacts: [made, never]"));
    assert_eq!(finished.scorecard.suites[0].status, Status::Failed);
    assert_eq!(finished.scorecard.suites[0].problems[0].code, ProblemCode::ArtifactMissing);
}

#[test]
fn a_run_that_is_called_off_ends_there_and_leaves_no_trace_in_the_rates() {
    let mut project = Project::new();
    project.does("a", [ends(Ended::Cancelled)]).does("b", [exits(0)]);
    let yaml = "suites:\n- { name: a, kind: unit, command: [a], blocking: false, retries: 3 }\n- { name: b, kind: unit, \
                command: [b] }";
    let finished = project.run("r1", yaml);
    assert_eq!(finished.scorecard.suites[0].attempts.len(), 1);
    assert_eq!(finished.report.not_run, ["b"]);
    assert!(!finished.report.overall_passed);
    assert!(!project.out().join("readiness_history.jsonl").exists());
}

#[test]
fn the_report_quotes_tools_with_their_versions_and_says_which_did_not_answer() {
    let mut project = Project::new();
    project.does("a", [exits(0)]).does("rustc", [exits(0).prints("\n rustc 1.95.0 \nmore")]).does("old", [exits(2)]);
    project.does("mute", [exits(0)]);
    let yaml = format!("tools: {{ rustc: [rustc, -V], old: [old], mute: [mute], gone: [gone] }}\n{}", one("a", ""));
    let finished = project.run("r1", &yaml);
    let told: Vec<(Option<&str>, Option<&str>)> =
        finished.report.tools.iter().map(|tool| (tool.version.as_deref(), tool.problem.as_deref())).collect();
    assert_eq!(told[0], (Some("rustc 1.95.0"), None));
    assert_eq!(told[1], (None, Some("it exited with 2")));
    assert_eq!(told[2], (None, Some("it printed nothing")));
    assert!(told[3].0.is_none() && told[3].1.unwrap().contains("gone"));
    assert_eq!(project.table.calls.borrow()[0].timeout, Some(Duration::from_secs(30)));
}

#[test]
fn a_run_has_a_name_of_its_own() {
    let mut project = Project::new();
    project.does("a", [exits(0)]);
    project.run("r1", &one("a", ""));
    for name in ["r1", "", "../r2", "a b", "é", &"x".repeat(65)] {
        assert!(matches!(project.try_run(name, &one("a", "")), Err(RunError::RunId(_))), "{name}");
    }
    assert!(is_run_id("0198f2c1-7a5e-7c31-9b1f-2d3e4f5a6b7c"));
}

/// Whoever looks must not find the verdict of another run.
#[test]
fn a_run_that_dies_leaves_no_report_of_an_earlier_one() {
    let mut project = Project::new();
    project.does("a", [exits(0), exits(0)]);
    project.run("r1", &one("a", ""));
    // A folder where the logs should be: the disk says no in the middle of the run.
    std::fs::write(project.out().join("logs/r2"), "in the way").unwrap();
    assert!(matches!(project.try_run("r2", &one("a", "")), Err(RunError::Io { .. })));
    assert!(!project.out().join("readiness_report.json").exists());
    assert!(project.out().join("readiness_scorecard_r1.json").exists());
}

#[test]
fn metrics_and_spans_are_told_with_the_names_of_the_seed_and_of_the_conventions() {
    let mut project = Project::new();
    project.does("a", [exits(1), exits(0)]).does("b", [exits(0).takes(99)]);
    let yaml = "suites:\n- { name: a, kind: unit, command: [a], retries: 1 }\n- { name: b, kind: security, command: [b], \
                timeout: 5 }\n- { name: c, kind: unit, command: [c] }";
    let finished = project.run("r1", yaml);
    let notes = &project.notes;
    let told: Vec<(&str, &str, f64)> = notes.measures.iter().map(|m| (m.name, m.unit, m.value)).collect();
    let wanted = [
        ("readiness.passed", "1", 1.0),
        ("readiness.duration_seconds", "s", 20.0),
        ("readiness.attempts", "{attempt}", 2.0),
        ("readiness.passed", "1", 0.0),
        ("readiness.duration_seconds", "s", 5.0),
        ("readiness.attempts", "{attempt}", 1.0),
    ];
    assert_eq!(told, wanted);
    let spans: Vec<(&str, SpanStatus)> = notes.spans.iter().map(|span| (span.name, span.status)).collect();
    let wanted = [
        ("readiness.suite", SpanStatus::Ok),
        ("readiness.suite", SpanStatus::Error),
        ("readiness.run", SpanStatus::Error),
    ];
    assert_eq!(spans, wanted);
    let run = &notes.spans[2];
    assert!(notes.spans[..2].iter().all(|span| span.parent_id.as_ref() == Some(&run.span_id)));
    assert!(notes.spans.iter().all(|span| span.trace_id == finished.report.trace_id));
    assert_eq!((run.trace_id.len(), run.span_id.len(), run.duration), (32, 16, Duration::from_secs(25)));
    let attribute = |key: &str| {
        let found = notes.measures[3].attributes.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(attribute("cicd.pipeline.task.run.result"), Some("timeout"));
    assert_eq!(attribute("vcs.ref.head.revision"), Some("c0ffee"));
    assert_eq!((attribute("readiness.suite"), attribute("readiness.kind")), (Some("b"), Some("security")));
    let lines =
        ["a 1", "a Exited { code: 1 }", "a 2", "a Exited { code: 0 }", "a Passed", "b 1", "b TimedOut", "b Failed"];
    assert_eq!(notes.lines[..8], lines);
}

#[test]
fn a_tree_with_changes_has_no_revision_in_the_history() {
    let mut project = Project::new();
    project.revision = Revision { id: "c0ffee".into(), modified: Some(true) };
    project.does("a", [exits(0), exits(1)]);
    project.run("r1", &one("a", ""));
    let rates = project.run("r2", &one("a", "")).scorecard.suites[0].history.unwrap();
    assert_eq!((rates.runs, rates.passed, rates.flaky), (2, 1, 0));
}
