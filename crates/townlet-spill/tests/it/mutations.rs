//! Spools that somebody damaged: they open, they take new records, they give
//! back what is whole, and they do not understate what is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use townlet_spill::StateFound;

use crate::disk::{Dice, SimDisk};
use crate::life::{Life, Told, body, head, small};

type Image = BTreeMap<String, Vec<u8>>;

/// A spool with a past: several segments, both sinks somewhere in the middle.
fn spool(seed: u64, checkpointed: bool) -> (Image, Told) {
    let disk = SimDisk::new(seed);
    let mut dice = Dice::new(seed);
    let mut life = Life::open(&disk, small(), Told::default()).unwrap();
    for _ in 0..130 {
        // Mostly growing: sinks that keep up leave nothing to damage.
        match dice.below(6) {
            0 => life.random_step(&mut dice).unwrap(),
            _ => {
                let both = life.slots[0].bit() | life.slots[1].bit();
                life.append(both).unwrap();
            }
        }
    }
    life.commit().unwrap();
    if checkpointed {
        life.checkpoint().unwrap();
    }
    (disk.image(), life.told)
}

fn pick(image: &Image, dice: &mut Dice) -> String {
    let segments: Vec<&String> = image.keys().filter(|name| name.ends_with(".seg")).collect();
    match segments.is_empty() || dice.below(5) == 0 {
        true => image.keys().nth(dice.below(image.len() as u64) as usize).unwrap().clone(),
        false => segments[dice.below(segments.len() as u64) as usize].clone(),
    }
}

/// A file name: of a segment that could be, of one that is, or nonsense.
fn name(image: &Image, dice: &mut Dice) -> String {
    match dice.below(4) {
        0 => pick(image, dice),
        1 => format!("{}.seg", dice.below(1000)),
        2 => format!("{:010}-{:020}.seg", dice.below(20), dice.below(300)),
        _ => format!("{:010}-{:020}.seg", dice.roll() >> dice.below(60), dice.roll() >> dice.below(60)),
    }
}

fn garbage(dice: &mut Dice, most: u64) -> Vec<u8> {
    let zeros = dice.below(3) == 0;
    (0..dice.below(most)).map(|_| if zeros { 0 } else { dice.roll() as u8 }).collect()
}

fn mutate(image: &mut Image, dice: &mut Dice) -> String {
    let file = pick(image, dice);
    let content = image.get_mut(&file).unwrap();
    let len = content.len() as u64;
    match dice.below(10) {
        0..=2 if len > 0 => {
            let count = 1 + dice.below(12);
            for _ in 0..count {
                content[dice.below(len) as usize] ^= 1 << dice.below(8);
            }
            format!("{count} bits of {file} flipped")
        }
        3 => {
            let to = dice.below(len + 1);
            content.truncate(to as usize);
            format!("{file} cut to {to} of {len}")
        }
        4 => {
            let (at, junk) = (dice.below(len + 1) as usize, garbage(dice, 3000));
            let end = (at + junk.len()).min(content.len());
            content[at..end].copy_from_slice(&junk[..end - at]);
            format!("{file} overwritten from {at} to {end}")
        }
        5 => {
            content.extend(garbage(dice, 5000));
            format!("{file} grown")
        }
        6 => {
            image.remove(&file);
            format!("{file} removed")
        }
        7 => {
            let (copy, to) = (image[&file].clone(), name(image, dice));
            image.insert(to.clone(), copy);
            format!("{file} copied to {to}")
        }
        8 => {
            let (content, to) = (image.remove(&file).unwrap(), format!("{}.seg", dice.below(1000)));
            image.insert(to.clone(), content);
            format!("{file} renamed to {to}")
        }
        _ => {
            let other = pick(image, dice);
            let (one, two) = (image[&file].clone(), image[&other].clone());
            image.insert(file.clone(), two);
            image.insert(other.clone(), one);
            format!("{file} and {other} swapped")
        }
    }
}

/// All that looks like a frame: where each magic is, as long as the header says.
fn frames_in(image: &Image) -> impl Iterator<Item = &[u8]> {
    let segments = image.iter().filter(|(name, _)| name.ends_with(".seg")).map(|(_, content)| content.as_slice());
    segments.flat_map(|content| {
        let starts = content.iter().enumerate().filter(|(_, byte)| **byte == 0xF5).map(|(at, _)| at);
        starts.filter_map(|at| {
            let number =
                |field: usize| Some(u32::from_le_bytes(content.get(at + field..at + field + 4)?.try_into().ok()?));
            let len = 36 + number(12)?.checked_add(number(16)?)? as usize;
            content.get(at..at.checked_add(len)?)
        })
    })
}

/// The frames of records, by id, as they stand in an undamaged spool.
fn frames(image: &Image, told: &Told) -> BTreeMap<u64, Vec<u8>> {
    let ids: BTreeMap<Vec<u8>, u64> = told.durable.iter().map(|id| ([head(*id), body(*id)].concat(), *id)).collect();
    frames_in(image).filter_map(|frame| Some((*ids.get(&frame[36..])?, frame.to_vec()))).collect()
}

/// What sinks can still get: records whose frames are whole in some segment.
fn intact(image: &Image, frames: &BTreeMap<u64, Vec<u8>>) -> BTreeSet<u64> {
    let whole: BTreeSet<&[u8]> = frames_in(image).collect();
    frames.iter().filter(|(_, frame)| whole.contains(frame.as_slice())).map(|(id, _)| *id).collect()
}

struct Outcome {
    /// Owed and not delivered, by whichever sink.
    missing: BTreeSet<u64>,
    at_most: u64,
    state: StateFound,
}

/// Opens, reads everything for both sinks, appends, reopens.
fn use_it(image: &Image, told: &Told, context: &str) -> Outcome {
    let disk = SimDisk::with_image(1, image);
    let start = Instant::now();
    let mut life = Life::open(&disk, small(), told.clone()).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(start.elapsed() < Duration::from_secs(30), "{context}: slow to open");
    let mut missing = BTreeSet::new();
    for sink in 0..2 {
        while life.read(sink, 50).unwrap_or_else(|error| panic!("{context}: {error}")) > 0 {}
        let got: BTreeSet<u64> = life.hand[sink].iter().map(|(_, id)| *id).collect();
        let bit = life.slots[sink].bit();
        missing.extend(Life::owed(told, bit, sink).into_iter().filter(|id| !got.contains(id)));
        let backlog = life.spill.backlog(life.slots[sink]);
        assert!(backlog.exact && backlog.records == got.len() as u64, "{context}: {backlog:?}");
    }
    let damage = life.spill.take_damage();
    let at_most = life.recovery.lost_at_most() + damage.iter().map(|damage| damage.records_at_most).sum::<u64>();
    let state = life.recovery.state;

    let id = life.append(life.slots[0].bit() | life.slots[1].bit()).unwrap();
    life.commit().unwrap();
    for sink in 0..2 {
        assert_eq!(life.read(sink, 50).unwrap(), 1, "{context}: new record {id}");
        life.settle(sink, usize::MAX);
    }
    life.checkpoint().unwrap();
    let told = life.told.clone();
    drop(life);
    let after = Life::open(&disk, small(), told).unwrap();
    assert!(after.recovery.is_clean(), "{context}: repaired once, {:?}", after.recovery);
    assert_eq!(after.spill.backlog(after.slots[0]).records, 0, "{context}");
    Outcome { missing, at_most, state }
}

#[test]
fn two_thousand_damaged_spools_open_and_give_back_what_is_whole() {
    let mut spools = Vec::new();
    for seed in 0..20 {
        let (image, told) = spool(seed, seed % 2 == 0);
        let frames = frames(&image, &told);
        assert!(frames.len() > 100, "the oracle knows what it looks for: {}", frames.len());
        spools.push((image, told, frames));
    }
    let (mut damaged, mut rebuilt) = (0, 0);
    for seed in 0..2_000u64 {
        let mut dice = Dice::new(seed);
        let (whole, told, frames) = &spools[seed as usize % spools.len()];
        let mut image = whole.clone();
        let count = 1 + dice.below(2) * dice.below(4);
        let what: Vec<String> = (0..count).map(|_| mutate(&mut image, &mut dice)).collect();
        let context = format!("seed {seed}: {}", what.join(", "));
        let outcome = use_it(&image, told, &context);
        damaged += u64::from(!outcome.missing.is_empty());
        rebuilt += u64::from(outcome.state == StateFound::Rebuilt);
        if count > 1 {
            continue;
        }
        let intact = intact(&image, frames);
        let wrongly: Vec<&u64> = outcome.missing.iter().filter(|id| intact.contains(id)).collect();
        assert!(wrongly.is_empty(), "{context}: {wrongly:?} are whole and did not come");
        let checkpointed = seed % 2 == 0;
        if checkpointed && outcome.state == StateFound::Good {
            let lost = outcome.missing.len() as u64;
            assert!(lost <= outcome.at_most, "{context}: {lost} lost, at most {} admitted", outcome.at_most);
        }
    }
    assert!(damaged > 500 && rebuilt > 20, "the mutations do something: {damaged} {rebuilt}");
}

#[test]
fn segments_that_went_round_by_three_names_are_put_back_and_the_tail_is_read() {
    let mut tried = 0;
    for seed in 0..20 {
        let (whole, told) = spool(seed, seed % 2 == 0);
        let names: Vec<String> = whole.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
        let [.., before, last] = names.as_slice() else { continue };
        tried += 1;
        // The last one has its neighbour's name, and the neighbour a name that is nobody's: once that of no segment,
        // once that of one beyond all others.
        for stray in ["83.seg".to_owned(), format!("{:010}-{:020}.seg", 900, 9000)] {
            let mut image = whole.clone();
            let (one, two) = (image[before].clone(), image.remove(last).unwrap());
            image.extend([(before.clone(), two), (stray.clone(), one)]);
            let outcome = use_it(&image, &told, &format!("seed {seed}: {last} is {before}, which is {stray}"));
            assert_eq!(outcome.missing, BTreeSet::new(), "seed {seed}: every segment is there under some name");
            // And the other way round.
            let mut image = whole.clone();
            let (one, two) = (image.remove(before).unwrap(), image[last].clone());
            image.extend([(last.clone(), one), (stray.clone(), two)]);
            let outcome = use_it(&image, &told, &format!("seed {seed}: {before} is {last}, which is {stray}"));
            assert_eq!(outcome.missing, BTreeSet::new(), "seed {seed}: every segment is there under some name");
        }
    }
    assert!(tried > 10, "spools of several segments: {tried}");
}

#[test]
fn an_undamaged_spool_reports_no_damage() {
    for seed in 0..20 {
        let (image, told) = spool(seed, seed % 2 == 0);
        let outcome = use_it(&image, &told, "whole");
        assert_eq!((outcome.missing.len(), outcome.at_most), (0, 0));
        assert!(matches!(outcome.state, StateFound::Good | StateFound::Fresh));
    }
}

#[test]
fn a_flipped_bit_in_a_body_costs_that_record_and_no_other() {
    let (mut image, told) = spool(3, true);
    let frames = frames(&image, &told);
    let owed = *told.durable.iter().rev().nth(20).unwrap();
    let frame = &frames[&owed];
    let (name, at) = image
        .iter()
        .find_map(|(name, content)| Some((name.clone(), content.windows(frame.len()).position(|at| at == frame)?)))
        .unwrap();
    image.get_mut(&name).unwrap()[at + 37] ^= 4;
    let outcome = use_it(&image, &told, "one bit");
    assert_eq!(outcome.missing.into_iter().collect::<Vec<u64>>(), [owed]);
    assert_eq!(outcome.at_most, 1);
}

#[test]
fn a_lost_state_file_costs_duplicates_and_no_name() {
    let (mut image, told) = spool(4, true);
    image.insert("state".to_owned(), vec![7; 300_000]);
    let disk = SimDisk::with_image(1, &image);
    let mut life = Life::open(&disk, small(), told.clone()).unwrap();
    assert_eq!(life.recovery.state, StateFound::Rebuilt);
    assert!(life.recovery.to_string().contains("twice"), "{}", life.recovery);
    assert_eq!(life.spill.sinks().map(|(name, _)| name).collect::<Vec<&str>>(), ["main", "audit"]);
    life.read(0, 9999).unwrap();
    let got: BTreeSet<u64> = life.hand[0].iter().map(|(_, id)| *id).collect();
    assert!(Life::owed(&told, life.slots[0].bit(), 0).iter().all(|id| got.contains(id)));
}

#[test]
fn what_was_put_aside_stays_until_there_is_newer_damage() {
    let (mut image, told) = spool(5, true);
    for number in 0..30 {
        image.insert(format!("junk {number:02}.seg"), vec![number; 100]);
    }
    let disk = SimDisk::with_image(1, &image);
    let life = Life::open(&disk, small(), told).unwrap();
    assert_eq!(life.recovery.steps.len(), 30);
    assert_eq!(life.recovery.lost_at_most(), 30 * 2, "a hundred bytes hold two records at most");
    let kept: Vec<String> = disk.image().into_keys().filter(|name| name.ends_with(".quarantine")).collect();
    assert_eq!(kept.len(), small().keep_quarantined);
    assert!(kept.contains(&"junk 29.seg.quarantine".to_owned()), "{kept:?}");
}
