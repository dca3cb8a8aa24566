use std::time::{Duration, Instant};

use townlet_testkit::{frame_of_len, frames};
use townlet_transport::{ErrorKind, Level, Outcome, Transport};
use townlet_transport_websocket::WsTransport;

use crate::peer::{Manner, Peer};
use crate::{plaintext, transport};

fn collect(sink: &mut WsTransport, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut settled = 0;
    while settled < count && Instant::now() < deadline {
        settled += sink.receipts(Duration::from_secs(1)).unwrap();
    }
    assert_eq!(settled, count);
}

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
