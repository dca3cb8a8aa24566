//! From `emit` to a file or a peer, unthrottled and lossless.

use std::sync::Barrier;
use std::time::Instant;

use anyhow::ensure;

use crate::destination::{Arrival, Destination, Ground, Medium};
use crate::measure::{Contender, Rounds, Sample, process_cpu};
use crate::ours::{Ours, Transforms, Way, defaults_but_lossless, lossless};
use crate::rivals::{Appender, FlumeBytes, FlumeValues, MutexBatchPipeline, Otel, Pipeline};
use crate::scale::Scale;

/// Whether a rival writes our envelope too.
const BARE: bool = false;
const OURS: bool = true;

type Start<'a> = Box<dyn Fn(&Destination) -> anyhow::Result<Box<dyn Pipeline>> + 'a>;

/// To a file, by 1 and 4 producers.
pub fn to_files(scale: &Scale, ground: &Ground) -> anyhow::Result<Vec<(&'static str, Rounds)>> {
    let run = |producers| compare(scale, ground, Medium::File, producers, scale.file_events, with_all());
    Ok(vec![("to a file, 1 producer", run(1)?), ("to a file, 4 producers", run(4)?)])
}

/// Over loopback TCP and TLS 1.3, by 1 and 4 producers.
pub fn over_sockets(scale: &Scale, ground: &Ground) -> anyhow::Result<Vec<(&'static str, Rounds)>> {
    let run = |medium, producers| {
        let contenders = with_all().into_iter().filter(|(name, ..)| !name.starts_with("flume")).collect();
        compare(scale, ground, medium, producers, scale.socket_events, contenders)
    };
    Ok(vec![
        ("over TCP, 1 producer", run(Medium::Tcp, 1)?),
        ("over TCP, 4 producers", run(Medium::Tcp, 4)?),
        ("over TLS, 1 producer", run(Medium::Tls, 1)?),
        ("over TLS, 4 producers", run(Medium::Tls, 4)?),
    ])
}

fn with_all<'a>() -> Vec<(&'static str, bool, Start<'a>)> {
    fn boxed<P: Pipeline + 'static>(pipeline: anyhow::Result<P>) -> anyhow::Result<Box<dyn Pipeline>> {
        Ok(Box::new(pipeline?))
    }
    let lossless_too = true;
    vec![
        (
            "ours, no transforms",
            lossless_too,
            Box::new(|to| boxed(Ours::start(to, lossless(), Transforms::Off, Way::Owned))),
        ),
        ("ours", lossless_too, Box::new(|to| boxed(Ours::start(to, lossless(), Transforms::Default, Way::Owned)))),
        (
            "ours, encoded by the producer",
            lossless_too,
            Box::new(|to| boxed(Ours::start(to, lossless(), Transforms::Off, Way::Encoded))),
        ),
        (
            "ours, default buffers",
            lossless_too,
            Box::new(|to| boxed(Ours::start(to, defaults_but_lossless(), Transforms::Off, Way::Owned))),
        ),
        ("flume + BufWriter", lossless_too, Box::new(|to| boxed(FlumeBytes::start(to, BARE)))),
        ("flume + BufWriter, our lines", lossless_too, Box::new(|to| boxed(FlumeBytes::start(to, OURS)))),
        ("flume of values", lossless_too, Box::new(|to| boxed(FlumeValues::start(to)))),
        ("mutex-batch", lossless_too, Box::new(|to| boxed(MutexBatchPipeline::start(to, BARE)))),
        ("mutex-batch, our lines", lossless_too, Box::new(|to| boxed(MutexBatchPipeline::start(to, OURS)))),
        ("tracing-appender", lossless_too, Box::new(|to| boxed(Appender::start(to)))),
        ("opentelemetry_sdk", false, Box::new(|to| boxed(Otel::start(to)))),
    ]
}

fn compare(
    scale: &Scale,
    ground: &Ground,
    medium: Medium,
    producers: u64,
    events: u64,
    contenders: Vec<(&'static str, bool, Start<'_>)>,
) -> anyhow::Result<Rounds> {
    let contenders = contenders.into_iter().map(|(name, keeps_all, start)| {
        Contender::new(name, move || {
            let (to, arrival) = ground.open(medium)?;
            let sample = run(start(&to)?, arrival, producers, events)?;
            ensure!(!keeps_all || sample["lost"] == 0.0, "{name} lost {} of {events} events", sample["lost"]);
            Ok(sample)
        })
    });
    scale.compare(contenders.collect())
}

/// From the first `emit` until the last byte is with the kernel, or with the peer.
fn run(pipeline: Box<dyn Pipeline>, arrival: Arrival, producers: u64, events: u64) -> anyhow::Result<Sample> {
    let start = Barrier::new(producers as usize + 1);
    let (began, cpu) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let threads: Vec<_> = (0..producers)
            .map(|first| {
                let (pipeline, start) = (&pipeline, &start);
                scope.spawn(move || {
                    start.wait();
                    pipeline.produce((first..events).step_by(producers as usize))
                })
            })
            .collect();
        let (began, cpu) = (Instant::now(), process_cpu());
        start.wait();
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a producer panicked"))??;
        }
        Ok((began, cpu))
    })?;
    pipeline.finish()?;
    let arrived = arrival.wait()?;
    let (took, cpu) = (began.elapsed().as_secs_f64(), process_cpu().saturating_sub(cpu));
    let (lines, bytes) = arrived.count()?;
    Ok(Sample::from([
        ("events_per_s", lines as f64 / took),
        ("mb_per_s", bytes as f64 / took / 1e6),
        ("cpu_us_per_event", cpu.as_secs_f64() * 1e6 / lines.max(1) as f64),
        ("bytes_per_event", bytes as f64 / lines.max(1) as f64),
        ("lost", events.saturating_sub(lines) as f64),
    ]))
}
