//! The rules of `type: nats`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use townlet_transport::{Auth, BrokerSettings, Level, SecretSource, Settings};

use crate::support::{findings, loader, transport};

fn nats(keys: &str) -> String {
    transport(&format!("type: nats, {keys}"))
}

fn settings(keys: &str) -> Settings {
    let mut loaded = loader().load_str("town.yaml", &nats(keys)).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    loaded.config.sinks.remove(0).settings
}

/// The findings without their places.
fn found(keys: &str) -> Vec<String> {
    let strip = |line: String| line.rsplit_once(' ').unwrap().0.replace("telemetry.transport.", "");
    findings(&nats(keys)).into_iter().filter(|line| !line.is_empty()).map(strip).collect()
}

#[test]
fn every_key_reaches_the_backend() {
    let secure = settings(
        "endpoint: 'tls://a.example,tls://b.example:4223', verify_hostname: false, settle_at: peer_acked, \
         auth: {user: ann, password_env: PW}, nats: {stream: FLEET, subject: 'f.{stream}', partitions: 1, create: true, \
         replicas: 3, max_bytes: 1000000, duplicate_window_seconds: 30}",
    );
    assert!(secure.enable_tls && !secure.verify_hostname && !secure.plaintext_acknowledged);
    assert_eq!(secure.endpoint.as_deref(), Some("tls://a.example,tls://b.example:4223"));
    assert_eq!(secure.auth, Some(Auth::Basic("ann".into(), SecretSource::Env("PW".into()))));
    assert_eq!(secure.settle_at, Level::PeerAcked);
    let broker = &secure.broker;
    assert_eq!((broker.stream.as_str(), broker.subject.as_str(), broker.partitions), ("FLEET", "f.{stream}", 1));
    let create = broker.create.as_ref().unwrap();
    assert_eq!((create.replicas, create.max_bytes), (3, Some(1_000_000)));
    assert_eq!(create.duplicate_window, Duration::from_secs(30));
    let plain = settings("endpoint: 'nats://localhost', allow_plaintext: true, dev_allow_plaintext: true");
    assert!(!plain.enable_tls && plain.plaintext_acknowledged);
    assert_eq!(plain.broker, BrokerSettings::default());
}

#[test]
fn plaintext_needs_both_switches_and_this_machine_for_every_server() {
    assert_eq!(
        found("endpoint: 'nats://localhost'"),
        ["error plaintext allow_plaintext", "error plaintext dev_allow_plaintext"]
    );
    let both = "allow_plaintext: true, dev_allow_plaintext: true";
    assert_eq!(found(&format!("endpoint: 'nats://localhost,nats://c.example', {both}")), ["error plaintext endpoint"]);
    assert_eq!(
        found(&format!("endpoint: 'tls://c.example', {both}")),
        ["warning no_effect allow_plaintext", "warning no_effect dev_allow_plaintext"]
    );
}

#[test]
fn servers_that_are_wrong_are_the_only_finding() {
    for wrong in ["localhost:4222", "http://a.example", "tls://a.example,nats://b.example", "tls://u:p@a.example"] {
        assert_eq!(found(&format!("endpoint: '{wrong}'")), ["error endpoint endpoint"], "{wrong}");
    }
    assert_eq!(found("nats: {stream: T}"), ["error missing endpoint"]);
}

#[test]
fn what_a_stream_of_the_broker_cannot_be_is_found() {
    let at = "endpoint: 'tls://a.example'";
    assert_eq!(found(&format!("{at}, nats: {{replicas: 3}}")), ["warning no_effect nats.replicas"]);
    assert_eq!(found(&format!("{at}, nats: {{max_bytes: 5000}}")), ["warning no_effect nats.max_bytes"]);
    assert_eq!(found(&format!("{at}, nats: {{partitions: 0}}")), ["error out_of_range nats.partitions"]);
    assert_eq!(found(&format!("{at}, nats: {{stream: ' '}}")), ["error missing nats.stream"]);
    assert_eq!(found(&format!("{at}, settle_at: durable")), ["error conflict settle_at"]);
    let elsewhere = transport("type: tcp, endpoint: 'c.example:1', nats: {stream: T}");
    assert!(findings(&elsewhere).iter().any(|line| line.contains("not_for_type telemetry.transport.nats")));
}
