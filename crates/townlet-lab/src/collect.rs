//! What a collector takes in over one connection, beside copying the same bytes.
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
    scale.compare(vec![run(Service::Collector, "townlet_collector"), run(Service::Copy, "read and write")])
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
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    let began = Instant::now();
    socket.write_all(lines)?;
    socket.shutdown(Shutdown::Write)?;
    // It closes its side once everything is with the kernel.
    socket.read_to_end(&mut Vec::new())?;
    let took = began.elapsed().as_secs_f64();
    drop(child.stdin.take());
    text.clear();
    said.read_to_string(&mut text)?;
    ensure!(child.wait()?.success(), "the child failed: {text}");
    let account: Account = serde_json::from_str(&text).with_context(|| format!("the child said {text:?}"))?;
    ensure!(account.stored.is_none_or(|stored| stored == count), "stored {:?} of {count} lines", account.stored);
    let gigabytes = lines.len() as f64 / 1e9;
    Ok(Sample::from([
        ("mb_per_s", gigabytes * 1e3 / took),
        ("lines_per_s", count as f64 / took),
        ("cpu_s_per_gb", account.cpu_s / gigabytes),
        ("peak_rss_mb", account.peak_rss_kb as f64 / 1024.0),
    ]))
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
    let account = Account { cpu_s: cpu.as_secs_f64(), peak_rss_kb: peak_rss_kb()?, stored };
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

/// The most memory that this process has had, where the system says so; else 0.
fn peak_rss_kb() -> anyhow::Result<u64> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse().context("reading VmHWM of /proc/self/status")
}
