//! Schedules of faults at the scale of CI, and those that have once failed.

#![expect(clippy::unwrap_used, reason = "a file that cannot be read is a failed test")]

use std::collections::BTreeSet;
use std::path::Path;

use townlet_lab::faults::{self, Failure};

fn holds(seed: u64) {
    if let Err(Failure { seed, what, .. }) = faults::run(seed, false) {
        panic!("seed {seed} fails: {what}\nreplay: cargo xtask faults --seed {seed}");
    }
}

/// With the 2,000 schedules of the worker's own simulation these are the ones that CI runs.
#[test]
fn two_thousand_schedules_of_faults_hold() {
    (1..=2000).for_each(holds);
}

/// Behind those two thousand.
#[test]
fn schedules_that_once_failed_hold() {
    // A peer that was ahead of what was sent again got a diff that it could not take.
    [6362].into_iter().for_each(holds);
}

#[test]
fn the_same_seed_makes_the_same_schedule() {
    for seed in [3, 77, 1234] {
        let log = |seed| faults::run(seed, true).map(|(_, log)| log).unwrap_or_else(|failure| failure.log);
        assert_eq!(log(seed), log(seed), "seed {seed}");
    }
}

#[test]
fn schedules_meet_what_they_are_for() {
    let mut sum = faults::Tally::default();
    for seed in 1..=200 {
        if let Ok((tally, _)) = faults::run(seed, false) {
            sum += tally;
        }
    }
    assert!(sum.runs > 400, "crashes and restarts: {sum:?}");
    assert!(sum.received > 5_000 && sum.repeated > 500, "deliveries, some of them twice: {sum:?}");
    assert!(sum.disk_steps > 2_000, "work for the disk: {sum:?}");
}

#[test]
fn every_planted_mistake_has_a_name_of_its_own() {
    let mut names: Vec<&str> = faults::MISTAKES.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), faults::MISTAKES.len());
    assert!(names.len() >= 30, "{} mistakes", names.len());
}

/// The names by which the code asks for mistakes, below `folder`.
fn asked_for(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            asked_for(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let asked = text.split("planted::is(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            names.extend(asked.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
}

#[test]
fn every_mistake_that_the_code_can_make_is_looked_for_and_no_other() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sites = BTreeSet::new();
    for member in std::fs::read_dir(crates).unwrap() {
        asked_for(&member.unwrap().path().join("src"), &mut sites);
    }
    // Those of waiting threads are found by models of all their orders.
    let mut models = String::new();
    for file in std::fs::read_dir(crates.join("townlet-worker/tests/interleavings")).unwrap() {
        models += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    let listed: BTreeSet<String> = faults::MISTAKES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let (scheduled, modelled): (Vec<_>, Vec<_>) = sites.iter().partition(|name| listed.contains(*name));
    assert!(listed.iter().eq(scheduled), "in the list and not in the code: {:?}", listed.difference(&sites));
    let lost: Vec<_> = modelled.iter().filter(|name| !models.contains(&format!("\"{name}\""))).collect();
    assert!(lost.is_empty(), "in the code, and neither in the list nor in a model: {lost:?}");
    assert!(!modelled.is_empty(), "the models are where they were");
}

/// Only where the code can make mistakes: `cargo xtask ci` has a step for it.
#[cfg(feature = "planted")]
#[test]
fn every_planted_mistake_is_found_by_the_seed_that_is_kept_for_it() {
    let lost: Vec<_> =
        faults::MISTAKES.iter().filter(|(mistake, seed)| faults::find(mistake, [*seed]).is_none()).collect();
    assert!(
        lost.is_empty(),
        "not found any more: {lost:?}\ncargo xtask faults --planted --seeds 20000 finds new seeds"
    );
}
