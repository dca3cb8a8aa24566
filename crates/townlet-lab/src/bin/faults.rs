//! `faults`: seeded schedules of faults against the whole pipeline.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use townlet_lab::faults::{self, Failure, Tally};

/// Runs schedules of faults. Exits with 1 where something did not hold.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How many schedules.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The seed of the first; the others follow it.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Only this one, with a log of its steps.
    #[arg(long, conflicts_with_all = ["seeds", "first", "planted"])]
    seed: Option<u64>,
    /// Plants one mistake after the other: the seed that is kept for it has to find it. Where it does not, up to
    /// `--seeds` others are tried and the run fails all the same.
    #[arg(long)]
    planted: bool,
    /// Plants only those whose names have this in them.
    #[arg(long, requires = "planted")]
    only: Option<String>,
    /// Threads; by default as many as the machine has cores.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What does not hold is reported as a failed schedule, once.
    std::panic::set_hook(Box::new(|_| {}));
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let good = match (arguments.seed, arguments.planted) {
        (Some(seed), _) => one(seed),
        (None, true) => planted(&arguments, threads),
        (None, false) => many(&arguments, threads),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64) -> bool {
    let (log, verdict, good) = match faults::run(seed, true) {
        Ok((tally, log)) => (log, format!("seed {seed} holds: {tally:?}"), true),
        Err(failure) => (failure.log, format!("seed {seed} fails: {}", failure.what), false),
    };
    log.iter().for_each(|line| println!("{line}"));
    println!("{verdict}");
    good
}

/// Does `work` for 0..count on several threads.
fn in_parallel(threads: usize, count: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    work(index);
                }
            });
        }
    });
}

fn many(arguments: &Arguments, threads: usize) -> bool {
    let started = Instant::now();
    let sum: Mutex<(Tally, Vec<Failure>)> = Mutex::default();
    in_parallel(threads, arguments.seeds, |index| {
        let outcome = faults::run(arguments.first.wrapping_add(index), false);
        let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok((tally, _)) => sum.0 += tally,
            Err(failure) => sum.1.push(failure),
        }
    });
    let (tally, mut failures) = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let took = started.elapsed().as_secs_f64();
    failures.sort_by_key(|failure| failure.seed);
    for Failure { seed, what, .. } in &failures {
        println!("seed {seed} fails: {what}\n  replay: cargo xtask faults --seed {seed}");
    }
    println!(
        "faults: {} schedules, {} failed; {} runs, {} events received, {} again; {took:.1} s, {:.0} seeds/s",
        arguments.seeds,
        failures.len(),
        tally.runs,
        tally.received,
        tally.repeated,
        arguments.seeds as f64 / took.max(0.001)
    );
    failures.is_empty()
}

/// Each mistake must be found by the seed that is kept for it. Where that one no longer does, others are looked for, to
/// take its place.
#[cfg(feature = "planted")]
fn planted(arguments: &Arguments, threads: usize) -> bool {
    let started = Instant::now();
    let found: Mutex<Vec<(usize, Option<Failure>)>> = Mutex::default();
    let wanted = |mistake: &str| arguments.only.as_ref().is_none_or(|part| mistake.contains(part));
    in_parallel(threads, faults::MISTAKES.len() as u64, |index| {
        let index = index as usize;
        let (mistake, kept) = faults::MISTAKES[index];
        if !wanted(mistake) {
            return;
        }
        let seeds = (0..arguments.seeds).map(|n| arguments.first.wrapping_add(n));
        let outcome = faults::find(mistake, std::iter::once(kept).chain(seeds));
        found.lock().unwrap_or_else(PoisonError::into_inner).push((index, outcome));
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(index, _)| *index);
    let mut missed = 0;
    for (index, outcome) in &found {
        let (mistake, kept) = faults::MISTAKES[*index];
        match outcome {
            Some(Failure { seed, what, .. }) => {
                let verdict = if *seed == kept { "found by" } else { "NOW ONLY" };
                missed += usize::from(*seed != kept);
                let what = what.lines().next().unwrap_or_default();
                println!("{verdict} {seed:>5}  {mistake}: {}", what.chars().take(100).collect::<String>());
            }
            None => {
                missed += 1;
                println!("NOT FOUND       {mistake}");
            }
        }
    }
    let took = started.elapsed().as_secs_f64();
    println!("planted: {} mistakes, {missed} not found by the seed that is kept for them, {took:.1} s", found.len());
    missed == 0
}

#[cfg(not(feature = "planted"))]
fn planted(_: &Arguments, _: usize) -> bool {
    eprintln!("faults: built without the mistakes; run `cargo xtask faults --planted`");
    false
}
