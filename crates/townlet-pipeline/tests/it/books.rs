//! The books balance in every read, whatever the sinks do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use townlet_pipeline::{Backpressure, EmitError, Emitted, Options, SinkInfo, Telemetry, TickHealth};
use townlet_schema::{ConsoleResult, Failure, Json, Snapshot, read_head, read_record};
use townlet_testkit::{Script, Step};
use townlet_transport::{Connected, ErrorKind, Frame, Level, Outcome, SendError, Transport, TransportError};

use crate::fakes::{Dice, PATIENCE, builder, eager, eventually, ms, nan, noted, order};

/// How a sink's peer behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Healthy,
    /// Connects fail, sends fail part of the way, the transport panics; nothing arrives twice.
    Faulty,
    /// Acknowledgements get lost: what arrived is sent again.
    Forgetful,
    /// Acknowledges one by one.
    Slow,
    /// Never there.
    Dead,
}

struct Unreachable;

impl Transport for Unreachable {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Err(TransportError::new(ErrorKind::Unavailable, "nobody is there"))
    }
    fn send(&mut self, _: &[Frame]) -> Result<Outcome, SendError> {
        unreachable!("it never connects")
    }
    fn close(&mut self) {}
}

fn prepare(script: &Script, fate: Fate, dice: &mut Dice) {
    match fate {
        Fate::Healthy | Fate::Dead => {}
        Fate::Slow => script.acknowledge_by_hand(),
        Fate::Faulty => {
            script.fail_next_connects(dice.roll(3) as usize, ErrorKind::Unavailable);
            for _ in 0..40 {
                let settled = dice.roll(4) as usize;
                script.then(match dice.roll(6) {
                    0 => Step::Panic,
                    1 => Step::Fail { settled, kind: ErrorKind::Disconnected },
                    2 => Step::Fail { settled, kind: ErrorKind::Rejected },
                    _ => Step::Take,
                });
            }
        }
        Fate::Forgetful => {
            for _ in 0..40 {
                let taken = dice.roll(8) as usize;
                script.then(match dice.roll(3) {
                    0 => Step::TakeButFail { taken, kind: ErrorKind::Timeout },
                    _ => Step::Take,
                });
            }
        }
    }
}

struct Plan {
    options: Options,
    fate: Fate,
    /// The peer of the main worker, and that of the extra lane.
    scripts: [Script; 2],
}

fn plan(options: Options, fate: Fate, dice: &mut Dice) -> Plan {
    let scripts = [Script::new(), Script::new()];
    scripts.iter().for_each(|script| prepare(script, fate, dice));
    Plan { options, fate, scripts }
}

fn start(plans: &[Plan]) -> Telemetry {
    let mut pipeline = builder();
    for plan in plans {
        let (fate, scripts) = (plan.fate, plan.scripts.clone());
        pipeline = pipeline.sink(plan.options.clone(), SinkInfo::new("script"), move || {
            if fate == Fate::Dead {
                return Ok(Box::new(Unreachable) as Box<dyn Transport>);
            }
            // Each worker's thread bears its name, and builds its transport itself.
            let lane = std::thread::current().name().unwrap().ends_with(".lane");
            Ok(Box::new(scripts[usize::from(lane)].transport()))
        });
    }
    pipeline.start().unwrap()
}

/// One host thread; returns how many emits were accepted.
fn host(telemetry: &Telemetry, thread: u64, emits: u64, seed: u64) -> u64 {
    let mut dice = Dice::new(seed ^ (thread << 32));
    let orders = telemetry.stream("orders").unwrap();
    let mut accepted = 0;
    for n in 0..emits {
        let (id, tick) = (thread * 1_000_000 + n, n / 5);
        let result: Result<Emitted, EmitError> = match dice.roll(16) {
            0..=3 => orders.emit(tick, order(id)),
            4 => orders.emit(tick, noted(id, dice.roll(3000) as usize)),
            5 => orders.emit_ref(tick, &order(id)),
            6 => orders.emit(tick, nan()),
            7 => orders.emit_ref(tick, &nan()),
            8 => orders.emit_encoded(tick, Bytes::from_static(br#"{"event":"order","payload":{"id":1}}"#)),
            9 => orders.emit_encoded(tick, Bytes::from_static(br#"{"event":"cut","payload":{"#)),
            10 => telemetry.emit_named("door", tick, Json::from("cellar")),
            11 => telemetry.emit_event("free.form", tick, &BTreeMap::from([("x", 1.5), ("y", 2.5)])),
            12 => telemetry.emit_snapshot(tick, Snapshot::default()),
            13 => orders.emit(tick, noted(id, 20_000_000)),
            14 => match dice.roll(4) {
                0 => telemetry.tick_health(tick, &TickHealth::default()),
                1 => telemetry.emit_failure(tick, Failure::default()),
                2 => telemetry.emit_console(tick, ConsoleResult::default()),
                _ => telemetry.emit_event("loop.health", tick, &BTreeMap::from([("tick", tick)])),
            },
            _ => telemetry.stream(&format!("side.{}", dice.roll(5))).unwrap().emit(tick, order(id)),
        };
        accepted += u64::from(result.is_ok());
    }
    accepted
}

/// Reads the books until told to stop; each read must balance.
fn auditor(telemetry: &Telemetry, stop: &AtomicBool) -> u64 {
    let mut reads = 0;
    while !stop.load(Ordering::Acquire) {
        let statements = telemetry.statements();
        for (name, statement) in &statements {
            assert_eq!(statement.residual(), 0, "{name}: {statement:?}");
        }
        let accepted: BTreeSet<_> = statements.iter().map(|(_, s)| s.account.accepted()).collect();
        assert_eq!(accepted.len(), 1, "one instant: every sink has accepted the same events");
        let status = telemetry.latest_transport_status();
        for status in std::iter::once(&status).chain(status.sinks.values()) {
            assert_eq!(status.residual, 0, "{status:?}");
            assert_eq!(status.dropped_messages, status.dropped.values().sum::<u64>());
            assert_eq!(status.accepted, status.delivered + status.dropped_messages + status.buffered);
        }
        reads += 1;
        std::thread::yield_now();
    }
    reads
}

fn run(seed: u64, plans: &[Plan]) {
    let telemetry = start(plans);
    let stop = AtomicBool::new(false);
    let slow: Vec<_> = plans.iter().filter(|p| p.fate == Fate::Slow).flat_map(|p| &p.scripts).collect();
    let (accepted, reads) = std::thread::scope(|scope| {
        let auditor = scope.spawn(|| auditor(&telemetry, &stop));
        let peer = scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                slow.iter().for_each(|script| script.ack(1));
                std::thread::park_timeout(ms(1));
            }
        });
        let hosts: Vec<_> = (0..3u64)
            .map(|thread| {
                let telemetry = telemetry.clone();
                scope.spawn(move || host(&telemetry, thread, 200, seed))
            })
            .collect();
        let accepted: u64 = hosts.into_iter().map(|host| host.join().unwrap()).sum();
        // Those that can deliver do so before the end.
        for plan in plans.iter().filter(|p| matches!(p.fate, Fate::Healthy | Fate::Faulty | Fate::Forgetful)) {
            eventually("everything is settled", || {
                let statements = telemetry.statements();
                statements.iter().any(|(name, s)| *name == plan.options.name && s.buffered == 0)
            });
        }
        let last = telemetry.shutdown(ms(50));
        assert_eq!(last.residual(), 0);
        stop.store(true, Ordering::Release);
        peer.join().unwrap();
        (accepted, auditor.join().unwrap())
    });
    assert!(reads > 0);
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!(telemetry.statements(), last.sinks, "nothing changes after the end");
    for ((name, statement), plan) in last.sinks.iter().zip(plans) {
        assert_eq!(name, &plan.options.name);
        let account = statement.account;
        assert_eq!(account.accepted(), accepted, "{name}, seed {seed}: all that was taken over is on its books");
        assert_eq!((statement.buffered, statement.residual()), (0, 0), "{name}, seed {seed}");
        let by_stream = telemetry.stream_accounts(name).unwrap();
        let sum = |f: fn(&townlet_pipeline::Account) -> u64| by_stream.iter().map(|(_, a)| f(a)).sum::<u64>();
        assert_eq!(sum(|a| a.accepted()), account.accepted(), "{name}");
        assert_eq!(sum(|a| a.delivered()), account.delivered(), "{name}");
        assert_eq!(sum(|a| a.dropped()), account.dropped(), "{name}");
        check_lines(plan, account.delivered(), seed);
        plan.scripts.iter().for_each(Script::assert_contract_kept);
    }
}

fn check_lines(plan: &Plan, delivered: u64, seed: u64) {
    let name = &plan.options.name;
    let mut arrived: BTreeSet<(String, u64)> = BTreeSet::new();
    let mut lines = 0;
    for script in &plan.scripts {
        let mut newest: BTreeMap<String, u64> = BTreeMap::new();
        for line in script.received() {
            let head = read_head(&line).unwrap_or_else(|e| panic!("{name}: {e}: {line:?}"));
            read_record(&line).unwrap_or_else(|e| panic!("{name}: {e}: {line:?}"));
            let (stream, seq) = (head.stream.unwrap().into_owned(), head.seq.unwrap());
            lines += 1;
            let fresh = arrived.insert((stream.clone(), seq));
            assert!(fresh || plan.fate == Fate::Forgetful || plan.fate == Fate::Slow, "{name}: {stream}/{seq} twice");
            if fresh {
                let before = newest.insert(stream.clone(), seq).unwrap_or_default();
                assert!(seq > before, "{name}: {stream}/{seq} after {before}, seed {seed}");
            }
        }
    }
    let arrived = arrived.len() as u64;
    match plan.fate {
        Fate::Healthy | Fate::Faulty => assert_eq!((lines, arrived), (delivered, delivered), "{name}, seed {seed}"),
        // What the last connection did not acknowledge may have arrived all the same.
        Fate::Slow | Fate::Forgetful => assert!(arrived >= delivered, "{name}: {arrived} of {delivered}, seed {seed}"),
        Fate::Dead => assert_eq!((arrived, delivered), (0, 0)),
    }
}

#[test]
fn one_sink_with_the_stage_on_its_thread_balances_under_faults() {
    for seed in 1..=8 {
        let mut dice = Dice::new(seed);
        for (n, fate) in [Fate::Healthy, Fate::Faulty, Fate::Forgetful, Fate::Slow].into_iter().enumerate() {
            let tight = Options { max_queue_length: 40, ..eager("main") };
            let policy = if seed % 2 == 0 { Backpressure::DropOldest } else { Backpressure::Block };
            let options = if n % 2 == 0 { eager("main") } else { tight };
            let options = Options { backpressure: policy, block_timeout: ms(20), ..options };
            run(seed, &[plan(options, fate, &mut dice)]);
        }
    }
}

#[test]
fn one_sink_that_fans_out_balances_under_faults_and_each_lane_keeps_the_order() {
    for seed in 11..=18 {
        let mut dice = Dice::new(seed);
        for fate in [Fate::Healthy, Fate::Faulty, Fate::Slow] {
            let limit = 20 + dice.roll(60) as usize;
            let options = Options {
                backpressure: Backpressure::FanOut,
                max_queue_length: limit,
                max_batch_size: 1 + dice.roll(20) as usize,
                ..eager("main")
            };
            run(seed, &[plan(options, fate, &mut dice)]);
        }
    }
}

#[test]
fn three_sinks_of_mixed_policies_balance_although_one_is_dead_for_ever() {
    for seed in 21..=28 {
        let mut dice = Dice::new(seed);
        let policies = [Backpressure::DropOldest, Backpressure::Block, Backpressure::FanOut];
        let fates = [Fate::Healthy, Fate::Faulty, Fate::Forgetful, Fate::Slow];
        let dead = Options {
            backpressure: policies[dice.roll(3) as usize],
            max_queue_length: 1 + dice.roll(50) as usize,
            block_timeout: ms(2),
            ..eager("dead")
        };
        let mut sink = |name| {
            let options = Options {
                backpressure: policies[dice.roll(3) as usize],
                max_queue_length: 30 + dice.roll(300) as usize,
                max_buffer_bytes: 20_000 + dice.roll(200_000) as usize,
                max_batch_size: 1 + dice.roll(40) as usize,
                block_timeout: ms(5),
                ..eager(name)
            };
            let fate = fates[dice.roll(4) as usize];
            plan(options, fate, &mut dice)
        };
        let plans = [sink("main"), sink("second"), plan(dead, Fate::Dead, &mut Dice::new(seed))];
        run(seed, &plans);
    }
}

/// Under contention a stream's numbers come out without gap and in order.
#[test]
fn numbers_follow_the_order_of_acceptance_under_contention() {
    let script = Script::new();
    let pipeline =
        crate::fakes::With::scripted(builder(), Options { max_queue_length: 50_000, ..eager("main") }, &script);
    let telemetry = pipeline.start().unwrap();
    let highest = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (telemetry, highest) = (telemetry.clone(), Arc::clone(&highest));
            scope.spawn(move || {
                let orders = telemetry.stream("orders").unwrap();
                let mut before = 0;
                for n in 0..2000 {
                    let seq = orders.emit(n, order(n)).unwrap().seq;
                    assert!(seq > before, "{seq} after {before} in one thread");
                    before = seq;
                }
                highest.fetch_max(before, Ordering::AcqRel);
            });
        }
    });
    assert_eq!(highest.load(Ordering::Acquire), 8000);
    assert_eq!(telemetry.shutdown(PATIENCE).sinks[0].1.account.delivered_at(Level::Sent), 8000);
    assert_eq!(script.received_seqs(), (1..=8000).collect::<Vec<_>>());
}
