//! Certificate files that are renewed while the transport lives.

use std::time::{Duration, Instant, SystemTime};

use townlet_testkit::certs::{Leaf, Pki, put};
use townlet_testkit::peer::{Behaviour, Peer, PeerTls};
use townlet_testkit::{frames, seqs_of};
use townlet_tls::ClientOptions;
use townlet_transport::{ErrorKind, Transport};
use townlet_transport_tcp::{Security, TcpOptions, TcpTransport};

use crate::{SOON, plaintext, tls, transport};

/// A change counts for new connections within two seconds (`townlet-tls` looks once a
/// second, its tests say); here on a machine that may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Calls `connect` as a busy worker does, until the transport has taken up `reloads`.
fn until_reloaded(sink: &mut TcpTransport, reloads: u64, since: Instant) {
    while sink.certificates().unwrap().status().reloads_total < reloads {
        sink.connect().unwrap();
        assert!(since.elapsed() < LIMIT, "not within {LIMIT:?}: {:?}", sink.certificates());
        std::thread::yield_now();
    }
}

#[test]
fn a_renewed_client_certificate_is_used_by_the_next_connection_and_the_open_one_is_kept() {
    let (pki, next) = (Pki::new(), Pki::new());
    let before = Peer::tls(PeerTls::with_client_ca(&pki.localhost(), pki.ca_file()), Behaviour::Record);
    let own = pki.issue("shard", &Leaf::client("shard-1"));
    let client = ClientOptions {
        ca_file: Some(pki.ca_file().into()),
        cert_file: Some(own.cert_file.clone()),
        key_file: Some(own.key_file.clone()),
        ..ClientOptions::default()
    };
    let options = TcpOptions { security: Security::Tls(client), ..tls(&before.localhost(), &pki) };
    let mut sink = transport(options);
    let connected = sink.connect().unwrap();
    assert!(connected.fresh);
    sink.send(&frames(1..=1)).unwrap();
    assert_eq!(sink.certificates().unwrap().days_to_expiry(SystemTime::now()), Some(89));
    let left = connected.certificate_until.unwrap().duration_since(SystemTime::now()).unwrap();
    assert_eq!(left.as_secs() / 86_400, 89, "and the status can say so");

    // Certificates of another authority, which this peer would refuse.
    let renewed = Instant::now();
    next.issue("shard", &Leaf::client("shard-1")).put(&own);
    until_reloaded(&mut sink, 1, renewed);
    assert!(!sink.connect().unwrap().fresh);
    sink.send(&frames(2..=2)).unwrap();
    assert!(before.wait_for_lines(2, SOON));
    assert_eq!(before.conversations().len(), 1, "the open connection goes on");
    sink.close();
    assert_eq!(sink.connect().unwrap_err().kind(), ErrorKind::Tls, "the next one shows the new certificate");
    let own_again = pki.issue("again", &Leaf::client("shard-1"));
    own_again.put(&own);
    assert!(sink.connect().unwrap().fresh, "after a failed handshake it looks at once");
}

#[test]
fn a_renewed_authority_is_trusted_by_the_next_connection() {
    let (pki, next) = (Pki::new(), Pki::new());
    let ca_file = pki.dir().join("trusted.pem");
    std::fs::copy(pki.ca_file(), &ca_file).unwrap();
    let peer = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record);
    let client = ClientOptions { ca_file: Some(ca_file.clone()), ..ClientOptions::default() };
    let mut sink = transport(TcpOptions { security: Security::Tls(client), ..tls(&peer.localhost(), &pki) });
    sink.connect().unwrap();
    let renewed = Instant::now();
    put(next.ca_file(), &ca_file);
    until_reloaded(&mut sink, 1, renewed);
    sink.close();
    assert_eq!(sink.connect().unwrap_err().kind(), ErrorKind::Tls, "the old authority is not trusted any more");
    let status = sink.certificates().unwrap().status();
    assert!(status.last_reload_at.is_some() && status.reload_error.is_none());
}

#[test]
fn files_that_are_no_good_keep_the_old_ones_in_use_and_are_reported() {
    let pki = Pki::new();
    let ca_file = pki.dir().join("trusted.pem");
    std::fs::copy(pki.ca_file(), &ca_file).unwrap();
    let peer = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record);
    let client = ClientOptions { ca_file: Some(ca_file.clone()), ..ClientOptions::default() };
    let mut sink = transport(TcpOptions { security: Security::Tls(client), ..tls(&peer.localhost(), &pki) });
    std::fs::write(&ca_file, "half written").unwrap();
    assert!(sink.connect().unwrap().tls);
    sink.send(&frames(1..=2)).unwrap();
    assert!(peer.wait_for_lines(2, SOON));
    assert_eq!(seqs_of(peer.lines()), [1, 2]);
    let status = sink.certificates().unwrap().status();
    assert!(status.reload_error.as_ref().unwrap().message.contains("trusted.pem"), "{status:?}");
    assert_eq!((status.reloads_total, status.reload_failures_total), (0, 1));
}

#[test]
fn there_are_no_certificates_over_plaintext() {
    let peer = Peer::plain(Behaviour::Record);
    assert!(transport(plaintext(&peer.endpoint())).certificates().is_none());
}
