//! `prove`: the figures that the pipeline promises, measured here and now.

use std::io::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use townlet_lab::prove::memory::Case;
use townlet_lab::prove::outage::Service;
use townlet_lab::prove::report::Verdict;
use townlet_lab::prove::start::{Backlog, Resume};
use townlet_lab::prove::{Effort, FIGURES, Figure, Run, memory, outage, start};

/// Measures what this pipeline promises and says what was kept.
///
/// Exits with 0 where every promise was kept, with 1 where one was missed, with 2
/// where the arguments are wrong and with 3 where something could not be measured.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// One JSON object a figure and line, instead of text.
    #[arg(long)]
    json: bool,
    /// Measure only these figures.
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Figure::names()))]
    only: Vec<String>,
    /// Fewer and shorter measurements, about a minute: times are reported and not judged.
    #[arg(long)]
    quick: bool,
    /// Everything at the size that the promise names: about a quarter of an hour.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Only to see that everything works.
    #[arg(long, hide = true, conflicts_with_all = ["quick", "full"])]
    smallest: bool,
    /// Where random choices begin; by default different each time, and printed.
    #[arg(long)]
    seed: Option<u64>,
    #[command(subcommand)]
    command: Option<Internal>,
}

/// What the program starts of itself.
#[derive(Subcommand)]
enum Internal {
    /// Emits into a dead sink and prints the memory that it took.
    #[command(hide = true)]
    Hold(Case),
    /// Receives until standard input ends.
    #[command(hide = true)]
    Collect(Service),
    /// Leaves a backlog on disk.
    #[command(hide = true)]
    Backlog(Backlog),
    /// Starts with a backlog and prints what that took.
    #[command(hide = true)]
    Resume(Resume),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.command {
        Some(Internal::Hold(case)) => memory::hold(case).map(|()| ExitCode::SUCCESS),
        Some(Internal::Collect(service)) => outage::collect(service).map(|()| ExitCode::SUCCESS),
        Some(Internal::Backlog(backlog)) => start::leave(backlog).map(|()| ExitCode::SUCCESS),
        Some(Internal::Resume(resume)) => start::find(resume).map(|()| ExitCode::SUCCESS),
        None => run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("prove: {error:#}");
        ExitCode::from(3)
    })
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if cfg!(debug_assertions) && !arguments.quick {
        eprintln!("prove: built without optimisation; what is timed means nothing");
    }
    let effort = match (arguments.quick, arguments.full, arguments.smallest) {
        (true, ..) => Effort::Quick,
        (_, true, _) => Effort::Full,
        (.., true) => Effort::Smallest,
        _ => Effort::Standard,
    };
    let run = Run {
        effort,
        program: std::env::current_exe().context("finding this program, which it starts again")?,
        seed: arguments.seed.unwrap_or_else(of_this_moment),
    };
    let mut worst = Verdict::Pass;
    for figure in FIGURES.iter().filter(|f| arguments.only.is_empty() || arguments.only.iter().any(|o| o == f.name)) {
        eprintln!("prove: measuring {}", figure.name);
        let outcome = figure.prove(&run);
        worst = worst.max(outcome.verdict());
        let text = if arguments.json { outcome.to_json()? + "\n" } else { format!("{outcome}\n") };
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("printing the outcome")?;
    }
    Ok(match worst {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Miss => ExitCode::FAILURE,
        Verdict::NotMeasured => ExitCode::from(3),
    })
}

/// Short enough to be typed again.
fn of_this_moment() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u64::from(since.subsec_nanos()))
}
