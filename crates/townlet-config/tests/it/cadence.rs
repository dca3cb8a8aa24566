//! Limits against the loop that feeds them.

use townlet_config::validate_cadence;

use crate::support::{accept, transport};

fn warned(keys: &str, tick_ms: f64, bytes: u64) -> Vec<String> {
    let config = accept(&transport(keys)).config;
    validate_cadence(&config, tick_ms, bytes)
        .into_iter()
        .map(|d| d.key.trim_start_matches("telemetry.transport.").to_owned())
        .collect()
}

#[test]
fn limits_that_fit_say_nothing() {
    assert_eq!(warned("buffer: {max_buffer_bytes: 4194304}", 1000.0, 12_000), [""; 0]);
    assert_eq!(warned("buffer: {max_buffer_bytes: 16777216, max_batch_size: 100}", 10.0, 12_000), [""; 0]);
}

#[test]
fn each_misfit_is_named_at_its_key() {
    // The predecessor's default buffer, one snapshot of 12 KB a millisecond: 26 of 56 ticks arrived.
    assert_eq!(warned("", 1.0, 12_000), ["buffer.max_buffer_bytes", "buffer.max_batch_size"]);
    assert_eq!(warned("", 1000.0, 300_000), ["buffer.max_buffer_bytes"]);
    assert_eq!(warned("buffer: {max_queue_length: 10, max_batch_size: 5}", 100.0, 100), ["buffer.max_queue_length"]);
    assert_eq!(warned("buffer: {max_queue_length: 100, max_batch_size: 200}", 100.0, 100), ["buffer.max_batch_size"]);
    // A batch that fits leaves in time, however long the intervals.
    assert_eq!(
        warned("buffer: {flush_interval_ticks: 10000, flush_interval_seconds: 60, max_batch_size: 100}", 100.0, 1000),
        [""; 0]
    );
    assert_eq!(
        warned(
            "buffer: {flush_interval_ticks: 200, flush_interval_seconds: 60, max_batch_size: 500, max_buffer_bytes: 100000}",
            100.0,
            1000
        ),
        ["buffer.max_batch_size", "buffer.flush_interval_ticks"]
    );
    assert_eq!(
        warned(
            "buffer: {flush_interval_ticks: 10000, flush_interval_seconds: 30, max_batch_size: 500, max_buffer_bytes: 100000}",
            100.0,
            1000
        ),
        ["buffer.max_batch_size", "buffer.flush_interval_seconds"]
    );
}

#[test]
fn a_loop_that_may_block_longer_than_a_tick_is_pointed_out() {
    let config = accept("telemetry: {worker: {backpressure: block, block_timeout_seconds: 0.2}}").config;
    assert!(validate_cadence(&config, 1000.0, 1000).is_empty());
    let found = validate_cadence(&config, 100.0, 1000);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "telemetry.worker.block_timeout_seconds");
}

#[test]
fn every_sink_is_judged_by_its_own_limits() {
    let text = "
telemetry:
  transport: {buffer: {max_buffer_bytes: 8388608}}
  sinks:
    small:
      type: file
      file_path: x
      buffer:
        max_batch_size: 1
        max_buffer_bytes: 4096
";
    let loaded = accept(text);
    let found = loaded.validate_cadence(100.0, 5000);
    assert_eq!(found.len(), 1);
    insta::assert_snapshot!(found[0].to_string());
}

#[test]
fn a_cadence_that_is_none_is_itself_the_finding() {
    let config = accept("telemetry: {}").config;
    for (tick, bytes) in [(0.0, 10), (-1.0, 10), (f64::NAN, 10), (f64::INFINITY, 10), (10.0, 0)] {
        let found = validate_cadence(&config, tick, bytes);
        assert_eq!((found.len(), found[0].code.as_str()), (1, "cadence"));
    }
    // Extreme numbers stay numbers.
    for (tick, bytes) in [(1e-300, 1), (1e300, u64::MAX), (5e-324, u64::MAX)] {
        for finding in validate_cadence(&config, tick, bytes) {
            assert!(!finding.to_string().contains("NaN"), "{finding}");
        }
    }
}
