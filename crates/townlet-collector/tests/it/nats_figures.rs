//! What a collector that pulls from the real `nats-server` exposes, and what messages that
//! nobody can store do to the others.

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use townlet_collector::nats::{Member, NatsSource};
use townlet_collector::store::StoreOptions;
use townlet_collector::web::WebOptions;
use townlet_collector::{Collector, CollectorOptions};
use townlet_nats::{Connector, Message, Subject};
use townlet_testkit::event;
use townlet_testkit::nats::NatsServer;
use townlet_transport::{Frame, Transport};

use crate::nats::{PARTITIONS, SHARDS, fleet, options, producer, publish, seqs, source, there};
use crate::support::*;
use crate::web_support::{Client, metrics, web_options};

const WINDOW: Duration = Duration::from_secs(120);

fn with_web(dir: &Path, source: NatsSource) -> Collector {
    let options = CollectorOptions { web: Some(WebOptions { live_streams: 0, ..web_options() }), ..plain(dir) };
    Collector::bind(options.with_nats(source)).unwrap()
}

/// One partition for all, so that everything may stand in everything's way.
fn alone(url: &str) -> NatsSource {
    let subject = Subject::parse("townlet.{partition}.{stream}", 1).unwrap();
    NatsSource { subject, ..source(url, Member::ALONE) }
}

/// The same subject, whose one partition has the number 0.
fn publish_to_one(url: &str, frames: Vec<Frame>) {
    let messages = frames.iter().map(|frame| Message {
        subject: format!("townlet.0.{}", frame.label().stream()),
        id: format!("{}/{}", frame.label().stream(), frame.seq()),
        payload: frame.line().trim_ascii_end().to_vec().into(),
    });
    publish_raw(url, messages.collect());
}

/// As some other program would, that knows nothing of ours.
fn publish_raw(url: &str, messages: Vec<Message>) {
    let link = Connector::new(options(url)).unwrap().open().unwrap();
    let (count, publisher) = (messages.len(), link.publisher("TOWNLET", 64));
    publisher.publish(messages, PATIENCE).unwrap();
    let mut settled = 0;
    while settled < count {
        let more = publisher.receipts(PATIENCE).unwrap();
        assert!(more > 0, "the server does not acknowledge");
        settled += more;
    }
}

#[track_caller]
fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn what_comes_by_nats_has_the_figures_of_every_other_way_in() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let (dir, mut sink) = (tempfile::tempdir().unwrap(), producer(&server.url(), 1, WINDOW));
    let mut frames = fleet(1..=10);
    // One shard loses two, and one message is no line.
    frames.retain(|frame| frame.label().stream() != "shard-3.events" || !matches!(frame.seq(), 4 | 5));
    publish(&mut sink, frames, |_| {});
    let broken = Message { subject: "townlet.1.somebody".into(), id: "x".into(), payload: "{\"broken".into() };
    publish_raw(&server.url(), vec![broken]);
    let collector = with_web(dir.path(), source(&server.url(), Member::ALONE));
    wait_for(&collector, "all of it", |report| report.totals.lines == 79);
    let run = event("x", 1).label().run_id().to_owned();
    let of = |name: &str, shard: &str| format!("{name}{{run_id=\"{run}\",stream=\"{shard}.events\"}}");
    let figures = metrics(&collector);
    for (name, value) in [
        (of("townlet_stream_lines_total", "shard-3"), 8.0),
        (of("townlet_stream_missing_lines", "shard-3"), 2.0),
        (of("townlet_stream_loss_ratio", "shard-3"), 0.2),
        (of("townlet_stream_last_seq", "shard-3"), 10.0),
        (of("townlet_stream_missing_lines", "shard-4"), 0.0),
        (of("townlet_stream_duplicates_total", "shard-4"), 0.0),
        ("townlet_collector_lines_total{outcome=\"stored\"}".into(), 78.0),
        ("townlet_collector_lines_total{outcome=\"invalid\"}".into(), 1.0),
        ("townlet_collector_connections{via=\"nats\"}".into(), 1.0),
        ("parser_failure_total{error_code=\"syntax\"}".into(), 1.0),
        ("parse_batch_size_sum".into(), 79.0),
        ("townlet_nats_connected".into(), 1.0),
        ("townlet_nats_partitions".into(), f64::from(PARTITIONS)),
        ("townlet_nats_pending_messages".into(), 0.0),
        ("townlet_nats_messages_total{outcome=\"terminated\"}".into(), 1.0),
    ] {
        assert_eq!(figures.get(&name), Some(&value), "{name}");
    }
    assert!(figures["parse_duration_ms_count"] >= 1.0 && figures["parse_duration_ms_sum"] > 0.0);
    for shard in SHARDS {
        assert!(figures[&of("townlet_stream_silent_seconds", shard)] < 60.0, "{shard}");
        assert!(figures.contains_key(&of("townlet_stream_last_tick", shard)), "{shard}");
    }
    for partition in 0..PARTITIONS {
        for name in ["townlet_nats_partition_pending_messages", "townlet_nats_partition_unacknowledged_messages"] {
            assert!(figures.contains_key(&format!("{name}{{partition=\"{partition}\"}}")), "{name} {partition}");
        }
    }
    let streams = Client::of(&collector).get("/v1/streams");
    let streams: serde_json::Value = serde_json::from_str(&streams.body).unwrap();
    let third = streams["streams"].as_array().unwrap().iter().find(|one| one["stream"] == "shard-3.events").unwrap();
    assert_eq!(third["gaps"], serde_json::json!([{"first": 4, "last": 5}]));
    assert_eq!((&third["missing"], &third["loss_ratio"]), (&2.into(), &0.2.into()));
    assert!(third["silent_ms"].is_u64(), "{third}");
    stop(collector);
}

#[test]
fn how_far_behind_a_consumer_is_shows_while_nothing_can_be_stored() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let (dir, mut sink) = (tempfile::tempdir().unwrap(), producer(&server.url(), 1, WINDOW));
    // A file where the folder of the run should be: whatever is taken is given back.
    let in_the_way = dir.path().join(event("x", 1).label().run_id());
    std::fs::write(&in_the_way, "").unwrap();
    publish(&mut sink, fleet(1..=50), |_| {});
    let source = NatsSource { max_ack_pending: 10, ..source(&server.url(), Member::ALONE) };
    let collector = with_web(dir.path(), source);
    let behind = |collector: &Collector| {
        let figures = metrics(collector);
        (figures["townlet_nats_pending_messages"], figures["townlet_nats_unacknowledged_messages"])
    };
    // Each consumer may hand out ten; the rest is pending.
    wait_until("what is handed out and not acknowledged", || {
        let (pending, unacknowledged) = behind(&collector);
        unacknowledged >= 10.0 && pending > 0.0 && pending + unacknowledged == 400.0
    });
    std::fs::remove_file(&in_the_way).unwrap();
    wait_for(&collector, "all of it", |report| report.totals.stored == 400);
    wait_until("nothing to be behind with", || behind(&collector) == (0.0, 0.0));
    stop(collector);
}

#[test]
fn messages_of_other_programs_and_such_as_are_too_long_hold_up_nothing() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let dir = tempfile::tempdir().unwrap();
    make_stream(&server);
    let poison: [&[u8]; 6] = [b"", b"hello", b"\xff\xfe\x00", b"{\"a\":1}\n{\"b\":2}", &[b'7'; 5000], b"[1,2,3]"];
    let raw = |n: usize, payload: &[u8]| Message {
        subject: format!("townlet.0.poison-{n}"),
        id: format!("poison-{n}"),
        payload: payload.to_vec().into(),
    };
    publish_raw(&server.url(), poison.iter().enumerate().map(|(n, payload)| raw(n, payload)).collect());
    publish_to_one(&server.url(), (1..=3).map(|seq| event("after.events", seq)).collect());
    let options = CollectorOptions {
        web: Some(WebOptions { live_streams: 0, ..web_options() }),
        max_line_bytes: 4096,
        ..plain(dir.path())
    };
    let collector = Collector::bind(options.with_nats(alone(&server.url()))).unwrap();
    let report = wait_for(&collector, "all of them", |report| report.totals.lines == 9);
    assert_eq!((report.totals.stored, report.totals.invalid), (3, 6), "{report}");
    let reasons = &report.invalid_by_reason;
    assert_eq!((reasons.get("too_large"), reasons.get("empty"), reasons.get("utf8")), (Some(&1), Some(&1), Some(&1)));
    wait_until("each to be terminated, and none to come again", || {
        let nats = collector.report().nats.unwrap();
        (nats.terminated, nats.pending, nats.unacknowledged) == (6, 0, 0)
    });
    let figures = metrics(&collector);
    assert_eq!(figures["parser_failure_total{error_code=\"too_large\"}"], 1.0);
    assert_eq!(figures["townlet_nats_messages_total{outcome=\"redelivered\"}"], 0.0);
    stop(collector);
}

/// A transport makes the stream as it connects.
fn make_stream(server: &NatsServer) {
    producer(&server.url(), 1, WINDOW).connect().unwrap();
}

#[test]
fn a_stream_whose_file_cannot_be_written_holds_up_no_other_of_its_partition() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let dir = tempfile::tempdir().unwrap();
    make_stream(&server);
    let run = dir.path().join(event("x", 1).label().run_id());
    let in_the_way = run.join("shard-1.events.jsonl");
    std::fs::create_dir_all(&in_the_way).unwrap();
    publish_to_one(&server.url(), fleet(1..=20));
    let collector = with_web(dir.path(), alone(&server.url()));
    let report = wait_for(&collector, "the others", |report| report.totals.stored >= 140);
    assert!(report.store_error.is_some() && report.nats.unwrap().returned > 0);
    for shard in &SHARDS[1..] {
        assert_eq!(seqs(dir.path(), shard).len(), 20, "{shard}");
    }
    std::fs::remove_dir(&in_the_way).unwrap();
    wait_for(&collector, "the one, once it can be written", |report| report.totals.stored == 160);
    stop(collector);
    assert_eq!(seqs(dir.path(), "shard-1"), (1..=20).collect::<Vec<u64>>());
}

#[test]
fn the_time_that_lines_took_is_known_while_the_disk_answers_no_more() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let dir = tempfile::tempdir().unwrap();
    make_stream(&server);
    let store = StoreOptions { max_open_files: 1, ..StoreOptions::new(dir.path()) };
    let options = CollectorOptions { web: Some(web_options()), ..plain(dir.path()) };
    let collector = Collector::bind(options.with_store(store).with_nats(alone(&server.url()))).unwrap();
    for (stored, stream) in [(1, "stuck.events"), (2, "other.events")] {
        publish_to_one(&server.url(), vec![event(stream, 1)]);
        wait_for(&collector, "a line", |report| report.totals.stored == stored);
    }
    // The only open file is the other one now. A pipe without a reader: opening it takes for ever.
    let file = dir.path().join(event("x", 1).label().run_id()).join("stuck.events.jsonl");
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    publish_to_one(&server.url(), (2..=4).map(|seq| event("stuck.events", seq)).collect());
    // As many of the three as came together: the others wait behind them.
    let unwritten = || collector.report().totals.unwritten;
    wait_until("the figures of what is stuck", || {
        unwritten() > 0 && metrics(&collector)["parse_batch_size_sum"] >= 2.0 + unwritten() as f64
    });
    let stuck = unwritten();
    // Whoever waits there goes on.
    let mut written = String::new();
    let mut reader = std::fs::File::open(&file).unwrap();
    let collector = std::thread::spawn(move || stop(collector));
    reader.read_to_string(&mut written).unwrap();
    assert!((stuck..=3).contains(&(written.lines().count() as u64)), "{stuck} were stuck: {written}");
    collector.join().unwrap();
}
