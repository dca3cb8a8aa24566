//! What a run leaves to the next one, and what it says to those who wait for it.

use std::path::Path;

use townlet_pipeline::{Backpressure, DropReason, NoReceipt, Options, Recovered, SpillMode, SpillSettings, Telemetry};
use townlet_schema::RunId;
use townlet_testkit::{Script, logged};
use townlet_transform::{Dropped, Record};
use townlet_transport::{ErrorKind, Level};

use crate::fakes::{Gate, PATIENCE, With, books, builder, chain, delivered, eager, eventually, ms, order};

fn small(name: &str) -> Options {
    // However slow the disk: nothing is dropped for it.
    let patient = Options { block_timeout: PATIENCE, ..eager(name) };
    Options { backpressure: Backpressure::Spill, max_queue_length: 40, max_batch_size: 10, ..patient }
}

fn settings(path: &Path) -> SpillSettings {
    SpillSettings { grace: PATIENCE, ..SpillSettings::new(path) }
}

fn dead() -> Script {
    let script = Script::new();
    script.fail_next_connects(1 << 20, ErrorKind::Unavailable);
    script
}

/// More streams than an account has room for, each with a long name.
fn emit_to_many(telemetry: &Telemetry) -> u64 {
    let streams = 1200;
    for n in 0..streams {
        let stream = telemetry.stream(&format!("{n:04}.{}", "x".repeat(110))).unwrap();
        stream.emit(n, order(n)).unwrap();
    }
    streams
}

fn ended_with_all_delivered(told: &Recovered, count: u64) {
    assert_eq!(
        (told.accepted, told.delivered, told.ended, told.lost_at_most),
        (count, count, true, 0),
        "{:?}",
        told.run_id
    );
}

#[test]
fn the_books_of_a_thousand_streams_are_stored_with_a_spill() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    let start = |run: u128| {
        let pipeline = builder().run_id(RunId::from_u128(run)).scripted(small("main"), &script);
        pipeline.spill("main", settings(folder.path())).start().unwrap()
    };
    let first = start(1);
    let count = emit_to_many(&first);
    delivered(&first, "main", count);
    let last = first.shutdown(PATIENCE);
    assert_eq!((last.residual(), last.sinks[0].1.account.dropped()), (0, 0));
    assert_eq!(first.spills()[0].error, None);
    drop(first);
    let next = start(2);
    let told = &next.recovered()[0];
    ended_with_all_delivered(told, count);
    let known = told.last_seqs.len() as u64;
    assert!(known > 100 && known + told.streams_left_out > count, "{known} and {}", told.streams_left_out);
    assert_eq!(next.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn the_books_of_a_thousand_streams_are_stored_in_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    let start = |run: u128| {
        let mut started = None;
        eventually("the folder is free", || {
            let pipeline = builder().run_id(RunId::from_u128(run)).scripted(eager("main"), &script);
            started = pipeline.ledger(folder.path()).start().ok();
            started.is_some()
        });
        started.unwrap()
    };
    let first = start(1);
    let count = emit_to_many(&first);
    delivered(&first, "main", count);
    assert_eq!(first.shutdown(PATIENCE).residual(), 0);
    drop(first);
    let next = start(2);
    let told = &next.recovered()[0];
    ended_with_all_delivered(told, count);
    assert_eq!(next.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn what_a_spill_holds_for_a_sink_that_is_gone_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str, script: &Script, run: u128| {
        let pipeline = builder().run_id(RunId::from_u128(run)).scripted(small(name), script);
        pipeline.spill(name, settings(folder.path())).start().unwrap()
    };
    let first = start("main", &dead(), 1);
    let orders = first.stream("orders").unwrap();
    for id in 0..70 {
        orders.emit(id, order(id)).unwrap();
    }
    assert_eq!(first.shutdown(ms(20)).sinks[0].1.spilled, 70);
    drop((orders, first));
    let mut second = None;
    let log = logged(|| second = Some(start("primary", &Script::new(), 2)));
    let line = log.lines().find(|line| line.contains("telemetry_spill_unclaimed")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("WARN") && line.contains("main") && line.contains("70"), "{line}");
    assert_eq!(second.unwrap().shutdown(PATIENCE).residual(), 0);
    // Under its old name it gets them.
    let third = start("main", &Script::new(), 3);
    delivered(&third, "main", 70);
    assert_eq!(third.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn who_waits_for_an_event_that_the_next_run_delivers_is_told_at_the_end() {
    for mode in [SpillMode::Overflow, SpillMode::WriteAhead] {
        let folder = tempfile::tempdir().unwrap();
        let spill = SpillSettings { mode, ..settings(folder.path()) };
        let telemetry = builder().scripted(small("main"), &dead()).spill("main", spill).start().unwrap();
        let orders = telemetry.stream("orders").unwrap();
        let receipts: Vec<_> = (0..100).map(|id| orders.emit_with_receipt(id, order(id)).unwrap().1).collect();
        assert_eq!(telemetry.shutdown(ms(20)).sinks[0].1.spilled, 100);
        for receipt in receipts {
            assert_eq!(receipt.wait(Level::Durable, ms(0)), Ok(()), "{mode:?}: it is on the disk");
            assert_eq!(receipt.wait(Level::Sent, ms(0)), Err(NoReceipt::Ended), "{mode:?}");
        }
        assert_eq!(books(&telemetry, "main").residual(), 0);
    }
}

#[test]
fn a_shutdown_with_a_spill_is_on_time_although_a_transform_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::closed();
    let pass = gate.clone();
    let stuck = move |_: &mut Record| -> Result<(), Dropped> {
        pass.pass();
        Ok(())
    };
    let spill = SpillSettings { grace: ms(200), ..SpillSettings::new(folder.path()) };
    let pipeline = builder().transforms(chain(stuck)).scripted(small("main"), &Script::new());
    let telemetry = pipeline.spill("main", spill).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    for id in 0..10 {
        orders.emit(id, order(id)).unwrap();
    }
    gate.wait_until_somebody_waits();
    let (done, ended) = std::sync::mpsc::channel();
    let ending = telemetry.clone();
    let host = std::thread::spawn(move || done.send(ending.shutdown(ms(50))));
    let last = ended.recv_timeout(PATIENCE);
    gate.open();
    host.join().unwrap().ok();
    let last = last.unwrap();
    let statement = last.sinks[0].1;
    assert_eq!((last.residual(), statement.buffered), (0, 0), "{statement:?}");
    assert_eq!(statement.account.dropped_for(DropReason::UndeliveredAtShutdown), 10, "{statement:?}");
}
