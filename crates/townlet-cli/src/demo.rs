//! `townlet demo`: town → redaction and validation → TLS → collector → files,
//! with every event accounted for.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use townlet_collector::store::StoreOptions;
use townlet_collector::{Collector, CollectorOptions, CollectorReport, Security};
use townlet_pipeline::{FinalStatement, Telemetry};
use townlet_sim::{Host, World, WorldOptions};
use townlet_tls::{ServerOptions, ServerTls};

use crate::args::Demo;
use crate::exit::{Exit, Failure};
use crate::out::{remark, say};
use crate::{account, certs, setup, tap};

/// The file that a demo leaves in its folder, and how it begins.
const CONFIGURATION: &str = "demo.yaml";
const WRITTEN: &str = "# Written by `townlet demo`.";

/// How long the demo waits for the last acknowledgements.
const DRAIN: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Demo) -> anyhow::Result<Exit> {
    let out = std::path::absolute(&args.out)?;
    let (certificates, collected) = (out.join("certs"), out.join("collected"));
    let _alone = alone_in(&out)?;
    clear(&out, &[&collected, &out.join("archive")])?;
    certs::write_all(&certificates)?;

    let mut tls = ServerOptions::new(certificates.join("server.pem"), certificates.join("server.key"));
    tls.alpn = townlet_collector::protocols();
    let options = CollectorOptions::new("127.0.0.1:0".parse()?, Security::Tls(ServerTls::load(&tls)?));
    let collector = Collector::bind(options.with_store(StoreOptions::new(&collected)))?;

    let path = out.join(CONFIGURATION);
    fs::write(&path, configuration(collector.local_addr().port()))
        .with_context(|| format!("writing {}", path.display()))?;
    let factories = setup::factories();
    let loaded = setup::load_or_explain(&path, &[], &factories)?;
    let telemetry = setup::start(&loaded.config, &factories, &setup::identity_of_seed(args.seed))?;
    let _console = tap::open_console(&args.console, &telemetry)?;
    remark!(
        "a town of {} agents, seed {}; redacted and validated; TLS 1.3 to {} and a copy to {}",
        args.agents,
        args.seed,
        collector.local_addr(),
        out.join("archive").display()
    );

    let options = WorldOptions {
        seed: args.seed,
        agents: args.agents,
        narration: setup::narration(&loaded.config),
        ..WorldOptions::default()
    };
    run_town(Host::new(World::new(options), telemetry.clone())?, &telemetry, args.ticks)?;
    let books = telemetry.shutdown(DRAIN);
    let report = collector.shutdown(DRAIN);
    let sound = conclude(&telemetry, &books, &report, &out)?;
    Ok(if sound { Exit::Yes } else { Exit::No })
}

/// Takes the folder for this demo, which another one would clear: the lock is on the folder itself, so it ends with the
/// process. `None` where the system knows no such locks.
fn alone_in(out: &Path) -> anyhow::Result<Option<File>> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let Ok(folder) = File::open(out) else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => bail!("a demo is running in {}: choose another --out", out.display()),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Removes what an earlier demo left in `out`. What stands there without one is somebody else's: a collector's
/// store, say, which has the same name.
fn clear(out: &Path, folders: &[&Path]) -> anyhow::Result<()> {
    let ours = fs::read_to_string(out.join(CONFIGURATION)).is_ok_and(|text| text.starts_with(WRITTEN));
    for old in folders.iter().filter(|old| old.exists()) {
        if !ours {
            let old = old.display();
            return Err(Failure::usage(format!("{old} is there, and no demo wrote it: choose another --out")));
        }
        fs::remove_dir_all(old).with_context(|| format!("clearing {}", old.display()))?;
    }
    Ok(())
}

/// The configuration that the demo runs, and leaves behind to be read and used.
fn configuration(port: u16) -> String {
    format!(
        "{WRITTEN} Paths are relative to this file.\n\
         telemetry:\n\
         \x20 transport:\n\
         \x20   type: tcp                  # TLS is on by default\n\
         \x20   endpoint: localhost:{port}\n\
         \x20   ca_file: certs/ca.pem\n\
         \x20   settle_at: peer_acked\n\
         \x20   buffer: {{max_batch_size: 256, max_buffer_bytes: 8388608, flush_interval_ticks: 1}}\n\
         \x20 worker: {{backpressure: block, block_timeout_seconds: 5.0}}\n\
         \x20 sinks:\n\
         \x20   archive:\n\
         \x20     type: file\n\
         \x20     file_path: archive/stream.jsonl\n\
         \x20     buffer: {{max_batch_size: 256, max_buffer_bytes: 8388608}}\n\
         \x20     worker: {{backpressure: block, block_timeout_seconds: 5.0}}\n\
         \x20 transforms:\n\
         \x20   pipeline:\n\
         \x20     - snapshot_normalizer\n\
         \x20     - redact_fields: {{fields: [policy_identity, \"**.policy_hash\"], kinds: [snapshot, diff, event, health, failure, console]}}\n\
         \x20     - ensure_fields: {{required_fields_by_kind: {{snapshot: [schema_version, tick]}}}}\n"
    )
}

fn run_town(mut host: Host, telemetry: &Telemetry, ticks: u64) -> anyhow::Result<()> {
    let bar = setup::progress(ticks, "town");
    let style = indicatif::ProgressStyle::with_template("tick {pos}/{len} {wide_bar} {msg}");
    bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    let mut shown = Instant::now();
    for _ in 0..ticks {
        host.tick()?;
        bar.inc(1);
        if shown.elapsed() >= Duration::from_millis(100) {
            shown = Instant::now();
            let s = telemetry.latest_transport_status();
            bar.set_message(format!(
                "accepted {} delivered {} dropped {} queue {} residual {}",
                s.accepted, s.delivered, s.dropped_messages, s.queue_length, s.residual
            ));
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Prints what happened at both ends; true where everything adds up.
fn conclude(
    telemetry: &Telemetry,
    books: &FinalStatement,
    report: &CollectorReport,
    out: &Path,
) -> anyhow::Result<bool> {
    let status = telemetry.latest_transport_status();
    let delivered = status.delivered;
    let gaps: u64 = report.streams.iter().map(|s| s.sequence.missing).sum();
    say!(
        "collector: {} lines taken, {} stored, {} duplicates, {} invalid, {} missing, {} bytes",
        report.totals.lines,
        report.totals.stored,
        report.totals.duplicates,
        report.totals.invalid,
        gaps,
        report.totals.bytes
    )?;
    let leaks = lines_with(&out.join("collected"), b"policy_hash")? + lines_with(&out.join("archive"), b"policy_hash")?;
    say!("redaction: {leaks} lines carry `policy_hash`, at the collector or in the archive")?;
    say!("files: {}", out.display())?;
    say!("")?;
    say!("{}", account::table(telemetry, books))?;
    let received_all = report.totals.stored == delivered && report.totals.is_balanced();
    if !received_all {
        remark!("townlet: {delivered} events were acknowledged but {} are stored", report.totals.stored);
    }
    Ok(received_all && leaks == 0 && books.residual() == 0)
}

/// Lines below a folder that contain `needle`.
fn lines_with(folder: &Path, needle: &[u8]) -> anyhow::Result<usize> {
    let mut found = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found += lines_with(&path, needle)?;
        } else {
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            found +=
                bytes.split(|b| *b == b'\n').filter(|line| line.windows(needle.len()).any(|w| w == needle)).count();
        }
    }
    Ok(found)
}
