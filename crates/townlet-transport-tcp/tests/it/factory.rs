use std::time::Duration;

use townlet_testkit::certs::Pki;
use townlet_testkit::frames;
use townlet_testkit::peer::{Behaviour, Peer, PeerTls};
use townlet_transport::{ErrorKind, Factory, Settings};
use townlet_transport_tcp::TcpFactory;

use crate::SOON;

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

fn refused(settings: &Settings, says: &str) {
    let Err(error) = TcpFactory.build(settings) else { panic!("{settings:?} was accepted") };
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn settings_become_a_working_transport_with_tls_by_default() {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record);
    let settings = settings(|s| {
        s.endpoint = Some(peer.localhost());
        s.ca_file = Some(pki.ca_file().into());
    });
    assert_eq!(TcpFactory.kind(), "tcp");
    let mut sink = TcpFactory.build(&settings).unwrap();
    assert!(peer.conversations().is_empty(), "building touches no network");
    assert!(sink.connect().unwrap().tls);
    sink.send(&frames(1..=2)).unwrap();
    assert!(peer.wait_for_lines(2, SOON));
}

#[test]
fn the_key_at_fault_is_named() {
    refused(&Settings::default(), "telemetry.transport.endpoint is required when type is 'tcp'");
    refused(&settings(|s| s.endpoint = Some("  ".into())), "telemetry.transport.endpoint is required");
    refused(
        &settings(|s| s.endpoint = Some("collector".into())),
        "telemetry.transport.endpoint \"collector\" has no port",
    );
    let local = |change: fn(&mut Settings)| {
        settings(|s| {
            s.endpoint = Some("127.0.0.1:9000".into());
            s.ca_file = Some("no/such/ca.pem".into());
            change(s);
        })
    };
    refused(&local(|_| {}), "ca_file no/such/ca.pem does not exist");
    refused(&local(|s| s.connect_timeout = Duration::ZERO), "connect_timeout_seconds");
    refused(&local(|s| s.send_timeout = Duration::ZERO), "send_timeout_seconds");
}

#[test]
fn plaintext_is_refused_unless_acknowledged_and_local() {
    let plain = |acknowledged, endpoint: &str| {
        settings(|s| {
            s.enable_tls = false;
            s.plaintext_acknowledged = acknowledged;
            s.endpoint = Some(endpoint.into());
        })
    };
    refused(&plain(false, "127.0.0.1:9000"), "allow_plaintext");
    refused(&plain(true, "collector.example:9000"), "this machine only");
    assert!(TcpFactory.build(&plain(true, "[::1]:9000")).is_ok());
}
