//! Lines by way of the real `nats-server`, from our own transport into collectors.

use std::path::Path;
use std::time::{Duration, Instant};

use townlet_collector::nats::{Member, NatsSource};
use townlet_collector::{Collector, CollectorReport, Via};
use townlet_nats::{NatsOptions, NewStream, Servers, Subject};
use townlet_testkit::nats::{NatsCluster, NatsServer};
use townlet_testkit::{event, seqs_of};
use townlet_tls::PlaintextFlags;
use townlet_transport::{Auth, Frame, Label, SecretSource, Transport};
use townlet_transport_nats::{NatsTransport, NatsTransportOptions};

use crate::support::*;

pub(crate) const PARTITIONS: u32 = 4;
pub(crate) const SHARDS: [&str; 8] =
    ["shard-1", "shard-2", "shard-3", "shard-4", "shard-5", "shard-6", "shard-7", "shard-8"];

pub(crate) fn there() -> bool {
    NatsServer::is_there()
}

pub(crate) fn options(url: &str) -> NatsOptions {
    let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    NatsOptions::new(Servers::parse(url).unwrap(), flags).unwrap()
}

pub(crate) fn subject() -> Subject {
    Subject::parse("townlet.{partition}.{stream}", PARTITIONS).unwrap()
}

/// A transport that makes the stream; `window`: for how long the server knows ids.
pub(crate) fn producer(url: &str, replicas: usize, window: Duration) -> NatsTransport {
    let mut options = NatsTransportOptions::new(options(url)).unwrap();
    options.subject = subject();
    options.create = Some(NewStream {
        subjects: vec![options.subject.filter(None)],
        replicas,
        max_bytes: None,
        duplicate_window: window,
    });
    options.nats.request_timeout = Duration::from_secs(2);
    NatsTransport::new(options).unwrap()
}

pub(crate) fn source(url: &str, member: Member) -> NatsSource {
    NatsSource {
        subject: subject(),
        member,
        ack_wait: Duration::from_secs(2),
        heartbeat: Duration::from_millis(100),
        patience: Duration::from_secs(3),
        ..NatsSource::new(options(url)).unwrap()
    }
}

fn collector(dir: &Path, source: NatsSource) -> Collector {
    Collector::bind(plain(dir).with_nats(source)).unwrap()
}

fn member(number: u32) -> Member {
    Member::new(number, 2).unwrap()
}

/// Publishes as a worker does: what is not settled is sent again, in order.
pub(crate) fn publish(sink: &mut NatsTransport, mut queue: Vec<Frame>, mut under_way: impl FnMut(usize)) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !queue.is_empty() {
        assert!(Instant::now() < deadline, "{} frames are left", queue.len());
        let batch = queue.len().min(400);
        let sent = sink.connect().map_err(Into::into).and_then(|_| sink.send(&queue[..batch]));
        if let Err(failed) = sent {
            assert!(failed.error.kind().is_retryable(), "{failed}");
            std::thread::park_timeout(Duration::from_millis(20));
            continue;
        }
        under_way(queue.len());
        let mut settled = 0;
        while settled < batch {
            match sink.receipts(Duration::from_millis(500)) {
                Ok(more) => settled += more,
                Err(error) => {
                    assert!(error.kind().is_retryable(), "{error}");
                    break;
                }
            }
        }
        queue.drain(..settled);
    }
}

/// Events of all shards, in turns.
pub(crate) fn fleet(seqs: std::ops::RangeInclusive<u64>) -> Vec<Frame> {
    seqs.flat_map(|seq| SHARDS.map(|shard| event(&format!("{shard}.events"), seq))).collect()
}

/// The numbers that a store holds of a shard's events, in the order of its file.
pub(crate) fn seqs(dir: &Path, shard: &str) -> Vec<u64> {
    let run = event(shard, 1).label().run_id().to_owned();
    let path = dir.join(run).join(format!("{shard}.events.jsonl"));
    seqs_of(std::fs::read_to_string(path).unwrap_or_default().lines())
}

fn partitions(collector: &Collector) -> Vec<u32> {
    collector.report().nats.map(|nats| nats.partitions).unwrap_or_default()
}

/// Waits for two collectors, as long as an election or a take-over may take.
fn wait_both(one: &Collector, two: &Collector, what: &str, ready: impl Fn(&CollectorReport, &CollectorReport) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (a, b) = (one.report(), two.report());
        if ready(&a, &b) {
            return;
        }
        assert!(Instant::now() < deadline, "still waiting for {what}: {a}\n{b}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn lines_arrive_once_are_acknowledged_and_do_not_come_again() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let (dir, mut sink) = (tempfile::tempdir().unwrap(), producer(&server.url(), 1, Duration::from_millis(100)));
    publish(&mut sink, fleet(1..=200), |_| {});
    let first = collector(dir.path(), source(&server.url(), Member::ALONE));
    wait_for(&first, "the first lines", |report| report.totals.stored == 1600);
    // Again, when the server does not know their ids any more: the collector knows their numbers.
    let deadline = Instant::now() + PATIENCE;
    while first.report().totals.duplicates == 0 {
        assert!(Instant::now() < deadline, "the server forgets no ids");
        publish(&mut sink, fleet(150..=200), |_| {});
    }
    // What comes last in each partition says that all before it came.
    publish(&mut sink, fleet(201..=300), |_| {});
    // What is stored is counted before the lines of its connection are.
    let report = wait_for(&first, "the rest", |report| {
        report.totals.stored == 2400 && report.totals.lines - report.totals.duplicates == 2400
    });
    assert_eq!((report.totals.lines - report.totals.duplicates, report.missing), (2400, 0));
    let connection = report.connections.iter().find(|connection| connection.via == Via::Nats).unwrap();
    assert!(connection.acks && connection.acknowledged > 0);
    assert_eq!(report.nats.unwrap().partitions, [0, 1, 2, 3]);
    let shards = first.shards();
    assert!(shards.len() == 8 && shards.iter().all(|shard| shard.last_seq == 300 && shard.missing == 0));
    stop(first);
    // Until the server knows that it is gone, it answers its last question, and says it again to the next one.
    while server.clients() > 1 {
        assert!(Instant::now() < deadline, "the first collector is still connected");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let second = collector(dir.path(), source(&server.url(), Member::ALONE));
    publish(&mut sink, fleet(301..=310), |_| {});
    wait_for(&second, "what came meanwhile", |report| report.totals.stored == 80);
    let report = stop(second);
    assert_eq!(
        (report.totals.lines, report.nats.unwrap().redelivered),
        (80, 0),
        "the broker knew what was acknowledged"
    );
    for shard in SHARDS {
        assert_eq!(seqs(dir.path(), shard), (1..=310).collect::<Vec<u64>>(), "{shard}");
    }
}

#[test]
fn what_is_no_line_is_counted_and_does_not_come_again() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let (dir, mut sink) = (tempfile::tempdir().unwrap(), producer(&server.url(), 1, Duration::from_secs(120)));
    let label = Label::new("run", "poison");
    let poison = ["no json\n", "{\"a\":\n1}\n", "\n", "{\"run_id\":\"r\",\"stream\":\"s\",\"seq\":0,\"tick\":1}\n"];
    let poison = (1..).zip(poison).map(|(seq, line)| Frame::new(label.clone(), "event", seq, 1, line));
    publish(&mut sink, poison.chain(fleet(1..=3)).collect(), |_| {});
    let collector = collector(dir.path(), source(&server.url(), Member::ALONE));
    let report = wait_for(&collector, "all of them", |report| report.totals.lines == 28);
    assert_eq!((report.totals.stored, report.totals.invalid), (24, 4), "{report}");
    assert_eq!(report.nats.as_ref().unwrap().terminated, 4);
    // After the time in which whatever is not answered for comes again.
    let until = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let report = stop(collector);
    assert_eq!((report.totals.lines, report.nats.unwrap().redelivered), (28, 0));
}

#[test]
fn a_server_or_stream_that_is_not_there_yet_and_one_that_does_not_let_us_in_are_told() {
    if !there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("token");
    std::fs::write(&secret, "wrong").unwrap();
    let mut server = NatsServer::absent("authorization { token: right }");
    let mut asked = source(&server.url(), Member::ALONE);
    asked.nats.auth = Some(Auth::Bearer(SecretSource::File(secret.clone())));
    let collector = collector(&folder.path().join("store"), asked);
    let says = |what: &str| {
        let error = |report: &CollectorReport| report.nats.clone().and_then(|nats| nats.error).unwrap_or_default();
        wait_for(&collector, what, |report| error(report).contains(what));
    };
    says("unavailable");
    server.start_again();
    says("check auth");
    std::fs::write(&secret, "right").unwrap();
    says("create the stream");
    let mut options = NatsTransportOptions::new(self::options(&server.url())).unwrap();
    options.nats.auth = Some(Auth::Bearer(SecretSource::File(secret)));
    options.subject = subject();
    options.create = Some(NewStream {
        subjects: vec!["townlet.>".into()],
        replicas: 1,
        max_bytes: None,
        duplicate_window: Duration::from_secs(120),
    });
    publish(&mut NatsTransport::new(options).unwrap(), fleet(1..=2), |_| {});
    wait_for(&collector, "the lines", |report| report.totals.stored == 16);
    stop(collector);
}

#[test]
fn who_shares_out_otherwise_than_producers_or_other_members_is_told_what_nobody_reads() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let (dir, mut sink) = (tempfile::tempdir().unwrap(), producer(&server.url(), 1, Duration::from_secs(120)));
    publish(&mut sink, fleet(1..=1), |_| {});
    let says = |collector: &Collector, what: &str| {
        let error = |report: &CollectorReport| report.nats.clone().and_then(|nats| nats.error).unwrap_or_default();
        wait_for(collector, what, |report| error(report).contains(what))
    };
    let of = |partitions, member, group: &str| NatsSource {
        subject: Subject::parse("townlet.{partition}.{stream}", partitions).unwrap(),
        group: group.into(),
        ..source(&server.url(), member)
    };
    let all = collector(&dir.path().join("all"), of(PARTITIONS, Member::ALONE, "all"));
    let report = wait_for(&all, "all of it", |report| report.totals.stored == 8);
    assert_eq!(report.nats.unwrap().error, None);
    stop(all);
    let narrow = collector(&dir.path().join("narrow"), of(2, Member::ALONE, "narrow"));
    says(&narrow, "nobody reads");
    stop(narrow);

    let one = collector(&dir.path().join("one"), of(PARTITIONS, member(1), "mixed"));
    let two = collector(&dir.path().join("two"), of(2, member(2), "mixed"));
    says(&one, "same number of members and of partitions");
    says(&two, "same number of members and of partitions");
    stop(one);
    stop(two);
}

#[test]
fn two_members_share_streams_and_one_takes_over_and_gives_back() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let (dir, mut sink) = (tempfile::tempdir().unwrap(), producer(&server.url(), 1, Duration::from_secs(120)));
    publish(&mut sink, fleet(1..=1), |_| {});
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let one = collector(&a, source(&server.url(), member(1)));
    let two = collector(&b, source(&server.url(), member(2)));
    wait_both(&one, &two, "both", |a, b| a.totals.stored + b.totals.stored == 8);
    publish(&mut sink, fleet(2..=400), |_| {});
    wait_both(&one, &two, "all of it", |a, b| a.totals.stored + b.totals.stored == 3200);
    assert_eq!((partitions(&one), partitions(&two)), (vec![0, 2], vec![1, 3]));
    for shard in SHARDS {
        let (a, b) = (seqs(&a, shard), seqs(&b, shard));
        assert!(a.is_empty() || b.is_empty(), "{shard} is one member's");
        assert_eq!(a.len() + b.len(), 400);
    }
    // Stopped in order, it leaves nothing behind that would be stored twice.
    stop(two);
    publish(&mut sink, fleet(401..=500), |_| {});
    let deadline = Instant::now() + PATIENCE;
    let complete = || SHARDS.iter().all(|shard| seqs(&a, shard).len() + seqs(&b, shard).len() == 500);
    while !complete() {
        assert!(Instant::now() < deadline, "{}", one.report());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let two = collector(&b, source(&server.url(), member(2)));
    wait_both(&one, &two, "the old order", |a, b| {
        let of = |report: &CollectorReport| report.nats.clone().unwrap_or_default().partitions;
        of(a) == [0, 2] && of(b) == [1, 3]
    });
    publish(&mut sink, fleet(501..=600), |_| {});
    wait_both(&one, &two, "the rest", |_, b| b.totals.stored >= 100);
    let complete = || SHARDS.iter().all(|shard| seqs(&a, shard).len() + seqs(&b, shard).len() == 600);
    while !complete() {
        assert!(Instant::now() < deadline + PATIENCE, "{}\n{}", one.report(), two.report());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    stop(one);
    stop(two);
    for shard in SHARDS {
        let mut all = [seqs(&a, shard), seqs(&b, shard)].concat();
        all.sort_unstable();
        assert_eq!(all, (1..=600).collect::<Vec<u64>>(), "{shard}: each once, over both stores");
    }
}

#[test]
fn every_acknowledged_event_is_stored_once_when_the_leader_of_the_stream_is_killed() {
    if !there() {
        return;
    }
    let mut cluster = NatsCluster::start("");
    let url = cluster.urls();
    let (dir, mut sink) = (tempfile::tempdir().unwrap(), producer(&url, 3, Duration::from_secs(120)));
    publish(&mut sink, fleet(1..=1), |_| {});
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let patient = |number| NatsSource { patience: Duration::from_secs(30), ..source(&url, member(number)) };
    let (one, two) = (collector(&a, patient(1)), collector(&b, patient(2)));
    wait_both(&one, &two, "both", |a, b| a.totals.stored + b.totals.stored == 8);
    let mut leader = Some(cluster.leader_of("TOWNLET"));
    publish(&mut sink, fleet(2..=600), |left| {
        // Nothing of this batch is settled, and the members are at work on the ones before.
        if left < 2800
            && let Some(leader) = leader.take()
        {
            cluster.servers()[leader].kill();
        }
    });
    assert_eq!(leader, None, "it was killed");
    wait_both(&one, &two, "every event", |a, b| a.totals.stored + b.totals.stored == 4800);
    let (one, two) = (stop(one), stop(two));
    assert_eq!((one.missing, two.missing), (0, 0));
    for shard in SHARDS {
        let (a, b) = (seqs(&a, shard), seqs(&b, shard));
        assert!(a.is_empty() || b.is_empty(), "{shard} stayed with one member");
        let mut all = [a, b].concat();
        all.sort_unstable();
        assert_eq!(all, (1..=600).collect::<Vec<u64>>(), "{shard}");
    }
}

#[test]
fn what_the_store_cannot_take_is_not_acknowledged_and_comes_again() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let (dir, mut sink) = (tempfile::tempdir().unwrap(), producer(&server.url(), 1, Duration::from_secs(120)));
    // A file where the folder of the run should be.
    let in_the_way = dir.path().join(event("x", 1).label().run_id());
    std::fs::write(&in_the_way, "").unwrap();
    publish(&mut sink, fleet(1..=3), |_| {});
    let collector = collector(dir.path(), source(&server.url(), Member::ALONE));
    let returned = |report: &CollectorReport| report.nats.as_ref().map_or(0, |nats| nats.returned);
    let report = wait_for(&collector, "the store to fail", |report| returned(report) >= 24);
    assert_eq!(report.totals.stored, 0, "{report}");
    assert!(report.store_error.is_some());
    std::fs::remove_file(&in_the_way).unwrap();
    let report = wait_for(&collector, "them to come again", |report| report.totals.stored == 24);
    assert_eq!(report.missing, 0);
    wait_for(&collector, "their acknowledgement", |report| {
        report.connections.iter().map(|connection| connection.acknowledged).sum::<u64>() == 24
    });
    stop(collector);
    for shard in SHARDS {
        assert_eq!(seqs(dir.path(), shard), [1, 2, 3], "{shard}");
    }
}
