//! `townlet inspect`: what is in a stream file.

use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;
use townlet_collector::inspect::{InspectOptions, InspectReport, compare, inspect};

use crate::args::Inspect;
use crate::exit::{Exit, Failure};
use crate::follow::Tail;
use crate::out::say;
use crate::stream;

pub(crate) fn run(args: &Inspect) -> anyhow::Result<Exit> {
    if !args.follow.is_on() {
        return show(args, &read(&args.file)?);
    }
    if args.file == Path::new("-") {
        return Err(Failure::usage("--follow needs a file: standard input ends by itself"));
    }
    let mut tail = Tail::open(&args.file, &args.follow)?;
    let report = inspect(&mut tail, &InspectOptions::default());
    let exit = show(args, &report.with_context(|| format!("following {}", args.file.display()))?)?;
    Ok(if tail.finish()? { exit } else { Exit::No })
}

fn show(args: &Inspect, report: &InspectReport) -> anyhow::Result<Exit> {
    if let Some(path) = &args.against {
        let drift = compare(&read(path)?, report);
        if args.json {
            say!("{}", serde_json::to_string_pretty(&drift)?)?;
        } else {
            say!("{drift}")?;
        }
        return Ok(if drift.is_empty() { Exit::Yes } else { Exit::No });
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(report)?)?;
    } else {
        say!("{report}")?;
    }
    Ok(if report.is_clean() { Exit::Yes } else { Exit::No })
}

fn read(path: &Path) -> anyhow::Result<InspectReport> {
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        if path.is_dir() {
            let folder = path.display();
            let hint =
                format!("{folder} is a folder; inspect reads a file, or `-`: cat {folder}/*.jsonl | townlet inspect -");
            return Err(Failure::usage(hint));
        }
        stream::open(path, "reading")?
    };
    inspect(source, &InspectOptions::default()).with_context(|| format!("reading {}", path.display()))
}
