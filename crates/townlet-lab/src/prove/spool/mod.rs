//! `spool`: spools that somebody damaged, opened and used as if nothing had happened.
//!
//! The folders are in memory and the log is the real one. That records which are
//! whole do come, and that the bound of a loss holds, is for the tests of
//! `townlet-spill`, which know the format; here any number of folders is tried.

mod memory_disk;
mod mutate;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use townlet_spill::{SinkSlot, Spill, SpillOptions, StateFound};

use self::memory_disk::{Image, MemoryDisk};
use self::mutate::mutate;
use super::{Finding, Run};
use crate::dice::Dice;

/// What the promise allows for opening.
const OPENS_WITHIN: Duration = Duration::from_secs(1);

const SINKS: [&str; 2] = ["main", "audit"];

/// Records of a spool before it is damaged.
const RECORDS: u64 = 200;

/// Failures named in the report; the others are counted.
const NAMED: u64 = 5;

pub(super) fn measure(run: &Run) -> anyhow::Result<Finding> {
    let spools: u64 = run.effort.pick(50, 500, 2_000, 100_000);
    let mut dice = Dice::new(run.seed);
    let whole = (0..20).map(|n| past(&mut dice, n % 2 == 0)).collect::<anyhow::Result<Vec<Image>>>()?;
    let owed = use_it(&whole[0]).context("a spool that nobody damaged")?;
    ensure!(owed.damage == 0 && owed.quarantined == 0, "a spool that nobody damaged is said to be damaged");
    let mut sum = Sum::default();
    let mut finding = Finding::default();
    for trial in 0..spools {
        let mut image = whole[(trial % whole.len() as u64) as usize].clone();
        let what = mutate(&mut image, &mut dice);
        match catch_unwind(AssertUnwindSafe(|| use_it(&image))) {
            Ok(Ok(seen)) => sum.add(&seen),
            Ok(Err(error)) => sum.fail(&mut finding, || format!("spool {trial} ({what}): {error:#}")),
            Err(_) => {
                sum.panics += 1;
                sum.fail(&mut finding, || format!("spool {trial} ({what}): a panic"));
            }
        }
    }
    finding.note("seed", run.seed);
    finding.note("spools", spools);
    finding.note("panics", sum.panics);
    finding.note("failed", sum.failed);
    finding.note("open_worst_ms", sum.slowest.as_secs_f64() * 1e3);
    finding.note("reported_as_damaged", sum.damaged);
    finding.note("state_rebuilt", sum.rebuilt);
    finding.note("files_quarantined", sum.quarantined);
    finding.note("records_given_back", sum.given_back);
    finding.require(sum.failed <= NAMED, || format!("{} spools failed in all", sum.failed));
    finding.require_time(run.effort, sum.slowest <= OPENS_WITHIN, || format!("one took {:?} to open", sum.slowest));
    // Else nothing was put to the test.
    ensure!(sum.damaged > spools / 4, "only {} of {spools} spools were damaged", sum.damaged);
    Ok(finding)
}

#[derive(Default)]
struct Sum {
    panics: u64,
    failed: u64,
    damaged: u64,
    rebuilt: u64,
    quarantined: u64,
    given_back: u64,
    slowest: Duration,
}

impl Sum {
    fn add(&mut self, seen: &Seen) {
        self.damaged += u64::from(seen.damage > 0);
        self.rebuilt += u64::from(seen.rebuilt);
        self.quarantined += seen.quarantined;
        self.given_back += seen.given_back;
        self.slowest = self.slowest.max(seen.opened_in);
    }

    fn fail(&mut self, finding: &mut Finding, miss: impl FnOnce() -> String) {
        self.failed += 1;
        if self.failed <= NAMED {
            finding.require(false, miss);
        }
    }
}

fn options() -> SpillOptions {
    SpillOptions { segment_bytes: 4 << 10, max_bytes: 1 << 20, read_buffer: 1 << 10, ..SpillOptions::default() }
}

fn head(id: u64) -> [u8; 8] {
    id.to_le_bytes()
}

/// The body that belongs to an id, and to no other.
fn body(id: u64) -> Vec<u8> {
    let mut dice = Dice::new(id);
    (0..dice.within(0..=300)).map(|_| dice.within(0..=255) as u8).collect()
}

/// A spool with a past: several segments, both sinks somewhere in the middle.
fn past(dice: &mut Dice, checkpointed: bool) -> anyhow::Result<Image> {
    let disk = MemoryDisk::new(Image::new());
    let now = Duration::ZERO;
    let (mut spill, _) = Spill::open(Box::new(disk.clone()), options(), now)?;
    let sinks = slots(&mut spill)?;
    for id in 0..RECORDS {
        let targets = sinks.map(|sink| if dice.per_cent(80) { sink.bit() } else { 0 });
        spill.append(now, targets[0] | targets[1], &head(id), &body(id))?;
        if dice.per_cent(20) {
            spill.commit(now)?;
        }
        if dice.per_cent(5) {
            let mut entries = Vec::new();
            let sink = dice.one_of(&sinks);
            spill.read(sink, dice.within(1..=20) as usize, 1 << 20, &mut entries)?;
            if let Some(last) = entries.last() {
                spill.settle(sink, last.position);
            }
        }
        if id == RECORDS / 2 || id + 1 == RECORDS && checkpointed {
            spill.checkpoint(now, b"account")?;
        }
    }
    spill.commit(now)?;
    drop(spill);
    Ok(disk.image())
}

fn slots(spill: &mut Spill) -> anyhow::Result<[SinkSlot; 2]> {
    Ok([spill.sink(SINKS[0])?, spill.sink(SINKS[1])?])
}

/// What a spool did.
struct Seen {
    opened_in: Duration,
    rebuilt: bool,
    /// Pieces of damage that it reports, and repairs that no crash asks for.
    damage: u64,
    quarantined: u64,
    given_back: u64,
}

/// Opens it, reads everything, appends, reads that, and opens it again.
fn use_it(image: &Image) -> anyhow::Result<Seen> {
    let disk = MemoryDisk::new(image.clone());
    let now = Duration::ZERO;
    let began = Instant::now();
    let (mut spill, recovery) = Spill::open(Box::new(disk.clone()), options(), now).context("opening")?;
    let opened_in = began.elapsed();
    let sinks = slots(&mut spill)?;
    let mut given_back = 0;
    for sink in sinks {
        given_back += drain(&mut spill, sink).context("reading what is left")?.len() as u64;
    }
    let damage = spill.take_damage().len() as u64 + u64::from(!recovery.is_clean());

    let both = sinks[0].bit() | sinks[1].bit();
    let newcomer = RECORDS + 7;
    spill.append(now, both, &head(newcomer), &body(newcomer)).context("appending")?;
    spill.commit(now).context("committing")?;
    for sink in sinks {
        let came = drain(&mut spill, sink).context("reading the newcomer")?;
        ensure!(came.iter().eq(&[newcomer]), "after the newcomer {came:?} came");
    }
    // One sink is done, the other one will be.
    let mut rest = Vec::new();
    spill.append(now, sinks[0].bit(), &head(newcomer + 1), &body(newcomer + 1))?;
    spill.commit(now)?;
    spill.read(sinks[0], 1, 1 << 20, &mut rest)?;
    let last = rest.first().context("the last record did not come")?.position;
    spill.settle(sinks[1], last);
    spill.checkpoint(now, b"account").context("storing a checkpoint")?;
    drop(spill);

    let (mut spill, again) = Spill::open(Box::new(disk.clone()), options(), now).context("opening it again")?;
    ensure!(again.is_clean(), "opened again it is damaged still: {again}");
    let sinks = slots(&mut spill)?;
    let (main, audit) = (drain(&mut spill, sinks[0])?, drain(&mut spill, sinks[1])?);
    ensure!(main.contains(&newcomer) && main.contains(&(newcomer + 1)), "what was appended is not there again");
    ensure!(audit.is_empty(), "what was settled came again: {audit:?}");
    let quarantined = disk.image().keys().filter(|name| name.ends_with(".quarantine")).count() as u64;
    Ok(Seen { opened_in, rebuilt: recovery.state == StateFound::Rebuilt, damage, quarantined, given_back })
}

/// Reads to the end; each record must be one that was appended, and come once.
fn drain(spill: &mut Spill, sink: SinkSlot) -> anyhow::Result<BTreeSet<u64>> {
    let mut ids = BTreeSet::new();
    loop {
        let mut entries = Vec::new();
        if spill.read(sink, 64, 1 << 20, &mut entries)? == 0 {
            return Ok(ids);
        }
        for entry in entries {
            let Ok(id) = <[u8; 8]>::try_from(&entry.head[..]) else { bail!("a head that nobody made") };
            let id = u64::from_le_bytes(id);
            ensure!(id < RECORDS + 10 && entry.body == body(id), "a record that nobody made, {id}");
            ensure!(ids.insert(id), "record {id} came twice");
        }
    }
}
