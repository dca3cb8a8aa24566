//! `townlet validate`.

use tempfile::TempDir;

use crate::support::{Collector, command, text, townlet, townlet_in, write};

/// The sample block of the pipeline guide (seed), as it stands there.
const SEED: &str = r#"telemetry:
  transport:
    type: stdout   # stdout | file | tcp | http | websocket (stub) | prometheus (textfile)
    file_path: logs/telemetry.jsonl  # for file transport
    endpoint: localhost:9090         # for tcp transport
    enable_tls: true                 # tcp only
    send_timeout_seconds: 1.0
    worker_poll_seconds: 0.5
    buffer:
      max_batch_size: 32
      max_buffer_bytes: 256000
      flush_interval_ticks: 1
    worker:
      backpressure: drop_oldest  # drop_oldest | block | fan_out
      block_timeout_seconds: 0.5
      restart_limit: 3
  # Example: to POST events to an external collector, set type=http and provide endpoint=http(s) URL.
  transforms:
    pipeline:
      - snapshot_normalizer
      - redact_fields: {fields: [policy_identity], kinds: [snapshot, diff]}
      - ensure_fields: {required_fields_by_kind: {snapshot: [schema_version, tick]}}
      # - schema_validator: {schemas: {snapshot: path/to/schema.json}}
"#;

#[test]
fn the_guides_sample_gets_a_diagnostic_for_each_misplaced_key_and_a_corrected_block_that_loads() {
    let dir = TempDir::new().unwrap();
    let config = write(dir.path(), "seed.yaml", SEED);
    let ran = townlet(&["validate", &config]).expect(2);
    for key in ["file_path", "endpoint", "enable_tls", "worker"] {
        let named = format!("telemetry.transport.{key}");
        assert_eq!(ran.stderr.matches("error[").count(), 4, "{}", ran.stderr);
        assert!(ran.stderr.contains(&named), "{named} in {}", ran.stderr);
    }
    let corrected = write(dir.path(), "corrected.yaml", &ran.stdout);
    townlet(&["validate", &corrected]).expect(0);
}

#[test]
fn a_typo_is_named_with_its_place_and_the_nearest_key() {
    let dir = TempDir::new().unwrap();
    let config = write(
        dir.path(),
        "typo.yaml",
        "telemetry:\n  transport:\n    type: stdout\n    bufffer: {max_batch_size: 3}\n",
    );
    let ran = townlet(&["validate", &config]).expect(2);
    assert!(ran.stderr.contains("typo.yaml:4:5"), "{}", ran.stderr);
    assert!(ran.stderr.contains("bufffer") && ran.stderr.contains("'buffer'"), "{}", ran.stderr);
}

#[test]
fn plaintext_needs_both_flags_and_a_loopback_endpoint() {
    let dir = TempDir::new().unwrap();
    let config = |host: &str, dev: bool| {
        write(
            dir.path(),
            "plain.yaml",
            &format!(
                "telemetry:\n  transport:\n    type: tcp\n    endpoint: {host}:9000\n    enable_tls: false\n    \
                 allow_plaintext: true\n    dev_allow_plaintext: {dev}\n"
            ),
        )
    };
    townlet(&["validate", &config("127.0.0.1", true)]).expect(0);
    let refused = townlet(&["validate", &config("127.0.0.1", false)]).expect(2);
    assert!(refused.stderr.contains("dev_allow_plaintext"), "{}", refused.stderr);
    let refused = townlet(&["validate", &config("collector.example", true)]).expect(2);
    assert!(refused.stderr.contains("telemetry.transport.endpoint"), "{}", refused.stderr);
}

#[test]
fn connect_reports_the_chain_the_name_and_the_expiry_and_exits_3_for_an_unknown_authority() {
    let dir = TempDir::new().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    townlet(&["certs", "--out", text(&ours)]).expect(0);
    townlet(&["certs", "--out", text(&theirs)]).expect(0);
    let collector = Collector::start(&ours, &dir.path().join("out"));
    let yaml = format!(
        "telemetry:\n  transport:\n    type: tcp\n    endpoint: localhost:{}\n    ca_file: ca.pem\n",
        collector.port
    );
    let trusted = write(&ours, "t.yaml", &yaml);
    let ran = townlet(&["validate", "--connect", &trusted]).expect(0);
    for part in ["localhost", "name matches", "expires in", "verdict: trusted", "townlet-ack/1"] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    for kind in ["http", "otlp"] {
        let url = format!("https://localhost:{}/in", collector.port);
        let yaml = format!("telemetry:\n  transport:\n    type: {kind}\n    endpoint: {url}\n    ca_file: ca.pem\n");
        let ran = townlet(&["validate", "--connect", &write(&ours, "h.yaml", &yaml)]).expect(0);
        assert!(ran.stdout.contains("verdict: trusted"), "{kind}: {}", ran.stdout);
        let ran = townlet(&["validate", "--connect", &write(&theirs, "h.yaml", &yaml)]).expect(3);
        assert!(ran.stdout.contains("REFUSED"), "{kind}: {}", ran.stdout);
    }
    let foreign = write(&theirs, "t.yaml", &yaml);
    let ran = townlet(&["validate", "--connect", &foreign]).expect(3);
    assert!(ran.stdout.contains("REFUSED"), "{}", ran.stdout);
}

#[test]
fn buffers_that_do_not_fit_the_cadence_are_a_finding() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "c.yaml", "telemetry:\n  transport:\n    type: stdout\n    buffer: {max_buffer_bytes: 4096}\n");
    let ran = townlet_in(dir.path(), &["validate", "c.yaml", "--tick-ms", "10", "--bytes-per-tick", "20000"]).expect(1);
    assert!(ran.stderr.contains("max_buffer_bytes"), "{}", ran.stderr);
}

#[test]
fn a_missing_file_and_a_missing_certificate_are_named() {
    let dir = TempDir::new().unwrap();
    let ran = townlet(&["validate", text(&dir.path().join("none.yaml"))]).expect(2);
    assert!(ran.stderr.contains("none.yaml"), "{}", ran.stderr);
    let config = write(
        dir.path(),
        "t.yaml",
        "telemetry:\n  transport:\n    type: tcp\n    endpoint: localhost:9000\n    ca_file: no.pem\n",
    );
    let ran = townlet(&["validate", &config]).expect(2);
    assert!(ran.stderr.contains("no.pem") && ran.stderr.contains("ca_file"), "{}", ran.stderr);
}

/// The predecessor accepted types that it had not, and then dropped everything.
#[test]
fn w22_a_transport_that_is_not_built_in_is_refused_by_name_at_load() {
    let dir = TempDir::new().unwrap();
    let yaml = "telemetry:\n  transport:\n    type: kafka\n    endpoint: broker.example:9092\n";
    let ran = townlet(&["validate", &write(dir.path(), "t.yaml", yaml)]).expect(2);
    let why = "takes one of stdout, file, tcp, http, websocket, prometheus, otlp, nats, not 'kafka'";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
}

#[test]
fn a_bad_configuration_exits_2_although_nobody_reads_the_corrected_block() {
    let dir = TempDir::new().unwrap();
    let config = write(dir.path(), "seed.yaml", SEED);
    let mut child = command(&["validate", &config])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_key_is_for_its_owner_alone_also_where_a_file_was_there_before() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    for key in ["server.key", "client.key"] {
        std::fs::write(dir.path().join(key), "an older one").unwrap();
        std::fs::set_permissions(dir.path().join(key), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    townlet(&["certs", "--out", text(dir.path())]).expect(0);
    for (file, mode) in [("server.key", 0o600), ("client.key", 0o600), ("server.pem", 0o644)] {
        let found = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{file}");
    }
}
