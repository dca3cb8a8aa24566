//! The tools that look at a folder, and the plan that repairs it.

use townlet_spill::{ErrorKind, RepairStep, Spill, StateFound, check, export, inspect, repair};

use crate::disk::SimDisk;
use crate::life::{Life, Told, body, id_of, now, small};

fn spool() -> (SimDisk, Told) {
    let disk = SimDisk::new(1);
    let mut life = Life::open(&disk, small(), Told::default()).unwrap();
    for _ in 0..10 {
        life.append_to_both(8);
        life.commit().unwrap();
    }
    life.read(0, 50).unwrap();
    life.settle(0, 50);
    life.read(1, 30).unwrap();
    life.settle(1, 30);
    life.checkpoint().unwrap();
    life.append_to_both(3);
    life.commit().unwrap();
    (disk, life.told)
}

#[test]
fn looking_changes_nothing() {
    let (disk, _) = spool();
    let (steps, image) = (disk.steps(), disk.image());
    inspect(&mut disk.handle()).unwrap();
    check(&mut disk.handle()).unwrap();
    export(&mut disk.handle(), |_| {}).unwrap();
    let plan = repair(&mut disk.handle()).unwrap();
    assert!(plan.steps.is_empty());
    assert_eq!((disk.steps(), disk.image()), (steps, image));
}

#[test]
fn an_inspection_knows_the_sinks_and_their_backlogs() {
    let (disk, _) = spool();
    let found = inspect(&mut disk.handle()).unwrap();
    assert_eq!((found.state, found.tail_records, found.next.get()), (StateFound::Good, 3, 83));
    let sinks: Vec<(&str, u64, bool)> =
        found.sinks.iter().map(|sink| (sink.name.as_str(), sink.backlog.records, sink.backlog.exact)).collect();
    assert_eq!(sinks, [("main", 33, true), ("audit", 53, true)]);
    assert_eq!(found.extra.as_deref(), Some(&b"80"[..]));
    assert!(found.segments.len() >= 3 && found.damage.is_empty());
}

#[test]
fn an_export_has_every_record_that_somebody_is_owed() {
    let (disk, told) = spool();
    let mut exported = Vec::new();
    let reports = export(&mut disk.handle(), |record| {
        let id = id_of(record.head);
        assert_eq!(record.body, body(id));
        exported.push((id, record.owing));
    })
    .unwrap();
    let wanted: Vec<(u64, u64)> = (30..83).map(|id| (id, if id < 50 { 0b10 } else { 0b11 })).collect();
    assert_eq!(exported, wanted);
    assert!(reports.iter().all(|report| report.damage.is_empty()));
    assert_eq!(told.next_id, 83);
}

#[test]
fn a_check_finds_every_damaged_place() {
    let (disk, _) = spool();
    let mut image = disk.image();
    let name = image.keys().filter(|name| name.ends_with(".seg")).nth(1).unwrap().clone();
    let content = image.get_mut(&name).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    let reports = check(&mut SimDisk::with_image(2, &image).handle()).unwrap();
    let damaged: Vec<_> = reports.iter().filter(|report| !report.damage.is_empty()).collect();
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0].name, name);
    assert_eq!(damaged[0].damage.iter().map(|damage| damage.records_at_most).sum::<u64>(), 1);
}

#[test]
fn a_plan_says_what_applying_it_then_does() {
    let (disk, told) = spool();
    let mut image = disk.image();
    let names: Vec<String> = image.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
    let moved = image.remove(&names[1]).unwrap();
    image.insert("renamed by somebody.seg".to_owned(), moved);
    image.insert("junk.seg".to_owned(), vec![1; 500]);
    image.get_mut(names.last().unwrap()).unwrap().extend([3; 11]);
    let disk = SimDisk::with_image(3, &image);

    let plan = repair(&mut disk.handle()).unwrap();
    let text: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 3, "{text:?}");
    assert!(text.iter().any(|line| line == &format!("rename renamed by somebody.seg to {}", names[1])), "{text:?}");
    assert!(text.iter().any(|line| line.starts_with("quarantine junk.seg (500 bytes)")), "{text:?}");
    assert!(matches!(plan.steps.last(), Some(RepairStep::Truncate { from, to, .. }) if from - to == 11));

    let (running, _) = Spill::open(Box::new(SimDisk::new(9).handle()), small(), now(0)).unwrap();
    drop(running);
    let mut handle = disk.handle();
    assert!(townlet_spill::Disk::lock(&mut handle).unwrap());
    let refused = plan.clone().apply(Box::new(disk.handle()), now(0)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Locked);
    drop(handle);

    let recovery = plan.clone().apply(Box::new(disk.handle()), now(0)).unwrap();
    assert_eq!(recovery.steps, plan.steps);
    assert!(repair(&mut disk.handle()).unwrap().steps.is_empty());
    let found = inspect(&mut disk.handle()).unwrap();
    assert_eq!(found.quarantined.len(), 1);
    assert_eq!((found.tail_records, found.next.get()), (3, told.next_id), "the tail is still the caller's to count");
    let mut exported = 0;
    export(&mut disk.handle(), |_| exported += 1).unwrap();
    assert_eq!(exported, 53);
}

/// A file stands where a swap would have gone through: it is put aside, and nothing is written over it.
#[test]
fn a_repair_overwrites_no_file_that_it_has_not_looked_at() {
    let (disk, _) = spool();
    let mut image = disk.image();
    let names: Vec<String> = image.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
    // A good copy of the second segment, and the segment itself with a broken header.
    let good = image[&names[1]].clone();
    image.insert("a copy.seg".to_owned(), good);
    image.get_mut(&names[1]).unwrap()[20] ^= 1;
    let ordinal: u64 = names[1].split('-').next().unwrap().parse().unwrap();
    image.insert(format!("moved-{ordinal}.seg"), vec![7; 700]);

    let disk = SimDisk::with_image(4, &image);
    let mut life = Life::open(&disk, small(), Told::default()).unwrap();
    let mut ids = Vec::new();
    let mut entries = Vec::new();
    while life.spill.read(life.slots[1], 9, 1 << 20, &mut entries).unwrap() > 0 {
        ids.extend(entries.drain(..).map(|entry| id_of(&entry.head)));
    }
    assert_eq!(ids, (30..83).collect::<Vec<u64>>());
    assert_eq!(life.spill.take_lost(life.slots[1]), 0);
    let kept = disk.image();
    assert!(kept.values().any(|content| *content == vec![7; 700]), "{:?}", kept.keys());
    assert!(!kept.keys().any(|name| name.starts_with("moved-") && name.ends_with(".seg")), "{:?}", kept.keys());
}
