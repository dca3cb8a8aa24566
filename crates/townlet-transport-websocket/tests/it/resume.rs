//! What a reconnect saves, and what it never loses.

use std::time::Duration;

use townlet_testkit::{frames, seqs_of};
use townlet_transport::{ErrorKind, Transport};

use crate::peer::{Manner, Peer};
use crate::{collect, plaintext, transport};

/// Sends 1 to 5, of which the peer acknowledges 2 and hangs up.
fn cut_off(manner: Manner) -> (Peer, townlet_transport_websocket::WsTransport) {
    let peer = Peer::start(manner);
    let mut sink = transport(plaintext(peer.address));
    sink.connect().unwrap();
    sink.send(&frames(1..=5)).unwrap();
    collect(&mut sink, 2);
    let error = sink.receipts(Duration::from_secs(10)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    (peer, sink)
}

fn asked_for(peer: &Peer, connection: usize) -> String {
    peer.look(|seen| seen.asked[connection].resume.clone()).unwrap_or_default()
}

#[test]
fn what_the_peer_has_is_not_sent_again() {
    let (peer, mut sink) = cut_off(Manner::Forgetful { acks: 2, has: 5 });
    sink.connect().unwrap();
    assert!(asked_for(&peer, 1).ends_with("/town.events=3"), "{}", asked_for(&peer, 1));
    sink.send(&frames(3..=8)).unwrap();
    collect(&mut sink, 6);
    assert_eq!(seqs_of(peer.look(|seen| seen.lines.clone())), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_peer_that_knows_no_resumption_gets_the_rest_again() {
    let (peer, mut sink) = cut_off(Manner::Forgetful { acks: 2, has: 0 });
    sink.connect().unwrap();
    sink.send(&frames(3..=6)).unwrap();
    collect(&mut sink, 4);
    assert_eq!(seqs_of(peer.look(|seen| seen.lines.clone())), [1, 2, 3, 4, 5, 3, 4, 5, 6]);
}

/// A peer cannot have what was never sent, whatever it says.
#[test]
fn a_peer_that_claims_the_future_gets_it_all_the_same() {
    let (peer, mut sink) = cut_off(Manner::Forgetful { acks: 2, has: u64::MAX });
    sink.connect().unwrap();
    sink.send(&frames(3..=8)).unwrap();
    collect(&mut sink, 6);
    assert_eq!(seqs_of(peer.look(|seen| seen.lines.clone())), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn what_to_resume_outlives_attempts_that_fail() {
    let (peer, mut sink) = cut_off(Manner::Forgetful { acks: 2, has: 4 });
    peer.go_down();
    assert_eq!(sink.connect().unwrap_err().kind(), ErrorKind::Unavailable);
    peer.come_back();
    sink.connect().unwrap();
    assert!(asked_for(&peer, 1).ends_with("=3"), "{}", asked_for(&peer, 1));
    sink.send(&frames(3..=5)).unwrap();
    collect(&mut sink, 3);
    assert_eq!(seqs_of(peer.look(|seen| seen.lines.clone())), [1, 2, 3, 4, 5, 5]);
}
