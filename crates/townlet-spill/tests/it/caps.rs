//! Size and age limits, and what is given up for them.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use townlet_spill::{Disk, ErrorKind, FileInfo, Spill, SpillOptions};

use crate::disk::{SimDisk, Survival};
use crate::life::{Life, Told, id_of, now, small};

fn capped() -> SpillOptions {
    SpillOptions { max_bytes: 40_000, ..small() }
}

/// Fills the log until it refuses.
fn fill(life: &mut Life) {
    let both = life.slots[0].bit() | life.slots[1].bit();
    loop {
        match life.append(both) {
            Ok(id) if id % 8 == 7 => life.commit().unwrap(),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Cap, "{error}");
                break;
            }
        }
    }
    life.commit().unwrap();
}

#[test]
fn the_cap_refuses_a_record_and_takes_nothing_of_it() {
    let disk = SimDisk::new(1);
    let mut life = Life::open(&disk, capped(), Told::default()).unwrap();
    fill(&mut life);
    let on_disk: usize =
        disk.image().iter().filter(|(name, _)| name.ends_with(".seg")).map(|(_, content)| content.len()).sum();
    assert!((37_000..=40_000 + 2_000).contains(&on_disk), "{on_disk}");
    let before = life.spill.backlog(life.slots[0]);
    assert_eq!(life.append(life.slots[0].bit()).is_err(), before == life.spill.backlog(life.slots[0]));
    assert_eq!(before.records, life.told.durable.len() as u64);
}

#[test]
fn shedding_gives_up_the_oldest_and_counts_every_record_for_every_sink() {
    let disk = SimDisk::new(2);
    let mut life = Life::open(&disk, capped(), Told::default()).unwrap();
    fill(&mut life);
    // One sink has settled some and holds some, the other has done nothing.
    life.read(0, 30).unwrap();
    life.settle(0, 10);
    let held: BTreeSet<u64> = life.hand[0].iter().map(|(_, id)| *id).collect();
    let (main, audit) = (life.slots[0], life.slots[1]);
    let (before_main, before_audit) = (life.spill.backlog(main), life.spill.backlog(audit));

    let (mut lost_main, mut lost_audit, mut held_main) = (Vec::new(), Vec::new(), Vec::new());
    let shed = life
        .spill
        .shed(now(9), 12_000, |record| {
            let id = id_of(record.head);
            assert_eq!(u64::from(record.body_len), crate::life::body(id).len() as u64);
            if record.owing & main.bit() != 0 {
                lost_main.push(id);
            }
            if record.owing & audit.bit() != 0 {
                lost_audit.push(id);
            }
            if record.held & main.bit() != 0 {
                held_main.push(id);
            }
        })
        .unwrap();
    assert!(shed.segments >= 2 && shed.bytes > 8_000, "{shed:?}");
    let gone = lost_audit.len() as u64;
    assert_eq!(lost_audit, (0..gone).collect::<Vec<u64>>(), "the oldest, all of them, in order");
    assert_eq!(shed.records, gone);
    assert_eq!(lost_main, (30..gone).collect::<Vec<u64>>(), "what was read is not lost");
    assert_eq!(held_main, held.iter().copied().filter(|id| *id < gone).collect::<Vec<u64>>());
    assert_eq!(life.spill.backlog(audit).records, before_audit.records - gone);
    assert_eq!(life.spill.backlog(main).records, before_main.records - lost_main.len() as u64);

    // What is held can be settled as ever; the rest comes in order, without a gap.
    life.settle(0, held.len());
    let total = life.told.next_id;
    life.hand[1].clear();
    assert_eq!(life.read(0, 9999).unwrap() as u64, total - gone.max(30));
    assert_eq!(life.read(1, 9999).unwrap() as u64, total - gone);
    assert_eq!(life.spill.backlog(main).records, total - gone.max(30));
    assert_eq!((life.spill.take_lost(main), life.spill.take_lost(audit)), (0, 0), "counted once, as shed");
    assert!(life.spill.take_damage().is_empty());
    assert!(life.append(main.bit()).is_ok(), "there is room");
}

#[test]
fn shed_files_go_with_the_checkpoint_that_has_the_account_and_not_before() {
    let disk = SimDisk::new(3);
    let mut life = Life::open(&disk, capped(), Told::default()).unwrap();
    fill(&mut life);
    life.checkpoint().unwrap();
    let (mut shed, total) = (0, life.told.next_id);
    life.spill.shed(now(5), 10_000, |_| shed += 1).unwrap();
    assert!(shed > 0);
    let crashed = disk.reboot(1, Survival::All);
    let before = Life::open(&crashed, capped(), Told::default()).unwrap();
    assert_eq!(before.recovery.extra.as_deref(), Some(total.to_string().as_bytes()));
    assert_eq!(before.spill.backlog(before.slots[0]).records, total, "all there, for the account knows of no shedding");

    life.spill.checkpoint(now(6), b"shed").unwrap();
    let crashed = disk.reboot(2, Survival::None);
    let after = Life::open(&crashed, capped(), Told::default()).unwrap();
    assert_eq!(after.recovery.extra.as_deref(), Some(&b"shed"[..]));
    assert_eq!(after.spill.backlog(after.slots[0]).records, total - shed);
    assert!(after.recovery.damage.is_empty());
}

#[test]
fn a_rewind_does_not_bring_back_what_was_shed_from_under_the_caller() {
    let disk = SimDisk::new(4);
    let mut life = Life::open(&disk, capped(), Told::default()).unwrap();
    fill(&mut life);
    life.read(0, 9999).unwrap();
    let total = life.told.next_id;
    let mut gone = 0;
    life.spill
        .shed(now(5), 10_000, |record| {
            assert_eq!((record.owing, record.held), (life.slots[1].bit(), life.slots[0].bit()));
            gone += 1;
        })
        .unwrap();
    life.spill.rewind(life.slots[0]);
    life.hand[0].clear();
    assert_eq!(life.spill.backlog(life.slots[0]).records, total - gone);
    assert_eq!(life.read(0, 9999).unwrap() as u64, total - gone);
    assert_eq!(life.spill.take_lost(life.slots[0]), 0);
}

#[test]
fn age_counts_over_restarts() {
    let disk = SimDisk::new(5);
    let options = SpillOptions { max_age: Some(Duration::from_secs(60)), ..small() };
    let open = |at: u64| Spill::open(Box::new(disk.handle()), options.clone(), Duration::from_secs(at)).unwrap().0;
    let at = Duration::from_secs;
    let mut spill = open(1000);
    let main = spill.sink("main").unwrap();
    for id in 0..60u64 {
        spill.append(at(1000 + id), main.bit(), &crate::life::head(id), &[b'x'; 200]).unwrap();
        spill.commit(at(1000 + id)).unwrap();
    }
    spill.checkpoint(at(1060), b"").unwrap();
    drop(spill);

    let mut spill = open(1090);
    let main = spill.sink("main").unwrap();
    let mut shed = Vec::new();
    spill.shed(at(1090), 0, |record| shed.push(id_of(record.head))).unwrap();
    // Only segments without a record of the last minute.
    assert!((10..=30).contains(&shed.len()), "{shed:?}");
    assert_eq!(shed, (0..shed.len() as u64).collect::<Vec<u64>>());
    assert_eq!(spill.backlog(main).records, 60 - shed.len() as u64);
    // A clock that went back gives nothing up.
    assert_eq!(spill.shed(at(10), 0, |_| {}).unwrap().segments, 0);
    spill.shed(at(5000), 0, |_| {}).unwrap();
    assert_eq!(spill.backlog(main).records, 0);
    spill.checkpoint(at(5000), b"").unwrap();
    assert!(!disk.image().keys().any(|name| name.ends_with(".seg")));
}

#[test]
fn a_record_that_never_fits_is_refused_for_good_so_that_nothing_is_shed_for_it() {
    let disk = SimDisk::new(6);
    let mut life = Life::open(&disk, capped(), Told::default()).unwrap();
    fill(&mut life);
    let (main, total) = (life.slots[0], life.told.next_id);
    let error = life.spill.append(now(9), main.bit(), b"id=1", &[b'x'; 40_000]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "waiting does not help: {error}");
    assert_eq!(life.spill.backlog(main).records, total);
    assert!(life.append(main.bit()).is_err(), "shedding is for those that fit");
}

/// A disk on which the state file takes nothing while all others do.
#[derive(Debug)]
struct StuckState {
    disk: crate::disk::SimHandle,
    stuck: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Disk for StuckState {
    fn list(&mut self) -> io::Result<Vec<FileInfo>> {
        self.disk.list()
    }
    fn create(&mut self, name: &str) -> io::Result<()> {
        self.disk.create(name)
    }
    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.read_at(name, offset, buffer)
    }
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        if name == "state" && self.stuck.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.disk.write_at(name, offset, bytes)
    }
    fn sync_data(&mut self, name: &str) -> io::Result<Duration> {
        self.disk.sync_data(name)
    }
    fn sync_dir(&mut self) -> io::Result<()> {
        self.disk.sync_dir()
    }
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.disk.truncate(name, len)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn lock(&mut self) -> io::Result<bool> {
        self.disk.lock()
    }
}

#[test]
fn the_cap_holds_although_no_checkpoint_can_be_stored() {
    for settles in [false, true] {
        let disk = SimDisk::new(7);
        let stuck = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let handle = StuckState { disk: disk.handle(), stuck: std::sync::Arc::clone(&stuck) };
        let (mut spill, _) = Spill::open(Box::new(handle), capped(), now(0)).unwrap();
        let main = spill.sink("main").unwrap();
        spill.checkpoint(now(0), b"first").unwrap();
        stuck.store(true, std::sync::atomic::Ordering::Relaxed);
        let on_disk = || -> usize {
            disk.image().iter().filter(|(name, _)| name.ends_with(".seg")).map(|(_, content)| content.len()).sum()
        };
        let write = |spill: &mut Spill, id: u64| {
            if spill.append(now(id), main.bit(), &crate::life::head(id), &[b'x'; 500]).is_err() {
                spill.shed(now(id), 600, |_| {}).unwrap();
                let again = spill.append(now(id), main.bit(), &crate::life::head(id), &[b'x'; 500]);
                again.inspect_err(|error| assert_eq!(error.kind(), ErrorKind::Cap)).is_ok()
            } else {
                true
            }
        };
        for id in 0..1000 {
            write(&mut spill, id);
            spill.commit(now(id)).unwrap();
            let mut entries = Vec::new();
            if settles && spill.read(main, 1, 1 << 20, &mut entries).unwrap() > 0 {
                spill.settle(main, entries[0].position);
            }
            if spill.checkpoint_due() {
                spill.checkpoint(now(id), b"more").unwrap_err();
            }
            // What was shed in one turn waits for the next checkpoint, as ever.
            assert!(on_disk() <= 40_000 + 2 * 4096 + 2000, "settles: {settles}, {id}: {} bytes", on_disk());
        }
        // The state file can be written again: the log goes on.
        stuck.store(false, std::sync::atomic::Ordering::Relaxed);
        spill.checkpoint(now(2000), b"well").unwrap();
        assert!(write(&mut spill, 1001), "settles: {settles}");
        assert!(on_disk() <= 40_000 + 2 * 4096, "settles: {settles}: {} bytes", on_disk());
    }
}
