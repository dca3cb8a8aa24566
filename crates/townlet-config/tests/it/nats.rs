//! The rules of `type: nats`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use townlet_transport::{Auth, BrokerSettings, Level, SecretSource, Settings};

use crate::support::{findings, lines, loader, transport};

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
fn users_that_are_keys_are_named_by_their_files() {
    let at = "endpoint: 'tls://a.example'";
    let auth = |keys: &str| settings(&format!("{at}, auth: {{{keys}}}")).auth.unwrap();
    assert_eq!(auth("credentials_env: CREDS"), Auth::Credentials(SecretSource::Env("CREDS".into())));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.nk");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(auth(&format!("nkey_seed_file: '{}'", file.display())), Auth::NkeySeed(SecretSource::File(file)));
    for (keys, says) in [
        ("credentials_env: C, nkey_seed_env: S", "error conflict auth"),
        ("credentials_env: C, bearer_env: T", "error conflict auth"),
        ("nkey_seed_env: S, user: ann, password_env: PW", "error conflict auth"),
        ("nkey_seed_env: S, user: ann", "error conflict auth"),
        ("credentials_env: C, headers_env: H", "error conflict auth"),
        ("credentials_file: c, credentials_env: C", "error conflict auth.credentials_env"),
        ("credentials_file: ' '", "error missing auth.credentials_file"),
        ("nkey_seed_env: 'not a name'", "error bad_choice auth.nkey_seed_env"),
        ("headers_env: H", "error not_for_type auth"),
    ] {
        assert_eq!(found(&format!("{at}, auth: {{{keys}}}")), [says], "{keys}");
    }
    for key in ["credentials_env: C", "nkey_seed_env: S"] {
        let elsewhere = transport(&format!("type: http, endpoint: 'https://c', auth: {{{key}}}"));
        assert!(findings(&elsewhere)[0].starts_with("error not_for_type telemetry.transport.auth "), "{key}");
    }
}

#[test]
fn a_key_that_everybody_may_read_is_a_warning_and_one_that_nobody_can_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shard.creds");
    std::fs::write(&file, "x").unwrap();
    let yaml = "telemetry:\n  transport:\n    type: nats\n    endpoint: tls://a.example\n    auth:\n      \
                credentials_file: shard.creds\n";
    std::fs::write(folder.path().join("town.yaml"), yaml).unwrap();
    let found = |mode: u32| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        lines(&match loader().load_file(folder.path().join("town.yaml")) {
            Ok(loaded) => loaded.warnings,
            Err(found) => found,
        })
    };
    let at = "telemetry.transport.auth.credentials_file 6:";
    assert_eq!(found(0o600), Vec::<String>::new());
    assert_eq!(found(0o640), Vec::<String>::new());
    assert!(found(0o644)[0].starts_with(&format!("warning file {at}")), "{:?}", found(0o644));
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(found(0o700)[0].starts_with(&format!("error file {at}")), "{:?}", found(0o700));
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
