//! Spills: outages and ends of the process that cost nothing.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use townlet_pipeline::{
    Backpressure, DropReason, Options, SpillMode, SpillOptions, SpillSettings, Telemetry, TickHealth,
};
use townlet_schema::{RunId, Snapshot};
use townlet_testkit::{Script, on_time};
use townlet_transport::{ErrorKind, Level};

use crate::fakes::{PATIENCE, With, books, builder, delivered, eager, eventually, identities, ms, noted, order};

fn small(name: &str) -> Options {
    Options {
        backpressure: Backpressure::Spill,
        block_timeout: PATIENCE,
        max_queue_length: 40,
        max_buffer_bytes: 64 << 10,
        max_batch_size: 10,
        ..eager(name)
    }
}

fn settings(path: &Path) -> SpillSettings {
    // However slow the disk: what is stored at the end is what these tests are about.
    SpillSettings { grace: PATIENCE, ..SpillSettings::new(path) }
}

fn write_ahead(path: &Path) -> SpillSettings {
    SpillSettings { mode: SpillMode::WriteAhead, ..settings(path) }
}

fn start(script: &Script, options: Options, spill: SpillSettings, run: u128) -> Telemetry {
    let name = options.name.clone();
    builder().run_id(RunId::from_u128(run)).scripted(options, script).spill(name, spill).start().unwrap()
}

fn emit(telemetry: &Telemetry, ids: std::ops::Range<u64>) {
    let orders = telemetry.stream("orders").unwrap();
    for id in ids {
        assert_eq!(orders.emit(id, order(id)).unwrap().dropped, None);
        let statement = books(telemetry, "main");
        assert_eq!(statement.residual(), 0, "{statement:?}");
        assert!(statement.buffered <= 40, "memory is bounded: {statement:?}");
    }
}

#[test]
fn an_outage_of_any_length_costs_nothing_and_keeps_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    script.fail_next_connects(50, ErrorKind::Unavailable);
    let telemetry = start(&script, small("main"), settings(folder.path()), 1);
    emit(&telemetry, 0..3000);
    delivered(&telemetry, "main", 3000);
    assert!(script.received_seqs().into_iter().eq(1..=3000), "in order");
    let statement = books(&telemetry, "main");
    assert_eq!((statement.spilled, statement.buffered, statement.residual()), (0, 0, 0));
    // And again, so that what lies behind the first backlog is in order too.
    script.cut(ErrorKind::Disconnected);
    emit(&telemetry, 3000..5000);
    delivered(&telemetry, "main", 5000);
    let seen: BTreeSet<u64> = script.received_seqs().into_iter().collect();
    assert_eq!(seen.len(), 5000);
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!((last.residual(), last.sinks[0].1.account.dropped()), (0, 0));
}

#[test]
fn what_a_dead_sink_left_is_delivered_by_the_next_run_under_its_own_name() {
    for mode in [SpillMode::Overflow, SpillMode::WriteAhead] {
        let folder = tempfile::tempdir().unwrap();
        let spill = || SpillSettings { mode, ..settings(folder.path()) };
        let dead = Script::new();
        dead.fail_next_connects(1 << 20, ErrorKind::Unavailable);
        let first = start(&dead, small("main"), spill(), 1);
        emit(&first, 0..700);
        let last = first.shutdown(ms(50));
        let statement = last.sinks[0].1;
        assert_eq!((statement.spilled, statement.buffered, statement.account.dropped()), (700, 0, 0), "{mode:?}");
        assert_eq!(last.residual(), 0);
        drop(first);

        let alive = Script::new();
        let second = start(&alive, small("main"), spill(), 2);
        let recovered = second.recovered()[0].clone();
        assert_eq!((recovered.recovered, recovered.ended, recovered.lost_at_most), (700, true, 0), "{recovered:?}");
        assert_eq!(recovered.last_seqs.iter().find(|(name, _)| name == "town.orders").unwrap().1, 700);
        emit(&second, 0..20);
        delivered(&second, "main", 720);
        let lines = alive.received();
        let own =
            |line: &bytes::Bytes, run: u128| String::from_utf8_lossy(line).contains(RunId::from_u128(run).as_str());
        assert_eq!(lines.iter().filter(|line| own(line, 1)).count(), 700);
        assert!(identities(&lines[..700]).iter().map(|(_, seq)| *seq).eq(1..=700), "{mode:?}: in order");
        let accounts = second.stream_accounts("main").unwrap();
        let old = &accounts.iter().find(|(name, _)| name == "town.recovered").unwrap().1;
        assert_eq!((old.accepted(), old.delivered()), (700, 700));
        assert_eq!(second.shutdown(PATIENCE).residual(), 0);
        drop(second);

        let third = start(&Script::new(), small("main"), spill(), 3);
        assert_eq!(third.recovered()[0].recovered, 0, "{mode:?}: what was delivered does not come again");
    }
}

#[test]
fn what_a_stuck_transport_holds_is_stored_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    script.hold_next_send();
    let telemetry = start(&script, small("main"), settings(folder.path()), 1);
    emit(&telemetry, 0..5);
    assert!(script.wait_until_held(PATIENCE));
    emit(&telemetry, 5..300);
    let last = telemetry.shutdown(ms(20));
    assert_eq!((last.sinks[0].1.spilled, last.sinks[0].1.account.dropped(), last.residual()), (300, 0, 0));
    script.release();
    drop(telemetry);
    let next = start(&Script::new(), small("main"), settings(folder.path()), 2);
    assert_eq!(next.recovered()[0].recovered, 300);
}

#[test]
fn a_shutdown_that_waits_for_nothing_stores_what_the_stage_has_not_seen_yet() {
    for round in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let dead = Script::new();
        dead.fail_next_connects(1 << 20, ErrorKind::Unavailable);
        let telemetry = start(&dead, small("main"), settings(folder.path()), 1);
        emit(&telemetry, 0..30);
        let statement = telemetry.shutdown(ms(0)).sinks[0].1;
        assert_eq!((statement.spilled, statement.buffered, statement.residual()), (30, 0, 0), "{round}: {statement:?}");
        drop(telemetry);
        let next = start(&Script::new(), small("main"), settings(folder.path()), 2);
        let recovered = &next.recovered()[0];
        assert_eq!((recovered.recovered, recovered.ended, recovered.lost_at_most), (30, true, 0), "{round}");
    }
}

#[test]
fn a_spill_is_named_with_its_sinks_and_a_disk_that_takes_nothing_turns_health_red() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    let brief = SpillSettings { grace: ms(100), ..settings(folder.path()) };
    let telemetry = start(&script, small("main"), brief, 1);
    emit(&telemetry, 0..10);
    delivered(&telemetry, "main", 10);
    let spills = telemetry.spills();
    assert_eq!(
        (spills.len(), spills[0].path.as_path(), &spills[0].sinks[..]),
        (1, folder.path(), &["main".to_owned()][..])
    );
    assert_eq!((&spills[0].error, spills[0].damaged_total), (&None, 0));
    assert_eq!(telemetry.latest_transport_status().spill_error, None);
    telemetry.tick_health(1, &TickHealth::default()).unwrap();
    assert_eq!(telemetry.latest_health_status().unwrap().status, "ok");
    // The folder goes away under it.
    std::fs::remove_dir_all(folder.path()).unwrap();
    script.cut(ErrorKind::Disconnected);
    script.fail_next_connects(1 << 20, ErrorKind::Unavailable);
    emit(&telemetry, 10..40);
    eventually("the error is shown", || telemetry.spills()[0].error.is_some());
    let status = telemetry.latest_transport_status();
    assert!(status.spill_error.is_some_and(|why| !why.is_empty()));
    assert_eq!(status.spill_damaged_total, Some(0));
    telemetry.tick_health(2, &TickHealth::default()).unwrap();
    assert_eq!(telemetry.latest_health_status().unwrap().status, "spill_error");
    assert_eq!(telemetry.shutdown(ms(20)).residual(), 0);
}

#[test]
fn a_durable_receipt_comes_from_the_disk_while_the_sink_is_dead_and_sent_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    script.fail_next_connects(1 << 20, ErrorKind::Unavailable);
    script.acknowledge_by_hand();
    let options = Options { ack_timeout: PATIENCE, ..small("main") };
    let telemetry = start(&script, options, write_ahead(folder.path()), 1);
    let orders = telemetry.stream("orders").unwrap();
    let (_, receipts) = orders.emit_with_receipt(1, order(1)).unwrap();
    receipts.wait(Level::Durable, PATIENCE).unwrap();
    assert!(receipts.iter().all(|(name, receipt)| name == "main" && !receipt.has_reached(Level::Sent)));
    script.come_back();
    receipts.wait(Level::Sent, PATIENCE).unwrap();
    assert!(receipts.iter().all(|(_, receipt)| !receipt.has_reached(Level::PeerAcked)));
    let future = std::thread::spawn({
        let reached = receipts.reached(Level::PeerAcked);
        move || block_on(reached)
    });
    script.ack(1);
    assert_eq!(future.join().unwrap(), Ok(()));
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn a_sink_that_is_faster_than_the_disk_does_not_take_the_durable_receipt_away() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = start(&Script::new(), small("main"), write_ahead(folder.path()), 1);
    let orders = telemetry.stream("orders").unwrap();
    for id in 0..50 {
        let (_, receipts) = orders.emit_with_receipt(id, order(id)).unwrap();
        receipts.wait(Level::Sent, PATIENCE).unwrap();
        receipts.wait(Level::Durable, PATIENCE).unwrap();
    }
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn who_waits_for_a_receipt_does_not_wait_for_the_stage_to_wake_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    // A stage with such a sink dozes for 100 ms at a time.
    let patient = Options { flush_interval: ms(10_000), flush_interval_ticks: 1_000, ..small("main") };
    let telemetry = start(&Script::new(), patient, write_ahead(folder.path()), 1);
    let orders = telemetry.stream("orders").unwrap();
    let mut file = std::fs::File::create(folder.path().join("beside it")).unwrap();
    let mut id = 0;
    for _ in 0..5 {
        on_time("a receipt beyond what the disk takes", ms(50), || {
            let began = Instant::now();
            file.write_all(&[b'x'; 200]).and_then(|()| file.sync_data()).unwrap();
            let sync = began.elapsed();
            id += 1;
            let began = Instant::now();
            let (_, receipts) = orders.emit_with_receipt(1, order(id)).unwrap();
            receipts.wait(Level::Durable, PATIENCE).unwrap();
            began.elapsed().saturating_sub(2 * sync)
        });
    }
}

#[test]
fn a_receipt_says_why_none_will_come() {
    use townlet_pipeline::NoReceipt;
    let script = Script::new();
    script.hold_next_send();
    let options = Options { max_queue_length: 4, max_batch_size: 1, ..eager("main") };
    let telemetry = builder().scripted(options, &script).start().unwrap();
    let orders = telemetry.stream("orders").unwrap();
    let (_, first) = orders.emit_with_receipt(1, order(1)).unwrap();
    assert!(script.wait_until_held(PATIENCE));
    let (_, second) = orders.emit_with_receipt(2, order(2)).unwrap();
    assert_eq!(first.wait(Level::Sent, ms(1)), Err(NoReceipt::Timeout));
    for id in 3..=6 {
        orders.emit(id, order(id)).unwrap();
    }
    assert_eq!(second.wait(Level::Sent, PATIENCE), Err(NoReceipt::Dropped(DropReason::Backpressure)));
    script.release();
    first.wait(Level::Sent, PATIENCE).unwrap();
    assert_eq!(first.wait(Level::Durable, PATIENCE), Err(NoReceipt::SettledAt(Level::Sent)));
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    let (_, late) = orders.emit_with_receipt(9, order(9)).map_or((None, None), |(e, r)| (Some(e), Some(r)));
    assert!(late.is_none(), "closed");
}

#[test]
fn a_spill_that_is_full_sheds_its_oldest_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    script.fail_next_connects(1 << 20, ErrorKind::Unavailable);
    let options = SpillOptions { max_bytes: 256 << 10, segment_bytes: 32 << 10, ..SpillOptions::default() };
    let telemetry = start(&script, small("main"), SpillSettings { options, ..settings(folder.path()) }, 1);
    let orders = telemetry.stream("orders").unwrap();
    for id in 0..2000 {
        orders.emit(id, noted(id, 300)).unwrap();
        assert_eq!(books(&telemetry, "main").residual(), 0);
    }
    eventually("the oldest are given up", || {
        books(&telemetry, "main").account.dropped_for(DropReason::SpillShed) > 500
    });
    let last = telemetry.shutdown(ms(50));
    let statement = last.sinks[0].1;
    assert_eq!((last.residual(), statement.account.accepted(), statement.buffered), (0, 2000, 0));
    assert_eq!(statement.account.dropped(), statement.account.dropped_for(DropReason::SpillShed), "{statement:?}");
    drop(telemetry);
    let alive = Script::new();
    let next =
        start(&alive, small("main"), SpillSettings { options: SpillOptions::default(), ..settings(folder.path()) }, 2);
    delivered(&next, "main", statement.spilled);
    let seqs: BTreeSet<u64> = alive.received_seqs().into_iter().collect();
    let newest: BTreeSet<u64> = (2001 - statement.spilled..=2000).collect();
    // The first few were in memory while the disk gave up those behind them.
    assert!(seqs.intersection(&newest).count() as u64 >= statement.spilled - 60, "the newest are kept");
    assert_eq!(next.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn sinks_that_share_a_folder_have_a_cursor_each() {
    let folder = tempfile::tempdir().unwrap();
    let (healthy, dead) = (Script::new(), Script::new());
    dead.fail_next_connects(1 << 20, ErrorKind::Unavailable);
    let run = |a: &Script, b: &Script, run| {
        builder()
            .run_id(RunId::from_u128(run))
            .scripted(small("main"), a)
            .scripted(small("other"), b)
            .spill("main", settings(folder.path()))
            .spill("other", settings(folder.path()))
            .start()
            .unwrap()
    };
    let telemetry = run(&healthy, &dead, 1);
    emit(&telemetry, 0..1000);
    delivered(&telemetry, "main", 1000);
    let last = telemetry.shutdown(ms(50));
    assert_eq!((last.sinks[0].1.spilled, last.sinks[1].1.spilled, last.residual()), (0, 1000, 0), "{last:?}");
    drop(telemetry);
    let (healthy, risen) = (Script::new(), Script::new());
    let telemetry = run(&healthy, &risen, 2);
    delivered(&telemetry, "other", 1000);
    assert_eq!((risen.received().len(), healthy.received().len()), (1000, 0));
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn a_worker_that_is_parked_spills_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    for _ in 0..3 {
        script.panic_on_send(1);
    }
    let options = Options { restart_limit: 2, restart_window: ms(6000), ..small("main") };
    let telemetry = start(&script, options, settings(folder.path()), 1);
    emit(&telemetry, 0..5);
    eventually("it is parked", || telemetry.latest_transport_status().status == "parked");
    emit(&telemetry, 5..500);
    // A disk may take longer than the worker rests.
    eventually("they are on disk", || {
        let statement = books(&telemetry, "main");
        statement.spilled > 400 || statement.account.delivered() > 0
    });
    delivered(&telemetry, "main", 500);
    assert!(telemetry.latest_transport_status().worker_alive);
    let last = telemetry.shutdown(PATIENCE);
    assert_eq!((last.residual(), last.sinks[0].1.account.dropped()), (0, 0));
}

#[test]
fn a_burst_beyond_memory_waits_for_the_disk_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    script.fail_next_connects(20, ErrorKind::Unavailable);
    let options = Options { max_queue_length: 1000, max_buffer_bytes: 1 << 20, max_batch_size: 200, ..small("main") };
    let telemetry = start(&script, options, settings(folder.path()), 1);
    let orders = telemetry.stream("orders").unwrap();
    for id in 0..50_000 {
        assert_eq!(orders.emit(id, order(id)).unwrap().dropped, None);
    }
    delivered(&telemetry, "main", 50_000);
    assert!(script.received_seqs().into_iter().eq(1..=50_000), "in order");
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn a_folder_belongs_to_one_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(&Script::new(), small("main"), settings(folder.path()), 1);
    let second = builder().scripted(small("main"), &Script::new()).spill("main", settings(folder.path())).start();
    assert!(second.unwrap_err().to_string().contains(&folder.path().display().to_string()));
    assert_eq!(first.shutdown(PATIENCE).residual(), 0);
    let orphan = builder().scripted(small("main"), &Script::new()).start();
    assert!(orphan.unwrap_err().to_string().contains("has no spill"));
}

/// Runs a future to its end on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park_timeout(PATIENCE);
    }
}

#[test]
fn states_merge_before_they_go_to_disk_and_no_event_is_shed_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let dead = Script::new();
    dead.fail_next_connects(1 << 20, ErrorKind::Unavailable);
    let merging = || Options { backpressure: Backpressure::Coalesce, max_queue_length: 16, ..small("main") };
    let first = start(&dead, merging(), settings(folder.path()), 1);
    let states = first.stream::<Snapshot>("states").unwrap();
    for tick in 1..=200 {
        states.emit(tick, Snapshot::default()).unwrap();
    }
    eventually("states have merged", || books(&first, "main").account.coalesced() > 150);
    assert_eq!(books(&first, "main").spilled, 0, "nothing had to go to disk");
    emit(&first, 0..300);
    let last = first.shutdown(ms(50));
    let statement = last.sinks[0].1;
    assert_eq!((statement.account.dropped(), statement.buffered, last.residual()), (0, 0, 0), "{statement:?}");
    assert_eq!(statement.spilled + statement.account.coalesced(), 500);
    drop((states, first));

    let alive = Script::new();
    let second = start(&alive, merging(), settings(folder.path()), 2);
    delivered(&second, "main", statement.spilled);
    let orders = identities(&alive.received()).into_iter().filter(|(stream, _)| stream == "town.orders");
    assert!(orders.map(|(_, seq)| seq).eq(1..=300), "each event, in order");
    assert_eq!(second.shutdown(PATIENCE).residual(), 0);
    let ahead = builder().scripted(merging(), &alive).spill("main", write_ahead(folder.path()));
    assert!(ahead.start().unwrap_err().to_string().contains("nothing could merge"));
}
