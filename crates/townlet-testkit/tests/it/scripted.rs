use std::time::Duration;

use townlet_testkit::{Script, Step, frame_of_len, frames, seqs_of};
use townlet_transport::{ErrorKind, Level, Outcome, Transport};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn failures_come_in_the_order_in_which_they_were_ordered() {
    let script = Script::new();
    let mut sink = script.transport();
    script.fail_next_connects(1, ErrorKind::Unavailable);
    script.then(Step::Fail { settled: 1, kind: ErrorKind::StorageFull });
    script.then(Step::TakeButFail { taken: 2, kind: ErrorKind::Disconnected });

    assert_eq!(sink.connect().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(sink.connect().unwrap().fresh);
    let error = sink.send(&frames(1..=3)).unwrap_err();
    assert_eq!((error.settled, error.error.kind()), (1, ErrorKind::StorageFull));
    assert!(sink.connect().unwrap().fresh);
    let error = sink.send(&frames(2..=3)).unwrap_err();
    assert_eq!((error.settled, error.error.kind()), (0, ErrorKind::Disconnected));
    sink.connect().unwrap();
    assert_eq!(sink.send(&frames(2..=3)).unwrap(), Outcome::Settled(Level::Sent));
    assert_eq!(script.received_seqs(), [1, 2, 3, 2, 3]);
    assert_eq!((script.connect_attempts(), script.connections(), script.sends()), (4, 3, 3));
    script.assert_contract_kept();
}

#[test]
fn a_rejected_head_frame_leaves_the_connection_open() {
    let script = Script::new();
    let mut sink = script.transport();
    sink.connect().unwrap();
    script.then(Step::Fail { settled: 1, kind: ErrorKind::Rejected });
    sink.send(&frames(1..=3)).unwrap_err();
    assert!(!sink.connect().unwrap().fresh);
}

#[test]
fn the_ordered_send_panics_and_the_peer_takes_nothing_of_it() {
    let script = Script::new();
    script.panic_on_send(2);
    let mut sink = script.transport();
    sink.connect().unwrap();
    sink.send(&frames(1..=1)).unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sink.send(&frames(2..=2))));
    assert!(caught.is_err());
    let mut next = script.transport();
    next.connect().unwrap();
    next.send(&frames(2..=2)).unwrap();
    assert_eq!(script.received_seqs(), [1, 2]);
}

#[test]
fn a_held_send_waits_for_its_release() {
    let script = Script::new();
    script.hold_next_send();
    let mut sink = script.transport();
    let sender = std::thread::spawn(move || {
        sink.connect().unwrap();
        sink.send(&frames(1..=2)).unwrap()
    });
    assert!(script.wait_until_held(SOON));
    assert!(script.received().is_empty());
    script.release();
    assert!(script.wait_for_lines(2, SOON));
    assert_eq!(sender.join().unwrap(), Outcome::Settled(Level::Sent));
}

#[test]
fn acknowledgements_settle_the_oldest_and_a_cut_unsettles_the_rest() {
    let script = Script::new();
    script.acknowledge_by_hand();
    let mut sink = script.transport();
    assert_eq!(sink.connect().unwrap().level, Level::PeerAcked);
    assert_eq!(sink.send(&frames(1..=5)).unwrap(), Outcome::Pending);
    script.ack(3);
    assert_eq!(sink.receipts(SOON).unwrap(), 3);
    assert_eq!(sink.receipts(Duration::ZERO).unwrap(), 0);
    script.cut(ErrorKind::Disconnected);
    assert_eq!(sink.receipts(SOON).unwrap_err().kind(), ErrorKind::Disconnected);
    assert!(sink.connect().unwrap().fresh);
    script.ack(9);
    assert_eq!(sink.receipts(Duration::ZERO).unwrap(), 0, "nothing is pending on the new connection");
}

#[test]
fn a_caller_that_sends_without_connecting_is_found_out() {
    let script = Script::new();
    script.transport().send(&frames(1..=1)).unwrap_err();
    assert!(std::panic::catch_unwind(|| script.assert_contract_kept()).is_err());
}

#[test]
fn made_lines_have_their_length_and_their_seq() {
    for len in [1, 2, 16, 36, 300, 1 << 20] {
        let frame = frame_of_len(7, len);
        assert_eq!((frame.len(), frame.line().last()), (len, Some(&b'\n')));
        assert_eq!(frame.line().iter().filter(|b| **b == b'\n').count(), 1);
        let seqs = seqs_of([frame.line()]);
        assert_eq!(seqs, if len >= 36 { vec![7] } else { vec![] });
    }
}
