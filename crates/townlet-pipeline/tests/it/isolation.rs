//! One sink's trouble is that sink's alone, and the host's never.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use townlet_pipeline::{Backpressure, DropReason, Options, SinkInfo, Telemetry};
use townlet_schema::Snapshot;
use townlet_testkit::{Script, Step};
use townlet_transform::{Dropped, Record};
use townlet_transport::{ErrorKind, Transport, TransportError};

use crate::fakes::{
    Gate, HOUR, PATIENCE, With, books, builder, chain, delivered, drops, eager, eventually, identities, ms, noted,
    order, single, stuck_in_a_transform,
};

/// Runs `work` on a thread of its own; fails where it does not come back.
fn comes_back(what: &str, work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        work();
        done.send(()).unwrap();
    });
    ended.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{what}: {e}"));
}

fn refusing() -> Result<Box<dyn Transport>, TransportError> {
    Err(TransportError::new(ErrorKind::Unavailable, "nobody is there"))
}

#[test]
fn dead_and_stuck_sinks_shed_by_their_policy_while_the_healthy_one_receives_everything() {
    let (stuck, healthy) = (Script::new(), Script::new());
    stuck.hold_next_send();
    let small = |name| Options { max_queue_length: 50, ..eager(name) };
    let telemetry = builder()
        .sink(small("dead"), SinkInfo::new("tcp"), refusing)
        .scripted(small("stuck"), &stuck)
        .scripted(Options { backpressure: Backpressure::FanOut, ..small("fan") }, &{
            let fan = Script::new();
            fan.hold_next_send();
            fan.hold_next_send();
            fan
        })
        .scripted(eager("healthy"), &healthy)
        .start()
        .unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(0, order(0)).unwrap();
    assert!(stuck.wait_until_held(PATIENCE));
    for n in 1..3000 {
        let emitted = orders.emit(n, order(n)).unwrap();
        assert_eq!((emitted.seq, emitted.dropped), (n + 1, None), "the healthy sink keeps it");
        assert!(telemetry.statements().iter().take(3).all(|(_, s)| s.buffered <= 100), "two lanes of 50");
    }
    assert!(healthy.wait_for_lines(3000, PATIENCE));
    assert_eq!(identities(&healthy.received()), (1..=3000).map(|n| ("town.orders".to_owned(), n)).collect::<Vec<_>>());
    for sink in ["dead", "stuck"] {
        let statement = books(&telemetry, sink);
        assert_eq!((statement.account.accepted(), statement.residual()), (3000, 0), "{sink}");
        assert_eq!(statement.account.dropped_for(DropReason::Backpressure), 3000 - statement.buffered, "{sink}");
        assert_eq!(statement.buffered, 50, "{sink}");
    }
    let fan = books(&telemetry, "fan");
    assert_eq!(fan.account.dropped_for(DropReason::FanOutFull), 2900);
    assert_eq!(telemetry.latest_transport_status().provider, "tcp", "no sink is called main: the first leads");
    stuck.release();
    assert_eq!(telemetry.shutdown(ms(50)).residual(), 0);
}

/// What `drop_oldest` leaves is the newest, as far as it is not in the transport's or the stage's hands.
#[test]
fn drop_oldest_keeps_the_newest() {
    for sinks in [1, 2] {
        let script = Script::new();
        script.hold_next_send();
        let options = Options { max_queue_length: 1000, max_batch_size: 10, ..eager("main") };
        let mut pipeline = builder().scripted(options, &script);
        if sinks == 2 {
            pipeline = pipeline.scripted(eager("other"), &Script::new());
        }
        let telemetry = pipeline.start().unwrap();
        let orders = telemetry.stream("orders").unwrap();
        orders.emit(0, order(0)).unwrap();
        assert!(script.wait_until_held(PATIENCE));
        for n in 1..5000 {
            orders.emit(n, order(n)).unwrap();
        }
        script.release();
        let books = telemetry.shutdown(PATIENCE);
        assert_eq!(books.sinks[0].1.account.delivered(), 1000, "{sinks} sinks");
        let seqs = script.received_seqs();
        assert_eq!(*seqs.last().unwrap(), 5000, "{sinks} sinks: the newest is there");
        let newest = seqs.iter().filter(|seq| **seq > 4000).count();
        assert!(newest >= 1000 - 256 - 10, "{sinks} sinks: {newest} of the newest 1000");
        assert!(seqs.is_sorted());
    }
}

/// A transform that holds what it has in hand holds no more than that.
#[test]
fn while_a_transform_is_stuck_the_oldest_waiting_make_room() {
    let gate = Gate::closed();
    let script = Script::new();
    let pass = gate.clone();
    let stuck = move |_: &mut Record| -> Result<(), Dropped> {
        pass.pass();
        Ok(())
    };
    let options = Options { max_queue_length: 2000, ..eager("main") };
    let telemetry = builder().transforms(chain(stuck)).scripted(options, &script).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    for n in 0..10_000 {
        orders.emit(n, order(n)).unwrap();
    }
    gate.wait_until_somebody_waits();
    gate.open();
    assert_eq!(telemetry.shutdown(PATIENCE).sinks[0].1.account.delivered(), 2000);
    let seqs = script.received_seqs();
    let newest = seqs.iter().filter(|seq| **seq > 8000).count();
    assert!(newest >= 2000 - 256, "{newest} of the newest 2000 are left");
}

#[test]
fn emit_never_waits_under_drop_oldest_although_the_transport_is_stuck() {
    let (telemetry, script) = single(Options { max_queue_length: 100, ..eager("main") });
    script.hold_next_send();
    telemetry.emit_snapshot(0, Snapshot::default()).unwrap();
    assert!(script.wait_until_held(PATIENCE));
    let host = telemetry.clone();
    comes_back("a host whose transport is stuck", move || {
        let orders = host.stream("orders").unwrap();
        for n in 0..20_000 {
            orders.emit(n, order(n)).unwrap();
            host.latest_transport_status();
        }
    });
    assert_eq!(books(&telemetry, "main").buffered, 100);
    script.release();
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

/// Neither `emit` nor opening a stream waits for a transform.
#[test]
fn emit_and_new_streams_never_wait_for_a_stuck_transform() {
    for sinks in [1, 2] {
        let (telemetry, script, gate) = stuck_in_a_transform(sinks);
        telemetry.stream("orders").unwrap().emit(1, order(1)).unwrap();
        gate.wait_until_somebody_waits();
        let host = telemetry.clone();
        comes_back("a host whose transform is stuck", move || {
            for n in 0..2000 {
                let late = host.stream(&format!("late.{}", n % 20)).unwrap();
                late.emit(n, order(n)).unwrap();
            }
            assert!(host.replay().is_ok());
        });
        gate.open();
        let last = telemetry.shutdown(PATIENCE);
        assert_eq!(last.sinks[0].1.account.delivered(), 2001, "{sinks} sinks");
        let seen: std::collections::BTreeSet<_> = identities(&script.received()).into_iter().collect();
        assert_eq!(seen.len(), 2001, "each event once, under its own stream");
    }
}

/// A transform may use the pipeline that it is part of.
#[test]
fn a_transform_may_emit_and_open_streams() {
    let handle: std::sync::Arc<std::sync::OnceLock<Telemetry>> = std::sync::Arc::default();
    let inner = std::sync::Arc::clone(&handle);
    let reporting = move |record: &mut Record| -> Result<(), Dropped> {
        if record.stream() == "town.orders" {
            let telemetry: &Telemetry = inner.get().unwrap();
            telemetry.stream("seen").unwrap().emit(record.tick(), order(7)).unwrap();
        }
        Ok(())
    };
    let script = Script::new();
    let telemetry = builder().transforms(chain(reporting)).scripted(eager("main"), &script).start().unwrap();
    handle.set(telemetry.clone()).unwrap();
    let orders = telemetry.stream("orders").unwrap();
    comes_back("a transform that emits", move || {
        for n in 0..10 {
            orders.emit(n, order(n)).unwrap();
        }
    });
    delivered(&telemetry, "main", 20);
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

fn took(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

#[test]
fn block_waits_at_most_its_timeout_in_all() {
    let script = Script::new();
    script.hold_next_send();
    let blocking = Options {
        backpressure: Backpressure::Block,
        max_queue_length: 4,
        max_batch_size: 2,
        block_timeout: ms(3000),
        ..eager("main")
    };
    let telemetry = builder().scripted(blocking, &script).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    for n in 0..4 {
        orders.emit(n, order(n)).unwrap();
    }
    assert!(script.wait_until_held(PATIENCE));
    let waited = took(|| assert_eq!(orders.emit(5, order(5)).unwrap().dropped, None));
    assert!(waited >= ms(3000), "{waited:?}: the host waits");
    assert!(waited < ms(6000), "{waited:?}: once, not three times");
    let statement = books(&telemetry, "main");
    assert_eq!(statement.account.dropped_for(DropReason::BlockTimeout), 1, "{statement:?}");
    // Room lets it go on before the time is up.
    script.release();
    delivered(&telemetry, "main", 4);
    assert_eq!(orders.emit(6, order(6)).unwrap().dropped, None);
    assert_eq!(books(&telemetry, "main").account.dropped(), 1, "there was room in time");
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

/// The timeouts of several sinks run together, and a sink is not waited for longer than its own.
#[test]
fn block_waits_for_each_sink_at_most_that_sinks_timeout() {
    let blocking = |name, timeout| Options {
        backpressure: Backpressure::Block,
        max_queue_length: 1,
        block_timeout: timeout,
        ..eager(name)
    };
    let (quick, patient) = (Script::new(), Script::new());
    quick.hold_next_send();
    let telemetry = builder()
        .scripted(blocking("quick", ms(50)), &quick)
        .scripted(Options { max_queue_length: 100, ..blocking("patient", HOUR) }, &patient)
        .start()
        .unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(1, order(1)).unwrap();
    assert!(quick.wait_until_held(PATIENCE));
    let host = orders.clone();
    comes_back("a host that waits for the quick sink alone", move || {
        host.emit(2, order(2)).unwrap();
    });
    assert_eq!(books(&telemetry, "quick").account.dropped_for(DropReason::BlockTimeout), 1);
    assert_eq!(books(&telemetry, "patient").account.dropped(), 0);
    quick.release();
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

/// A host that waits for room is let go by shutdown, and its event is on no books.
#[test]
fn shutdown_lets_a_blocked_host_go() {
    let blocking =
        Options { backpressure: Backpressure::Block, max_queue_length: 1, block_timeout: HOUR, ..eager("main") };
    let (telemetry, script) = single(blocking);
    script.hold_next_send();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(1, order(1)).unwrap();
    assert!(script.wait_until_held(PATIENCE));
    let host = orders.clone();
    let (entering, entered) = mpsc::channel();
    let blocked = std::thread::spawn(move || {
        entering.send(()).unwrap();
        host.emit(2, order(2))
    });
    entered.recv().unwrap();
    let last = telemetry.shutdown(ms(100));
    assert!(blocked.join().unwrap().is_err());
    assert_eq!((last.sinks[0].1.account.accepted(), last.residual()), (1, 0));
    script.release();
}

/// A sink with a small bound does not keep, by a few short lines, the memory of the long ones that others took.
#[test]
fn lines_of_different_sinks_share_no_memory_that_one_of_them_does_not_count() {
    let (small, large) = (Script::new(), Script::new());
    small.hold_next_send();
    let telemetry = builder()
        .scripted(Options { max_buffer_bytes: 20_000, ..eager("small") }, &small)
        .scripted(Options { max_buffer_bytes: 32 << 20, ..eager("large") }, &large)
        .start()
        .unwrap();
    let orders = telemetry.stream("orders").unwrap();
    let mut emitted = 0;
    while emitted < 500 {
        emitted += 1;
        // Nine in ten are too large for the small sink.
        orders.emit(emitted, noted(emitted, if emitted % 10 == 0 { 10 } else { 30_000 })).unwrap();
    }
    assert!(large.wait_for_lines(500, PATIENCE));
    small.release();
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    assert_eq!(small.received().len(), 50);
    // Lines of one allocation lie one behind the other.
    let lines = large.received();
    let touching = |pair: &&[bytes::Bytes]| pair[0].as_ptr().wrapping_add(pair[0].len()) == pair[1].as_ptr();
    let with_short = lines.windows(2).filter(|pair| pair.iter().any(|line| line.len() < 1000));
    assert_eq!(with_short.filter(touching).count(), 0, "a short line lies by itself");
}

/// A transport that fails in every way it can.
#[test]
fn a_sink_that_panics_for_ever_parks_and_the_others_do_not_notice() {
    let (bad, good) = (Script::new(), Script::new());
    for _ in 0..10 {
        bad.then(Step::Panic);
    }
    let telemetry = builder()
        .scripted(Options { restart_limit: 3, restart_window: HOUR, max_queue_length: 10, ..eager("bad") }, &bad)
        .scripted(eager("main"), &good)
        .start()
        .unwrap();
    let orders = telemetry.stream("orders").unwrap();
    orders.emit(0, order(0)).unwrap();
    eventually("it is parked", || telemetry.latest_transport_status().sinks["bad"].status == "parked");
    for n in 1..500 {
        orders.emit(n, order(n)).unwrap();
    }
    assert!(good.wait_for_lines(500, PATIENCE));
    let status = telemetry.latest_transport_status();
    assert!(status.worker_alive && !status.sinks["bad"].worker_alive);
    assert_eq!(status.sinks["bad"].worker_error.as_deref(), Some("scripted panic in send"));
    eventually("the bad sink is within its bound", || books(&telemetry, "bad").buffered <= 10);
    assert_eq!(drops(&books(&telemetry, "bad"))["backpressure"], 490);
    let started = Instant::now();
    assert_eq!(telemetry.shutdown(HOUR).residual(), 0);
    assert!(started.elapsed() < PATIENCE, "nobody waits an hour for a parked sink");
}
