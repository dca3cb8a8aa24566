//! What commands leave for those who watch how long they take.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::prometheus::promtool_but;
use crate::support::{command, samples, text, write};

#[test]
fn commands_leave_their_latency_for_prometheus_and_promtool_reads_it() {
    let dir = TempDir::new().unwrap();
    let metrics = dir.path().join("textfile");
    let stream = samples().join("predecessor/telemetry_stream_0.9.0.jsonl");
    let plan = samples().join("rollouts/telemetry-step2.yaml");
    for (words, code) in [
        (&["inspect", text(&stream)][..], 0),
        (&["lint", text(&plan)], 0),
        (&["inspect", "no/such/file"], 3),
        (&["simulate", "--ticks", "1", "--telemetry-path", text(&dir.path().join("x"))], 0),
    ] {
        let output = command(words).env("TOWNLET_METRICS_DIR", &metrics).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
    }
    let file = metrics.join("townlet_cli.prom");
    let figures = std::fs::read_to_string(&file).unwrap();
    let p95 = figures.lines().find_map(|line| line.strip_prefix("cli_latency_p95_ms ")).expect("the rollout's metric");
    assert!(p95.parse::<f64>().unwrap() > 0.0);
    assert!(figures.contains("cli_command_runs{command=\"inspect\"} 2\n"), "{figures}");
    assert!(figures.contains("cli_command_latency_p95_seconds{command=\"lint\"} "), "{figures}");
    assert!(!figures.contains("simulate"), "what runs for as long as it is told has no latency: {figures}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    // The rollout asks for milliseconds under this name.
    promtool_but(&figures, "cli_latency_p95_ms ");
    let left: Vec<_> = std::fs::read_dir(&metrics).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[test]
fn a_folder_that_cannot_be_written_changes_nothing_about_a_command() {
    let dir = TempDir::new().unwrap();
    let taken = write(dir.path(), "file", "not a folder");
    let stream = samples().join("predecessor/telemetry_stream_0.9.0.jsonl");
    for folder in [&*taken, "/proc/nowhere", ""] {
        let output =
            command(&["inspect", "--json", text(&stream)]).env("TOWNLET_METRICS_DIR", folder).output().unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{folder}");
    }
}
