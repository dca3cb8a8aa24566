//! What comes by NATS: a thousand streams on one connection, and a backlog of large messages.

use std::path::Path;
use std::time::Duration;

use townlet_collector::nats::NatsSource;
use townlet_collector::store::StoreOptions;
use townlet_collector::{Collector, CollectorOptions, Security};
use townlet_nats::{NatsOptions, NewStream, Servers, Subject};
use townlet_testkit::event;
use townlet_testkit::nats::NatsServer;
use townlet_tls::PlaintextFlags;
use townlet_transport::{Frame, Label, Transport};
use townlet_transport_nats::{NatsTransport, NatsTransportOptions};

use crate::{ALLOCATOR, nobody_else, wait_for};

const STREAMS: usize = 1000;
const EVENTS: u64 = 3;

/// What an idle partition, and a stream of short lines, may keep. The figures measured are in
/// docs/guides/nats.md.
const PARTITION: usize = 48 * 1024;
const STREAM: usize = 4 * 1024;

fn options(url: &str) -> NatsOptions {
    let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    NatsOptions::new(Servers::parse(url).unwrap(), flags).unwrap()
}

fn subject(partitions: u32) -> Subject {
    Subject::parse("townlet.{partition}.{stream}", partitions).unwrap()
}

/// Publishes all of it over one connection, and is gone when it comes back.
fn publish(url: &str, partitions: u32, frames: impl Iterator<Item = Frame>) {
    let mut options = NatsTransportOptions::new(options(url)).unwrap();
    options.subject = subject(partitions);
    options.send_timeout = Duration::from_secs(30);
    options.create = Some(NewStream {
        subjects: vec![options.subject.filter(None)],
        replicas: 1,
        max_bytes: None,
        duplicate_window: Duration::from_secs(120),
    });
    let mut sink = NatsTransport::new(options).unwrap();
    sink.connect().unwrap();
    let frames: Vec<Frame> = frames.collect();
    for batch in frames.chunks(200) {
        sink.send(batch).unwrap();
        let mut settled = 0;
        while settled < batch.len() {
            let more = sink.receipts(Duration::from_secs(30)).unwrap();
            assert!(more > 0, "the server does not acknowledge");
            settled += more;
        }
    }
}

fn collector(dir: &Path, max_streams: usize, source: NatsSource) -> Collector {
    let address = "127.0.0.1:0".parse().unwrap();
    let options = CollectorOptions::new(address, Security::PlaintextOnLoopback);
    let options = CollectorOptions { max_streams, ..options.with_store(StoreOptions::new(dir)) };
    Collector::bind(options.with_nats(source)).unwrap()
}

fn source(url: &str, group: &str, partitions: u32) -> NatsSource {
    NatsSource { subject: subject(partitions), group: group.into(), ..NatsSource::new(options(url)).unwrap() }
}

fn pulls(collector: &Collector, partitions: usize) -> bool {
    collector.report().nats.is_some_and(|nats| nats.partitions.len() == partitions && nats.connected)
}

/// The lowest of some readings: what is under way is not kept.
fn kept() -> usize {
    let reading = |_| {
        std::thread::park_timeout(Duration::from_millis(20));
        ALLOCATOR.allocated()
    };
    (0..25).map(reading).min().unwrap()
}

#[test]
fn a_partition_and_a_stream_keep_little_and_streams_have_a_bound() {
    let _alone = nobody_else();
    if !NatsServer::is_there() {
        return;
    }
    let server = NatsServer::start("");
    let (dir, url) = (tempfile::tempdir().unwrap(), server.url());
    publish(&url, 64, std::iter::empty());
    // Idle: the difference of 60 partitions.
    let idle = [4, 64].map(|partitions| {
        let before = kept();
        let folder = dir.path().join(format!("idle-{partitions}"));
        let collector = collector(&folder, 4096, source(&url, &format!("idle-{partitions}"), partitions));
        wait_for("the partitions", || pulls(&collector, partitions as usize));
        let held = kept().saturating_sub(before);
        collector.shutdown(Duration::from_secs(20));
        held
    });
    let partition = idle[1].saturating_sub(idle[0]) / 60;
    // A thousand streams from one producer's connection, on ours.
    publish(&url, 4, (1..=EVENTS).flat_map(|seq| (0..STREAMS).map(move |n| event(&format!("shard-{n}.events"), seq))));
    let held = [4096, 300].map(|max_streams| {
        let before = kept();
        let folder = dir.path().join(format!("full-{max_streams}"));
        let collector = collector(&folder, max_streams, source(&url, &format!("full-{max_streams}"), 4));
        wait_for("the lines", || collector.report().totals.stored >= STREAMS as u64 * EVENTS);
        let held = kept().saturating_sub(before);
        let report = collector.report();
        assert!(report.streams.len() <= max_streams, "{} streams are in memory", report.streams.len());
        assert_eq!((report.totals.stored, report.missing), (STREAMS as u64 * EVENTS, 0));
        collector.shutdown(Duration::from_secs(20));
        held
    });
    let [all, some] = held.map(|held| held.saturating_sub(idle[0]));
    let stream = all / STREAMS;
    println!(
        "an idle partition keeps {partition} bytes, of a thousand streams each {stream}; with 300 in memory they keep \
         {some} in all"
    );
    assert!(partition < PARTITION, "{partition} bytes a partition");
    assert!(stream < STREAM, "{stream} bytes a stream");
    assert!(some < all / 3 * 2, "{some} bytes with 300 streams in memory, {all} with a thousand");
}

#[test]
fn a_backlog_takes_no_more_memory_than_its_batches() {
    const LENGTH: usize = 30_000;
    const MESSAGES: u64 = 1500;
    const PARTITIONS: u32 = 4;
    const BATCH: usize = 16;
    let _alone = nobody_else();
    if !NatsServer::is_there() {
        return;
    }
    let server = NatsServer::start("");
    let (dir, url) = (tempfile::tempdir().unwrap(), server.url());
    let large = |seq: u64| {
        let (stream, pad) = (format!("shard-{}", seq % 8), "x".repeat(LENGTH));
        let seq = seq / 8 + 1;
        let line = format!(
            "{{\"payload_type\":\"event\",\"run_id\":\"r\",\"stream\":\"{stream}\",\"seq\":{seq},\"tick\":1,\"pad\":\"{pad}\"}}\n"
        );
        Frame::new(Label::new("r", &stream), "event", seq, 1, line)
    };
    publish(&url, PARTITIONS, (0..MESSAGES).map(large));
    let before = kept();
    let source = NatsSource { batch: BATCH, ..source(&url, "backlog", PARTITIONS) };
    let collector = collector(dir.path(), 4096, source);
    let mut peak = 0;
    let begun = std::time::Instant::now();
    while collector.report().totals.stored < MESSAGES {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", collector.report());
        peak = peak.max(ALLOCATOR.allocated().saturating_sub(before));
        std::thread::park_timeout(Duration::from_millis(1));
    }
    assert_eq!(collector.shutdown(Duration::from_secs(20)).missing, 0);
    // What is taken, what was asked for meanwhile, and what waits for the disk: 256 KiB a stream.
    let batches = PARTITIONS as usize * BATCH * LENGTH * 3 + 8 * 256 * 1024;
    println!("at most {peak} bytes of a backlog of {}, {batches} are allowed for", MESSAGES as usize * LENGTH);
    assert!(peak < batches + 8 * 1024 * 1024, "{peak} bytes of memory");
}
