//! The simulated disk does what disks do.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use townlet_spill::Disk;
use townlet_testkit::disk::{DiskFault, SimDisk, Survival};

/// A file of three sectors that is durable, and the same overwritten, not synced.
fn overwritten(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    let mut handle = disk.handle();
    handle.create("file").unwrap();
    handle.write_at("file", 0, &[b'a'; 1536]).unwrap();
    handle.sync_data("file").unwrap();
    handle.sync_dir().unwrap();
    handle.write_at("file", 0, &[b'b'; 1536]).unwrap();
    disk
}

#[test]
fn a_crash_keeps_any_subset_of_the_sectors_that_were_not_synced() {
    let disk = overwritten(1);
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let file = disk.reboot(seed, Survival::Any).image().remove("file").unwrap();
        assert!(file.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])), "sectors are whole");
        seen.insert([file[0], file[512], file[1024]]);
    }
    assert_eq!(seen.len(), 8, "all of them: {seen:?}");
    assert_eq!(disk.reboot(1, Survival::None).image()["file"], [b'a'; 1536]);
    assert_eq!(disk.reboot(1, Survival::All).image()["file"], [b'b'; 1536]);
}

#[test]
fn a_failed_sync_has_lost_what_reads_still_show_and_the_next_sync_does_not_save_it() {
    let disk = overwritten(1);
    disk.fail_next_syncs(1);
    let mut handle = disk.handle();
    handle.sync_data("file").unwrap_err();
    handle.sync_data("file").unwrap();
    assert_eq!(disk.image()["file"], [b'b'; 1536]);
    let lost = (0..20).any(|seed| {
        let disk = overwritten(seed);
        disk.fail_next_syncs(1);
        let mut handle = disk.handle();
        handle.sync_data("file").unwrap_err();
        handle.sync_data("file").unwrap();
        disk.reboot(seed, Survival::All).image()["file"] != [b'b'; 1536]
    });
    assert!(lost);
}

#[test]
fn names_do_not_last_before_the_folder_is_synced() {
    let disk = overwritten(1);
    let mut handle = disk.handle();
    handle.create("new").unwrap();
    handle.rename("file", "moved").unwrap();
    handle.sync_data("new").unwrap();
    let names = |disk: &SimDisk| disk.image().into_keys().collect::<Vec<String>>();
    assert_eq!(names(&disk), ["moved", "new"]);
    assert_eq!(names(&disk.reboot(1, Survival::None)), ["file"]);
    let seen: BTreeSet<Vec<String>> = (0..100).map(|seed| names(&disk.reboot(seed, Survival::Any))).collect();
    assert_eq!(seen.len(), 4, "{seen:?}");
    handle.sync_dir().unwrap();
    assert_eq!(names(&disk.reboot(1, Survival::None)), ["moved", "new"]);
    handle.remove("new").unwrap();
    assert_eq!(names(&disk.reboot(1, Survival::None)), ["moved", "new"]);
}

#[test]
fn a_full_disk_writes_what_fits_and_then_says_so() {
    let disk = SimDisk::new(2);
    disk.capacity(Some(100));
    let mut handle = disk.handle();
    handle.create("file").unwrap();
    assert_eq!(handle.write_at("file", 0, &[1; 80]).unwrap(), 80);
    assert_eq!(handle.write_at("file", 80, &[1; 80]).unwrap(), 20);
    assert_eq!(handle.write_at("file", 100, &[1; 1]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(handle.write_at("file", 0, &[2; 50]).unwrap(), 50, "what has a place keeps it");
    handle.truncate("file", 10).unwrap();
    assert_eq!(handle.write_at("file", 10, &[1; 80]).unwrap(), 80);
}

#[test]
fn faults_happen_at_their_step_and_a_crash_ends_everything() {
    let disk = SimDisk::new(3);
    disk.fault_at(1, DiskFault::Eio).crash_at(3);
    let mut handle = disk.handle();
    handle.create("file").unwrap();
    handle.write_at("file", 0, b"x").unwrap_err();
    handle.write_at("file", 0, b"x").unwrap();
    handle.sync_data("file").unwrap_err();
    assert!(disk.has_crashed());
    assert!(handle.list().is_err() && handle.read_at("file", 0, &mut [0]).is_err() && handle.lock().is_err());
    let after = disk.reboot(4, Survival::All);
    assert_eq!(after.image()["file"], b"x");
    assert!(after.handle().lock().unwrap());
}

#[test]
fn transfers_are_short_when_asked_and_the_same_for_the_same_seed() {
    let run = |seed| {
        let disk = SimDisk::new(seed);
        disk.short_transfers(2);
        let mut handle = disk.handle();
        handle.create("file").unwrap();
        (0..50).map(|_| handle.write_at("file", 0, &[1; 100]).unwrap()).collect::<Vec<usize>>()
    };
    assert!(run(1).iter().any(|count| *count < 100) && run(1).contains(&100));
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn the_lock_ends_with_its_holder() {
    let disk = SimDisk::new(5);
    let mut first = disk.handle();
    let mut second = disk.handle();
    assert!(first.lock().unwrap() && first.lock().unwrap());
    assert!(!second.lock().unwrap());
    drop(first);
    assert!(second.lock().unwrap());
}
