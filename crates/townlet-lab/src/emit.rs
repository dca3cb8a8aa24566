//! What one call costs the loop.

use std::io::Write;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use townlet_pipeline::{Options, Stream, Telemetry};
use townlet_schema::encode_into;

use crate::measure::{Contender, Pace, Rounds, Sample, time_calls};
use crate::ours::{Transforms, end, into_nothing, lossless};
use crate::rivals::{Appender, MutexBatch, Pipeline, QUEUE_EVENTS, null_logger};
use crate::scale::Scale;
use crate::workload::{EVENTS_PER_TICK, Reading, encoded, tick_of};

/// 100,000 calls a second.
const PACED: Pace = Pace::Every(Duration::from_micros(10));

/// 12 KB each is 10,000 calls a second: what a worker can still encode and check.
const PACED_LARGE: Pace = Pace::Every(Duration::from_micros(100));

/// Events made ahead, so that their making is not timed.
const POOL: u64 = 1024;

/// The comparisons, by name: paced and in a burst.
pub fn measure(scale: &Scale) -> anyhow::Result<Vec<(&'static str, Rounds)>> {
    let pool: Vec<Reading> = (0..POOL).map(Reading::at).collect();
    let small: Vec<Bytes> = (0..POOL).map(encoded).collect();
    let large = vec![large_body()];
    let calls = |pace| if pace == Pace::Burst { scale.burst_calls } else { scale.paced_calls };
    let mut all = Vec::new();
    for (name, pace) in [("emit owned, paced", PACED), ("emit owned, burst", Pace::Burst)] {
        all.push((name, owned(scale, pace, calls(pace), &pool)?));
    }
    for (name, pace) in [("emit ready 265 B, paced", PACED), ("emit ready 265 B, burst", Pace::Burst)] {
        all.push((name, ready(scale, pace, calls(pace), &small)?));
    }
    all.push(("emit ready 12 KB, paced", ready(scale, PACED_LARGE, scale.large_calls, &large)?));
    for (name, pace) in [("emit encoded here, paced", PACED), ("emit encoded here, burst", Pace::Burst)] {
        all.push((name, encoded_here(scale, pace, calls(pace), &pool)?));
    }
    Ok(all)
}

fn owned(scale: &Scale, pace: Pace, calls: u64, pool: &[Reading]) -> anyhow::Result<Rounds> {
    let value = |n: u64| pool[(n % POOL) as usize].clone();
    let contenders = vec![
        Contender::new("ours", || {
            with_pipeline(calls, |stream| {
                time_calls(pace, calls, value, |n, v| assert_taken(stream.emit(tick_of(n), v)))
            })
        }),
        Contender::new("ours, a tick a ms", || {
            let per_tick = EVENTS_PER_TICK / 10;
            with_pipeline(calls, |stream| {
                time_calls(pace, calls, value, |n, v| assert_taken(stream.emit(n / per_tick, v)))
            })
        }),
        Contender::new("flume move", || {
            let (sender, drain) = drained_channel(Drain::Looking);
            warm_up(&sender, calls, value);
            let latencies = time_calls(pace, calls, value, |_, v| assert_sent(sender.send(v)));
            finish(sender, drain);
            Ok(latencies.sample())
        }),
        Contender::new("flume move, with its wake-up", || {
            let (sender, drain) = drained_channel(Drain::Woken);
            warm_up(&sender, calls, value);
            let latencies = time_calls(pace, calls, value, |_, v| assert_sent(sender.send(v)));
            finish(sender, drain);
            Ok(latencies.sample())
        }),
        Contender::new("opentelemetry_sdk", || {
            let otel = null_logger();
            (0..calls.min(10_000)).for_each(|n| otel.emit(&pool[(n % POOL) as usize]));
            let latencies = time_calls(pace, calls, |n| &pool[(n % POOL) as usize], |_, event| otel.emit(event));
            Box::new(otel).finish()?;
            Ok(latencies.sample())
        }),
    ];
    scale.compare(contenders)
}

fn ready(scale: &Scale, pace: Pace, calls: u64, bodies: &[Bytes]) -> anyhow::Result<Rounds> {
    let body = |n: u64| bodies[n as usize % bodies.len()].clone();
    let contenders = vec![
        Contender::new("ours", || {
            with_pipeline(calls, |stream| {
                time_calls(pace, calls, body, |n, b| assert_taken(stream.emit_encoded(tick_of(n), b)))
            })
        }),
        Contender::new("flume of ready bytes", || {
            let (sender, drain) = drained_channel(Drain::Looking);
            warm_up(&sender, calls, body);
            let latencies = time_calls(pace, calls, body, |_, b| assert_sent(sender.send(b)));
            finish(sender, drain);
            Ok(latencies.sample())
        }),
    ];
    scale.compare(contenders)
}

fn encoded_here(scale: &Scale, pace: Pace, calls: u64, pool: &[Reading]) -> anyhow::Result<Rounds> {
    let event = |n: u64| &pool[(n % POOL) as usize];
    let contenders = vec![
        Contender::new("ours", || {
            with_pipeline(calls, |stream| {
                time_calls(pace, calls, event, |n, e| assert_taken(stream.emit_ref(tick_of(n), e)))
            })
        }),
        Contender::new("serialising alone", || {
            let mut out = Vec::with_capacity(1024);
            let latencies = time_calls(pace, calls, event, |_, e| {
                out.clear();
                encode(e, &mut out);
            });
            Ok(latencies.sample())
        }),
        Contender::new("flume of encoded bytes", || {
            let (sender, drain) = drained_channel(Drain::Woken);
            warm_up(&sender, calls, |_| Vec::new());
            let latencies = time_calls(pace, calls, event, |_, e| {
                let mut line = Vec::with_capacity(320);
                encode(e, &mut line);
                assert_sent(sender.send(line));
            });
            finish(sender, drain);
            Ok(latencies.sample())
        }),
        Contender::new("mutex-batch", || {
            let queue = MutexBatch::default();
            let latencies = std::thread::scope(|scope| {
                let writer = scope.spawn(|| queue.drain(std::io::sink()));
                (0..calls.min(10_000)).for_each(|n| queue.push(|out| encode(event(n), out)));
                let latencies = time_calls(pace, calls, event, |_, e| queue.push(|out| encode(e, out)));
                queue.close();
                writer.join().map(|_| latencies)
            });
            Ok(latencies.map_err(|_| anyhow::anyhow!("the mutex-batch writer panicked"))?.sample())
        }),
        Contender::new("tracing-appender", || {
            let appender = Appender::over(std::io::sink());
            let (mut writer, mut line) = (appender.writer.clone(), Vec::with_capacity(1024));
            let latencies = time_calls(pace, calls, event, |_, e| {
                line.clear();
                encode(e, &mut line);
                // Its channel is open as long as `appender` lives.
                let _ = writer.write_all(&line);
            });
            Box::new(appender).finish()?;
            Ok(latencies.sample())
        }),
    ];
    scale.compare(contenders)
}

/// Runs `timed` on a pipeline in its steady state: every buffer has its size.
fn with_pipeline(
    calls: u64,
    timed: impl FnOnce(&Stream<Reading>) -> crate::measure::Latencies,
) -> anyhow::Result<Sample> {
    // Room for all of a burst, so that the figure is that of a call and not of the writer.
    let telemetry = into_nothing(Options { max_buffer_bytes: 256 << 20, ..lossless() }, Transforms::Default)?;
    let stream = telemetry.stream::<Reading>("load")?;
    for n in 0..calls.min(QUEUE_EVENTS as u64 / 2) {
        stream.emit(0, Reading::at(n))?;
    }
    settle(&telemetry);
    let latencies = timed(&stream);
    end(&telemetry)?;
    Ok(latencies.sample())
}

/// Waits until nothing is buffered.
fn settle(telemetry: &Telemetry) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while telemetry.statements().iter().any(|(_, s)| s.buffered > 0) && std::time::Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// How a channel's receiver learns that something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    /// It sleeps in `recv`, so a paced sender pays for waking it nearly every time.
    Woken,
    /// It looks every millisecond, so sending is the raw move.
    Looking,
}

fn drained_channel<T: Send + 'static>(drain: Drain) -> (flume::Sender<T>, JoinHandle<()>) {
    let (sender, values) = flume::bounded::<T>(QUEUE_EVENTS);
    let thread = std::thread::spawn(move || match drain {
        Drain::Woken => values.iter().for_each(drop),
        Drain::Looking => loop {
            match values.try_recv() {
                Ok(value) => drop(value),
                Err(flume::TryRecvError::Empty) => std::thread::park_timeout(Duration::from_millis(1)),
                Err(flume::TryRecvError::Disconnected) => break,
            }
        },
    });
    (sender, thread)
}

fn warm_up<T>(sender: &flume::Sender<T>, calls: u64, value: impl Fn(u64) -> T) {
    for n in 0..calls.min(QUEUE_EVENTS as u64 / 2) {
        assert_sent(sender.send(value(n)));
    }
    while !sender.is_empty() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn finish<T>(sender: flume::Sender<T>, drain: JoinHandle<()>) {
    drop(sender);
    // A drain that panicked has failed a send, which was asserted.
    let _ = drain.join();
}

#[track_caller]
fn assert_taken<E: std::fmt::Debug>(emitted: Result<townlet_pipeline::Emitted, E>) {
    debug_assert!(matches!(&emitted, Ok(e) if e.dropped.is_none()), "{emitted:?}");
    std::hint::black_box(emitted).map(drop).unwrap_or_default();
}

#[track_caller]
fn assert_sent<T>(sent: Result<(), flume::SendError<T>>) {
    debug_assert!(sent.is_ok(), "the draining thread is gone");
}

fn encode(event: &Reading, out: &mut Vec<u8>) {
    // A reading has no float that JSON cannot say.
    let encoded = encode_into(std::hint::black_box(event), out);
    debug_assert!(encoded.is_ok());
}

/// An event whose payload has about 12 KB.
fn large_body() -> Bytes {
    let mut body = br#"{"event":"town.state","payload":"#.to_vec();
    // A town's snapshot has no float that JSON cannot say.
    let _ = encode_into(&crate::workload::snapshot(), &mut body);
    body.push(b'}');
    Bytes::from(body)
}
