//! `wss`, with certificates that are right and certificates that are not.

use std::time::{Duration, Instant, SystemTime};

use townlet_testkit::certs::{Issued, Leaf, Pki};
use townlet_testkit::{Case, conformance, frame_of_len, frames};
use townlet_tls::{ClientOptions, ServerOptions, ServerTls};
use townlet_transport::{ErrorKind, Level, Transport, TransportError};
use townlet_transport_websocket::{Security, WsOptions, WsUrl};

use crate::peer::{Manner, Peer};
use crate::{collect, transport};

fn server(certificate: &Issued) -> ServerTls {
    ServerTls::load(&ServerOptions::new(&certificate.cert_file, &certificate.key_file)).unwrap()
}

fn trusting(peer: &Peer, ca: &Pki) -> (WsUrl, ClientOptions) {
    let url = WsUrl::parse(&format!("wss://localhost:{}/v1/telemetry/ws", peer.address.port())).unwrap();
    (url, ClientOptions { ca_file: Some(ca.ca_file().into()), ..ClientOptions::default() })
}

fn options((url, client): (WsUrl, ClientOptions)) -> WsOptions {
    WsOptions { send_timeout: Duration::from_secs(30), ..WsOptions::new(url, Security::Tls(client)) }
}

fn refused(certificate: &Issued, ca: &Pki) -> TransportError {
    let peer = Peer::secure(Manner::Acknowledge, server(certificate));
    let error = transport(options(trusting(&peer, ca))).connect().unwrap_err();
    assert_eq!(peer.look(|seen| seen.asked.len()), 0, "nothing was said before the certificate was checked");
    error
}

struct Wss(Peer, Pki);

impl Case for Wss {
    fn transport(&mut self) -> Box<dyn Transport> {
        Box::new(transport(options(trusting(&self.0, &self.1))))
    }
    fn arrived(&mut self, count: usize) -> Vec<Vec<u8>> {
        self.0.wait_for(|seen| seen.lines.len() >= count);
        self.0.look(|seen| seen.lines.clone())
    }
    fn openings(&mut self) -> Option<usize> {
        Some(self.0.look(|seen| seen.openings))
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn begin_outage(&mut self) -> bool {
        self.0.go_down();
        true
    }
    fn end_outage(&mut self) {
        self.0.come_back();
    }
}

#[test]
fn under_tls_it_keeps_the_contract() {
    for manner in [Manner::Acknowledge, Manner::Plain] {
        conformance(|| {
            let ca = Pki::new();
            Wss(Peer::secure(manner, server(&ca.localhost())), ca)
        });
    }
}

#[test]
fn a_certificate_of_a_known_authority_for_this_host_is_taken() {
    let ca = Pki::new();
    let peer = Peer::secure(Manner::Acknowledge, server(&ca.localhost()));
    let mut sink = transport(options(trusting(&peer, &ca)));
    let connected = sink.connect().unwrap();
    assert!(connected.tls);
    assert_eq!(connected.level, Level::PeerAcked);
    sink.send(&frames(1..=1000)).unwrap();
    collect(&mut sink, 1000);
}

#[test]
fn a_certificate_for_another_host_is_refused_unless_told_otherwise() {
    let ca = Pki::new();
    let other = ca.issue("other", &Leaf::server(&["other.example"]));
    let error = refused(&other, &ca);
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("localhost") && error.to_string().contains("other.example"), "{error}");
    let peer = Peer::secure(Manner::Acknowledge, server(&other));
    let (url, client) = trusting(&peer, &ca);
    let client = ClientOptions { verify_hostname: false, ..client };
    assert!(transport(options((url, client))).connect().unwrap().tls);
}

#[test]
fn an_unknown_authority_and_an_expired_certificate_are_refused() {
    let (ca, stranger) = (Pki::new(), Pki::new());
    let error = refused(&ca.localhost(), &stranger);
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("ca_file"), "{error}");
    let error = refused(&ca.issue("old", &Leaf::server(&["localhost"]).expired()), &ca);
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("expired"), "{error}");
}

/// Under TLS 1.3 the refusal comes after the client's side of the handshake:
/// with the answer to the WebSocket handshake, and is no network trouble.
#[test]
fn a_missing_client_certificate_is_an_error_of_tls() {
    let ca = Pki::new();
    let own = ca.localhost();
    let demanding = ServerOptions {
        client_ca_file: Some(ca.ca_file().into()),
        ..ServerOptions::new(&own.cert_file, &own.key_file)
    };
    let peer = Peer::secure(Manner::Acknowledge, ServerTls::load(&demanding).unwrap());
    let error = transport(options(trusting(&peer, &ca))).connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("cert_file"), "{error}");
    let client = ca.issue("shard", &Leaf::client("shard-1"));
    let (url, trust) = trusting(&peer, &ca);
    let shown = ClientOptions { cert_file: Some(client.cert_file), key_file: Some(client.key_file), ..trust };
    let mut sink = transport(options((url, shown)));
    sink.connect().unwrap();
    let days = sink.certificates().unwrap().days_to_expiry(SystemTime::now()).unwrap();
    assert!((88..=90).contains(&days), "{days}");
}

#[test]
fn a_peer_without_tls_and_one_that_says_nothing_end_within_the_time() {
    let ca = Pki::new();
    let silent = Peer::secure(Manner::Silent, server(&ca.localhost()));
    let begun = Instant::now();
    let hurried = WsOptions { connect_timeout: Duration::from_millis(200), ..options(trusting(&silent, &ca)) };
    let error = transport(hurried).connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let plain = Peer::start(Manner::Answer("HTTP/1.1 400 Bad Request\r\n\r\n"));
    let hurried = WsOptions { connect_timeout: Duration::from_millis(500), ..options(trusting(&plain, &ca)) };
    let error = transport(hurried).connect().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Timeout), "{error}");
}

#[test]
fn a_peer_that_reads_nothing_ends_a_send_within_its_time_under_tls_too() {
    let ca = Pki::new();
    let peer = Peer::secure(Manner::Mute, server(&ca.localhost()));
    let hurried = WsOptions { send_timeout: Duration::from_millis(200), ..options(trusting(&peer, &ca)) };
    let mut sink = transport(hurried);
    sink.connect().unwrap();
    let batch: Vec<_> = (1..=16).map(|seq| frame_of_len(seq, 2 << 20)).collect();
    let begun = Instant::now();
    let error = sink.send(&batch).unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
