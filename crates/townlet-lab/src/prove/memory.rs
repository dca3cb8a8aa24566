//! `memory`: a dead sink under full load, and what the process holds meanwhile.
//!
//! Each case runs in a process of its own (this program, started again), which
//! reads its resident set from `/proc`.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use townlet_pipeline::{Backpressure, Options, SinkInfo, Telemetry};

use super::moody::{Mood, Moody, Truth};
use super::pace::paced;
use super::{Finding, Run};
use crate::dice::Dice;
use crate::workload::{Reading, tick_of};

/// What the promise allows beside the configured bound.
const MARGIN_KB: u64 = 16 << 10;

/// `buffer.max_buffer_bytes` of the cases.
const CAP: usize = 32 << 20;

/// What a dead sink does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Death {
    /// Nobody can connect.
    Refuses,
    /// Takes two batches, then every call runs into its time limit of 1 s.
    Hangs,
}

/// What a host does whose queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// `drop_oldest`.
    DropOldest,
    /// `block`, for 1 ms.
    Block,
}

/// One case, as the other process is told.
#[derive(Clone, Debug, Args)]
pub struct Case {
    death: Death,
    policy: Policy,
    /// For so long.
    #[arg(long)]
    seconds: f64,
    /// Events a second.
    #[arg(long)]
    rate: u64,
    /// The bound of the queue.
    #[arg(long)]
    cap: usize,
}

/// What the other process says at its end; sizes in kB.
#[derive(Debug, Serialize, Deserialize)]
struct Account {
    start_kb: u64,
    half_kb: u64,
    end_kb: u64,
    peak_kb: u64,
    events: u64,
    per_second: f64,
    dropped: u64,
    residual: i64,
}

pub(super) fn measure(run: &Run) -> anyhow::Result<Finding> {
    ensure!(status_of_self("VmRSS:").is_some(), "this system has no /proc/self/status with VmRSS");
    let seconds = run.effort.pick(0.5, 5.0, 10.0, 600.0);
    let rate: u64 = run.effort.pick(5_000, 50_000, 50_000, 50_000);
    let cap = run.effort.pick(256 << 10, CAP, CAP, CAP);
    // A host that gets less of its load in was not under that load.
    let least_share = run.effort.pick(0.0, 0.0, 0.9, 0.9);
    let mut finding = Finding::default();
    finding.note("events_per_s", rate);
    finding.note("bound_kb", cap as u64 >> 10);
    finding.note("allowed_kb", (cap as u64 >> 10) + MARGIN_KB);
    let mut cases = Vec::new();
    // Side by side: they sleep most of the time, and their memory is their own.
    for death in [Death::Refuses, Death::Hangs] {
        for policy in [Policy::DropOldest, Policy::Block] {
            cases.push(start(run, Case { death, policy, seconds, rate, cap })?);
        }
    }
    for (case, child) in cases {
        judge(&case, child, least_share, &mut finding)?;
    }
    Ok(finding)
}

fn start(run: &Run, case: Case) -> anyhow::Result<(Case, Running)> {
    let mut command = Command::new(&run.program);
    command.args(["hold", &word(case.death), &word(case.policy)]);
    for (key, value) in
        [("--seconds", case.seconds.to_string()), ("--rate", case.rate.to_string()), ("--cap", case.cap.to_string())]
    {
        command.args([key, &value]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = command.spawn().with_context(|| format!("starting {} again", run.program.display()))?;
    Ok((case, Running(child)))
}

fn judge(case: &Case, child: Running, least_share: f64, finding: &mut Finding) -> anyhow::Result<()> {
    let account = child.account()?;
    let name = format!("{}_{}", word(case.policy), word(case.death)).replace('-', "_");
    let allowed = (case.cap as u64 >> 10) + MARGIN_KB;
    let grown = account.peak_kb.saturating_sub(account.start_kb);
    finding.note(format!("{name}_start_kb"), account.start_kb);
    finding.note(format!("{name}_grown_kb"), grown);
    finding.note(format!("{name}_grown_in_second_half_kb"), account.end_kb.saturating_sub(account.half_kb));
    finding.note(format!("{name}_events"), account.events);
    finding.note(format!("{name}_events_per_s"), account.per_second);
    finding.note(format!("{name}_dropped"), account.dropped);
    if case.policy == Policy::DropOldest {
        let share = account.per_second / case.rate as f64;
        ensure!(share >= least_share, "{name}: this machine got {:.0} % of the load in", share * 100.0);
    }
    finding.require(grown <= allowed, || format!("{name}: the process grew by {grown} kB, allowed are {allowed}"));
    finding.require(account.residual == 0, || format!("{name}: the residual is {}", account.residual));
    Ok(())
}

/// A case's process; it does not outlive the measurement.
struct Running(Child);

impl Running {
    fn account(mut self) -> anyhow::Result<Account> {
        let out = self.0.stdout.take().context("the process has no stdout")?;
        let text = std::io::read_to_string(out)?;
        ensure!(self.0.wait()?.success(), "the process failed: {text}");
        serde_json::from_str(&text).with_context(|| format!("the process said {text:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended already, which is well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|word| word.get_name().to_owned()).unwrap_or_default()
}

/// The other process: emits into a dead sink and prints what it took.
///
/// # Errors
/// A pipeline that does not start, a system without `/proc`.
pub fn hold(case: &Case) -> anyhow::Result<()> {
    let rss = || status_of_self("VmRSS:").context("reading VmRSS of /proc/self/status");
    let start_kb = rss()?;
    let telemetry = into_the_dead(case)?;
    let stream = telemetry.stream("load")?;
    let half = Duration::from_secs_f64(case.seconds / 2.0);
    let began = Instant::now();
    let mut emit = |n| Ok(stream.emit(tick_of(n), Reading::at(n)).map(drop)?);
    let first = paced(case.rate, half, half, &mut emit)?;
    let half_kb = rss()?;
    let second = paced(case.rate, half, half, |n| emit(first + n))?;
    let (end_kb, took) = (rss()?, began.elapsed());
    let books = telemetry.shutdown(Duration::from_millis(100));
    let events = first + second;
    let (_, statement) = books.sinks.first().context("a pipeline without a sink")?;
    ensure!(statement.account.accepted() == events, "accepted {} of {events}", statement.account.accepted());
    let account = Account {
        start_kb,
        half_kb,
        end_kb,
        peak_kb: status_of_self("VmHWM:").context("reading VmHWM of /proc/self/status")?,
        events,
        per_second: events as f64 / took.as_secs_f64(),
        dropped: statement.account.dropped(),
        residual: i64::try_from(books.residual())?,
    };
    println!("{}", serde_json::to_string(&account)?);
    Ok(())
}

fn into_the_dead(case: &Case) -> anyhow::Result<Telemetry> {
    let mood = match case.death {
        Death::Refuses => Mood::Refuses,
        Death::Hangs => Mood::Hangs(Duration::from_secs(1)),
    };
    let backpressure = match case.policy {
        Policy::DropOldest => Backpressure::DropOldest,
        Policy::Block => Backpressure::Block,
    };
    let options = Options {
        backpressure,
        block_timeout: Duration::from_millis(1),
        // The bytes are to bind, not the count.
        max_queue_length: case.cap,
        max_buffer_bytes: case.cap,
        ..Options::default()
    };
    let make = move || Moody::build(mood, Dice::new(1), Truth::default().into());
    Ok(Telemetry::builder().sink(options, SinkInfo::new("dead"), make).start()?)
}

/// A number of `/proc/self/status`, such as `VmRSS:` in kB; none where there is no such file.
pub(super) fn status_of_self(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
