//! `burst`: more events at once than the queue holds, into a healthy sink.
//!
//! The far end reads the number that each event carries, so the account is held
//! against what arrived and not against what the pipeline says of itself.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use townlet_pipeline::{Account, Backpressure, DropReason, Options, SinkInfo, Telemetry};
use townlet_transport::{Connected, ErrorKind, Frame, Outcome, SendError, Transport, TransportError};
use townlet_transport_tcp::TcpTransport;

use super::gate::Gate;
use super::receiver::{Audit, Ids, Receiver, number_of};
use super::{Finding, Run};
use crate::destination::Destination;
use crate::ours::{lossless, plaintext};
use crate::rivals::{Otel, Pipeline, QUEUE_EVENTS};
use crate::workload::{FIRST_SAMPLE, Reading, tick_of};

/// The queue of the rival as it ships: with one as small, the newest survive and the others are lost.
const SMALL_QUEUE: usize = 2_048;

/// No drain of a burst takes so long; a machine that does is not measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// Events that the stage may have in hand, which cannot be evicted (documented by the pipeline).
const IN_HAND: u64 = 256;

#[derive(Clone, Copy)]
struct Size {
    events: u64,
    queue: usize,
    batch: usize,
}

pub(super) fn measure(run: &Run) -> anyhow::Result<Finding> {
    let events = run.effort.pick(4_000, 20_000, 200_000, 200_000);
    let size = Size { events, queue: run.effort.pick(1_000, 8_000, QUEUE_EVENTS, QUEUE_EVENTS), batch: 128 };
    let small = Size { queue: run.effort.pick(500, SMALL_QUEUE, SMALL_QUEUE, SMALL_QUEUE), ..size };
    let mut finding = Finding::default();
    finding.note("events", size.events);
    finding.note("queue_events", size.queue as u64);
    block("block", &size, &mut finding)?;
    oldest("drop_oldest", &size, &mut finding)?;
    oldest_of_a_late_sink(&size, &mut finding)?;
    finding.note("small_queue_events", small.queue as u64);
    block("block_small_queue", &small, &mut finding)?;
    oldest("drop_oldest_small_queue", &small, &mut finding)?;
    rival(&size, &mut finding, "otel_64k_queue", Otel::start)?;
    rival(&size, &mut finding, "otel_as_shipped", Otel::as_shipped)?;
    Ok(finding)
}

fn options(size: &Size, backpressure: Backpressure) -> Options {
    Options {
        backpressure,
        max_queue_length: size.queue,
        // The count is to bind, not the bytes.
        max_buffer_bytes: 256 << 20,
        max_batch_size: size.batch,
        ..lossless()
    }
}

fn block(name: &str, size: &Size, finding: &mut Finding) -> anyhow::Result<()> {
    let (account, audit, took) = burst(options(size, Backpressure::Block), size.events, None)?;
    let lost = size.events - audit.unique;
    finding.note(format!("{name}_lost"), lost);
    finding.note(format!("{name}_seconds"), took.as_secs_f64());
    finding.require(lost == 0, || format!("{name}: {lost} of {} events did not arrive", size.events));
    agrees(name, size.events, &account, &audit, finding);
    Ok(())
}

fn oldest(name: &str, size: &Size, finding: &mut Finding) -> anyhow::Result<()> {
    let (account, audit, took) = burst(options(size, Backpressure::DropOldest), size.events, None)?;
    finding.note(format!("{name}_delivered"), audit.unique);
    finding.note(format!("{name}_counted"), account.dropped_for(DropReason::Backpressure));
    finding.note(format!("{name}_newest_kept"), audit.unbroken_end);
    finding.note(format!("{name}_seconds"), took.as_secs_f64());
    // What the stage or the transport holds is older, and occupies room.
    let newest = (size.queue as u64).min(size.events).saturating_sub(IN_HAND + size.batch as u64);
    finding.require(audit.unbroken_end >= newest, || {
        format!("{name}: only the newest {} arrived without a gap, not {newest}", audit.unbroken_end)
    });
    only_backpressure(name, &account, finding);
    agrees(name, size.events, &account, &audit, finding);
    Ok(())
}

fn only_backpressure(name: &str, account: &Account, finding: &mut Finding) {
    let counted = account.dropped_for(DropReason::Backpressure);
    finding.require(account.dropped() == counted, || format!("{name}: other reasons too: {}", Drops(account)));
}

/// Its sink takes the first batch when the burst is over: then what is kept is
/// exactly the newest that fit, not one other.
fn oldest_of_a_late_sink(size: &Size, finding: &mut Finding) -> anyhow::Result<()> {
    let (account, audit, _) =
        burst(options(size, Backpressure::DropOldest), size.events, Some(Arc::new(Gate::default())))?;
    let fit = (size.queue as u64).min(size.events);
    finding.note("late_sink_kept", audit.unique);
    finding.note("late_sink_newest_kept", audit.unbroken_end);
    finding.note("late_sink_counted", account.dropped_for(DropReason::Backpressure));
    finding.require(audit.unique == fit && audit.unbroken_end == fit, || {
        format!("late sink: kept {} events, the newest {} without a gap, not {fit}", audit.unique, audit.unbroken_end)
    });
    only_backpressure("late sink", &account, finding);
    agrees("late sink", size.events, &account, &audit, finding);
    Ok(())
}

/// The statement says what happened: each event once, in order, or counted as dropped.
fn agrees(name: &str, events: u64, account: &Account, audit: &Audit, finding: &mut Finding) {
    let (delivered, dropped) = (account.delivered(), account.dropped());
    finding.require(account.accepted() == events, || format!("{name}: accepted {} of {events}", account.accepted()));
    finding.require(delivered == audit.unique, || format!("{name}: says {delivered} delivered, {} came", audit.unique));
    let missing = events - audit.unique;
    finding.require(dropped == missing, || format!("{name}: {missing} missing, counted {}", Drops(account)));
    let clean = (audit.duplicates, audit.late, audit.spurious) == (0, 0, 0);
    finding.require(clean, || format!("{name}: twice, late or spurious: {audit:?}"));
}

/// Emits as fast as one thread can; the time is from the first event to the end of shutdown.
fn burst(options: Options, events: u64, late: Option<Arc<Gate>>) -> anyhow::Result<(Account, Audit, Duration)> {
    let receiver = receiver()?;
    let to = plaintext(receiver.addr())?;
    let gate = late.clone();
    let make = move || -> Result<Box<dyn Transport>, TransportError> {
        let tcp = TcpTransport::new(to.clone())?;
        Ok(match &gate {
            None => Box::new(tcp),
            Some(gate) => Box::new(Late { tcp, gate: Arc::clone(gate) }),
        })
    };
    let telemetry = Telemetry::builder().sink(options, SinkInfo::new("tcp"), make).start()?;
    let stream = telemetry.stream("load")?;
    let began = Instant::now();
    for n in 0..events {
        stream.emit(tick_of(n), Reading::at(n))?;
        if let (0, Some(gate)) = (n, &late) {
            ensure!(gate.is_awaited(PATIENCE), "the sink did not try to connect");
        }
    }
    if let Some(gate) = late {
        gate.open();
    }
    let books = telemetry.shutdown(PATIENCE);
    let took = began.elapsed();
    ensure!(took < PATIENCE, "the burst was not drained within {} s", PATIENCE.as_secs());
    ensure!(books.residual() == 0, "the books do not balance: {books:?}");
    let (_, statement) = books.sinks.first().context("a pipeline without a sink")?;
    Ok((statement.account, receiver.finish()?.audit(events), took))
}

fn receiver() -> anyhow::Result<Receiver<Ids>> {
    Receiver::start(Ids::default(), |ids: &mut Ids, line: &[u8]| {
        match number_of(line, "sample").and_then(|sample| sample.checked_sub(FIRST_SAMPLE)) {
            Some(id) => ids.came.push(id),
            None => ids.garbled += 1,
        }
    })
}

/// The measured peer under the same burst: what it lost, and what it said at its end.
fn rival(
    size: &Size,
    finding: &mut Finding,
    name: &str,
    start: impl FnOnce(&Destination) -> anyhow::Result<Otel>,
) -> anyhow::Result<()> {
    let receiver = receiver()?;
    let rival = Box::new(start(&Destination::Tcp(receiver.addr()))?);
    rival.produce((0..size.events).step_by(1))?;
    let said = match rival.finish() {
        Ok(()) => "Ok(())".to_owned(),
        Err(error) => format!("Err({error:#})"),
    };
    let audit = receiver.finish()?.audit(size.events);
    finding.note(format!("{name}_lost_per_cent"), (size.events - audit.unique) as f64 * 100.0 / size.events as f64);
    finding.note(format!("{name}_shutdown"), said);
    Ok(())
}

/// A sink that is reached only when the gate opens.
struct Late {
    tcp: TcpTransport,
    gate: Arc<Gate>,
}

impl Transport for Late {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        if self.gate.pass(PATIENCE) {
            self.tcp.connect()
        } else {
            Err(TransportError::new(ErrorKind::Timeout, "the burst did not end"))
        }
    }

    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        self.tcp.send(batch)
    }

    fn flush(&mut self) -> Result<(), TransportError> {
        self.tcp.flush()
    }

    fn close(&mut self) {
        self.tcp.close();
    }
}

/// Drops by reason.
struct Drops<'a>(&'a Account);

impl fmt::Display for Drops<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.dropped())?;
        self.0.drops().try_for_each(|(reason, n)| write!(f, ", {reason} {n}"))
    }
}
