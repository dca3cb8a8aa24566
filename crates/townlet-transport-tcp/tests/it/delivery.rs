use std::time::{Duration, Instant};

use townlet_testkit::certs::Pki;
use townlet_testkit::peer::{Behaviour, Peer, PeerTls};
use townlet_testkit::{frame_of_len, frames, logged, on_time, seqs_of};
use townlet_transport::{ErrorKind, Frame, Label, Level, Outcome, Transport};
use townlet_transport_tcp::TcpOptions;

use crate::{SOON, plaintext, tls, transport};

/// Both ways to the same behaviour: plaintext, and TLS without acknowledgements.
fn both(behaviour: Behaviour, mut check: impl FnMut(&Peer, TcpOptions)) {
    let pki = Pki::new();
    let peer = Peer::plain(behaviour.clone());
    check(&peer, plaintext(&peer.localhost()));
    let peer = Peer::tls(PeerTls::new(&pki.localhost()), behaviour);
    check(&peer, tls(&peer.localhost(), &pki));
}

#[test]
fn the_first_batch_after_the_peer_closed_is_an_error_and_not_a_delivery() {
    // W1: the predecessor counted it as delivered.
    both(Behaviour::Record, |peer, options| {
        let mut sink = transport(options);
        sink.connect().unwrap();
        sink.send(&frames(1..=2)).unwrap();
        assert!(peer.wait_for_lines(2, SOON));
        peer.hang_up();
        let error = sink.send(&frames(3..=4)).unwrap_err();
        assert_eq!((error.settled, error.error.kind()), (0, ErrorKind::Disconnected));
        assert!(sink.connect().unwrap().fresh);
        sink.send(&frames(3..=4)).unwrap();
        assert!(peer.wait_for_lines(4, SOON));
        assert_eq!(seqs_of(peer.lines()), [1, 2, 3, 4]);
    });
}

#[test]
fn a_collector_that_is_down_at_start_never_stops_the_host() {
    // W13: the predecessor did not start, and connected twice.
    both(Behaviour::Record, |peer, options| {
        peer.go_down();
        let mut sink = transport(options);
        assert_eq!(sink.connect().unwrap_err().kind(), ErrorKind::Unavailable);
        peer.come_back();
        sink.connect().unwrap();
        sink.send(&frames(1..=1)).unwrap();
        assert!(peer.wait_for_lines(1, SOON));
        assert_eq!(peer.conversations().len(), 1, "one connection");
    });
}

#[test]
fn a_reset_in_the_middle_of_a_line_leaves_no_torn_line_and_loses_nothing() {
    // W8: a line is cut only by the end of its connection, the next starts whole.
    let pki = Pki::new();
    let cut = Behaviour::ResetAfter { bytes: 5_123 };
    let plain = Peer::plain(Behaviour::Record).then(cut.clone());
    let encrypted = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record).then(cut);
    let options = [plaintext(&plain.localhost()), tls(&encrypted.localhost(), &pki)];
    for (peer, options) in [&plain, &encrypted].into_iter().zip(options) {
        let mut sink = transport(options);
        // More than the socket buffers hold, so that a send meets the reset.
        let mut queue: Vec<Frame> = (1..=24).map(|seq| frame_of_len(seq, 1 << 20)).collect();
        queue[0] = frame_of_len(1, 1000);
        let mut failures = 0;
        while let Some(head) = queue.first().cloned() {
            match sink.connect().map_err(Into::into).and_then(|_| sink.send(std::slice::from_ref(&head))) {
                Ok(Outcome::Settled(Level::Sent)) => drop(queue.remove(0)),
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    assert_eq!(error.settled, 0);
                    failures += 1;
                    assert!(failures < 10, "{error}");
                }
            }
        }
        assert!(failures >= 1);
        sink.close();
        assert!(peer.wait_for(SOON, |c| c.iter().all(|c| c.ended)));
        let conversations = peer.conversations();
        assert_eq!(conversations[0].lines.len(), 1, "one whole line came before the reset");
        assert!(!conversations[0].tail.is_empty());
        let first_after = seqs_of(&conversations[1].lines)[0];
        for line in &conversations[1].lines {
            assert_eq!((line.len(), line[0], line.last()), ((1 << 20) - 1, b'{', Some(&b'}')));
        }
        let rest: Vec<u64> = (first_after..=24).collect();
        assert_eq!(seqs_of(&conversations[1].lines), rest, "in order and without a gap");
    }
}

#[test]
fn a_peer_that_reads_a_byte_at_a_time_does_not_outlast_the_send_timeout() {
    both(Behaviour::ReadSlowly { bytes: 1, every: Duration::from_millis(10) }, |_, options| {
        let limit = Duration::from_millis(1000);
        let batch: Vec<Frame> = (1..=24).map(|seq| frame_of_len(seq, 1 << 20)).collect();
        on_time("the end of a send and of the close after it", limit * 3 / 2, || {
            let mut sink = transport(TcpOptions { send_timeout: limit, ..options.clone() });
            sink.connect().unwrap();
            let started = Instant::now();
            let error = sink.send(&batch).unwrap_err();
            let took = started.elapsed();
            assert_eq!((error.settled, error.error.kind()), (0, ErrorKind::Timeout), "{error}");
            assert!(took >= limit / 2, "took {took:?}");
            let started = Instant::now();
            sink.close();
            took.max(started.elapsed())
        });
    });
}

#[test]
fn closing_waits_for_a_stuck_peer_no_longer_than_the_send_timeout() {
    let peer = Peer::plain(Behaviour::Stall);
    let limit = Duration::from_millis(800);
    on_time("the close", limit * 3 / 2, || {
        let mut sink = transport(TcpOptions { send_timeout: limit, ..plaintext(&peer.endpoint()) });
        sink.connect().unwrap();
        sink.send(&frames(1..=1)).unwrap();
        let started = Instant::now();
        sink.close();
        started.elapsed()
    });
}

#[test]
fn what_a_peer_without_acknowledgements_says_is_read_and_ignored() {
    both(Behaviour::Babble(vec![b'x'; 100_000]), |peer, options| {
        let mut sink = transport(options);
        for seq in 1..=20 {
            sink.connect().unwrap();
            sink.send(&frames(seq..=seq)).unwrap();
            assert!(peer.wait_for_lines(seq as usize, SOON));
        }
        assert_eq!(peer.conversations().len(), 1, "the connection stayed open");
    });
}

#[test]
fn dropping_a_transport_delivers_what_it_sent() {
    both(Behaviour::Record, |peer, options| {
        let mut sink = transport(options);
        sink.connect().unwrap();
        let batch: Vec<Frame> = (1..=500).map(|seq| frame_of_len(seq, 2000)).collect();
        sink.send(&batch).unwrap();
        drop(sink);
        assert!(peer.wait_for_lines(500, SOON));
        assert!(peer.wait_for(SOON, |c| c[0].ended && c[0].tail.is_empty()));
    });
}

#[test]
fn errors_name_the_endpoint_and_never_the_payload() {
    let secret =
        |seq| Frame::new(Label::new("r", "s"), "event", seq, seq, "{\"token\":\"TOPSECRET\"}\n".repeat(1 << 14));
    both(Behaviour::ResetAfter { bytes: 10 }, |peer, options| {
        let mut sink = transport(options);
        sink.connect().unwrap();
        let error = (1..100).find_map(|seq| sink.send(&[secret(seq)]).err()).expect("the peer resets");
        let text = format!("{error} {error:?}");
        assert!(text.contains(&peer.localhost()), "{text}");
        assert!(!text.contains("TOPSECRET"), "{text}");
    });
}

#[test]
fn each_plaintext_connection_is_logged_and_no_encrypted_one() {
    let pki = Pki::new();
    let peer = Peer::plain(Behaviour::Record);
    let mut sink = transport(plaintext(&peer.localhost()));
    let log = logged(|| {
        for _ in 0..2 {
            sink.connect().unwrap();
            sink.connect().unwrap();
            sink.close();
        }
    });
    let line = format!("telemetry_tcp_plaintext_enabled endpoint={}", peer.localhost());
    assert_eq!(log.matches(&line).count(), 2, "{log}");
    let peer = Peer::tls(PeerTls::new(&pki.localhost()), Behaviour::Record);
    let log = logged(|| drop(transport(tls(&peer.localhost(), &pki)).connect().unwrap()));
    assert!(!log.contains("telemetry_"), "{log}");
}

#[test]
fn an_ipv6_endpoint_works() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this machine has no IPv6 loopback");
        return;
    }
    let peer = Peer::start("[::1]:0", None, Behaviour::Record);
    let mut sink = transport(plaintext(&peer.endpoint()));
    assert_eq!(sink.connect().unwrap().peer, peer.endpoint());
    sink.send(&frames(1..=1)).unwrap();
    assert!(peer.wait_for_lines(1, SOON));
}
