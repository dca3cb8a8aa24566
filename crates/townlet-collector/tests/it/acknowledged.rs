//! Acknowledged TCP from end to end: the real worker and transport, TLS, a
//! network that fails, the real collector and its store. Every line is stored
//! once, in order, whatever is lost on the way, and the books of both ends agree.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use townlet_collector::{Collector, CollectorReport};
use townlet_testkit::certs::{Leaf, Pki};
use townlet_testkit::event;
use townlet_testkit::peer::{Behaviour, Peer, PeerTls};
use townlet_tls::{ClientOptions, Endpoint};
use townlet_transport::{Level, Transport};
use townlet_transport_tcp::{Security, TcpOptions, TcpTransport};
use townlet_worker::{Backpressure, Offer, Options, Statement, Worker};

use crate::relay::Relay;
use crate::support::*;

const STREAM: &str = "town.events";

/// A worker that settles frames when they are acknowledged, and drops none.
pub(crate) fn worker(address: SocketAddr, pki: &Pki, change: impl FnOnce(&mut Options)) -> Worker {
    let client = ClientOptions { ca_file: Some(pki.ca_file().to_owned()), ..ClientOptions::default() };
    let endpoint = Endpoint::parse(&format!("localhost:{}", address.port())).unwrap();
    let tcp = TcpOptions { send_timeout: PATIENCE, ..TcpOptions::new(endpoint, Security::Tls(client)) };
    let mut options = Options {
        max_buffer_bytes: 8 << 20,
        flush_interval: Duration::from_millis(5),
        backpressure: Backpressure::Block,
        block_timeout: PATIENCE,
        backoff: Duration::from_millis(5),
        max_backoff: Duration::from_millis(50),
        settle_at: Level::PeerAcked,
        ack_timeout: PATIENCE,
        ..Options::default()
    };
    change(&mut options);
    Worker::spawn(options, move || Ok(Box::new(TcpTransport::new(tcp.clone())?) as Box<dyn Transport>)).unwrap()
}

fn default_worker(address: SocketAddr, pki: &Pki) -> Worker {
    worker(address, pki, |_| {})
}

pub(crate) fn offer(worker: &Worker, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        assert_eq!(worker.offer(event(STREAM, seq)), Offer::Accepted);
    }
}

/// Waits until the worker has so many lines acknowledged.
pub(crate) fn delivered(worker: &Worker, count: u64) -> Statement {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let statement = worker.statement();
        if statement.account.delivered() == count {
            return statement;
        }
        assert!(Instant::now() < deadline, "still waiting for {count}: {:?}", worker.status());
        std::thread::yield_now();
    }
}

/// Ends the worker; its books must balance, with everything acknowledged.
pub(crate) fn end(worker: &Worker, count: u64) {
    let statement = worker.shutdown(PATIENCE);
    assert_eq!(statement.residual(), 0, "{statement:?}");
    let account = &statement.account;
    assert_eq!((account.accepted(), account.dropped()), (count, 0), "{statement:?}");
    assert_eq!(account.delivered_at(Level::PeerAcked), count, "{statement:?}");
}

/// The store holds exactly these lines, in their order.
pub(crate) fn assert_stored(dir: &Path, seqs: impl IntoIterator<Item = u64>) {
    let expected: Vec<_> = seqs.into_iter().map(|seq| event(STREAM, seq)).collect();
    let run = expected.first().map_or_else(String::new, |frame| frame.label().run_id().to_owned());
    let expected: Vec<u8> = expected.iter().flat_map(|frame| frame.line().to_vec()).collect();
    assert!(stored_of(dir, &run, STREAM) == expected, "every line once, whole, in order");
}

fn counts(report: &CollectorReport) -> (u64, u64, u64, u64) {
    (report.totals.lines, report.totals.stored, report.totals.duplicates, report.missing)
}

#[test]
fn lines_whose_acknowledgement_was_lost_are_sent_again_and_stored_once() {
    let (dir, secure) = (tempfile::tempdir().unwrap(), Secure::new());
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let relay = Relay::to(&[collector.local_addr()]);
    let worker = default_worker(relay.address(), &secure.pki);
    offer(&worker, 1..=100);
    delivered(&worker, 100);

    relay.swallow_replies();
    offer(&worker, 101..=150);
    wait_for(&collector, "the lines to be applied", |report| report.totals.stored == 150);
    assert_eq!(worker.statement().account.delivered(), 100, "nobody told the worker");
    relay.cut(collector.local_addr());
    delivered(&worker, 150);
    offer(&worker, 151..=160);
    end(&worker, 160);

    let report = stop(collector);
    assert_eq!(counts(&report), (210, 160, 50, 0));
    assert_eq!(report.connections.iter().map(|c| c.counts.duplicates).collect::<Vec<_>>(), [0, 50]);
    assert_stored(dir.path(), 1..=160);
}

/// Sends a batch of 400 lines, of which a part arrives before the network
/// stands still; gives how many arrived, and how often the rest came again.
fn part_of_a_batch(replies_arrive: bool) -> (u64, u64) {
    let (dir, secure) = (tempfile::tempdir().unwrap(), Secure::new());
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let relay = Relay::to(&[collector.local_addr()]);
    // A batch is due when it is full, and not before.
    let worker = worker(relay.address(), &secure.pki, |options| {
        options.max_batch_size = 400;
        options.flush_interval = Duration::from_secs(3600);
        options.flush_interval_ticks = u64::MAX;
    });
    offer(&worker, 1..=400);
    delivered(&worker, 400);

    if !replies_arrive {
        relay.swallow_replies();
    }
    // Of a batch of more than 40 KB: a TLS record (RFC 8446, section 5.1: at
    // most 16 KiB) and the beginning of the next.
    relay.stall_after(20_000);
    offer(&worker, 401..=800);
    relay.wait_until_stalled();
    let first = |report: &CollectorReport| report.connections[0].counts.lines;
    // All that the record holds, and not what of it happens to have been read already.
    let ends = (401..=800).scan(0, |end, seq| {
        *end += event(STREAM, seq).len();
        Some(*end)
    });
    let arrived = 400 + ends.take_while(|end| *end <= 16 * 1024).count() as u64;
    assert!((401..800).contains(&arrived), "{arrived}");
    wait_for(&collector, "a part of the batch", |report| first(report) == arrived);
    delivered(&worker, if replies_arrive { arrived } else { 400 });
    relay.cut(collector.local_addr());
    delivered(&worker, 800);
    end(&worker, 800);

    let report = stop(collector);
    assert_eq!(first(&report), arrived);
    assert_eq!((report.totals.stored, report.missing), (800, 0));
    assert!(report.connections[0].partial_bytes > 0, "the record ends within a line");
    assert_stored(dir.path(), 1..=800);
    (arrived - 400, report.totals.duplicates)
}

#[test]
fn a_part_of_a_batch_that_was_acknowledged_is_not_sent_again() {
    let (arrived, duplicates) = part_of_a_batch(true);
    assert!(arrived > 0);
    assert_eq!(duplicates, 0);
}

#[test]
fn a_part_of_a_batch_whose_acknowledgement_was_lost_is_sent_again_and_stored_once() {
    let (arrived, duplicates) = part_of_a_batch(false);
    assert_eq!(duplicates, arrived);
}

#[test]
fn a_collector_that_was_restarted_knows_from_its_files_what_was_not_acknowledged() {
    let (dir, secure) = (tempfile::tempdir().unwrap(), Secure::new());
    let first = Collector::bind(secure.options(dir.path())).unwrap();
    let relay = Relay::to(&[first.local_addr()]);
    let worker = default_worker(relay.address(), &secure.pki);
    offer(&worker, 1..=100);
    delivered(&worker, 100);
    relay.swallow_replies();
    offer(&worker, 101..=150);
    wait_for(&first, "the lines to be applied", |report| report.totals.stored == 150);
    assert_eq!(counts(&stop(first)), (150, 150, 0, 0));

    let second = Collector::bind(secure.options(dir.path())).unwrap();
    relay.cut(second.local_addr());
    delivered(&worker, 150);
    offer(&worker, 151..=160);
    end(&worker, 160);
    let report = stop(second);
    assert_eq!(counts(&report), (60, 10, 50, 0));
    assert_eq!(report.streams[0].recovered, 150);
    assert_stored(dir.path(), 1..=160);
}

/// The worker sends 50 lines to a peer that misbehaves, and then meets the
/// collector. Gives what the collector reports.
fn after(behaviour: Behaviour, ack_timeout: Duration, dir: &Path) -> CollectorReport {
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir)).unwrap();
    let theirs = secure.pki.issue("peer", &Leaf::server(&["localhost"]));
    let peer = Peer::tls(PeerTls::with_alpn(&theirs, &["townlet-ack/1"]), behaviour);
    let relay = Relay::to(&[peer.address(), collector.local_addr()]);
    let worker = worker(relay.address(), &secure.pki, |options| {
        options.max_batch_size = 50;
        options.flush_interval = Duration::from_secs(3600);
        options.flush_interval_ticks = u64::MAX;
        options.ack_timeout = ack_timeout;
    });
    offer(&worker, 1..=50);
    delivered(&worker, 50);
    end(&worker, 50);
    stop(collector)
}

#[test]
fn what_a_peer_acknowledged_before_it_closed_is_its_own_and_the_rest_is_sent_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let report = after(Behaviour::AckThenClose { lines: 30 }, PATIENCE, dir.path());
    assert_eq!(counts(&report), (20, 20, 0, 30));
    assert_stored(dir.path(), 31..=50);
}

#[test]
fn what_nobody_acknowledges_is_sent_again_when_the_time_for_it_is_over() {
    // Only the first needs the time to be over; a collector that is late itself would get the lines twice.
    for (behaviour, ack_timeout) in [
        (Behaviour::NeverAck, Duration::from_secs(3)),
        (Behaviour::ResetAfter { bytes: 700 }, PATIENCE),
        (Behaviour::AcceptAndClose, PATIENCE),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let report = after(behaviour, ack_timeout, dir.path());
        assert_eq!(counts(&report), (50, 50, 0, 0));
        assert_stored(dir.path(), 1..=50);
    }
}

#[test]
fn a_connection_that_breaks_again_and_again_loses_nothing_and_stores_nothing_twice() {
    let (dir, secure) = (tempfile::tempdir().unwrap(), Secure::new());
    let mut collector = Collector::bind(secure.options(dir.path())).unwrap();
    let relay = Relay::to(&[collector.local_addr()]);
    let worker = default_worker(relay.address(), &secure.pki);
    // By the collectors that were stopped already.
    let (mut lines, mut stored, mut duplicates) = (0, 0, 0);
    let mut offered = 0;
    for fault in 0..24 {
        let mut offer_more = |count| {
            offer(&worker, offered + 1..=offered + count);
            offered += count;
            offered
        };
        let all = offer_more(200);
        if fault % 4 >= 2 {
            // A handshake whose answers are swallowed would end nothing.
            delivered(&worker, all);
        }
        match fault % 4 {
            0 => relay.cut(collector.local_addr()),
            // 50 lines are more than 5,000 bytes.
            1 => {
                relay.stall_after(1 + fault * 997 % 5_000);
                offer_more(50);
                relay.wait_until_stalled();
                relay.cut(collector.local_addr());
            }
            kind => {
                relay.swallow_replies();
                let all = offer_more(50);
                wait_for(&collector, "lines to be applied", |report| stored + report.totals.stored == all);
                if kind == 3 {
                    let report = stop(collector);
                    lines += report.totals.lines;
                    stored += report.totals.stored;
                    duplicates += report.totals.duplicates;
                    collector = Collector::bind(secure.options(dir.path())).unwrap();
                }
                relay.cut(collector.local_addr());
            }
        }
    }
    delivered(&worker, offered);
    end(&worker, offered);
    let report = stop(collector);
    lines += report.totals.lines;
    stored += report.totals.stored;
    duplicates += report.totals.duplicates;
    assert_eq!((stored, lines), (offered, offered + duplicates));
    assert!(duplicates >= 12 * 50, "half of the faults lost the acknowledgements of 50 lines: {duplicates}");
    assert_stored(dir.path(), 1..=offered);
}
