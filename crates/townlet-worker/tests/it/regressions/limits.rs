//! W17 to W20: oversize, `block` without a worker, `fan_out`, panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use townlet_testkit::{Script, Step, event, frame, frame_of_len};
use townlet_transport::Level;
use townlet_worker::{Action, Backpressure, DropReason, Machine, Offer, Options};

use crate::fakes::{PATIENCE, balanced, eager, eventually, expect_batch, ms, offer, options, scripted, seqs, spawn};

/// W17: one payload above the byte bound wiped the buffer, itself included.
#[test]
fn w17_an_oversize_payload_is_dropped_alone() {
    for backpressure in [Backpressure::DropOldest, Backpressure::Block, Backpressure::FanOut] {
        let script = Script::new();
        let limits =
            Options { max_buffer_bytes: 5000, backpressure, block_timeout: PATIENCE, max_batch_size: 50, ..options() };
        let worker = scripted(limits, &script);
        for seq in 1..=10 {
            assert_eq!(worker.offer(frame_of_len(seq, 100)), Offer::Accepted);
        }
        let oversize = worker.offer(frame_of_len(11, 5001));
        assert_eq!(oversize, Offer::Dropped(DropReason::Oversize), "at once, {backpressure}");
        assert_eq!(worker.offer(frame_of_len(12, 100)), Offer::Accepted);
        let books = worker.shutdown(PATIENCE);
        assert_eq!((books.account.delivered(), books.account.dropped()), (11, 1), "{backpressure}");
        assert_eq!(books.residual(), 0);
    }
}

/// W18: under `block` a dead or stopped worker let enqueue return without
/// dropping: 200 KB at a limit of 1 KB.
#[test]
fn w18_block_keeps_memory_bounded_when_the_worker_is_parked_or_stopped() {
    let script = Script::new();
    script.then(Step::Panic);
    let hour = Duration::from_secs(3600);
    let limits = Options {
        backpressure: Backpressure::Block,
        block_timeout: PATIENCE,
        max_buffer_bytes: 1024,
        restart_limit: 0,
        restart_window: hour,
        ..eager()
    };
    let worker = scripted(limits, &script);
    worker.offer(frame_of_len(1, 100));
    eventually("it is parked", || !worker.status().worker_alive);
    for seq in 2..=2000 {
        let offered = Instant::now();
        assert_eq!(worker.offer(frame_of_len(seq, 100)), Offer::Accepted);
        assert!(offered.elapsed() < PATIENCE, "nobody waits for a parked worker");
        assert!(worker.status().queue_bytes <= 1024);
    }
    let status = worker.status();
    assert_eq!((status.queue_length, status.statement.residual()), (10, 0));
    assert_eq!(status.statement.account.dropped_for(DropReason::Backpressure), 1990);
    assert_eq!(status.worker_error.as_deref(), Some("scripted panic in send"));

    let books = worker.shutdown(PATIENCE);
    assert_eq!((books.buffered, books.residual()), (0, 0));
    for seq in 2001..=2100 {
        assert_eq!(worker.offer(frame_of_len(seq, 100)), Offer::Closed);
    }
    assert_eq!(worker.statement(), books, "refused frames are not on the books");
    assert_eq!(worker.status().queue_bytes, 0);
}

/// W19: the overflow of `fan_out` was sent on the caller's thread, with its retries.
#[test]
fn w19_fan_out_keeps_the_callers_thread_out_of_io_and_counts_a_full_lane() {
    let script = Script::new();
    script.hold_next_send();
    script.hold_next_send();
    let limits = Options { backpressure: Backpressure::FanOut, max_queue_length: 10, ..eager() };
    let worker = scripted(limits, &script);
    for seq in 1..=10 {
        assert_eq!(worker.offer(frame(seq)), Offer::Accepted);
    }
    assert!(script.wait_for_sends(1, PATIENCE));
    for seq in 11..=20 {
        assert_eq!(worker.offer(frame(seq)), Offer::Accepted, "the lane takes it");
    }
    assert!(script.wait_for_sends(2, PATIENCE), "on a connection of its own");
    // Both transports are stuck; the caller comes back all the same.
    for seq in 21..=30 {
        assert_eq!(worker.offer(frame(seq)), Offer::Dropped(DropReason::FanOutFull));
    }
    assert_eq!(worker.statement().residual(), 0);
    script.release();
    script.release();
    let books = worker.shutdown(PATIENCE);
    assert_eq!((books.account.delivered(), books.account.dropped_for(DropReason::FanOutFull)), (20, 10));
    let mut received = script.received_seqs();
    received.sort_unstable();
    assert_eq!(received, (1..=20).collect::<Vec<_>>(), "once each; the order is recoverable by seq");
    assert_eq!(script.connections(), 2);
    script.assert_contract_kept();
}

/// W19: 75 inversions in 300 on one socket. Here each lane keeps the order.
#[test]
fn w19_each_lane_of_fan_out_keeps_the_order() {
    let made = Arc::new(AtomicUsize::new(0));
    let (one, two) = (Script::new(), Script::new());
    one.hold_next_send();
    let (first, second) = (one.clone(), two.clone());
    let limits = Options { backpressure: Backpressure::FanOut, max_queue_length: 150, max_batch_size: 7, ..eager() };
    let worker = spawn(limits, move || {
        let script = if made.fetch_add(1, Ordering::Relaxed) == 0 { &first } else { &second };
        script.transport()
    });
    worker.offer(frame(1));
    assert!(one.wait_until_held(PATIENCE));
    for seq in 2..=300 {
        assert_eq!(worker.offer(frame(seq)), Offer::Accepted);
    }
    one.release();
    assert_eq!(worker.shutdown(PATIENCE).account.delivered(), 300);
    let (main, lane) = (one.received_seqs(), two.received_seqs());
    assert!(main.is_sorted() && lane.is_sorted(), "{main:?} {lane:?}");
    assert_eq!(main.len() + lane.len(), 300);
}

/// W20: a crash lost the payload that had been popped, uncounted, and after the
/// restart nothing was flushed before the next enqueue.
#[test]
fn w20_a_panic_keeps_the_batch_and_the_rest_goes_out_without_a_new_event() {
    let script = Script::new();
    script.panic_on_send(2);
    let hour = Duration::from_secs(3600);
    let worker = scripted(Options { max_batch_size: 3, flush_interval: hour, poll: hour, ..options() }, &script);
    for seq in 1..=6 {
        worker.offer(frame(seq));
    }
    assert!(script.wait_for_lines(6, PATIENCE), "without a new enqueue");
    assert_eq!(script.received_seqs(), [1, 2, 3, 4, 5, 6]);
    eventually("booked", || worker.statement().account.delivered() == 6);
    let status = worker.status();
    assert_eq!((status.worker_restart_count, status.worker_alive), (1, true));
    assert_eq!(status.worker_error, None);
    assert_eq!(status.last_worker_error.as_deref(), Some("scripted panic in send"));
    assert_eq!(worker.shutdown(PATIENCE).account.dropped(), 0);
}

/// W20: the restart count was for a lifetime, and at the limit the worker stayed dead for ever.
#[test]
fn w20_a_parked_worker_recovers_after_its_window_and_the_limit_is_per_window() {
    let limits = Options { restart_limit: 1, restart_window: ms(10_000), ..options() };
    let mut machine = Machine::new(limits, 1);
    for round in 0..5u64 {
        let start = ms(round * 100_000);
        for seq in 1..=8 {
            offer(&mut machine, round * 8 + seq, 50);
        }
        let batch = expect_batch(&mut machine, start);
        assert!(machine.panicked(start, batch, "first"), "round {round}: restarted at once");
        let batch = expect_batch(&mut machine, start);
        assert_eq!(batch.len(), 8, "the batch was kept");
        assert!(!machine.panicked(start + ms(1), batch, "second"), "round {round}: parked");
        assert_eq!(machine.poll(start + ms(2)), Action::Wait(start + ms(10_000)));
        let status = machine.status();
        assert_eq!((status.worker_alive, status.worker_error.as_deref()), (false, Some("second")));
        assert_eq!(machine.poll(start + ms(10_000)), Action::Rebuild);
        let batch = expect_batch(&mut machine, start + ms(10_000));
        assert_eq!(seqs(&batch), (round * 8 + 1..=round * 8 + 8).collect::<Vec<_>>());
        machine.delivered(start + ms(10_001), 8, Level::Sent, 1, ms(1));
        let status = machine.status();
        assert_eq!((status.worker_alive, status.worker_error), (true, None));
        assert_eq!(status.worker_restart_count, (round + 1) * 2);
    }
    balanced(&machine);
}

/// W20, with threads: parked, then back.
#[test]
fn w20_a_parked_worker_delivers_what_it_kept_after_its_window() {
    let script = Script::new();
    for _ in 0..3 {
        script.then(Step::Panic);
    }
    let worker = scripted(Options { restart_limit: 2, restart_window: ms(300), ..eager() }, &script);
    worker.offer(event("town", 1));
    assert!(script.wait_for_sends(3, PATIENCE));
    assert!(script.wait_for_lines(1, PATIENCE), "after the window, without a new enqueue");
    assert_eq!(worker.shutdown(PATIENCE).account.delivered(), 1);
    assert_eq!(script.connections(), 4, "a transport that panicked is never used again");
}
