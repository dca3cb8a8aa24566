//! Power cuts at every step.

use std::time::Duration;

use townlet_spill::{FsyncPolicy, SpillOptions};

use crate::disk::{Dice, SimDisk, Survival};
use crate::life::{Life, Told, is_crash, judge, small};

/// Lives until the crash, or for `steps` random steps.
fn live(disk: &SimDisk, options: &SpillOptions, seed: u64, steps: usize, told: Told) -> Told {
    let mut dice = Dice::new(seed);
    let Ok(mut life) = Life::open(disk, options.clone(), told.clone()) else { return told };
    for _ in 0..steps {
        match life.random_step(&mut dice) {
            Ok(()) => {}
            Err(error) if is_crash(&error) => break,
            Err(error) => panic!("{error}"),
        }
    }
    // What was not durable is gone with the process, or comes back: either is right.
    life.told.waiting.clear();
    life.told
}

/// Both policies that promise anything about power cuts.
fn options(seed: u64) -> SpillOptions {
    let every = FsyncPolicy::Every(Duration::from_millis(4));
    SpillOptions { fsync: if seed.is_multiple_of(2) { FsyncPolicy::EachCommit } else { every }, ..small() }
}

fn outcomes() -> impl Iterator<Item = (u64, Survival)> {
    let chances = (0..5).map(|seed| (seed, Survival::Any));
    [(0, Survival::None), (0, Survival::All)].into_iter().chain(chances)
}

#[test]
fn a_power_cut_at_every_step_loses_nothing_that_was_reported_durable() {
    let (mut cuts, mut removals) = (0, 0);
    for seed in 0..8 {
        let options = options(seed);
        let whole = SimDisk::new(seed);
        whole.keep_log();
        live(&whole, &options, seed, 150, Told::default());
        assert!((40..=200).contains(&whole.steps()), "{} steps", whole.steps());
        removals += whole.log().iter().filter(|step| step.starts_with("remove")).count();
        for step in 0..whole.steps() {
            let disk = SimDisk::new(seed);
            disk.crash_at(step);
            let told = live(&disk, &options, seed, 150, Told::default());
            for (chance, survival) in outcomes() {
                let context = format!("seed {seed}, step {step}, {survival:?} {chance}");
                judge(&disk.reboot(chance, survival), &options, &told, &context);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 2_000 && removals > 3, "{cuts} cuts, {removals} segments removed");
}

#[test]
fn a_second_power_cut_during_the_restart_loses_nothing_either() {
    let options = small();
    for seed in 10..13 {
        let whole = SimDisk::new(seed);
        live(&whole, &options, seed, 50, Told::default());
        for step in (0..whole.steps()).step_by(3) {
            let disk = SimDisk::new(seed);
            disk.crash_at(step);
            let told = live(&disk, &options, seed, 50, Told::default());
            for second in 0..14 {
                let disk = disk.reboot(second, Survival::Any);
                disk.crash_at(second);
                let told = live(&disk, &options, seed + 77, 12, told.clone());
                let context = format!("seed {seed}, steps {step} and {second}");
                judge(&disk.reboot(step, Survival::Mixed), &options, &told, &context);
            }
        }
    }
}

#[test]
fn many_lives_in_a_row_on_one_disk_lose_nothing() {
    for seed in 100..130 {
        let options = options(seed);
        let mut disk = SimDisk::new(seed);
        let mut told = Told::default();
        let mut dice = Dice::new(seed);
        for life in 0..12 {
            disk.crash_at(dice.below(120)).short_transfers(4);
            told = live(&disk, &options, dice.roll(), 60, told);
            disk = disk.reboot(dice.roll(), Survival::Mixed);
            let image = disk.image();
            // Judged on a copy: the next life begins from what this one left.
            let copy = SimDisk::with_image(dice.roll(), &image);
            let judged = judge(&copy, &options, &told, &format!("seed {seed}, life {life}"));
            // What came back although it was never reported is durable now.
            let back = judged.hand.iter().flatten().map(|(_, id)| *id).filter(|id| *id < told.next_id);
            let mut durable: Vec<u64> = told.durable.iter().copied().chain(back).collect();
            durable.sort_unstable();
            durable.dedup();
            told.durable = durable;
        }
    }
}

#[test]
fn without_syncs_a_power_cut_costs_records_and_counts_them_but_not_the_log() {
    let mut lost_some = 0;
    for seed in 200..260 {
        let options = SpillOptions { fsync: FsyncPolicy::Never, ..small() };
        let disk = SimDisk::new(seed);
        let told = live(&disk, &options, seed, 200, Told::default());
        let after = disk.reboot(seed, Survival::Mixed);
        let mut life = Life::open(&after, options, told.clone()).unwrap();
        for sink in 0..2 {
            let slot = life.slots[sink];
            let promised = life.spill.backlog(slot);
            while life.read(sink, 9).unwrap() > 0 {}
            let (got, lost) = (life.hand[sink].len() as u64, life.spill.take_lost(slot));
            if promised.exact {
                assert_eq!(promised.records, got + lost, "seed {seed}: every record came or is counted");
            }
            lost_some += u64::from(lost > 0);
            // No record is taken for one that was settled before the cut.
            life.append(slot.bit()).unwrap();
            life.commit().unwrap();
            assert_eq!(life.read(sink, 9).unwrap(), 1, "seed {seed}");
        }
    }
    assert!(lost_some > 5, "{lost_some}");
}
