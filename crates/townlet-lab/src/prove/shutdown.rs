//! `shutdown`: producers race against the end, over sinks that misbehave.
//!
//! Whatever happens, the statement must balance, name every event that `emit`
//! took over, claim no more than the sinks took, and come in time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use townlet_pipeline::{EmitError, FinalStatement, Stream, Telemetry};

use super::pace::wait_until;
use super::{Finding, Run};
use crate::workload::{Reading, encoded, tick_of};

mod draw;

use self::draw::{Draw, Producer};

/// The promise: how late a shutdown may be.
const P99: Duration = Duration::from_millis(50);
const EVER: Duration = Duration::from_millis(250);

/// A producer that is not refused by then never will be.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a race ended.
struct Ended {
    overrun: Duration,
    accepted: u64,
    delivered: u64,
    dropped: u64,
    faults: Vec<String>,
}

pub(super) fn measure(run: &Run) -> anyhow::Result<Finding> {
    let races: u64 = run.effort.pick(12, 150, 500, 10_000);
    // As many at once as there are processors: their threads mostly wait, and a
    // machine with more to do than that would measure its scheduler.
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    let threads = thread_count();
    let next = AtomicU64::new(0);
    let ended: Mutex<Vec<(u64, anyhow::Result<Ended>)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= races {
                        return;
                    }
                    let seed = run.seed.wrapping_add(n);
                    let result = race(seed);
                    ended.lock().unwrap_or_else(PoisonError::into_inner).push((seed, result));
                }
            });
        }
    });
    let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ensure!(ended.len() as u64 == races, "{} of {races} races came to an end", ended.len());
    judge(run, ended, threads)
}

fn judge(run: &Run, ended: Vec<(u64, anyhow::Result<Ended>)>, threads: Option<u64>) -> anyhow::Result<Finding> {
    let mut finding = Finding::default();
    let (mut overruns, mut unbalanced, mut sums) = (Vec::new(), 0, [0, 0, 0]);
    for (seed, result) in ended {
        let race = result.map_err(|error| error.context(format!("the race of seed {seed}")))?;
        overruns.push(race.overrun);
        for (sum, n) in sums.iter_mut().zip([race.accepted, race.delivered, race.dropped]) {
            *sum += n;
        }
        unbalanced += u64::from(!race.faults.is_empty());
        // The first few say as much as all of them.
        let replay = format!("(same choices: prove --only shutdown --seed {seed})");
        let room = 10_usize.saturating_sub(finding.misses.len());
        finding.misses.extend(race.faults.iter().take(room).map(|fault| format!("{fault} {replay}")));
    }
    overruns.sort_unstable();
    let at = |q: f64| overruns[((overruns.len() - 1) as f64 * q).ceil() as usize];
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    finding.note("races", overruns.len() as u64);
    finding.note("seed", run.seed);
    finding.note("wrong_statements", unbalanced);
    finding.note("accepted_by_sinks", sums[0]);
    finding.note("delivered_by_sinks", sums[1]);
    finding.note("dropped_by_sinks", sums[2]);
    for (name, overrun) in [("p50", p50), ("p99", p99), ("max", max)] {
        finding.note(format!("overrun_{name}_ms"), overrun.as_secs_f64() * 1e3);
    }
    finding.require_time(run.effort, p99 <= P99, || format!("the overrun's p99 is {p99:?}, above {P99:?}"));
    finding.require_time(run.effort, max < EVER, || format!("the longest overrun is {max:?}, not under {EVER:?}"));
    if let Some(before) = threads {
        let left = threads_left(before);
        finding.note("threads_left", left);
        finding.require(left == 0, || format!("{left} threads did not end with their pipelines"));
    }
    Ok(finding)
}

fn race(seed: u64) -> anyhow::Result<Ended> {
    let Draw { cast, producers, head_start, deadline } = Draw::new(seed)?;
    let (telemetry, truths) = cast.start()?;
    let stream = telemetry.stream::<Reading>("load")?;
    let give_up = Instant::now() + PATIENCE;
    let (books, took, oks) = thread::scope(|scope| -> anyhow::Result<_> {
        let start = |producer| {
            let stream = stream.clone();
            scope.spawn(move || produce(producer, &stream, give_up))
        };
        let producers: Vec<_> = producers.into_iter().map(start).collect();
        wait_until(Instant::now() + head_start);
        let began = Instant::now();
        let books = telemetry.shutdown(deadline);
        let took = began.elapsed();
        let mut oks = 0;
        for producer in producers {
            oks += producer.join().map_err(|_| anyhow::anyhow!("a producer panicked"))??;
        }
        Ok((books, took, oks))
    })?;
    let mut faults = check(&books, oks);
    for ((name, statement), truth) in books.sinks.iter().zip(&truths) {
        let (said, taken) = (statement.account.delivered(), truth.taken());
        if said > taken {
            faults.push(format!("{name}: {said} are said to be delivered, it took {taken}"));
        }
    }
    faults.extend(stays(&telemetry, &books));
    for truth in &truths {
        truth.over.open();
    }
    let sum = |of: fn(&townlet_pipeline::Account) -> u64| books.sinks.iter().map(|(_, s)| of(&s.account)).sum();
    Ok(Ended {
        overrun: took.saturating_sub(deadline),
        accepted: sum(townlet_pipeline::Account::accepted),
        delivered: sum(townlet_pipeline::Account::delivered),
        dropped: sum(townlet_pipeline::Account::dropped),
        faults,
    })
}

/// Emits until it is refused; returns how often it was told `Ok`.
fn produce(mut producer: Producer, stream: &Stream<Reading>, give_up: Instant) -> anyhow::Result<u64> {
    let mut oks = 0;
    loop {
        for _ in 0..producer.dice.within(1..=producer.burst) {
            let event = Reading::at(oks);
            let emitted = match producer.dice.within(0..=2) {
                0 => stream.emit(tick_of(oks), event),
                1 => stream.emit_ref(tick_of(oks), &event),
                _ => stream.emit_encoded(tick_of(oks), encoded(oks)),
            };
            match emitted {
                Ok(_) => oks += 1,
                Err(EmitError::Closed) => return Ok(oks),
                Err(error) => return Err(error.into()),
            }
        }
        ensure!(Instant::now() < give_up, "emit goes on {} s after the race began", PATIENCE.as_secs());
        wait_until(Instant::now() + producer.dice.up_to(producer.pause));
    }
}

/// What is wrong with the books of a pipeline that took `oks` events over.
fn check(books: &FinalStatement, oks: u64) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, statement) in &books.sinks {
        let (accepted, buffered, residual) = (statement.account.accepted(), statement.buffered, statement.residual());
        if (residual, buffered) != (0, 0) {
            faults.push(format!("{name}: residual {residual}, buffered {buffered}"));
        }
        if accepted != oks {
            faults.push(format!("{name}: accepted {accepted}, emit returned Ok for {oks}"));
        }
    }
    faults
}

/// Final means final: nothing that comes later changes the books.
fn stays(telemetry: &Telemetry, books: &FinalStatement) -> Option<String> {
    let again = telemetry.shutdown(Duration::ZERO);
    let same = again.sinks == books.sinks && telemetry.statements() == books.sinks;
    (!same).then(|| format!("the final books have changed: {books:?}, then {again:?}"))
}

/// Threads of this process, where the system says so.
fn thread_count() -> Option<u64> {
    super::memory::status_of_self("Threads:")
}

/// Threads more than `before`, after a moment in which they may end.
fn threads_left(before: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let left = thread_count().unwrap_or(before).saturating_sub(before);
        if left == 0 || Instant::now() >= deadline {
            return left;
        }
        wait_until(Instant::now() + Duration::from_millis(20));
    }
}
