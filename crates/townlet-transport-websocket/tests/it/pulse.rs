//! Peers that are alive, and peers that only seem to be.

use std::time::{Duration, Instant};

use townlet_testkit::frames;
use townlet_transport::{ErrorKind, Transport};
use townlet_transport_websocket::WsOptions;

use crate::peer::{Manner, Peer};
use crate::{plaintext, transport};

fn impatient(peer: &Peer, patience: Duration) -> WsOptions {
    WsOptions { ping_interval: Duration::from_millis(10), pong_timeout: patience, ..plaintext(peer.address) }
}

#[test]
fn a_half_open_peer_is_given_up_after_the_time_for_its_pong() {
    let peer = Peer::start(Manner::Mute);
    let mut sink = transport(impatient(&peer, Duration::from_millis(150)));
    sink.connect().unwrap();
    sink.send(&frames(1..=2)).unwrap();
    let begun = Instant::now();
    let error = sink.receipts(Duration::from_secs(30)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    assert!(error.to_string().contains("did not answer a ping within 150ms"), "{error}");
    assert!((150..30_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

/// Against TCP alone this batch would count as sent.
#[test]
fn a_half_open_peer_is_trusted_with_no_batch() {
    let peer = Peer::start(Manner::Mute);
    let mut sink = transport(WsOptions {
        ping_interval: Duration::from_nanos(1),
        pong_timeout: Duration::from_millis(100),
        ..plaintext(peer.address)
    });
    assert!(sink.connect().unwrap().fresh);
    assert!(sink.connect().unwrap().fresh, "the first connection is dead");
    assert_eq!(peer.look(|seen| seen.openings), 2);
}

#[test]
fn a_peer_that_answers_pings_may_take_its_time_with_acknowledgements() {
    let peer = Peer::start(Manner::NeverAck);
    let mut sink = transport(impatient(&peer, Duration::from_secs(60)));
    sink.connect().unwrap();
    sink.send(&frames(1..=2)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while peer.look(|seen| seen.pings) < 3 && Instant::now() < deadline {
        assert_eq!(sink.receipts(Duration::from_millis(50)).unwrap(), 0);
    }
    assert!(peer.look(|seen| seen.pings) >= 3, "it is asked again and again");
    assert!(!sink.connect().unwrap().fresh);
    assert_eq!(peer.look(|seen| seen.openings), 1);
}
