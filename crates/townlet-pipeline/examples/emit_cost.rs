//! What `emit` costs the host, and what the worker pays for an event.
//!
//! `cargo run --release -p townlet-pipeline --example emit_cost [events] [chain]`

use std::time::{Duration, Instant};

use serde::Serialize;
use townlet_pipeline::{Options, SinkInfo, Telemetry};
use townlet_schema::{HeapSize, Kind, Payload, encode_into};
use townlet_transform::{Chain, ChainBuilder, TransformSpec};
use townlet_transport::{Connected, Frame, Level, Outcome, SendError, Transport, TransportError};

/// About 265 bytes as JSON.
#[derive(Clone, Serialize)]
struct Trade {
    event: &'static str,
    payload: Fill,
}

#[derive(Clone, Serialize)]
struct Fill {
    order_id: u64,
    account: u64,
    symbol: &'static str,
    venue: &'static str,
    side: &'static str,
    price: f64,
    quantity: f64,
    fee: f64,
    position: f64,
    latency_us: u64,
    strategy: &'static str,
    flags: [bool; 3],
}

impl HeapSize for Trade {
    fn heap_size(&self) -> usize {
        0
    }
}

impl Payload for Trade {
    const KIND: Kind = Kind::Event;
}

fn trade(n: u64) -> Trade {
    Trade {
        event: "trade.filled",
        payload: Fill {
            order_id: 7_000_000_000 + n,
            account: 1_204_331,
            symbol: "EURUSD-2026-12",
            venue: "XPAR",
            side: "buy",
            price: 1.0813 + n as f64 * 1e-6,
            quantity: 2500.0,
            fee: 0.35,
            position: 10_000.5 - n as f64,
            latency_us: 41 + n % 13,
            strategy: "mean_reversion_v3",
            flags: [true, false, n.is_multiple_of(2)],
        },
    }
}

struct Null;

impl Transport for Null {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Ok(Connected::local())
    }
    fn send(&mut self, _: &[Frame]) -> Result<Outcome, SendError> {
        Ok(Outcome::Settled(Level::Sent))
    }
    fn close(&mut self) {}
}

fn start(chain: Chain, options: Options) -> Result<Telemetry, Box<dyn std::error::Error>> {
    let null = || -> Result<Box<dyn Transport>, TransportError> { Ok(Box::new(Null)) };
    Ok(Telemetry::builder().transforms(chain).sink(options, SinkInfo::new("null"), null).start()?)
}

fn options() -> Options {
    Options { max_queue_length: 4_000_000, max_buffer_bytes: 2 << 30, max_batch_size: 1024, ..Options::default() }
}

/// Nanoseconds of CPU that the threads of this process whose names start so have used. Wall time says little on a
/// machine that others use as well. 0 where there is no `/proc`.
fn cpu(thread: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(|task| Some(task.ok()?.path()));
    let named = tasks.filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|n| n.starts_with(thread)));
    let used = named.filter_map(|task| std::fs::read_to_string(task.join("schedstat")).ok());
    used.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum()
}

fn per_event(nanos: u64, events: u64) -> f64 {
    nanos as f64 / events as f64
}

/// A chain that does as little as a chain can.
fn bare() -> Result<Chain, townlet_transform::BuildError> {
    ChainBuilder::from_specs([TransformSpec::SnapshotNormalizer]).without_redaction().build()
}

/// The default chain without validation.
fn redacting() -> Result<Chain, townlet_transform::BuildError> {
    ChainBuilder::from_specs(TransformSpec::default_redaction()).build()
}

/// Emits bursts that the worker sends between them; what `emit` costs the host once everything is warm.
fn paced(events: u64) -> Result<f64, Box<dyn std::error::Error>> {
    const BURST: u64 = 500;
    let asleep = Options {
        flush_interval: Duration::from_secs(3600),
        poll: Duration::from_secs(3600),
        flush_interval_ticks: 2,
        max_batch_size: 1 << 20,
        ..options()
    };
    let telemetry = start(bare()?, asleep)?;
    let trades = telemetry.stream("trades")?;
    let mut best = f64::MAX;
    for round in 0..events / BURST {
        let values: Vec<_> = (0..BURST).map(trade).collect();
        let before = Instant::now();
        for value in values {
            let _ = trades.emit(round * 10, value)?;
        }
        best = best.min(per_event(before.elapsed().as_nanos() as u64, BURST));
        let _ = trades.emit(round * 10 + 5, trade(0))?;
        while telemetry.statements()[0].1.buffered > 1 {
            std::thread::yield_now();
        }
    }
    let _ = telemetry.shutdown(Duration::from_secs(10));
    Ok(best)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |n| n.parse())?;
    let wanted = std::env::args().nth(2).unwrap_or_default();
    let mut text = Vec::new();
    encode_into(&trade(1), &mut text)?;
    println!("a body of {} bytes, {events} events; nanoseconds of CPU for each", text.len());

    let before = cpu("emit_cost");
    for n in 0..events {
        text.clear();
        encode_into(&trade(n), &mut text)?;
    }
    println!("encoding alone                    {:6.0}", per_event(cpu("emit_cost") - before, events));
    println!("emit, warm, best burst (wall)     {:6.0}", paced(events)?);
    for (name, chain) in
        [("no transforms", bare()?), ("default redaction", redacting()?), ("standard chain", Chain::standard()?)]
    {
        if !name.starts_with(&wanted) {
            continue;
        }
        let telemetry = start(chain, options())?;
        let trades = telemetry.stream("trades")?;
        let (host, wall) = (cpu("emit_cost"), Instant::now());
        for n in 0..events {
            let _ = trades.emit(n / 100, trade(n))?;
        }
        let host = cpu("emit_cost") - host;
        while telemetry.statements()[0].1.buffered > 0 {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let worker = cpu("telemetry-main");
        println!(
            "{name:17} host {:6.0}  worker {:6.0}  wall {:6.0}",
            per_event(host, events),
            per_event(worker, events),
            per_event(wall.elapsed().as_nanos() as u64, events)
        );
        let last = telemetry.shutdown(Duration::from_secs(60));
        assert_eq!(last.residual(), 0);
    }
    Ok(())
}
