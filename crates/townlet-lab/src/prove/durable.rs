//! `durable`: events whose receipt says that they are on stable storage.
//!
//! Beside it, on the same folder and in the same rounds, what a host gets that
//! appends each event to a file and syncs it. The ratio is what counts: disks
//! differ by a factor of twenty, and so does one disk from hour to hour.
//!
//! And what any group commit can give at the promised rate: one thread that takes
//! what waits, appends, syncs, and goes on at once ([`group_commit`]). An event
//! meets a slow sync the more often the longer that takes, so on a disk with a long
//! tail no group commit's p99 is near the p50 of a sync: there this one is measured by.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use townlet_pipeline::{Backpressure, NoReceipt, Options, Receipts, SinkInfo, SpillMode, SpillSettings, Telemetry};
use townlet_schema::{HeapSize, Kind, Payload};
use townlet_transport::Level;

use super::moody::{Mood, Moody, Truth};
use super::pace::paced;
use super::{Finding, Run};
use crate::dice::Dice;
use crate::ours::lossless;
use crate::workload::{FIRST_SAMPLE, encoded_len, tick_of};

/// Of the event as JSON; its envelope comes on top.
const EVENT_BYTES: usize = 256;

const LEAST_PER_SECOND: u64 = 20_000;
const LEAST_RATIO: f64 = 20.0;
const MOST_SYNCS: f64 = 6.0;
/// Of the p99 of [`group_commit`] in the same rounds, where the disk itself keeps it above [`MOST_SYNCS`].
const MOST_OF_GROUP_COMMIT: f64 = 1.5;

const PATIENCE: Duration = Duration::from_secs(60);

/// Fills the event up to its length.
const PADDING: &str = "................................................................................................\
    ................................................................................................................\
    ................................................................................................................";

#[derive(Clone, Debug, Serialize)]
struct Durable {
    event: &'static str,
    payload: Body,
}

#[derive(Clone, Debug, Serialize)]
struct Body {
    sample: u64,
    note: &'static str,
}

impl HeapSize for Durable {
    fn heap_size(&self) -> usize {
        0
    }
}

impl Payload for Durable {
    const KIND: Kind = Kind::Event;
}

impl Durable {
    fn at(n: u64, padding: usize) -> Self {
        Self {
            event: "load.durable",
            payload: Body { sample: FIRST_SAMPLE + n, note: PADDING.get(..padding).unwrap_or(PADDING) },
        }
    }
}

/// How fast events come.
#[derive(Clone, Copy)]
enum Pace {
    /// So many, as fast as one thread emits them.
    Unpaced(u64),
    /// So many a second, for so long.
    Paced(u64, Duration),
}

pub(super) fn measure(run: &Run) -> anyhow::Result<Finding> {
    let padding = EVENT_BYTES.saturating_sub(encoded_len(&Durable::at(0, 0)));
    let bytes = encoded_len(&Durable::at(0, padding));
    ensure!(bytes == EVENT_BYTES, "the event has {bytes} bytes");
    let rounds = run.effort.pick(1, 1, 5, 9);
    let synced = run.effort.pick(20, 50, 300, 1_000);
    let burst = Pace::Unpaced(run.effort.pick(2_000, 20_000, 100_000, 500_000));
    let lasting = Duration::from_secs_f64(run.effort.pick(0.2, 1.0, 2.0, 10.0));
    let pace = run.effort.pick(2_000, 5_000, LEAST_PER_SECOND, LEAST_PER_SECOND);
    let promised = Pace::Paced(pace, lasting);
    let calm = Pace::Paced(run.effort.pick(200, 1_000, 1_000, 1_000), lasting);

    let folder = tempfile::tempdir()?;
    let mut each = Taken::default();
    let (mut unpaced, mut at_rate, mut at_ease) = (Taken::default(), Taken::default(), Taken::default());
    let mut least = Taken::default();
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let syncing = sync_each(folder.path(), synced)?;
        let dir = |what: &str| folder.path().join(format!("{what}-{round}"));
        let all = receipts(&dir("unpaced"), burst, padding)?;
        ratios.push(all.per_second() / syncing.per_second());
        unpaced.add(all);
        at_rate.add(receipts(&dir("paced"), promised, padding)?);
        least.add(group_commit(folder.path(), promised)?);
        at_ease.add(receipts(&dir("calm"), calm, padding)?);
        each.add(syncing);
        // And once more, since a disk is seldom twice the same.
        each.add(sync_each(folder.path(), synced)?);
    }

    let mut finding = Finding::default();
    finding.note("event_bytes", bytes as u64);
    finding.note("rounds", rounds);
    finding.note("each_synced_per_s", each.per_second());
    for (name, at) in [("p50", 0.5), ("p99", 0.99)] {
        finding.note(format!("fdatasync_{name}_us"), each.quantile_us(at));
    }
    let sync = each.quantile_us(0.5);
    let mut note = |name: &str, taken: &mut Taken| {
        finding.note(format!("{name}_per_s"), taken.per_second());
        for (quantile, at) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            finding.note(format!("{name}_receipt_{quantile}_us"), taken.quantile_us(at));
        }
        let syncs = taken.quantile_us(0.99) / sync;
        finding.note(format!("{name}_receipt_p99_syncs"), syncs);
        syncs
    };
    note("unpaced", &mut unpaced);
    let syncs = note("paced", &mut at_rate);
    note("calm", &mut at_ease);
    note("group_commit", &mut least);
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    finding.note("unpaced_to_each_synced", ratio);
    let rate = unpaced.per_second();
    finding.require_time(run.effort, rate >= LEAST_PER_SECOND as f64, || format!("{rate:.0} durable events a second"));
    finding.require_time(run.effort, ratio >= LEAST_RATIO, || {
        format!("{ratio:.1} times the rate of one sync an event (median)")
    });
    let of_least = at_rate.quantile_us(0.99) / least.quantile_us(0.99);
    finding.note("paced_receipt_p99_to_group_commit", of_least);
    finding.require_time(run.effort, syncs <= MOST_SYNCS || of_least <= MOST_OF_GROUP_COMMIT, || {
        format!(
            "at {pace}/s the receipt's p99 is {syncs:.1} times the fdatasync p50 and {of_least:.2} times \
             that of a bare group commit"
        )
    });
    Ok(finding)
}

/// Times of single events, and of all together.
#[derive(Default)]
struct Taken {
    each: Vec<Duration>,
    total: Duration,
}

impl Taken {
    fn add(&mut self, other: Self) {
        self.each.extend(other.each);
        self.total += other.total;
    }

    fn per_second(&self) -> f64 {
        self.each.len() as f64 / self.total.as_secs_f64()
    }

    fn quantile_us(&mut self, at: f64) -> f64 {
        self.each.sort();
        let last = self.each.len().saturating_sub(1);
        self.each.get((last as f64 * at).round() as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    }
}

/// Appends and syncs one by one; the time of each is that of its sync.
fn sync_each(folder: &Path, events: u64) -> anyhow::Result<Taken> {
    let path = folder.join("each");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let line = [b'.'; EVENT_BYTES];
    let mut taken = Taken::default();
    let began = Instant::now();
    for _ in 0..events {
        taken.each.push(sync_one(&mut file, &line).with_context(|| format!("syncing {}", path.display()))?);
    }
    taken.total = began.elapsed();
    Ok(taken)
}

fn sync_one(file: &mut File, line: &[u8]) -> std::io::Result<Duration> {
    file.write_all(line)?;
    let began = Instant::now();
    file.sync_data()?;
    Ok(began.elapsed())
}

/// What the disk allows: no envelope, no ledger, no log that could be read again. The time of each event is from
/// before it is handed over until the sync behind it is done.
fn group_commit(folder: &Path, pace: Pace) -> anyhow::Result<Taken> {
    let path = folder.join("group");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let (given, to_store) = flume::unbounded::<Instant>();
    let store = move || {
        let (mut each, mut group, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        while let Ok(first) = to_store.recv() {
            group.push(first);
            group.extend(to_store.try_iter());
            bytes.clear();
            bytes.resize(group.len() * EVENT_BYTES, b'.');
            file.write_all(&bytes)?;
            file.sync_data()?;
            each.extend(group.drain(..).map(|began| began.elapsed()));
        }
        Ok::<_, std::io::Error>((each, Instant::now()))
    };
    let storing = thread::Builder::new().name("group-commit".into()).spawn(store)?;
    let began = Instant::now();
    let mut hand_over = |_| given.send(Instant::now()).context("nobody stores any more");
    match pace {
        Pace::Unpaced(events) => (0..events).try_for_each(&mut hand_over)?,
        Pace::Paced(per_second, duration) => {
            paced(per_second, duration, 2 * duration, &mut hand_over)?;
        }
    }
    drop(given);
    let stored = storing.join().map_err(|_| anyhow::anyhow!("storing panicked"))?;
    let (each, ended) = stored.with_context(|| format!("storing in {}", path.display()))?;
    Ok(Taken { each, total: ended - began })
}

/// Emits with receipts and waits for each of them; the time of each is from
/// before its emit until somebody who waited knows.
fn receipts(dir: &Path, pace: Pace, padding: usize) -> anyhow::Result<Taken> {
    let options = Options {
        backpressure: Backpressure::Spill,
        max_queue_length: 16_384,
        max_buffer_bytes: 32 << 20,
        ..lossless()
    };
    let make = || Moody::build(Mood::Healthy, Dice::new(1), Truth::default().into());
    let spill = SpillSettings { mode: SpillMode::WriteAhead, ..SpillSettings::new(dir) };
    let telemetry = Telemetry::builder().sink(options, SinkInfo::new("load"), make).spill("main", spill).start()?;
    let stream = telemetry.stream("load")?;
    let (given, to_wait_for) = flume::unbounded::<(Instant, Receipts)>();
    let waiter = thread::Builder::new().name("receipts".into()).spawn(move || {
        let mut each = Vec::new();
        for (began, receipts) in to_wait_for {
            receipts.wait(Level::Durable, PATIENCE)?;
            each.push(began.elapsed());
        }
        Ok::<_, NoReceipt>((each, Instant::now()))
    })?;
    let began = Instant::now();
    let mut emit = |n| {
        let emitted = Instant::now();
        let (_, receipts) = stream.emit_with_receipt(tick_of(n), Durable::at(n, padding))?;
        // It ends early only with an error, which is reported below.
        let _ = given.send((emitted, receipts));
        Ok(())
    };
    let events = match pace {
        Pace::Unpaced(events) => (0..events).try_for_each(&mut emit).map(|()| events)?,
        Pace::Paced(per_second, duration) => paced(per_second, duration, 2 * duration, &mut emit)?,
    };
    drop(given);
    let (each, ended) = waiter.join().map_err(|_| anyhow::anyhow!("waiting for receipts panicked"))??;
    let books = telemetry.shutdown(PATIENCE);
    let lost: u64 = books.sinks.iter().map(|(_, statement)| statement.account.dropped()).sum();
    ensure!(books.residual() == 0 && lost == 0, "the books: {books:?}");
    ensure!(each.len() as u64 == events, "{} receipts for {events} events", each.len());
    Ok(Taken { each, total: ended - began })
}
