use std::io::Write;
use std::time::{Duration, Instant};

use townlet_testkit::certs::{Issued, Leaf, Pki};
use townlet_testkit::on_time;
use townlet_testkit::peer::{Behaviour, Peer, PeerTls};
use townlet_tls::{ClientOptions, ClientStream, ClientTls, Endpoint, TlsError, TlsErrorKind as Kind, dial};

const SOON: Duration = Duration::from_secs(60);

fn trusting(pki: &Pki) -> ClientOptions {
    ClientOptions { ca_file: Some(pki.ca_file().into()), ..ClientOptions::default() }
}

fn connect(options: &ClientOptions, endpoint: &str, limit: Duration) -> Result<ClientStream, TlsError> {
    let endpoint = Endpoint::parse(endpoint).unwrap();
    let client = ClientTls::load(options)?;
    let deadline = Instant::now() + limit;
    client.handshake(dial(&endpoint, deadline)?, &endpoint, deadline)
}

fn server(certificate: &Issued) -> Peer {
    Peer::tls(PeerTls::new(certificate), Behaviour::Record)
}

fn fails(options: &ClientOptions, peer: &Peer, kind: Kind, says: &str) {
    let error = connect(options, &peer.localhost(), SOON).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
    assert!(error.to_string().contains(&peer.localhost()), "the peer is named: {error}");
}

#[test]
fn a_trusted_server_is_reached_by_name_and_by_address_with_tls_1_3() {
    let pki = Pki::new();
    let peer = server(&pki.localhost());
    for endpoint in [peer.localhost(), peer.endpoint()] {
        let mut stream = connect(&trusting(&pki), &endpoint, SOON).unwrap();
        stream.write_all(b"hello\n").unwrap();
    }
    assert!(peer.wait_for_lines(2, SOON));
    assert_eq!(peer.conversations()[0].version.as_deref(), Some("TLSv1_3"));
}

#[test]
fn an_expired_certificate_is_refused_with_its_age() {
    let pki = Pki::new();
    let peer = server(&pki.issue("old", &Leaf::server(&["localhost"]).expired()));
    fails(&trusting(&pki), &peer, Kind::Expired, "1 day ago");
}

#[test]
fn a_certificate_that_is_not_yet_valid_is_refused() {
    let pki = Pki::new();
    let peer = server(&pki.issue("new", &Leaf::server(&["localhost"]).not_yet_valid()));
    fails(&trusting(&pki), &peer, Kind::NotYetValid, "clock");
}

#[test]
fn a_certificate_for_another_host_is_refused_and_its_names_are_shown() {
    let pki = Pki::new();
    let peer = server(&pki.issue("other", &Leaf::server(&["other.example"])));
    fails(&trusting(&pki), &peer, Kind::WrongHost, "other.example");
}

#[test]
fn without_hostname_verification_another_host_is_accepted_but_not_another_authority() {
    let pki = Pki::new();
    let loose = ClientOptions { verify_hostname: false, ..trusting(&pki) };
    connect(&loose, &server(&pki.issue("other", &Leaf::server(&["other.example"]))).localhost(), SOON).unwrap();
    let stranger = Pki::new();
    fails(&loose, &server(&stranger.localhost()), Kind::UnknownCa, "ca_file");
    fails(&loose, &server(&pki.issue("old", &Leaf::server(&["other.example"]).expired())), Kind::Expired, "renew");
}

#[test]
fn an_unknown_authority_and_a_self_signed_certificate_are_told_apart() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    fails(&trusting(&pki), &server(&stranger.localhost()), Kind::UnknownCa, "ca_file");
    let renewed = (Pki::named("Town CA"), Pki::named("Town CA"));
    fails(&trusting(&renewed.0), &server(&renewed.1.localhost()), Kind::BadSignature, "out of date");
    let own = pki.self_signed("self", &Leaf::server(&["localhost"]));
    fails(&trusting(&pki), &server(&own), Kind::SelfSigned, "itself");
}

#[test]
fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::with_client_ca(&pki.localhost(), pki.ca_file()), Behaviour::Record);
    let own = pki.issue("shard", &Leaf::client("shard-1"));
    let options = ClientOptions { cert_file: Some(own.cert_file), key_file: Some(own.key_file), ..trusting(&pki) };
    connect(&options, &peer.localhost(), SOON).unwrap();
    assert!(peer.wait_for(SOON, |c| c[0].client_certificate));
}

#[test]
fn a_refused_or_missing_client_certificate_fails_the_handshake_not_the_first_send() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let peer = Peer::tls(PeerTls::with_client_ca(&pki.localhost(), pki.ca_file()), Behaviour::Record);
    fails(&trusting(&pki), &peer, Kind::PeerRefused, "cert_file");
    let foreign = stranger.issue("shard", &Leaf::client("shard-1"));
    let options =
        ClientOptions { cert_file: Some(foreign.cert_file), key_file: Some(foreign.key_file), ..trusting(&pki) };
    fails(&options, &peer, Kind::PeerRefused, "does not accept our certificate");
}

#[test]
fn a_peer_that_stalls_or_drips_does_not_outlast_the_deadline() {
    let pki = Pki::new();
    let limit = Duration::from_millis(800);
    for behaviour in [Behaviour::Stall, Behaviour::Drip { every: Duration::from_millis(20) }] {
        on_time("the end of the handshake", limit * 3 / 2, || {
            let peer = Peer::plain(behaviour.clone());
            let started = Instant::now();
            let error = connect(&trusting(&pki), &peer.localhost(), limit).unwrap_err();
            assert_eq!(error.kind(), Kind::HandshakeTimeout, "{error}");
            assert!(started.elapsed() >= limit);
            started.elapsed()
        });
    }
}

#[test]
fn a_peer_that_closes_or_does_not_speak_tls_is_told_apart() {
    let pki = Pki::new();
    fails(&trusting(&pki), &Peer::plain(Behaviour::AcceptAndClose), Kind::PeerClosed, "closed");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let http = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        socket
    });
    let error = connect(&trusting(&pki), &endpoint, SOON).unwrap_err();
    assert_eq!(error.kind(), Kind::BadProtocol, "{error}");
    http.join().unwrap();
}

#[test]
fn tls_1_2_is_accepted_and_its_client_certificates_are_judged_in_the_handshake() {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::tls12(&pki.localhost(), None), Behaviour::Record);
    connect(&trusting(&pki), &peer.localhost(), SOON).unwrap().write_all(b"hello\n").unwrap();
    assert!(peer.wait_for_lines(1, SOON));
    assert_eq!(peer.conversations()[0].version.as_deref(), Some("TLSv1_2"));
    let peer = Peer::tls(PeerTls::tls12(&pki.localhost(), Some(pki.ca_file())), Behaviour::Record);
    let error = connect(&trusting(&pki), &peer.localhost(), SOON).unwrap_err();
    assert_eq!(error.kind(), Kind::PeerRefused, "{error}");
    let own = pki.issue("shard", &Leaf::client("shard-1"));
    let options = ClientOptions { cert_file: Some(own.cert_file), key_file: Some(own.key_file), ..trusting(&pki) };
    connect(&options, &peer.localhost(), SOON).unwrap();
}

#[test]
fn a_server_that_answers_with_tls_1_1_is_refused() {
    let pki = Pki::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    // RFC 4346: a handshake record with a ServerHello of version 3.2, cipher
    // TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no session, no compression.
    let body = [&[3, 2][..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat();
    let hello = [&[22, 3, 2, 0, body.len() as u8 + 4, 2, 0, 0, body.len() as u8][..], &body].concat();
    let old = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(&hello).unwrap();
        socket
    });
    let error = connect(&trusting(&pki), &endpoint, SOON).unwrap_err();
    assert_eq!(error.kind(), Kind::BadProtocol, "{error}");
    assert!(error.to_string().contains("TLS 1.2"), "{error}");
    old.join().unwrap();
}

#[test]
fn alpn_is_negotiated_where_both_know_a_protocol_and_left_out_where_the_peer_has_none() {
    let pki = Pki::new();
    let options = ClientOptions { alpn: vec![b"townlet-ack/1".to_vec()], ..trusting(&pki) };
    let knows = Peer::tls(PeerTls::with_alpn(&pki.localhost(), &["townlet-ack/1"]), Behaviour::Record);
    let stream = connect(&options, &knows.localhost(), SOON).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"townlet-ack/1"[..]));
    let stream = connect(&options, &server(&pki.localhost()).localhost(), SOON).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), None);
    let other = Peer::tls(PeerTls::with_alpn(&pki.localhost(), &["h2"]), Behaviour::Record);
    fails(&options, &other, Kind::NoCommonAlpn, "application protocol");
}

#[test]
fn refused_unresolvable_and_silent_addresses_have_their_kinds() {
    let pki = Pki::new();
    let peer = Peer::plain(Behaviour::Record);
    peer.go_down();
    fails(&trusting(&pki), &peer, Kind::Unreachable, "cannot connect");
    let error = connect(&trusting(&pki), "no-such-host.invalid:9000", SOON).unwrap_err();
    assert_eq!(error.kind(), Kind::NameNotFound, "{error}");
}

#[test]
fn localhost_is_reached_whichever_of_its_addresses_answers() {
    let pki = Pki::new();
    // `localhost` usually resolves to ::1 and 127.0.0.1; this peer has one of them only.
    let peer = Peer::start("127.0.0.1:0", Some(PeerTls::new(&pki.localhost())), Behaviour::Record);
    connect(&trusting(&pki), &peer.localhost(), SOON).unwrap();
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this machine has no IPv6 loopback");
        return;
    }
    let peer = Peer::start("[::1]:0", Some(PeerTls::new(&pki.localhost())), Behaviour::Record);
    connect(&trusting(&pki), &peer.endpoint(), SOON).unwrap();
}
