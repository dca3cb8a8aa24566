//! `townlet replay`: the real input, whole.

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{collector_with_config, gzip, lines_below, samples, text, townlet, write};

#[test]
fn the_predecessors_stream_goes_over_tls_redacted_validated_and_complete() {
    let dir = TempDir::new().unwrap();
    let (collector, config) = collector_with_config(dir.path());
    let out = dir.path().join("collected");
    let stream = samples().join("predecessor/telemetry_stream_0.9.0.jsonl");
    let account = townlet(&["replay", text(&stream), "--config", &config, "--json"]).expect(0).json();
    assert_eq!(account["statement"]["accepted"], 120);
    assert_eq!(account["statement"]["delivered"], 120);
    let report = collector.stop();
    assert_eq!(report["totals"]["stored"], 120);
    assert_eq!(report["totals"]["bytes"], account["transport"]["bytes_flushed_total"], "byte for byte as accounted");

    let original = std::fs::read_to_string(stream).unwrap();
    let received = lines_below(&out);
    assert_eq!(received.len(), 120);
    for (sent, got) in original.lines().zip(&received) {
        let mut sent: Value = serde_json::from_str(sent).unwrap();
        assert!(sent.as_object_mut().unwrap().remove("policy_identity").is_some());
        assert_eq!(&sent, got, "all but the redacted section, and the version it came with");
    }
}

#[test]
fn our_own_capture_goes_out_again_with_its_diffs() {
    let dir = TempDir::new().unwrap();
    let stream = samples().join("1.1.0/town.jsonl");
    let lines = std::fs::read_to_string(&stream).unwrap().lines().count();
    assert!(std::fs::read_to_string(&stream).unwrap().contains(r#""payload_type":"diff""#));
    let config = write(dir.path(), "f.yaml", "telemetry:\n  transport: {type: file, file_path: out.jsonl}\n");
    let account = townlet(&["replay", text(&stream), "--config", &config, "--json"]).expect(0).json();
    assert_eq!(account["statement"]["delivered"], lines, "{account}");
}

#[test]
fn a_compressed_capture_goes_out_again_and_one_that_is_cut_off_as_far_as_it_can_be_read() {
    let dir = TempDir::new().unwrap();
    let plain = std::fs::read(samples().join("1.1.0/town.jsonl")).unwrap();
    let lines = plain.split_inclusive(|byte| *byte == b'\n').count() as u64;
    let config = write(dir.path(), "f.yaml", "telemetry:\n  transport: {type: file, file_path: out.jsonl}\n");
    let packed = gzip(&plain);
    let stream = dir.path().join("town.jsonl.gz");
    let replay = || townlet(&["replay", text(&stream), "--config", &config, "--json"]);
    std::fs::write(&stream, &packed).unwrap();
    assert_eq!(replay().expect(0).json()["statement"]["delivered"], lines);
    std::fs::write(&stream, &packed[..packed.len() / 2]).unwrap();
    let ran = replay().expect(3);
    assert!(ran.stderr.contains("reading"), "{}", ran.stderr);
    let delivered = ran.json()["statement"]["delivered"].as_u64().unwrap();
    assert!(delivered > 0 && delivered < lines, "{delivered} of {lines}");
}

#[test]
fn a_stream_is_not_replayed_into_its_own_file() {
    let dir = TempDir::new().unwrap();
    let line = "{\"schema_version\":\"0.9.0\",\"tick\":1}\n";
    let stream = write(dir.path(), "town.jsonl", line);
    let config = write(dir.path(), "f.yaml", "telemetry:\n  transport: {type: file, file_path: town.jsonl}\n");
    for more in [&[][..], &["--follow", "--idle", "1s"]] {
        let ran = townlet(&[&["replay", &stream, "--config", &config], more].concat()).expect(2);
        assert!(ran.stderr.contains("is what the sink 'main' writes"), "{}", ran.stderr);
    }
    assert_eq!(std::fs::read_to_string(stream).unwrap(), line);
}

/// A second name of the file stands for whatever else may append to it, such as the dead letters of the sink.
#[cfg(unix)]
#[test]
fn what_is_appended_to_a_stream_while_it_is_replayed_is_not_replayed_in_turn() {
    let dir = TempDir::new().unwrap();
    let lines: String = (1..=200).map(|tick| format!("{{\"schema_version\":\"0.9.0\",\"tick\":{tick}}}\n")).collect();
    let stream = write(dir.path(), "town.jsonl", &lines);
    std::fs::hard_link(&stream, dir.path().join("same.jsonl")).unwrap();
    // Small batches at once: lines come back while the file is read.
    let config = "telemetry:\n  transport: {type: file, file_path: same.jsonl, buffer: {max_queue_length: 4}}\n";
    let config = write(dir.path(), "f.yaml", config);
    let account = townlet(&["replay", &stream, "--config", &config, "--json"]).expect(0).json();
    assert_eq!(account["statement"]["delivered"], 200);
}

#[test]
fn a_file_that_is_longer_than_every_queue_is_replayed_whole() {
    let dir = TempDir::new().unwrap();
    let lines: String = (1..=5000).map(|tick| format!("{{\"schema_version\":\"0.9.0\",\"tick\":{tick}}}\n")).collect();
    let stream = write(dir.path(), "s.jsonl", &lines);
    let small = "telemetry:\n  transport: {type: file, file_path: out.jsonl, buffer: {max_queue_length: 8}}\n";
    let config = write(dir.path(), "f.yaml", small);
    let account = townlet(&["replay", &stream, "--config", &config, "--json"]).expect(0).json();
    assert_eq!((&account["statement"]["delivered"], &account["statement"]["accepted"]), (&5000.into(), &5000.into()));
}

#[test]
fn what_is_no_record_is_a_counted_drop() {
    let dir = TempDir::new().unwrap();
    let stream = write(dir.path(), "s.jsonl", "not json\n{\"schema_version\":\"0.9.0\",\"tick\":1}\n{\"a\":NaN}\n");
    let config = write(dir.path(), "f.yaml", "telemetry:\n  transport: {type: file, file_path: out.jsonl}\n");
    let account = townlet(&["replay", &stream, "--config", &config, "--json"]).expect(1).json();
    assert_eq!(account["statement"]["accepted"], 3);
    assert_eq!(account["statement"]["delivered"], 1);
    assert_eq!(account["statement"]["dropped"]["invalid_payload"], 2);
    assert_eq!(account["statement"]["residual"], 0);
}

#[test]
fn a_line_that_a_raising_validator_refuses_is_a_no() {
    let dir = TempDir::new().unwrap();
    let _schema = write(dir.path(), "s.json", r#"{"type":"object","required":["needed"]}"#);
    let stream = write(
        dir.path(),
        "s.jsonl",
        "{\"schema_version\":\"0.9.0\",\"tick\":1,\"needed\":1}\n{\"schema_version\":\"0.9.0\",\"tick\":2}\n",
    );
    let config = write(
        dir.path(),
        "f.yaml",
        "telemetry:\n  transport: {type: file, file_path: out.jsonl}\n  transforms:\n    pipeline:\n      \
         - {schema_validator: {schemas: {snapshot: s.json}, mode: raise}}\n",
    );
    let ran = townlet(&["replay", &stream, "--config", &config, "--json"]).expect(1);
    assert_eq!(ran.json()["statement"]["accepted"], 1, "the other one is on nobody's books");
}
