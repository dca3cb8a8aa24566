//! What a collector takes in over one connection, beside copying the same bytes, and beside `rsyslogd` where the
//! machine has one.
//!
//! Each runs in a process of its own, so that its CPU time and its peak memory
//! are not mixed with those of the sender.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use townlet_collector::store::StoreOptions;
use townlet_collector::{Collector, CollectorOptions, Security};

use crate::measure::{Contender, Rounds, Sample, process_cpu};
use crate::rivals::rsyslog::Rsyslog;
use crate::scale::Scale;
use crate::workload::collector_lines;

/// What the other process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Service {
    /// `townlet_collector` with a store.
    Collector,
    /// Reads and writes, looks at nothing: the limit.
    Copy,
}

/// What the other process says at its end.
#[derive(Debug, Serialize, Deserialize)]
struct Account {
    cpu_s: f64,
    peak_rss_kb: u64,
    stored: Option<u64>,
}

/// Compares the two; `bench` is the program that can [`serve`].
pub fn measure(scale: &Scale, dir: &Path, bench: &Path) -> anyhow::Result<Rounds> {
    let lines = collector_lines(scale.collected);
    let run = |service, name: &'static str| {
        let lines = &lines;
        Contender::new(name, move || one(bench, service, dir, lines, scale.collected))
    };
    let mut contenders = vec![run(Service::Collector, "townlet_collector"), run(Service::Copy, "read and write")];
    if Rsyslog::start(tempfile::tempdir_in(dir)?.path())?.is_some() {
        contenders.push(Contender::new("rsyslogd", || rsyslog(dir, &lines, scale.collected)));
    } else {
        eprintln!("bench: rsyslogd is not installed; the collector is not compared with it");
    }
    scale.compare(contenders)
}

fn rsyslog(dir: &Path, lines: &[u8], count: u64) -> anyhow::Result<Sample> {
    let folder = tempfile::tempdir_in(dir)?;
    let server = Rsyslog::start(folder.path())?.context("rsyslogd is there no longer")?;
    let (began, cpu) = (Instant::now(), server.cpu_s()?);
    // Kept open until all is written: it would say nothing when it closes its side.
    let _socket = send(server.port(), lines)?;
    server.wait_for(lines.len() as u64)?;
    let (took, cpu_s) = (began.elapsed().as_secs_f64(), server.cpu_s()? - cpu);
    Ok(sample(lines, count, took, &Account { cpu_s, peak_rss_kb: server.peak_rss_kb()?, stored: None }))
}

/// Sends all of it and ends its side.
fn send(port: u16, lines: &[u8]) -> anyhow::Result<TcpStream> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.write_all(lines)?;
    socket.shutdown(Shutdown::Write)?;
    Ok(socket)
}

fn sample(lines: &[u8], count: u64, took: f64, account: &Account) -> Sample {
    let gigabytes = lines.len() as f64 / 1e9;
    Sample::from([
        ("mb_per_s", gigabytes * 1e3 / took),
        ("lines_per_s", count as f64 / took),
        ("cpu_s_per_gb", account.cpu_s / gigabytes),
        ("peak_rss_mb", account.peak_rss_kb as f64 / 1024.0),
    ])
}

fn one(bench: &Path, service: Service, dir: &Path, lines: &[u8], count: u64) -> anyhow::Result<Sample> {
    let folder = tempfile::tempdir_in(dir)?;
    let name = if service == Service::Collector { "collector" } else { "copy" };
    let mut child = Command::new(bench)
        .args(["serve", name, "--dir"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", bench.display()))?;
    let mut said = BufReader::new(child.stdout.take().context("the child has no stdout")?);
    let mut text = String::new();
    said.read_line(&mut text)?;
    let port: u16 = text.trim().parse().with_context(|| format!("the child said {text:?} instead of its port"))?;
    let began = Instant::now();
    let mut socket = send(port, lines)?;
    // It closes its side once everything is with the kernel.
    socket.read_to_end(&mut Vec::new())?;
    let took = began.elapsed().as_secs_f64();
    drop(child.stdin.take());
    text.clear();
    said.read_to_string(&mut text)?;
    ensure!(child.wait()?.success(), "the child failed: {text}");
    let account: Account = serde_json::from_str(&text).with_context(|| format!("the child said {text:?}"))?;
    ensure!(account.stored.is_none_or(|stored| stored == count), "stored {:?} of {count} lines", account.stored);
    Ok(sample(lines, count, took, &account))
}

/// The other process: prints its port, serves until standard input ends, prints its account.
///
/// # Errors
/// Sockets or files that fail.
pub fn serve(service: Service, dir: &Path) -> anyhow::Result<()> {
    let (cpu, stored) = match service {
        Service::Collector => {
            let options = CollectorOptions::new("127.0.0.1:0".parse()?, Security::PlaintextOnLoopback);
            let collector = Collector::bind(options.with_store(StoreOptions::new(dir)))?;
            let cpu = process_cpu();
            say(collector.local_addr().port())?;
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
            let cpu = process_cpu().saturating_sub(cpu);
            let report = collector.shutdown(Duration::from_secs(10));
            ensure!(report.missing == 0 && report.totals.is_balanced(), "the collector's books: {report}");
            (cpu, Some(report.totals.stored))
        }
        Service::Copy => {
            let listener = TcpListener::bind(("127.0.0.1", 0))?;
            let cpu = process_cpu();
            say(listener.local_addr()?.port())?;
            let (mut socket, _) = listener.accept()?;
            copy(&mut socket, &mut File::create(dir.join("copy"))?)?;
            let cpu = process_cpu().saturating_sub(cpu);
            drop(socket);
            (cpu, None)
        }
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let account = Account { cpu_s: cpu.as_secs_f64(), peak_rss_kb: peak_rss_kb(&status)?, stored };
    println!("{}", serde_json::to_string(&account)?);
    Ok(())
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut chunk = vec![0; 256 * 1024];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(()),
            n => to.write_all(&chunk[..n])?,
        }
    }
}

fn say(port: u16) -> std::io::Result<()> {
    println!("{port}");
    std::io::stdout().flush()
}

/// The most memory that the process has had whose `/proc/PID/status` this is; 0 where the system does not say.
pub(crate) fn peak_rss_kb(status: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse().context("reading VmHWM of /proc/PID/status")
}
