//! Suites files: what is read, and what is refused at its place.

use std::time::Duration;

use townlet_readiness::results::Statistic;
use townlet_readiness::suite::Kind;

use crate::support::{config, refused};

#[test]
fn a_file_with_every_key_is_read_as_its_documentation_says() {
    let config = config(
        r#"
pass_env: [PATH, CARGO_HOME]
require_kinds: [unit]
history: { runs: 7 }
log_bytes: 4096
tools:
  rustc: [rustc, --version]
suites:
  - name: unit-1
    kind: unit
    description: parts by themselves
    command: [cargo, nextest, run]
    directory: crates
    env: { RUST_BACKTRACE: "1", PATH: /only/this, EMPTY: "" }
    pass_env: [CI]
    blocking: false
    retries: 2
    timeout: 15m
    results:
      junit: target/junit.xml
      criterion:
        folder: target/criterion/
        baseline: main
        benches:
          emit: { id: emit/owned, statistic: median }
    artifacts: [target/coverage.json]
    thresholds:
      max_duration_seconds: 1200
      max_flake_rate: 0.1
      min_success_rate: 0.98
      max_error_budget_burn: 2
      require: ["tests >= 100", "emit <= +10%"]
  - { name: other, kind: unit, command: [x], timeout: 90 }
"#,
    );
    let suite = &config.suites[0];
    assert_eq!((suite.name.as_str(), suite.kind, suite.blocking, suite.retries), ("unit-1", Kind::Unit, false, 2));
    assert_eq!(suite.timeout, Some(Duration::from_secs(900)));
    // What the file sets, it does not take from the caller.
    assert_eq!(suite.pass_env, ["CARGO_HOME", "CI"]);
    assert_eq!(suite.env["PATH"], "/only/this");
    let bench = &suite.results.benches[0];
    assert_eq!(bench.path, "target/criterion/emit/owned/new/estimates.json");
    assert_eq!(bench.baseline.as_deref(), Some("target/criterion/emit/owned/main/estimates.json"));
    assert_eq!(bench.statistic, Statistic::Median);
    let texts: Vec<&str> = suite.thresholds.iter().map(|threshold| threshold.text.as_str()).collect();
    let wanted = [
        "duration_seconds <= 1200s",
        "flake_rate <= 0.1",
        "success_rate >= 0.98",
        "error_budget_burn <= 2",
        "tests >= 100",
        "emit <= +10%",
    ];
    assert_eq!(texts, wanted);
    assert_eq!((config.history_runs, config.log_bytes), (7, 4096));
    let other = &config.suites[1];
    assert_eq!((other.blocking, other.retries, other.timeout), (true, 0, Some(Duration::from_secs(90))));
    assert_eq!(other.pass_env, ["CARGO_HOME", "PATH"]);
}

#[test]
fn a_slip_of_the_pen_is_named_with_its_place_and_the_word_that_was_meant() {
    for (yaml, place, help) in [
        ("suites:\n- { name: a, kind: unit, comand: [x] }", ":2:26", "write command"),
        ("suites:\n- { name: a, kind: unti, command: [x] }", ":2:20", "write unit"),
        ("suites:\n- { name: a, kind: unit, command: cargo test }", ":2:35", "write command: [cargo, test]"),
        ("suites:\n- { name: a, kind: unit, command: [x], timeout: 5 parsecs }", ":2:49", "900 for seconds"),
        ("suites:\n- { name: a, kind: unit, command: [x], blocking: nope }", ":2:50", "true, false"),
        ("suites:\n- { name: a, kind: unit, command: [x], env: { A-B: c } }", ":2:47", "letters, digits and _"),
        (
            "suites:\n- { name: a, kind: unit, command: [x], thresholds: { require: ['durations < 5'] } }",
            ":2:65",
            "duration_seconds",
        ),
        ("suite:\n- { name: a, kind: unit, command: [x] }", ":1:1", "write suites"),
    ] {
        let text = refused(yaml);
        assert!(text.contains(&format!("suites.yaml{place}")), "{place} in {text}");
        assert!(text.contains(help), "{help} in {text}");
    }
}

#[test]
fn a_run_of_nothing_is_refused() {
    for yaml in ["", "suites: []", "suites:", "suites: {}", "suites: [{}]", "[]", "suites: [5]"] {
        assert!(refused(yaml).contains("error["), "{yaml}");
    }
}

#[test]
fn two_suites_of_one_name_are_refused_also_where_only_capitals_differ() {
    let text = refused("suites: [{ name: a, kind: unit, command: [x] }, { name: A, kind: unit, command: [x] }]");
    assert!(text.contains("a second suite is called 'A'"), "{text}");
}

#[test]
fn a_name_that_could_leave_its_folder_is_refused() {
    for name in ["..", ".", "a/b", "a b", "'a\\b'", ".hidden", "ends.", "é", "''", &"x".repeat(65)] {
        let text = refused(&format!("suites: [{{ name: {name}, kind: unit, command: [x] }}]"));
        assert!(text.contains("name"), "{name}: {text}");
    }
}

#[test]
fn a_required_kind_must_have_a_suite_that_blocks() {
    let yaml = |blocking| {
        format!(
            "require_kinds: [security]\nsuites: [{{ name: a, kind: security, command: [x], blocking: {blocking} }}]"
        )
    };
    config(&yaml(true));
    let text = refused(&yaml(false));
    assert!(text.contains("no blocking suite is of the kind security"), "{text}");
}

#[test]
fn benchmarks_are_measured_from_a_baseline_that_the_run_does_not_overwrite() {
    let yaml = |baseline: &str, id: &str, metric: &str| {
        format!(
            "suites: [{{ name: a, kind: performance, command: [x], results: {{ criterion: {{ folder: c{baseline}, benches: {{ \
             {metric}: {{ id: {id} }} }} }} }}, thresholds: {{ require: ['{metric} <= +10%'] }} }}]"
        )
    };
    config(&yaml(", baseline: main", "a/b", "emit"));
    assert!(refused(&yaml(", baseline: base", "a/b", "emit")).contains("--save-baseline"));
    assert!(refused(&yaml("", "a/b", "emit")).contains("name the baseline of criterion"));
    assert!(refused(&yaml(", baseline: main", "../b", "emit")).contains("no folder below"));
    assert!(refused(&yaml(", baseline: main", "a/b", "attempts")).contains("cannot name a metric"));
    assert!(refused(&yaml(", baseline: main", "a/b", "for")).contains("cannot name a metric"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z:\\[\\]{} \n0-9<>=%#'\"-]{0,200}") {
        let yaml = format!("suites: [{{ name: a, kind: unit, command: [x], thresholds: {text} }}]");
        let mut found = townlet_policy::Findings::new("suites.yaml", &yaml);
        let read = townlet_readiness::suite::Config::read(&yaml, &mut found);
        assert_eq!(read.is_none(), found.has_errors());
    }
}
