//! The end: on time, with balanced books, and with no thread left behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use townlet_pipeline::{DropReason, EmitError, Options, SinkInfo, Telemetry};
use townlet_schema::{Json, Snapshot};
use townlet_testkit::Script;
use townlet_transport::{Connected, Frame, Level, Outcome, SendError, Transport, TransportError};

use crate::fakes::{
    HOUR, PATIENCE, With, builder, drops, eager, eventually, lazy, ms, order, single, stuck_in_a_transform,
};

/// Says when it is gone.
struct Farewell(mpsc::Sender<&'static str>, &'static str);

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody listens where the test has failed already.
        let _ = self.0.send(self.1);
    }
}

impl Transport for Farewell {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Ok(Connected::local())
    }
    fn send(&mut self, _: &[Frame]) -> Result<Outcome, SendError> {
        Ok(Outcome::Settled(Level::Sent))
    }
    fn close(&mut self) {}
}

fn timed(telemetry: &Telemetry, timeout: Duration) -> townlet_pipeline::FinalStatement {
    let started = Instant::now();
    let last = telemetry.shutdown(timeout);
    let took = started.elapsed();
    // A busy machine may be late; what misses the deadline here comes never.
    assert!(took < timeout.saturating_add(PATIENCE / 2), "{took:?}");
    assert_eq!(last.residual(), 0);
    assert!(last.sinks.iter().all(|(_, s)| s.buffered == 0), "{last:?}");
    last
}

#[test]
fn the_deadline_holds_although_the_transport_is_stuck() {
    for sinks in [1, 2, 3] {
        let stuck = Script::new();
        stuck.hold_next_send();
        let options = Options { max_batch_size: 2, ..eager("stuck") };
        let mut pipeline = builder().scripted(options, &stuck);
        let others: Vec<_> = (1..sinks).map(|_| Script::new()).collect();
        for (n, other) in others.iter().enumerate() {
            pipeline = pipeline.scripted(eager(&format!("other-{n}")), other);
        }
        let telemetry = pipeline.start().unwrap();
        let orders = telemetry.stream("orders").unwrap();
        orders.emit(1, order(1)).unwrap();
        assert!(stuck.wait_until_held(PATIENCE));
        for n in 2..=10 {
            orders.emit(n, order(n)).unwrap();
        }
        let last = timed(&telemetry, ms(200));
        let (_, statement) = &last.sinks[0];
        assert_eq!(statement.account.dropped_for(DropReason::UnackedAtShutdown), 1, "{sinks}: {statement:?}");
        assert_eq!(statement.account.dropped_for(DropReason::UndeliveredAtShutdown), 9, "{sinks}: {statement:?}");
        assert!(last.sinks[1..].iter().all(|(_, s)| s.account.delivered() == 10), "{sinks}: {last:?}");

        // What comes later changes nothing.
        assert_eq!(timed(&telemetry, HOUR).sinks, last.sinks, "the second answer is the first");
        assert!(matches!(orders.emit(11, order(11)), Err(EmitError::Closed)));
        assert!(matches!(orders.emit_ref(11, &order(11)), Err(EmitError::Closed)));
        assert!(matches!(orders.emit_ref(11, &crate::fakes::nan()), Err(EmitError::Closed)));
        assert!(matches!(telemetry.emit_snapshot(11, Snapshot::default()), Err(EmitError::Closed)));
        assert!(matches!(telemetry.emit_event("x", 11, &1), Err(EmitError::Closed)));
        stuck.release();
        assert!(stuck.wait_for_lines(1, PATIENCE));
        eventually("its thread ends", || stuck.closes() == 1);
        assert_eq!(telemetry.statements(), last.sinks);
        assert_eq!(stuck.received().len(), 1, "nothing is sent after the deadline");
    }
}

#[test]
fn the_deadline_holds_although_a_transform_is_stuck() {
    for sinks in [1, 2] {
        let (telemetry, script, gate) = stuck_in_a_transform(sinks);
        let orders = telemetry.stream("orders").unwrap();
        for n in 0..1000 {
            orders.emit(n, order(n)).unwrap();
        }
        gate.wait_until_somebody_waits();
        let last = timed(&telemetry, ms(200));
        for (name, statement) in &last.sinks {
            assert_eq!(drops(statement), [("undelivered_at_shutdown".to_owned(), 1000)].into(), "{name}");
        }
        // The stage comes back with frames that are settled already.
        gate.open();
        assert_eq!(timed(&telemetry, PATIENCE).sinks, last.sinks);
        eventually("the worker has ended", || script.closes() == script.connections());
        assert_eq!(telemetry.statements(), last.sinks, "{sinks} sinks");
        assert!(script.received().is_empty());
    }
}

/// A flush sends what nothing else would send yet; it gives up on a sink that does not come.
#[test]
fn a_flush_sends_what_waits_and_gives_up_at_its_timeout() {
    for sinks in [1, 2, 3] {
        let scripts: Vec<_> = (0..sinks).map(|_| Script::new()).collect();
        let sink = |n: usize| Options { max_batch_size: 7, ..lazy(&format!("sink-{n}")) };
        let pipeline = scripts.iter().enumerate().fold(builder(), |b, (n, script)| b.scripted(sink(n), script));
        let telemetry = pipeline.start().unwrap();
        assert!(telemetry.flush(Duration::ZERO), "nothing waits");
        let orders = telemetry.stream("orders").unwrap();
        for round in 1..=3 {
            for n in 0..100 {
                orders.emit(n, order(n)).unwrap();
            }
            assert!(telemetry.flush(if round == 1 { Duration::MAX } else { PATIENCE }), "{sinks} sinks");
            assert!(scripts.iter().all(|script| script.received().len() == 100 * round));
        }
        scripts[0].hold_next_send();
        orders.emit(1, order(1)).unwrap();
        let started = Instant::now();
        assert!(!telemetry.flush(ms(100)), "the first sink is stuck");
        assert!(started.elapsed() < PATIENCE);
        scripts[0].release();
        assert!(telemetry.flush(PATIENCE));
        assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
        assert!(telemetry.flush(Duration::ZERO), "after the end nothing waits");
    }
}

#[test]
fn a_timeout_of_zero_or_without_end_is_fine() {
    let (telemetry, _) = single(lazy("main"));
    telemetry.emit_named("door", 1, Json::Null).unwrap();
    let last = timed(&telemetry, Duration::ZERO);
    assert_eq!(last.sinks[0].1.account.accepted(), 1);
    let (telemetry, script) = single(lazy("main"));
    telemetry.emit_named("door", 1, Json::Null).unwrap();
    assert_eq!(telemetry.shutdown(Duration::MAX).sinks[0].1.account.delivered(), 1);
    assert_eq!(script.received().len(), 1);
}

#[test]
fn everybody_who_shuts_down_gets_the_same_books() {
    for sinks in [1, 2] {
        let script = Script::new();
        let mut pipeline = builder().scripted(lazy("main"), &script);
        if sinks == 2 {
            pipeline = pipeline.scripted(lazy("other"), &Script::new());
        }
        let telemetry = pipeline.start().unwrap();
        let accepted = AtomicUsize::new(0);
        let books = std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let orders = telemetry.stream("orders").unwrap();
                    for n in 0..100_000 {
                        match orders.emit(n, order(n)) {
                            Ok(_) => accepted.fetch_add(1, Ordering::AcqRel),
                            Err(_) => break,
                        };
                    }
                });
            }
            eventually("some are in", || accepted.load(Ordering::Acquire) > 1000);
            let closers: Vec<_> = (0..3).map(|_| scope.spawn(|| telemetry.shutdown(PATIENCE))).collect();
            closers.into_iter().map(|closer| closer.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(books.iter().all(|b| b.sinks == books[0].sinks && b.residual() == 0), "{books:?}");
        let account = books[0].sinks[0].1.account;
        assert_eq!(account.accepted(), accepted.load(Ordering::Acquire) as u64, "{sinks} sinks");
        assert_eq!(account.delivered(), script.received().len() as u64);
    }
}

#[test]
fn when_the_last_handle_goes_the_threads_end_and_streams_are_closed() {
    for sinks in [1, 2] {
        let (sender, gone) = mpsc::channel();
        let mut pipeline = builder();
        for (n, name) in ["one", "two"].into_iter().take(sinks).enumerate() {
            let sender = sender.clone();
            pipeline = pipeline.sink(eager(&format!("sink-{n}")), SinkInfo::new("null"), move || {
                Ok(Box::new(Farewell(sender.clone(), name)) as Box<dyn Transport>)
            });
        }
        // The closures that build transports go with their threads.
        drop(sender);
        let telemetry = pipeline.start().unwrap();
        let orders = telemetry.stream("orders").unwrap();
        orders.emit(1, order(1)).unwrap();
        eventually("all have connected", || telemetry.statements().iter().all(|(_, s)| s.account.delivered() == 1));
        let clone = telemetry.clone();
        drop(telemetry);
        assert!(orders.emit(2, order(2)).is_ok(), "another handle is there");
        drop(clone);
        assert!(matches!(orders.emit(3, order(3)), Err(EmitError::Closed)));
        let mut left: Vec<_> = (0..sinks).map(|_| gone.recv_timeout(PATIENCE).unwrap()).collect();
        left.sort_unstable();
        assert_eq!(left, ["one", "two"][..sinks]);
        assert_eq!(gone.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected), "the threads have ended");
    }
}

/// Values that nobody will send any more are freed with the pipeline.
#[test]
fn a_handle_that_goes_without_a_shutdown_says_in_the_log_what_was_not_delivered() {
    for shut_down in [false, true] {
        let (telemetry, _script) = single(lazy("orders-sink"));
        let orders = telemetry.stream("orders").unwrap();
        for n in 1..=3 {
            orders.emit(n, order(n)).unwrap();
        }
        if shut_down {
            timed(&telemetry, Duration::ZERO);
        }
        let log = townlet_testkit::logged(|| drop(telemetry));
        let said = log.contains("telemetry_dropped_without_shutdown");
        assert_eq!(said, !shut_down, "{log}");
        assert!(shut_down || log.contains("sink=\"orders-sink\" undelivered=3"), "{log}");
    }
}

#[test]
fn a_pipeline_that_goes_frees_what_it_holds() {
    #[derive(serde::Serialize)]
    struct Held {
        event: &'static str,
        #[serde(skip)]
        _held: Arc<()>,
    }
    impl townlet_schema::HeapSize for Held {
        fn heap_size(&self) -> usize {
            0
        }
    }
    impl townlet_schema::Payload for Held {
        const KIND: townlet_schema::Kind = townlet_schema::Kind::Event;
    }
    for sinks in [1, 2] {
        let mut pipeline = builder().scripted(lazy("main"), &Script::new());
        if sinks == 2 {
            pipeline = pipeline.scripted(lazy("other"), &Script::new());
        }
        let telemetry = pipeline.start().unwrap();
        let held = Arc::new(());
        let stream = telemetry.stream("held").unwrap();
        for n in 0..200 {
            stream.emit(n, Held { event: "held", _held: Arc::clone(&held) }).unwrap();
        }
        drop((stream, telemetry));
        eventually("all are freed", || Arc::strong_count(&held) == 1);
    }
}

#[test]
fn a_pipeline_that_could_not_start_leaves_no_thread() {
    let (sender, gone) = mpsc::channel::<&'static str>();
    let keep = Farewell(sender, "closure");
    let pipeline = builder().producer("no name").sink(eager("main"), SinkInfo::new("null"), move || {
        let _ = &keep;
        Err(TransportError::new(townlet_transport::ErrorKind::Unavailable, "never"))
    });
    assert!(pipeline.start().is_err());
    assert_eq!(gone.recv_timeout(PATIENCE), Ok("closure"));
}
