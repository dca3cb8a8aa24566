//! The rules of `type: websocket`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use townlet_transport::{Auth, SecretSource, Settings};

use crate::support::{findings, loader, transport};

fn websocket(keys: &str) -> String {
    transport(&format!("type: websocket, {keys}"))
}

fn settings(keys: &str) -> Settings {
    let mut loaded = loader().load_str("town.yaml", &websocket(keys)).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    loaded.config.sinks.remove(0).settings
}

/// The findings without their places.
fn found(keys: &str) -> Vec<String> {
    let strip = |line: String| line.rsplit_once(' ').unwrap().0.replace("telemetry.transport.", "");
    findings(&websocket(keys)).into_iter().filter(|line| !line.is_empty()).map(strip).collect()
}

#[test]
fn every_key_reaches_the_backend() {
    let secure =
        settings("websocket_url: 'wss://c.example/ws', verify_hostname: false, acks: false, auth: {bearer_env: T}");
    assert!(secure.enable_tls && !secure.verify_hostname && !secure.acks && !secure.plaintext_acknowledged);
    assert_eq!(secure.auth, Some(Auth::Bearer(SecretSource::Env("T".into()))));
    let keys = "websocket_url: 'ws://localhost:8080/ws', allow_plaintext: true, dev_allow_plaintext: true";
    let plain = settings(keys);
    assert!(!plain.enable_tls && plain.plaintext_acknowledged && plain.acks);
}

#[test]
fn plaintext_needs_both_switches_and_this_machine() {
    let local = "websocket_url: 'ws://localhost/ws'";
    assert_eq!(found(local), ["error plaintext allow_plaintext", "error plaintext dev_allow_plaintext"]);
    assert_eq!(found(&format!("{local}, allow_plaintext: true")), ["error plaintext dev_allow_plaintext"]);
    for far in ["ws://c.example/ws", "ws://localhost.evil.example", "ws://10.0.0.1:80/?localhost"] {
        let keys = format!("websocket_url: '{far}', allow_plaintext: true, dev_allow_plaintext: true");
        assert_eq!(found(&keys), ["error plaintext websocket_url"], "{far}");
    }
    let both = "websocket_url: 'wss://c.example/ws', allow_plaintext: true, dev_allow_plaintext: true";
    assert_eq!(found(both), ["warning no_effect allow_plaintext", "warning no_effect dev_allow_plaintext"]);
    let certificate = "websocket_url: 'ws://[::1]/', allow_plaintext: true, dev_allow_plaintext: true, ca_file: x.pem";
    assert_eq!(found(certificate), ["warning no_effect ca_file"]);
}

#[test]
fn a_url_that_is_wrong_is_the_only_finding() {
    assert_eq!(found("websocket_url: 'https://c.example/ws'"), ["error endpoint websocket_url"]);
    assert_eq!(found("acks: true"), ["error missing websocket_url"]);
}

#[test]
fn there_is_one_token_and_a_client_certificate_has_its_key() {
    let url = "websocket_url: 'wss://c.example/ws'";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let both = format!("{url}, auth: {{bearer_file: '{file}', bearer_env: TOKEN}}");
    assert_eq!(found(&both), ["error conflict auth.bearer_env"]);
    assert_eq!(found(&format!("{url}, auth: {{bearer_file: no/such/token}}")), ["error file auth.bearer_file"]);
    assert_eq!(found(&format!("{url}, auth: {{bearer_file: ' '}}")), ["error missing auth.bearer_file"]);
    assert_eq!(found(&format!("{url}, auth: {{bearer_env: ''}}")), ["error missing auth.bearer_env"]);
    assert_eq!(found(&format!("{url}, cert_file: '{file}'")), ["error missing cert_file"]);
}
