//! What a transport's keys mean together.

use townlet_config::Loader;
use townlet_transport::{Compression, Level};

use crate::support::{Registered, accept, main_of, only_error, transport};

#[test]
fn each_type_refuses_the_keys_of_the_others() {
    const KEYS: &[&str] = &[
        "endpoint: localhost:9000",
        "file_path: logs/x.jsonl",
        "websocket_url: 'ws://localhost/x'",
        "enable_tls: true",
        "ca_file: ca.pem",
        "cert_file: a.pem",
        "key_file: a.key",
        "allow_plaintext: true",
        "dev_allow_plaintext: true",
        "acks: true",
        "fsync: never",
        "fsync_interval_seconds: 2",
        "rotate_bytes: 4096",
        "rotate_seconds: 60",
        "keep_files: 3",
        "keep_bytes: 4096",
        "keep_seconds: 60",
        "compression: gzip",
        "format: json",
        "auth: {bearer_env: TOKEN}",
        "scrape_listen: '127.0.0.1:9464'",
        "scrape_token_file: t",
        "export_fields: [tick]",
        "export_max_series: 9",
        "labels: {shard: a}",
        "publish_metrics: false",
        "publish_traces: false",
        "publish_interval_seconds: 9",
    ];
    for (start, own) in [
        ("type: stdout", &[][..]),
        (
            "type: file, file_path: logs/y",
            &[
                "file_path",
                "fsync",
                "fsync_interval_seconds",
                "rotate_bytes",
                "rotate_seconds",
                "keep_files",
                "keep_bytes",
                "keep_seconds",
                "compression",
            ],
        ),
        (
            "type: websocket, websocket_url: 'wss://localhost/'",
            &[
                "websocket_url",
                "ca_file",
                "cert_file",
                "key_file",
                "allow_plaintext",
                "dev_allow_plaintext",
                "acks",
                "auth",
            ],
        ),
        (
            "type: http, endpoint: 'https://localhost/'",
            &[
                "endpoint",
                "ca_file",
                "cert_file",
                "key_file",
                "allow_plaintext",
                "dev_allow_plaintext",
                "compression",
                "format",
                "auth",
            ],
        ),
        (
            "type: otlp, endpoint: 'https://localhost/'",
            &[
                "endpoint",
                "ca_file",
                "cert_file",
                "key_file",
                "allow_plaintext",
                "dev_allow_plaintext",
                "compression",
                "format",
                "auth",
                "export_fields",
                "export_max_series",
                "labels",
                "publish_metrics",
                "publish_traces",
                "publish_interval_seconds",
            ],
        ),
        (
            "type: prometheus, file_path: m.prom",
            &["file_path", "scrape_listen", "scrape_token_file", "export_fields", "export_max_series", "labels"],
        ),
        (
            "type: tcp, endpoint: 'localhost:9'",
            &[
                "endpoint",
                "enable_tls",
                "ca_file",
                "cert_file",
                "key_file",
                "allow_plaintext",
                "dev_allow_plaintext",
                "acks",
                "compression",
            ],
        ),
    ] {
        for pair in KEYS {
            let key = pair.split(':').next().unwrap();
            if own.contains(&key) {
                continue;
            }
            let (error, shown) = only_error(&transport(&format!("{start}, {pair}")));
            assert_eq!(error, format!("not_for_type telemetry.transport.{key}"), "{start}");
            assert!(shown.contains("help: remove it"), "{shown}");
        }
    }
}

#[test]
fn a_type_without_its_target_is_refused_at_the_type() {
    for (kind, key) in [
        ("tcp", "endpoint"),
        ("http", "endpoint"),
        ("file", "file_path"),
        ("prometheus", "file_path"),
        ("websocket", "websocket_url"),
    ] {
        let (error, shown) = only_error(&transport(&format!("type: {kind}")));
        assert_eq!(error, format!("missing telemetry.transport.{key}"));
        let sentence = format!("telemetry.transport.{key} is required when type is '{kind}'");
        assert!(shown.contains(&sentence), "{shown}");
        for blank in ["''", "'  '"] {
            let (error, shown) = only_error(&transport(&format!("type: {kind}, {key}: {blank}")));
            assert_eq!(error, format!("missing telemetry.transport.{key}"), "{blank}");
            assert!(shown.contains("must not be blank"), "{shown}");
        }
    }
}

#[test]
fn fan_out_needs_a_type_that_can_have_two_connections() {
    for (kind, good) in [
        ("type: stdout", false),
        ("type: file, file_path: logs/x", false),
        ("type: prometheus, file_path: m.prom", false),
        ("type: tcp, endpoint: 'c.example:9'", true),
        ("type: http, endpoint: 'https://c.example'", true),
    ] {
        let text = format!("telemetry: {{transport: {{{kind}}}, worker: {{backpressure: fan_out}}}}");
        if good {
            accept(&text);
        } else {
            assert_eq!(only_error(&text).0, "not_for_type telemetry.worker.backpressure", "{kind}");
        }
    }
    let named = "telemetry: {sinks: {a: {type: file, file_path: x, worker: {backpressure: fan_out}}}}";
    assert_eq!(only_error(named).0, "not_for_type telemetry.sinks.a.worker.backpressure");
}

#[test]
fn a_level_that_a_type_cannot_reach_is_refused() {
    for (keys, level) in [
        ("type: stdout, settle_at: sent", Level::Sent),
        ("type: file, file_path: logs/x, fsync: each_batch, settle_at: durable", Level::Durable),
        ("type: tcp, endpoint: 'c:9', settle_at: peer_acked", Level::PeerAcked),
        ("type: http, endpoint: 'https://c', settle_at: peer_acked", Level::PeerAcked),
        ("type: websocket, websocket_url: 'wss://c', settle_at: peer_acked", Level::PeerAcked),
        ("type: websocket, websocket_url: 'wss://c', settle_at: durable", Level::Durable),
    ] {
        let sink = main_of(&transport(keys));
        assert_eq!((sink.settle_at, sink.settings.settle_at), (level, level), "{keys}");
    }
    for keys in [
        "type: stdout, settle_at: durable",
        "type: file, file_path: logs/x, settle_at: durable",
        "type: file, file_path: logs/x, settle_at: peer_acked",
        "type: tcp, endpoint: 'c:9', acks: false, settle_at: peer_acked",
        "type: tcp, endpoint: 'c:9', settle_at: durable",
        "type: websocket, websocket_url: 'wss://c', acks: false, settle_at: peer_acked",
        "type: websocket, websocket_url: 'wss://c', acks: false, settle_at: durable",
        "type: tcp, endpoint: 'localhost:9', allow_plaintext: true, dev_allow_plaintext: true, settle_at: peer_acked",
    ] {
        assert_eq!(only_error(&transport(keys)).0, "conflict telemetry.transport.settle_at", "{keys}");
    }
}

#[test]
fn settings_without_effect_are_pointed_out() {
    for (keys, key) in [
        ("type: stdout, verify_hostname: false", "verify_hostname"),
        ("type: file, file_path: logs/x, keep_files: 3", "keep_files"),
        ("type: file, file_path: logs/x, keep_bytes: 3000", "keep_bytes"),
        ("type: file, file_path: 'logs/100%%', keep_seconds: 90", "keep_seconds"),
        ("type: file, file_path: logs/x, compression: gzip", "compression"),
        ("type: file, file_path: logs/x, fsync: on_flush, fsync_interval_seconds: 2", "fsync_interval_seconds"),
        (
            "type: tcp, endpoint: 'localhost:9', allow_plaintext: true, dev_allow_plaintext: true, ca_file: x.pem",
            "ca_file",
        ),
    ] {
        let loaded = accept(&transport(keys));
        let keys: Vec<_> = loaded.warnings.iter().map(|d| (d.code.as_str(), d.key.as_str())).collect();
        assert_eq!(keys, [("no_effect", &*format!("telemetry.transport.{key}"))]);
    }
}

#[test]
fn a_transport_that_is_not_linked_names_those_that_are() {
    let built_in = [Registered("stdout"), Registered("file"), Registered("tcp")];
    let loader = built_in.iter().fold(Loader::new(), |loader, factory| loader.factory(factory));
    for kind in ["http", "websocket", "prometheus", "otlp"] {
        let text = transport(&format!("type: {kind}, endpoint: 'http://c', buffer: {{max_batch_size: 0}}"));
        let found = loader.load_str("town.yaml", &text).unwrap_err();
        let message = &found.iter().next().unwrap().message;
        let expected = format!("type '{kind}' is not built into this program; built in: stdout, file, tcp");
        assert!(message.contains(&expected), "{message}");
        // The other findings are not lost.
        assert_eq!(found.len(), 2, "{found}");
    }
    let found = loader.load_str("town.yaml", &transport("type: tpc")).unwrap_err();
    assert!(found.to_string().contains("did you mean 'tcp'?"), "{found}");
    assert_eq!(found.len(), 1, "{found}");
}

#[test]
fn a_backend_of_the_hosts_own_is_a_type_like_any_other() {
    let own = Registered("carrier_pigeon");
    let loader = Loader::new().factory(&own);
    let text = transport("type: carrier_pigeon, endpoint: 'loft 7', file_path: seed.txt");
    let sink = loader.load_str("town.yaml", &text).unwrap().config.sinks.remove(0);
    assert_eq!(sink.settings.endpoint.as_deref(), Some("loft 7"));
    assert!(loader.load_str("town.yaml", &transport("type: stdout")).is_err());
}

#[test]
fn compression_is_of_the_kind_that_the_type_can_do() {
    for (keys, help) in [
        ("type: tcp, endpoint: 'c:9', compression: gzip", "use 'deflate', or 'none'"),
        ("type: tcp, endpoint: 'c:9', acks: false, compression: deflate", "under TLS with 'acks: true'"),
        ("type: tcp, endpoint: 'c:9', compression: zstd", "use 'deflate', or 'none'"),
        ("type: otlp, endpoint: 'https://c', compression: zstd", "use 'gzip', which every receiver has, or 'none'"),
        ("type: http, endpoint: 'https://c', compression: deflate", "use 'gzip', or 'none'"),
        ("type: file, file_path: x, compression: deflate", "use 'gzip', or 'none'"),
    ] {
        let (error, shown) = only_error(&transport(keys));
        assert_eq!(error, "conflict telemetry.transport.compression", "{keys}");
        assert!(shown.contains(help), "{shown}");
    }
    let settings = main_of(&transport("type: tcp, endpoint: 'c:9', compression: deflate")).settings;
    assert_eq!(settings.compression, Compression::Deflate);
}
