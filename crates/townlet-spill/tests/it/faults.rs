//! Disks that fail and go on.

use townlet_spill::{ErrorKind, FsyncPolicy, SpillOptions};

use crate::disk::{Dice, DiskFault, SimDisk, Survival};
use crate::life::{Life, Told, is_crash, judge, small};

/// Everything that was reported durable before a crash right now.
fn survives_now(disk: &SimDisk, life: &Life, context: &str) {
    let mut told = life.told.clone();
    told.waiting.clear();
    for (chance, survival) in [(0, Survival::None), (1, Survival::All), (2, Survival::Any), (3, Survival::Any)] {
        judge(&disk.reboot(chance, survival), &small(), &told, &format!("{context}, {survival:?} {chance}"));
    }
}

#[test]
fn what_a_failed_sync_covered_is_written_again_elsewhere_before_it_is_reported() {
    for fsync in [FsyncPolicy::EachCommit, FsyncPolicy::Every(std::time::Duration::ZERO)] {
        let disk = SimDisk::new(1);
        let mut life = Life::open(&disk, SpillOptions { fsync, ..small() }, Told::default()).unwrap();
        life.append_to_both(3);
        life.commit().unwrap();
        life.append_to_both(4);
        disk.fail_next_syncs(1);
        life.commit().unwrap();
        assert_eq!(life.spill.status().failed_syncs, 1);
        assert_eq!(life.spill.status().segments, 2, "not into the file that failed");
        assert_eq!(life.told.durable.len(), 7);
        survives_now(&disk, &life, "after the failed sync");
        assert_eq!(life.read(0, 99).unwrap(), 7, "each once");
    }
}

#[test]
fn nothing_is_reported_durable_while_syncs_keep_failing() {
    let disk = SimDisk::new(2);
    let mut life = Life::open(&disk, small(), Told::default()).unwrap();
    life.append_to_both(2);
    life.commit().unwrap();
    life.append_to_both(5);
    disk.fail_next_syncs(6);
    let mut failures = 0;
    while let Err(error) = life.commit() {
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(life.told.durable.len(), 2);
        assert_eq!(life.read(0, 99).unwrap(), if failures == 0 { 2 } else { 0 }, "no reading ahead of safety");
        survives_now(&disk, &life, "between failing syncs");
        failures += 1;
        assert!(failures < 10);
    }
    assert_eq!(life.told.durable.len(), 7);
    survives_now(&disk, &life, "afterwards");
    assert_eq!(life.read(0, 99).unwrap(), 5);
}

#[test]
fn a_failed_sync_at_every_step_of_a_random_life_loses_nothing() {
    for seed in 0..4 {
        let whole = SimDisk::new(seed);
        let live = |disk: &SimDisk| {
            let mut dice = Dice::new(seed);
            let mut life = Life::open(disk, small(), Told::default()).unwrap();
            for _ in 0..80 {
                match life.random_step(&mut dice) {
                    Ok(()) => {}
                    Err(error) => assert!(is_crash(&error), "{error}"),
                }
            }
            life
        };
        live(&whole);
        for step in 0..whole.steps() {
            let disk = SimDisk::new(seed);
            disk.fault_at(step, DiskFault::Eio);
            let life = live(&disk);
            survives_now(&disk, &life, &format!("seed {seed}, error at step {step}"));
        }
    }
}

#[test]
fn a_full_disk_keeps_everything_in_memory_until_there_is_room() {
    let disk = SimDisk::new(3);
    let mut life = Life::open(&disk, small(), Told::default()).unwrap();
    life.append_to_both(10);
    life.checkpoint().unwrap();
    let used: usize = disk.image().values().map(Vec::len).sum();
    disk.capacity(Some(used as u64 + 700));
    life.append_to_both(30);
    for _ in 0..5 {
        let error = life.commit().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(life.told.durable.len(), 10);
    }
    survives_now(&disk, &life, "on the full disk");
    assert_eq!(life.read(0, 99).unwrap(), 10, "what is there can still be read");
    disk.capacity(None);
    life.commit().unwrap();
    assert_eq!(life.told.durable.len(), 40);
    assert_eq!(life.read(0, 99).unwrap(), 30);
    assert!(life.spill.take_damage().is_empty());
    survives_now(&disk, &life, "with room again");
}

#[test]
fn a_full_disk_gets_back_what_is_settled_even_though_a_commit_fails() {
    let disk = SimDisk::new(4);
    let mut life = Life::open(&disk, small(), Told::default()).unwrap();
    for _ in 0..12 {
        life.append_to_both(10);
        life.commit().unwrap();
    }
    life.checkpoint().unwrap();
    let used: usize = disk.image().values().map(Vec::len).sum();
    disk.capacity(Some(used as u64));
    life.append_to_both(20);
    assert_eq!(life.commit().unwrap_err().kind(), ErrorKind::Full);
    for sink in 0..2 {
        life.read(sink, 110).unwrap();
        life.settle(sink, 110);
    }
    assert_eq!(life.checkpoint().unwrap_err().kind(), ErrorKind::Full, "the commit in it failed");
    life.commit().unwrap();
    assert_eq!(life.told.durable.len(), 140);
    survives_now(&disk, &life, "after room was made");
}

#[test]
fn errors_of_every_kind_at_random_moments_lose_nothing() {
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let mut dice = Dice::new(seed);
        disk.short_transfers(5);
        let mut life = Life::open(&disk, small(), Told::default()).unwrap();
        for _ in 0..200 {
            match dice.below(30) {
                0 => drop(disk.fault_at(disk.steps() + dice.below(6), DiskFault::Eio)),
                1 => drop(disk.fail_next_syncs(dice.below(4) as u32)),
                2 => {
                    let used: usize = disk.image().values().map(Vec::len).sum();
                    disk.capacity(Some(used as u64 + dice.below(3000)));
                }
                3 | 4 => drop(disk.capacity(None)),
                _ => {}
            }
            match life.random_step(&mut dice) {
                Ok(()) => {}
                Err(error) => assert!(is_crash(&error), "seed {seed}: {error}"),
            }
        }
        disk.capacity(None).fail_next_syncs(0);
        survives_now(&disk, &life, &format!("seed {seed}"));
        let done = (0..20).find(|_| life.commit().is_ok());
        assert!(done.is_some(), "seed {seed}: it recovers");
        assert!(life.told.waiting.is_empty());
        survives_now(&disk, &life, &format!("seed {seed}, recovered"));
    }
}

#[test]
fn a_place_that_cannot_be_read_is_an_error_at_first_and_then_damage() {
    let disk = SimDisk::new(5);
    let mut life = Life::open(&disk, SpillOptions { segment_bytes: 64 << 10, ..small() }, Told::default()).unwrap();
    life.append_to_both(300);
    life.commit().unwrap();
    let name = disk.image().keys().find(|name| name.ends_with(".seg")).unwrap().clone();
    disk.fail_reads(Some((&name, 16_000, 16_500)));
    let mut got = 0;
    let mut errors = 0;
    for _ in 0..20 {
        match life.read(0, 1000) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Io);
                errors += 1;
            }
        }
        got = life.hand[0].len();
    }
    assert!((2..=8).contains(&errors), "{errors}");
    assert!((200..300).contains(&got), "{got} records around the bad block");
    let damage = life.spill.take_damage();
    let at_most: u64 = damage.iter().map(|damage| damage.records_at_most).sum();
    assert_eq!(at_most, 300 - got as u64, "{damage:?}");
    assert_eq!(life.spill.take_lost(life.slots[0]), 300 - got as u64);
    assert_eq!(life.spill.backlog(life.slots[0]).records, got as u64);
    // The other sink passes the same place; the damage is not told twice.
    disk.fail_reads(None);
    assert_eq!(life.read(1, 1000).unwrap(), 300);
    assert!(life.spill.take_damage().is_empty());
}

#[test]
fn a_clock_that_went_back_does_not_put_syncs_off() {
    let disk = SimDisk::new(11);
    let at = std::time::Duration::from_secs;
    let options = SpillOptions { fsync: FsyncPolicy::Every(at(1)), ..small() };
    let (mut spill, _) = townlet_spill::Spill::open(Box::new(disk.handle()), options, at(5000)).unwrap();
    let main = spill.sink("main").unwrap();
    for _ in 0..2 {
        spill.append(at(5000), main.bit(), b"id=1", b"").unwrap();
        spill.commit(at(5000)).unwrap();
    }
    assert!(spill.durable() < spill.readable(), "the second waits for its interval");
    let due = spill.commit_due(at(10)).unwrap();
    assert!(due <= at(1));
    spill.commit(at(10) + due).unwrap();
    assert_eq!(spill.durable(), spill.readable(), "or a power cut would cost what an hour brought");
}
