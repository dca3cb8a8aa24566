//! Under TLS, and what a handshake that fails is called.

use std::time::{Duration, Instant};

use townlet_nats::{NatsOptions, Security, Servers};
use townlet_testkit::certs::{Issued, Leaf, Pki};
use townlet_testkit::frames;
use townlet_testkit::nats::NatsServer;
use townlet_tls::{ClientOptions, PlaintextFlags};
use townlet_transport::{ErrorKind, Transport};
use townlet_transport_nats::NatsTransportOptions;

use crate::{STREAM, deliver, options, stored, there, transport};

fn with_tls(certificate: &Issued, client_ca: Option<&std::path::Path>) -> NatsServer {
    let (cert, key) = (certificate.cert_file.display(), certificate.key_file.display());
    let verify = client_ca.map(|ca| format!("ca_file: \"{}\", verify: true", ca.display())).unwrap_or_default();
    NatsServer::start(&format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\", {verify} }}"))
}

fn secure(server: &NatsServer, client: ClientOptions) -> NatsTransportOptions {
    let servers = Servers::parse(&format!("tls://localhost:{}", server.port())).unwrap();
    let mut nats = NatsOptions::new(servers, PlaintextFlags::default()).unwrap();
    nats.security = Security::Tls(client);
    NatsTransportOptions { nats, ..options(&server.url()) }
}

fn trusting(pki: &Pki) -> ClientOptions {
    ClientOptions { ca_file: Some(pki.ca_file().into()), ..ClientOptions::default() }
}

#[test]
fn frames_arrive_under_tls_with_a_client_certificate() {
    if !there() {
        return;
    }
    let pki = Pki::new();
    let own = pki.issue("shard", &Leaf::client("shard-7"));
    let server = with_tls(&pki.localhost(), Some(pki.ca_file()));
    let client = ClientOptions {
        cert_file: Some(own.cert_file.clone()),
        key_file: Some(own.key_file.clone()),
        ..trusting(&pki)
    };
    let mut sink = transport(secure(&server, client));
    let connected = sink.connect().unwrap();
    assert!(connected.tls && connected.certificate_until.is_some());
    deliver(&mut sink, &frames(1..=100)).unwrap();
    sink.close();
    assert!(server.said().is_empty() || !server.said().contains("TLS handshake error"), "{}", server.said());
}

#[test]
fn a_renewed_certificate_is_known_while_the_connection_goes_on() {
    if !there() {
        return;
    }
    let pki = Pki::new();
    let own = pki.issue("shard", &Leaf::client("shard-7"));
    let server = with_tls(&pki.localhost(), Some(pki.ca_file()));
    let client = ClientOptions {
        cert_file: Some(own.cert_file.clone()),
        key_file: Some(own.key_file.clone()),
        ..trusting(&pki)
    };
    let mut sink = transport(secure(&server, client));
    assert!(sink.connect().unwrap().fresh);
    pki.issue("again", &Leaf::client("shard-7")).put(&own);
    let since = Instant::now();
    while sink.certificates().unwrap().status().reloads_total == 0 {
        assert!(!sink.connect().unwrap().fresh, "the connection goes on");
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", sink.certificates());
        std::thread::yield_now();
    }
    deliver(&mut sink, &frames(1..=1)).unwrap();
}

#[test]
fn a_server_that_cannot_be_trusted_gets_nothing() {
    if !there() {
        return;
    }
    let (pki, other) = (Pki::new(), Pki::new());
    let expired = pki.issue("old", &Leaf::server(&["localhost"]).expired());
    let elsewhere = pki.issue("elsewhere", &Leaf::server(&["elsewhere.example"]));
    for (certificate, trusted, says) in [
        (pki.localhost(), &other, "authority that is not trusted"),
        (expired, &pki, "expired"),
        (elsewhere, &pki, "for another host"),
    ] {
        let server = with_tls(&certificate, None);
        let error = transport(secure(&server, trusting(trusted))).connect().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn one_side_with_tls_and_the_other_without_is_an_error_and_no_message_goes_out() {
    if !there() {
        return;
    }
    let pki = Pki::new();
    let server = with_tls(&pki.localhost(), None);
    let error = transport(options(&server.url())).connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    let server = NatsServer::start("");
    let error = transport(secure(&server, trusting(&pki))).connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    let mut sink = transport(options(&server.url()));
    deliver(&mut sink, &frames(1..=1)).unwrap();
    assert_eq!(stored::all(&server.url(), STREAM).len(), 1);
}
