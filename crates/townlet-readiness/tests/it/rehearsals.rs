//! Rehearsals under simulated time, and how old they may be.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use townlet_policy::Findings;
use townlet_readiness::rehearsal::{
    Config, Freshness, Outcome, Record, Rehearsal, RehearsalError, StepStatus, latest, open, render,
};
use townlet_readiness::report::{EvidenceError, Revision};
use townlet_readiness::{Digest, Ended, FileDigest, Moment};

use crate::support::{Project, ends, exits};

const ROLLBACK: &str = "
name: rollback
environment: staging
deadline: 5m
steps:
  - { name: flag-off, command: [flag, 'off'], deadline: 30s, env: { MODE: drill } }
  - { name: restart, command: [restart], deadline: 2m }
checks:
  - { name: no-new-samples, command: [absent], deadline: 3m }
";

fn config(yaml: &str) -> Config {
    let mut found = Findings::new("rehearsal.yaml", yaml);
    Config::read(yaml, &mut found).unwrap_or_else(|| panic!("{found}"))
}

fn try_rehearse(project: &mut Project, run_id: &str, yaml: &str) -> Result<Record, RehearsalError> {
    let config = config(yaml);
    std::fs::create_dir_all(project.out()).unwrap();
    let (sha256, bytes) = (Digest::of(yaml.as_bytes()), yaml.len() as u64);
    let rehearsal = Rehearsal {
        config: &config,
        config_file: FileDigest { path: "rehearsal.yaml".into(), sha256, bytes },
        root: project.folder.path(),
        out: &project.out(),
        run_id,
        revision: Some(Revision { id: "c0ffee".into(), modified: None }),
        participants: vec!["on-call".into()],
        notes: Vec::new(),
        env: &project.env,
        clock: &project.clock,
        processes: &project.table,
    };
    rehearsal.go(&mut project.notes)
}

/// Rehearses, and checks that what was written reads back equal and without a finding.
fn rehearse(project: &mut Project, run_id: &str) -> Record {
    let record = try_rehearse(project, run_id, ROLLBACK).unwrap();
    let (read, findings) = open(&project.out(), run_id).unwrap();
    assert_eq!((&read, findings), (&record, vec![]));
    record
}

fn statuses(record: &Record) -> Vec<StepStatus> {
    record.steps.iter().map(|step| step.status).collect()
}

#[test]
fn steps_and_checks_run_in_their_order_and_are_measured() {
    let mut project = Project::new();
    project
        .does("flag", [exits(0).takes(10)])
        .does("restart", [exits(0).takes(95)])
        .does("absent", [exits(0).takes(60)]);
    let record = rehearse(&mut project, "d1");
    assert_eq!(record.outcome, Outcome::Passed);
    assert_eq!((record.duration_seconds, record.deadline_seconds), (165.0, 300.0));
    let took: Vec<f64> = record.steps.iter().map(|step| step.duration_seconds).collect();
    assert_eq!(took, [10.0, 95.0, 60.0]);
    let calls = project.table.calls.borrow();
    assert_eq!(calls[0].env.keys().collect::<Vec<_>>(), ["HOME", "MODE", "PATH"]);
    assert_eq!(project.notes.measures[0].name, "deployment.rollback_rehearsal_duration");
    assert_eq!((project.notes.measures[0].value, project.notes.measures[0].unit), (165.0, "s"));
    assert_eq!(project.notes.spans[0].name, "governance.rollback_rehearsal");
}

#[test]
fn version_1_0_looks_as_it_always_did() {
    let mut project = Project::new();
    project.does("flag", [exits(0).takes(3).prints("off\n")]).does("restart", [exits(7).takes(20)]);
    rehearse(&mut project, "d1");
    insta::with_settings!({
        snapshot_path => "../snapshots/v1.0",
        prepend_module_to_snapshot => false,
        filters => [(r#""version": "\d+\.\d+\.\d+""#, r#""version": "…""#)],
    }, {
        insta::assert_snapshot!("rehearsal", std::fs::read_to_string(project.out().join("rehearsal_d1.json")).unwrap());
    });
    insta::assert_snapshot!(render(&open(&project.out(), "d1").unwrap().0));
}

#[test]
fn the_first_step_that_fails_ends_the_rehearsal() {
    use StepStatus::{Failed, NotRun, Passed};
    let mut project = Project::new();
    project.does("flag", [exits(1)]);
    let record = rehearse(&mut project, "d1");
    assert_eq!((record.outcome, statuses(&record)), (Outcome::StepFailed, vec![Failed, NotRun, NotRun]));
    project.does("flag", [exits(0)]).does("restart", [exits(0)]).does("absent", [exits(1)]);
    let record = rehearse(&mut project, "d2");
    assert_eq!((record.outcome, statuses(&record)), (Outcome::CheckFailed, vec![Passed, Passed, Failed]));
    // Nothing of the table is left, so the program is missing.
    let record = rehearse(&mut project, "d3");
    assert!(matches!(record.steps[0].ended, Some(Ended::NotStarted { .. })), "{record:?}");
    project.does("flag", [ends(Ended::Cancelled)]);
    assert_eq!(rehearse(&mut project, "d4").outcome, Outcome::Cancelled);
}

#[test]
fn a_step_is_killed_at_its_deadline_and_at_that_of_the_whole() {
    let mut project = Project::new();
    project.does("flag", [exits(0).takes(31)]);
    let record = rehearse(&mut project, "d1");
    assert_eq!((record.outcome, record.duration_seconds), (Outcome::StepFailed, 30.0));
    // 30 s and 2 min leave 150 s of the 180 s that the check could have had.
    project
        .does("flag", [exits(0).takes(30)])
        .does("restart", [exits(0).takes(120)])
        .does("absent", [exits(0).takes(151)]);
    let record = rehearse(&mut project, "d2");
    assert_eq!(project.table.calls.borrow().last().unwrap().timeout, Some(Duration::from_secs(150)));
    assert_eq!((record.outcome, record.steps[2].status), (Outcome::TooLate, StepStatus::Failed));
    project
        .does("flag", [exits(0).takes(30)])
        .does("restart", [exits(0).takes(120)])
        .does("absent", [exits(0).takes(150)]);
    let record = rehearse(&mut project, "d3");
    assert_eq!((record.outcome, record.duration_seconds), (Outcome::Passed, 300.0));
}

#[test]
fn what_is_left_when_the_time_is_over_is_not_run_and_that_is_no_pass() {
    let yaml = ROLLBACK.replace("deadline: 5m", "deadline: 3m");
    let mut project = Project::new();
    project
        .does("flag", [exits(0).takes(30)])
        .does("restart", [exits(0).takes(120)])
        .does("absent", [exits(0).takes(30)]);
    assert_eq!(try_rehearse(&mut project, "d1", &yaml).unwrap().outcome, Outcome::Passed);
    let three = yaml.replace("checks:", "  - { name: more, command: [more], deadline: 30s }\nchecks:");
    project
        .does("flag", [exits(0).takes(30)])
        .does("restart", [exits(0).takes(120)])
        .does("more", [exits(0).takes(30)]);
    let record = try_rehearse(&mut project, "d2", &three).unwrap();
    assert_eq!((record.outcome, record.steps[3].status), (Outcome::TooLate, StepStatus::NotRun));
}

#[test]
fn a_rehearsal_without_steps_or_without_checks_is_refused() {
    for (from, to, what) in [
        ("checks:\n  - { name: no-new-samples, command: [absent], deadline: 3m }", "", "needs checks"),
        ("checks:\n  - { name: no-new-samples, command: [absent], deadline: 3m }", "checks: []", "nobody checks"),
        ("deadline: 5m", "deadline: 1m", "may take 2m"),
        ("deadline: 5m", "", "needs deadline"),
        ("name: restart", "name: flag-off", "a second step"),
        ("environment: staging", "enviroment: staging", "write environment"),
        ("deadline: 30s, ", "", "needs deadline"),
        ("command: [restart]", "command: restart now", "write command: [restart, now]"),
    ] {
        let yaml = ROLLBACK.replace(from, to);
        let mut found = Findings::new("rehearsal.yaml", &yaml);
        assert_eq!(Config::read(&yaml, &mut found), None, "{yaml}");
        assert!(found.to_string().contains(what), "{what} in {found}");
    }
}

fn done_at(ended_at: Moment, outcome: Outcome) -> Record {
    let mut project = Project::new();
    project.does("flag", [exits(0)]).does("restart", [exits(0)]).does("absent", [exits(0)]);
    Record { ended_at, outcome, ..try_rehearse(&mut project, "d1", ROLLBACK).unwrap() }
}

const DAY_MS: i64 = 86_400_000;

/// The predecessor counted whole days: 30 days and 23 hours passed for 30.
#[test]
fn thirty_days_are_thirty_days_to_the_millisecond() {
    let record = done_at(Moment::from_ms(0), Outcome::Passed);
    let month = Duration::from_secs(30 * 86_400);
    assert_eq!(record.freshness(Moment::from_ms(30 * DAY_MS), month), Freshness::Fresh { age: month });
    let age = month + Duration::from_millis(1);
    assert_eq!(record.freshness(Moment::from_ms(30 * DAY_MS + 1), month), Freshness::Overdue { age });
    assert!(!record.freshness(Moment::from_ms(30 * DAY_MS + DAY_MS - 1), month).is_fresh());
}

/// The predecessor let a date in the future pass.
#[test]
fn a_rehearsal_in_the_future_is_refused_by_a_millisecond() {
    let record = done_at(Moment::from_ms(1), Outcome::Passed);
    let by = Duration::from_millis(1);
    assert_eq!(record.freshness(Moment::from_ms(0), Duration::MAX), Freshness::Future { by });
    assert!(record.freshness(Moment::from_ms(1), Duration::ZERO).is_fresh());
}

#[test]
fn a_rehearsal_that_failed_is_never_fresh() {
    for outcome in [Outcome::StepFailed, Outcome::CheckFailed, Outcome::TooLate, Outcome::Cancelled] {
        let record = done_at(Moment::from_ms(0), outcome);
        assert_eq!(record.freshness(Moment::from_ms(0), Duration::MAX), Freshness::NotPassed);
    }
}

proptest! {
    /// Against whole-number arithmetic.
    #[test]
    fn freshness_is_a_comparison_of_durations(ended in -1_000_i64..1_000, as_of in -1_000_i64..1_000, max in 0_i64..1_000) {
        let mut record = RECORD.with(Clone::clone);
        record.ended_at = Moment::from_ms(ended);
        let max_age = Duration::from_millis(max.unsigned_abs());
        let fresh = record.freshness(Moment::from_ms(as_of), max_age).is_fresh();
        prop_assert_eq!(fresh, ended <= as_of && as_of - ended <= max);
    }
}

thread_local! {
    static RECORD: Record = done_at(Moment::from_ms(0), Outcome::Passed);
}

/// By time, not by name: `d10` came before `d2`.
#[test]
fn the_latest_record_is_the_one_that_ended_last_also_if_it_failed() {
    let mut project = Project::new();
    project.does("flag", [exits(0)]).does("restart", [exits(0)]).does("absent", [exits(0)]);
    rehearse(&mut project, "d10");
    let same_time = rehearse(&mut project, "d1");
    assert_eq!(same_time.outcome, Outcome::StepFailed);
    let newest = latest(&project.out(), "rollback", "staging").unwrap().unwrap();
    assert_eq!(newest.run_id, "d1");
    project.clock.pass(Duration::from_millis(1));
    rehearse(&mut project, "d2");
    let newest = latest(&project.out(), "rollback", "staging").unwrap().unwrap();
    assert_eq!((newest.run_id.as_str(), newest.outcome), ("d2", Outcome::StepFailed));
    assert_eq!(latest(&project.out(), "rollback", "production").unwrap(), None);
    std::fs::write(project.out().join("rehearsal_d3.json"), "{}").unwrap();
    assert!(matches!(latest(&project.out(), "rollback", "staging"), Err(EvidenceError::Form { .. })));
    assert!(latest(Path::new("no-such-folder"), "rollback", "staging").is_err());
}

#[test]
fn an_edited_record_contradicts_itself_or_its_logs() {
    let mut project = Project::new();
    project.does("flag", [exits(0).takes(10).prints("off\n")]).does("restart", [exits(1).takes(95)]);
    rehearse(&mut project, "d1");
    let path = project.out().join("rehearsal_d1.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("\"outcome\": \"step_failed\"", "\"outcome\": \"passed\""),
        ("\"status\": \"failed\"", "\"status\": \"passed\""),
        ("\"code\": 1", "\"code\": 0"),
        ("\"duration_seconds\": 105.0", "\"duration_seconds\": 12.0"),
        ("\"duration_seconds\": 10.0", "\"duration_seconds\": 31.0"),
        ("\"status\": \"not_run\"", "\"status\": \"passed\""),
        ("\"run_id\": \"d1\"", "\"run_id\": \"d2\""),
        (&Digest::of(b"off\n").to_string(), &Digest::of(b"on\n").to_string()),
    ] {
        assert!(whole.contains(from), "{from} in {whole}");
        std::fs::write(&path, whole.replacen(from, to, 1)).unwrap();
        assert_ne!(open(&project.out(), "d1").unwrap().1, Vec::<String>::new(), "{from}");
    }
    std::fs::write(&path, whole).unwrap();
    let error = try_rehearse(&mut project, "d1", ROLLBACK).unwrap_err();
    assert!(matches!(error, RehearsalError::RunId(_)), "{error}");
}
