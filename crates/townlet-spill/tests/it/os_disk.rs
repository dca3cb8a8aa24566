//! A real folder.

use std::time::{Duration, Instant};

use townlet_spill::{ErrorKind, OsDisk, Spill, SpillOptions, inspect};

use crate::life::{head, id_of};

#[test]
fn a_log_in_a_real_folder_survives_being_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/there/yet");
    let options = SpillOptions { segment_bytes: 64 << 10, ..SpillOptions::default() };
    let open = || Spill::open(Box::new(OsDisk::new(&path)), options.clone(), Duration::ZERO);
    let (mut spill, _) = open().unwrap();
    let main = spill.sink("main").unwrap();
    for id in 0..1000u64 {
        spill.append(Duration::ZERO, main.bit(), &head(id), &[b'x'; 256]).unwrap();
        if id % 100 == 99 {
            spill.commit(Duration::ZERO).unwrap();
        }
    }
    let refused = open().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Locked, "the lock holds against another handle, as against another process");
    assert!(inspect(&mut OsDisk::new(&path)).is_ok());
    assert!(spill.status().sync_time.is_some());
    drop(spill);

    let (mut spill, recovery) = open().unwrap();
    assert!(recovery.is_clean(), "{recovery}");
    let main = spill.sink("main").unwrap();
    let (mut got, mut batch) = (0, Vec::new());
    while spill.read(main, 64, 1 << 20, &mut batch).unwrap() > 0 {
        for entry in batch.drain(..) {
            assert_eq!(id_of(&entry.head), got);
            got += 1;
            spill.settle(main, entry.position);
        }
    }
    assert_eq!(got, 1000);
    spill.checkpoint(Duration::ZERO, b"done").unwrap();
    assert!(std::fs::read_dir(&path).unwrap().count() <= 3, "state, lock, and the active segment at most");
}

#[test]
fn a_folder_that_cannot_be_is_an_error_that_names_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = Spill::open(Box::new(OsDisk::new(file.join("spill"))), SpillOptions::default(), Duration::ZERO);
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(std::error::Error::source(&error).is_some(), "{error}");
}

/// Prints its figures. Records come by the clock of the test, however fast the machine and its disk are.
#[test]
fn group_commit_makes_many_records_durable_with_few_syncs() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut spill, _) =
        Spill::open(Box::new(OsDisk::new(folder.path())), SpillOptions::default(), Duration::ZERO).unwrap();
    let main = spill.sink("main").unwrap();
    let start = Instant::now();
    let (mut now, mut commits) = (Duration::ZERO, 0u32);
    for id in 0..5_000 {
        spill.append(now, main.bit(), &head(id), &[b'x'; 256]).unwrap();
        if spill.commit_due(now) == Some(Duration::ZERO) {
            spill.commit(now).unwrap();
            commits += 1;
        }
        now += Duration::from_micros(10);
    }
    spill.commit(now).unwrap();
    assert_eq!(spill.durable().get(), 5_000);
    let rate = 5_000.0 / start.elapsed().as_secs_f64();
    let status = spill.status();
    println!("{rate:.0} durable records of 256 B a second, {commits} commits, sync {:?}", status.sync_time);
    assert!(commits * 5 < 5_000, "{commits} commits for 5,000 records");
}

#[test]
fn a_log_can_move_to_the_thread_that_drives_it() {
    fn can_move<T: Send>() {}
    can_move::<Spill>();
}
