//! What was measured to be wrong in the readiness runner that this one follows, each as a test.

use townlet_readiness::report::{ProblemCode, Status, ThresholdState};

use crate::support::{Project, exits, refused};

/// "fails once then passes, with `max_flake_rate: 0.0`, reports passed, no violation".
#[test]
fn a_retry_does_not_hide_a_flake_from_its_threshold() {
    let mut project = Project::new();
    project.does("a", [exits(1), exits(0)]);
    let yaml = "suites: [{ name: a, kind: unit, command: [a], retries: 1, thresholds: { max_flake_rate: 0.0 } }]";
    let finished = project.run("r1", yaml);
    let suite = &finished.scorecard.suites[0];
    assert_eq!((suite.flaky, suite.thresholds[0].state), (true, ThresholdState::Violated));
    assert!(!finished.report.overall_passed);
}

/// "a failing blocking second `unit` suite behind a non-blocking first one gives overall_passed=true".
#[test]
fn two_suites_of_one_kind_are_judged_each_by_itself() {
    let mut project = Project::new();
    project.does("a", [exits(0)]).does("b", [exits(1)]);
    let yaml = "suites:\n- { name: a, kind: unit, command: [a], blocking: false }\n- { name: b, kind: unit, command: \
                [b], blocking: true }";
    let finished = project.run("r1", yaml);
    assert!(!finished.report.overall_passed);
    assert_eq!(finished.report.failures, ["b"]);
}

#[test]
fn the_old_key_that_was_name_and_kind_at_once_is_refused_with_what_to_write() {
    let text = refused("suites: [{ suite: integration, command: [x] }]");
    assert!(text.contains("help: write name: and kind: integration"), "{text}");
}

/// "missing binary raises out of the run: no report, no scorecard".
#[test]
fn a_program_that_is_missing_leaves_a_report_and_a_scorecard() {
    let mut project = Project::new();
    let finished = project.run("r1", "suites: [{ name: a, kind: unit, command: [a] }]");
    let attempt = &finished.scorecard.suites[0].attempts[0];
    assert_eq!(attempt.problems[0].code, ProblemCode::NotStarted);
    assert!(project.out().join("readiness_scorecard_r1.json").exists());
}

/// "later suites do not appear in any output".
#[test]
fn suites_that_were_not_run_are_in_the_evidence_and_are_no_pass() {
    let mut project = Project::new();
    project.does("a", [exits(1)]);
    let yaml =
        "suites:\n- { name: a, kind: unit, command: [a] }\n- { name: b, kind: unit, command: [b], blocking: false }";
    let finished = project.run("r1", yaml);
    assert_eq!(finished.scorecard.suites[1].status, Status::NotRun);
    assert_eq!(finished.report.not_run, ["b"]);
}

/// "Absent from every output: timestamps, git revision, environment, config hash, log hashes, exit codes, per-attempt
/// durations, blocking flag, schema version, trace id".
#[test]
fn the_records_hold_what_it_takes_to_ask_questions_later() {
    let mut project = Project::new();
    project.does("a", [exits(9)]);
    let finished = project.run("r1", "suites: [{ name: a, kind: unit, command: [a] }]");
    let report = serde_json::to_value(&finished.report).unwrap();
    let wanted = ["/started_at", "/ended_at", "/revision/id", "/environment/os", "/config/sha256", "/scorecard/sha256"];
    for pointer in wanted.iter().chain(&["/schema_version", "/trace_id", "/producer/version"]) {
        assert!(
            report.pointer(pointer).is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty())),
            "{pointer}"
        );
    }
    let scorecard = serde_json::to_value(&finished.scorecard).unwrap();
    assert_eq!(scorecard.pointer("/suites/0/attempts/0/ended/code"), Some(&9.into()));
    assert_eq!(scorecard.pointer("/suites/0/attempts/0/duration_seconds"), Some(&10.0.into()));
    assert_eq!(scorecard.pointer("/suites/0/blocking"), Some(&true.into()));
    assert!(scorecard.pointer("/suites/0/attempts/0/stderr/sha256").is_some());
}

/// "Shipped suites cover 3 of 5 kinds".
#[test]
fn kinds_that_no_suite_covers_are_named() {
    let mut project = Project::new();
    project.does("a", [exits(0)]);
    let finished = project.run("r1", "suites: [{ name: a, kind: security, command: [a] }]");
    let kinds: Vec<&str> = finished.scorecard.kinds_not_covered.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(kinds, ["unit", "integration", "end-to-end", "performance"]);
}

/// "Every max_duration exceeds its timeout, so the duration threshold is unreachable".
#[test]
fn a_duration_limit_behind_the_timeout_is_refused() {
    let text = refused(
        "suites: [{ name: a, kind: unit, command: [a], timeout: 900, thresholds: { max_duration_seconds: 1200 } }]",
    );
    assert!(text.contains("duration_seconds lies between 0 and 900"), "{text}");
}

/// "all of the parent environment is inherited".
#[test]
fn a_secret_of_the_caller_is_not_passed_on() {
    let mut project = Project::new();
    project.does("a", [exits(0)]);
    project.run("r1", "suites: [{ name: a, kind: unit, command: [a] }]");
    assert!(project.env.contains_key("SECRET"));
    assert!(!project.table.calls.borrow()[0].env.contains_key("SECRET"));
}
