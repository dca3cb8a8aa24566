//! How fast events go through the real `nats-server` into collectors on this machine:
//! `cargo run -p townlet-collector --example nats`, with the number of events behind it.
//!
//! Producers, servers and collectors share its processors, so the figures are what the
//! whole way costs, and no limit of any part of it.
#![expect(clippy::unwrap_used, reason = "a measurement stops where something is wrong")]

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use townlet_collector::nats::{Member, NatsSource};
use townlet_collector::store::StoreOptions;
use townlet_collector::{Collector, CollectorOptions, Security};
use townlet_nats::{NatsOptions, NewStream, Servers};
use townlet_testkit::event;
use townlet_testkit::nats::{NatsCluster, NatsServer};
use townlet_tls::PlaintextFlags;
use townlet_transport::{Frame, Transport};
use townlet_transport_nats::{NatsTransport, NatsTransportOptions};

const SHARDS: u64 = 16;
const PRODUCERS: u64 = 2;

fn options(url: &str) -> NatsOptions {
    let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    NatsOptions::new(Servers::parse(url).unwrap(), flags).unwrap()
}

fn transport(url: &str, replicas: usize) -> NatsTransport {
    let mut options = NatsTransportOptions::new(options(url)).unwrap();
    options.send_timeout = Duration::from_secs(30);
    options.create = Some(NewStream {
        subjects: vec![options.subject.filter(None)],
        replicas,
        max_bytes: None,
        duplicate_window: Duration::from_secs(120),
    });
    NatsTransport::new(options).unwrap()
}

/// Publishes frames in batches of 500, with up to 4096 in flight.
fn publish(url: &str, replicas: usize, frames: &[Frame]) {
    let mut sink = transport(url, replicas);
    sink.connect().unwrap();
    let mut settled = 0;
    for batch in frames.chunks(500) {
        sink.send(batch).unwrap();
        settled += sink.receipts(Duration::ZERO).unwrap();
    }
    while settled < frames.len() {
        settled += sink.receipts(Duration::from_secs(30)).unwrap();
    }
}

fn measure(name: &str, url: &str, replicas: usize, members: u32, events: u64) {
    // The stream is there before the clock runs.
    transport(url, replicas).connect().unwrap();
    let run = |producer: u64| -> Vec<Frame> {
        let shards = (1..=SHARDS).filter(|shard| shard % PRODUCERS == producer);
        let all = shards.flat_map(|shard| {
            let stream = format!("{name}-{members}-shard-{shard}.events");
            (1..=events / SHARDS).map(move |seq| event(&stream, seq))
        });
        all.collect()
    };
    let work: Vec<Vec<Frame>> = (0..PRODUCERS).map(run).collect();
    let total: u64 = work.iter().map(|frames| frames.len() as u64).sum();
    let begun = Instant::now();
    thread::scope(|scope| work.iter().for_each(|frames| drop(scope.spawn(move || publish(url, replicas, frames)))));
    let published = begun.elapsed();

    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let collectors: Vec<Collector> = (1..=members)
        .map(|number| {
            let source = NatsSource {
                group: format!("{name}-{members}"),
                member: Member::new(number, members).unwrap(),
                heartbeat: Duration::from_millis(50),
                ..NatsSource::new(options(url)).unwrap()
            };
            let listen = SocketAddr::from(([127, 0, 0, 1], 0));
            let store = StoreOptions::new(folder.path().join(number.to_string()));
            let options = CollectorOptions::new(listen, Security::PlaintextOnLoopback).with_store(store);
            Collector::bind(options.with_nats(source)).unwrap()
        })
        .collect();
    // A group of its own reads the stream from its beginning.
    let stored = || -> u64 {
        let mine = |stream: &&townlet_collector::StreamReport| {
            stream.stream.as_deref().is_some_and(|of| of.starts_with(&format!("{name}-{members}-")))
        };
        let of =
            |collector: &Collector| collector.report().streams.iter().filter(mine).map(|one| one.stored).sum::<u64>();
        collectors.iter().map(of).sum()
    };
    while stored() < total {
        assert!(begun.elapsed() < Duration::from_secs(300), "{} of {total}", stored());
        thread::park_timeout(Duration::from_millis(20));
    }
    let collected = begun.elapsed();
    let read: u64 = collectors.iter().map(|collector| collector.report().totals.lines).sum();
    collectors.into_iter().for_each(|collector| drop(collector.shutdown(Duration::from_secs(10))));
    #[expect(clippy::cast_precision_loss, reason = "figures to be read")]
    let rate = |count: u64, took: Duration| count as f64 / took.as_secs_f64();
    println!(
        "{name:<10} {members} collector(s): {total} events published and acknowledged at {:>6.0}/s, {read} read and stored at {:>6.0}/s",
        rate(total, published),
        rate(read, collected)
    );
}

fn main() {
    if !NatsServer::is_there() {
        return;
    }
    let events = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(40_000);
    for members in [1, 2] {
        let server = NatsServer::start("");
        measure("one-node", &server.url(), 1, members, events);
    }
    for members in [1, 2] {
        let cluster = NatsCluster::start("");
        measure("three-R3", &cluster.urls(), 3, members, events);
    }
}
