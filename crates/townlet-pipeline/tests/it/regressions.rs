//! The predecessor's weaknesses, by number: facts, section 14. Each test says what used to go wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use townlet_pipeline::{Backpressure, DropReason, Options, TickHealth};
use townlet_schema::snapshot::WorldEvent;
use townlet_schema::{ConsoleResult, Failure, Json, Object, Snapshot, read_head};
use townlet_testkit::{Script, Step};
use townlet_transport::ErrorKind;

use crate::fakes::{
    HOUR, PATIENCE, With, books, builder, delivered, eager, eventually, identities, lazy, ms, noted, order, single,
    text,
};

/// W5: every world event was emitted twice.
#[test]
fn w5_each_event_of_a_snapshot_is_there_once() {
    let (telemetry, script) = single(eager("main"));
    for tick in 1..=20u64 {
        let event = |n: u64| WorldEvent { event: format!("e{n}").into(), tick, fields: Object::default() };
        let events = (tick * 10..tick * 10 + 3).map(event).collect();
        telemetry.emit_snapshot(tick, Snapshot { events, ..Snapshot::default() }).unwrap();
    }
    let _ = telemetry.shutdown(PATIENCE);
    let all = text(&script.received()).concat();
    for n in (1..=20).flat_map(|tick| tick * 10..tick * 10 + 3) {
        assert_eq!(all.matches(&format!("\"e{n}\"")).count(), 1, "e{n}");
    }
}

/// W11: the queue length in health was the number of console results.
#[test]
fn w11_the_queue_in_health_is_the_transports() {
    let (telemetry, script) = single(Options { max_batch_size: 2, ..eager("main") });
    script.hold_next_send();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(1, order(1)).unwrap();
    assert!(script.wait_until_held(PATIENCE));
    for n in 0..6 {
        orders.emit(1, order(n)).unwrap();
    }
    for _ in 0..3 {
        telemetry.emit_console(1, ConsoleResult::default()).unwrap();
    }
    telemetry.tick_health(1, &TickHealth::default()).unwrap();
    let health = telemetry.latest_health_status().unwrap();
    assert_eq!(health.summary.queue_length, 10, "1 in flight, 6 orders, 3 results");
    assert_eq!(health.transport.queue_length, 10);
    telemetry.tick_failure(1, &TickHealth::default(), "boom").unwrap();
    script.release();
    delivered(&telemetry, "main", 12);
    telemetry.tick_health(2, &TickHealth::default()).unwrap();
    assert_eq!(telemetry.latest_health_status().unwrap().summary.queue_length, 0);
    let _ = telemetry.shutdown(PATIENCE);
    assert!(text(&script.received()).iter().any(|line| line.contains("\"queue_length\":11")), "in the failure as well");
}

/// W12: `last_error` never cleared, `connected` and the totals lied.
#[test]
fn w12_the_status_tells_the_truth() {
    let script = Script::new();
    script.fail_next_connects(2, ErrorKind::Unavailable);
    script.then(Step::Fail { settled: 0, kind: ErrorKind::Timeout });
    script.hold_next_send();
    let options = Options { backoff: ms(200), max_backoff: ms(200), ..eager("main") };
    let telemetry = builder().scripted(options, &script).start().unwrap();
    let fresh = telemetry.latest_transport_status();
    assert_eq!((fresh.connected, fresh.last_error, fresh.last_error_at), (false, None, None));
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(7, order(1)).unwrap();
    eventually("an error is reported", || telemetry.latest_transport_status().last_error.is_some());
    let failing = telemetry.latest_transport_status();
    assert!(!failing.connected);
    assert_eq!((failing.payloads_flushed_total, failing.bytes_flushed_total), (0, 0), "nothing was flushed");
    assert_eq!(failing.last_success_tick, None);
    assert!(script.wait_until_held(PATIENCE));
    orders.emit(9, order(2)).unwrap();
    script.release();
    delivered(&telemetry, "main", 2);
    let well = telemetry.latest_transport_status();
    assert!(well.connected && well.worker_alive);
    assert_eq!((well.last_error, well.consecutive_send_failures), (None, 0), "cleared by success");
    assert!(well.last_error_at.unwrap() > 1_600_000_000_000, "and kept: when, in milliseconds since 1970");
    assert_eq!((well.send_failures_total, well.errors_total), (3, 3));
    assert_eq!((well.last_failure_tick, well.last_success_tick), (Some(7), Some(9)), "ticks of the frames themselves");
    assert_eq!(well.payloads_flushed_total, 2);
    let bytes: usize = script.received().iter().map(Bytes::len).sum();
    assert_eq!(well.bytes_flushed_total, bytes as u64);
    let _ = telemetry.shutdown(PATIENCE);
    let ended = telemetry.latest_transport_status();
    assert_eq!((ended.worker_alive, ended.connected, ended.status.as_ref()), (false, false, "closed"));
}

/// W18: under `block` a dead worker let memory grow without bound.
#[test]
fn w18_block_sheds_when_the_worker_is_parked() {
    let script = Script::new();
    script.then(Step::Panic);
    let limits = Options {
        backpressure: Backpressure::Block,
        block_timeout: HOUR,
        max_buffer_bytes: 20_000,
        restart_limit: 0,
        restart_window: HOUR,
        ..eager("main")
    };
    let telemetry = builder().scripted(limits, &script).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(1, order(1)).unwrap();
    eventually("it is parked", || !telemetry.latest_transport_status().worker_alive);
    for n in 0..5000 {
        orders.emit(n, noted(n, 100)).unwrap();
        assert!(telemetry.latest_transport_status().queue_bytes <= 20_000);
    }
    let statement = books(&telemetry, "main");
    assert_eq!((statement.account.accepted(), statement.residual()), (5001, 0));
    assert!(statement.account.dropped_for(DropReason::Backpressure) > 4900);
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

/// W19: `fan_out` reordered, sent on the caller's thread, and was not counted.
#[test]
fn w19_fan_out_keeps_order_by_lane_and_counts_everything() {
    let (main, lane) = (Script::new(), Script::new());
    main.hold_next_send();
    let (one, two) = (main.clone(), lane.clone());
    let options =
        Options { backpressure: Backpressure::FanOut, max_queue_length: 100, max_batch_size: 7, ..eager("main") };
    let telemetry = builder()
        .sink(options, townlet_pipeline::SinkInfo::new("tcp"), move || {
            let extra = std::thread::current().name().unwrap().ends_with(".lane");
            Ok(Box::new(if extra { two.transport() } else { one.transport() }))
        })
        .start()
        .unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(0, order(0)).unwrap();
    assert!(main.wait_until_held(PATIENCE));
    for n in 1..100 {
        orders.emit(n, order(n)).unwrap();
    }
    // The main lane is full: these go to the other.
    for n in 100..200 {
        assert_eq!(orders.emit(n, order(n)).unwrap().dropped, None);
    }
    assert!(lane.wait_for_lines(100, PATIENCE), "while the main lane is stuck");
    main.release();
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(last.sinks[0].1.account.delivered(), 200);
    assert_eq!(main.received_seqs(), (1..=100).collect::<Vec<_>>());
    assert_eq!(lane.received_seqs(), (101..=200).collect::<Vec<_>>());
}

/// W20: a crash lost the payload that was in the worker's hands, uncounted.
#[test]
fn w20_a_panic_in_a_transport_loses_nothing() {
    for sinks in [1, 2] {
        let script = Script::new();
        script.panic_on_send(2);
        let mut pipeline = builder().scripted(Options { max_batch_size: 3, ..lazy("main") }, &script);
        if sinks == 2 {
            pipeline = pipeline.scripted(eager("other"), &Script::new());
        }
        let telemetry = pipeline.start().unwrap();
        let orders = telemetry.stream("orders").unwrap();
        for n in 0..6 {
            orders.emit(n, order(n)).unwrap();
        }
        if sinks == 2 {
            // The stage is woken by ticks; the last of them has not ended.
            orders.emit(99, order(6)).unwrap();
        }
        assert!(script.wait_for_lines(6, PATIENCE), "{sinks} sinks: without a new event");
        eventually("the restart is counted", || telemetry.latest_transport_status().worker_restart_count == 1);
        let last = telemetry.shutdown(PATIENCE);
        assert_eq!((last.sinks[0].1.account.dropped(), last.residual()), (0, 0));
        assert!(script.received_seqs().into_iter().eq(1..=5 + sinks), "{sinks} sinks");
    }
}

/// W23: failure lines without `schema_version` broke clients.
#[test]
fn w23_every_line_carries_its_version_and_identity() {
    let (telemetry, script) = single(eager("main"));
    telemetry.emit_failure(3, Failure { error: "ValueError: x".into(), ..Failure::default() }).unwrap();
    telemetry.tick_failure(4, &TickHealth::default(), "boom").unwrap();
    telemetry.emit_event("loop.failure", 5, &BTreeMap::from([("error", "e")])).unwrap();
    telemetry.tick_health(5, &TickHealth::default()).unwrap();
    telemetry.emit_console(5, ConsoleResult::default()).unwrap();
    telemetry.emit_snapshot(5, Snapshot::default()).unwrap();
    telemetry.emit_named("door", 5, Json::Null).unwrap();
    telemetry.stream("orders").unwrap().emit(5, order(1)).unwrap();
    assert_eq!(telemetry.shutdown(PATIENCE).sinks[0].1.account.delivered(), 8);
    let run_id = telemetry.run_id().to_string();
    let lines = script.received();
    for line in &lines {
        let head = read_head(line).unwrap();
        assert_eq!(head.schema_version.unwrap().to_string(), "1.1.0");
        assert_eq!(head.run_id.as_deref(), Some(run_id.as_str()));
        assert!(head.payload_type.is_some() && head.stream.is_some() && head.seq.is_some() && head.tick.is_some());
    }
    let failures: Vec<_> = identities(&lines).into_iter().filter(|(stream, _)| stream == "town.failure").collect();
    assert_eq!(failures, (1..=3).map(|n| ("town.failure".to_owned(), n)).collect::<Vec<_>>());
}

/// W27: the context was copied three to five times per tick.
#[test]
fn w27_a_snapshot_is_shared_and_never_copied() {
    let (telemetry, script) = single(lazy("main"));
    assert!(telemetry.latest_snapshot().is_none() && telemetry.latest_economy_settings().is_none());
    let settings: BTreeMap<String, f64> = (0..100).map(|n| (format!("price {n}"), 1.0)).collect();
    let snapshot = Snapshot { economy_settings: settings, ..Snapshot::default() };
    let place = std::ptr::from_ref(snapshot.economy_settings.first_key_value().unwrap().0.as_str());
    telemetry.emit_snapshot(1, snapshot).unwrap();
    let (one, two) = (telemetry.latest_snapshot().unwrap(), telemetry.latest_snapshot().unwrap());
    assert!(Arc::ptr_eq(&one, &two));
    let emitted = std::ptr::from_ref(one.economy_settings.first_key_value().unwrap().0.as_str());
    assert!(std::ptr::addr_eq(place, emitted), "the host's own value, moved");
    // Ours, the two above, and the one that waits to be encoded.
    assert_eq!(Arc::strong_count(&one), 4);
    let view = telemetry.latest_economy_settings().unwrap();
    assert!(std::ptr::eq(&raw const *view, &raw const one.economy_settings), "a view looks into the same snapshot");
    telemetry.emit_snapshot(2, Snapshot::default()).unwrap();
    assert_eq!(view.len(), 100, "and keeps it");
    drop((view, two));
    let _ = telemetry.shutdown(PATIENCE);
    eventually("what was encoded is let go", || Arc::strong_count(&one) == 1);
    assert!(script.wait_for_lines(2, Duration::ZERO));
}
