//! The sample block of the pipeline guide: an illustration that cannot load.

use townlet_config::{Loader, TransformConfig, corrected_block};

use crate::support::{diagnose, findings, loader};

/// The block as the guide prints it.
const SAMPLE: &str = "\
telemetry:
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
";

#[test]
fn the_sample_gives_one_finding_for_each_misplaced_key() {
    assert_eq!(
        findings(SAMPLE),
        [
            "error not_for_type telemetry.transport.file_path 4:5",
            "error not_for_type telemetry.transport.endpoint 5:5",
            "error not_for_type telemetry.transport.enable_tls 6:5",
            "error misplaced_key telemetry.transport.worker 13:5",
        ]
    );
}

#[test]
fn the_corrected_sample_loads_and_keeps_every_setting() {
    let corrected = corrected_block(&diagnose(SAMPLE), SAMPLE).unwrap();
    insta::assert_snapshot!(corrected);
    let loaded = loader().load_str("corrected.yaml", &corrected).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let sink = &loaded.config.sinks[0];
    assert_eq!((sink.transport_type.as_str(), sink.worker.restart_limit), ("stdout", 3));
    let ids: Vec<_> = loaded.config.transforms.iter().map(TransformConfig::id).collect();
    assert_eq!(ids, ["snapshot_normalizer", "redact_fields", "ensure_fields"]);
}

#[test]
fn corrections_go_through_when_one_mistake_hides_another() {
    let text = "
telemetry:
  transprot:
    type: file
    file_path: logs/a.jsonl
    acks: true
    bufer: {max_batch_size: '16', flush_interval_tick: 2.0}
  worker: {backpressure: dropoldest}
  diff_enabled: true
  personality_narration: {enabled: yes}
  sinks: {Live: {type: fiel, file_path: logs/b.jsonl}}
  transforms: {redaction: false, pipeline: [redact_field: {fields: [policy_identity]}, {id: snapshot_normaliser}]}
other: {left: alone}
";
    let corrected = loader().corrected_block(&diagnose(text), text).unwrap();
    let config = loader().load_str("corrected", &corrected).unwrap().config;
    assert_eq!(config.sinks[0].buffer.max_batch_size, 16);
    assert_eq!(config.sinks[1].name, "live");
    assert_eq!(config.transforms.len(), 2);
    assert!(!corrected.contains("other"), "{corrected}");
}

#[test]
fn nothing_is_printed_where_the_meaning_would_be_a_guess() {
    for text in [
        "telemetry: {transport: {buffer: {max_batch_size: 0}}}",
        "telemetry: {transport: {type: tcp}}",
        "telemetry: {wombat: 1}",
        "telemetry: {transport: {buffer: {}, bufffer: {max_batch_size: 3}}}",
        "telemetry: {transport: {worker: {restart_limit: 2}}, worker: {restart_limit: 3}}",
        "telemetry: {a: 1, a: 2}",
        "telemetry: [",
    ] {
        assert_eq!(Loader::new().corrected_block(&diagnose(text), text), None, "{text}");
    }
}
