//! What `emit` costs the host, and what the worker pays for an event.
//!
//! `cargo run --release -p townlet-pipeline --example emit_cost [events]`

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
            flags: [true, false, n % 2 == 0],
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

fn per_event(took: Duration, events: u64) -> f64 {
    took.as_nanos() as f64 / events as f64
}

/// A chain that does as little as a chain can.
fn bare() -> Result<Chain, townlet_transform::BuildError> {
    ChainBuilder::from_specs([TransformSpec::SnapshotNormalizer]).without_redaction().build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |n| n.parse())?;
    let mut text = Vec::new();
    encode_into(&trade(1), &mut text)?;
    println!("a body of {} bytes, {events} events", text.len());

    let started = Instant::now();
    for n in 0..events {
        text.clear();
        encode_into(&trade(n), &mut text)?;
    }
    println!("encoding alone          {:7.0} ns", per_event(started.elapsed(), events));

    // Into a queue whose worker sleeps: the host's cost alone.
    let asleep = Options {
        flush_interval: Duration::from_secs(3600),
        poll: Duration::from_secs(3600),
        flush_interval_ticks: u64::MAX,
        max_batch_size: 1 << 30,
        ..options()
    };
    for (name, chunk) in [("emit, worker asleep", 300_000)] {
        let telemetry = start(Chain::standard()?, Options { max_buffer_bytes: usize::MAX / 4, ..asleep.clone() })?;
        let trades = telemetry.stream("trades")?;
        let mut best = f64::MAX;
        for round in 0..5 {
            let started = Instant::now();
            for n in 0..chunk {
                let _ = trades.emit(round, trade(n))?;
            }
            best = best.min(per_event(started.elapsed(), chunk));
        }
        println!("{name:23} {best:7.0} ns");
        let _ = telemetry.shutdown(Duration::ZERO);
    }

    for (name, standard) in [("standard chain", true), ("no redaction", false)] {
        let chain = || if standard { Chain::standard() } else { bare() };
        let telemetry = start(chain()?, options())?;
        let trades = telemetry.stream("trades")?;
        let started = Instant::now();
        for n in 0..events {
            let _ = trades.emit(n / 100, trade(n))?;
        }
        let emitted = started.elapsed();
        let last = telemetry.shutdown(Duration::from_secs(60));
        let all = started.elapsed();
        println!("{name}: emit, worker busy {:5.0} ns", per_event(emitted, events));
        println!("{name}: end to end        {:5.0} ns, residual {}", per_event(all, events), last.residual());
    }
    Ok(())
}
