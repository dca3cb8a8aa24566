//! `--follow`: files that are still being written.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::{command, lines_below, signal, text, townlet, townlet_in, write};

const CONFIG: &str = "
telemetry:
  transport:
    type: file
    file_path: 'logs/%F/town.jsonl'
    rotate_bytes: 60000
    compression: gzip
    buffer: {max_buffer_bytes: 4194304}
  worker: {backpressure: block, block_timeout_seconds: 5}
  diff_enabled: false
";

fn run(dir: &Path, config: &str, seed: &str) {
    townlet_in(dir, &["simulate", "--config", config, "--ticks", "60", "--agents", "3", "--seed", seed]).expect(0);
}

/// Follows the stream from its oldest line to the first pause, and writes down how far it came.
fn replaying<'a>(stream: &'a str, config: &'a str, position: &'a str) -> Vec<&'a str> {
    let from = ["replay", stream, "--config", config, "--json", "--follow"];
    let to = ["--from-oldest", "--idle", "300ms", "--position", position];
    [from.as_slice(), &to].concat()
}

#[test]
fn what_a_town_wrote_is_reported_once_across_rotation_compression_and_restarts() {
    let dir = TempDir::new().unwrap();
    let config = write(dir.path(), "town.yaml", CONFIG);
    let (stream, position) = (dir.path().join("logs/%F/town.jsonl"), dir.path().join("position"));
    let words = [
        "inspect",
        text(&stream),
        "--json",
        "--follow",
        "--from-oldest",
        "--idle",
        "300ms",
        "--position",
        text(&position),
    ];
    let mut records = 0;
    for seed in ["1", "2", "3"] {
        run(dir.path(), &config, seed);
        let report = townlet(&words).expect(0).json();
        assert_eq!((&report["duplicates"], &report["tick_gaps"], &report["runs"]), (&0.into(), &0.into(), &1.into()));
        records += report["records"].as_u64().unwrap();
    }
    assert!(records > 300, "{records}");
    let nothing_new = townlet(&words).expect(0).json();
    assert_eq!(nothing_new["records"], 0);
    let files = std::fs::read_dir(dir.path().join("logs")).unwrap().count();
    assert!(files >= 1, "at least the folder of today");
    std::fs::write(&position, "nonsense").unwrap();
    let refused = townlet(&words).expect(2);
    assert!(refused.stderr.contains("remove it to begin anew"), "{}", refused.stderr);
}

#[test]
fn each_rotated_file_opens_with_a_keyframe_and_can_be_read_alone() {
    let dir = TempDir::new().unwrap();
    let yaml = CONFIG.replace("    compression: gzip\n", "").replace("diff_enabled: false", "diff_enabled: true");
    let config = write(dir.path(), "town.yaml", &yaml);
    run(dir.path(), &config, "1");
    let folder = std::fs::read_dir(dir.path().join("logs")).unwrap().next().unwrap().unwrap().path();
    let (mut files, mut diffs) = (0, 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["payload_type"], "run", "the run marker");
        let states: Vec<_> = lines.iter().filter(|line| line["stream"] == "town").collect();
        assert!(states.first().is_none_or(|first| first["payload_type"] == "snapshot"), "{}", states[0]);
        diffs += states.iter().filter(|state| state["payload_type"] == "diff").count();
        files += 1;
    }
    assert!(files >= 3 && diffs > 30, "{files} files, {diffs} diffs");
}

#[test]
fn it_goes_on_until_it_is_told_to_stop_and_reports_then() {
    let dir = TempDir::new().unwrap();
    let stream = dir.path().join("town.jsonl");
    let mut child = command(&["inspect", text(&stream), "--json", "--follow", "-vv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let line = |tick: u64| format!("{{\"schema_version\":\"0.9.0\",\"tick\":{tick},\"queue_metrics\":{{}}}}\n");
    for tick in 1..=3 {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&stream).unwrap();
        file.write_all(line(tick).as_bytes()).unwrap();
    }
    // It has caught up once the file is open in that process.
    let open = format!("/proc/{}/fd", child.id());
    let begun = std::time::Instant::now();
    let holds = || {
        let links = std::fs::read_dir(&open).into_iter().flatten().flatten();
        links.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|file| file == stream)
    };
    while !holds() {
        assert!(begun.elapsed().as_secs() < 30, "the file is not opened");
        std::thread::yield_now();
    }
    signal(&child, "TERM");
    let mut report = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut report).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(report["records"].as_u64() <= Some(3) && report["invalid"] == 0, "{report}");
}

#[test]
fn a_captured_stream_is_replayed_as_it_grows_and_only_once() {
    let dir = TempDir::new().unwrap();
    let config = write(dir.path(), "town.yaml", CONFIG);
    let out = write(
        dir.path(),
        "out.yaml",
        "telemetry:\n  transport: {type: file, file_path: out/copy.jsonl}\n  worker: {backpressure: block, block_timeout_seconds: 5}\n",
    );
    let (stream, position) = (dir.path().join("logs/%F/town.jsonl"), dir.path().join("position"));
    let words = replaying(text(&stream), &out, text(&position));
    let mut delivered = 0;
    for seed in ["1", "2"] {
        run(dir.path(), &config, seed);
        delivered += townlet(&words).expect(0).json()["statement"]["delivered"].as_u64().unwrap();
    }
    let copied = lines_below(&dir.path().join("out"));
    let mut seen: Vec<_> = copied
        .iter()
        .filter(|line| line["payload_type"] != "run" && !line["seq"].is_null())
        .map(|line| format!("{} {} {} {}", line["run_id"], line["stream"], line["seq"], line["rendering"]))
        .collect();
    assert!(delivered > 100 && !seen.is_empty());
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "nothing came twice");
    townlet(&["inspect", "-", "--follow"]).expect(2);
}

/// What no configuration could send, such as the rest of a line whose writer was killed, is
/// a finding once: it must not make every later run send everything again.
#[test]
fn a_line_that_is_no_record_is_passed_once_and_nothing_comes_twice_for_it() {
    let dir = TempDir::new().unwrap();
    let out = write(dir.path(), "out.yaml", "telemetry:\n  transport: {type: file, file_path: out/copy.jsonl}\n");
    let position = dir.path().join("position");
    let stream = write(dir.path(), "town.jsonl", "{\"schema_vers\n{\"schema_version\":\"0.9.0\",\"tick\":1}\n");
    let words = replaying(&stream, &out, text(&position));
    let first = townlet(&words).expect(1).json();
    assert_eq!(first["statement"]["dropped"]["invalid_payload"], 1, "{first}");
    let mut grows = std::fs::OpenOptions::new().append(true).open(&stream).unwrap();
    grows.write_all(b"{\"schema_version\":\"0.9.0\",\"tick\":2}\n").unwrap();
    let second = townlet(&words).expect(0).json();
    assert_eq!((&second["statement"]["accepted"], &second["statement"]["delivered"]), (&1.into(), &1.into()));
}
