//! What every pipeline has to carry: one structured event, one town snapshot.

use std::io::{self, Write};

use bytes::Bytes;
use opentelemetry::logs::{AnyValue, LogRecord};
use serde::Serialize;
use townlet_schema::{
    Event, HeapSize, Json, Kind, LineExtra, LinePrefix, Number, Object, Payload, PolicyDetails, PolicyMetadata, RunId,
    SchemaVersion, Snapshot, encode_into,
};
use townlet_sim::{World, WorldOptions};

/// Events that a host of this workload emits in one tick.
pub const EVENTS_PER_TICK: u64 = 1000;

/// What the event with the number 0 carries as its `sample`; the next one carries 1 more.
pub const FIRST_SAMPLE: u64 = 1_000_000;

const ZONES: [&str; 4] = ["north-yard", "mill-street", "harbour", "old-market"];
const ACTIONS: [&str; 4] = ["move", "trade", "repair", "rest"];

/// The structured event: numbers and short strings, about 265 bytes as JSON.
///
/// One string is owned, as an identity that is made at run time is: moving the
/// event to another thread means freeing that string there.
#[derive(Clone, Debug, Serialize)]
pub struct Reading {
    event: &'static str,
    payload: ReadingBody,
}

#[derive(Clone, Debug, Serialize)]
struct ReadingBody {
    agent: String,
    zone: &'static str,
    action: &'static str,
    outcome: &'static str,
    sample: u64,
    at_us: u64,
    x: f64,
    y: f64,
    hunger: f64,
    energy: f64,
    wallet: f64,
    queue: u32,
    retries: u32,
    urgent: bool,
}

impl HeapSize for Reading {
    fn heap_size(&self) -> usize {
        self.payload.agent.heap_size()
    }
}

impl Payload for Reading {
    const KIND: Kind = Kind::Event;
}

impl Reading {
    /// The `n`th event of a run; equal for equal `n`.
    pub fn at(n: u64) -> Self {
        let step = |modulus: u64| (n.wrapping_mul(2_654_435_761) % modulus) as f64;
        Self {
            event: "agent.reading",
            payload: ReadingBody {
                agent: format!("agent-{:05}", n % 20_000),
                zone: ZONES[(n % 4) as usize],
                action: ACTIONS[(n / 4 % 4) as usize],
                outcome: "accepted",
                sample: FIRST_SAMPLE + n,
                at_us: 1_764_000_000_000_000 + n * 10,
                x: step(9_973) / 8.0,
                y: step(7_919) / 8.0,
                hunger: step(997) / 1_000.0,
                energy: step(499) / 500.0,
                wallet: step(50_021) / 100.0,
                queue: (n % 17) as u32,
                retries: (n % 3) as u32,
                urgent: n.is_multiple_of(7),
            },
        }
    }

    /// The same as attributes of an OpenTelemetry log record.
    pub fn fill(&self, record: &mut impl LogRecord) {
        let p = &self.payload;
        let int = |n: u64| AnyValue::Int(n as i64);
        record.set_event_name(self.event);
        record.add_attribute("agent", p.agent.clone());
        record.add_attribute("zone", p.zone);
        record.add_attribute("action", p.action);
        record.add_attribute("outcome", p.outcome);
        record.add_attribute("sample", int(p.sample));
        record.add_attribute("at_us", int(p.at_us));
        for (key, value) in [("x", p.x), ("y", p.y), ("hunger", p.hunger), ("energy", p.energy), ("wallet", p.wallet)] {
            record.add_attribute(key, value);
        }
        record.add_attribute("queue", int(u64::from(p.queue)));
        record.add_attribute("retries", int(u64::from(p.retries)));
        record.add_attribute("urgent", p.urgent);
    }

    /// The same as a free-form JSON tree, for the name-and-payload way in.
    pub fn free_form(&self) -> Json {
        let p = &self.payload;
        let number = |n: f64| Number::try_from(n).map_or(Json::Null, Json::Number);
        let text = |s: &str| Json::from(s);
        let fields: Object = [
            ("agent", text(&p.agent)),
            ("zone", text(p.zone)),
            ("action", text(p.action)),
            ("outcome", text(p.outcome)),
            ("sample", number(p.sample as f64)),
            ("at_us", number(p.at_us as f64)),
            ("x", number(p.x)),
            ("y", number(p.y)),
            ("hunger", number(p.hunger)),
            ("energy", number(p.energy)),
            ("wallet", number(p.wallet)),
            ("queue", number(f64::from(p.queue))),
            ("retries", number(f64::from(p.retries))),
            ("urgent", Json::Bool(p.urgent)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        Json::Object(fields)
    }
}

/// The tick in which the `n`th event falls.
pub fn tick_of(n: u64) -> u64 {
    n / EVENTS_PER_TICK
}

/// How a rival turns an event into a line.
#[derive(Debug)]
pub struct Lines {
    prefix: Option<LinePrefix>,
    body: Vec<u8>,
}

impl Lines {
    /// Lines of the bare event; with `envelope`, the same lines that ours writes.
    pub fn new(envelope: bool) -> Self {
        let prefix =
            envelope.then(|| LinePrefix::new(SchemaVersion::CURRENT, Kind::Event, &RunId::from_u128(7), "town.load"));
        Self { prefix, body: Vec::with_capacity(512) }
    }

    /// Appends the `n`th event's line.
    pub fn write(&mut self, n: u64, event: &Reading, out: &mut Vec<u8>) {
        // Nothing in the workload is unencodable: no map, no NaN.
        match &self.prefix {
            None => {
                let _ = encode_into(event, out);
                out.push(b'\n');
            }
            Some(prefix) => {
                self.body.clear();
                let _ = encode_into(event, &mut self.body);
                prefix.write_line(n, tick_of(n), LineExtra::default(), &self.body, out);
            }
        }
    }
}

/// The body of the `n`th event.
pub fn encoded(n: u64) -> Bytes {
    let mut body = Vec::with_capacity(320);
    let _ = encode_into(&Reading::at(n), &mut body);
    Bytes::from(body)
}

/// Whole lines with envelope, about 265 bytes each, as a collector receives them.
pub fn collector_lines(count: u64) -> Vec<u8> {
    let prefix = LinePrefix::new(SchemaVersion::CURRENT, Kind::Event, &RunId::from_u128(7), "town.load");
    let mut out = Vec::with_capacity(count as usize * 272);
    for n in 1..=count {
        let mut body = Vec::with_capacity(160);
        let zone = ZONES[(n % 4) as usize];
        let x = (n * 37 % 9_973) as f64 / 8.0;
        let _ = write!(
            body,
            "{{\"event\":\"agent.reading\",\"payload\":{{\"agent\":\"agent-{:05}\",\"zone\":\"{zone}\",\
             \"x\":{x},\"queue\":{},\"action\":\"repair\",\"urgent\":false}}}}",
            n % 20_000,
            n % 17
        );
        prefix.write_line(n, tick_of(n), LineExtra::default(), &body, &mut out);
    }
    out
}

/// A town's snapshot of about 12 KB as JSON.
pub fn snapshot() -> Snapshot {
    // Agents and ticks give way, not the size: what a town says of each may change.
    (3..=8).flat_map(town_of).min_by_key(|snapshot| encoded_len(snapshot).abs_diff(12_000)).unwrap_or_default()
}

/// Consecutive states of a town of about that size, as its loop emits them.
pub fn walk(ticks: usize) -> Vec<Snapshot> {
    let size = |agents: &u32| encoded_len(&town_of(*agents).pop().unwrap_or_default()).abs_diff(12_000);
    let agents = (3..=8).min_by_key(size).unwrap_or(3);
    let mut world = World::new(WorldOptions { seed: 7, agents, ..WorldOptions::default() });
    for _ in 0..300 {
        world.step();
    }
    let states = std::iter::repeat_with(|| {
        let outcome = world.step();
        world.snapshot(&outcome)
    });
    states.take(ticks).collect()
}

/// Snapshots of one town, some ticks apart.
fn town_of(agents: u32) -> Vec<Snapshot> {
    let mut world = World::new(WorldOptions { seed: 7, agents, ..WorldOptions::default() });
    let mut snapshots = Vec::new();
    for tick in 1..=300 {
        let outcome = world.step();
        if tick % 50 == 0 {
            snapshots.push(world.snapshot(&outcome));
        }
    }
    snapshots
}

/// A shipped event type of about the workload's size.
pub fn shipped_event() -> Event<PolicyMetadata> {
    let possessed = (0..6).map(|n| format!("agent-{n:05}")).collect();
    let switches = (0..4).map(|n| (format!("agent-{n:05}"), 3 + n)).collect();
    Event(PolicyMetadata {
        provider: "scripted-brain".into(),
        metadata: PolicyDetails {
            possessed_agents: possessed,
            option_switch_counts: switches,
            anneal_ratio: Some(0.25),
            ..PolicyDetails::default()
        },
    })
}

/// Bytes of a value as JSON.
pub fn encoded_len(value: &impl Serialize) -> usize {
    let mut out = Vec::new();
    let _ = encode_into(value, &mut out);
    out.len()
}

/// Lines and bytes that a writer has taken: how rivals are held to their word.
pub fn count_lines(mut from: impl io::Read) -> io::Result<(u64, u64)> {
    let mut chunk = vec![0; 256 * 1024];
    let (mut lines, mut bytes) = (0, 0);
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok((lines, bytes)),
            Ok(n) => {
                lines += memchr::memchr_iter(b'\n', &chunk[..n]).count() as u64;
                bytes += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A TLS peer that ends without a goodbye has still ended.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok((lines, bytes)),
            Err(error) => return Err(error),
        }
    }
}
