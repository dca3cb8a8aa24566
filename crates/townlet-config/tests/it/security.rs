//! TLS, plaintext, certificates and credentials.

use townlet_config::Loader;
use townlet_transport::{Auth, SecretSource};

use crate::support::{Registered, accept, certificates, diagnose, findings, lines, main_of, only_error, transport};

#[test]
fn switches_that_are_off_may_stand_anywhere() {
    for kind in ["type: stdout", "type: file, file_path: logs/x", "type: prometheus, file_path: m.prom"] {
        let keys = "enable_tls: false, allow_plaintext: false, dev_allow_plaintext: false, endpoint: ''";
        assert_eq!(findings(&transport(&format!("{kind}, {keys}"))), [""; 0]);
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
