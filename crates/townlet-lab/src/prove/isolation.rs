//! `isolation`: what one dead sink does to the others.
//!
//! Four sinks, of which three lead to receivers that read when each event was
//! emitted from the event itself. The fourth is well or dead, in turn. Nothing is
//! held back for a batch: a delay of our own making would hide one of somebody
//! else's.
//!
//! At the scale of this p99 a busy machine speaks louder than any sink. So a pair
//! is short, its runs follow each other, and there are many. Their median is kept
//! or missed where the whole interval in which it lies by 95 % is on that side of
//! the limit; where the limit lies within, nothing has been measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use townlet_pipeline::{Backpressure, FinalStatement, Options, SinkInfo, Telemetry};
use townlet_schema::{HeapSize, Kind, Payload};
use townlet_transport_tcp::TcpTransport;

use super::memory::Death;
use super::moody::{Mood, Moody, Truth};
use super::pace::{paced, wait_until};
use super::receiver::{Ids, Receiver, number_of};
use super::{Effort, Finding, Run};
use crate::dice::Dice;
use crate::measure::{Contender, Rounds, Sample, interleave};
use crate::ours::plaintext;

/// How much the others' p99 may move.
const LIMIT: f64 = 1.25;

const OTHERS: usize = 3;

/// No run takes so long to drain; a machine that does is not measured.
const PATIENCE: Duration = Duration::from_secs(30);

/// At the start of a run sinks connect, and the queue of a dead one fills: that is not measured.
const WARM: Duration = Duration::from_millis(50);

const WELL: &str = "well";
const REFUSES: &str = "refuses";
const HANGS: &str = "hangs";
const CONTENDERS: [(&str, Option<Death>); 3] =
    [(WELL, None), (REFUSES, Some(Death::Refuses)), (HANGS, Some(Death::Hangs))];

struct Size {
    pairs: usize,
    per_second: u64,
    duration: Duration,
}

pub(super) fn measure(run: &Run) -> anyhow::Result<Finding> {
    let size = Size {
        pairs: run.effort.pick(1, 9, 108, 324),
        per_second: run.effort.pick(2_000, 10_000, 10_000, 10_000),
        duration: Duration::from_millis(run.effort.pick(100, 200, 200, 200)),
    };
    let contenders = CONTENDERS.iter().map(|(name, death)| Contender::new(name, || once(*death, &size))).collect();
    judge(run.effort, &interleave(size.pairs, contenders)?, &size)
}

fn judge(effort: Effort, all: &Rounds, size: &Size) -> anyhow::Result<Finding> {
    let mut finding = Finding::default();
    finding.note("pairs", size.pairs as u64);
    finding.note("events_per_s", size.per_second);
    for (name, _) in CONTENDERS {
        for metric in ["p50_us", "p99_us"] {
            let value = all.median(name, metric).with_context(|| format!("no {metric} of {name}"))?;
            finding.note(format!("{name}_{metric}"), value);
        }
        let lost: f64 = of(all, name, "lost").iter().sum();
        finding.note(format!("{name}_lost_by_others"), lost as u64);
        finding.require(lost == 0.0, || format!("{name}: the other sinks lost {lost} events"));
    }
    let mut undecided = Vec::new();
    for name in [REFUSES, HANGS] {
        let ratio = all.ratio((name, "p99_us"), (WELL, "p99_us")).context("no pair was measured")?;
        let (low, high) = interval(&ratios(all, name)).context("no pair was measured")?;
        finding.note(format!("{name}_p99_ratio"), ratio);
        finding.note(format!("{name}_p99_ratio_interval"), vec![low, high]);
        let found = format!("{name}: the others' p99 is {ratio:.2} times what it was ({low:.2} to {high:.2})");
        if low <= LIMIT && LIMIT < high && effort.judges_times() {
            undecided.push(found);
        } else {
            finding.require_time(effort, high <= LIMIT, || found);
        }
    }
    // A miss is a miss, whatever else could not be told.
    ensure!(
        undecided.is_empty() || !finding.misses.is_empty(),
        "this machine is too busy to tell whether a p99 moved by more than {LIMIT} times: {}",
        undecided.join("; ")
    );
    Ok(finding)
}

/// In which the median lies by 95 %, whatever the values' distribution (its ranks
/// are those of a fair coin's count); `sorted` itself where that is too short.
fn interval(sorted: &[f64]) -> Option<(f64, f64)> {
    let (half, reach) = (sorted.len() as f64 / 2.0, 0.98 * (sorted.len() as f64).sqrt());
    let low = (half - reach).floor().max(0.0) as usize;
    let high = ((half + reach).ceil() as usize).min(sorted.len().saturating_sub(1));
    Some((*sorted.get(low)?, *sorted.get(high)?))
}

fn of(all: &Rounds, name: &str, metric: &str) -> Vec<f64> {
    let samples = all.contenders().filter(|(contender, _)| *contender == name).flat_map(|(_, samples)| samples);
    samples.map(|sample| sample[metric]).collect()
}

/// The p99 of a contender to that of the well one, pair by pair, sorted.
fn ratios(all: &Rounds, name: &str) -> Vec<f64> {
    let pairs = of(all, name, "p99_us").into_iter().zip(of(all, WELL, "p99_us"));
    let mut ratios: Vec<f64> = pairs.map(|(mine, well)| mine / well).collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

/// One run, with a pipeline of its own.
fn once(death: Option<Death>, size: &Size) -> anyhow::Result<Sample> {
    let epoch = Instant::now();
    let warm = (size.per_second as f64 * WARM.as_secs_f64()) as u64;
    let receivers = (0..OTHERS).map(|_| receiver(epoch, warm)).collect::<Result<Vec<_>, _>>()?;
    let fourth = receiver(epoch, warm)?;
    let mut builder = Telemetry::builder();
    for (n, receiver) in receivers.iter().enumerate() {
        let to = plaintext(receiver.addr())?;
        let make = move || Ok(Box::new(TcpTransport::new(to.clone())?) as _);
        builder = builder.sink(options(&format!("other-{n}"), 65_536), SinkInfo::new("tcp"), make);
    }
    let to = plaintext(fourth.addr())?;
    let truth = Arc::<Truth>::default();
    let shared = Arc::clone(&truth);
    let make = move || {
        let mood = match death {
            None => return Ok(Box::new(TcpTransport::new(to.clone())?) as _),
            Some(Death::Refuses) => Mood::Refuses,
            Some(Death::Hangs) => Mood::Hangs(Duration::from_secs(1)),
        };
        Moody::build(mood, Dice::new(1), Arc::clone(&shared))
    };
    // Full within the warm-up when it is dead: from then on each event evicts another.
    let telemetry = builder.sink(options("fourth", warm as usize / 2), SinkInfo::new("fourth"), make).start()?;
    let stream = telemetry.stream("load")?;
    let emitted = paced(size.per_second, size.duration, PATIENCE, |n| {
        Ok(stream.emit(n / 10, Stamped::new(n, nanos_since(epoch))).map(drop)?)
    })?;
    wait_for_the_others(&telemetry)?;
    truth.over.open();
    let books = telemetry.shutdown(Duration::from_millis(100));
    drop(telemetry);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(refuses: f64, hangs: f64, lost: f64) -> anyhow::Result<Finding> {
        judged_at(Effort::Full, refuses, hangs, lost)
    }

    fn judged_at(effort: Effort, refuses: f64, hangs: f64, lost: f64) -> anyhow::Result<Finding> {
        let size = Size { pairs: 100, per_second: 1, duration: Duration::ZERO };
        let mut all = Rounds::default();
        for pair in 0..size.pairs {
            // Pairs are up to 10 % apart.
            let drift = 1.0 + 0.1 * pair as f64 / size.pairs as f64;
            for (name, p99) in [(WELL, 100.0), (REFUSES, refuses * drift), (HANGS, hangs * drift)] {
                all.push(name, Sample::from([("p50_us", 50.0), ("p99_us", p99), ("lost", lost)]));
            }
        }
        judge(effort, &all, &size)
    }

    #[test]
    fn a_p99_that_moved_is_a_miss_and_one_near_the_limit_is_not_decided() {
        assert!(judged(100.0, 110.0, 0.0).is_ok_and(|finding| finding.misses.is_empty()));
        assert!(judged(100.0, 150.0, 0.0).is_ok_and(|finding| finding.misses.len() == 1));
        let error = judged(100.0, 119.0, 0.0).map(|finding| finding.misses);
        assert!(error.is_err(), "1.19 times, drifting by a tenth: {error:?}");
        // What is lost is lost, however busy the machine was.
        assert!(judged(100.0, 119.0, 1.0).is_ok_and(|finding| finding.misses.len() == 3));
    }

    #[test]
    fn a_short_run_judges_losses_and_no_times() {
        for hangs in [110.0, 119.0, 150.0] {
            let finding = judged_at(Effort::Quick, 100.0, hangs, 0.0);
            assert!(
                finding
                    .is_ok_and(|found| found.misses.is_empty() && found.unjudged.len() == usize::from(hangs > 118.0))
            );
        }
        assert!(judged_at(Effort::Quick, 100.0, 150.0, 1.0).is_ok_and(|finding| finding.misses.len() == 3));
    }

    #[test]
    fn the_interval_narrows_with_the_number_of_pairs() {
        let values = |n: u32| (0..n).map(|i| f64::from(i) / f64::from(n)).collect::<Vec<_>>();
        assert_eq!(interval(&[]), None);
        assert_eq!(interval(&[2.0]), Some((2.0, 2.0)));
        assert_eq!(interval(&values(100)), Some((0.4, 0.6)));
        assert_eq!(interval(&values(10_000)), Some((0.4902, 0.5098)));
    }
}
