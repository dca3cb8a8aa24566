//! What is let in, what has to go for it, and what that costs in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use townlet_transport::{ErrorKind, Frame, Label};
use townlet_worker::{
    Action, Admission, Admitted, Backpressure, DropReason, Machine, Options, RestartWindow, Route, Sink, SpillMode,
};

use crate::fakes::{balanced, error, expect_batch, ms, offer, options, seqs, take};

/// Bytes that count themselves as long as they live.
struct Counted {
    bytes: Vec<u8>,
    live: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.live.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[test]
fn evicted_frames_that_wait_to_be_freed_are_bounded_by_bytes_too() {
    let live = Arc::new(AtomicUsize::new(0));
    let mut machine = Machine::new(Options { max_buffer_bytes: 256_000, ..options() }, 1);
    let label = Label::new("run", "big");
    // The driver is stuck in a call, so nobody empties the graveyard.
    for seq in 1..=1000 {
        live.fetch_add(64_000, Ordering::Relaxed);
        let line = Bytes::from_owner(Counted { bytes: vec![b'x'; 64_000], live: Arc::clone(&live) });
        assert_eq!(machine.admit(0, seq, line.len()), Admission::Upstream);
        machine.fill(0, 0, line.len(), Frame::new(label.clone(), "event", seq, seq, line));
    }
    let held = live.load(Ordering::Relaxed);
    assert!(held <= 256_000 + (2 << 20), "{held} bytes are alive, the bound is 256,000");
}

#[test]
fn nothing_is_evicted_for_a_newcomer_that_does_not_fit_even_then() {
    let mut machine = Machine::new(Options { max_buffer_bytes: 1000, ..options() }, 1);
    offer(&mut machine, 1, 900);
    assert_eq!(seqs(&expect_batch(&mut machine, ms(0))), [1], "in the transport's hands from now on");
    offer(&mut machine, 2, 40);
    offer(&mut machine, 3, 40);
    assert_eq!(offer(&mut machine, 4, 500), Admission::Dropped(DropReason::Backpressure));
    assert_eq!(machine.ready(), 2, "the two small ones lost nothing by a newcomer that could not be helped");
    assert_eq!(
        machine.admit_evicting(0, 5, 500, DropReason::BlockTimeout),
        Admission::Dropped(DropReason::BlockTimeout)
    );
    assert_eq!(machine.ready(), 2);
    assert_eq!(machine.streams()[0].dropped_for(DropReason::Backpressure), 1);
    assert_eq!(machine.streams()[0].dropped_for(DropReason::BlockTimeout), 1);
    balanced(&machine);
}

#[test]
fn a_parked_main_worker_leaves_the_newcomers_to_its_lane() {
    let fan_out = Options { backpressure: Backpressure::FanOut, max_queue_length: 2, restart_limit: 0, ..options() };
    let mut sink = Sink::new(fan_out, 1, false);
    for seq in 1..=2 {
        assert_eq!(sink.admit(0, seq, 10), Admitted::Upstream(Route::Main));
    }
    assert!(!sink.machine(Route::Main).panicked(ms(0), Vec::new(), "boom"));
    assert!(sink.main().is_parked());
    assert_eq!(sink.admit(0, 3, 10), Admitted::Upstream(Route::Lane), "the lane is alive and has room");
    assert_eq!(sink.statement().account.dropped(), 0);
}

#[test]
fn a_full_lane_drops_and_a_lane_of_a_parked_worker_is_full() {
    let fan_out = Options { backpressure: Backpressure::FanOut, max_queue_length: 1, restart_limit: 0, ..options() };
    let mut sink = Sink::new(fan_out, 1, false);
    assert_eq!(sink.admit(0, 1, 10), Admitted::Upstream(Route::Main));
    assert_eq!(sink.admit(0, 2, 10), Admitted::Upstream(Route::Lane));
    assert_eq!(sink.admit(0, 3, 10), Admitted::Dropped(DropReason::FanOutFull));
    sink.machine(Route::Lane).drop_upstream(0, 0, 10, DropReason::Transform);
    sink.machine(Route::Lane).panicked(ms(0), Vec::new(), "boom");
    assert_eq!(sink.admit(0, 4, 10), Admitted::Dropped(DropReason::FanOutFull), "nobody empties that lane now");
    assert_eq!(sink.statement().residual(), 0);
    assert_eq!(sink.stream(0).accepted(), 4);
}

#[test]
fn a_closed_sink_settles_what_is_still_upstream() {
    let mut machine = Machine::new(options(), 1).with_inline_stage();
    offer(&mut machine, 1, 50);
    assert_eq!(machine.admit(0, 2, 50), Admission::Upstream);
    machine.failed(ms(1), Vec::new(), &error(ErrorKind::Closed));
    assert_eq!(machine.statement().buffered, 1, "the upstream one is still on its way");
    assert_eq!(machine.poll(ms(2)), Action::Refill, "it must not stay on the books until shutdown");
    machine.fill(0, 0, 50, townlet_testkit::frame_of_len(2, 50));
    assert_eq!(machine.streams()[0].dropped_for(DropReason::SinkClosed), 2);
    assert_eq!(machine.statement().buffered, 0);
    assert!(matches!(machine.poll(ms(3)), Action::Wait(_)));
    balanced(&machine);
}

#[test]
fn an_event_for_a_finished_worker_is_counted_and_dropped() {
    let mut machine = Machine::new(options(), 1);
    machine.abandon();
    assert_eq!(offer(&mut machine, 1, 10), Admission::Dropped(DropReason::UndeliveredAtShutdown));
    balanced(&machine);
}

#[test]
fn the_books_show_a_frame_whose_true_size_is_not_the_estimate() {
    let mut machine = Machine::new(Options { max_buffer_bytes: 1000, ..options() }, 1);
    assert_eq!(machine.admit(0, 1, 300), Admission::Upstream);
    machine.fill(0, 0, 300, townlet_testkit::frame_of_len(1, 400));
    assert_eq!(machine.status().queue_bytes, 400);
    assert_eq!(machine.admit(0, 2, 300), Admission::Upstream);
    machine.fill(0, 0, 300, townlet_testkit::frame_of_len(2, 1001));
    assert_eq!(machine.streams()[0].dropped_for(DropReason::Oversize), 1, "larger than the bound after all");
    assert_eq!((machine.status().queue_bytes, machine.ready()), (400, 1));
    balanced(&machine);
}

#[test]
fn a_frame_as_large_as_the_bound_fits_and_one_byte_more_never_does() {
    let mut machine = Machine::new(Options { max_buffer_bytes: 1000, ..options() }, 1);
    assert_eq!(offer(&mut machine, 1, 1000), Admission::Upstream);
    assert_eq!(offer(&mut machine, 2, 1001), Admission::Dropped(DropReason::Oversize));
    assert_eq!(seqs(&take(&mut machine)), [1], "even a whole buffer goes out in one batch");
    balanced(&machine);
}

#[test]
fn the_restart_window_is_sliding() {
    let mut window = RestartWindow::new(1, ms(100));
    assert_eq!(window.record(ms(0)), None);
    assert_eq!(window.record(ms(50)), Some(ms(100)), "one restart a window is used up");
    window.resumed();
    assert_eq!(window.record(ms(149)), Some(ms(150)), "the one at 50 still counts");
    assert_eq!(window.record(ms(400)), None, "all forgotten");
    assert_eq!(window.total(), 3);
}

#[test]
fn other_limits_hold_for_what_comes_and_take_nothing_away_from_what_waits() {
    let mut machine = Machine::new(Options { max_queue_length: 6, ..options() }, 1);
    for seq in 1..=6 {
        offer(&mut machine, seq, 40);
    }
    assert_eq!(machine.poll(ms(0)), Action::Send, "as many as the queue holds");
    let tight = Options { max_queue_length: 3, max_batch_size: 2, backpressure: Backpressure::Block, ..options() };
    machine.retune(&tight);
    assert_eq!(machine.ready(), 6, "a smaller bound is for newcomers");
    assert_eq!(machine.options().backpressure, Backpressure::DropOldest, "a run keeps its policy");
    assert_eq!(seqs(&take(&mut machine)), [1, 2], "in smaller batches");
    machine.delivered(ms(1), 2, townlet_transport::Level::Sent, 2, ms(0));
    assert_eq!(offer(&mut machine, 7, 40), Admission::Upstream);
    assert_eq!(machine.ready(), 3, "the oldest made room, down to the new bound");
    machine.retune(&Options { max_queue_length: 10, ..options() });
    for seq in 8..=14 {
        offer(&mut machine, seq, 40);
    }
    balanced(&machine);
    let account = machine.statement().account;
    assert_eq!((account.accepted(), account.delivered(), account.dropped()), (14, 2, 2));
}

#[test]
fn with_a_spill_the_bounds_of_the_queue_stay_those_that_its_books_on_disk_speak_of() {
    let spill = Some(townlet_worker::SpillMode::Overflow);
    let mut machine = Machine::new(Options { backpressure: Backpressure::Spill, spill, ..options() }, 1);
    machine.retune(&Options { max_queue_length: 7, max_buffer_bytes: 7, max_batch_size: 0, ..options() });
    let held = machine.options();
    assert_eq!((held.max_queue_length, held.max_buffer_bytes, held.spill), (100, 100_000, spill));
    assert_eq!(held.max_batch_size, 1);
}

#[test]
fn where_few_large_events_fill_memory_the_next_one_sends_them_to_disk() {
    for asks in [Sink::must_wait, |sink: &mut Sink, weight| sink.admit(0, 3, weight) == Admitted::Full] {
        let limits = Options {
            max_buffer_bytes: 100,
            backpressure: Backpressure::Spill,
            spill: Some(SpillMode::Overflow),
            ..options()
        };
        let mut sink = Sink::new(limits, 1, false);
        for seq in 1..=2 {
            assert_eq!(offer(sink.machine(Route::Main), seq, 40), Admission::Upstream);
        }
        assert!(!sink.main().wants_spooler(), "less than half is in memory as the second comes");
        assert!(asks(&mut sink, 40));
        assert!(sink.main().wants_spooler());
        balanced(sink.main());
    }
}
