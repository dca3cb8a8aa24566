//! Unknown keys, and what they were meant to be.

use crate::support::{accept, diagnose, findings, only_error};

#[test]
fn a_misspelt_key_is_an_error_with_the_nearest_name() {
    for (text, key, help) in [
        ("telemetry: {transport: {bufffer: {}}}", "transport.bufffer", "did you mean 'buffer'?"),
        (
            "telemetry: {transport: {buffer: {max_bath_size: 3}}}",
            "transport.buffer.max_bath_size",
            "did you mean 'max_batch_size'?",
        ),
        ("telemetry: {transport: {retry: {backoff: 1}}}", "transport.retry.backoff", "did you mean 'backoff_seconds'?"),
        ("telemetry: {transport: {Enable-TLS: true}}", "transport.Enable-TLS", "did you mean 'enable_tls'?"),
        ("telemetry: {trasnport: {}}", "trasnport", "did you mean 'transport'?"),
        ("telemetry: {worker: {back_pressure: block}}", "worker.back_pressure", "did you mean 'backpressure'?"),
        ("telemetry: {narration: {wombat: 1}}", "narration.wombat", "known here: global_cooldown_ticks, "),
        ("telemetry: {transforms: {pipelin: []}}", "transforms.pipelin", "did you mean 'pipeline'?"),
        ("telemetry: {sinks: {a: {type: tcp, endpoint: 'c:1', akcs: true}}}", "sinks.a.akcs", "did you mean 'acks'?"),
        (
            "telemetry: {transforms: {pipeline: [{redact_fields: {feilds: [a], fields: [a]}}]}}",
            "transforms.pipeline[0].feilds",
            "did you mean 'fields'?",
        ),
        ("telemetry: {personality_narration: {chat: 1}}", "personality_narration.chat", "known here: enabled, "),
    ] {
        let (error, shown) = only_error(text);
        assert_eq!(error, format!("unknown_key telemetry.{key}"));
        assert!(shown.contains(help), "{shown}");
    }
}

#[test]
fn a_key_in_the_wrong_block_is_told_where_it_belongs() {
    for (text, key, belongs) in [
        ("telemetry: {transport: {worker: {}}}", "telemetry.transport.worker", "telemetry.worker"),
        ("telemetry: {backpressure: block}", "telemetry.backpressure", "telemetry.worker.backpressure"),
        (
            "telemetry: {transport: {backpressure: block}}",
            "telemetry.transport.backpressure",
            "telemetry.worker.backpressure",
        ),
        ("telemetry: {endpoint: 'c:1'}", "telemetry.endpoint", "telemetry.transport.endpoint"),
        ("telemetry: {buffer: {}}", "telemetry.buffer", "telemetry.transport.buffer"),
        (
            "telemetry: {transport: {max_batch_size: 3}}",
            "telemetry.transport.max_batch_size",
            "telemetry.transport.buffer.max_batch_size",
        ),
        (
            "telemetry: {worker: {worker_poll_seconds: 1}}",
            "telemetry.worker.worker_poll_seconds",
            "telemetry.transport.worker_poll_seconds",
        ),
        ("telemetry: {pipeline: []}", "telemetry.pipeline", "telemetry.transforms.pipeline"),
        (
            "telemetry: {transport: {buffer: {max_attempts: 1}}}",
            "telemetry.transport.buffer.max_attempts",
            "telemetry.transport.retry.max_attempts",
        ),
        ("transport: {type: stdout}", "transport", "telemetry.transport"),
    ] {
        let (error, shown) = only_error(text);
        assert_eq!(error, format!("misplaced_key {key}"), "{text}");
        assert!(shown.contains(&format!("it belongs at {belongs}: move it there")), "{shown}");
    }
    // `enabled` exists elsewhere, and was not meant for there.
    assert_eq!(only_error("telemetry: {transport: {enabled: true}}").0, "unknown_key telemetry.transport.enabled");
}

#[test]
fn what_stands_in_a_misplaced_block_is_checked_too() {
    let found = findings("telemetry: {transport: {worker: {restart_limit: 99, bakpressure: block}}}");
    assert_eq!(
        found,
        [
            "error misplaced_key telemetry.transport.worker 1:25",
            "error out_of_range telemetry.worker.restart_limit 1:49",
            "error unknown_key telemetry.worker.bakpressure 1:53",
        ]
    );
}

#[test]
fn all_findings_come_at_once_in_the_order_of_the_file() {
    let text = "
telemetry:
  diff_enabled: 'no'
  transport:
    type: tcp
    endpoint: collector
    buffer: {max_batch_size: 0}
    wombat: 1
  worker: {backpressure: dropoldest}
  sinks: {main: {}}
";
    let found = diagnose(text);
    let lines: Vec<_> = found.iter().map(|d| d.line).collect();
    assert_eq!(lines, [3, 6, 7, 8, 9, 10]);
}

#[test]
fn blocks_of_the_host_are_left_alone() {
    let text = "{telemetry: {}, console_auth: {tokens: [1]}, worker: 3, jobs: {a: b}, runtime: {world: x}}";
    assert_eq!(accept(text).warnings.len(), 0);
    // Unless they look like ours.
    let found = findings("{telemetri: {transport: {}}, jobs: {}}");
    assert_eq!(found, ["error unknown_key telemetri 1:2"]);
    let found = findings("{telemetry: {}, runtme: {}}");
    assert_eq!(found, ["warning unknown_key runtme 1:17"]);
}

#[test]
fn a_file_without_the_block_is_pointed_out() {
    for text in ["", "# nothing\n", "jobs: {}\n", "---\n"] {
        assert_eq!(findings(text), ["warning missing telemetry 1:1"], "{text:?}");
    }
}

#[test]
fn hopeless_input_is_counted_beyond_a_point() {
    let keys: String = (0..5000).map(|i| format!("  wombat{i}: 1\n")).collect();
    let found = diagnose(&format!("telemetry:\n{keys}"));
    assert_eq!((found.len(), found.unlisted()), (200, 4800));
    assert!(found.to_string().ends_with("… and 4800 more"));
}
