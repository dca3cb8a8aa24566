//! The program itself, from the first comparison to the JSON.

use std::process::Command;

use townlet_lab::budgets::all;

#[test]
fn the_smallest_run_measures_every_budget_and_exits_as_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("bench.json");
    let run = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--smallest", "--dir"])
        .arg(dir.path())
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "figures never fail a run unless told to\n{out}\n{err}");
    assert!(!out.contains("not run"), "every budget has its figure:\n{out}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let budgets = report["budgets"].as_array().unwrap();
    assert_eq!(budgets.len(), all().len());
    assert!(budgets.iter().all(|b| b["measured"].as_f64().is_some_and(f64::is_finite)), "{report:#}");
    // The account at the far end: a lossless contender has lost nothing.
    for comparison in report["comparisons"].as_array().unwrap() {
        for contender in comparison["contenders"].as_array().unwrap() {
            if let Some(lost) = contender["median"]["lost"].as_f64() {
                assert!(lost == 0.0 || contender["name"] == "opentelemetry_sdk", "{contender:#}");
            }
        }
    }
    // Figures of a debug build are far outside, so at least one budget is missed.
    let enforced = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--smallest", "--only", "snapshots,collector", "--enforce", "--dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&enforced.stdout);
    let expected = if text.contains("MISS") { 1 } else { 0 };
    assert_eq!(enforced.status.code(), Some(expected), "{text}");
}

#[test]
fn arguments_that_mean_nothing_are_refused_with_2() {
    let run = Command::new(env!("CARGO_BIN_EXE_bench")).arg("--fastest").output().unwrap();
    assert_eq!(run.status.code(), Some(2));
}
