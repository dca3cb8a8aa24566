use std::time::{Duration, Instant, SystemTime};

use townlet_testkit::certs::{Leaf, Pki};
use townlet_testkit::on_time;
use townlet_testkit::peer::{Behaviour, Peer, PeerTls};
use townlet_tls::{ClientOptions, ClientTls, Endpoint, ProbeReport, TlsError, TlsErrorKind as Kind, probe};

const DAY: Duration = Duration::from_secs(86_400);

fn run(pki: &Pki, peer: &Peer, now: SystemTime) -> Result<ProbeReport, TlsError> {
    let options = ClientOptions { ca_file: Some(pki.ca_file().into()), ..ClientOptions::default() };
    let client = ClientTls::load(&options).unwrap();
    probe(&Endpoint::parse(&peer.localhost()).unwrap(), &client, Duration::from_secs(10), now)
}

#[test]
fn a_healthy_server_is_described() {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record);
    let report = run(&pki, &peer, SystemTime::now()).unwrap();
    assert!(report.verdict.is_ok() && report.host_matches);
    assert_eq!((report.version, report.alpn), (Some("TLS 1.3"), None));
    assert_eq!((report.chain.len(), report.days_to_expiry), (1, 89));
    assert_eq!(report.address, peer.address());
    let old = Peer::tls(PeerTls::tls12(&pki.localhost(), None), Behaviour::Record);
    assert_eq!(run(&pki, &old, SystemTime::now()).unwrap().version, Some("TLS 1.2"));
    assert_eq!(report.chain[0].names, ["localhost", "127.0.0.1", "::1"]);
}

#[test]
fn a_certificate_that_would_be_refused_is_described_all_the_same() {
    let pki = Pki::new();
    let stranger = Pki::new();
    for (issued, kind, host_matches) in [
        (pki.issue("old", &Leaf::server(&["localhost"]).expired()), Kind::Expired, true),
        (pki.issue("new", &Leaf::server(&["localhost"]).not_yet_valid()), Kind::NotYetValid, true),
        (pki.issue("other", &Leaf::server(&["other.example"])), Kind::WrongHost, false),
        (stranger.localhost(), Kind::UnknownCa, true),
        (pki.self_signed("self", &Leaf::server(&["localhost"])), Kind::SelfSigned, true),
    ] {
        let peer = Peer::tls(PeerTls::new(&issued), Behaviour::Record);
        let report = run(&pki, &peer, SystemTime::now()).unwrap();
        assert_eq!(report.verdict.unwrap_err().kind(), kind);
        assert_eq!((report.host_matches, report.chain.len()), (host_matches, 1));
    }
}

#[test]
fn the_given_time_decides_not_the_clock() {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record);
    let report = run(&pki, &peer, SystemTime::now() + 91 * DAY).unwrap();
    assert_eq!(report.verdict.unwrap_err().kind(), Kind::Expired);
    assert!(report.days_to_expiry < 0);
}

#[test]
fn a_server_that_wants_a_client_certificate_is_reported_as_refusing() {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::with_client_ca(&pki.localhost(), pki.ca_file()), Behaviour::Record);
    let report = run(&pki, &peer, SystemTime::now()).unwrap();
    assert_eq!(report.verdict.unwrap_err().kind(), Kind::PeerRefused);
    assert!(report.host_matches);
}

#[test]
fn a_peer_without_tls_is_an_error_within_the_limit() {
    let pki = Pki::new();
    let options = ClientOptions { ca_file: Some(pki.ca_file().into()), ..ClientOptions::default() };
    let client = ClientTls::load(&options).unwrap();
    let peer = Peer::plain(Behaviour::Stall);
    let limit = Duration::from_millis(800);
    let endpoint = Endpoint::parse(&peer.localhost()).unwrap();
    on_time("the probe", limit * 3 / 2, || {
        let started = Instant::now();
        let error = probe(&endpoint, &client, limit, SystemTime::now()).unwrap_err();
        assert_eq!(error.kind(), Kind::HandshakeTimeout, "{error}");
        started.elapsed()
    });
}
