//! `cargo xtask fuzz`: every target of `fuzz/`, each for a bounded time, guided by coverage.
//!
//! A target is a file below `fuzz/src/bin/`. Its seeds are committed in `fuzz/seeds/<target>/`; what a run finds new
//! stays below the build folder, in `fuzz/corpus` and `fuzz/artifacts`. A finding that was put right belongs among
//! the seeds: every run begins with them.

mod build;
mod campaign;
mod outcome;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use self::build::Built;
use self::campaign::Campaign;
use crate::process;

#[derive(Args)]
pub(crate) struct Fuzz {
    /// Only this target; may be given more than once. All of them otherwise.
    #[arg(long)]
    target: Vec<String>,
    /// How long each target runs, on top of its seeds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How many targets run at a time; as many as there are processors otherwise.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Run the one target on this input alone, to see again what a run has found.
    #[arg(long)]
    input: Option<PathBuf>,
}

impl Fuzz {
    /// Every target, each for so many seconds.
    pub(crate) fn all(seconds: u64) -> Self {
        Self { target: Vec::new(), seconds, jobs: None, input: None }
    }
}

/// Builds the targets once and runs them.
pub(crate) fn run(root: &Path, asked: Fuzz) -> Result<()> {
    let targets = chosen(&targets(root)?, &asked.target)?;
    if let Err(why) = build::compiler() {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        ensure!(!in_ci, "fuzz: {why}; with CI=true that is a failure");
        println!("fuzz: SKIPPED, nothing was fuzzed: {why}");
        return Ok(());
    }
    let built = Built::all(root)?;
    if let Some(input) = &asked.input {
        let [target] = targets.as_slice() else { bail!("--input needs one --target, of which it is an input") };
        let input = std::path::absolute(input).with_context(|| format!("no path: {}", input.display()))?;
        return process::run(Command::new(built.binary(target)).args(campaign::LIMITS).arg(input));
    }

    let jobs = asked.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let waiting = Mutex::new(VecDeque::from(targets.clone()));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.min(targets.len()) {
            scope.spawn(|| {
                // A lock is poisoned only by a panic of another thread here, which ends the run anyway.
                while let Some(target) = waiting.lock().ok().and_then(|mut waiting| waiting.pop_front()) {
                    let campaign = Campaign { root, built: &built, target: &target };
                    let fault = match campaign.run(Duration::from_secs(asked.seconds)) {
                        Ok(outcome) => {
                            println!("{}", outcome.text(&target));
                            outcome.fault()
                        }
                        Err(error) => Some(format!("{error:#}")),
                    };
                    if let Some(fault) = fault {
                        println!("fuzz: {target}: FAILED: {fault}");
                        failed.lock().into_iter().for_each(|mut failed| failed.push(target.clone()));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    ensure!(failed.is_empty(), "fuzz: {} of {} targets failed: {}", failed.len(), targets.len(), failed.join(", "));
    println!("fuzz: {} targets, {} s each, no finding", targets.len(), asked.seconds);
    Ok(())
}

/// The names of all targets, sorted.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/src/bin");
    let entries = folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort_unstable();
    ensure!(!names.is_empty(), "no targets in {}", folder.display());
    Ok(names)
}

fn chosen(all: &[String], asked: &[String]) -> Result<Vec<String>> {
    for name in asked {
        ensure!(all.contains(name), "no target `{name}`; there are {}", all.join(", "));
    }
    Ok(all.iter().filter(|name| asked.is_empty() || asked.contains(name)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_does_not_exist_is_refused_with_those_that_do() {
        let all = ["config".to_owned(), "inspect".to_owned()];
        assert_eq!(chosen(&all, &[]).unwrap(), all);
        assert_eq!(chosen(&all, &all[1..]).unwrap(), all[1..]);
        let error = chosen(&all, &["confg".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "no target `confg`; there are config, inspect");
    }

    #[test]
    fn every_target_has_seeds_and_every_folder_of_seeds_and_dictionary_a_target() {
        let root = crate::root();
        let targets = targets(root).unwrap();
        for target in &targets {
            let seeds = root.join("fuzz/seeds").join(target);
            assert!(seeds.read_dir().is_ok_and(|mut seeds| seeds.next().is_some()), "no seeds for {target}");
        }
        for folder in ["fuzz/seeds", "fuzz/dictionaries"] {
            for entry in root.join(folder).read_dir().unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                assert!(targets.contains(&name) || name == "README", "{} belongs to no target", path.display());
            }
        }
    }
}
