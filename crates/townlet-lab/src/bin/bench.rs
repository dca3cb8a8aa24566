//! `bench`: the comparisons of this crate, as a table and as JSON.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use townlet_lab::budgets::judge;
use townlet_lab::collect::{self, Service};
use townlet_lab::destination::Ground;
use townlet_lab::measure::{Rounds, clock_cost};
use townlet_lab::report::Report;
use townlet_lab::scale::Scale;
use townlet_lab::{emit, end_to_end, stage};

/// Measures this pipeline beside others and holds the figures against the budgets.
///
/// Exits with 0 whatever the figures are, with 1 where `--enforce` is given and a
/// budget is missed, with 2 where the arguments are wrong and with 3 where
/// something could not be measured.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Fewer and shorter rounds, for CI: under 40 s.
    #[arg(long)]
    quick: bool,
    /// Only to see that everything works.
    #[arg(long, hide = true, conflicts_with = "quick")]
    smallest: bool,
    /// Rounds of each comparison, instead of those of the scale.
    #[arg(long)]
    rounds: Option<usize>,
    /// Measure only these groups.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Group>,
    /// Measure only the contender of this name.
    #[arg(long, hide = true)]
    contender: Option<String>,
    /// Exit with 1 where a budget is missed.
    #[arg(long)]
    enforce: bool,
    /// Write all samples and verdicts to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where files are written during the run; by default the system's temporary folder.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Internal>,
}

/// What the program starts of itself.
#[derive(Subcommand)]
enum Internal {
    /// Serves one connection in a process of its own.
    #[command(hide = true)]
    Serve {
        service: Service,
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    Emit,
    Files,
    Sockets,
    Snapshots,
    Collector,
    Transforms,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.command {
        Some(Internal::Serve { service, dir }) => collect::serve(*service, dir).map(|()| ExitCode::SUCCESS),
        None => run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("bench: {error:#}");
        ExitCode::from(3)
    })
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if cfg!(debug_assertions) {
        eprintln!("bench: built without optimisation; the figures mean nothing");
    }
    let mut scale = match (arguments.quick, arguments.smallest) {
        (true, _) => Scale::quick(),
        (_, true) => Scale::smallest(),
        _ => Scale::full(),
    };
    scale.rounds = arguments.rounds.unwrap_or(scale.rounds).max(1);
    scale.contender.clone_from(&arguments.contender);
    let began = Instant::now();
    let comparisons = measure(arguments, &scale, began)?;
    let report = Report {
        verdicts: judge(&comparisons),
        clock_ns: clock_cost(),
        took_s: began.elapsed().as_secs_f64(),
        scale,
        comparisons,
    };
    std::io::stdout().write_all(report.to_string().as_bytes()).context("printing the report")?;
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.to_json()? + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(if arguments.enforce && report.misses() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn measure(arguments: &Arguments, scale: &Scale, began: Instant) -> anyhow::Result<Vec<(&'static str, Rounds)>> {
    let wanted = |group| {
        let wanted = arguments.only.is_empty() || arguments.only.contains(&group);
        if wanted {
            let name = group.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
            eprintln!("bench: {:>4.0} s, measuring {name}", began.elapsed().as_secs_f64());
        }
        wanted
    };
    let ground = Ground::new(arguments.dir.as_deref())?;
    let mut all = Vec::new();
    if wanted(Group::Emit) {
        all.extend(emit::measure(scale)?);
    }
    if wanted(Group::Files) {
        all.extend(end_to_end::to_files(scale, &ground)?);
    }
    if wanted(Group::Sockets) {
        all.extend(end_to_end::over_sockets(scale, &ground)?);
    }
    if wanted(Group::Snapshots) {
        all.push(("snapshot of 12 KB", stage::snapshots(scale)?));
        all.push(("states of 12 KB", stage::states(scale)?));
    }
    if wanted(Group::Collector) {
        let bench = std::env::current_exe().context("finding this program, which serves the collector")?;
        all.push(("collector, one connection", collect::measure(scale, ground.dir(), &bench)?));
    }
    if wanted(Group::Transforms) {
        all.extend(stage::transforms(scale)?);
    }
    Ok(all)
}
