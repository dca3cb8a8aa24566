//! `outage`: a collector that is killed, and comes back after a while.
//!
//! The collector is a process of its own and dies by SIGKILL, so that what it
//! had acknowledged, what it had taken and not acknowledged, and what was under
//! way are all at stake. Load goes on before, during and after. What counts is
//! what stands in the collector's files at the end.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use townlet_collector::store::StoreOptions;
use townlet_collector::{ACK_PROTOCOL, Collector, CollectorOptions, Security};
use townlet_pipeline::{Backpressure, Options, SinkInfo, SpillSettings, Statement, Telemetry};
use townlet_tls::{ClientOptions, Endpoint, ServerOptions, ServerTls};
use townlet_transport::Level;
use townlet_transport_tcp::{TcpOptions, TcpTransport};

use super::child::Process;
use super::pace::{paced, wait_until};
use super::receiver::{Ids, number_of};
use super::{Finding, Run};
use crate::destination::Ground;
use crate::ours::lossless;
use crate::workload::{FIRST_SAMPLE, Reading, tick_of};

/// What the promise allows from the return of the collector to an empty spill.
const DRAINED_WITHIN: Duration = Duration::from_secs(15);

/// After that it is a miss whose size does not matter.
const PATIENCE: Duration = Duration::from_secs(60);

/// The collector's process, as it is told.
#[derive(Clone, Debug, Args)]
pub struct Service {
    /// Where its lines go.
    #[arg(long)]
    store: PathBuf,
    /// The folder with `server.pem` and `server.key`.
    #[arg(long)]
    certificates: PathBuf,
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
}

/// What that process says at its end; it knows nothing of the one that was killed.
#[derive(Debug, Serialize, Deserialize)]
struct Account {
    duplicates: u64,
    invalid: u64,
    missing: u64,
    balanced: bool,
}

pub(super) fn measure(run: &Run) -> anyhow::Result<Finding> {
    let rate: u64 = run.effort.pick(2_000, 2_000, 10_000, 10_000);
    let queue = run.effort.pick(256, 256, 4_096, 4_096);
    let outages: &[f64] = run.effort.pick(&[0.3], &[2.0], &[2.0, 5.0], &[2.0, 60.0]);
    let around = Duration::from_secs_f64(run.effort.pick(0.2, 1.0, 2.0, 5.0));
    let ground = Ground::new(None)?;
    let mut finding = Finding::default();
    finding.note("events_per_s", rate);
    finding.note("queue_events", queue as u64);
    for &seconds in outages {
        let scene = Scene { run, ground: &ground, rate, queue, around, outage: Duration::from_secs_f64(seconds) };
        scene.play(&format!("outage_{seconds}_s").replace('.', "_"), &mut finding)?;
    }
    Ok(finding)
}

struct Scene<'a> {
    run: &'a Run,
    ground: &'a Ground,
    rate: u64,
    queue: usize,
    around: Duration,
    outage: Duration,
}

impl Scene<'_> {
    fn play(&self, name: &str, finding: &mut Finding) -> anyhow::Result<()> {
        let folder = tempfile::tempdir_in(self.ground.dir())?;
        let store = folder.path().join("store");
        let (collector, addr) = self.collector(&store, ([127, 0, 0, 1], 0).into())?;
        let telemetry = self.pipeline(addr, &folder.path().join("spool"))?;
        let stream = telemetry.stream("load")?;
        let mut events = 0;
        let mut load = |duration: Duration| {
            let first = events;
            events += paced(self.rate, duration, 2 * duration, |n| {
                stream.emit(tick_of(first + n), Reading::at(first + n))?;
                Ok(())
            })?;
            anyhow::Ok(events)
        };

        load(self.around)?;
        collector.kill()?;
        load(self.outage)?;
        let (mut spilled, down) = (books(&telemetry)?.spilled, Instant::now());
        while spilled == 0 && down.elapsed() < PATIENCE {
            load(Duration::from_millis(50))?;
            spilled = books(&telemetry)?.spilled;
        }
        ensure!(spilled > 0, "{name}: nothing was spilled, so nothing is shown");
        let (collector, _) = self.collector(&store, addr)?;
        let back = Instant::now();
        while books(&telemetry)?.spilled > 0 && back.elapsed() < PATIENCE {
            load(Duration::from_millis(50))?;
        }
        let drained = back.elapsed();
        let events = load(self.around)?;
        // What is on its way when the end comes may go to disk, for the next run.
        let ended = Instant::now();
        let waits = |books: Statement| books.buffered + books.spilled > 0;
        while waits(books(&telemetry)?) && ended.elapsed() < PATIENCE {
            wait_until(Instant::now() + Duration::from_millis(5));
        }
        let last = telemetry.shutdown(PATIENCE);
        let statement = last.sinks.first().context("a pipeline without a sink")?.1;
        let account: Account = collector.account()?;
        let audit = stored(&store)?.audit(events);

        let lost = events - audit.unique;
        finding.note(format!("{name}_events"), events);
        finding.note(format!("{name}_lost"), lost);
        finding.note(format!("{name}_duplicates"), audit.duplicates);
        finding.note(format!("{name}_resent_and_recognised"), account.duplicates);
        finding.note(format!("{name}_spilled_at_most"), spilled);
        finding.note(format!("{name}_drained_in_s"), drained.as_secs_f64());
        finding.require(lost == 0, || format!("{name}: {lost} of {events} events are not in the store"));
        finding.require((audit.duplicates, audit.spurious) == (0, 0), || {
            format!("{name}: {} events stand there twice, {} are nobody's", audit.duplicates, audit.spurious)
        });
        finding.require_time(self.run.effort, drained <= DRAINED_WITHIN, || {
            format!("{name}: drained in {:.1} s", drained.as_secs_f64())
        });
        finding.require(last.residual() == 0 && statement.account.delivered() == events, || {
            format!("{name}: of {events} events the statement says {statement:?}")
        });
        finding.require(account.balanced && (account.missing, account.invalid) == (0, 0), || {
            format!("{name}: the collector says {account:?}")
        });
        Ok(())
    }

    fn collector(&self, store: &Path, listen: SocketAddr) -> anyhow::Result<(Process, SocketAddr)> {
        let listen = listen.to_string();
        let dir = self.ground.dir();
        let mut process = Process::start(
            self.run,
            &[
                "collect".as_ref(),
                "--store".as_ref(),
                store.as_ref(),
                "--certificates".as_ref(),
                dir.as_ref(),
                "--listen".as_ref(),
                listen.as_ref(),
            ],
        )?;
        let said = process.line().context("starting the collector")?;
        let addr = said.parse().with_context(|| format!("the collector said {said:?} instead of its address"))?;
        Ok((process, addr))
    }

    fn pipeline(&self, addr: SocketAddr, spool: &Path) -> anyhow::Result<Telemetry> {
        let client = ClientOptions { ca_file: Some(self.ground.dir().join("ca.pem")), ..ClientOptions::default() };
        let to = TcpOptions::new(Endpoint::parse(&addr.to_string())?, townlet_transport_tcp::Security::Tls(client));
        let options = Options {
            backpressure: Backpressure::Spill,
            settle_at: Level::PeerAcked,
            max_queue_length: self.queue,
            max_buffer_bytes: 8 << 20,
            // As a host sets it that wants its events soon after an outage.
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            ..lossless()
        };
        let make = move || Ok(Box::new(TcpTransport::new(to.clone())?) as _);
        let builder = Telemetry::builder().sink(options, SinkInfo::new("tcp"), make);
        Ok(builder.spill("main", SpillSettings::new(spool)).start()?)
    }
}

fn books(telemetry: &Telemetry) -> anyhow::Result<Statement> {
    telemetry.statements().first().map(|(_, statement)| *statement).context("a pipeline without a sink")
}

/// The ids of all lines in the collector's files.
fn stored(folder: &Path) -> anyhow::Result<Ids> {
    let mut ids = Ids::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "jsonl") {
                let text = std::fs::read(&path)?;
                for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    match number_of(line, "sample").and_then(|sample| sample.checked_sub(FIRST_SAMPLE)) {
                        Some(id) => ids.came.push(id),
                        None => ids.garbled += 1,
                    }
                }
            }
        }
    }
    Ok(ids)
}

/// The collector's process: says where it listens, serves until standard input
/// ends, and prints its account.
///
/// # Errors
/// Sockets, certificates or files that fail.
pub fn collect(service: &Service) -> anyhow::Result<()> {
    let file = |name| service.certificates.join(name);
    let mut tls = ServerOptions::new(file("server.pem"), file("server.key"));
    tls.alpn = vec![ACK_PROTOCOL.to_vec()];
    let options = CollectorOptions::new(service.listen, Security::Tls(ServerTls::load(&tls)?));
    let collector = Collector::bind(options.with_store(StoreOptions::new(&service.store)))?;
    println!("{}", collector.local_addr());
    std::io::stdout().flush()?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    let report = collector.shutdown(Duration::from_secs(10));
    let account = Account {
        duplicates: report.totals.duplicates,
        invalid: report.totals.invalid,
        missing: report.missing,
        balanced: report.totals.is_balanced(),
    };
    println!("{}", serde_json::to_string(&account)?);
    Ok(())
}
