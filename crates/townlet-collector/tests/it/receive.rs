//! What comes in stands in the store byte for byte.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use townlet_collector::{Collector, CollectorOptions, EndKind, LineView, Security};
use townlet_testkit::certs::{Leaf, Pki};
use townlet_tls::{ClientOptions, ClientTls, Endpoint, ServerOptions, ServerTls};

use crate::support::*;

#[test]
fn plaintext_is_stored_byte_for_byte_one_file_a_stream() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    let mut sent = Vec::new();
    for seq in 1..=300 {
        sent.extend(line("town", seq));
        sent.extend(line("town.events", seq));
    }
    send_plain(&collector, &sent);
    let report = stop(collector);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=300));
    assert_eq!(stored(dir.path(), "town.events"), lines("town.events", 1..=300));
    assert_eq!((report.totals.lines, report.totals.stored), (600, 600));
    assert_eq!(report.totals.bytes, sent.len() as u64);
    assert_eq!(report.missing, 0);
}

#[test]
fn tls_is_stored_byte_for_byte_spacing_and_line_ends_included() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let run = run_id(1);
    // Odd but valid: white space, escapes, a carriage return, a long line over many TLS records.
    let odd = [
        format!("  {{ \"run_id\" : \"{run}\", \"stream\":\"town\",\"seq\":1,\"tick\":1, \"x\":\"\\u00e4\" }}\r\n"),
        format!(
            "{{\"seq\":2,\"tick\":2,\"stream\":\"town\",\"run_id\":\"{run}\",\"x\":\"{}\"}}\n",
            "y".repeat(300_000)
        ),
        format!("{{\"stream\":\"to\\u0077n\",\"run_id\":\"{run}\",\"seq\":3,\"tick\":3}}\n"),
    ]
    .concat();
    let mut client = secure.connect(collector.local_addr(), false);
    client.send(odd.as_bytes());
    client.close();
    let report = stop(collector);
    assert_eq!(stored(dir.path(), "town"), odd.as_bytes());
    assert!(report.connections[0].tls && !report.connections[0].acks);
    assert_eq!(report.connections[0].ended.as_ref().unwrap().kind, EndKind::PeerClosed);
}

#[test]
fn fifty_connections_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    std::thread::scope(|scope| {
        for n in 1..=50 {
            let collector = &collector;
            scope.spawn(move || {
                let run = run_id(n);
                let bytes: Vec<u8> = (1..=200).flat_map(|seq| line_of(&run, "town", seq)).collect();
                send_plain(collector, &bytes);
            });
        }
    });
    let report = stop(collector);
    assert_eq!((report.connections_accepted, report.totals.stored, report.missing), (50, 10_000, 0));
    for n in 1..=50 {
        let expected: Vec<u8> = (1..=200).flat_map(|seq| line_of(&run_id(n), "town", seq)).collect();
        assert_eq!(stored_of(dir.path(), run_id(n).as_str(), "town"), expected);
    }
    assert_eq!(report.restarts, 49, "each further run of a stream is a restart");
}

#[test]
fn two_connections_of_one_stream_interleave_by_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    std::thread::scope(|scope| {
        for odd in [1, 2] {
            let collector = &collector;
            scope.spawn(move || send_plain(collector, &lines("town", (odd..=4000).step_by(2))));
        }
    });
    let report = stop(collector);
    let content = stored(dir.path(), "town");
    let mut found: Vec<_> = content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let mut expected: Vec<_> = (1..=4000).map(|seq| line("town", seq)).collect();
    found.sort();
    expected.sort();
    assert!(found == expected, "every line once and whole");
    assert_eq!(report.streams[0].sequence.missing, 0);
}

#[test]
fn lines_of_an_older_schema_are_stored_without_a_number() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    let old = b"{\"schema_version\":\"0.9.0\",\"tick\":1,\"jobs\":{}}\n{\"schema_version\":\"0.9.0\",\"tick\":1,\"jobs\":{}}\n";
    send_plain(&collector, old);
    let report = stop(collector);
    assert_eq!(stored_of(dir.path(), "@no-run-id", "@no-stream"), old);
    assert_eq!((report.streams[0].unnumbered, report.totals.duplicates), (2, 0));
}

#[test]
fn a_number_without_its_run_or_stream_makes_no_line_a_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    // Two producers that name no run, and two unnamed streams of one run.
    let nameless = b"{\"stream\":\"town\",\"seq\":1,\"x\":1}\n{\"stream\":\"town\",\"seq\":1,\"x\":2}\n";
    let unnamed = b"{\"run_id\":\"r\",\"seq\":1,\"x\":1}\n{\"run_id\":\"r\",\"seq\":1,\"x\":2}\n";
    send_plain(&collector, &[&nameless[..], &unnamed[..]].concat());
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.duplicates), (4, 0));
    assert_eq!(stored_of(dir.path(), "@no-run-id", "town"), nameless);
    assert_eq!(stored_of(dir.path(), "r", "@no-stream"), unnamed);
}

#[test]
fn lines_of_a_kind_from_the_future_are_kept_and_numbered() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    let run = run_id(1);
    let dream = |seq| {
        format!(
            "{{\"schema_version\":\"1.7.0\",\"payload_type\":\"dream\",\"run_id\":\"{run}\",\"stream\":\"town\",\"seq\":{seq},\"tick\":1}}\n"
        )
    };
    send_plain(&collector, [dream(1), dream(3), dream(3)].concat().as_bytes());
    let report = stop(collector);
    assert_eq!(stored(dir.path(), "town"), [dream(1), dream(3)].concat().as_bytes());
    assert_eq!((report.totals.invalid, report.totals.duplicates, report.missing), (0, 1, 1));
}

#[test]
fn a_subscriber_sees_each_new_line_once() {
    let dir = tempfile::tempdir().unwrap();
    let (seen, lines_seen) = mpsc::channel();
    let subscriber = move |view: &LineView<'_>| {
        let _ = seen.send((view.head.seq, view.bytes.to_vec()));
    };
    let options = CollectorOptions { subscriber: Some(Arc::new(subscriber)), ..plain(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    send_plain(&collector, &lines("town", [1, 2, 2, 3]));
    stop(collector);
    let seen: Vec<_> = lines_seen.into_iter().collect();
    assert_eq!(seen.iter().map(|(seq, _)| seq.unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!([seen[0].1.as_slice(), b"\n"].concat(), line("town", 1));
}

#[test]
fn a_panicking_subscriber_ends_its_connection_and_the_books_balance() {
    let dir = tempfile::tempdir().unwrap();
    let subscriber = |view: &LineView<'_>| assert!(view.head.seq != Some(3), "the subscriber's own mistake");
    let options = CollectorOptions { subscriber: Some(Arc::new(subscriber)), ..plain(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    send_plain(&collector, &lines("town", 1..=5));
    wait_for(&collector, "the cut", |report| report.connections_open == 0);
    send_plain(&collector, &lines("town", 4..=5));
    let report = stop(collector);
    assert_eq!(report.endings.get("subscriber_panicked"), Some(&1));
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=5));
}

#[test]
fn plaintext_beyond_loopback_is_refused_before_anything_listens() {
    let options = CollectorOptions {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..CollectorOptions::new(anywhere(), Security::PlaintextOnLoopback)
    };
    let error = Collector::bind(options).unwrap_err().to_string();
    assert!(error.contains("0.0.0.0:0") && error.contains("TLS"), "{error}");
}

#[test]
fn a_client_without_the_certificate_that_is_asked_for_is_turned_away() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    let issued = pki.localhost();
    let server = ServerOptions {
        client_ca_file: Some(pki.ca_file().to_owned()),
        ..ServerOptions::new(&issued.cert_file, &issued.key_file)
    };
    let security = Security::Tls(ServerTls::load(&server).unwrap());
    let collector = Collector::bind(CollectorOptions { security, ..plain(dir.path()) }).unwrap();
    let endpoint = Endpoint::parse(&format!("localhost:{}", collector.local_addr().port())).unwrap();
    let connect = |options: &ClientOptions| {
        let socket = TcpStream::connect(collector.local_addr()).unwrap();
        ClientTls::load(options).unwrap().handshake(socket, &endpoint, Instant::now() + PATIENCE)
    };
    let nameless = ClientOptions { ca_file: Some(pki.ca_file().to_owned()), ..ClientOptions::default() };
    assert!(connect(&nameless).is_err());
    wait_for(&collector, "the refusal", |report| report.endings.contains_key("handshake_failed"));

    let own = pki.issue("client", &Leaf::client("shard-1"));
    let named = ClientOptions { cert_file: Some(own.cert_file), key_file: Some(own.key_file), ..nameless };
    let mut client = connect(&named).unwrap();
    client.write_all(&line("town", 1)).unwrap();
    client.flush().unwrap();
    wait_for(&collector, "the line", |report| report.totals.stored == 1);
    drop(client);
    stop(collector);
}
