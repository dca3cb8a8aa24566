//! What a live tap costs the worker, in instructions: run it under callgrind, which counts them by thread.
//!
//! ```text
//! cargo build --release -p townlet-pipeline --example tap_cost
//! for tap in none all events nothing; do
//!   valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file=$tap.out \
//!     target/release/examples/tap_cost $tap standard worker
//!   grep -h totals $tap.out-02      # the worker is the second thread
//! done
//! ```
//!
//! The chain is `standard` or `bare`, and who encodes `worker` or `host`.
//! Everything is emitted while the worker sleeps and read while it sleeps again, so that two runs of one kind differ
//! by what waiting costs and by nothing else.

use std::error::Error;
use std::time::Duration;

use serde::Serialize;
use townlet_pipeline::{Options, SinkInfo, TapOptions, Telemetry};
use townlet_schema::{HeapSize, Kind, Payload};
use townlet_transform::{Chain, ChainBuilder, TransformSpec};
use townlet_transport::{Connected, Frame, Level, Outcome, SendError, Transport, TransportError};

/// A burst is less than a batch, which would wake the worker: a host that meets it encodes for it now and then.
const BURSTS: u64 = 200;
const EVENTS: u64 = 500;
const HOUR: Duration = Duration::from_secs(3600);

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

fn chain(name: &str) -> Result<Chain, townlet_transform::BuildError> {
    match name {
        "bare" => ChainBuilder::from_specs([TransformSpec::SnapshotNormalizer]).without_redaction().build(),
        _ => Chain::standard(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().unwrap_or_default();
    let (mode, transforms, encoder) = (argument(), argument(), argument());
    let asleep = Options {
        max_queue_length: 1 << 20,
        max_buffer_bytes: 1 << 30,
        max_batch_size: 1024,
        flush_interval: HOUR,
        poll: HOUR,
        flush_interval_ticks: u64::MAX,
        ..Options::default()
    };
    let null = || -> Result<Box<dyn Transport>, TransportError> { Ok(Box::new(Null)) };
    let telemetry =
        Telemetry::builder().transforms(chain(&transforms)?).sink(asleep, SinkInfo::new("null"), null).start()?;
    let trades = telemetry.stream("trades")?;
    let mut tap = match mode.as_str() {
        "all" => Some(TapOptions::default()),
        "events" => {
            Some(TapOptions { kinds: vec![Kind::Event], streams: vec!["town.*".into()], ..TapOptions::default() })
        }
        "nothing" => Some(TapOptions { kinds: vec![Kind::Failure], ..TapOptions::default() }),
        _ => None,
    }
    .map(|options| telemetry.tap(&options));
    let mut shown = 0u64;
    for burst in 0..BURSTS {
        for n in 0..EVENTS {
            let _ = match encoder.as_str() {
                "host" => trades.emit_ref(burst, &trade(n))?,
                _ => trades.emit(burst, trade(n))?,
            };
        }
        assert!(telemetry.flush(HOUR));
        while let Some(tap) = &mut tap
            && tap.next(Duration::ZERO).is_some()
        {
            shown += 1;
        }
    }
    let missed = tap.as_ref().map(townlet_pipeline::Tap::missed);
    let books = telemetry.shutdown(Duration::from_secs(60));
    assert_eq!((books.residual(), books.sinks[0].1.account.delivered()), (0, BURSTS * EVENTS));
    println!("{} events delivered, {shown} shown, missed: {missed:?}", BURSTS * EVENTS);
    Ok(())
}
