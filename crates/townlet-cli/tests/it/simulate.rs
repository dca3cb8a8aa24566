//! `townlet simulate`.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{collector_with_config, command, lines_below, ran, samples, text, townlet, write};

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let dir = TempDir::new().unwrap();
    let run = |seed: &str, name: &str| {
        let path = dir.path().join(name);
        townlet(&[
            "simulate",
            "--deterministic",
            "--ticks",
            "60",
            "--agents",
            "4",
            "--seed",
            seed,
            "--telemetry-path",
            text(&path),
        ])
        .expect(0);
        fs::read(path).unwrap()
    };
    let first = run("11", "a.jsonl");
    assert!(first == run("11", "b.jsonl"), "same seed, same bytes");
    assert!(first != run("12", "c.jsonl"), "another town");
}

#[test]
fn a_collector_that_is_down_never_stops_the_town_and_every_event_is_accounted_for() {
    let dir = TempDir::new().unwrap();
    townlet(&["certs", "--out", text(dir.path())]).expect(0);
    // A port that nobody listens on: bound once, then given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = write(
        dir.path(),
        "dead.yaml",
        &format!(
            "telemetry:\n  transport:\n    type: tcp\n    endpoint: localhost:{port}\n    ca_file: ca.pem\n    \
             buffer: {{max_buffer_bytes: 100000}}\n    retry: {{backoff_seconds: 0.01, max_backoff_seconds: 0.05}}\n  \
             worker: {{shutdown_timeout_seconds: 0.3}}\n"
        ),
    );
    let status = dir.path().join("status.json");
    townlet(&["simulate", "--config", &config, "--ticks", "50", "--agents", "3", "--status-path", text(&status)])
        .expect(0);
    let status: Value = serde_json::from_slice(&fs::read(status).unwrap()).unwrap();
    let statement = &status["statement"];
    assert_eq!(statement["residual"], 0);
    assert_eq!(statement["delivered"], 0);
    assert!(statement["dropped"]["backpressure"].as_u64() > Some(0), "{statement}");
    assert!(statement["dropped"]["undelivered_at_shutdown"].as_u64() > Some(0), "{statement}");
    assert!(status["transport"]["last_error"].as_str().is_some_and(|e| e.contains("unavailable")), "{status}");
}

#[test]
fn over_tls_what_is_called_delivered_is_what_the_collector_stored() {
    let dir = TempDir::new().unwrap();
    let (collector, config) = collector_with_config(dir.path());
    let out = dir.path().join("collected");
    let status = dir.path().join("status.json");
    townlet(&["simulate", "--config", &config, "--ticks", "80", "--agents", "4", "--status-path", text(&status)])
        .expect(0);
    let report = collector.stop();
    let status: Value = serde_json::from_slice(&fs::read(status).unwrap()).unwrap();
    assert_eq!(status["statement"]["accepted"], status["statement"]["delivered"]);
    assert_eq!(report["totals"]["stored"], status["statement"]["delivered"]);
    assert_eq!(lines_below(&out).len() as u64, report["totals"]["stored"].as_u64().unwrap());
    assert_eq!(status["transport"]["tls_enabled"], true);
    assert_eq!(status["transport"]["last_error"], Value::Null);
}

#[test]
fn tick_health_lines_carry_the_counters_and_the_runtime_variant() {
    let config = samples().join("configs/stdout.yaml");
    let mut command = command(&["simulate", "--ticks", "3", "--agents", "2", "-v", "--config"]);
    let output = command.arg(config).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let line = log.lines().find(|l| l.contains("tick_health tick=3 ")).expect("a line a tick");
    for key in ["duration_ms=", "queue=", "dropped=", "payloads_total=", "worker_alive=true", "runtime_variant=facade"]
    {
        assert!(line.contains(key), "{key} in {line}");
    }
    // Standard output carries the stream alone (W15).
    let stream = String::from_utf8(output.stdout).unwrap();
    assert!(!stream.is_empty());
    for line in stream.lines() {
        serde_json::from_str::<Value>(line).expect("one JSON object a line");
    }
}

#[test]
fn a_stub_says_that_nothing_is_streamed() {
    let dir = TempDir::new().unwrap();
    let config =
        write(dir.path(), "stub.yaml", "runtime:\n  telemetry: stub\ntelemetry:\n  transport: {type: stdout}\n");
    let ran = townlet(&["simulate", "--config", &config, "--ticks", "5", "--agents", "2"]).expect(0);
    assert!(ran.stderr.contains("Warning: stub telemetry sink active (provider=stub)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Telemetry running in stub mode; real-time streaming disabled."), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_capture_that_has_not_got_everything_is_a_no() {
    let ran = townlet(&["simulate", "--ticks", "2", "--agents", "2", "--telemetry-path", "/dev/full"]).expect(1);
    assert!(ran.stderr.contains("lines are not in /dev/full"), "{}", ran.stderr);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
}

#[test]
fn the_account_is_printed_although_its_file_cannot_be_written() {
    let dir = TempDir::new().unwrap();
    let (capture, status) = (dir.path().join("t.jsonl"), dir.path().join("no-folder/status.json"));
    let words = ["simulate", "--ticks", "2", "--agents", "2", "--telemetry-path", text(&capture)];
    let ran = townlet(&[&words[..], &["--status-path", text(&status)]].concat()).expect(3);
    assert!(ran.stderr.contains("residual 0"), "{}", ran.stderr);
    assert!(ran.stderr.contains("no-folder/status.json"), "{}", ran.stderr);
}

#[test]
fn what_a_town_had_said_before_a_validator_raised_is_delivered_and_accounted_for() {
    let dir = TempDir::new().unwrap();
    let schema = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","properties":{"tick":{"maximum":5}}}"#;
    write(dir.path(), "schema.json", schema);
    let config = write(
        dir.path(),
        "raise.yaml",
        "telemetry:\n  transport: {type: file, file_path: out.jsonl, buffer: {max_buffer_bytes: 4194304}}\n  transforms:\n    \
         pipeline:\n      - schema_validator: {mode: raise, schemas: {snapshot: schema.json}}\n",
    );
    let ran = townlet(&["simulate", "--config", &config, "--ticks", "20", "--agents", "2"]).expect(1);
    assert!(ran.stderr.contains("tick 6 was refused"), "{}", ran.stderr);
    assert!(ran.stderr.contains("residual 0"), "{}", ran.stderr);
    let states = lines_below(dir.path()).iter().filter(|line| line["stream"] == "town").count();
    assert_eq!(states, 5);
}

#[test]
fn the_end_takes_the_time_of_one_shutdown() {
    let dir = TempDir::new().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let limit = Duration::from_secs(4);
    let config = write(
        dir.path(),
        "dead.yaml",
        &format!(
            "telemetry:\n  transport:\n    type: tcp\n    endpoint: localhost:{port}\n    allow_plaintext: true\n    \
             dev_allow_plaintext: true\n  worker: {{shutdown_timeout_seconds: {}}}\n",
            limit.as_secs()
        ),
    );
    // Whoever sent SIGTERM kills what is still there after the time that he configured.
    for words in [&["simulate", "--ticks", "2", "--agents", "2"][..], &["smoke", "--watch", "0s"]] {
        townlet_testkit::on_time("ending", limit + limit / 2, || {
            let begun = Instant::now();
            let mut command = command(words);
            ran(command.args(["--config", &config]).output().unwrap());
            begun.elapsed()
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_capture_goes_where_it_was_asked_for_whatever_the_bytes_of_its_name() {
    use std::os::unix::ffi::OsStrExt;
    let dir = TempDir::new().unwrap();
    let target = dir.path().join(std::ffi::OsStr::from_bytes(b"town-\xff.jsonl"));
    let mut command = command(&["simulate", "--ticks", "2", "--agents", "2", "--telemetry-path"]);
    ran(command.arg(&target).output().unwrap()).expect(0);
    assert!(fs::read_to_string(&target).unwrap().lines().count() > 2);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "and nowhere else");
}
