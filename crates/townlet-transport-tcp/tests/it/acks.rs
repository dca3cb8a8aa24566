use std::time::{Duration, Instant};

use townlet_testkit::certs::Pki;
use townlet_testkit::peer::{Behaviour, Peer, PeerTls};
use townlet_testkit::{frames, on_time, seqs_of};
use townlet_transport::{ErrorKind, Level, Outcome, Transport};
use townlet_transport_tcp::{TcpOptions, TcpTransport};

use crate::{SOON, plaintext, tls, transport};

fn acking(behaviour: Behaviour) -> (Peer, TcpTransport, Pki) {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::with_alpn(&pki.localhost(), &["townlet-ack/1"]), behaviour);
    let sink = transport(tls(&peer.localhost(), &pki));
    (peer, sink, pki)
}

fn collect(sink: &mut TcpTransport, count: usize) {
    let deadline = Instant::now() + SOON;
    let mut settled = 0;
    while settled < count && Instant::now() < deadline {
        settled += sink.receipts(Duration::from_secs(1)).unwrap();
    }
    assert_eq!(settled, count);
}

#[test]
fn frames_settle_as_peer_acked_when_the_peer_says_so() {
    let (peer, mut sink, _pki) = acking(Behaviour::Record);
    assert_eq!(sink.connect().unwrap().level, Level::PeerAcked);
    assert_eq!(sink.send(&frames(1..=5)).unwrap(), Outcome::Pending);
    assert_eq!(sink.send(&frames(6..=7)).unwrap(), Outcome::Pending);
    collect(&mut sink, 7);
    assert!(peer.wait_for(SOON, |c| c[0].acked == 7));
    assert_eq!(sink.receipts(SOON).unwrap(), 0, "nothing is due, so nothing is waited for");
}

#[test]
fn without_the_protocol_frames_settle_as_sent() {
    let pki = Pki::new();
    let knows = Peer::tls(PeerTls::with_alpn(&pki.localhost(), &["townlet-ack/1"]), Behaviour::Record);
    let not = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record);
    let plain = Peer::plain(Behaviour::Record);
    for options in [
        TcpOptions { acks: false, ..tls(&knows.localhost(), &pki) },
        tls(&not.localhost(), &pki),
        plaintext(&plain.localhost()),
    ] {
        let mut sink = transport(options);
        assert_eq!(sink.connect().unwrap().level, Level::Sent);
        assert_eq!(sink.send(&frames(1..=2)).unwrap(), Outcome::Settled(Level::Sent));
        assert_eq!(sink.receipts(SOON).unwrap(), 0);
    }
}

#[test]
fn a_peer_that_never_acknowledges_settles_nothing_and_blocks_nobody() {
    let (peer, mut sink, _pki) = acking(Behaviour::NeverAck);
    sink.connect().unwrap();
    assert_eq!(sink.send(&frames(1..=3)).unwrap(), Outcome::Pending);
    assert!(peer.wait_for_lines(3, SOON));
    let wait = Duration::from_millis(600);
    on_time("a wait for receipts", wait * 3 / 2, || {
        let started = Instant::now();
        assert_eq!(sink.receipts(wait).unwrap(), 0);
        assert!(started.elapsed() >= wait);
        started.elapsed()
    });
}

#[test]
fn a_peer_that_acknowledges_some_and_dies_settles_exactly_those() {
    let (peer, mut sink, _pki) = acking(Behaviour::AckThenClose { lines: 3 });
    sink.connect().unwrap();
    sink.send(&frames(1..=5)).unwrap();
    let deadline = Instant::now() + SOON;
    let mut settled = 0;
    let error = loop {
        match sink.receipts(Duration::from_secs(1)) {
            Ok(new) => settled += new,
            Err(error) => break error,
        }
        assert!(Instant::now() < deadline);
    };
    assert_eq!((settled, error.kind()), (3, ErrorKind::Disconnected), "{error}");
    peer.treat_next(Behaviour::Record);
    assert!(sink.connect().unwrap().fresh);
    sink.send(&frames(4..=5)).unwrap();
    collect(&mut sink, 2);
    assert_eq!(seqs_of(&peer.conversations()[1].lines), [4, 5]);
}

#[test]
fn a_peer_that_answers_with_anything_else_is_disconnected() {
    for noise in ["hello TOPSECRET\n", "{\"ack\":99}\n", "{\"ack\":1}\n{\"ack\":0}\n"] {
        let (_peer, mut sink, _pki) = acking(Behaviour::Babble(noise.into()));
        sink.connect().unwrap();
        sink.send(&frames(1..=2)).unwrap();
        let deadline = Instant::now() + SOON;
        let error = loop {
            match sink.receipts(Duration::from_secs(1)) {
                Ok(_) => assert!(Instant::now() < deadline),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        assert!(error.to_string().contains("acknowledgement") && !error.to_string().contains("TOPSECRET"), "{error}");
        assert!(sink.connect().unwrap().fresh);
    }
}
