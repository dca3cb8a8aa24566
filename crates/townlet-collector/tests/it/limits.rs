//! Everything that could grow has a limit.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use townlet_collector::{Collector, CollectorOptions, CollectorReport, EndKind};

use crate::support::*;

#[test]
fn one_connection_too_many_is_closed_at_once_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = CollectorOptions { max_connections: 2, ..plain(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let mut first = TcpStream::connect(collector.local_addr()).unwrap();
    let _second = TcpStream::connect(collector.local_addr()).unwrap();
    wait_for(&collector, "two connections", |report| report.connections_open == 2);
    let mut third = TcpStream::connect(collector.local_addr()).unwrap();
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(third.read(&mut [0]).unwrap_or(0), 0);
    first.write_all(&line("town", 1)).unwrap();
    let report = wait_for(&collector, "the line", |report| report.totals.lines == 1);
    assert_eq!((report.connections_accepted, report.connections_refused), (2, 1));
    drop(first);
    stop(collector);
}

#[test]
fn a_peer_that_never_shakes_hands_is_cut_at_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let options = CollectorOptions { handshake_timeout: Duration::from_millis(50), ..secure.options(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let mut silent = TcpStream::connect(collector.local_addr()).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = silent.read_to_end(&mut Vec::new());
    let report = wait_for(&collector, "the cut", |report| report.connections_open == 0);
    assert_eq!(report.connections[0].ended.as_ref().unwrap().kind, EndKind::HandshakeTimeout);
    stop(collector);
}

#[test]
fn who_connects_and_sends_no_line_is_cut_and_who_has_sent_one_may_be_silent() {
    let dir = tempfile::tempdir().unwrap();
    let options = CollectorOptions { first_line_timeout: Duration::from_secs(2), ..plain(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let mut producer = TcpStream::connect(collector.local_addr()).unwrap();
    producer.write_all(&line("town", 1)).unwrap();
    wait_for(&collector, "the line", |report| report.totals.stored == 1);
    let _holds_a_place = TcpStream::connect(collector.local_addr()).unwrap();
    let report = wait_for(&collector, "the cut", |report| report.endings.contains_key("idle_timeout"));
    assert_eq!(report.connections_open, 1, "the producer stays");
    producer.write_all(&line("town", 2)).unwrap();
    wait_for(&collector, "its second line", |report| report.totals.stored == 2);
    drop(producer);
    stop(collector);
}

#[test]
fn a_line_that_trickles_in_is_cut_and_an_idle_connection_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let options = CollectorOptions { line_timeout: Duration::from_secs(3), ..plain(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let mut idle = TcpStream::connect(collector.local_addr()).unwrap();
    idle.write_all(&line("town", 1)).unwrap();
    let mut slow = TcpStream::connect(collector.local_addr()).unwrap();
    slow.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let begun = Instant::now();
    // One byte each few milliseconds, never a newline, until the other side has had enough.
    while slow.write_all(b"{").is_ok() && !matches!(slow.read(&mut [0]), Ok(0)) {
        assert!(begun.elapsed() < PATIENCE, "nobody cut the line");
    }
    let report = wait_for(&collector, "the cut", |report| report.connections_open == 1);
    assert_eq!(report.endings.get("line_timeout"), Some(&1));
    idle.write_all(&line("town", 2)).unwrap();
    wait_for(&collector, "the second line of the idle connection", |report| report.totals.stored == 2);
    drop(idle);
    stop(collector);
}

#[test]
fn an_idle_connection_is_cut_where_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let options = CollectorOptions { idle_timeout: Some(Duration::from_millis(50)), ..plain(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let mut idle = TcpStream::connect(collector.local_addr()).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
    let report = wait_for(&collector, "the cut", |report| report.connections_open == 0);
    assert_eq!(report.connections[0].ended.as_ref().unwrap().kind, EndKind::IdleTimeout);
    stop(collector);
}

#[test]
fn more_streams_than_allowed_end_the_connection_and_no_line_is_acknowledged_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let options = CollectorOptions { max_streams_per_connection: 3, ..secure.options(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let mut client = secure.connect(collector.local_addr(), true);
    let bytes: Vec<u8> = (1..=5).flat_map(|n| line(&format!("stream{n}"), 1)).collect();
    client.send(&bytes);
    client.acks_until(3);
    assert!(client.sees_the_end());
    let report = stop(collector);
    assert_eq!(report.connections[0].ended.as_ref().unwrap().kind, EndKind::TooManyStreams);
    assert_eq!((report.totals.lines, report.connections[0].acknowledged), (3, 3));
}

#[test]
fn idle_streams_leave_memory_and_still_know_their_lines_when_they_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = CollectorOptions { max_streams: 2, ..plain(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    for n in 1..=6 {
        let bytes: Vec<u8> = (1..=10).flat_map(|seq| line_of(&run_id(n), "town", seq)).collect();
        send_plain(&collector, &bytes);
        wait_for(&collector, "the end of the connection", |report| report.connections_open == 0);
    }
    send_plain(&collector, &lines("town", 5..=12));
    let report = stop(collector);
    assert_eq!((report.streams.len(), report.streams_retired), (2, 5));
    assert_eq!((report.totals.stored, report.totals.duplicates), (62, 6));
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=12));
}

#[test]
fn what_a_stream_misses_is_counted_once_however_often_it_leaves_memory_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = CollectorOptions { max_streams: 1, ..plain(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    for round in 0..4 {
        for run in [1, 2] {
            // Of each, every second one is missing.
            send_plain(&collector, &line_of(&run_id(run), "town", 2 * round + 2));
            let report = wait_for(&collector, "the end", |report| report.connections_open == 0);
            assert_eq!(report.missing, if run == 1 { 2 * round + 1 } else { 2 * round + 2 }, "round {round}, {run}");
        }
    }
    let report = stop(collector);
    assert_eq!((report.streams_retired, report.missing), (7, 8));
}

#[test]
fn a_client_that_does_not_read_its_acks_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let options = CollectorOptions { write_timeout: Duration::from_millis(100), ..secure.options(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let mut client = secure.connect(collector.local_addr(), true);
    // One line at a time makes one ack each; nobody reads them, so they pile up
    // in the socket buffers until these are full.
    let settled = |seq| move |report: &CollectorReport| report.totals.lines == seq || report.connections_open == 0;
    let mut seq = 0;
    while wait_for(&collector, "a line", settled(seq)).connections_open > 0 {
        seq += 1;
        if !client.try_send(&line("town", seq)) {
            break;
        }
    }
    let report = wait_for(&collector, "the cut", |report| report.connections_open == 0);
    assert_eq!(report.connections[0].ended.as_ref().unwrap().kind, EndKind::AckTimeout, "{report:#?}");
    assert!(report.connections[0].acknowledged > 100, "not at the first one");
    stop(collector);
}
