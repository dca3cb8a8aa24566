//! What several modules need: a payload, small options, gates, transforms made of closures.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use townlet_pipeline::{Builder, Options, SinkInfo, Statement, Telemetry};
use townlet_schema::{HeapSize, Kind, Payload, RunId, read_head};
use townlet_testkit::Script;
use townlet_transform::{Chain, ChainBuilder, Dropped, Record, Transform};
use townlet_transport::Transport;

/// How long a thread may take on a loaded machine before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A host's own event.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Order {
    pub(crate) event: &'static str,
    pub(crate) payload: Details,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Details {
    pub(crate) id: u64,
    pub(crate) price: f64,
    pub(crate) note: String,
}

impl HeapSize for Order {
    fn heap_size(&self) -> usize {
        self.payload.note.heap_size()
    }
}

impl Payload for Order {
    const KIND: Kind = Kind::Event;
}

pub(crate) fn order(id: u64) -> Order {
    Order { event: "order", payload: Details { id, price: 1.5, note: String::new() } }
}

pub(crate) fn noted(id: u64, len: usize) -> Order {
    Order { event: "order", payload: Details { id, price: 1.5, note: "n".repeat(len) } }
}

pub(crate) fn nan() -> Order {
    Order { event: "order", payload: Details { price: f64::NAN, ..Details::default() } }
}

/// Options under which what is emitted goes out at once.
pub(crate) fn eager(name: &str) -> Options {
    Options {
        name: name.into(),
        max_queue_length: 10_000,
        max_buffer_bytes: 8 << 20,
        flush_interval_ticks: 0,
        flush_interval: ms(5),
        poll: ms(50),
        backoff: ms(1),
        max_backoff: ms(5),
        restart_limit: 1000,
        ..Options::default()
    }
}

/// Options under which nothing is due by itself.
pub(crate) fn lazy(name: &str) -> Options {
    Options { flush_interval_ticks: u64::MAX, flush_interval: HOUR, poll: HOUR, max_batch_size: 5000, ..eager(name) }
}

pub(crate) const RUN: u128 = 0x0193_2c07_1d3a_7cc2_8f6e_0123_4567_89ab;

pub(crate) fn builder() -> Builder {
    Telemetry::builder().run_id(RunId::from_u128(RUN))
}

/// A builder with more methods for tests.
pub(crate) trait With: Sized {
    fn scripted(self, options: Options, script: &Script) -> Self;
}

impl With for Builder {
    fn scripted(self, options: Options, script: &Script) -> Self {
        let script = script.clone();
        self.sink(options, SinkInfo::new("script"), move || Ok(Box::new(script.transport()) as Box<dyn Transport>))
    }
}

/// One sink and its script.
pub(crate) fn single(options: Options) -> (Telemetry, Script) {
    let script = Script::new();
    (builder().scripted(options, &script).start().unwrap(), script)
}

/// Waits until `ready` holds. The pause between looks is a courtesy to other threads, not a bet on time.
pub(crate) fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(ms(1));
    }
}

/// Lets a period pass: for what must not happen meanwhile, or how often; nothing is waited for.
pub(crate) fn pass(period: Duration) {
    let (_never, silence) = std::sync::mpsc::channel::<()>();
    assert!(silence.recv_timeout(period).is_err());
}

pub(crate) fn books(telemetry: &Telemetry, sink: &str) -> Statement {
    let statements = telemetry.statements();
    statements.into_iter().find(|(name, _)| name == sink).unwrap().1
}

pub(crate) fn drops(statement: &Statement) -> BTreeMap<String, u64> {
    statement.account.drops().map(|(reason, count)| (reason.to_string(), count)).collect()
}

pub(crate) fn delivered(telemetry: &Telemetry, sink: &str, count: u64) {
    eventually(&format!("{count} delivered to {sink}"), || books(telemetry, sink).account.delivered() >= count);
}

/// The lines as text.
pub(crate) fn text(lines: &[Bytes]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
}

/// Stream and number of each line.
pub(crate) fn identities(lines: &[Bytes]) -> Vec<(String, u64)> {
    let identity = |line: &Bytes| {
        let head = read_head(line).unwrap();
        (head.stream.unwrap().into_owned(), head.seq.unwrap())
    };
    lines.iter().map(identity).collect()
}

/// A place where a thread waits until a test lets it go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: usize,
}

impl Gate {
    pub(crate) fn closed() -> Self {
        let gate = Self::default();
        gate.0.0.lock().unwrap().closed = true;
        gate
    }

    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).closed = false;
        self.0.1.notify_all();
    }

    /// Waits while the gate is closed; gives up after a minute, so that a failed test ends.
    pub(crate) fn pass(&self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting += 1;
        self.0.1.notify_all();
        let limit = Instant::now() + 2 * PATIENCE;
        while state.closed && Instant::now() < limit {
            state = self.0.1.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting -= 1;
    }

    pub(crate) fn wait_until_somebody_waits(&self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = Instant::now() + PATIENCE;
        while state.waiting == 0 {
            assert!(Instant::now() < limit, "nobody came to the gate");
            state = self.0.1.wait_timeout(state, ms(100)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A transform made of a closure.
pub(crate) struct Step<F>(pub(crate) F);

impl<F: FnMut(&mut Record) -> Result<(), Dropped> + Send> Transform for Step<F> {
    fn id(&self) -> &str {
        "step"
    }
    fn concerns(&self, _: Kind) -> bool {
        true
    }
    fn apply(&mut self, record: &mut Record) -> Result<(), Dropped> {
        (self.0)(record)
    }
}

/// The standard chain with one more transform.
pub(crate) fn chain(step: impl FnMut(&mut Record) -> Result<(), Dropped> + Send + 'static) -> Chain {
    ChainBuilder::new().host(Box::new(Step(step))).build().unwrap()
}

/// A small generator, so that a seed gives the same schedule everywhere (xorshift64*, Vigna 2016).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// A pipeline of `sinks` sinks whose transform does not come back before the gate
/// opens, and the script of its first sink.
pub(crate) fn stuck_in_a_transform(sinks: usize) -> (Telemetry, Script, Gate) {
    let gate = Gate::closed();
    let pass = gate.clone();
    let stuck = move |_: &mut Record| -> Result<(), Dropped> {
        pass.pass();
        Ok(())
    };
    let script = Script::new();
    let mut pipeline = builder().transforms(chain(stuck)).scripted(eager("main"), &script);
    if sinks == 2 {
        pipeline = pipeline.scripted(eager("other"), &Script::new());
    }
    (pipeline.start().unwrap(), script, gate)
}
