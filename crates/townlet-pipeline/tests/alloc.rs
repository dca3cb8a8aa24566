//! What the pipeline asks of the allocator.
//!
//! One test, because the count is the process's.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "it/fakes.rs"]
#[expect(dead_code, reason = "shared with the other test binary, which uses the rest")]
mod fakes;

use std::alloc::System;

use cap::Cap;
use townlet_pipeline::{Backpressure, Options};
use townlet_schema::Snapshot;
use townlet_testkit::Script;

use fakes::{Details, Order, PATIENCE, With, builder, delivered, eager, lazy, noted, order};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const MIB: usize = 1 << 20;

/// An event that owns nothing, so that whatever is allocated is the pipeline's doing.
fn plain(id: u64) -> Order {
    Order { event: "order", payload: Details { id, price: 0.5, note: String::new() } }
}

/// Nothing is due before a tick far ahead, so that the worker sleeps while the host is measured.
fn a_warm_emit_allocates_nothing() {
    let script = Script::new();
    let options = Options { flush_interval_ticks: 1000, ..lazy("main") };
    let telemetry = builder().scripted(options, &script).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    let burst = |tick| {
        for n in 0..800 {
            orders.emit(tick, plain(n)).unwrap();
        }
    };
    for round in 1..=3 {
        burst(round * 10_000);
        orders.emit(round * 10_000 + 1000, plain(0)).unwrap();
        delivered(&telemetry, "main", round * 801);
    }
    let before = ALLOCATOR.total_allocated();
    burst(40_000 - 1);
    let allocated = ALLOCATOR.total_allocated() - before;
    assert_eq!(allocated, 0, "bytes for 800 events");
    assert_eq!(telemetry.shutdown(PATIENCE).sinks[0].1.account.delivered(), 3 * 801 + 800);
}

/// Nor does a host pay for what it evicts, once the queue is full.
fn a_warm_emit_into_a_full_queue_allocates_next_to_nothing() {
    let script = Script::new();
    script.hold_next_send();
    let options = Options { max_queue_length: 1000, ..eager("main") };
    let telemetry = builder().scripted(options, &script).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(0, plain(0)).unwrap();
    assert!(script.wait_until_held(PATIENCE));
    for n in 0..10_000 {
        orders.emit(n, plain(n)).unwrap();
    }
    let before = ALLOCATOR.total_allocated();
    for n in 0..10_000 {
        orders.emit(n, plain(n)).unwrap();
    }
    let each = (ALLOCATOR.total_allocated() - before) as f64 / 10_000.0;
    // The stage is held up, so that the host itself frees what it evicts, outside the lock: one box each.
    assert!(each <= 192.0, "{each} bytes for an event");
    script.release();
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

/// The most that was held while `work` ran, beyond what was held before.
fn growth(work: impl FnOnce(&mut dyn FnMut())) -> usize {
    let before = ALLOCATOR.allocated();
    let mut most = 0;
    work(&mut || most = most.max(ALLOCATOR.allocated().saturating_sub(before)));
    most
}

/// Sinks that are stuck or gone, at full speed, with events of all sizes up to beyond the bound.
fn memory_stays_within_the_bound_and_16_mib() {
    let policies = [Backpressure::DropOldest, Backpressure::Block, Backpressure::FanOut];
    for (policy, sinks) in policies.into_iter().flat_map(|policy| [(policy, 1), (policy, 2)]) {
        for bound in [256 * 1024, 4 * MIB] {
            let stuck = Script::new();
            stuck.hold_next_send();
            stuck.hold_next_send();
            let options = Options {
                backpressure: policy,
                block_timeout: fakes::ms(0),
                max_buffer_bytes: bound,
                max_queue_length: 65_536,
                ..eager("main")
            };
            let lanes = if policy == Backpressure::FanOut { 2 } else { 1 };
            let held = growth(|look| {
                let mut pipeline = builder().scripted(options.clone(), &stuck);
                if sinks == 2 {
                    pipeline = pipeline.scripted(Options { name: "gone".into(), ..options.clone() }, &{
                        let gone = Script::new();
                        gone.fail_next_connects(100_000, townlet_transport::ErrorKind::Unavailable);
                        gone
                    });
                }
                let telemetry = pipeline.start().unwrap();
                let orders = telemetry.stream("orders").unwrap();
                orders.emit(0, order(0)).unwrap();
                assert!(stuck.wait_until_held(PATIENCE));
                for n in 0..20_000u64 {
                    let len = match n % 50 {
                        0 => bound / 3,
                        1 => bound - 1000,
                        2 => 2 * bound,
                        n => n as usize * 20,
                    };
                    // What the caller itself holds is not the pipeline's.
                    let event = (len < bound || n % 1000 == 2).then(|| noted(n, len));
                    if let Some(event) = event {
                        orders.emit(n, event).unwrap();
                    }
                    if n % 100 == 0 {
                        telemetry.emit_snapshot(n, Snapshot::default()).unwrap();
                    }
                    look();
                }
                stuck.release();
                stuck.release();
                assert_eq!(telemetry.shutdown(fakes::ms(20)).residual(), 0);
            });
            let limit = sinks * lanes * bound + 16 * MIB;
            println!("{policy}, {sinks} sinks, bound {bound}: {held} of {limit}");
            assert!(held <= limit, "{policy:?}, {sinks} sinks: {held} bytes at a bound of {bound}");
        }
    }
}

/// Payloads far larger than any bound are not copied, and encoded no further than a line may be long.
fn a_giant_costs_no_more_than_the_longest_line() {
    let bound = MIB;
    let options = Options { max_buffer_bytes: bound, ..eager("main") };
    let telemetry = builder().scripted(options, &Script::new()).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    // Large by number, not by one part: what is written before that shows is all there is.
    let many: Vec<u64> = vec![1_234_567; 4 << 20];
    let (before, peak) = (ALLOCATOR.allocated(), ALLOCATOR.max_allocated());
    telemetry.emit_event("x", 1, &many).unwrap();
    let most = ALLOCATOR.max_allocated();
    assert!(most > peak, "the test sees nothing: {peak}");
    assert!(most - before <= 16 * MIB + bound, "{} bytes", most - before);
    assert!(ALLOCATOR.allocated().saturating_sub(before) < MIB, "and none of it stays");
    drop(many);

    let giant = noted(1, 64 * MIB);
    let json = townlet_schema::Json::from(giant.payload.note.clone());
    let encoded = bytes::Bytes::from(vec![b'x'; 64 * MIB]);
    let before = ALLOCATOR.total_allocated();
    orders.emit_ref(1, &giant).unwrap();
    telemetry.emit_event("x", 1, &giant.payload.note).unwrap();
    orders.emit(1, giant).unwrap();
    telemetry.emit_named("x", 1, json).unwrap();
    orders.emit_encoded(1, encoded).unwrap();
    let copied = ALLOCATOR.total_allocated() - before;
    assert!(copied < MIB, "{copied} bytes were allocated on the way to being dropped");
    let statement = telemetry.shutdown(PATIENCE).sinks[0].1;
    assert_eq!(fakes::drops(&statement), [("oversize".to_owned(), 6)].into());
}

#[test]
fn the_host_allocates_nothing_and_memory_is_bounded() {
    a_warm_emit_allocates_nothing();
    a_warm_emit_into_a_full_queue_allocates_next_to_nothing();
    a_giant_costs_no_more_than_the_longest_line();
    memory_stays_within_the_bound_and_16_mib();
}
