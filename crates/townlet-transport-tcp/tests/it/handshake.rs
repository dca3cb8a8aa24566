use std::path::PathBuf;
use std::time::{Duration, Instant};

use townlet_testkit::certs::{Issued, Leaf, Pki};
use townlet_testkit::peer::{Behaviour, Peer, PeerTls};
use townlet_testkit::{frames, logged, on_time};
use townlet_tls::ClientOptions;
use townlet_transport::{ErrorKind, Transport};
use townlet_transport_tcp::{Security, TcpOptions};

use crate::{SOON, tls, transport};

fn refused(pki: &Pki, certificate: &Issued, kind: &str) {
    let peer = Peer::tls(PeerTls::new(certificate), Behaviour::Record);
    let mut sink = transport(tls(&peer.localhost(), pki));
    let mut text = String::new();
    let log = logged(|| {
        let error = sink.connect().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        text = error.to_string();
    });
    assert!(text.contains(&peer.localhost()), "{text}");
    let event = format!("telemetry_tls_error endpoint={} kind={kind} error=", peer.localhost());
    assert!(log.contains("ERROR") && log.contains(&event), "{log}");
    assert!(peer.lines().is_empty(), "nothing is sent to an untrusted peer");
}

#[test]
fn an_expired_certificate_is_refused_and_logged() {
    let pki = Pki::new();
    refused(&pki, &pki.issue("old", &Leaf::server(&["localhost"]).expired()), "expired");
}

#[test]
fn a_certificate_that_is_not_yet_valid_is_refused_and_logged() {
    let pki = Pki::new();
    refused(&pki, &pki.issue("new", &Leaf::server(&["localhost"]).not_yet_valid()), "not_yet_valid");
}

#[test]
fn a_certificate_for_another_host_is_refused_and_logged() {
    let pki = Pki::new();
    refused(&pki, &pki.issue("other", &Leaf::server(&["other.example"])), "wrong_host");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_and_logged() {
    let pki = Pki::new();
    refused(&pki, &Pki::new().localhost(), "unknown_ca");
    refused(&pki, &pki.self_signed("self", &Leaf::server(&["localhost"])), "self_signed");
}

#[test]
fn a_peer_that_demands_a_client_certificate_refuses_before_anything_is_sent() {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::with_client_ca(&pki.localhost(), pki.ca_file()), Behaviour::Record);
    let error = transport(tls(&peer.localhost(), &pki)).connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("cert_file"), "{error}");
}

#[test]
fn a_handshake_that_stalls_or_drips_ends_with_the_connect_timeout() {
    let pki = Pki::new();
    let limit = Duration::from_millis(800);
    for behaviour in [Behaviour::Stall, Behaviour::Drip { every: Duration::from_millis(30) }] {
        on_time("the end of the handshake", limit * 3 / 2, || {
            let peer = Peer::plain(behaviour.clone());
            let mut sink = transport(TcpOptions { connect_timeout: limit, ..tls(&peer.localhost(), &pki) });
            let started = Instant::now();
            let error = sink.connect().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            assert!(started.elapsed() >= limit);
            started.elapsed()
        });
    }
}

#[test]
fn a_peer_that_accepts_and_closes_is_an_error_to_retry() {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record).then(Behaviour::AcceptAndClose);
    let mut sink = transport(tls(&peer.localhost(), &pki));
    let error = sink.connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    assert!(error.kind().is_retryable());
    assert!(sink.connect().unwrap().fresh);
    sink.send(&frames(1..=1)).unwrap();
    assert!(peer.wait_for_lines(1, SOON));
}

#[test]
fn renewed_certificate_files_are_picked_up_after_a_failed_handshake() {
    let (pki, old) = (Pki::new(), Pki::new());
    let peer = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record);
    let ca_file: PathBuf = pki.dir().join("trusted.pem");
    std::fs::copy(old.ca_file(), &ca_file).unwrap();
    let client = ClientOptions { ca_file: Some(ca_file.clone()), ..ClientOptions::default() };
    let options = TcpOptions { security: Security::Tls(client), ..tls(&peer.localhost(), &pki) };
    let mut sink = transport(options);
    assert_eq!(sink.connect().unwrap_err().kind(), ErrorKind::Tls);
    std::fs::write(&ca_file, "half written").unwrap();
    assert_eq!(sink.connect().unwrap_err().kind(), ErrorKind::Tls, "a damaged file changes nothing");
    std::fs::copy(pki.ca_file(), &ca_file).unwrap();
    assert!(sink.connect().unwrap().tls);
}
