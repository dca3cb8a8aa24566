//! `townlet collect`: the receiving side as a program.

use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use townlet_collector::store::{Settle, StoreOptions};
use townlet_collector::{Collector, CollectorOptions, Security};
use townlet_tls::{ServerOptions, ServerTls};

use crate::args::Collect;
use crate::exit::{Exit, Failure};
use crate::out::say;

/// How long a stop may take.
const DRAIN: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Collect) -> anyhow::Result<Exit> {
    let security = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => {
            let mut options = ServerOptions::new(cert, key);
            options.client_ca_file.clone_from(&args.client_ca);
            options.alpn = townlet_collector::protocols();
            Security::Tls(ServerTls::load(&options).map_err(Failure::usage)?)
        }
        _ => Security::PlaintextOnLoopback,
    };
    if matches!(security, Security::PlaintextOnLoopback) && !args.listen.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "{} is not a loopback address: give --cert and --key, plaintext stays on this machine",
            args.listen
        )));
    }
    let mut store = StoreOptions::new(&args.out);
    if args.fsync {
        store.settle = Settle::Synced;
    }
    // Signals are caught before the address is announced: who reads it may stop us at once.
    let stop = stop_signal()?;
    let collector = Collector::bind(CollectorOptions::new(args.listen, security).with_store(store))?;
    say!("collecting on {} into {}", collector.local_addr(), args.out.display())?;
    if let Some(path) = &args.addr_file {
        std::fs::write(path, collector.local_addr().to_string())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    match args.duration {
        Some(time) => drop(stop.recv_timeout(time)),
        None => drop(stop.recv()),
    }
    let report = collector.shutdown(DRAIN);
    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        say!("{report}")?;
    }
    Ok(if report.totals.is_balanced() { Exit::Yes } else { Exit::No })
}

/// A channel that hears of SIGINT and SIGTERM.
pub(crate) fn stop_signal() -> anyhow::Result<std::sync::mpsc::Receiver<i32>> {
    signals(&[SIGINT, SIGTERM])
}

/// A channel that hears of these signals.
pub(crate) fn signals(which: &[i32]) -> anyhow::Result<std::sync::mpsc::Receiver<i32>> {
    let (heard, stop) = std::sync::mpsc::channel();
    let mut signals = signal_hook::iterator::Signals::new(which).context("catching signals")?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if heard.send(signal).is_err() {
                    break;
                }
            }
        })
        .context("starting the signal thread")?;
    Ok(stop)
}
