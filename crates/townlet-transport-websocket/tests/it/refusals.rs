//! A peer that ends the connection for what a line says.

use std::collections::BTreeSet;
use std::time::Duration;

use townlet_testkit::frames;
use townlet_transport::{ErrorKind, Frame, Transport, TransportError};
use townlet_transport_websocket::WsTransport;

use crate::peer::{Manner, Peer};
use crate::{plaintext, transport};

/// What a worker does, without its pauses: connects, sends what is left, drops what is
/// refused. Says what was settled, what was refused with which error, and how many
/// connections failed.
fn deliver(sink: &mut WsTransport, all: &[Frame], attempts: usize) -> (Vec<u64>, Vec<(u64, TransportError)>, usize) {
    let (mut left, mut settled, mut refused, mut failed) = (all.to_vec(), Vec::new(), Vec::new(), 0);
    'attempts: while !left.is_empty() && failed + refused.len() < attempts {
        if sink.connect().is_err() || sink.send(&left).is_err() {
            failed += 1;
            continue;
        }
        while !left.is_empty() {
            match sink.receipts(Duration::from_secs(10)) {
                Ok(n) => settled.extend(left.drain(..n).map(|frame| frame.seq())),
                Err(error) if error.kind().is_about_frame() => {
                    refused.push((left.remove(0).seq(), error));
                    continue 'attempts;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
                    failed += 1;
                    continue 'attempts;
                }
            }
        }
    }
    (settled, refused, failed)
}

#[test]
fn a_line_that_the_peer_ends_connections_for_is_rejected_alone_and_all_others_arrive() {
    for code in [1003, 1007, 1008] {
        let peer = Peer::start(Manner::Refuses { code, seqs: &[4, 5, 9] });
        let mut sink = transport(plaintext(peer.address));
        let (settled, refused, failed) = deliver(&mut sink, &frames(1..=12), 30);
        assert_eq!(settled, [1, 2, 3, 6, 7, 8, 10, 11, 12]);
        assert_eq!(refused.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [4, 5, 9]);
        for (_, error) in &refused {
            assert_eq!(error.kind(), ErrorKind::Rejected);
            assert!(error.to_string().contains(&code.to_string()), "{error}");
        }
        assert!(failed <= 7, "one refusal of all, and two for each of three lines: {failed}");
        let seen: BTreeSet<Vec<u8>> = peer.look(|seen| seen.lines.iter().cloned().collect());
        assert_eq!(seen.len(), 9, "what arrived is what was settled");
    }
}

#[test]
fn who_is_turned_away_with_the_same_code_loses_nothing() {
    let peer = Peer::start(Manner::TurnsAway(1008));
    let mut sink = transport(plaintext(peer.address));
    let (settled, refused, failed) = deliver(&mut sink, &frames(1..=3), 12);
    assert_eq!((settled.len(), refused.len(), failed), (0, 0, 12));
}

#[test]
fn without_acknowledgements_no_line_is_blamed() {
    let peer = Peer::start(Manner::Refuses { code: 1007, seqs: &[1, 2, 3] });
    let options = townlet_transport_websocket::WsOptions { acks: false, ..plaintext(peer.address) };
    let mut sink = transport(options);
    let mut errors = 0;
    for _ in 0..8 {
        let tried =
            sink.connect().map(|_| ()).and_then(|()| sink.send(&frames(1..=3)).map(|_| ()).map_err(|e| e.error));
        if let Err(error) = tried {
            assert!(!error.kind().is_about_frame(), "{error}");
            errors += 1;
        }
        peer.wait_for(|seen| seen.closes > errors);
    }
}

#[test]
fn after_the_line_is_found_lines_go_out_together_again() {
    let peer = Peer::start(Manner::Refuses { code: 1007, seqs: &[2] });
    let mut sink = transport(plaintext(peer.address));
    let (settled, refused, _) = deliver(&mut sink, &frames(1..=4), 10);
    assert_eq!((settled.len(), refused.len()), (3, 1));
    let before = peer.look(|seen| seen.messages);
    let (settled, ..) = deliver(&mut sink, &frames(5..=50), 1);
    assert_eq!((settled.len(), peer.look(|seen| seen.messages) - before), (46, 1));
}
