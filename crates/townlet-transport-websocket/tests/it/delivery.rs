use std::time::{Duration, Instant};

use townlet_testkit::{frame_of_len, frames};
use townlet_transport::{ErrorKind, Level, Outcome, Transport};
use townlet_transport_websocket::WsOptions;

use crate::peer::{Manner, Peer};
use crate::{collect, plaintext, transport};

#[test]
fn the_subprotocol_decides_about_the_level() {
    let (knows, not) = (Peer::start(Manner::Acknowledge), Peer::start(Manner::Plain));
    let mut sink = transport(plaintext(knows.address));
    assert_eq!(sink.connect().unwrap().level, Level::PeerAcked);
    assert_eq!(sink.send(&frames(1..=5)).unwrap(), Outcome::Pending);
    collect(&mut sink, 5);
    let mut sink = transport(plaintext(not.address));
    assert_eq!(sink.connect().unwrap().level, Level::Sent);
    assert_eq!(sink.send(&frames(1..=5)).unwrap(), Outcome::Settled(Level::Sent));
}

#[test]
fn a_line_that_the_peer_refuses_for_its_size_is_too_large_on_the_next_connection() {
    let peer = Peer::start(Manner::Small(1000));
    let mut sink = transport(plaintext(peer.address));
    sink.connect().unwrap();
    sink.send(&[frame_of_len(1, 2000)]).unwrap();
    let lost = sink.receipts(Duration::from_secs(10)).unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Disconnected, "{lost}");
    sink.connect().unwrap();
    sink.send(&[frame_of_len(1, 2000), frame_of_len(2, 900)]).unwrap();
    let error = sink.receipts(Duration::from_secs(10)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
}

#[test]
fn durable_is_asked_for_and_holds_where_the_peer_promises_it() {
    let (promises, not) = (Peer::start(Manner::Durable), Peer::start(Manner::Acknowledge));
    let wanted = |peer: &Peer| WsOptions { settle_at: Level::Durable, ..plaintext(peer.address) };
    let mut sink = transport(wanted(&promises));
    assert_eq!(sink.connect().unwrap().level, Level::Durable);
    sink.send(&frames(1..=3)).unwrap();
    collect(&mut sink, 3);
    assert_eq!(promises.look(|seen| seen.asked[0].settle.clone()).as_deref(), Some("durable"));
    assert_eq!(transport(wanted(&not)).connect().unwrap().level, Level::PeerAcked, "it promises nothing");
    assert_eq!(transport(plaintext(promises.address)).connect().unwrap().level, Level::PeerAcked, "nobody asked");
    assert_eq!(promises.look(|seen| seen.asked[1].settle.clone()), None);
    let unheard = WsOptions { acks: false, ..wanted(&promises) };
    assert_eq!(transport(unheard).connect().unwrap().level, Level::Sent, "nothing to promise it with");
}

#[test]
fn a_peer_that_reads_nothing_ends_a_send_within_its_time() {
    let peer = Peer::start(Manner::Mute);
    let mut sink = transport(WsOptions { send_timeout: Duration::from_millis(200), ..plaintext(peer.address) });
    sink.connect().unwrap();
    let batch: Vec<_> = (1..=16).map(|seq| frame_of_len(seq, 2 << 20)).collect();
    let begun = Instant::now();
    let error = sink.send(&batch).unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
