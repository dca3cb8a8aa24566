use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use townlet_testkit::certs::{Leaf, Pki};
use townlet_testkit::peer::{Behaviour, Peer};

const SOON: Duration = Duration::from_secs(60);

fn connect(peer: &Peer) -> TcpStream {
    let socket = TcpStream::connect(peer.address()).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

#[test]
fn a_recorder_keeps_whole_lines_and_the_torn_tail_apart() {
    let peer = Peer::plain(Behaviour::Record);
    let mut socket = connect(&peer);
    socket.write_all(b"one\ntw").unwrap();
    assert!(peer.wait_for_lines(1, SOON));
    socket.write_all(b"o\n\nthr").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    assert!(peer.wait_for(SOON, |c| c[0].ended));
    let conversation = &peer.conversations()[0];
    assert_eq!(conversation.lines, [&b"one"[..], b"two", b""]);
    assert_eq!(conversation.tail, b"thr");
}

#[test]
fn closing_is_seen_as_an_end_and_resetting_as_a_reset() {
    let peer = Peer::plain(Behaviour::Record).then(Behaviour::AcceptAndClose).then(Behaviour::ResetAfter { bytes: 6 });
    let mut closed = connect(&peer);
    assert_eq!(closed.read(&mut [0; 8]).unwrap(), 0);
    let mut reset = connect(&peer);
    reset.write_all(b"12345\n789").unwrap();
    assert_eq!(reset.read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(peer.wait_for(SOON, |c| c.iter().all(|c| c.ended)));
    let conversation = &peer.conversations()[1];
    assert_eq!((conversation.lines.len(), conversation.tail.len()), (1, 0));
}

#[test]
fn a_peer_that_is_down_refuses_and_is_found_at_the_same_address_later() {
    let peer = Peer::plain(Behaviour::Record);
    let mut socket = connect(&peer);
    assert!(peer.wait_for(SOON, |c| c.len() == 1));
    peer.go_down();
    assert_eq!(socket.read(&mut [0; 8]).unwrap(), 0, "open connections end");
    assert_eq!(TcpStream::connect(peer.address()).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    peer.come_back();
    connect(&peer).write_all(b"again\n").unwrap();
    assert!(peer.wait_for_lines(1, SOON));
}

#[test]
fn a_dripping_peer_never_falls_silent_and_never_finishes() {
    let peer = Peer::plain(Behaviour::Drip { every: Duration::from_millis(1) });
    let mut socket = connect(&peer);
    let mut bytes = [0; 20];
    socket.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes[..5], [0x16, 3, 3, 0x40, 0]);
}

#[test]
fn dropping_a_stalled_peer_does_not_wait_for_it() {
    let peer = Peer::plain(Behaviour::Stall);
    let _socket = connect(&peer);
    assert!(peer.wait_for(SOON, |c| c.len() == 1));
    let started = Instant::now();
    drop(peer);
    assert!(started.elapsed() < SOON);
}

#[test]
fn issued_files_are_pem_and_go_with_their_folder() {
    let pki = Pki::new();
    let issued = pki.issue("late", &Leaf::server(&["localhost"]).expired());
    let certificate = std::fs::read_to_string(&issued.cert_file).unwrap();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(std::fs::read_to_string(&issued.key_file).unwrap().contains("PRIVATE KEY"));
    drop(pki);
    assert!(!issued.cert_file.exists());
}
