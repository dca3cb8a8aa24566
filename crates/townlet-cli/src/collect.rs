//! `townlet collect`: the receiving side as a program.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use townlet_collector::grpc::GrpcOptions;
use townlet_collector::store::{Settle, StoreOptions};
use townlet_collector::web::{BearerToken, WebOptions};
use townlet_collector::{Collector, CollectorError, CollectorOptions, Security};
use townlet_tls::{ServerOptions, ServerTls};

use crate::args::Collect;
use crate::collect_nats;
use crate::exit::{Exit, Failure};
use crate::out::{remark, say};

/// How long a stop may take.
const DRAIN: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Collect) -> anyhow::Result<Exit> {
    let security = security(args, townlet_collector::protocols())?;
    if matches!(security, Security::PlaintextOnLoopback) {
        let all = [Some(args.listen), args.web.web, args.grpc.otlp_grpc];
        let exposed = all.into_iter().flatten().find(|one| !one.ip().is_loopback());
        if let Some(address) = exposed {
            return Err(Failure::usage(format!(
                "{address} is not a loopback address: give --cert and --key, plaintext stays on this machine"
            )));
        }
    }
    let mut store = StoreOptions::new(&args.out);
    if args.fsync {
        store.settle = Settle::Synced;
    }
    let mut options = CollectorOptions::new(args.listen, security).with_store(store);
    options.max_connections = args.max_connections;
    options.max_streams = usize::try_from(args.max_streams).unwrap_or(usize::MAX);
    options.nats = collect_nats::source(&args.nats)?;
    options.web = web(args)?.map(|web| web.with_otlp(options.max_line_bytes));
    options.grpc = grpc(args)?;
    let web_connections = if options.web.is_some() { args.web.web_max_connections } else { 0 };
    let grpc_connections = if options.grpc.is_some() { args.grpc.otlp_grpc_max_connections } else { 0 };
    make_room(args.max_connections.saturating_add(web_connections).saturating_add(grpc_connections));
    // Signals are caught before the address is announced: who reads it may stop us at once.
    let stop = stop_signal()?;
    let collector = Collector::bind(options).map_err(|error| match error {
        CollectorError::Nats(_) => Failure::usage(error),
        error => error.into(),
    })?;

    say!("collecting on {} into {}", collector.local_addr(), args.out.display())?;
    if let Some(url) = &args.nats.nats {
        say!("pulling {} from {url} for the group {}", args.nats.nats_stream, args.nats.group)?;
    }
    if let Some(address) = collector.web_addr() {
        say!("serving the web on {address}")?;
        announce(args.web.web_addr_file.as_deref(), address)?;
    }
    if let Some(address) = collector.grpc_addr() {
        say!("taking OTLP over gRPC on {address}")?;
        announce(args.grpc.otlp_grpc_addr_file.as_deref(), address)?;
    }
    announce(args.addr_file.as_deref(), collector.local_addr())?;
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

fn security(args: &Collect, protocols: Vec<Vec<u8>>) -> anyhow::Result<Security> {
    let (Some(cert), Some(key)) = (&args.cert, &args.key) else { return Ok(Security::PlaintextOnLoopback) };
    let mut options = ServerOptions::new(cert, key);
    options.client_ca_file.clone_from(&args.client_ca);
    options.alpn = protocols;
    Ok(Security::Tls(ServerTls::load(&options).map_err(Failure::usage)?))
}

fn web(args: &Collect) -> anyhow::Result<Option<WebOptions>> {
    let Some(listen) = args.web.web else { return Ok(None) };
    let token = token(listen, args.web.web_token_file.as_deref(), "--web-token-file")?;
    Ok(Some(WebOptions {
        token,
        allowed_origins: args.web.web_origin.clone(),
        max_connections: args.web.web_max_connections,
        live_streams: args.web.live_streams,
        metric_streams: args.web.metric_streams,
        ..WebOptions::new(listen, security(args, vec![b"http/1.1".to_vec()])?)
    }))
}

fn grpc(args: &Collect) -> anyhow::Result<Option<GrpcOptions>> {
    let Some(listen) = args.grpc.otlp_grpc else { return Ok(None) };
    let token = token(listen, args.grpc.otlp_grpc_token_file.as_deref(), "--otlp-grpc-token-file")?;
    Ok(Some(GrpcOptions {
        token,
        max_connections: args.grpc.otlp_grpc_max_connections,
        ..GrpcOptions::new(listen, security(args, vec![b"h2".to_vec()])?)
    }))
}

/// What the clients of a listener have to show.
fn token(listen: SocketAddr, file: Option<&Path>, option: &str) -> anyhow::Result<Option<BearerToken>> {
    let token = file.map(BearerToken::from_file).transpose().map_err(Failure::usage)?;
    if token.is_none() && !listen.ip().is_loopback() {
        return Err(Failure::usage(format!("{listen} is not a loopback address: give {option}")));
    }
    Ok(token)
}

fn announce(path: Option<&Path>, address: SocketAddr) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, address.to_string()).with_context(|| format!("writing {}", path.display()))
}

/// Raises the limit of descriptors as far as so many connections need it, and
/// says where it cannot.
fn make_room(connections: usize) {
    // A connection may have three: its own, and a subscriber two to be woken by.
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_mul(3).saturating_add(512);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let most = limit.maximum.map_or(wanted, |most| most.min(wanted));
    limit.current = Some(most);
    if setrlimit(Resource::Nofile, limit).is_err() || most < wanted {
        remark!("the limit of open files allows fewer connections than asked for: see ulimit -n");
    }
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
