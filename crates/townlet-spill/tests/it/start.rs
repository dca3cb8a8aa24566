//! Starting: what it reads, and who may.

use townlet_spill::{ErrorKind, Spill, SpillOptions, StateFound, inspect};

use crate::disk::{SimDisk, Survival};
use crate::life::{Life, Told, id_of, judge, now, small};

/// A log with `records` of 1 KiB for one sink, and `tail` more after the last checkpoint.
fn backlog(records: u64, tail: u64) -> (SimDisk, SpillOptions) {
    let disk = SimDisk::new(1);
    let options = SpillOptions { segment_bytes: 256 << 10, max_bytes: 1 << 30, ..SpillOptions::default() };
    let mut spill = Spill::open(Box::new(disk.handle()), options.clone(), now(0)).unwrap().0;
    let main = spill.sink("main").unwrap();
    for id in 0..records + tail {
        if id == records {
            spill.checkpoint(now(0), b"account").unwrap();
        }
        spill.append(now(0), main.bit(), &crate::life::head(id), &[b'x'; 1024]).unwrap();
        if id % 50 == 49 {
            spill.commit(now(0)).unwrap();
        }
    }
    spill.commit(now(0)).unwrap();
    (disk, options)
}

#[test]
fn a_start_reads_the_tail_and_not_the_backlog() {
    let read_at_start = |records: u64, tail: u64| {
        let (disk, options) = backlog(records, tail);
        let before = disk.bytes_read();
        let (mut spill, recovery) = Spill::open(Box::new(disk.handle()), options, now(0)).unwrap();
        let read = disk.bytes_read() - before;
        assert_eq!((recovery.state, recovery.tail_records), (StateFound::Good, tail));
        let main = spill.sink("main").unwrap();
        assert_eq!(spill.backlog(main).records, records + tail, "the figures are known without reading");
        assert!(spill.backlog(main).exact);
        (read, disk.image().values().map(|file| file.len() as u64).sum::<u64>())
    };
    let (small, _) = read_at_start(300, 20);
    let (large, size) = read_at_start(10_000, 20);
    assert!(size > 10_000_000);
    // Names of sinks apart, a segment costs its header; 256 headers are read at most.
    assert!(large < small + 256 * 256, "{large} of {size}, against {small}");
    assert!(large < 150_000, "{large}");
    let (more, _) = read_at_start(300, 200);
    assert!(more > 200 * 1024 && more < 600 * 1024, "the tail is read: {more}");
}

#[test]
fn the_caller_sees_the_heads_of_the_tail_and_gets_its_account_back() {
    let (disk, options) = backlog(500, 60);
    let mut heads = Vec::new();
    let (_, recovery) =
        Spill::open_with(Box::new(disk.handle()), options, now(0), |targets, head| heads.push((targets, id_of(head))))
            .unwrap();
    assert_eq!(recovery.extra.as_deref(), Some(&b"account"[..]));
    assert_eq!(heads, (500..560).map(|id| (1, id)).collect::<Vec<(u64, u64)>>());
    assert_eq!(recovery.tail_bytes, 60 * (1024 + 6));
}

#[test]
fn a_second_process_is_kept_out_until_the_first_is_done() {
    let disk = SimDisk::new(2);
    let (first, _) = Spill::open(Box::new(disk.handle()), small(), now(0)).unwrap();
    let error = Spill::open(Box::new(disk.handle()), small(), now(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("another process"), "{error}");
    assert!(inspect(&mut disk.handle()).is_ok(), "looking is allowed");
    drop(first);
    assert!(Spill::open(Box::new(disk.handle()), small(), now(0)).is_ok());
}

#[test]
fn a_torn_end_is_cut_off_once_and_says_how_much() {
    let disk = SimDisk::new(3);
    let mut life = Life::open(&disk, SpillOptions { segment_bytes: 1 << 16, ..small() }, Told::default()).unwrap();
    life.append_to_both(5);
    life.checkpoint().unwrap();
    life.append_to_both(3);
    life.commit().unwrap();
    let mut image = disk.image();
    let segment = image.values_mut().next().unwrap();
    segment.extend([0xF5, b'T', b'F', 0x1A, 1, 2, 3]);
    let torn = SimDisk::with_image(4, &image);
    let life = judge(&torn, &small(), &life.told, "torn");
    assert_eq!(life.recovery.torn_bytes, 7);
    assert!(life.recovery.is_clean(), "as a crash leaves it: {}", life.recovery);
    drop(life);
    let again = Life::open(&torn, small(), Told::default()).unwrap();
    assert_eq!(again.recovery.torn_bytes, 0);
}

#[test]
fn a_folder_that_fails_in_every_repair_still_opens() {
    let disk = SimDisk::new(5);
    let mut life = Life::open(&disk, small(), Told::default()).unwrap();
    for _ in 0..20 {
        life.append_to_both(4);
        life.commit().unwrap();
    }
    let mut image = disk.image();
    let last = image.keys().rfind(|name| name.ends_with(".seg")).unwrap().clone();
    image.get_mut(&last).unwrap().extend([1; 99]);
    let moved = image.remove("0000000001-00000000000000000000.seg").unwrap();
    image.insert("lost.seg".to_owned(), moved);
    let disk = SimDisk::with_image(6, &image);
    for step in 0..6 {
        disk.fault_at(step, crate::disk::DiskFault::Eio);
    }
    let (mut spill, recovery) = Spill::open(Box::new(disk.handle()), small(), now(0)).unwrap();
    assert!(!recovery.steps.is_empty());
    let main = spill.sink("main").unwrap();
    let mut entries = Vec::new();
    while spill.read(main, 10, 1 << 20, &mut entries).unwrap() > 0 {}
    assert!(entries.len() > 50, "{}", entries.len());
    drop(spill);
    // The next start, on a disk that works again, puts everything right.
    judge(&disk.reboot(1, Survival::All), &small(), &life.told, "repaired later");
}
