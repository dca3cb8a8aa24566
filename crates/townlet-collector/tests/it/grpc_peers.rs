//! Peers that do what they like on the port of gRPC; and stopping.

use std::io::Write;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use townlet_collector::grpc::GrpcOptions;
use townlet_collector::{Collector, CollectorOptions, EndKind};

use crate::grpc_support::*;
use crate::support::*;
use crate::web_support::metrics;

/// The collector goes on: a call by the book is answered.
fn works(collector: &Collector) {
    assert_eq!(Caller::of(collector).call(&framed(false, &one_log())).code, Some(0));
}

fn ended(collector: &Collector, kind: EndKind) {
    wait_for(collector, kind.as_str(), |report| report.endings.contains_key(kind.as_str()));
}

#[test]
fn what_is_no_http_2_is_cut_and_disturbs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_grpc(dir.path(), grpc_options());
    for noise in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[0xff; 4096],
        &[0; 4096],
    ] {
        let mut raw = Raw::to(&collector);
        raw.say(noise).until_closed();
    }
    // A frame that is longer than any, and one on a stream that there cannot be.
    let mut raw = Raw::calling(&collector);
    raw.say(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01").until_closed();
    let mut raw = Raw::calling(&collector);
    raw.frame(0, 0, 2, b"x").until_closed();
    let report = wait_for(&collector, "seven to end", |report| report.endings.get("bad_request") == Some(&7));
    assert!(report.connections.iter().all(|one| one.ended.as_ref().is_some_and(|end| end.detail.contains("HTTP/2"))));
    works(&collector);
    stop(collector);
}

#[test]
fn a_length_that_is_only_announced_takes_nothing_and_a_message_has_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let options = GrpcOptions { message_timeout: Duration::from_secs(2), ..grpc_options() };
    let collector = with_grpc(dir.path(), options);
    // 20 MiB, of which one byte comes.
    let mut raw = Raw::calling(&collector);
    raw.frame(0, 0, 1, b"\0\x01\x40\0\0x");
    let method = townlet_collector::otlp::Signal::Logs.method();
    let name = format!("townlet_grpc_calls_total{{method=\"{method}\",code=\"DEADLINE_EXCEEDED\"}}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = metrics(&collector);
        assert!(now["townlet_grpc_message_bytes"] <= 1.0, "{now:?}");
        if now.get(&name) == Some(&1.0) {
            break;
        }
        assert!(Instant::now() < deadline, "{now:?}");
    }
    works(&collector);
    stop(collector);
}

#[test]
fn a_call_that_is_given_up_gives_its_room_back() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_grpc(dir.path(), grpc_options());
    let held = |bytes: f64| {
        let deadline = Instant::now() + PATIENCE;
        while metrics(&collector)["townlet_grpc_message_bytes"].to_bits() != bytes.to_bits() {
            assert!(Instant::now() < deadline, "{:?}", metrics(&collector)["townlet_grpc_message_bytes"]);
        }
    };
    for leave in [
        // RST_STREAM, the end of the connection, and half of it.
        (|raw: &mut Raw| {
            raw.frame(3, 0, 1, b"\0\0\0\x08");
        }) as fn(&mut Raw),
        |raw| raw.0.shutdown(Shutdown::Both).unwrap(),
        |raw| raw.0.shutdown(Shutdown::Write).unwrap(),
    ] {
        let mut raw = Raw::calling(&collector);
        raw.frame(0, 0, 1, b"\0\0\0\x10\0some of it");
        held(10.0);
        leave(&mut raw);
        held(0.0);
    }
    works(&collector);
    stop(collector);
}

#[test]
fn who_only_holds_a_connection_open_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let short = Duration::from_millis(100);
    // Long enough for all three to say what they have to say.
    let options = GrpcOptions { first_call_timeout: Duration::from_secs(2), ..grpc_options() };
    let collector = with_grpc(dir.path(), options);
    // One that says nothing, one that says half of the beginning, one that is there and calls nothing.
    let mut quiet = Raw::to(&collector);
    let mut slow = Raw::to(&collector);
    slow.say(b"PRI * HTTP/2.0\r\n\r\nSM");
    let mut idle = Raw::to(&collector);
    idle.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").frame(4, 0, 0, b"");
    for raw in [&mut quiet, &mut slow, &mut idle] {
        raw.until_closed();
    }
    wait_for(&collector, "all three", |report| report.endings.get("idle_timeout") == Some(&3));
    stop(collector);

    let options = GrpcOptions { keep_alive: short, ..grpc_options() };
    let collector = with_grpc(dir.path(), options);
    let mut raw = Raw::calling(&collector);
    raw.frame(0, 1, 1, &framed(false, &one_log())).until_closed();
    ended(&collector, EndKind::Finished);
    assert_eq!(stop(collector).totals.stored, 1);
}

#[test]
fn a_peer_that_answers_no_ping_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let options = GrpcOptions { ping: Duration::from_millis(100), ..grpc_options() };
    let collector = with_grpc(dir.path(), options);
    let mut raw = Raw::calling(&collector);
    raw.until_closed();
    let report = wait_for(&collector, "the end", |report| report.endings.get("broken") == Some(&1));
    let ended = report.connections[0].ended.as_ref().unwrap();
    assert!(ended.detail.contains("pings"), "{ended:?}");
    stop(collector);
}

#[test]
fn one_connection_beyond_the_limit_is_closed_at_once_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let options = GrpcOptions { max_connections: 1, ..grpc_options() };
    let collector = with_grpc(dir.path(), options);
    let first = Raw::calling(&collector);
    wait_for(&collector, "the first", |report| report.connections_open == 1);
    assert!(Raw::to(&collector).until_closed().is_empty());
    wait_for(&collector, "the count", |report| report.connections_refused == 1);
    // Else the end waits for the rest of its call.
    drop(first);
    stop(collector);
}

#[test]
fn a_call_beyond_those_of_its_connection_is_refused_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = GrpcOptions { max_calls_per_connection: 1, ..grpc_options() };
    let collector = with_grpc(dir.path(), options);
    let mut raw = Raw::calling(&collector);
    raw.head(3);
    // RST_STREAM with REFUSED_STREAM: nothing was done (RFC 9113, section 8.7).
    assert_eq!(raw.until(3), (3, vec![0, 0, 0, 7]));
    raw.frame(0, 1, 1, &framed(false, &one_log()));
    wait_for(&collector, "the first call", |report| report.totals.stored == 1);
    stop(collector);
}

#[test]
fn a_stop_lets_what_is_being_stored_finish_and_is_on_time_where_it_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (entered, inside) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let options = CollectorOptions {
        subscriber: Some(Arc::new(move |_| {
            let _ = entered.send(());
            let _ = released.lock().unwrap().recv();
        })),
        ..plain(dir.path())
    };
    let collector = Collector::bind(options.with_grpc(grpc_options())).unwrap();
    let _quiet = Raw::to(&collector);
    let mut begun = Raw::calling(&collector);
    begun.frame(0, 0, 1, b"\0\0\0\x10\0some of it");
    let mut raw = Raw::calling(&collector);
    raw.frame(0, 1, 1, &framed(false, &one_log()));
    inside.recv_timeout(PATIENCE).unwrap();
    let begins = Instant::now();
    let report = collector.shutdown(Duration::from_secs(4));
    assert!(begins.elapsed() < PATIENCE / 2, "{:?}", begins.elapsed());
    assert_eq!(report.connections_open, 1, "the one whose line is being taken: {report:#?}");
    assert_eq!(report.endings.get("stopped"), Some(&2), "{report:#?}");
    release.send(()).unwrap();
    begun.until_closed();
    raw.0.flush().unwrap();
    raw.until_closed();
}

#[test]
fn after_a_stop_nobody_listens_and_what_was_answered_is_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_grpc(dir.path(), grpc_options());
    let address = collector.grpc_addr().unwrap();
    works(&collector);
    let mut raw = Raw::calling(&collector);
    raw.frame(0, 1, 1, &framed(false, &one_log()));
    wait_for(&collector, "the second", |report| report.totals.stored == 2);
    let begins = Instant::now();
    assert_eq!(stop(collector).totals.stored, 2);
    assert!(begins.elapsed() < PATIENCE / 2, "{:?}", begins.elapsed());
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "still listening after the stop");
    }
    assert_eq!(stored_of(dir.path(), "@no-run-id", "otlp.logs").iter().filter(|byte| **byte == b'\n').count(), 2);
}
