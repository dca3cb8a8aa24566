//! Snapshots, and what the default transforms cost.

use std::hint::black_box;
use std::time::{Duration, Instant};

use townlet_pipeline::Telemetry;
use townlet_schema::{Json, Kind, Snapshot, encode_into};
use townlet_state::{Cadence, State, StateEncoder};
use townlet_transform::{Chain, Head, Record};

use crate::measure::{Contender, Latencies, Pace, Rounds, Sample, process_cpu, time_calls};
use crate::ours::{Transforms, end, into_nothing, lossless};
use crate::scale::Scale;
use crate::workload::{Reading, encoded, encoded_len, shipped_event, snapshot, walk};

/// A snapshot's way through `emit`, beside serialising it.
pub fn snapshots(scale: &Scale) -> anyhow::Result<Rounds> {
    let (town, pace) = (snapshot(), Pace::Every(Duration::from_micros(500)));
    let calls = scale.snapshots;
    let bytes = encoded_len(&town) as f64;
    let with_bytes = |mut sample: Sample| {
        sample.insert("bytes", bytes);
        sample
    };
    let contenders = vec![
        Contender::new("emit_snapshot", || {
            let telemetry = into_nothing(lossless(), Transforms::Default)?;
            let copy = |_| town.clone();
            let latencies = time_calls(pace, calls, copy, |n, snapshot| {
                let emitted = telemetry.emit_snapshot(n, snapshot);
                debug_assert!(emitted.is_ok());
            });
            end(&telemetry)?;
            Ok(with_bytes(latencies.sample()))
        }),
        Contender::new("serialising", || {
            let mut out = Vec::with_capacity(64 * 1024);
            let latencies = time_calls(pace, calls, |_| &town, |_, snapshot| encode(snapshot, &mut out));
            Ok(with_bytes(latencies.sample()))
        }),
        Contender::new("encode and transform", || {
            let mut chain = Chain::standard()?;
            let mut body = Vec::with_capacity(64 * 1024);
            let mut refused = 0;
            let latencies = time_calls(
                pace,
                calls,
                |_| &town,
                |tick, snapshot| {
                    let mut text = std::mem::take(&mut body);
                    encode(snapshot, &mut text);
                    let head = Head::new(Kind::Snapshot, "town", tick);
                    let record = Record::encoded(head, text).map(Record::proven_by_type);
                    match record.and_then(|record| chain.run(record)) {
                        Ok(redacted) => body = redacted.into_body(),
                        Err(_) => refused += 1,
                    }
                },
            );
            anyhow::ensure!(refused == 0, "the default transforms refused {refused} snapshots of the town");
            Ok(with_bytes(latencies.sample()))
        }),
    ];
    scale.compare(contenders)
}

/// What a worker does with the states of consecutive ticks, beside serialising them.
pub fn states(scale: &Scale) -> anyhow::Result<Rounds> {
    let (walk, pace) = (walk(64), Pace::Every(Duration::from_micros(500)));
    let calls = scale.snapshots;
    let town = |n: u64| &walk[(n % walk.len() as u64) as usize];
    let bytes = walk.iter().map(|state| encoded_len(state) as f64).sum::<f64>() / walk.len() as f64;
    let measured = |latencies: Latencies| {
        let mut sample = latencies.sample();
        sample.insert("bytes", bytes);
        sample
    };
    let contenders = vec![
        Contender::new("serialising", || {
            let mut out = Vec::with_capacity(64 * 1024);
            Ok(measured(time_calls(pace, calls, town, |_, state| encode(state, &mut out))))
        }),
        Contender::new("redact and diff", || worker(true, calls, town).map(measured)),
        Contender::new("redact and write whole", || worker(false, calls, town).map(measured)),
    ];
    scale.compare(contenders)
}

/// The way of a state from the host's value to a peer's line: the tree, the default
/// transforms, and what this peer does not have.
fn worker<'s>(diffs: bool, calls: u64, state: impl Fn(u64) -> &'s Snapshot) -> anyhow::Result<Latencies> {
    let mut chain = Chain::standard()?;
    let mut peer = StateEncoder::new(Cadence::default());
    let mut body = Vec::with_capacity(64 * 1024);
    let mut refused = 0;
    let latencies = time_calls(Pace::Every(Duration::from_micros(500)), calls, state, |n, state| {
        body.clear();
        let tree = Json::from_serialize(black_box(state)).ok();
        let tree = tree.and_then(|tree| if let Json::Object(tree) = tree { Some(tree) } else { None });
        let record = tree.and_then(|tree| Record::from_tree(Head::new(Kind::Snapshot, "town", n), tree).ok());
        match record.and_then(|record| chain.run_to_tree(record.proven_by_type()).ok()) {
            // `n` counts from 0, states from 1.
            Some(tree) => {
                if !diffs {
                    peer.request_keyframe();
                }
                peer.render(&State::new(n + 1, n, tree.into_tree()), &mut body);
            }
            None => refused += 1,
        }
    });
    anyhow::ensure!(refused == 0, "the default transforms refused {refused} states of the town");
    Ok(latencies)
}

fn encode(snapshot: &Snapshot, out: &mut Vec<u8>) {
    out.clear();
    let encoded = encode_into(black_box(snapshot), out);
    debug_assert!(encoded.is_ok());
}

/// Rates through the whole pipeline into a sink that keeps nothing, transforms on and off.
pub fn transforms(scale: &Scale) -> anyhow::Result<Vec<(&'static str, Rounds)>> {
    let n = scale.transformed;
    let town = snapshot();
    let shipped = shipped_event();
    let shipped_len = encoded_len(&shipped);
    let free: Vec<_> = (0..n).map(|i| Reading::at(i).free_form()).collect();
    let bodies: Vec<_> = (0..n).map(encoded).collect();
    let bytes = |len: usize, n: u64| (len as u64 * n) as f64;
    Ok(vec![
        (
            "transforms, shipped event",
            on_and_off(scale, n, bytes(shipped_len, n), |telemetry| {
                let stream = telemetry.stream("policy")?;
                let values = vec![shipped.clone(); n as usize];
                Ok(Box::new(move || Ok(values.into_iter().try_for_each(|v| stream.emit(1, v).map(drop))?)))
            })?,
        ),
        (
            "transforms, shipped snapshot",
            on_and_off(scale, scale.snapshots, bytes(encoded_len(&town), scale.snapshots), |telemetry| {
                let (telemetry, values) = (telemetry.clone(), vec![town.clone(); scale.snapshots as usize]);
                Ok(Box::new(move || {
                    Ok(values.into_iter().try_for_each(|v| telemetry.emit_snapshot(1, v).map(drop))?)
                }))
            })?,
        ),
        (
            "transforms, free-form tree",
            on_and_off(scale, n, bytes(encoded_len(&free[0]), n), |telemetry| {
                let (telemetry, values) = (telemetry.clone(), free.clone());
                Ok(Box::new(move || {
                    Ok(values.into_iter().try_for_each(|v| telemetry.emit_named("agent.reading", 1, v).map(drop))?)
                }))
            })?,
        ),
        (
            "transforms, host's own JSON",
            on_and_off(scale, n, bytes(bodies[0].len(), n), |telemetry| {
                let (stream, values) = (telemetry.stream::<Reading>("load")?, bodies.clone());
                Ok(Box::new(move || Ok(values.into_iter().try_for_each(|v| stream.emit_encoded(1, v).map(drop))?)))
            })?,
        ),
        (
            "transforms, host's own type",
            on_and_off(scale, n, bytes(bodies[0].len(), n), |telemetry| {
                let stream = telemetry.stream::<Reading>("load")?;
                let values: Vec<_> = (0..n).map(Reading::at).collect();
                Ok(Box::new(move || Ok(values.into_iter().try_for_each(|v| stream.emit(1, v).map(drop))?)))
            })?,
        ),
    ])
}

type Emit = Box<dyn FnOnce() -> anyhow::Result<()>>;

fn on_and_off(
    scale: &Scale,
    events: u64,
    bytes: f64,
    prepare: impl Fn(&Telemetry) -> anyhow::Result<Emit>,
) -> anyhow::Result<Rounds> {
    let run = |transforms| -> anyhow::Result<Sample> {
        let telemetry = into_nothing(lossless(), transforms)?;
        let emit = prepare(&telemetry)?;
        let (began, cpu) = (Instant::now(), process_cpu());
        emit()?;
        end(&telemetry)?;
        let (took, cpu) = (began.elapsed().as_secs_f64(), process_cpu().saturating_sub(cpu));
        Ok(Sample::from([
            ("events_per_s", events as f64 / took),
            ("mb_per_s", bytes / took / 1e6),
            ("cpu_us_per_event", cpu.as_secs_f64() * 1e6 / events as f64),
        ]))
    };
    let contenders =
        vec![Contender::new("on", || run(Transforms::Default)), Contender::new("off", || run(Transforms::Off))];
    scale.compare(contenders)
}
