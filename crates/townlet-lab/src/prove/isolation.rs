//! `isolation`: what one dead sink does to the others.
//!
//! Four sinks, of which three lead to receivers that read when each event was
//! emitted from the event itself. The fourth is well in one run and dead in the
//! next, in turn, so that both meet the same machine. Nothing is held back for
//! a batch: a delay of our own making would hide one of somebody else's.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use townlet_pipeline::{Backpressure, FinalStatement, Options, SinkInfo, Telemetry};
use townlet_schema::{HeapSize, Kind, Payload};
use townlet_transport_tcp::TcpTransport;

use super::dice::Dice;
use super::memory::Death;
use super::moody::{Mood, Moody, Truth};
use super::pace::{paced, wait_until};
use super::receiver::{Ids, Receiver, number_of};
use super::{Finding, Run};
use crate::measure::{Contender, Rounds, Sample, interleave};
use crate::ours::plaintext;

/// How much the others' p99 may move.
const LIMIT: f64 = 1.25;

const OTHERS: usize = 3;

/// No run takes so long to drain; a machine that does is not measured.
const PATIENCE: Duration = Duration::from_secs(30);

const WELL: &str = "well";
const REFUSES: &str = "refuses";
const HANGS: &str = "hangs";

struct Size {
    per_second: u64,
    duration: Duration,
}

pub(super) fn measure(run: &Run) -> anyhow::Result<Finding> {
    let rounds = run.effort.pick(1, 3, 9, 9);
    let size = Size {
        per_second: run.effort.pick(1_000, 10_000, 10_000, 10_000),
        duration: Duration::from_millis(run.effort.pick(300, 1_500, 2_000, 6_000)),
    };
    let size_of_run = &size;
    let contender = |name, death| Contender::new(name, move || once(death, size_of_run));
    let all = interleave(
        rounds,
        vec![contender(WELL, None), contender(REFUSES, Some(Death::Refuses)), contender(HANGS, Some(Death::Hangs))],
    )?;
    judge(&all, rounds, &size)
}

fn judge(all: &Rounds, rounds: usize, size: &Size) -> anyhow::Result<Finding> {
    let mut finding = Finding::default();
    finding.note("pairs", rounds as u64);
    finding.note("events_per_s", size.per_second);
    let median = |name, metric| all.median(name, metric).with_context(|| format!("no {metric} of {name}"));
    for name in [WELL, REFUSES, HANGS] {
        finding.note(format!("{name}_p50_us"), median(name, "p50_us")?);
        finding.note(format!("{name}_p99_us"), median(name, "p99_us")?);
        let lost: f64 = of(all, name, "lost").iter().sum();
        finding.note(format!("{name}_lost_by_others"), lost as u64);
        finding.require(lost == 0.0, || format!("{name}: the other sinks lost {lost} events"));
    }
    for name in [REFUSES, HANGS] {
        let ratio = all.ratio((name, "p99_us"), (WELL, "p99_us")).context("no ratio of the p99")?;
        finding.note(format!("{name}_p99_ratio"), ratio);
        // How far the pairs are apart says how much the median is worth.
        let (well, dead) = (of(all, WELL, "p99_us"), of(all, name, "p99_us"));
        let mut pairs: Vec<f64> = well.iter().zip(dead).map(|(well, dead)| (dead / well * 1e3).round() / 1e3).collect();
        pairs.sort_by(f64::total_cmp);
        finding.note(format!("{name}_p99_ratios"), pairs);
        finding.require(ratio <= LIMIT, || format!("{name}: the others' p99 is {ratio:.2} times what it was"));
    }
    Ok(finding)
}

fn of(all: &Rounds, name: &str, metric: &str) -> Vec<f64> {
    let samples = all.contenders().filter(|(contender, _)| *contender == name).flat_map(|(_, samples)| samples);
    samples.map(|sample| sample[metric]).collect()
}

/// One run: the latencies of the three, and what they lost.
fn once(death: Option<Death>, size: &Size) -> anyhow::Result<Sample> {
    let epoch = Instant::now();
    let warm = size.per_second / 4;
    let receivers = (0..OTHERS).map(|_| receiver(epoch, warm)).collect::<Result<Vec<_>, _>>()?;
    let fourth = receiver(epoch, warm)?;
    let mut builder = Telemetry::builder();
    for (n, receiver) in receivers.iter().enumerate() {
        let to = plaintext(receiver.addr())?;
        let make = move || Ok(Box::new(TcpTransport::new(to.clone())?) as _);
        builder = builder.sink(options(&format!("other-{n}"), 65_536), SinkInfo::new("tcp"), make);
    }
    let to = plaintext(fourth.addr())?;
    let make = move || match death {
        None => Ok(Box::new(TcpTransport::new(to.clone())?) as _),
        Some(Death::Refuses) => Moody::build(Mood::Refuses, Dice::new(1), Truth::default().into()),
        Some(Death::Hangs) => Moody::build(Mood::Hangs(Duration::from_secs(1)), Dice::new(1), Truth::default().into()),
    };
    // Full within the warm-up when it is dead: from then on each event evicts another.
    let telemetry = builder.sink(options("fourth", warm as usize / 2), SinkInfo::new("fourth"), make).start()?;
    let stream = telemetry.stream("load")?;
    let emitted = paced(size.per_second, size.duration, |n| {
        Ok(stream.emit(n / 10, Stamped::new(n, nanos_since(epoch))).map(drop)?)
    })?;
    wait_for_the_others(&telemetry)?;
    let books = telemetry.shutdown(Duration::from_millis(200));
    fourth.finish()?;
    sample(&books, receivers, emitted)
}

fn options(name: &str, queue: usize) -> Options {
    Options {
        name: name.to_owned(),
        backpressure: Backpressure::DropOldest,
        max_queue_length: queue,
        max_buffer_bytes: 64 << 20,
        flush_interval: Duration::ZERO,
        ..Options::default()
    }
}

fn wait_for_the_others(telemetry: &Telemetry) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while telemetry.statements().iter().take(OTHERS).any(|(_, statement)| statement.buffered > 0) {
        ensure!(Instant::now() < deadline, "the other sinks were not drained in {} s", PATIENCE.as_secs());
        wait_until(Instant::now() + Duration::from_millis(2));
    }
    Ok(())
}

fn sample(books: &FinalStatement, receivers: Vec<Receiver<Seen>>, emitted: u64) -> anyhow::Result<Sample> {
    ensure!(books.residual() == 0, "the books do not balance: {books:?}");
    let (mut nanos, mut lost) = (Vec::new(), 0);
    for ((name, statement), receiver) in books.sinks.iter().zip(receivers) {
        let seen = receiver.finish()?;
        let arrived = seen.ids.audit(emitted).unique;
        let said = statement.account.delivered();
        ensure!(said == arrived, "{name}: says {said} delivered, {arrived} came");
        lost += emitted - arrived;
        nanos.extend(seen.nanos);
    }
    ensure!(!nanos.is_empty(), "nothing arrived after the warm-up");
    nanos.sort_unstable();
    let at = |q: f64| nanos[((nanos.len() - 1) as f64 * q).ceil() as usize] as f64 / 1e3;
    Ok(Sample::from([("p50_us", at(0.5)), ("p99_us", at(0.99)), ("lost", lost as f64)]))
}

/// What a receiver has seen.
#[derive(Debug, Default)]
struct Seen {
    ids: Ids,
    /// From emit to the line's arrival, without the first so many.
    nanos: Vec<u64>,
}

fn receiver(epoch: Instant, warm: u64) -> anyhow::Result<Receiver<Seen>> {
    Receiver::start(Seen::default(), move |seen: &mut Seen, line: &[u8]| {
        match (number_of(line, "id"), number_of(line, "emitted_ns")) {
            (Some(id), Some(emitted)) => {
                seen.ids.came.push(id);
                if id >= warm {
                    seen.nanos.push(nanos_since(epoch).saturating_sub(emitted));
                }
            }
            _ => seen.ids.garbled += 1,
        }
    })
}

fn nanos_since(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// An event that says when it was emitted.
#[derive(Debug, Serialize)]
struct Stamped {
    event: &'static str,
    payload: StampedBody,
}

#[derive(Debug, Serialize)]
struct StampedBody {
    id: u64,
    emitted_ns: u64,
    zone: &'static str,
    outcome: &'static str,
    position: [f64; 2],
}

impl Stamped {
    fn new(id: u64, emitted_ns: u64) -> Self {
        let position = [(id % 997) as f64 / 8.0, (id % 499) as f64 / 8.0];
        let payload = StampedBody { id, emitted_ns, zone: "mill-street", outcome: "accepted", position };
        Self { event: "agent.stamped", payload }
    }
}

impl HeapSize for Stamped {
    fn heap_size(&self) -> usize {
        0
    }
}

impl Payload for Stamped {
    const KIND: Kind = Kind::Event;
}
