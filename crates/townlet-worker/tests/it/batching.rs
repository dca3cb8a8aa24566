//! When a batch is due, when the driver is woken, and how long it sleeps.

use std::time::Duration;

use townlet_testkit::frame_of_len;
use townlet_transport::{Connected, ErrorKind, Frame, Label, Level, TransportError};
use townlet_worker::{Action, Admission, Admitted, Backpressure, DropReason, Machine, Options, PART, Sink};

use crate::fakes::{error, expect_batch, ms, offer, options, seqs, take};
use crate::simulation::Rng;

fn wait_until(action: Action) -> Duration {
    match action {
        Action::Wait(until) => until,
        other => panic!("expected a wait, got {other:?}"),
    }
}

#[test]
fn an_event_that_comes_while_the_driver_dozes_waits_no_longer_than_the_flush_interval() {
    let mut machine = Machine::new(options(), 1);
    let wake = wait_until(machine.poll(ms(0)));
    offer(&mut machine, 1, 50);
    assert!(!machine.wants_wake(), "one event is no reason to wake anybody");
    assert!(wake <= ms(500));
    assert_eq!(seqs(&expect_batch(&mut machine, wake)), [1]);
}

#[test]
fn an_event_that_comes_during_a_send_waits_no_longer_than_the_flush_interval() {
    let mut machine = Machine::new(options(), 1);
    offer(&mut machine, 1, 50);
    machine.poll(ms(0));
    assert_eq!(expect_batch(&mut machine, ms(500)).len(), 1);
    // The call takes 400 ms; early in it another event comes.
    offer(&mut machine, 2, 50);
    machine.delivered(ms(900), 1, Level::Sent, 1, ms(400));
    let wake = wait_until(machine.poll(ms(900)));
    assert!(wake <= ms(1000), "event 2 may have waited since 500 ms, but would be looked at only at {wake:?}");
    assert_eq!(seqs(&expect_batch(&mut machine, wake)), [2]);
}

#[test]
fn what_comes_after_a_full_batch_gets_a_flush_interval_of_its_own() {
    let mut machine = Machine::new(options(), 1);
    offer(&mut machine, 1, 50);
    machine.poll(ms(0));
    for seq in 2..=8 {
        offer(&mut machine, seq, 50);
    }
    assert_eq!(machine.poll(ms(450)), Action::Send);
    offer(&mut machine, 9, 50);
    assert_eq!(seqs(&take(&mut machine)), [1, 2, 3, 4, 5, 6, 7, 8]);
    machine.delivered(ms(451), 8, Level::Sent, 8, ms(1));
    let wake = wait_until(machine.poll(ms(500)));
    assert_eq!(wake, ms(950), "event 9 came at 450 ms at the earliest: there is time to gather more");
}

#[test]
fn frames_that_come_back_are_due_as_soon_as_the_pause_is_over() {
    let mut machine = Machine::new(Options { flush_interval: Duration::from_secs(60), ..options() }, 1);
    for seq in 1..=8 {
        offer(&mut machine, seq, 50);
    }
    let batch = expect_batch(&mut machine, ms(0));
    let kept = batch[3..].to_vec();
    machine.delivered(ms(1), 3, Level::Sent, 3, ms(1));
    let pause = machine.failed(ms(1), kept, &error(ErrorKind::Disconnected)).unwrap();
    assert_eq!(wait_until(machine.poll(ms(1))), ms(1) + pause);
    assert_eq!(seqs(&expect_batch(&mut machine, ms(1) + pause)), [4, 5, 6, 7, 8], "fewer than a batch, but overdue");
}

#[test]
fn what_follows_a_rejected_frame_is_due_at_once() {
    let mut machine = Machine::new(options(), 1);
    for seq in 1..=8 {
        offer(&mut machine, seq, 50);
    }
    let mut batch = expect_batch(&mut machine, ms(0));
    let rest = batch.split_off(1);
    machine.rejected(ms(1), 1, rest, &error(ErrorKind::Rejected));
    assert_eq!(seqs(&expect_batch(&mut machine, ms(1))), [2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn frames_refused_together_are_dropped_together_and_the_rest_is_due_at_once() {
    let mut machine = Machine::new(options(), 1);
    for seq in 1..=8 {
        offer(&mut machine, seq, 50);
    }
    let mut batch = expect_batch(&mut machine, ms(0));
    let rest = batch.split_off(5);
    machine.refused(ms(1), 5, 5, rest, &error(ErrorKind::Rejected));
    assert_eq!(machine.statement().account.dropped_for(DropReason::Rejected), 5);
    assert_eq!(machine.statement().residual(), 0);
    assert_eq!(machine.status().send_failures_total, 1, "one answer, one failure");
    assert_eq!(seqs(&expect_batch(&mut machine, ms(1))), [6, 7, 8]);
}

#[test]
fn a_peer_that_asks_for_time_is_left_alone_for_it_and_not_for_ever() {
    let asked = |pause| error(ErrorKind::Unavailable).asking_to_wait(pause);
    for (pause, least) in [(ms(7_000), ms(7_000)), (Duration::MAX, TransportError::LONGEST_PAUSE), (ms(0), ms(0))] {
        let mut machine = Machine::new(options(), 1);
        offer(&mut machine, 1, 50);
        let batch = expect_batch(&mut machine, ms(500));
        let granted = machine.failed(ms(500), batch, &asked(pause)).unwrap();
        let most = least + options().max_backoff;
        assert!((least..=most).contains(&granted), "{granted:?} where {pause:?} was asked for");
        assert_eq!(wait_until(machine.poll(ms(501))), ms(500) + granted);
    }
}

#[test]
fn a_full_queue_is_due_however_small_it_is() {
    let mut machine = Machine::new(Options { max_queue_length: 4, ..options() }, 1);
    machine.poll(ms(0));
    for seq in 1..=3 {
        offer(&mut machine, seq, 50);
        assert!(!machine.wants_wake());
    }
    offer(&mut machine, 4, 50);
    assert!(machine.wants_wake(), "the next event would have to evict one while the sink is idle");
    assert_eq!(expect_batch(&mut machine, ms(1)).len(), 4);
}

#[test]
fn an_event_that_finds_no_room_makes_the_batch_due() {
    // 400 of 1000 bytes is less than a batch, yet 700 more do not fit.
    for backpressure in [Backpressure::Block, Backpressure::FanOut, Backpressure::DropOldest] {
        let mut machine = Machine::new(Options { max_buffer_bytes: 1000, backpressure, ..options() }, 1);
        machine.poll(ms(0));
        offer(&mut machine, 1, 400);
        assert!(!machine.wants_wake());
        let expected = if backpressure == Backpressure::DropOldest { Admission::Upstream } else { Admission::Full };
        assert_eq!(offer(&mut machine, 2, 700), expected);
        assert!(machine.wants_wake(), "{backpressure}: a host waits or loses while the sink is idle");
        assert_eq!(machine.poll(ms(1)), Action::Send);
    }
}

#[test]
fn asking_whether_one_must_wait_makes_the_batch_due() {
    let mut sink =
        Sink::new(Options { max_buffer_bytes: 1000, backpressure: Backpressure::Block, ..options() }, 1, true);
    assert!(matches!(sink.machine(townlet_worker::Route::Main).poll(ms(0)), Action::Wait(_)));
    assert_eq!(sink.admit(0, 1, 400), Admitted::Upstream(townlet_worker::Route::Main));
    assert!(sink.must_wait(700));
    assert_eq!(sink.machine(townlet_worker::Route::Main).poll(ms(1)), Action::Refill);
}

#[test]
fn a_flush_interval_of_zero_sends_at_once_and_does_not_spin_when_idle() {
    let mut machine = Machine::new(Options { flush_interval: Duration::ZERO, ..options() }, 1);
    assert!(wait_until(machine.poll(ms(7))) > ms(7), "an idle driver sleeps");
    offer(&mut machine, 1, 50);
    assert!(machine.wants_wake());
    assert_eq!(machine.poll(ms(7)), Action::Send);
    let mut idle = Machine::new(Options { poll: Duration::ZERO, ..options() }, 1);
    assert!(wait_until(idle.poll(ms(7))) > ms(7));
}

#[test]
fn limits_that_mean_never_do_not_overflow_the_clock() {
    let never = Duration::MAX;
    let mut machine = Machine::new(
        Options {
            flush_interval: never,
            poll: never,
            ack_timeout: never,
            backoff: never,
            max_backoff: never,
            restart_window: never,
            restart_limit: 0,
            ..options()
        },
        1,
    );
    machine.poll(ms(5));
    offer(&mut machine, 1, 50);
    wait_until(machine.poll(ms(10)));
    for seq in 2..=8 {
        offer(&mut machine, seq, 50);
    }
    let batch = expect_batch(&mut machine, ms(20));
    machine.pending(ms(21));
    assert!(matches!(machine.poll(ms(30)), Action::AwaitReceipts(_)));
    machine.failed(ms(40), batch, &error(ErrorKind::Timeout));
    wait_until(machine.poll(ms(50)));
    assert!(!machine.panicked(ms(60), Vec::new(), "boom"));
    wait_until(machine.poll(ms(70)));
    machine.shutdown(ms(80), never);
    assert_eq!(machine.poll(ms(80)), Action::Exit);
}

#[test]
fn a_batch_size_of_zero_counts_as_one() {
    let mut machine = Machine::new(Options { max_batch_size: 0, ..options() }, 1).with_inline_stage();
    assert_eq!(machine.admit(0, 1, 50), Admission::Upstream);
    assert_eq!(machine.poll(ms(0)), Action::Refill, "there is nothing to send before the stage has run");
    machine.fill(0, 0, 50, frame_of_len(1, 50));
    assert_eq!(machine.poll(ms(0)), Action::Send);
    assert_eq!(take(&mut machine).len(), 1);
}

#[test]
fn ticks_of_events_that_left_the_stage_long_ago_do_not_make_a_batch_due() {
    let mut machine = Machine::new(Options { flush_interval_ticks: 10, ..options() }, 1).with_inline_stage();
    assert_eq!(machine.admit(0, 1, 50), Admission::Upstream);
    // The stage is never quite empty: each event is filled after the next has come.
    for tick in 2..=30 {
        assert_eq!(machine.admit(0, tick, 50), Admission::Upstream);
        machine.fill(0, 0, 50, frame_of_len(tick - 1, 50));
        take(&mut machine);
        machine.delivered(ms(tick), 1, Level::Sent, tick - 1, ms(0));
        let action = machine.poll(ms(tick));
        assert!(matches!(action, Action::Wait(_)), "the oldest is one tick old at {tick}, yet {action:?}");
    }
}

#[test]
fn a_closed_window_waits_for_receipts_without_spinning() {
    let mut machine = Machine::new(Options { max_buffer_bytes: 1000, ..options() }, 1);
    offer(&mut machine, 1, 600);
    expect_batch(&mut machine, ms(0));
    machine.pending(ms(0));
    offer(&mut machine, 2, 300);
    machine.poll(ms(1));
    // Event 2 is overdue by age, but nothing can go out before a receipt comes.
    assert_eq!(machine.poll(ms(700)), Action::AwaitReceipts(ms(20)));
}

#[test]
fn a_batch_that_is_due_goes_out_while_an_earlier_one_is_unacknowledged() {
    let mut machine = Machine::new(options(), 1);
    for seq in 1..=8 {
        offer(&mut machine, seq, 50);
    }
    expect_batch(&mut machine, ms(0));
    machine.pending(ms(0));
    assert!(matches!(machine.poll(ms(1)), Action::AwaitReceipts(_)));
    for seq in 9..=16 {
        offer(&mut machine, seq, 50);
    }
    assert_eq!(seqs(&expect_batch(&mut machine, ms(2))), (9..=16).collect::<Vec<_>>());
}

#[test]
fn during_a_drain_every_frame_and_every_end_upstream_wakes_the_driver() {
    let mut machine = Machine::new(options(), 1);
    for seq in 1..=2 {
        assert_eq!(machine.admit(0, seq, 50), Admission::Upstream);
    }
    machine.shutdown(ms(0), ms(2000));
    wait_until(machine.poll(ms(0)));
    machine.fill(0, 0, 50, frame_of_len(1, 50));
    assert!(machine.wants_wake(), "one frame is enough: the deadline is running");
    expect_batch(&mut machine, ms(1));
    machine.delivered(ms(1), 1, Level::Sent, 1, ms(0));
    wait_until(machine.poll(ms(2)));
    machine.drop_upstream(0, 0, 50, DropReason::Transform);
    assert!(machine.wants_wake(), "the last one is settled: the worker may end");
    assert_eq!(machine.poll(ms(3)), Action::Finish);
}

#[test]
fn the_level_a_sink_cannot_give_is_refused_by_name() {
    let mut machine = Machine::new(Options { settle_at: Level::Durable, ..options() }, 1);
    let refused = machine.connected(&Connected::fresh("10.0.0.1:9", Level::PeerAcked, true)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misconfigured);
    let text = refused.to_string();
    for part in ["10.0.0.1:9", "peer_acked", "settle_at", "durable"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(!machine.status().connected);
    machine.connected(&Connected::fresh("10.0.0.1:9", Level::Durable, true)).unwrap();
    assert_eq!((machine.status().connected, machine.status().tls, machine.level()), (true, true, Level::Durable));
}

/// A loop that begins again counts its ticks from 0 again.
#[test]
fn ticks_that_begin_anew_do_not_make_each_event_due_by_itself() {
    let rarely = std::time::Duration::from_secs(3600);
    let mut machine = Machine::new(Options { flush_interval_ticks: 10, flush_interval: rarely, ..options() }, 1);
    let emit = |machine: &mut Machine, tick: u64| {
        assert_eq!(machine.admit(0, tick, 50), Admission::Upstream);
        machine.fill(0, tick, 50, frame_at_tick(tick));
        machine.wants_wake()
    };
    let send = |machine: &mut Machine, now: u64| {
        let batch = expect_batch(machine, ms(now));
        machine.delivered(ms(now), batch.len(), Level::Sent, 1, ms(1));
        assert!(matches!(machine.poll(ms(now)), Action::Wait(_)));
    };
    machine.poll(ms(0));
    assert!(!emit(&mut machine, 5000) && emit(&mut machine, 5010), "ten ticks have passed");
    send(&mut machine, 1);
    // The first may be due at once, with what may wait from before.
    if emit(&mut machine, 0) {
        send(&mut machine, 2);
    }
    for tick in 1..7 {
        assert!(!emit(&mut machine, tick), "tick {tick}: nobody is woken for a single event");
        assert!(matches!(machine.poll(ms(3)), Action::Wait(_)), "tick {tick}");
        machine.poll(ms(3));
    }
}

fn frame_at_tick(tick: u64) -> Frame {
    Frame::new(Label::new("run", "town"), "event", tick, tick, vec![b'x'; 50])
}

#[test]
fn a_batch_that_is_taken_in_parts_is_the_one_that_is_taken_in_one_go() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let max_batch_size = rng.between(1, 300) as usize;
        let max_buffer_bytes = rng.between(3000, 400_000) as usize;
        let (backpressure, max_queue_length) = (Backpressure::Block, 400);
        let mut machine =
            Machine::new(Options { backpressure, max_queue_length, max_batch_size, max_buffer_bytes, ..options() }, 1);
        let mut queued = Vec::new();
        for seq in 1..rng.between(2, 400) {
            let len = rng.between(1, 3000) as usize;
            if offer(&mut machine, seq, len) == Admission::Upstream {
                queued.push(len);
            }
        }
        let mut left = queued.as_slice();
        while !left.is_empty() {
            let mut bytes = 0;
            let fits = |len: &&usize| {
                bytes += **len;
                bytes <= max_buffer_bytes / 2
            };
            let whole = left.iter().take(max_batch_size).take_while(fits).count().max(1);
            let (mut batch, mut parts) = (Vec::new(), Vec::new());
            let mut more = true;
            while more {
                more = machine.take_part(&mut batch);
                parts.push(batch.len() - parts.iter().sum::<usize>());
            }
            assert!(parts.iter().all(|part| *part <= PART), "seed {seed}: {parts:?}");
            let taken: Vec<usize> = batch.iter().map(Frame::len).collect();
            assert_eq!(taken, left[..whole], "seed {seed}");
            left = &left[whole..];
        }
    }
}

#[test]
fn what_is_pressed_while_a_batch_is_taken_in_parts_is_not_forgotten() {
    let mut machine = Machine::new(Options { max_queue_length: 1000, max_batch_size: PART + 1, ..options() }, 1);
    for seq in 1..=PART as u64 + 1 {
        offer(&mut machine, seq, 50);
    }
    let mut batch = Vec::new();
    assert!(machine.take_part(&mut batch));
    // The lock is free here: somebody emits, and wants it sent now.
    offer(&mut machine, PART as u64 + 2, 50);
    machine.press();
    machine.take_part(&mut batch);
    assert_eq!(batch.len(), PART + 1);
    machine.delivered(ms(1), batch.len(), Level::Sent, 1, ms(1));
    assert_eq!(seqs(&expect_batch(&mut machine, ms(1))), [PART as u64 + 2]);
}
