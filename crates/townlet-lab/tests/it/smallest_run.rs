//! The program itself, from the first comparison to the JSON.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use townlet_lab::budgets::all;
use townlet_lab::rivals::rsyslog::listening;

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
    // Not every machine has rsyslogd; the program says so, and compares with the others.
    let absent = err.contains("rsyslogd is not installed");
    assert_eq!(out.matches("not run").count(), usize::from(absent), "every other budget has its figure:\n{out}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let budgets = report["budgets"].as_array().unwrap();
    assert_eq!(budgets.len(), all().len());
    let has_figure = |b: &serde_json::Value| b["measured"].as_f64().is_some_and(f64::is_finite);
    let excused = |b: &serde_json::Value| absent && b["figure"].as_str().is_some_and(|text| text.contains("rsyslogd"));
    assert!(budgets.iter().all(|b| has_figure(b) || excused(b)), "{report:#}");
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
fn a_machine_without_rsyslogd_gives_the_other_figures_of_the_collector() {
    let dir = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--smallest", "--only", "collector", "--dir"])
        .arg(dir.path())
        .env("PATH", dir.path())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}\n{err}");
    assert!(err.contains("rsyslogd is not installed"), "{err}");
    let of_the_collector = |line: &&str| line.contains("read and write") || line.contains("rsyslogd");
    let lines: Vec<&str> = out.lines().filter(of_the_collector).collect();
    assert!(lines.iter().any(|line| line.contains("rsyslogd") && line.contains("not run")), "{out}");
    assert!(lines.iter().any(|line| line.contains("read and write") && !line.contains("not run")), "{out}");
}

#[test]
fn a_port_that_was_named_and_takes_no_connection_yet_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("port");
    assert_eq!(listening(&file), None, "nothing named");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::fs::write(&file, format!("{port}\n")).unwrap();
    assert_eq!(listening(&file), Some(port));
    // A port that is taken and does not listen: that of a connection's other end.
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::fs::write(&file, format!("{}\n", client.local_addr().unwrap().port())).unwrap();
    assert_eq!(listening(&file), None, "named, and refused");
}

#[test]
fn arguments_that_mean_nothing_are_refused_with_2() {
    let run = Command::new(env!("CARGO_BIN_EXE_bench")).arg("--fastest").output().unwrap();
    assert_eq!(run.status.code(), Some(2));
}
