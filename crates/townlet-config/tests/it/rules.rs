//! What the transport's keys mean together.

use std::time::Duration;
use townlet_config::{Loader, SinkConfig, load_str};

use townlet_transport::{Auth, Compression, Fsync, Level, SecretSource};

use crate::support::{Registered, accept, diagnose, findings, lines, only_error, transport};

/// A PEM-like file, and text that is none, in a folder of its own.
fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(folder.path().join("client.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(folder.path().join("client.key"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    std::fs::write(folder.path().join("letter.txt"), "dear all").unwrap();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    folder
}

fn main_of(text: &str) -> SinkConfig {
    accept(text).config.sinks.remove(0)
}

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
fn switches_that_are_off_may_stand_anywhere() {
    for kind in ["type: stdout", "type: file, file_path: logs/x", "type: prometheus, file_path: m.prom"] {
        let keys = "enable_tls: false, allow_plaintext: false, dev_allow_plaintext: false, endpoint: ''";
        assert_eq!(findings(&transport(&format!("{kind}, {keys}"))), [""; 0]);
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
fn tls_is_on_unless_both_switches_and_a_loopback_allow_plaintext() {
    let on = main_of(&transport("type: tcp, endpoint: 'collector.example:9000'"));
    assert!(on.settings.enable_tls && !on.settings.plaintext_acknowledged);
    for host in ["localhost", "127.0.0.1", "'[::1]", "LOCALHOST"] {
        let quote = if host.starts_with('\'') { "'" } else { "" };
        let off = main_of(&transport(&format!(
            "type: tcp, endpoint: {host}:9000{quote}, allow_plaintext: true, dev_allow_plaintext: true"
        )));
        assert!(!off.settings.enable_tls && off.settings.plaintext_acknowledged, "{host}");
    }
    for (keys, expected) in [
        ("enable_tls: false", &["allow_plaintext", "dev_allow_plaintext"][..]),
        ("allow_plaintext: true", &["dev_allow_plaintext"]),
        ("enable_tls: false, dev_allow_plaintext: true", &["allow_plaintext"]),
        ("enable_tls: false, allow_plaintext: true, dev_allow_plaintext: false", &["dev_allow_plaintext"]),
    ] {
        let found = diagnose(&transport(&format!("type: tcp, endpoint: 'localhost:9000', {keys}")));
        let keys: Vec<_> =
            found.iter().map(|d| (d.code.as_str(), d.key.trim_start_matches("telemetry.transport."))).collect();
        assert_eq!(keys, expected.iter().map(|key| ("plaintext", *key)).collect::<Vec<_>>());
    }
    for host in ["collector.example", "10.0.0.1", "'[2001:db8::1]", "localhost.example", "0.0.0.0"] {
        let quote = if host.starts_with('\'') { "'" } else { "" };
        let text = format!("type: tcp, endpoint: {host}:9000{quote}, allow_plaintext: true, dev_allow_plaintext: true");
        assert_eq!(only_error(&transport(&text)).0, "plaintext telemetry.transport.endpoint", "{host}");
    }
}

#[test]
fn plaintext_switches_under_tls_are_reported_and_cleared() {
    let loaded = accept(&transport(
        "type: tcp, endpoint: 'collector.example:9000', enable_tls: true, allow_plaintext: true, dev_allow_plaintext: true",
    ));
    let settings = &loaded.config.sinks[0].settings;
    assert!(settings.enable_tls && !settings.plaintext_acknowledged);
    assert_eq!(
        lines(&loaded.warnings),
        [
            "warning no_effect telemetry.transport.allow_plaintext 1:90",
            "warning no_effect telemetry.transport.dev_allow_plaintext 1:113",
        ]
    );
}

#[test]
fn a_client_certificate_is_a_pair() {
    let folder = certificates();
    let load = |keys: &str| {
        let text = transport(&format!("type: tcp, endpoint: 'collector.example:9000', {keys}"));
        Loader::new().base_dir(folder.path()).load_str("town.yaml", &text)
    };
    assert!(load("cert_file: client.pem, key_file: client.key").is_ok());
    for (keys, key) in [("cert_file: client.pem", "cert_file"), ("key_file: client.key", "key_file")] {
        let found = load(keys).unwrap_err();
        assert_eq!(found.len(), 1, "{found}");
        let error = found.iter().next().unwrap();
        assert_eq!((error.code.as_str(), error.key.as_str()), ("missing", &*format!("telemetry.transport.{key}")));
    }
}

#[test]
fn certificate_files_are_opened_at_load() {
    let folder = certificates();
    let tcp = Registered("tcp");
    let loader = Loader::new().factory(&tcp).base_dir(folder.path());
    let load = |file: &str| {
        loader.load_str("town.yaml", &transport(&format!("type: tcp, endpoint: 'c.example:9', ca_file: {file}")))
    };
    let loaded = load("ca.pem").unwrap();
    assert_eq!(loaded.config.sinks[0].settings.ca_file, Some(folder.path().join("ca.pem")));
    for (file, code, says) in [
        ("missing.pem", "file", "No such file"),
        ("folder", "file", "it is a directory"),
        ("''", "missing", "must not be blank"),
        ("letter.txt", "transport", "holds no certificate"),
    ] {
        let found = load(file).unwrap_err();
        let errors: Vec<_> = found.errors().collect();
        assert_eq!(errors.len(), 1, "{found}");
        assert_eq!((errors[0].code.as_str(), &*errors[0].key), (code, "telemetry.transport.ca_file"));
        assert!(errors[0].message.contains(says), "{found}");
        assert!((errors[0].line, errors[0].column) > (0, 50), "{found}");
    }
    assert!(loader.skip_files().load_str("town.yaml", &transport("type: tcp, endpoint: 'c:9', ca_file: no")).is_ok());
}

#[test]
fn a_sink_path_that_is_a_directory_is_refused() {
    let folder = certificates();
    let loader = Loader::new().base_dir(folder.path());
    let found = loader.load_str("town.yaml", &transport("type: file, file_path: folder")).unwrap_err();
    assert_eq!(lines(&found), ["error file telemetry.transport.file_path 1:37"]);
}

#[test]
fn the_scheme_of_a_url_decides_about_tls() {
    for (keys, endpoint, tls) in [
        (
            "type: http, endpoint: 'HTTP://[::1]/in', allow_plaintext: true, dev_allow_plaintext: true",
            "http://[::1]/in",
            false,
        ),
        ("type: http, endpoint: 'https://c.example/in'", "https://c.example/in", true),
        ("type: websocket, websocket_url: 'wss://c.example/'", "wss://c.example/", true),
        (
            "type: websocket, websocket_url: 'ws://[::1]:80/', allow_plaintext: true, dev_allow_plaintext: true",
            "ws://[::1]:80/",
            false,
        ),
    ] {
        let settings = main_of(&transport(keys)).settings;
        assert_eq!((settings.endpoint.as_deref(), settings.enable_tls), (Some(endpoint), tls));
    }
    for (keys, key) in [
        ("type: http, endpoint: 'collector:80'", "endpoint"),
        ("type: http, endpoint: 'https://me:secret@c.example/'", "endpoint"),
        ("type: websocket, websocket_url: 'any text'", "websocket_url"),
    ] {
        assert_eq!(only_error(&transport(keys)).0, format!("endpoint telemetry.transport.{key}"));
    }
}

#[test]
fn http_without_tls_needs_both_switches_and_this_machine() {
    let both = "allow_plaintext: true, dev_allow_plaintext: true";
    for (keys, key) in [
        ("endpoint: 'http://localhost/', dev_allow_plaintext: true".to_owned(), "allow_plaintext"),
        ("endpoint: 'http://localhost/', allow_plaintext: true".to_owned(), "dev_allow_plaintext"),
        (format!("endpoint: 'http://c.example/', {both}"), "endpoint"),
    ] {
        assert_eq!(
            only_error(&transport(&format!("type: http, {keys}"))).0,
            format!("plaintext telemetry.transport.{key}")
        );
    }
    let settings = main_of(&transport(&format!("type: http, endpoint: 'http://127.0.0.1:8080/', {both}"))).settings;
    assert!(!settings.enable_tls && settings.plaintext_acknowledged);
}

#[test]
fn credentials_name_the_place_of_a_secret_and_only_one() {
    let http = |keys: &str| transport(&format!("type: http, endpoint: 'https://c', {keys}"));
    let auth = |keys: &str| main_of(&http(&format!("auth: {{{keys}}}"))).settings.auth.unwrap();
    assert_eq!(auth("bearer_env: TOKEN"), Auth::Bearer(SecretSource::Env("TOKEN".into())));
    assert_eq!(auth("headers_env: HEADERS"), Auth::Headers(SecretSource::Env("HEADERS".into())));
    assert_eq!(auth("user: ann, password_env: PW"), Auth::Basic("ann".into(), SecretSource::Env("PW".into())));
    for (keys, error) in [
        ("", "missing telemetry.transport.auth"),
        ("user: ann", "missing telemetry.transport.auth"),
        ("password_env: PW", "missing telemetry.transport.auth"),
        ("bearer_env: T, user: ann, password_env: PW", "conflict telemetry.transport.auth"),
        ("bearer_env: T, headers_env: H", "conflict telemetry.transport.auth"),
        ("user: ann, headers_env: H", "conflict telemetry.transport.auth"),
        ("bearer_env: T, bearer_file: t", "conflict telemetry.transport.auth.bearer_env"),
        ("bearer_env: ''", "missing telemetry.transport.auth.bearer_env"),
        ("user: 'a:b', password_env: PW", "bad_choice telemetry.transport.auth"),
    ] {
        assert_eq!(only_error(&http(&format!("auth: {{{keys}}}"))).0, error, "{keys}");
    }
    let (error, shown) = only_error(&http("auth: {bearer_env: 'hunter-2'}"));
    assert_eq!(error, "bad_choice telemetry.transport.auth.bearer_env");
    assert!(shown.contains("takes the name of an environment variable"), "{shown}");
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
fn a_path_with_a_day_in_it_finishes_files_as_rotation_does() {
    let keys = "type: file, file_path: 'logs/%F/x', keep_seconds: 86400, keep_bytes: 9000, compression: gzip, \
        fsync: interval, fsync_interval_seconds: 0.5";
    let loaded = accept(&transport(keys));
    assert_eq!(loaded.warnings.iter().count(), 0);
    let settings = &loaded.config.sinks[0].settings;
    assert_eq!((settings.keep_for, settings.keep_bytes), (Some(Duration::from_secs(86_400)), Some(9000)));
    assert_eq!(
        (settings.fsync, settings.compression),
        (Fsync::Interval(Duration::from_millis(500)), Compression::Gzip)
    );
    let settings = main_of(&transport("type: file, file_path: x, fsync: interval")).settings;
    assert_eq!(settings.fsync, Fsync::Interval(Duration::from_secs(1)));
    let settings = main_of(&transport("type: file, file_path: x, fsync: on_rotation")).settings;
    assert_eq!(settings.fsync, Fsync::OnRotation);
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
fn more_sinks_have_the_same_keys_and_their_own_names() {
    let text = "
telemetry:
  transport: {type: file, file_path: logs/a}
  worker: {backpressure: block}
  sinks:
    live: {type: tcp, endpoint: 'c.example:9', worker: {restart_limit: 7}, buffer: {max_batch_size: 9}}
    copy: {type: file, file_path: logs/b, settle_at: sent}
";
    let sinks = accept(text).config.sinks;
    let names: Vec<_> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["main", "live", "copy"]);
    assert_eq!((sinks[1].worker.restart_limit, sinks[1].buffer.max_batch_size), (7, 9));
    assert_eq!(sinks[1].worker.backpressure.as_str(), "drop_oldest");
}

#[test]
fn sinks_that_would_collide_are_refused() {
    for (sinks, expected) in [
        ("{main: {type: stdout}}", "conflict telemetry.sinks.main"),
        ("{Loud: {type: stdout}}", "bad_choice telemetry.sinks.Loud"),
        ("{a__b: {type: stdout}}", "bad_choice telemetry.sinks.a__b"),
        ("{a: {file_path: x}}", "missing telemetry.sinks.a.type"),
        ("{a: {type: stdout}}", "conflict telemetry.sinks.a.type"),
        (
            "{a: {type: file, file_path: x}, b: {type: prometheus, file_path: x}}",
            "conflict telemetry.sinks.b.file_path",
        ),
        (
            "{a: {type: prometheus, scrape_listen: '[::1]:9'}, b: {type: prometheus, scrape_listen: '[::1]:9'}}",
            "conflict telemetry.sinks.b.scrape_listen",
        ),
        ("{a: 7}", "wrong_type telemetry.sinks.a"),
    ] {
        let found = diagnose(&format!("telemetry: {{sinks: {sinks}}}"));
        let first = found.errors().next().unwrap_or_else(|| panic!("{sinks} was accepted"));
        assert_eq!(format!("{} {}", first.code, first.key), expected);
    }
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let folder = certificates();
    let file = folder.path().join("town.yaml");
    std::fs::write(&file, transport("type: file, file_path: logs/x.jsonl")).unwrap();
    let path = |loader: Loader<'_>| loader.load_file(&file).unwrap().config.sinks.remove(0).settings.file_path.unwrap();
    assert_eq!(path(Loader::new()), folder.path().join("logs/x.jsonl"));
    assert_eq!(path(Loader::new().base_dir("/srv")), std::path::Path::new("/srv/logs/x.jsonl"));

    let home = transport("type: file, file_path: ~/x.jsonl");
    let sink = Loader::new().home("/homes/ada").load_str("t", &home).unwrap().config.sinks.remove(0);
    assert_eq!(sink.settings.file_path.unwrap(), std::path::Path::new("/homes/ada/x.jsonl"));
    assert_eq!(lines(&load_str("t", &home).unwrap_err()), ["error file telemetry.transport.file_path 1:37"]);
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
