//! Every row of the key table: default, both bounds, one step beyond each.

use townlet_config::{Backpressure, Loader, Provider, Redaction, Wire, load_str};

use crate::support::{accept, findings, only_error};

/// Dotted key, then the lowest and highest value, then values just outside.
const BOUNDED: &[(&str, &str, &str, &str, &str)] = &[
    ("transport.connect_timeout_seconds", "0", "60", "-0.1", "60.1"),
    ("transport.send_timeout_seconds", "0", "60", "-0.1", "60.1"),
    ("transport.keyframe_every", "0", "1000000", "-1", "1000001"),
    ("transport.keyframe_bytes", "0", "1099511627776", "-1", "1099511627777"),
    ("transport.worker_poll_seconds", "0.01", "10", "0.009", "10.1"),
    ("transport.retry.max_attempts", "0", "10", "-1", "11"),
    ("transport.retry.backoff_seconds", "0", "30", "-1", "30.5"),
    ("transport.retry.max_backoff_seconds", "0.5", "3600", "-1", "3601"),
    ("transport.buffer.max_batch_size", "1", "500", "0", "501"),
    ("transport.buffer.max_buffer_bytes", "1024", "16777216", "1023", "16777217"),
    ("transport.buffer.max_queue_length", "1", "16777216", "0", "16777217"),
    ("transport.buffer.flush_interval_ticks", "1", "10000", "0", "10001"),
    ("transport.buffer.flush_interval_seconds", "0.001", "60", "0.0009", "60.1"),
    ("worker.block_timeout_seconds", "0.05", "5", "0.04", "5.1"),
    ("worker.restart_limit", "1", "10", "0", "11"),
    ("worker.restart_window_seconds", "1", "86400", "0.9", "86401"),
    ("worker.shutdown_timeout_seconds", "0", "300", "-1", "301"),
    ("narration.global_cooldown_ticks", "0", "10000", "-1", "10001"),
    ("narration.dedupe_window_ticks", "0", "10000", "-1", "10001"),
    ("narration.global_window_ticks", "1", "10000", "0", "10001"),
    ("narration.global_window_limit", "1", "1000", "0", "1001"),
    ("relationship_narration.friendship_trust_threshold", "-1", "0.85", "-1.1", "1.1"),
    ("relationship_narration.friendship_delta_threshold", "0", "2", "-0.1", "2.1"),
    ("relationship_narration.friendship_priority_threshold", "0.6", "1", "-1.1", "1.1"),
    ("relationship_narration.rivalry_avoid_threshold", "0", "0.9", "-0.1", "1.1"),
    ("relationship_narration.rivalry_escalation_threshold", "0.7", "1", "-0.1", "1.1"),
    ("personality_narration.chat_extroversion_threshold", "-1", "1", "-1.1", "1.1"),
    ("personality_narration.chat_priority_threshold", "-1", "1", "-1.1", "1.1"),
    ("personality_narration.chat_quality_threshold", "0", "1", "-0.1", "1.1"),
    ("personality_narration.conflict_tolerance_threshold", "0", "5", "-0.1", "5.1"),
];

const BOUNDED_IN_FILE: &[(&str, &str, &str, &str, &str)] = &[
    ("rotate_bytes", "1024", "1099511627776", "1023", "1099511627777"),
    ("rotate_seconds", "1", "31536000", "0", "31536001"),
    ("keep_files", "1", "100000", "0", "100001"),
    ("keep_bytes", "1024", "1125899906842624", "1023", "1125899906842625"),
    ("keep_seconds", "60", "3153600000", "59", "3153600001"),
    ("fsync: interval, fsync_interval_seconds", "0.01", "60", "0.009", "60.1"),
];

/// A document that holds one dotted key.
fn document(key: &str, value: &str) -> String {
    let inner = key.rsplit('.').fold(value.to_owned(), |inner, name| format!("{{{name}: {inner}}}"));
    format!("telemetry: {inner}")
}

#[test]
fn each_number_is_accepted_at_its_bounds_and_refused_beyond() {
    for (key, low, high, below, above) in BOUNDED {
        let full = format!("telemetry.{key}");
        for value in [low, high] {
            let found = findings(&document(key, value));
            assert!(!found.iter().any(|line| line.starts_with("error")), "{key} {value}: {found:?}");
        }
        for value in [below, above] {
            let (error, shown) = only_error(&document(key, value));
            assert_eq!(error, format!("out_of_range {full}"), "{value}");
            assert!(shown.contains(&format!("not {value}")), "{shown}");
        }
    }
}

#[test]
fn file_limits_are_accepted_at_their_bounds_and_refused_beyond() {
    let with = |key: &str, value: &str| {
        format!("telemetry: {{transport: {{type: file, file_path: logs/x, rotate_bytes: 4096, {key}: {value}}}}}")
            .replace("rotate_bytes: 4096, rotate_bytes", "rotate_bytes")
    };
    for (key, low, high, below, above) in BOUNDED_IN_FILE {
        for value in [low, high] {
            assert_eq!(findings(&with(key, value)), [""; 0], "{key} {value}");
        }
        for value in [below, above] {
            let name = key.rsplit(' ').next().unwrap();
            assert_eq!(only_error(&with(key, value)).0, format!("out_of_range telemetry.transport.{name}"), "{value}");
        }
    }
}

#[test]
fn an_empty_block_has_the_documented_defaults() {
    let config = load_str("town.yaml", "telemetry:").unwrap().config;
    assert_eq!((config.provider, config.wire, config.redaction), (Provider::Full, Wire::Current, Redaction::Default));
    assert!(config.diff_enabled);
    assert!(config.transforms.is_empty());
    assert_eq!(config.sinks.len(), 1);
    let sink = &config.sinks[0];
    assert_eq!((&*sink.name, &*sink.transport_type), ("main", "stdout"));
    assert_eq!(sink.worker.backpressure, Backpressure::DropOldest);
}

#[test]
fn the_catalogue_lists_every_key_with_what_it_takes_and_its_default() {
    let keys = Loader::known_keys();
    let listed: String = keys.iter().map(|k| format!("{} | {} | {}\n", k.key, k.takes, k.default)).collect();
    insta::assert_snapshot!(listed);
}

#[test]
fn a_cooldown_by_category_has_no_upper_bound() {
    let text = "telemetry: {narration: {category_cooldown_ticks: {queue_conflict: 9000000000, x: 0}}}";
    assert_eq!(accept(text).config.narration.category_cooldown_ticks["queue_conflict"], 9_000_000_000);
    let (error, _) = only_error("telemetry: {narration: {category_cooldown_ticks: {x: -1}}}");
    assert_eq!(error, "wrong_type telemetry.narration.category_cooldown_ticks.x");
}

#[test]
fn thresholds_that_must_be_ordered_are() {
    for (text, key) in [
        ("friendship_trust_threshold: 0.9", "friendship_priority_threshold"),
        ("friendship_priority_threshold: 0.5", "friendship_priority_threshold"),
        ("rivalry_avoid_threshold: 0.95", "rivalry_escalation_threshold"),
        ("rivalry_escalation_threshold: 0.6", "rivalry_escalation_threshold"),
    ] {
        let (error, _) = only_error(&format!("telemetry: {{relationship_narration: {{{text}}}}}"));
        assert_eq!(error, format!("conflict telemetry.relationship_narration.{key}"));
    }
    let (error, _) = only_error("telemetry: {transport: {retry: {backoff_seconds: 2, max_backoff_seconds: 1}}}");
    assert_eq!(error, "conflict telemetry.transport.retry.max_backoff_seconds");
}

#[test]
fn a_value_of_another_type_is_never_coerced() {
    for (key, value, help) in [
        ("transport.buffer.max_batch_size", "\"16\"", "write 16, without quotes"),
        ("transport.buffer.max_batch_size", "16.0", "write 16"),
        ("transport.buffer.max_batch_size", "1_6", "write 16"),
        ("transport.buffer.max_batch_size", "16.5", ""),
        ("transport.buffer.max_batch_size", "true", ""),
        ("transport.buffer.max_batch_size", "016", ""),
        ("transport.send_timeout_seconds", "'2.5'", "write 2.5, without quotes"),
        ("transport.send_timeout_seconds", ".inf", "there is no setting for 'without end': give a number"),
        ("transport.send_timeout_seconds", "5s", ""),
        ("transport.send_timeout_seconds", "[5]", "remove the key for the default, 1"),
        ("personality_narration.enabled", "yes", "write true"),
        ("personality_narration.enabled", "off", "write false"),
        ("personality_narration.enabled", "1", "write true"),
        ("personality_narration.enabled", "\"true\"", "write true, without quotes"),
        ("narration.priority_categories", "queue", "write [queue]"),
        ("transport.endpoint", "9000", "write \"9000\" if that is meant"),
    ] {
        let (error, shown) = only_error(&document(key, value));
        assert_eq!(error, format!("wrong_type telemetry.{key}"), "{value}");
        let found = shown.split_once("= help: ").map_or("", |(_, help)| help);
        assert_eq!(found, help, "{key} {value}");
    }
}

#[test]
fn a_timeout_of_zero_is_the_longest_one_and_says_so() {
    let loaded = accept("telemetry: {transport: {connect_timeout_seconds: 0, send_timeout_seconds: 0}}");
    assert_eq!(loaded.config.sinks[0].settings.connect_timeout.as_secs(), 60);
    assert_eq!(loaded.config.sinks[0].settings.send_timeout.as_secs(), 60);
    assert_eq!(loaded.warnings.iter().filter(|d| d.code.as_str() == "no_effect").count(), 2);
}

#[test]
fn what_this_version_cannot_do_is_refused_and_not_ignored() {
    for (text, key) in [
        ("{telemetry: {}, runtime: {telemetry: http}}", "runtime.telemetry"),
        ("{telemetry: {}, runtime: {telemetry: {provider: dummy}}}", "runtime.telemetry"),
    ] {
        assert_eq!(only_error(text).0, format!("not_available {key}"));
    }
    assert!(!accept("telemetry: {diff_enabled: false}").config.diff_enabled);
}

#[test]
fn states_go_out_as_diffs_unless_told_otherwise_and_old_readers_get_their_own_form() {
    let accepted = |text: &str| accept(text).config;
    assert!(accepted("telemetry: {diff_enabled: true}").diff_enabled);
    assert_eq!(accepted("telemetry: {wire: legacy-0.9}").wire, Wire::Legacy);
    let sink = accepted("telemetry: {transport: {keyframe_every: 0, keyframe_bytes: 9}}").sinks.remove(0);
    assert_eq!((sink.keyframes.keyframe_every, sink.keyframes.keyframe_bytes), (0, 9));
    assert_eq!(accepted("telemetry:").sinks[0].keyframes.keyframe_every, 600);
    let coalesced = accepted("telemetry: {worker: {backpressure: coalesce}}");
    assert_eq!(coalesced.sinks[0].worker.backpressure, Backpressure::Coalesce);
    for text in
        ["diff_enabled: false", "transport: {type: tcp, endpoint: 'a.example:1'}, worker: {backpressure: fan_out}"]
    {
        let (error, _) = only_error(&format!("telemetry: {{wire: legacy-0.9, {text}}}"));
        assert_eq!(error, "conflict telemetry.wire");
    }
}

#[test]
fn the_provider_is_a_name_or_a_mapping_and_selects_no_transport() {
    for (text, provider) in [
        ("stdout", Provider::Full),
        ("default", Provider::Full),
        ("stub", Provider::Stub),
        ("{provider: stub, options: {}}", Provider::Stub),
        ("{provider: stdout}", Provider::Full),
        ("{}", Provider::Full),
    ] {
        let text = format!("{{runtime: {{telemetry: {text}, world: anything}}, telemetry: {{}}}}");
        assert_eq!(accept(&text).config.provider, provider, "{text}");
    }
    let (error, shown) = only_error("{runtime: {telemetry: stubb}, telemetry: {}}");
    assert_eq!(error, "bad_choice runtime.telemetry");
    assert!(shown.contains("did you mean 'stub'?"), "{shown}");
    let (error, _) = only_error("{runtime: {telemetry: {provider: stub, options: {speed: 3}}}, telemetry: {}}");
    assert_eq!(error, "unknown_key runtime.telemetry.options.speed");
}

#[test]
fn a_producer_is_one_printable_name() {
    assert_eq!(accept("telemetry: {producer: shard 7}").config.producer.as_deref(), Some("shard 7"));
    for bad in ["\"\"", "\" \"", "\"a\\nb\""] {
        assert_eq!(only_error(&format!("telemetry: {{producer: {bad}}}")).0, "out_of_range telemetry.producer");
    }
}
