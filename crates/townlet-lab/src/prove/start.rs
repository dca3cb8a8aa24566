//! `start`: a pipeline that finds a long backlog on disk.
//!
//! The process that made the backlog ended without a word, as after a kill. The
//! one that starts emits at once, and drains the backlog within bounded memory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use townlet_pipeline::{Backpressure, Options, SinkInfo, SpillOptions, SpillSettings, Telemetry};

use super::child::Process;
use super::memory::status_of_self;
use super::moody::{Mood, Moody, Truth};
use super::pace::wait_until;
use super::{Finding, Run};
use crate::dice::Dice;
use crate::ours::lossless;
use crate::workload::{Reading, tick_of};

/// From the start of the pipeline to the return of the first emit.
const FIRST_EMIT: Duration = Duration::from_millis(50);

/// Resident memory of the whole process.
const RSS_KB: u64 = 64 << 10;

/// Starts that end after their first emit; a shared machine stalls one or the other.
const STARTS: usize = 5;

/// No drain takes so long; a machine that does is not measured.
const PATIENCE: Duration = Duration::from_secs(300);

/// The process that leaves a backlog.
#[derive(Clone, Debug, Args)]
pub struct Backlog {
    /// The folder of the spill.
    #[arg(long)]
    dir: PathBuf,
    /// As long as this.
    #[arg(long)]
    bytes: u64,
}

/// The process that finds it.
#[derive(Clone, Debug, Args)]
pub struct Resume {
    /// The folder of the spill.
    #[arg(long)]
    dir: PathBuf,
    /// Stay until everything is delivered.
    #[arg(long)]
    drain: bool,
}

/// What is left, as the one process says.
#[derive(Debug, Serialize, Deserialize)]
struct Left {
    events: u64,
    bytes: u64,
}

/// What came of it, as the other one says; sizes in kB.
#[derive(Debug, Serialize, Deserialize)]
struct Account {
    first_emit_ms: f64,
    recovered: u64,
    drain_s: f64,
    peak_kb: u64,
    delivered: u64,
    taken: u64,
    dropped: u64,
    residual: i64,
}

pub(super) fn measure(run: &Run) -> anyhow::Result<Finding> {
    ensure!(status_of_self("VmHWM:").is_some(), "this system has no /proc/self/status with VmHWM");
    let bytes: u64 = run.effort.pick(2 << 20, 16 << 20, 128 << 20, 1 << 30);
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("spool");
    let size = bytes.to_string();
    let arguments = ["backlog".as_ref(), "--dir".as_ref(), dir.as_os_str(), "--bytes".as_ref(), size.as_ref()];
    let left: Left = Process::start(run, &arguments)?.account().context("making the backlog")?;
    let mut first: Vec<f64> = Vec::new();
    for _ in 0..STARTS {
        first.push(resume(run, &dir, &[])?.first_emit_ms);
    }
    first.sort_by(f64::total_cmp);
    let account = resume(run, &dir, &["--drain".as_ref()])?;

    let (median, worst) = (first[STARTS / 2], first[STARTS - 1]);
    let mut finding = Finding::default();
    finding.note("backlog_mib", left.bytes >> 20);
    finding.note("backlog_events", left.events);
    finding.note("first_emit_ms", median);
    finding.note("first_emit_worst_ms", worst);
    finding.note("recovered", account.recovered);
    finding.note("peak_rss_kb", account.peak_kb);
    finding.note("drain_s", account.drain_s);
    finding.note("delivered", account.delivered);
    let allowed = FIRST_EMIT.as_secs_f64() * 1e3;
    finding.require_time(run.effort, median <= allowed, || {
        format!("the first emit came after {median:.1} ms (median of {STARTS})")
    });
    finding.require(account.peak_kb <= RSS_KB, || {
        format!("{} kB resident while draining, allowed are {RSS_KB}", account.peak_kb)
    });
    finding.require(account.recovered >= left.events, || {
        format!("{} events were on disk, {} were found", left.events, account.recovered)
    });
    // Beside the backlog: the first emit of this run.
    let due = account.recovered + 1;
    finding.require((account.delivered, account.dropped, account.residual) == (due, 0, 0), || {
        format!("of {due} events the statement says {account:?}")
    });
    finding.require(account.taken == account.delivered, || {
        format!("the sink has taken {}, the statement says {}", account.taken, account.delivered)
    });
    Ok(finding)
}

fn resume(run: &Run, dir: &Path, more: &[&OsStr]) -> anyhow::Result<Account> {
    let arguments = [&["resume".as_ref(), "--dir".as_ref(), dir.as_os_str()], more].concat();
    Process::start(run, &arguments)?.account().context("starting with the backlog")
}

fn pipeline(dir: &Path, mood: Mood, truth: &Arc<Truth>) -> anyhow::Result<Telemetry> {
    let options = Options {
        backpressure: Backpressure::Spill,
        max_queue_length: 16_384,
        max_buffer_bytes: 8 << 20,
        ..lossless()
    };
    let truth = Arc::clone(truth);
    let make = move || Moody::build(mood, Dice::new(1), Arc::clone(&truth));
    let spill = SpillSettings {
        options: SpillOptions { max_bytes: 4 << 30, ..SpillOptions::default() },
        ..SpillSettings::new(dir)
    };
    Ok(Telemetry::builder().sink(options, SinkInfo::new("load"), make).spill("main", spill).start()?)
}

/// The process that leaves a backlog: prints how long it is, and is gone without any shutdown.
///
/// # Errors
/// A pipeline that does not start, a disk that takes nothing.
pub fn leave(backlog: &Backlog) -> anyhow::Result<()> {
    let telemetry = pipeline(&backlog.dir, Mood::Refuses, &Truth::default().into())?;
    let stream = telemetry.stream("load")?;
    let mut next = 0;
    let bytes = loop {
        for n in next..next + 2_000 {
            stream.emit(tick_of(n), Reading::at(n))?;
        }
        next += 2_000;
        let bytes = length_of(&backlog.dir)?;
        // What was written is on the books a moment later.
        let spilled = telemetry.statements().first().map_or(0, |(_, statement)| statement.spilled);
        if bytes >= backlog.bytes && spilled >= next / 2 {
            break bytes;
        }
    };
    let (_, statement) = telemetry.statements().into_iter().next().context("a pipeline without a sink")?;
    ensure!(statement.account.dropped() == 0, "the disk did not take everything: {statement:?}");
    println!("{}", serde_json::to_string(&Left { events: statement.spilled, bytes })?);
    end_without_shutdown()
}

/// As a kill does, so that the log is left as it is.
#[expect(clippy::disallowed_methods, reason = "skipping every destructor is the point")]
fn end_without_shutdown() -> ! {
    std::process::exit(0)
}

fn length_of(dir: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        // What is removed meanwhile has no length.
        sum += entry?.metadata().map_or(0, |file| file.len());
    }
    Ok(sum)
}

/// The process that finds a backlog: prints its account.
///
/// # Errors
/// A pipeline that does not start, a drain that does not end.
pub fn find(resume: &Resume) -> anyhow::Result<()> {
    let truth = Arc::default();
    let began = Instant::now();
    let telemetry = pipeline(&resume.dir, if resume.drain { Mood::Healthy } else { Mood::Refuses }, &truth)?;
    let stream = telemetry.stream("load")?;
    stream.emit(0, Reading::at(0))?;
    let first_emit = began.elapsed();
    let recovered = telemetry.recovered().iter().map(|found| found.recovered).sum();
    let mut account = Account {
        first_emit_ms: first_emit.as_secs_f64() * 1e3,
        recovered,
        drain_s: 0.0,
        peak_kb: 0,
        delivered: 0,
        taken: 0,
        dropped: 0,
        residual: 0,
    };
    if !resume.drain {
        println!("{}", serde_json::to_string(&account)?);
        // The next start is to find what this one found.
        end_without_shutdown();
    }
    let statement = loop {
        let (_, statement) = telemetry.statements().into_iter().next().context("a pipeline without a sink")?;
        if (statement.spilled, statement.buffered) == (0, 0) {
            break statement;
        }
        ensure!(began.elapsed() < PATIENCE, "not drained within {} s: {statement:?}", PATIENCE.as_secs());
        wait_until(Instant::now() + Duration::from_millis(5));
    };
    account.drain_s = began.elapsed().as_secs_f64();
    account.peak_kb = status_of_self("VmHWM:").context("reading VmHWM of /proc/self/status")?;
    account.delivered = statement.account.delivered();
    account.taken = truth.taken();
    account.dropped = statement.account.dropped();
    account.residual = i64::try_from(telemetry.shutdown(PATIENCE).residual())?;
    println!("{}", serde_json::to_string(&account)?);
    Ok(())
}
