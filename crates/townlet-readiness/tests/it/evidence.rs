//! Reports: what they look like in each version, and what an edited one says.

use std::path::Path;

use townlet_readiness::Ended;
use townlet_readiness::report::{EvidenceError, open, render};

use crate::support::{Project, ends, estimates, exits, junit};

/// A run with one suite of every outcome.
fn everything() -> Project {
    let mut project = Project::new();
    project.does("rustc", [exits(0).prints("rustc 1.95.0\n")]);
    project
        .does("unit", [exits(101).takes(4).prints("no\n"), exits(0).writes("u.xml", junit(3, 0, 1)).prints("yes\n")]);
    project.does("bench", [exits(0).takes(33).writes("c/e/new/estimates.json", estimates(120.5))]);
    project.does("slow", [ends(Ended::Exited { code: 0 }).takes(700)]);
    let yaml = r#"
tools: { rustc: [rustc, --version], cargo: [cargo, --version] }
suites:
  - { name: unit, kind: unit, command: [unit, --all], retries: 1, results: { junit: u.xml }, env: { MODE: ci } }
  - name: bench
    kind: performance
    description: the hot path
    command: [bench]
    blocking: false
    results: { criterion: { folder: c, benches: { emit: { id: e } } } }
    thresholds: { require: ["emit <= 100ns", "success_rate >= 0.9 min_samples 5 in 1d unless no-data"] }
  - { name: slow, kind: end-to-end, command: [slow], timeout: 10m }
  - { name: audit, kind: security, command: [audit] }
"#;
    project.run("0198f2c1-7a5e-7c31-9b1f-2d3e4f5a6b7c", yaml);
    project
}

fn text(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.out().join(name)).unwrap()
}

const SCORECARD: &str = "readiness_scorecard_0198f2c1-7a5e-7c31-9b1f-2d3e4f5a6b7c.json";

#[test]
fn version_1_0_looks_as_it_always_did() {
    let project = everything();
    insta::with_settings!({
        snapshot_path => "../snapshots/v1.0",
        prepend_module_to_snapshot => false,
        // Of the machine that runs the test, and of the release that is tested.
        filters => [
            (r#""(os|arch)": "\w+""#, r#""$1": "…""#),
            (r#""version": "\d+\.\d+\.\d+""#, r#""version": "…""#),
        ],
    }, {
        insta::assert_snapshot!("readiness_report", text(&project, "readiness_report.json"));
        insta::assert_snapshot!("readiness_scorecard", text(&project, SCORECARD));
        insta::assert_snapshot!("readiness_history", text(&project, "readiness_history.jsonl"));
    });
}

#[test]
fn a_run_is_shown_with_everything_that_is_wrong() {
    let project = everything();
    insta::assert_snapshot!(render(&open(&project.out()).unwrap()));
}

#[test]
fn every_changed_byte_of_a_scorecard_or_log_is_found() {
    let project = everything();
    let logs = ["logs/0198f2c1-7a5e-7c31-9b1f-2d3e4f5a6b7c/unit/attempt_1.out"];
    for name in logs.iter().chain(&[SCORECARD]) {
        let path = project.out().join(name);
        let whole = std::fs::read(&path).unwrap();
        // Every byte of a log, every 97th of the scorecard.
        for at in (0..whole.len()).step_by(if whole.len() > 100 { 97 } else { 1 }) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let doubtful = open(&project.out()).map_or(true, |evidence| !evidence.findings.is_empty());
            assert!(doubtful, "{name}, byte {at}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert_eq!(open(&project.out()).unwrap().findings, Vec::<String>::new());
}

fn edited(project: &Project, from: &str, to: &str) -> Result<Vec<String>, EvidenceError> {
    let path = project.out().join("readiness_report.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    assert!(whole.contains(from), "{from} in {whole}");
    std::fs::write(&path, whole.replace(from, to)).unwrap();
    let read = open(&project.out()).map(|evidence| evidence.findings);
    std::fs::write(&path, whole).unwrap();
    read
}

#[test]
fn a_report_whose_verdict_was_edited_contradicts_its_scorecard() {
    let project = everything();
    let findings = edited(&project, "\"overall_passed\": false", "\"overall_passed\": true").unwrap();
    assert_eq!(findings, ["overall_passed differs between the report and its scorecard"]);
    assert_eq!(edited(&project, "\"bench\",", "").unwrap().len(), 1);
    assert_eq!(edited(&project, "c0ffee", "decaf").unwrap().len(), 1);
}

#[test]
fn a_scorecard_whose_verdict_was_edited_contradicts_itself_also_under_a_new_digest() {
    let project = everything();
    let mut scorecard = open(&project.out()).unwrap().scorecard;
    assert_eq!(scorecard.contradictions(), Vec::<String>::new());
    scorecard.overall_passed = true;
    assert!(scorecard.contradictions()[0].contains("overall_passed"));
    scorecard.suites.retain(|suite| suite.name == "unit");
    assert_eq!(scorecard.contradictions(), Vec::<String>::new());
    scorecard.suites[0].attempts.remove(1);
    assert!(scorecard.contradictions()[0].contains("status of unit"));
    scorecard.suites.clear();
    assert!(scorecard.contradictions()[0].contains("overall_passed is true"), "no suite is no pass");
}

#[test]
fn other_versions_and_unknown_keys_are_refused() {
    let project = everything();
    let version = edited(&project, "\"schema_version\": \"1.0\"", "\"schema_version\": \"1.1\", \"new\": 1");
    assert!(matches!(&version, Err(EvidenceError::Version { found, .. }) if found == "1.1"), "{version:?}");
    let key = edited(&project, "\"failures\"", "\"extra\": 1, \"failures\"");
    assert!(matches!(&key, Err(EvidenceError::Form { message, .. }) if message.contains("extra")), "{key:?}");
    let twice = edited(&project, "\"overall_passed\": false", "\"overall_passed\": false, \"overall_passed\": true");
    assert!(matches!(twice, Err(EvidenceError::Form { .. })), "{twice:?}");
    let absent = edited(&project, "\"c0ffee\",\n    \"modified\": false", "\"c0ffee\"");
    assert!(matches!(&absent, Err(EvidenceError::Form { message, .. }) if message.contains("missing")), "{absent:?}");
    let offset = edited(&project, "T12:00:00.000Z", "T13:00:00.000+01:00");
    assert!(matches!(&offset, Err(EvidenceError::Form { message, .. }) if message.contains("form")), "{offset:?}");
    let naive = edited(&project, "T12:00:00.000Z", "T12:00:00.000");
    assert!(matches!(naive, Err(EvidenceError::Form { .. })), "{naive:?}");
}

#[test]
fn a_report_leads_nowhere_but_to_its_own_folder() {
    let project = everything();
    let findings = edited(&project, SCORECARD, "../../etc/passwd").unwrap();
    assert!(findings.iter().any(|finding| finding.contains("cannot be called")), "{findings:?}");
    let id = "\"run_id\": \"0198f2c1-7a5e-7c31-9b1f-2d3e4f5a6b7c\"";
    assert!(matches!(edited(&project, id, "\"run_id\": \"../../x\""), Err(EvidenceError::Io { .. })));
}

#[test]
fn evidence_that_is_missing_says_what_is_missing() {
    let project = everything();
    std::fs::remove_file(project.out().join(SCORECARD)).unwrap();
    let error = open(&project.out()).unwrap_err().to_string();
    assert!(error.contains(SCORECARD), "{error}");
    assert!(matches!(open(Path::new("no-such-folder")), Err(EvidenceError::Io { .. })));
}
