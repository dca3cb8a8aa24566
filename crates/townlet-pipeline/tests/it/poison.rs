//! A transform that panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use townlet_pipeline::{DropReason, Options, Telemetry};
use townlet_schema::{HeapSize, Kind, Payload};
use townlet_testkit::Script;
use townlet_transform::{Chain, Dropped, Record};

use crate::fakes::{
    Gate, HOUR, PATIENCE, With, books, builder, chain, delivered, drops, eager, eventually, ms, order, pass,
};

#[derive(Clone, Default)]
struct Poison {
    on: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl Poison {
    fn chain(&self) -> Chain {
        let poison = self.clone();
        chain(move |_: &mut Record| -> Result<(), Dropped> {
            poison.calls.fetch_add(1, Ordering::AcqRel);
            assert!(!poison.on.load(Ordering::Acquire), "poisoned");
            Ok(())
        })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Acquire)
    }
}

fn start(sinks: usize, poison: &Poison, limits: &Options) -> (Telemetry, Script) {
    let script = Script::new();
    let mut pipeline = builder().transforms(poison.chain()).scripted(limits.clone(), &script);
    if sinks == 2 {
        pipeline = pipeline.scripted(Options { name: "other".into(), ..limits.clone() }, &Script::new());
    }
    (pipeline.start().unwrap(), script)
}

#[test]
fn a_panic_costs_the_event_and_a_restart_and_nothing_else() {
    for sinks in [1, 2] {
        let poison = Poison::default();
        let limits = Options { restart_limit: 10, restart_window: HOUR, ..eager("main") };
        let (telemetry, script) = start(sinks, &poison, &limits);
        let orders = telemetry.stream("orders").unwrap();
        for n in 0..5u64 {
            poison.on.store(true, Ordering::Release);
            orders.emit(n, order(n)).unwrap();
            eventually("the panic is counted", || {
                books(&telemetry, "main").account.dropped_for(DropReason::TransformPanic) == n + 1
            });
            poison.on.store(false, Ordering::Release);
            orders.emit(n, order(n)).unwrap();
            delivered(&telemetry, "main", n + 1);
        }
        let status = telemetry.latest_transport_status();
        assert_eq!((status.worker_restart_count, status.worker_alive), (5, true), "{sinks} sinks");
        assert!(status.last_worker_error.unwrap().contains("poisoned"));
        let last = telemetry.shutdown(PATIENCE);
        for (name, statement) in &last.sinks {
            assert_eq!(drops(statement), [("transform_panic".to_owned(), 5)].into(), "{name}");
            assert_eq!((statement.account.delivered(), statement.residual()), (5, 0), "{name}");
        }
        assert_eq!(script.received_seqs(), [2, 4, 6, 8, 10]);
    }
}

#[test]
fn a_chain_that_always_panics_parks_the_pipeline_which_recovers_after_the_window() {
    for sinks in [1, 2] {
        let poison = Poison::default();
        poison.on.store(true, Ordering::Release);
        let limits = Options { restart_limit: 2, restart_window: ms(3000), max_queue_length: 100, ..eager("main") };
        let (telemetry, script) = start(sinks, &poison, &limits);
        let orders = telemetry.stream("orders").unwrap();
        let mut emitted = 0u64;
        while telemetry.latest_transport_status().worker_alive {
            orders.emit(emitted, order(emitted)).unwrap();
            emitted += 1;
            let (calls, wanted) = (poison.calls(), emitted);
            eventually("it was tried", || {
                poison.calls() > calls
                    || books(&telemetry, "main").account.dropped_for(DropReason::TransformPanic) == wanted
                    || !telemetry.latest_transport_status().worker_alive
            });
        }
        let status = telemetry.latest_transport_status();
        assert_eq!(status.status, "parked", "{sinks} sinks");
        assert!(status.worker_error.unwrap().contains("poisoned"));
        // Parked: nothing is tried, memory stays bounded.
        let calls = poison.calls();
        for n in 0..1000 {
            orders.emit(n, order(n)).unwrap();
        }
        pass(ms(300));
        let statement = books(&telemetry, "main");
        assert_eq!((statement.buffered, statement.residual()), (100, 0), "{sinks} sinks: what waits is kept");
        assert_eq!(poison.calls(), calls, "{sinks} sinks: the chain has its rest");
        poison.on.store(false, Ordering::Release);
        assert!(script.wait_for_lines(100, PATIENCE), "{sinks} sinks: after the window it goes on");
        eventually("it is alive", || telemetry.latest_transport_status().worker_alive);
        let last = telemetry.shutdown(PATIENCE);
        assert_eq!(last.residual(), 0);
        assert!(last.sinks[0].1.account.dropped_for(DropReason::TransformPanic) > 0);
    }
}

/// A panic in a destructor is not the end of the stage either.
#[test]
fn a_destructor_that_panics_does_not_end_the_pipeline() {
    #[derive(serde::Serialize)]
    struct Grenade {
        event: &'static str,
        #[serde(skip)]
        live: bool,
    }
    impl Drop for Grenade {
        fn drop(&mut self) {
            assert!(!self.live || std::thread::panicking(), "boom");
        }
    }
    impl townlet_schema::HeapSize for Grenade {
        fn heap_size(&self) -> usize {
            0
        }
    }
    impl townlet_schema::Payload for Grenade {
        const KIND: townlet_schema::Kind = townlet_schema::Kind::Event;
    }
    let script = Script::new();
    script.hold_next_send();
    let options = Options { max_queue_length: 20, ..eager("main") };
    let telemetry = builder().scripted(options, &script).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    let grenades = telemetry.stream("grenades").unwrap();
    orders.emit(0, order(0)).unwrap();
    assert!(script.wait_until_held(PATIENCE));
    // Evicted while the stage is held up, so buried by it later.
    for n in 0..10 {
        grenades.emit(n, Grenade { event: "g", live: true }).unwrap();
    }
    for n in 0..30 {
        orders.emit(n, order(n)).unwrap();
    }
    script.release();
    delivered(&telemetry, "main", 20);
    orders.emit(99, order(99)).unwrap();
    delivered(&telemetry, "main", 21);
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

/// A value that panics when it is written.
struct Mine;

impl serde::Serialize for Mine {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("cannot be written")
    }
}

impl HeapSize for Mine {
    fn heap_size(&self) -> usize {
        0
    }
}

impl Payload for Mine {
    const KIND: Kind = Kind::Event;
}

/// Hosts encode for a stage that is behind. What goes wrong there goes wrong for the
/// stage, as it does at any other time, and not in the loop.
#[test]
fn a_value_that_panics_when_it_is_written_never_panics_in_emit() {
    let gates = [Gate::closed(), Gate::closed()];
    let at = gates.clone();
    let slow = move |record: &mut Record| -> Result<(), Dropped> {
        if let Some(gate) = at.get(record.tick() as usize) {
            gate.pass();
        }
        Ok(())
    };
    let telemetry = builder().transforms(chain(slow)).scripted(eager("main"), &Script::new()).start().unwrap();
    let (orders, mines) = (telemetry.stream("orders").unwrap(), telemetry.stream("mines").unwrap());
    orders.emit(0, order(0)).unwrap();
    gates[0].wait_until_somebody_waits();
    for n in 1..=3000 {
        orders.emit(n, order(n)).unwrap();
    }
    // The stage finds that it is behind, and is held up once more.
    gates[0].open();
    gates[1].wait_until_somebody_waits();
    let emitted = std::thread::spawn(move || mines.emit(4000, Mine)).join();
    gates[1].open();
    assert_eq!(emitted.unwrap().unwrap().dropped, None);
    delivered(&telemetry, "main", 3001);
    eventually("the stage has counted it", || {
        books(&telemetry, "main").account.dropped_for(DropReason::TransformPanic) == 1
    });
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}
