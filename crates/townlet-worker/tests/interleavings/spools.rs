//! Hosts, a driver and the spooler's thread at one log: what waits for whom, and what each is told.

use std::time::Duration;

use townlet_transport::Level;

use crate::disk::Memory;
use crate::rig::{House, LONG, Peer, line};
use crate::sync::Builder;
use crate::{SpillMode, Statement, holds_but_with};

/// Everything went out, once and in order, and nothing else is on the books.
fn all_is_delivered(books: &Statement, there: &[u64], expected: &[u64]) {
    assert_eq!(there, expected);
    let left = books.buffered + books.spilled;
    assert_eq!((books.account.delivered(), left, books.residual()), (expected.len() as u64, 0, 0), "{books:?}");
}

#[test]
fn a_durable_receipt_comes_and_never_before_the_sync() {
    let mistakes = [
        "a receipt comes with the append",
        "a thread that waits for a receipt is not told",
        "the spooler looks away before it sleeps",
    ];
    holds_but_with(&mistakes, 2, || {
        let disk = Memory::new();
        let (house, there) = House::open(SpillMode::WriteAhead, Peer::Takes, &disk);
        // The second waits for its commit on disk, the first goes on in memory and may be out before that.
        let receipts = [house.emit(1).unwrap(), house.emit(2).unwrap()];
        for (receipt, stored) in receipts.iter().zip([1, 2]).rev() {
            assert_eq!(receipt.wait(Level::Durable, LONG), Ok(()));
            assert!(disk.has_safe(&line(stored)));
        }
        there.wait_for(2);
        loom::skip_branch();
        all_is_delivered(&house.shutdown(LONG), &there.frames(), &[1, 2]);
    });
}

#[test]
fn what_went_to_disk_comes_back_in_order_and_once() {
    let mistakes = [
        "the spooler does not hear of room in memory",
        "what the disk gives back wakes nobody",
        "the spooler looks away before it sleeps",
    ];
    holds_but_with(&mistakes, 2, || {
        let disk = Memory::new();
        let (house, there) = House::open(SpillMode::Overflow, Peer::Takes, &disk);
        for seq in 1..=2 {
            house.emit(seq).unwrap();
        }
        there.wait_for(2);
        loom::skip_branch();
        all_is_delivered(&house.shutdown(LONG), &there.frames(), &[1, 2]);
    });
}

#[test]
fn a_refused_frame_makes_room_for_what_is_on_disk() {
    holds_but_with(&["the spooler does not hear of room in memory"], 2, || {
        let disk = Memory::new();
        let (house, there) = House::open(SpillMode::Overflow, Peer::RefusesFirst, &disk);
        for seq in 1..=2 {
            house.emit(seq).unwrap();
        }
        there.wait_for(1);
        loom::skip_branch();
        all_is_delivered(&house.shutdown(LONG), &there.frames(), &[2]);
    });
}

#[test]
fn a_full_disk_does_not_hold_up_a_sink_that_takes() {
    let mistakes = [
        "the spooler does not hear of room in memory",
        "a sink waits for the next attempt at the disk",
        "what was rescued stays where it was",
        "what the disk gives back wakes nobody",
    ];
    holds_but_with(&mistakes, 2, || {
        let disk = Memory::new();
        let (house, there) = House::open(SpillMode::Overflow, Peer::Takes, &disk);
        disk.fill_up();
        for seq in 1..=2 {
            house.emit(seq).unwrap();
        }
        there.wait_for(2);
        loom::skip_branch();
        all_is_delivered(&house.shutdown(LONG), &there.frames(), &[1, 2]);
    });
}

#[test]
fn a_host_at_a_full_queue_gets_room_from_the_disk_though_the_peer_is_down() {
    let mistakes = ["room that the disk made is not rung for", "one host alone is not seen waiting"];
    holds_but_with(&mistakes, 2, || {
        let disk = Memory::new();
        let (house, there) = House::open(SpillMode::WriteAhead, Peer::IsDown, &disk);
        for seq in 1..=3 {
            house.emit(seq).unwrap();
        }
        loom::skip_branch();
        let books = house.shutdown(Duration::ZERO);
        assert_eq!((books.account.accepted(), books.buffered, books.spilled, books.residual()), (3, 0, 3, 0));
        assert_eq!((there.frames().len(), disk.survivors().len()), (0, 3));
    });
}

#[test]
fn large_frames_go_to_disk_as_well_while_the_peer_is_down() {
    let mistakes = ["large frames keep others from the disk", "room that the disk made is not rung for"];
    holds_but_with(&mistakes, 2, || {
        let disk = Memory::new();
        let (house, _) = House::open_for_large(SpillMode::Overflow, Peer::IsDown, &disk);
        for seq in 1..=3 {
            house.emit(seq).unwrap();
        }
        loom::skip_branch();
        let books = house.shutdown(Duration::ZERO);
        assert_eq!((books.account.accepted(), books.buffered, books.spilled, books.residual()), (3, 0, 3, 0));
        assert_eq!(disk.survivors(), [1, 2, 3]);
    });
}

#[test]
fn a_shutdown_without_time_beside_an_emit_and_a_commit_stores_what_is_not_out() {
    let mistakes = [
        "who waits for the end of the spooler is not told",
        "the spooler ends without a last commit",
        "at the end what is in flight counts as stored",
    ];
    holds_but_with(&mistakes, 2, || {
        let disk = Memory::new();
        let (house, there) = House::open(SpillMode::Overflow, Peer::Takes, &disk);
        house.emit(1).unwrap();
        let host = house.host(2);
        let books = house.shutdown(Duration::ZERO);
        let accepted = 1 + u64::from(host.join().unwrap().is_some());
        assert_eq!(books, house.statement(), "nothing is booked after the end");
        assert_eq!((books.account.accepted(), books.buffered, books.residual()), (accepted, 0, 0), "{books:?}");
        assert_eq!(books.account.delivered() + books.spilled, accepted, "{books:?}");
        assert_eq!(disk.survivors().len() as u64, books.spilled);
        let _ = there;
    });
}

#[test]
fn a_shutdown_with_time_beside_a_commit_ends() {
    let mistakes = ["who waits for the end is not told", "what the disk gives back wakes nobody"];
    holds_but_with(&mistakes, 2, || {
        let disk = Memory::new();
        let (house, _) = House::open(SpillMode::Overflow, Peer::Takes, &disk);
        for seq in 1..=2 {
            house.emit(seq).unwrap();
        }
        let books = house.shutdown(LONG);
        assert_eq!((books.account.accepted(), books.buffered, books.residual()), (2, 0, 0), "{books:?}");
        assert_eq!(books.account.delivered() + books.spilled, 2, "{books:?}");
        assert_eq!(disk.survivors().len() as u64, books.spilled);
    });
}

#[test]
fn whoever_waits_for_a_durable_receipt_hears_of_it_beside_a_shutdown() {
    let mistakes = ["the spooler ends without a last commit"];
    holds_but_with(&mistakes, 2, || {
        let disk = Memory::new();
        let (house, _) = House::open(SpillMode::WriteAhead, Peer::Takes, &disk);
        let receipt = house.emit(1).unwrap();
        let waits = Builder::new().spawn(move || receipt.wait(Level::Durable, LONG)).unwrap();
        let books = house.shutdown(Duration::ZERO);
        assert_eq!(waits.join().unwrap(), Ok(()));
        assert_eq!((books.account.delivered() + books.spilled, books.residual()), (1, 0), "{books:?}");
    });
}
