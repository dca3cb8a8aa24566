//! Thresholds: all of them can fire, and what is unknown is no pass.

use townlet_policy::{Code, Findings};
use townlet_readiness::report::{Status, ThresholdState};
use townlet_readiness::suite::Config;

use crate::support::{Project, estimates, exits, junit, refused};

fn suite(more: &str) -> String {
    format!("suites: [{{ name: a, kind: performance, command: [a]{more} }}]")
}

#[test]
fn a_duration_over_its_limit_fails_the_suite_and_one_at_the_limit_does_not() {
    for (seconds, state) in [(30, ThresholdState::Held), (31, ThresholdState::Violated)] {
        let mut project = Project::new();
        // Both attempts count.
        project.does("a", [exits(1).takes(10), exits(0).takes(seconds - 10)]);
        let yaml = suite(", retries: 1, timeout: 25, thresholds: { max_duration_seconds: 30 }");
        let result = project.run("r1", &yaml).scorecard.suites.remove(0);
        assert_eq!(result.thresholds[0].state, state, "{seconds}");
        assert_eq!(result.status == Status::Passed, state == ThresholdState::Held);
        #[expect(clippy::cast_precision_loss, reason = "31 fits")]
        let seconds = seconds as f64;
        assert_eq!(result.thresholds[0].values["duration_seconds"], seconds);
    }
}

#[test]
fn rates_over_the_history_fire_and_recover() {
    let yaml = suite(", thresholds: { min_success_rate: 0.9, max_error_budget_burn: 1 }");
    let yaml = format!("history: {{ runs: 10 }}\n{yaml}");
    let mut project = Project::new();
    let mut statuses = Vec::new();
    for run in 0..22 {
        project.does("a", [exits(i32::from(run == 2 || run == 3))]);
        project.revision.id = format!("commit-{run}");
        statuses.push(project.run(&format!("r{run}"), &yaml).scorecard.suites[0].status == Status::Passed);
    }
    // Two failures in ten runs are too many, one is not; so it is good again when the first has left the window.
    let wanted: Vec<bool> = (0..22).map(|run| !(2..12).contains(&run)).collect();
    assert_eq!(statuses, wanted);
}

#[test]
fn a_signed_limit_is_measured_from_the_baseline_of_criterion() {
    let results = ", results: { criterion: { folder: c, baseline: main, benches: { emit: { id: e } } } }";
    let yaml = suite(&format!("{results}, thresholds: {{ require: ['emit <= +10%', 'emit <= 1us'] }}"));
    let states = |new: f64, main: Option<f64>| {
        let mut project = Project::new();
        project.does("a", [exits(0).writes("c/e/new/estimates.json", estimates(new))]);
        if let Some(main) = main {
            std::fs::create_dir_all(project.folder.path().join("c/e/main")).unwrap();
            std::fs::write(project.folder.path().join("c/e/main/estimates.json"), estimates(main)).unwrap();
        }
        let result = project.run("r1", &yaml).scorecard.suites.remove(0);
        let states: Vec<ThresholdState> = result.thresholds.iter().map(|one| one.state).collect();
        (result.status, states, result.thresholds[0].reasons.clone())
    };
    use ThresholdState::{Held, Unknown, Violated};
    assert_eq!(states(109.0, Some(100.0)), (Status::Passed, vec![Held, Held], vec![]));
    assert_eq!(states(111.0, Some(100.0)), (Status::Failed, vec![Violated, Held], vec![]));
    assert_eq!(states(1001.0, Some(1000.0)), (Status::Failed, vec![Held, Violated], vec![]));
    let (status, found, reasons) = states(50.0, None);
    assert_eq!((status, found), (Status::Failed, vec![Unknown, Held]));
    assert_eq!(reasons, ["emit has no baseline"]);
}

#[test]
fn a_benchmark_that_was_not_run_is_unknown_and_fails_the_suite() {
    let mut project = Project::new();
    project.does("a", [exits(0).writes("c/e/new/estimates.json", estimates(5.0)), exits(0)]);
    let results = ", results: { criterion: { folder: c, benches: { emit: { id: e } } } }";
    let yaml = suite(&format!("{results}, thresholds: {{ require: ['emit <= 1us unless no-data'] }}"));
    assert_eq!(project.run("r1", &yaml).scorecard.suites[0].status, Status::Passed);
    let result = project.run("r2", &yaml).scorecard.suites.remove(0);
    assert_eq!(result.thresholds[0].state, ThresholdState::Excused);
    assert_eq!(result.status, Status::Failed);
    assert!(result.problems[0].message.contains("did not write it"), "{:?}", result.problems);
}

#[test]
fn rates_may_ask_for_so_many_runs() {
    let yaml = suite(", thresholds: { require: ['success_rate >= 0.5 min_samples 3 in 1d'] }");
    let mut project = Project::new();
    project.does("a", [exits(0), exits(0), exits(0)]);
    let mut states = Vec::new();
    for run in ["r1", "r2", "r3"] {
        states.push(project.run(run, &yaml).scorecard.suites[0].thresholds[0].clone());
    }
    assert_eq!(states[1].state, ThresholdState::Unknown);
    assert_eq!(states[1].reasons, ["success_rate stands on 2 of the 3 runs asked for"]);
    assert_eq!(states[2].state, ThresholdState::Held);
}

#[test]
fn counts_of_tests_are_metrics() {
    let mut project = Project::new();
    project.does("a", [exits(0).writes("t.xml", junit(7, 0, 2))]);
    let require = "'tests >= 9', 'tests_passed >= 9', 'tests_skipped == 0', 'tests_failed == 0', 'tests_flaky <= 1'";
    let yaml = suite(&format!(", results: {{ junit: t.xml }}, thresholds: {{ require: [{require}] }}"));
    let result = project.run("r1", &yaml).scorecard.suites.remove(0);
    let states: Vec<ThresholdState> = result.thresholds.iter().map(|one| one.state).collect();
    use ThresholdState::{Held, Violated};
    assert_eq!(states, [Held, Held, Held, Held, Violated]);
}

#[test]
fn a_threshold_that_can_never_fire_or_never_be_met_is_refused() {
    for (more, what) in [
        (", timeout: 900, thresholds: { max_duration_seconds: 1200 }", "can never fire"),
        (", timeout: 900, retries: 1, thresholds: { max_duration_seconds: 1800 }", "can never fire"),
        (", thresholds: { max_flake_rate: 1 }", "can never fire"),
        (", thresholds: { min_success_rate: 0 }", "can never fire"),
        (", thresholds: { min_success_rate: 1.1 }", "can never be met"),
        (", thresholds: { max_flake_rate: -0.1 }", "a number from 0 on"),
        (", thresholds: { max_error_budget_burn: 2 }", "add min_success_rate"),
        (", thresholds: { min_success_rate: 1, max_error_budget_burn: 2 }", "add min_success_rate"),
        (", thresholds: { require: ['attempts <= 1'] }", "can never fire"),
        (", thresholds: { require: ['duration_seconds < 5 for 10m'] }", "judged once"),
        (", thresholds: { require: ['flake_rate absent'] }", "judged once"),
        (", thresholds: { require: ['flake_rate <= 5ms'] }", "the limit is in ms"),
        (", thresholds: { require: [] }", "require is a list"),
    ] {
        let text = refused(&suite(more));
        assert!(text.contains(what), "{more}: {text}");
    }
}

#[test]
fn a_threshold_that_another_one_covers_is_a_warning_and_the_file_is_taken() {
    let yaml = suite(", thresholds: { max_duration_seconds: 60, require: ['duration_seconds <= 90'] }");
    let mut found = Findings::new("suites.yaml", &yaml);
    assert!(Config::read(&yaml, &mut found).is_some());
    let codes: Vec<Code> = found.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::ShadowedRule], "{found}");
}
