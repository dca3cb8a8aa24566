//! `corpus`: every detector on labelled traces.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use townlet_lab::corpus::{self, Scored, Table, Trace};

/// Scores detectors of shifts on labelled traces.
///
/// Exits with 0 where what is promised of ours was kept, with 1 where it was not, with 2
/// where the arguments are wrong and with 3 where a trace could not be scored.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How many traces.
    #[arg(long, default_value_t = corpus::QUICK)]
    traces: usize,
    /// All of them.
    #[arg(long, conflicts_with = "traces")]
    full: bool,
    /// Where the corpus begins; another seed is another corpus.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Also print every trace that our detector got wrong or could not judge.
    #[arg(long)]
    wrong: bool,
    /// Threads; by default as many as the machine has cores.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("corpus: {error:#}");
            ExitCode::from(3)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let started = Instant::now();
    let traces = if arguments.full { corpus::FULL } else { arguments.traces };
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let scored = scored(arguments.seed, traces, threads)?;
    let table = Table::new(arguments.seed, &scored);
    if arguments.json {
        println!("{}", serde_json::to_string(&table).context("writing the table")?);
    } else {
        print!("{table}");
    }
    if arguments.wrong {
        scored.iter().filter_map(wrong).for_each(|line| eprintln!("{line}"));
    }
    eprintln!("corpus: {traces} traces, {:.1} s", started.elapsed().as_secs_f64());
    Ok(table.kept())
}

fn scored(seed: u64, traces: usize, threads: usize) -> anyhow::Result<Vec<Scored>> {
    let next = AtomicUsize::new(0);
    let all: Mutex<Vec<anyhow::Result<Scored>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= traces {
                        return;
                    }
                    let one = corpus::score(&Trace::new(seed, number)).with_context(|| format!("trace {number}"));
                    all.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            });
        }
    });
    let mut all: Vec<Scored> =
        all.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect::<Result<_, _>>()?;
    all.sort_unstable_by_key(|scored| scored.number);
    Ok(all)
}

/// A line about a trace on which our detector fired when it should not have, did not when it should, or could not judge
/// for more than a fifth of the time.
fn wrong(scored: &Scored) -> Option<String> {
    let ours = scored.runs.first()?;
    let from = match scored.change {
        corpus::Change::Worse { from, .. } => Some(from),
        _ => None,
    };
    let right = match (from, ours.rollback) {
        (None, found) => found.is_none(),
        (Some(from), found) => found.is_some_and(|minute| minute >= from) && scored.is_in_time(ours) != Some(false),
    };
    let unsure = ours.inconclusive.unwrap_or(0.0);
    (!right || unsure > 0.2).then(|| {
        format!(
            "trace {}: {}, noise {}, {:?}: rollback {:?} by {:?}, inconclusive {unsure:.2}: {}",
            scored.number,
            scored.kind.name(),
            scored.noise,
            scored.change,
            ours.rollback,
            ours.rule,
            ours.why.as_deref().unwrap_or("never")
        )
    })
}
