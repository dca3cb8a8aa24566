//! Receipts, failures, the end: what the driver reports and what becomes of it.

use townlet_testkit::frame_of_len;
use townlet_transport::{Connected, ErrorKind, Level};
use townlet_worker::{Action, Admission, DropReason, Machine, Options};

use crate::fakes::{balanced, error, expect_batch, ms, offer, options, seqs, take};

fn with_ready(options: Options, count: u64) -> Machine {
    let mut machine = Machine::new(options, 1);
    for seq in 1..=count {
        assert_eq!(offer(&mut machine, seq, 50), Admission::Upstream);
    }
    machine
}

#[test]
fn a_peer_that_never_acknowledges_is_given_up_after_the_ack_timeout_of_the_oldest_batch() {
    let mut machine = with_ready(Options { ack_timeout: ms(1000), ..options() }, 16);
    let mut flight = expect_batch(&mut machine, ms(0));
    machine.pending(ms(10));
    assert_eq!(machine.poll(ms(600)), Action::AwaitReceipts(ms(1)), "there may be receipts by now");
    flight.extend(expect_batch(&mut machine, ms(601)));
    machine.pending(ms(601));
    assert!(matches!(machine.poll(ms(1009)), Action::AwaitReceipts(wait) if wait <= ms(1)));
    assert_eq!(machine.poll(ms(1010)), Action::AwaitReceipts(ms(1)), "a last look");
    assert_eq!(machine.poll(ms(1011)), Action::Disconnect, "the second batch does not lend the first one time");
    machine.failed(ms(1010), flight, &error(ErrorKind::Timeout));
    assert_eq!((machine.statement().buffered, machine.ready()), (16, 16));
    assert!(matches!(machine.poll(ms(1010)), Action::Wait(_) | Action::Send), "no second disconnect for one loss");
    balanced(&machine);
}

#[test]
fn a_peer_that_acknowledges_slowly_but_steadily_is_not_given_up() {
    let mut machine = with_ready(Options { ack_timeout: ms(1000), ..options() }, 8);
    expect_batch(&mut machine, ms(0));
    machine.pending(ms(0));
    for n in 1..=8 {
        assert!(matches!(machine.poll(ms(n * 900)), Action::AwaitReceipts(_)), "receipt {n} is in time");
        machine.delivered(ms(n * 900), 1, Level::PeerAcked, n, ms(0));
    }
    assert_eq!(machine.statement().account.delivered_at(Level::PeerAcked), 8);
}

#[test]
fn receipts_that_came_during_a_long_send_are_read_before_the_peer_is_given_up() {
    let mut machine = with_ready(Options { ack_timeout: ms(1000), ..options() }, 16);
    expect_batch(&mut machine, ms(0));
    machine.pending(ms(0));
    expect_batch(&mut machine, ms(1));
    // This send takes three seconds; the receipts of the first batch have long arrived.
    machine.pending(ms(3000));
    assert!(matches!(machine.poll(ms(3000)), Action::AwaitReceipts(_)));
    machine.delivered(ms(3000), 8, Level::PeerAcked, 8, ms(1));
    assert!(matches!(machine.poll(ms(3001)), Action::AwaitReceipts(_)));
    assert_eq!(machine.status().send_failures_total, 0);
}

#[test]
fn a_backlog_does_not_keep_the_driver_from_reading_receipts() {
    let mut machine = with_ready(options(), 50);
    let mut batches = 0;
    for now in 0..50 {
        match machine.poll(ms(now * 10)) {
            Action::Send => {
                assert!(!take(&mut machine).is_empty());
                machine.pending(ms(now * 10));
                batches += 1;
            }
            Action::AwaitReceipts(_) => {
                assert!(batches <= 3, "{batches} batches of 10 ms each before the first look");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("receipts were never looked for");
}

#[test]
fn a_failure_after_a_partly_settled_batch_keeps_the_rest_in_order_behind_what_is_in_flight() {
    let mut machine = with_ready(options(), 16);
    let mut flight = expect_batch(&mut machine, ms(0));
    machine.pending(ms(0));
    flight.extend(expect_batch(&mut machine, ms(0)));
    machine.delivered(ms(1), 3, Level::PeerAcked, 3, ms(1));
    machine.failed(ms(1), flight.split_off(3), &error(ErrorKind::Disconnected));
    let status = machine.status();
    assert_eq!((status.consecutive_send_failures, status.send_failures_total, status.connected), (1, 1, false));
    assert_eq!(status.last_failure_tick, Some(4));
    assert_eq!(seqs(&expect_batch(&mut machine, ms(2000))), (4..=11).collect::<Vec<_>>());
    assert_eq!(seqs(&take(&mut machine)), (12..=16).collect::<Vec<_>>());
    balanced(&machine);
}

#[test]
fn the_sink_is_reported_down_after_max_attempts_and_up_again_after_a_delivery() {
    let mut machine = with_ready(Options { max_attempts: 2, ..options() }, 8);
    for failure in 1..=5 {
        machine.failed(ms(failure), Vec::new(), &error(ErrorKind::Unavailable));
        assert_eq!(machine.status().down, failure > 2, "after failure {failure}");
    }
    assert_eq!(expect_batch(&mut machine, ms(60_000)).len(), 8);
    assert!(machine.status().down, "a connect alone proves nothing");
    machine.delivered(ms(60_001), 8, Level::Sent, 8, ms(1));
    assert!(!machine.status().down);
}

#[test]
fn the_first_pause_may_be_zero_but_a_dead_peer_is_not_asked_without_end() {
    let mut machine = with_ready(Options { backoff: ms(0), max_backoff: ms(0), ..options() }, 8);
    let pauses: u128 =
        (0..2000).map(|n| machine.failed(ms(n), Vec::new(), &error(ErrorKind::Unavailable)).unwrap().as_micros()).sum();
    assert!(pauses > 2000 * 100, "2000 attempts took {pauses} µs in all");
}

#[test]
fn a_worker_is_not_finished_while_anything_is_left() {
    let mut machine = Machine::new(options(), 1);
    machine.shutdown(ms(0), ms(1000));
    assert_eq!(machine.poll(ms(1)), Action::Finish);
    // While the driver flushes and closes, one more event comes.
    offer(&mut machine, 1, 50);
    machine.finished();
    assert!(!machine.is_finished(), "event 1 would stay on the books of a worker that has ended");
    assert_eq!(expect_batch(&mut machine, ms(2)).len(), 1);
    machine.delivered(ms(3), 1, Level::Sent, 1, ms(0));
    assert_eq!(machine.poll(ms(3)), Action::Finish);
    machine.finished();
    assert!(machine.is_finished());
    assert_eq!(machine.poll(ms(3)), Action::Exit);
    assert_eq!(machine.statement().buffered, 0);
}

#[test]
fn what_is_upstream_holds_the_end_back_until_it_is_settled() {
    let mut machine = Machine::new(options(), 1);
    assert_eq!(machine.admit(0, 1, 50), Admission::Upstream);
    machine.shutdown(ms(0), ms(1000));
    assert!(matches!(machine.poll(ms(1)), Action::Wait(until) if until <= ms(1000)));
    machine.fill(0, 0, 50, frame_of_len(1, 50));
    assert_eq!(machine.poll(ms(2)), Action::Send, "a drain waits for no batch");
}

#[test]
fn a_call_that_ends_after_the_worker_changes_nothing() {
    let mut machine = with_ready(options(), 16);
    let batch = expect_batch(&mut machine, ms(0));
    machine.shutdown(ms(0), ms(100));
    assert_eq!(machine.poll(ms(100)), Action::Exit);
    let books = machine.statement();
    let status = machine.status();
    assert_eq!(books.account.dropped_for(DropReason::UnackedAtShutdown), 8);
    assert_eq!(books.account.dropped_for(DropReason::UndeliveredAtShutdown), 8);
    assert_eq!(books.buffered, 0);
    machine.delivered(ms(200), 8, Level::Sent, 8, ms(100));
    machine.pending(ms(200));
    machine.rejected(ms(200), 1, batch[1..].to_vec(), &error(ErrorKind::Rejected));
    machine.failed(ms(200), batch.clone(), &error(ErrorKind::Timeout));
    machine.failed(ms(200), batch.clone(), &error(ErrorKind::Closed));
    machine.panicked(ms(200), batch, "late");
    machine.connected(&Connected::fresh("late", Level::Durable, true)).unwrap();
    machine.shutdown(ms(200), ms(9000));
    assert_eq!(machine.poll(ms(201)), Action::Exit);
    assert_eq!(machine.statement(), books);
    assert_eq!(machine.status(), status, "the worker has ended; it is not connected to anybody");
}

#[test]
fn a_drain_that_can_do_nothing_more_does_not_wait_for_its_deadline() {
    let limits = Options { restart_limit: 0, restart_window: ms(60_000), ..options() };
    let mut machine = with_ready(limits, 8);
    machine.shutdown(ms(0), ms(2000));
    let batch = expect_batch(&mut machine, ms(0));
    assert!(!machine.panicked(ms(1), batch, "boom"), "the next try would be long after the deadline");
    assert_eq!(machine.poll(ms(2)), Action::Exit);
    assert_eq!(machine.statement().account.dropped_for(DropReason::UndeliveredAtShutdown), 8);
    balanced(&machine);
}

#[test]
fn a_drain_goes_on_after_panics_where_the_next_try_comes_before_the_deadline() {
    let mut machine = with_ready(Options { restart_limit: 0, restart_window: ms(100), ..options() }, 8);
    machine.shutdown(ms(0), ms(2000));
    let batch = expect_batch(&mut machine, ms(0));
    machine.panicked(ms(1), batch, "boom");
    assert_eq!(machine.poll(ms(2)), Action::Wait(ms(101)));
    let batch = expect_batch(&mut machine, ms(101));
    machine.delivered(ms(102), batch.len(), Level::Sent, 8, ms(1));
    assert_eq!(machine.poll(ms(102)), Action::Finish);
    balanced(&machine);
}

#[test]
fn shutdown_ends_a_parked_worker_and_a_closed_sink_at_once_with_everything_named() {
    let mut parked = with_ready(Options { restart_limit: 0, ..options() }, 3);
    parked.panicked(ms(1), Vec::new(), "boom");
    parked.shutdown(ms(2), ms(5000));
    assert_eq!(parked.poll(ms(2)), Action::Exit);
    assert_eq!(parked.statement().account.dropped_for(DropReason::UndeliveredAtShutdown), 3);
    balanced(&parked);

    let mut closed = with_ready(options(), 3);
    assert_eq!(closed.failed(ms(1), Vec::new(), &error(ErrorKind::Closed)), None);
    assert_eq!(offer(&mut closed, 4, 50), Admission::Dropped(DropReason::SinkClosed));
    closed.shutdown(ms(2), ms(5000));
    assert_eq!(closed.poll(ms(2)), Action::Exit);
    assert_eq!(closed.statement().account.dropped_for(DropReason::SinkClosed), 4);
    balanced(&closed);
}

#[test]
fn the_earlier_of_two_shutdown_deadlines_holds() {
    let mut machine = with_ready(options(), 1);
    machine.failed(ms(0), Vec::new(), &error(ErrorKind::Unavailable));
    machine.shutdown(ms(0), ms(500));
    machine.shutdown(ms(0), ms(5000));
    machine.failed(ms(1), Vec::new(), &error(ErrorKind::Unavailable));
    assert_ne!(machine.poll(ms(499)), Action::Exit);
    assert_eq!(machine.poll(ms(500)), Action::Exit);
}

#[test]
fn a_rejection_at_the_end_of_a_partly_settled_batch_leaves_nothing_to_wait_for() {
    let mut machine = with_ready(Options { ack_timeout: ms(1000), ..options() }, 8);
    expect_batch(&mut machine, ms(0));
    machine.delivered(ms(1), 7, Level::Sent, 7, ms(1));
    machine.rejected(ms(1), 8, Vec::new(), &error(ErrorKind::TooLarge));
    let action = machine.poll(ms(2000));
    assert!(matches!(action, Action::Wait(_)), "nothing is unacknowledged, yet {action:?}");
    balanced(&machine);
}
