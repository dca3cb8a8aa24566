//! Input that no producer of ours would send.

use std::io::{Read, Write};
use std::net::TcpStream;

use townlet_collector::{Collector, CollectorOptions, EndKind};

use crate::support::*;

/// Sends bad lines between two good ones; gives the counted reasons.
fn refused(bad: &[&[u8]]) -> Vec<(&'static str, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    let mut bytes = line("town", 1);
    for line in bad {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes.extend(line("town", 2));
    send_plain(&collector, &bytes);
    let report = stop(collector);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=2), "the good lines are not touched");
    assert_eq!((report.totals.stored, report.totals.invalid), (2, bad.len() as u64));
    assert_eq!(report.connections[0].invalid_lines[0].line, 2);
    report.invalid_by_reason.into_iter().collect()
}

#[test]
fn what_is_no_json_object_is_refused_with_its_reason() {
    assert_eq!(refused(&[b"{\"a\":"]), [("syntax", 1)]);
    assert_eq!(refused(&[b"{\"a\":1}}"]), [("syntax", 1)]);
    assert_eq!(refused(&[b"{\"a\":NaN}", b"{'a':1}", b"\0"]), [("syntax", 3)]);
    assert_eq!(refused(&[b"[1,2]", b"7"]), [("not_an_object", 2)]);
    assert_eq!(refused(&[b"{\"a\":\"\xff\"}"]), [("utf8", 1)]);
    assert_eq!(refused(&[b"{\"a\":\"\\ud800\"}"]), [("lone_surrogate", 1)]);
    assert_eq!(refused(&[b"", b"  \r"]), [("empty", 2)]);
}

#[test]
fn an_envelope_that_lies_is_refused_with_its_reason() {
    assert_eq!(refused(&[b"{\"seq\":1,\"seq\":2}"]), [("duplicate_key", 1)]);
    let run = run_id(1);
    let zero = format!("{{\"run_id\":\"{run}\",\"stream\":\"town\",\"seq\":0}}");
    let negative = format!("{{\"run_id\":\"{run}\",\"stream\":\"town\",\"seq\":-1}}");
    let unnamed = "{\"run_id\":\"\",\"stream\":\"town\",\"seq\":1}";
    let endless = format!("{{\"run_id\":\"{run}\",\"stream\":\"{}\",\"seq\":1}}", "x".repeat(300));
    let bad = [zero.as_bytes(), negative.as_bytes(), unnamed.as_bytes(), endless.as_bytes()];
    assert_eq!(refused(&bad), [("invalid_field", 4)]);
}

#[test]
fn nesting_without_end_is_refused_and_the_stack_holds() {
    let deep = [b"{\"a\":".repeat(10_000), b"1".to_vec(), b"}".repeat(10_000)].concat();
    let wide = [b"{\"a\":".to_vec(), b"[".repeat(200_000), b"]".repeat(200_000), b"}".to_vec()].concat();
    assert_eq!(refused(&[&deep, &wide]), [("too_deep", 2)]);
}

#[test]
fn a_torn_last_line_is_counted_and_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    let torn = line("town", 3);
    send_plain(&collector, &[lines("town", 1..=2), torn[..30].to_vec()].concat());
    let report = stop(collector);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=2));
    assert_eq!((report.totals.lines, report.partial_lines), (2, 1));
    assert_eq!(report.connections[0].partial_bytes, 30);
}

#[test]
fn a_line_that_is_too_long_ends_the_connection_after_the_lines_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = CollectorOptions { max_line_bytes: 1000, ..plain(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let mut socket = TcpStream::connect(collector.local_addr()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(&lines("town", 1..=3)).unwrap();
    // It never ends, and is not held meanwhile. Writing fails once the cut arrives.
    while socket.write_all(&[b'x'; 4096]).is_ok() {}
    let _ = socket.read(&mut [0]);
    let report = wait_for(&collector, "the cut", |report| report.connections_open == 0);
    let connection = &report.connections[0];
    assert_eq!(connection.ended.as_ref().unwrap().kind, EndKind::LineTooLong);
    assert!(connection.ended.as_ref().unwrap().detail.contains("line 4"), "{connection:?}");
    stop(collector);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=3));
}

#[test]
fn noise_on_the_port_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    for noise in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 5000], vec![0x16, 3, 1, 0xff, 0xff], Vec::new()] {
        let mut socket = TcpStream::connect(collector.local_addr()).unwrap();
        let _ = socket.write_all(&noise);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let _ = socket.read_to_end(&mut Vec::new());
    }
    let mut client = secure.connect(collector.local_addr(), true);
    client.send(&line("town", 1));
    client.acks_until(1);
    client.close();
    let report = stop(collector);
    assert_eq!(report.endings.get("handshake_failed"), Some(&4), "{:?}", report.endings);
    assert_eq!(report.totals.stored, 1);
}
