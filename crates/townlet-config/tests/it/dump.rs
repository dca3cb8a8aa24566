//! The printed configuration is the configuration.

use proptest::prelude::*;
use townlet_config::Loader;

use crate::support::{accept, loader};

#[test]
fn the_dump_shows_where_each_value_came_from() {
    let text = "telemetry:\n  transport:\n    type: tcp\n    endpoint: collector.example:9000\n  narration: {category_cooldown_ticks: {chat: 3}}\n";
    let loaded = loader()
        .environment([("TOWNLET_TELEMETRY__WORKER__BACKPRESSURE".to_owned(), "block".to_owned())])
        .set("telemetry.transport.buffer.max_batch_size=64")
        .load_str("town.yaml", text)
        .unwrap();
    insta::assert_snapshot!(loaded.to_yaml());
    assert_eq!(accept(&loaded.to_yaml()).config, loaded.config);
}

#[test]
fn names_that_yaml_would_read_as_something_else_survive() {
    for name in
        ["true", "0755", "null", "~", "- a", "a: b", "a #b", "é\u{85}\u{2028}\u{feff}", "\"q\\", "1e3", "no", "[x]"]
    {
        let text = format!("telemetry: {{producer: {name:?}}}").replace("\\u{85}", "\\x85");
        let text = text.replace("\\u{2028}", "\\u2028").replace("\\u{feff}", "\\ufeff");
        let config = match loader().load_str("town.yaml", &text) {
            Ok(loaded) => loaded.config,
            // U+0085 is a control character and no part of a name.
            Err(_) if name.contains('\u{85}') => continue,
            Err(found) => panic!("{found}"),
        };
        assert_eq!(config.producer.as_deref(), Some(name));
        assert_eq!(accept(&config.to_yaml()).config, config, "{name}");
    }
}

fn number(low: f64, high: f64) -> impl Strategy<Value = String> {
    (low..=high).prop_map(|n| n.to_string())
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ -~é]{0,6}[a-z\"'#:]", 0..4)
}

/// Text in YAML's double quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn list(names: &[String]) -> String {
    format!("[{}]", names.iter().map(|n| quoted(n)).collect::<Vec<_>>().join(", "))
}

prop_compose! {
    fn sink()(
        kind in prop::sample::select(vec![
            "type: stdout",
            "type: file, file_path: @, fsync: each_batch, settle_at: durable",
            "type: file, file_path: @, fsync: on_flush, rotate_bytes: 5000, rotate_seconds: 77, keep_files: 2",
            "type: file, file_path: 'logs/%F/x', fsync: interval, fsync_interval_seconds: 2.5, compression: gzip, \
                keep_bytes: 5000, keep_seconds: 77",
            "type: file, file_path: @, fsync: on_rotation",
            "type: tcp, endpoint: 'c.example:9000', verify_hostname: false, settle_at: peer_acked",
            "type: tcp, endpoint: '[2001:db8::1]:1', acks: false, ca_file: @, cert_file: c.pem, key_file: k.pem",
            "type: tcp, endpoint: '[::1]:9', allow_plaintext: true, dev_allow_plaintext: true",
            "type: http, endpoint: 'HTTPS://c.example/in?x=#y'",
            "type: tcp, endpoint: 'c:9', compression: deflate",
            "type: http, endpoint: 'https://c', compression: gzip, format: json, auth: {user: ann, password_file: @}",
            "type: http, endpoint: 'http://[::1]', allow_plaintext: true, dev_allow_plaintext: true, auth: {bearer_env: T}",
            "type: websocket, websocket_url: 'wss://c.example', verify_hostname: false, auth: {bearer_env: TOKEN_OF_TOWN}",
            "type: websocket, websocket_url: 'WSS://c.example/x?y', acks: false, ca_file: @, auth: {bearer_file: @}",
            "type: websocket, websocket_url: 'ws://[::1]', allow_plaintext: true, dev_allow_plaintext: true, settle_at: durable",
            "type: prometheus, file_path: @",
            "type: otlp, endpoint: 'https://c.example', auth: {headers_env: OTEL_EXPORTER_OTLP_HEADERS}",
            "type: otlp, endpoint: 'https://c.example:4318', publish_traces: false, publish_interval_seconds: 2.5",
            "type: otlp, endpoint: 'http://[::1]:4318/x', allow_plaintext: true, dev_allow_plaintext: true, format: json, \
                compression: gzip, labels: {service.name: town}, export_fields: [a.*], settle_at: peer_acked",
            "type: nats, endpoint: 'tls://a.example,tls://b.example:4223', nats: {stream: T, partitions: 3}, auth: {bearer_env: T}",
            "type: nats, endpoint: 'tls://a.example', auth: {credentials_file: @}",
            "type: nats, endpoint: 'tls://a.example', auth: {nkey_seed_env: SEED}",
            "type: nats, endpoint: 'nats://[::1]', allow_plaintext: true, dev_allow_plaintext: true, settle_at: peer_acked, \
                nats: {subject: 'a.{stream}', partitions: 1, create: true, replicas: 3, duplicate_window_seconds: 2.5}",
            "type: prometheus, scrape_listen: '127.0.0.1:9464', scrape_token_file: t, labels: {b: '7', a: \"x'y\"}",
            "type: prometheus, file_path: m.prom, export_fields: [a.*, tick], export_max_series: 9",
        ]),
        spill in prop::option::of(prop::sample::select(vec![
            "path: spool/@",
            "path: spool, fsync: interval, fsync_interval_seconds: 2.5, max_age_seconds: 77",
            "path: '/srv/spool b', max_bytes: 20000000, fsync: never, write_ahead: true",
        ])),
        path in "[ -~é]{0,12}[a-z]",
        numbers in (number(0.0, 60.0), number(0.01, 10.0), 0..=10u64, number(0.0, 30.0), 1..=500u64, 1024..=16_777_216u64, number(0.001, 60.0)),
        worker in (prop::sample::select(vec!["drop_oldest", "block"]), number(0.05, 5.0), 1..=10u64, number(1.0, 86_400.0), number(0.0, 300.0)),
    ) -> (String, String) {
        let (connect, poll, attempts, backoff, batch, bytes, flush) = numbers;
        // `~` at the start would need a home directory.
        let spill = spill.filter(|_| ["file", "tcp", "http", "websocket", "otlp", "nats"].iter().any(|t| kind[6..].starts_with(t)));
        let kind = kind.replace('@', &quoted(&format!("p{path}")));
        let spill = spill.map_or(String::new(), |keys| format!(", spill: {{{}}}", keys.replace('@', "x")));
        let transport = format!("{kind}, connect_timeout_seconds: {connect}, worker_poll_seconds: {poll}, \
            retry: {{max_attempts: {attempts}, backoff_seconds: {backoff}}}, \
            buffer: {{max_batch_size: {batch}, max_buffer_bytes: {bytes}, flush_interval_seconds: {flush}{spill}}}");
        let (policy, block, limit, window, shutdown) = worker;
        let policy = if spill.is_empty() { policy } else { "spill" };
        let worker = format!("{{backpressure: {policy}, block_timeout_seconds: {block}, restart_limit: {limit}, \
            restart_window_seconds: {window}, shutdown_timeout_seconds: {shutdown}}}");
        (transport, worker)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_printed_loads_as_an_equal_configuration(
        main in sink(),
        other in prop::option::of(sink()),
        producer in prop::option::of("[ -~é]{0,8}[a-z0-9]"),
        categories in words(),
        fields in words(),
        thresholds in (number(-1.0, 0.85), number(0.0, 2.0), number(0.0, 5.0)),
        stub in any::<bool>(),
        redaction in prop::sample::select(vec!["default", "off"]),
    ) {
        let (transport, worker) = main;
        let sinks = other.map_or(String::new(), |(keys, worker)| format!("other: {{{keys}, worker: {worker}}}"));
        let producer = producer.map_or("null".to_owned(), |name| quoted(&name));
        let categories_map: String = categories.iter().enumerate()
            .map(|(i, name)| format!("{}: {i}, ", quoted(&format!("{i}{name}")))).collect();
        let redact = if fields.is_empty() { String::new() } else {
            format!(", {{redact_fields: {{fields: {}, kinds: [event], action: mask}}}}", list(&fields))
        };
        let (trust, delta, tolerance) = thresholds;
        let text = format!("
runtime: {{telemetry: {}}}
telemetry:
  producer: {producer}
  transport: {{{transport}}}
  worker: {worker}
  sinks: {{{sinks}}}
  transforms: {{redaction: {redaction}, pipeline: [snapshot_normalizer, ensure_fields: {{required_fields_by_kind: {{snapshot: {}}}}}{redact}]}}
  narration: {{priority_categories: {}, category_cooldown_ticks: {{{categories_map}}}}}
  relationship_narration: {{friendship_trust_threshold: {trust}, friendship_delta_threshold: {delta}}}
  personality_narration: {{enabled: {stub}, conflict_tolerance_threshold: {tolerance}}}
", if stub { "stub" } else { "stdout" }, list(&fields), list(&categories));
        let loader: Loader<'_> = loader().skip_files().base_dir("/srv/town");
        match loader.load_str("town.yaml", &text) {
            Ok(loaded) => {
                let again = loader.load_str("again.yaml", &loaded.config.to_yaml());
                prop_assert_eq!(&again.unwrap().config, &loaded.config);
                let commented = loader.load_str("again.yaml", &loaded.to_yaml());
                prop_assert_eq!(&commented.unwrap().config, &loaded.config);
            }
            // The same file or the standard output twice is the only thing that these may get wrong.
            Err(found) => prop_assert!(found.errors().all(|d| d.code.as_str() == "conflict"), "{}\n{}", text, found),
        }
    }
}
