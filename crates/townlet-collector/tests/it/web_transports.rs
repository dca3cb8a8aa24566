//! This repository's own HTTP and WebSocket transports against the collector:
//! the real worker, TLS, a token, a network that fails. Every line is stored
//! once, in order, and the books of both ends agree.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use townlet_collector::store::Settle;
use townlet_collector::web::{BearerToken, WebOptions};
use townlet_collector::{Collector, CollectorOptions, CollectorReport};
use townlet_testkit::{event, frames};
use townlet_tls::ClientOptions;
use townlet_transport::{Auth, Compression, Frame, Label, Level, SecretSource, Transport};
use townlet_transport_http::{HttpOptions, HttpTransport, Target};
use townlet_transport_websocket::{Security as WsSecurity, Token, WsOptions, WsTransport, WsUrl};
use townlet_worker::{Backpressure, DropReason, Offer, Options, Statement, Worker};

use crate::acknowledged::assert_stored;
use crate::relay::Relay;
use crate::support::*;
use crate::web_support::*;

const STREAM: &str = "town.events";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http,
    Gzip,
    Zstd,
    Websocket,
}

/// A collector's folder, certificates and token.
struct Place {
    dir: tempfile::TempDir,
    secure: Secure,
    token_file: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token_file = dir.path().join("token");
        std::fs::write(&token_file, "hunter2-hunter2\n").unwrap();
        Self { dir, secure: Secure::new(), token_file }
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn collector(&self, change: impl FnOnce(&mut CollectorOptions)) -> Collector {
        let token = BearerToken::from_file(&self.token_file).unwrap();
        let web = WebOptions::new(anywhere(), web_tls(&self.secure.pki)).with_token(token);
        let mut options = self.secure.options(&self.store()).with_web(web);
        change(&mut options);
        Collector::bind(options).unwrap()
    }

    fn recipe(&self, way: Way, address: SocketAddr, settle_at: Level) -> Recipe {
        let client = ClientOptions { ca_file: Some(self.secure.pki.ca_file().to_owned()), ..ClientOptions::default() };
        if way == Way::Websocket {
            let url = WsUrl::parse(&format!("wss://localhost:{}/v1/telemetry/ws", address.port())).unwrap();
            return Recipe::Websocket(WsOptions {
                send_timeout: PATIENCE,
                settle_at,
                token: Some(Token::File(self.token_file.clone())),
                ..WsOptions::new(url, WsSecurity::Tls(client))
            });
        }
        let target = Target::parse(&format!("https://localhost:{}/v1/telemetry", address.port())).unwrap();
        Recipe::Http(HttpOptions {
            security: townlet_transport_http::Security::Tls(client),
            send_timeout: PATIENCE / 4,
            compression: match way {
                Way::Gzip => Compression::Gzip,
                Way::Zstd => Compression::Zstd,
                _ => Compression::None,
            },
            auth: Some(Auth::Bearer(SecretSource::File(self.token_file.clone()))),
            ..HttpOptions::new(target)
        })
    }

    fn transport(&self, way: Way, address: SocketAddr, settle_at: Level) -> Box<dyn Transport> {
        self.recipe(way, address, settle_at).transport()
    }

    fn worker(&self, way: Way, address: SocketAddr, change: impl FnOnce(&mut Options)) -> Worker {
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
        let recipe = self.recipe(way, address, options.settle_at);
        Worker::spawn(options, move || Ok(recipe.transport())).unwrap()
    }
}

/// What a transport is built from.
#[derive(Clone)]
enum Recipe {
    Http(HttpOptions),
    Websocket(WsOptions),
}

impl Recipe {
    fn transport(&self) -> Box<dyn Transport> {
        match self {
            Self::Http(options) => Box::new(HttpTransport::new(options.clone()).unwrap()),
            Self::Websocket(options) => Box::new(WsTransport::new(options.clone()).unwrap()),
        }
    }
}

fn offer(worker: &Worker, frames: impl IntoIterator<Item = Frame>) {
    for frame in frames {
        assert_eq!(worker.offer(frame), Offer::Accepted);
    }
}

fn delivered(worker: &Worker, count: u64) -> Statement {
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

fn ends_balanced(worker: &Worker, delivered: u64, dropped: u64) -> Statement {
    let statement = worker.shutdown(PATIENCE);
    assert_eq!(statement.residual(), 0, "{statement:?}");
    assert_eq!((statement.account.delivered(), statement.account.dropped()), (delivered, dropped), "{statement:?}");
    statement
}

fn assert_counts(report: &CollectorReport, stored: u64) {
    assert_eq!((report.totals.stored, report.missing, report.totals.invalid), (stored, 0, 0), "{report:#?}");
}

#[test]
fn over_each_way_lines_arrive_once_in_order_whatever_the_network_does() {
    for way in [Way::Http, Way::Gzip, Way::Zstd, Way::Websocket] {
        let place = Place::new();
        let collector = place.collector(|_| {});
        let address = collector.web_addr().unwrap();
        let relay = Relay::to(&[address]);
        let worker = place.worker(way, relay.address(), |_| {});
        offer(&worker, frames(1..=300));
        delivered(&worker, 300);

        // They arrive, and nobody tells the worker.
        relay.swallow_replies();
        offer(&worker, frames(301..=330));
        wait_for(&collector, "the first of the lines", |report| report.totals.stored > 300);
        relay.cut(address);
        delivered(&worker, 330);

        // They arrive in part.
        relay.stall_after(700);
        offer(&worker, frames(331..=400));
        relay.wait_until_stalled();
        relay.cut(address);
        delivered(&worker, 400);
        let statement = ends_balanced(&worker, 400, 0);
        assert_eq!(statement.account.delivered_at(Level::PeerAcked), 400, "{way:?}");
        assert_counts(&stop(collector), 400);
        assert_stored(&place.store(), 1..=400);
    }
}

#[test]
fn over_each_way_a_restarted_collector_knows_its_lines_from_their_files() {
    for way in [Way::Http, Way::Websocket] {
        let place = Place::new();
        let first = place.collector(|_| {});
        let relay = Relay::to(&[first.web_addr().unwrap()]);
        let worker = place.worker(way, relay.address(), |_| {});
        offer(&worker, frames(1..=50));
        delivered(&worker, 50);
        relay.swallow_replies();
        offer(&worker, frames(51..=60));
        wait_for(&first, "some of the lines", |report| report.totals.stored > 50);
        let before = stop(first).totals.stored;
        let second = place.collector(|_| {});
        relay.cut(second.web_addr().unwrap());
        delivered(&worker, 60);
        ends_balanced(&worker, 60, 0);
        let report = stop(second);
        assert_eq!((report.totals.stored, report.streams[0].recovered), (60 - before, before), "{way:?}");
        assert_stored(&place.store(), 1..=60);
    }
}

/// The handshake says what is here: nothing of it comes again.
#[test]
fn a_websocket_resumes_where_its_lines_were_taken_and_not_where_they_were_acknowledged() {
    let place = Place::new();
    let collector = place.collector(|_| {});
    let address = collector.web_addr().unwrap();
    let relay = Relay::to(&[address]);
    let worker = place.worker(Way::Websocket, relay.address(), |_| {});
    offer(&worker, frames(1..=100));
    delivered(&worker, 100);
    relay.swallow_replies();
    offer(&worker, frames(101..=150));
    wait_for(&collector, "the lines", |report| report.totals.stored == 150);
    relay.cut(address);
    delivered(&worker, 150);
    offer(&worker, frames(151..=160));
    delivered(&worker, 160);
    ends_balanced(&worker, 160, 0);
    let report = stop(collector);
    assert_counts(&report, 160);
    assert_eq!((report.totals.lines, report.totals.duplicates), (160, 0), "nothing was sent twice");
    assert_stored(&place.store(), 1..=160);
}

#[test]
fn a_websocket_is_promised_the_disk_only_where_the_store_syncs() {
    for (settle, level) in [(Settle::Synced, Level::Durable), (Settle::Written, Level::PeerAcked)] {
        let place = Place::new();
        let collector = place.collector(|options| options.store.as_mut().unwrap().settle = settle);
        let mut sink = place.transport(Way::Websocket, collector.web_addr().unwrap(), Level::Durable);
        let connected = sink.connect().unwrap();
        assert!(connected.tls);
        assert_eq!(connected.level, level);
        sink.close();
        stop(collector);
    }
}

#[test]
fn a_line_that_is_none_is_dropped_alone_with_its_reason_and_the_others_arrive() {
    for way in [Way::Http, Way::Gzip] {
        let place = Place::new();
        let collector = place.collector(|_| {});
        let worker = place.worker(way, collector.web_addr().unwrap(), |options| {
            // All of them in one batch.
            options.max_batch_size = 64;
            options.flush_interval = Duration::from_secs(3600);
            options.flush_interval_ticks = u64::MAX;
        });
        let label = event(STREAM, 1).label().clone();
        let poison = |seq| Frame::new(label.clone(), "event", seq, seq, "{\"broken\n");
        offer(&worker, (1..=64).map(|seq| if seq == 38 { poison(seq) } else { event(STREAM, seq) }));
        delivered(&worker, 63);
        let statement = ends_balanced(&worker, 63, 1);
        assert_eq!(statement.account.dropped_for(DropReason::Rejected), 1, "{statement:?}");
        let report = stop(collector);
        assert_eq!((report.totals.stored, report.totals.invalid, report.totals.duplicates), (63, 1, 0), "{way:?}");
        assert_eq!(report.streams[0].sequence.gaps[0].to_string(), "38");
    }
}

#[test]
fn what_is_too_large_at_once_is_split_and_what_is_too_large_alone_is_dropped() {
    for way in [Way::Http, Way::Websocket] {
        let place = Place::new();
        let collector = place.collector(|options| {
            options.max_line_bytes = 60_000;
            options.web.as_mut().unwrap().max_body_bytes = 60_000;
        });
        let worker = place.worker(way, collector.web_addr().unwrap(), |options| {
            options.max_batch_size = 40;
            options.flush_interval = Duration::from_millis(200);
        });
        let run = event(STREAM, 1).label().run_id().to_owned();
        let wide = |seq: u64, width: usize| {
            let line = format!(
                "{{\"payload_type\":\"event\",\"run_id\":\"{run}\",\"stream\":\"{STREAM}\",\"seq\":{seq},\"tick\":1,\"x\":\"{}\"}}\n",
                "x".repeat(width)
            );
            Frame::new(Label::new(run.as_str(), STREAM), "event", seq, 1, line)
        };
        // Together 400 kB, and one that fits nowhere.
        offer(&worker, (1..=40).map(|seq| wide(seq, if seq == 20 { 200_000 } else { 10_000 })));
        delivered(&worker, 39);
        let statement = ends_balanced(&worker, 39, 1);
        assert_eq!(statement.account.dropped_for(DropReason::Oversize), 1, "{statement:?}");
        let report = stop(collector);
        assert_eq!((report.totals.stored, report.missing), (39, 1), "{way:?}: {report:#?}");
    }
}

#[test]
fn a_wrong_token_is_an_error_to_act_on_and_nothing_is_taken() {
    let place = Place::new();
    let collector = place.collector(|_| {});
    let address = collector.web_addr().unwrap();
    std::fs::write(&place.token_file, "something-else\n").unwrap();
    let mut http = place.transport(Way::Http, address, Level::PeerAcked);
    http.connect().unwrap();
    let error = http.send(&frames(1..=3)).unwrap_err().error;
    assert!(error.to_string().contains("401"), "{error}");
    let error = place.transport(Way::Websocket, address, Level::PeerAcked).connect().unwrap_err();
    assert!(error.to_string().contains("auth.bearer_file"), "{error}");
    assert_eq!(stop(collector).totals.lines, 0);
}

/// The store is a folder of files, and nothing else.
#[test]
fn the_same_stream_over_three_ways_is_one_file() {
    let place = Place::new();
    let collector = place.collector(|_| {});
    let address = collector.web_addr().unwrap();
    for (way, seqs) in [(Way::Http, 1..=40), (Way::Websocket, 30..=70), (Way::Gzip, 60..=100)] {
        let worker = place.worker(way, address, |_| {});
        let count = seqs.clone().count() as u64;
        offer(&worker, frames(seqs));
        delivered(&worker, count);
        ends_balanced(&worker, count, 0);
    }
    let mut client = place.secure.connect(collector.local_addr(), true);
    client.send(&frames(95..=110).iter().flat_map(|frame| frame.line().to_vec()).collect::<Vec<_>>());
    client.acks_until(16);
    client.close();
    let report = stop(collector);
    assert_counts(&report, 110);
    assert_eq!(report.totals.duplicates, 11 + 11 + 6);
    assert_stored(&place.store(), 1..=110);
    assert_eq!(files(&place.store()), 1);
}

fn files(dir: &Path) -> usize {
    let runs = std::fs::read_dir(dir).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    runs.map(|run| std::fs::read_dir(run.unwrap().path()).unwrap().count()).sum()
}
