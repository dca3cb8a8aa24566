//! Reading: order, bounds, and several sinks at different places.

use townlet_spill::{Spill, SpillOptions};

use crate::disk::SimDisk;
use crate::life::{Life, Told, now, small};

#[test]
fn a_long_backlog_is_read_through_a_bounded_buffer() {
    let disk = SimDisk::new(1);
    let options = SpillOptions { segment_bytes: 1 << 20, read_buffer: 32 << 10, ..SpillOptions::default() };
    let mut spill = Spill::open(Box::new(disk.handle()), options, now(0)).unwrap().0;
    let main = spill.sink("main").unwrap();
    for id in 0..8_000u64 {
        spill.append(now(0), main.bit(), &crate::life::head(id), &[b'x'; 1000]).unwrap();
        if id % 100 == 99 {
            spill.commit(now(0)).unwrap();
        }
    }
    let (mut read, mut batch) = (0, Vec::new());
    loop {
        batch.clear();
        if spill.read(main, 1000, 64 << 10, &mut batch).unwrap() == 0 {
            break;
        }
        assert!(batch.len() <= 66, "64 KiB and the record that passed it: {}", batch.len());
        read += batch.len();
        spill.settle(main, batch.last().unwrap().position);
        if spill.checkpoint_due() {
            spill.checkpoint(now(0), b"").unwrap();
        }
    }
    assert_eq!(read, 8_000);
    assert!(disk.largest_read() <= 32 << 10, "{}", disk.largest_read());
    assert!(disk.bytes_read() < 8_000 * 1100 + (100 << 10), "each byte once: {}", disk.bytes_read());
    assert_eq!(spill.status().segments, 1);
}

#[test]
fn what_is_for_others_is_passed_without_reading_it_once_nothing_is_owed() {
    let disk = SimDisk::new(2);
    let mut life = Life::open(&disk, SpillOptions { segment_bytes: 1 << 16, ..small() }, Told::default()).unwrap();
    let (main, audit) = (life.slots[0].bit(), life.slots[1].bit());
    life.append(audit).unwrap();
    for _ in 0..400 {
        life.append(main).unwrap();
    }
    life.commit().unwrap();
    let before = disk.bytes_read();
    assert_eq!(life.read(1, 10).unwrap(), 1);
    assert_eq!(life.read(1, 10).unwrap(), 0);
    assert!(disk.bytes_read() - before < 4096, "{}", disk.bytes_read() - before);
    assert_eq!(life.read(0, 1000).unwrap(), 400);
}

#[test]
fn a_rewind_reads_again_from_the_first_unsettled_record() {
    let disk = SimDisk::new(3);
    let mut life = Life::open(&disk, small(), Told::default()).unwrap();
    life.append_to_both(100);
    life.commit().unwrap();
    life.read(0, 60).unwrap();
    life.settle(0, 25);
    let again: Vec<u64> = life.hand[0].drain(..).map(|(_, id)| id).collect();
    life.spill.rewind(life.slots[0]);
    assert_eq!(life.spill.backlog(life.slots[0]).held, 0);
    life.read(0, 35).unwrap();
    assert_eq!(life.hand[0].iter().map(|(_, id)| *id).collect::<Vec<u64>>(), again);
}

#[test]
fn a_record_that_the_caller_keeps_is_not_read_back_and_is_settled_as_others_are() {
    let disk = SimDisk::new(4);
    let (mut spill, _) = Spill::open(Box::new(disk.handle()), small(), now(0)).unwrap();
    let (main, audit) = (spill.sink("main").unwrap(), spill.sink("audit").unwrap());
    let mut positions = Vec::new();
    for id in 0..20u64 {
        let position = spill.append(now(0), main.bit() | audit.bit(), &crate::life::head(id), b"kept").unwrap();
        assert!(spill.skip_read(main, position), "nothing older is unread");
        assert!(!spill.skip_read(main, position), "once");
        positions.push(position);
        if id % 3 == 0 {
            spill.commit(now(0)).unwrap();
        }
    }
    spill.commit(now(0)).unwrap();
    let mut entries = Vec::new();
    assert_eq!(spill.read(main, 99, 1 << 20, &mut entries).unwrap(), 0);
    assert_eq!(spill.read(audit, 99, 1 << 20, &mut entries).unwrap(), 20);
    assert_eq!((spill.backlog(main).records, spill.backlog(main).held), (20, 20));
    spill.settle(main, positions[11]);
    assert_eq!(spill.backlog(main).records, 8);

    // Memory ran over: from here on it is read from the disk.
    spill.rewind(main);
    entries.clear();
    assert_eq!(spill.read(main, 3, 1 << 20, &mut entries).unwrap(), 3);
    assert_eq!(entries[0].position, positions[12]);
    let late = spill.append(now(0), main.bit(), b"id=20", b"late").unwrap();
    assert!(!spill.skip_read(main, late), "older ones have to be read first");
    spill.checkpoint(now(0), b"").unwrap();
    drop(spill);
    let (mut spill, _) = Spill::open(Box::new(disk.handle()), small(), now(0)).unwrap();
    assert_eq!(spill.backlog(main).records, 9);
    entries.clear();
    assert_eq!(spill.read(main, 99, 1 << 20, &mut entries).unwrap(), 9);
    assert_eq!(entries[0].position, positions[12]);
}

#[test]
fn a_record_settled_before_it_was_committed_is_not_settled_for_its_successor() {
    let disk = SimDisk::new(5);
    let (mut spill, _) = Spill::open(Box::new(disk.handle()), small(), now(0)).unwrap();
    let main = spill.sink("main").unwrap();
    for _ in 0..5 {
        let position = spill.append(now(0), main.bit(), b"id=1", b"sent from memory").unwrap();
        assert!(spill.skip_read(main, position));
        spill.settle(main, position);
    }
    // The commit fails, the checkpoint behind it does not.
    disk.fail_next_syncs(1);
    spill.checkpoint(now(0), b"sent 5").unwrap_err();
    drop(spill);
    let disk = disk.reboot(1, crate::disk::Survival::None);
    let (mut spill, recovery) = Spill::open(Box::new(disk.handle()), small(), now(0)).unwrap();
    assert_eq!(recovery.extra.as_deref(), Some(&b"sent 5"[..]));
    let main = spill.sink("main").unwrap();
    spill.append(now(0), main.bit(), b"id=2", b"new").unwrap();
    spill.commit(now(0)).unwrap();
    let mut entries = Vec::new();
    assert_eq!(spill.read(main, 9, 999, &mut entries).unwrap(), 1);
}
