//! Sinks that come, go and stay away.

use townlet_spill::{ErrorKind, Spill};

use crate::disk::{SimDisk, Survival};
use crate::life::{head, now, small};

fn open(disk: &SimDisk) -> Spill {
    Spill::open(Box::new(disk.handle()), small(), now(0)).unwrap().0
}

#[test]
fn a_new_sink_begins_with_the_next_record_even_if_the_slot_was_another_s() {
    let disk = SimDisk::new(1);
    let mut spill = open(&disk);
    let (main, old) = (spill.sink("main").unwrap(), spill.sink("old").unwrap());
    for id in 0..5 {
        spill.append(now(0), main.bit() | old.bit(), &head(id), b"x").unwrap();
    }
    spill.commit(now(0)).unwrap();
    assert_eq!(spill.retire(old).records, 5);
    let new = spill.sink("new").unwrap();
    assert_eq!(new.bit(), old.bit(), "the slot is used again");
    spill.append(now(0), new.bit(), &head(5), b"x").unwrap();
    spill.commit(now(0)).unwrap();
    let mut entries = Vec::new();
    assert_eq!(spill.read(new, 9, 999, &mut entries).unwrap(), 1);
    assert_eq!(entries[0].head, head(5));
    drop(spill);

    // The same after a crash before any checkpoint, from the segment headers.
    let mut spill = open(&disk.reboot(1, Survival::None));
    let new = spill.sink("new").unwrap();
    entries.clear();
    assert_eq!(spill.read(new, 9, 999, &mut entries).unwrap(), 1);
    assert_eq!(entries[0].head, head(5));
    let main = spill.sink("main").unwrap();
    assert_eq!(spill.backlog(main).records, 5);
}

#[test]
fn a_sink_that_was_registered_after_the_checkpoint_is_known_after_a_crash() {
    let disk = SimDisk::new(5);
    let mut spill = open(&disk);
    let main = spill.sink("main").unwrap();
    spill.append(now(0), main.bit(), &head(0), b"x").unwrap();
    spill.checkpoint(now(0), b"").unwrap();
    let late = spill.sink("late").unwrap();
    spill.append(now(0), late.bit(), &head(1), b"x").unwrap();
    spill.commit(now(0)).unwrap();
    drop(spill);
    let spill = open(&disk.reboot(1, Survival::None));
    let (_, late) = spill.sinks().find(|(name, _)| *name == "late").unwrap();
    assert_eq!((spill.backlog(late).records, spill.backlog(main).records), (1, 1));
}

#[test]
fn a_sink_that_nobody_asks_for_holds_its_records_until_it_is_retired() {
    let disk = SimDisk::new(2);
    let mut spill = open(&disk);
    let (main, gone) = (spill.sink("main").unwrap(), spill.sink("gone").unwrap());
    for id in 0..100 {
        spill.append(now(0), main.bit() | gone.bit(), &head(id), &[b'x'; 200]).unwrap();
        spill.commit(now(0)).unwrap();
    }
    spill.checkpoint(now(0), b"").unwrap();
    drop(spill);
    let mut spill = open(&disk);
    let main = spill.sink("main").unwrap();
    let mut entries = Vec::new();
    spill.read(main, 999, 1 << 20, &mut entries).unwrap();
    spill.settle(main, entries.last().unwrap().position);
    spill.checkpoint(now(0), b"").unwrap();
    let held = spill.status().segments;
    assert!(held > 3, "{held}");
    let (_, gone) = spill.sinks().find(|(name, _)| *name == "gone").unwrap();
    assert_eq!(spill.retire(gone).records, 100);
    assert!(spill.checkpoint_due());
    spill.checkpoint(now(0), b"").unwrap();
    assert_eq!(spill.status().segments, 0);
    drop(spill);
    assert_eq!(open(&disk).sinks().count(), 1);
}

#[test]
fn an_idle_sink_does_not_hold_what_is_for_others() {
    let disk = SimDisk::new(3);
    let mut spill = open(&disk);
    let (main, idle) = (spill.sink("main").unwrap(), spill.sink("idle").unwrap());
    let mut entries = Vec::new();
    for id in 0..200 {
        spill.append(now(0), main.bit(), &head(id), &[b'x'; 200]).unwrap();
        spill.commit(now(0)).unwrap();
        entries.clear();
        spill.read(main, 9, 9999, &mut entries).unwrap();
        spill.settle(main, entries.last().unwrap().position);
        if spill.checkpoint_due() {
            spill.checkpoint(now(0), b"").unwrap();
        }
    }
    assert!(spill.status().segments <= 2, "{:?}", spill.status());
    assert_eq!(spill.backlog(idle).records, 0);
}

#[test]
fn limits_are_named() {
    let disk = SimDisk::new(4);
    let mut spill = open(&disk);
    for number in 0..64 {
        assert_eq!(spill.sink(&format!("sink-{number}")).unwrap().bit(), 1 << number);
    }
    assert_eq!(spill.sink("one more").unwrap_err().kind(), ErrorKind::TooManySinks);
    assert_eq!(spill.sink(&"x".repeat(129)).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(spill.append(now(0), 1, &[0; (64 << 10) + 1], b"").unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(spill.checkpoint(now(0), &[0; (64 << 10) + 1]).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(spill.status().next.get(), 0, "nothing was taken");
    // With every sink named, headers are long; a crash without a checkpoint still knows them.
    spill.append(now(0), u64::MAX, b"id=0", b"for all").unwrap();
    spill.commit(now(0)).unwrap();
    spill.checkpoint(now(0), &[7; 64 << 10]).unwrap();
    drop(spill);
    let mut image = disk.image();
    image.remove("state");
    let mut spill = open(&SimDisk::with_image(1, &image));
    assert_eq!(spill.sinks().count(), 64);
    let last = spill.sink("sink-63").unwrap();
    assert_eq!(spill.backlog(last).records, 1);
}
