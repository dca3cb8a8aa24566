//! `ledger_path`: totals and last numbers over a kill, without a spill.

use std::fs;
use std::path::Path;
use std::time::Instant;

use townlet_pipeline::{Backpressure, BuildError, Builder, DropReason, Options, Recovered, Telemetry};
use townlet_schema::RunId;
use townlet_spill::{Disk as _, OsDisk};
use townlet_testkit::Script;
use townlet_transport::ErrorKind;

use crate::fakes::{PATIENCE, With, books, builder, delivered, eager, eventually, ms, order};

fn small() -> Options {
    Options { max_queue_length: 40, max_batch_size: 10, ..eager("main") }
}

fn on(folder: &Path, script: &Script, run: u128) -> Builder {
    builder().run_id(RunId::from_u128(run)).scripted(small(), script).ledger(folder)
}

/// Once the run before has let go of the folder.
fn start(folder: &Path, script: &Script, run: u128) -> Telemetry {
    let mut started = None;
    eventually("the folder is free", || {
        started = on(folder, script, run).start().ok();
        started.is_some()
    });
    started.unwrap()
}

/// What a run that starts on `folder` hears of the one before.
fn told(folder: &Path) -> Recovered {
    let telemetry = start(folder, &Script::new(), 99);
    let told = telemetry.recovered()[0].clone();
    telemetry.shutdown(PATIENCE);
    released(folder);
    told
}

/// Waits until the last account is on disk: on a slow one it comes after the end of
/// `shutdown`, and would come after what a test writes there.
fn released(folder: &Path) {
    eventually("the folder is let go", || OsDisk::new(folder).lock().unwrap());
}

fn emit(telemetry: &Telemetry, count: u64) {
    let orders = telemetry.stream("orders").unwrap();
    for id in 0..count {
        orders.emit(id, order(id)).unwrap();
    }
}

/// The files as a kill at this moment would leave them.
fn killed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.join("ledger"), copy.path().join("ledger")).unwrap();
    copy
}

/// Waits until the file has an account of at least so many events.
fn stored(folder: &Path, accepted: u64) -> tempfile::TempDir {
    let mut copy = None;
    eventually("the books are stored", || {
        let now = killed(folder);
        let known = told(now.path()).accepted;
        // The look has changed it.
        copy = Some(killed(folder));
        known >= accepted
    });
    copy.unwrap()
}

#[test]
fn a_run_that_ended_leaves_its_totals_and_owes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new();
    let telemetry = start(folder.path(), &script, 7);
    assert_eq!(telemetry.recovered()[0].run_id, None, "the folder is new");
    for _ in 0..10 {
        emit(&telemetry, 30);
        assert!(telemetry.flush(PATIENCE));
    }
    delivered(&telemetry, "main", 300);
    telemetry.shutdown(PATIENCE);
    let told = told(folder.path());
    assert_eq!(told.run_id.as_deref(), Some(RunId::from_u128(7).as_str()));
    assert_eq!((told.ended, told.accepted, told.delivered, told.dropped), (true, 300, 300, 0));
    assert_eq!((told.recovered, told.lost_at_most, told.damaged), (0, 0, false));
    assert_eq!(told.last_seqs.iter().find(|(name, _)| name == "town.orders").unwrap().1, 300);
}

#[test]
fn of_a_run_that_was_killed_the_next_one_knows_the_totals_and_how_much_may_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let dead = Script::new();
    dead.fail_next_connects(1 << 20, ErrorKind::Unavailable);
    let telemetry = start(folder.path(), &dead, 7);
    // Before the first event the file names the run.
    let early = told(killed(folder.path()).path());
    assert_eq!((early.run_id.as_deref(), early.ended), (Some(RunId::from_u128(7).as_str()), false));
    emit(&telemetry, 100);
    let told = told(stored(folder.path(), 100).path());
    assert_eq!((told.ended, told.accepted, told.delivered), (false, 100, 0));
    assert_eq!(told.dropped, books(&telemetry, "main").account.dropped_for(DropReason::Backpressure));
    assert_eq!(told.last_seqs.iter().find(|(name, _)| name == "town.orders").unwrap().1, 100);
    // Everything else that it had accepted was in memory, which holds so much.
    assert_eq!((told.lost_at_most, told.damaged), (40, false));
    let began = Instant::now();
    let last = telemetry.shutdown(ms(50));
    assert!(began.elapsed() < PATIENCE / 3, "a dead sink does not hold up the last account");
    assert_eq!(last.residual(), 0);
}

#[test]
fn what_may_be_lost_counts_a_second_lane_and_what_waits_beyond_a_smaller_bound() {
    for smaller in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let dead = Script::new();
        dead.fail_next_connects(1 << 20, ErrorKind::Unavailable);
        let limits = Options { backpressure: Backpressure::FanOut, ..small() };
        let pipeline = builder().run_id(RunId::from_u128(7)).scripted(limits.clone(), &dead);
        let telemetry = pipeline.ledger(folder.path()).start().unwrap();
        emit(&telemetry, 80);
        if smaller {
            telemetry.retune(&Options { max_queue_length: 3, ..limits }).unwrap();
            // For an account that knows the bound.
            emit(&telemetry, 1);
        }
        let books = books(&telemetry, "main");
        assert_eq!(books.buffered, 80);
        let told = told(stored(folder.path(), books.account.accepted()).path());
        assert_eq!(told.lost_at_most, 80, "smaller: {smaller}: {told:?}");
        assert_eq!(telemetry.shutdown(ms(50)).residual(), 0);
    }
}

#[test]
fn a_damaged_file_is_no_reason_not_to_start_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let telemetry = start(folder.path(), &Script::new(), 7);
        emit(&telemetry, 5);
        telemetry.shutdown(PATIENCE);
        released(folder.path());
    }
    let file = folder.path().join("ledger");
    let whole = fs::read(&file).unwrap();
    let texts: Vec<usize> = (0..whole.len() - 8).filter(|at| whole[*at..].starts_with(b"accepted")).collect();
    assert_eq!(texts.len(), 2, "two slots");
    // One slot, whichever is the newer: the account is the last or the one before.
    for at in &texts {
        let mut bytes = whole.clone();
        bytes[*at] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let told = told(folder.path());
        assert!(told.damaged && told.run_id.is_some(), "{told:?}");
    }
    // Both, or nothing that was ever a ledger.
    let mut bytes = whole;
    texts.iter().for_each(|at| bytes[*at] ^= 1);
    for content in [bytes, b"not a ledger".to_vec(), vec![7; 300_000]] {
        fs::write(&file, content).unwrap();
        let found = told(folder.path());
        assert!(found.damaged && found.run_id.is_none() && found.accepted == 0, "{found:?}");
        assert!(!told(folder.path()).damaged, "it has been written again");
    }
}

#[test]
fn a_second_pipeline_is_refused_and_one_whose_folder_is_none_too() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = start(folder.path(), &Script::new(), 7);
    let refused = on(folder.path(), &Script::new(), 8).start().unwrap_err();
    assert!(matches!(&refused, BuildError::Ledger { .. }), "{refused}");
    assert!(refused.to_string().contains("another process keeps its books there"), "{refused}");
    telemetry.shutdown(PATIENCE);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = on(&file, &Script::new(), 8).start().unwrap_err();
    assert!(matches!(refused, BuildError::Ledger { .. }), "{refused}");
}
