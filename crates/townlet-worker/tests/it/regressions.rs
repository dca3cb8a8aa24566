//! The predecessor's weaknesses, by their numbers. Each test says what it did.

mod limits;

use std::time::{Duration, Instant};

use townlet_testkit::{Script, Step, frame, frames};
use townlet_transport::{ErrorKind, Frame, Label, Level};
use townlet_worker::{Action, Admission, DropReason, Machine, Offer, Options};

use crate::fakes::{PATIENCE, SLACK, eager, error, eventually, expect_batch, ms, offer, options, scripted};

fn at_tick(seq: u64, tick: u64) -> Frame {
    Frame::new(Label::new("run", "town"), "event", seq, tick, format!("{{\"seq\":{seq}}}\n"))
}

/// W1: the first payload that used up its attempts was dropped, and the whole
/// buffer behind it: a collector down for 0.6 s cost 60 of 300 ticks.
#[test]
fn w1_an_undeliverable_payload_does_not_discard_the_buffer() {
    let script = Script::new();
    script.fail_next_sends(20, ErrorKind::Disconnected);
    script.then(Step::Fail { settled: 0, kind: ErrorKind::Rejected });
    let worker = scripted(Options { max_attempts: 3, max_queue_length: 1000, ..eager() }, &script);
    for seq in 1..=300 {
        assert_eq!(worker.offer(frame(seq)), Offer::Accepted);
    }
    assert!(script.wait_for_lines(299, PATIENCE));
    assert_eq!(script.received_seqs(), (2..=300).collect::<Vec<_>>(), "in order, once each, but for the poison");
    let books = worker.shutdown(PATIENCE);
    assert_eq!((books.account.delivered(), books.account.dropped_for(DropReason::Rejected)), (299, 1));
    assert_eq!(books.residual(), 0);
    script.assert_contract_kept();
}

/// W1: the send during which the peer went away was counted as delivered.
#[test]
fn w1_a_send_that_failed_is_not_counted_as_delivered() {
    let script = Script::new();
    script.then(Step::TakeButFail { taken: 3, kind: ErrorKind::Disconnected });
    let worker = scripted(Options { max_batch_size: 5, ..options() }, &script);
    for seq in 1..=5 {
        worker.offer(frame(seq));
    }
    assert!(script.wait_for_lines(8, PATIENCE));
    assert_eq!(script.received_seqs(), [1, 2, 3, 1, 2, 3, 4, 5], "at least once: receivers deduplicate by seq");
    let books = worker.shutdown(PATIENCE);
    assert_eq!((books.account.delivered(), worker.status().payloads_flushed_total), (5, 5));
}

/// W7: a failed reconnect gave up the remaining attempts at once.
#[test]
fn w7_attempts_go_on_after_max_attempts_until_the_peer_is_back() {
    let script = Script::new();
    script.fail_next_connects(25, ErrorKind::Unavailable);
    let worker = scripted(Options { max_attempts: 3, ..eager() }, &script);
    for one in frames(1..=10) {
        worker.offer(one);
    }
    eventually("it is reported as down", || worker.status().down);
    assert_eq!(worker.statement().account.dropped(), 0, "down is a report, not a reason to drop");
    assert!(script.wait_for_lines(10, PATIENCE));
    assert_eq!(script.connect_attempts(), 26);
    assert_eq!(worker.shutdown(PATIENCE).account.delivered(), 10);
    assert!(!worker.status().down);
}

/// W7: the pause between attempts was constant.
#[test]
fn w7_pauses_grow_to_the_cap_with_jitter() {
    let mut machine = Machine::new(Options { backoff: ms(100), max_backoff: ms(3000), ..options() }, 42);
    let mut longest = Duration::ZERO;
    for n in 0..200u32 {
        let pause = machine.failed(ms(0), Vec::new(), &error(ErrorKind::Unavailable)).unwrap();
        assert!(pause <= (ms(100) * 2u32.pow(n.min(10))).min(ms(3000)), "failure {n}: {pause:?}");
        longest = longest.max(pause);
    }
    assert!(longest > ms(2500), "the longest of 200 was {longest:?}");
}

/// W7: the pause could not be interrupted; shutdown returned with the worker still alive.
#[test]
fn w7_shutdown_cuts_a_pause_short_and_delivers() {
    let script = Script::new();
    script.fail_next_connects(1, ErrorKind::Unavailable);
    let an_hour = Duration::from_secs(3600);
    let worker = scripted(Options { backoff: an_hour, max_backoff: an_hour, ..eager() }, &script);
    worker.offer(frame(1));
    assert!(script.wait_for_connect_attempts(1, PATIENCE));
    eventually("it pauses", || worker.status().send_failures_total == 1);
    let started = Instant::now();
    let books = worker.shutdown(PATIENCE);
    assert!(started.elapsed() < PATIENCE, "the pause was not cut short");
    assert_eq!((books.account.delivered(), books.residual()), (1, 0));
    assert_eq!(script.received_seqs(), [1]);
}

/// W7: a stuck send held shutdown up, and the buffer was drained by two threads at once after it.
#[test]
fn w7_shutdown_is_on_time_although_a_call_is_stuck() {
    let script = Script::new();
    script.hold_next_send();
    let worker = scripted(Options { max_batch_size: 2, ..eager() }, &script);
    worker.offer(frame(1));
    assert!(script.wait_until_held(PATIENCE));
    for seq in 2..=5 {
        worker.offer(frame(seq));
    }
    let started = Instant::now();
    let books = worker.shutdown(ms(100));
    let took = started.elapsed();
    assert!((ms(100)..ms(100) + SLACK).contains(&took), "{took:?}");
    assert_eq!(books.account.dropped_for(DropReason::UnackedAtShutdown), 1);
    assert_eq!(books.account.dropped_for(DropReason::UndeliveredAtShutdown), 4);
    assert_eq!((books.residual(), books.buffered), (0, 0));
    let status = worker.status();
    // The call returns at last, with success: too late to count.
    script.release();
    assert!(script.wait_for_lines(1, PATIENCE));
    eventually("the thread ends", || script.closes() == 1);
    assert_eq!(worker.statement(), books);
    assert_eq!(worker.status(), status);
    assert_eq!(script.received_seqs(), [1], "nothing else is sent after the deadline");
}

/// W10: `max_batch_size` was stored and never read; each payload was a send of its own.
#[test]
fn w10_the_batch_size_is_real() {
    let script = Script::new();
    script.hold_next_send();
    let worker = scripted(Options { max_batch_size: 4, ..options() }, &script);
    for seq in 1..=4 {
        worker.offer(frame(seq));
    }
    assert!(script.wait_until_held(PATIENCE));
    for seq in 5..=14 {
        worker.offer(frame(seq));
    }
    script.release();
    assert_eq!(worker.shutdown(PATIENCE).account.delivered(), 14);
    assert_eq!(script.batches(), [4, 4, 4, 2]);
}

/// W10: `flush_interval_ticks: 1000` still flushed within 0.2 s.
#[test]
fn w10_the_flush_interval_in_ticks_is_real() {
    let rarely = Duration::from_secs(3600);
    let mut machine = Machine::new(Options { flush_interval_ticks: 10, flush_interval: rarely, ..options() }, 1);
    machine.poll(ms(0));
    for tick in 5..=11 {
        let one = at_tick(tick, tick);
        assert_eq!(machine.admit(0, tick, one.len()), Admission::Upstream);
        machine.fill(0, 0, one.len(), one);
        assert!(matches!(machine.poll(ms(200)), Action::Wait(_)), "0.2 s and {} ticks are no reason", tick - 5);
    }
    assert!(!machine.wants_wake());
    let late = at_tick(15, 15);
    machine.admit(0, 15, late.len());
    machine.fill(0, 0, late.len(), late);
    assert!(machine.wants_wake(), "tick 15 is ten beyond tick 5");
    assert_eq!(expect_batch(&mut machine, ms(301)).len(), 8);
}

/// W10: neither was there a bound in time.
#[test]
fn w10_the_flush_interval_in_seconds_is_real() {
    let mut machine = Machine::new(options(), 1);
    machine.poll(ms(1000));
    offer(&mut machine, 1, 50);
    assert!(matches!(machine.poll(ms(1499)), Action::Wait(until) if until == ms(1500)));
    assert_eq!(machine.poll(ms(1500)), Action::Send);
}

/// W12: `last_error` never cleared, totals counted failures, and the ticks in
/// the status were not those of the payload.
#[test]
fn w12_the_status_tells_the_truth() {
    let mut machine = Machine::new(options(), 1);
    assert!(!machine.status().connected, "nothing is known before the first connect");
    for (seq, tick) in [(1, 40), (2, 41), (3, 42)] {
        let one = at_tick(seq, tick);
        machine.admit(0, tick, one.len());
        machine.fill(0, 0, one.len(), one);
    }
    // The host is further on than what is sent.
    machine.admit(0, 99, 10);
    machine.poll(ms(0));
    let mut batch = expect_batch(&mut machine, ms(5000));
    let rest = batch.split_off(1);
    machine.delivered(ms(5001), 1, Level::Sent, 40, ms(7));
    machine.failed(ms(5001), rest, &error(ErrorKind::Timeout));
    let failing = machine.status();
    assert_eq!((failing.last_success_tick, failing.last_failure_tick), (Some(40), Some(41)));
    assert_eq!((failing.payloads_flushed_total, failing.send_failures_total), (1, 1));
    assert_eq!(failing.bytes_flushed_total, 10);
    assert_eq!(failing.last_error_kind, Some(ErrorKind::Timeout));
    assert!(failing.last_error.is_some_and(|e| e.contains("timeout")));
    assert!(!failing.connected);

    assert_eq!(expect_batch(&mut machine, ms(9000)).len(), 2);
    machine.delivered(ms(9001), 2, Level::Sent, 42, ms(7));
    let well = machine.status();
    assert_eq!((well.last_error, well.last_error_kind), (None, None));
    assert_eq!(well.last_error_at, Some(ms(5001)), "when it last failed is kept");
    assert_eq!((well.last_success_tick, well.last_success_at), (Some(42), Some(ms(9001))));
    assert_eq!((well.payloads_flushed_total, well.send_failures_total), (3, 1));
    assert_eq!((well.consecutive_send_failures, well.last_batch_count), (0, 2));
    assert_eq!(well.last_flush_duration, Some(ms(7)));
    assert!(well.connected && well.worker_alive);
}
