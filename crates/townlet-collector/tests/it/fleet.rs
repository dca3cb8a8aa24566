//! Many shards at a time.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Resource, getrlimit, setrlimit};
use townlet_collector::web::WebOptions;
use townlet_collector::{Collector, CollectorOptions};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use crate::support::*;
use crate::web_support::*;

const SHARDS: u128 = 1000;

/// A connection has two ends here, and the store some files.
const DESCRIPTORS: u64 = 4096;

fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < DESCRIPTORS) {
        assert!(limit.maximum.is_none_or(|most| most >= DESCRIPTORS), "no test of {SHARDS} connections with {limit:?}");
        limit.current = Some(DESCRIPTORS);
        setrlimit(Resource::Nofile, limit).unwrap();
    }
}

/// One shard's way in.
enum Shard {
    Lines(TcpStream),
    Http(Client),
    Websocket(Box<WebSocket<TcpStream>>),
}

impl Shard {
    fn join(collector: &Collector, number: u128) -> Self {
        match number % 10 {
            0 => Self::Http(Client::of(collector)),
            1 | 2 => {
                let address = collector.web_addr().unwrap();
                let mut request = format!("ws://{address}/v1/telemetry/ws").into_client_request().unwrap();
                request.headers_mut().insert("sec-websocket-protocol", "townlet.v1".parse().unwrap());
                let socket = TcpStream::connect(address).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::Websocket(Box::new(tungstenite::client(request, socket).unwrap().0))
            }
            _ => Self::Lines(TcpStream::connect(collector.local_addr()).unwrap()),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Lines(socket) => socket.write_all(bytes).unwrap(),
            Self::Http(client) => {
                let head = format!(
                    "POST /v1/telemetry HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
                    bytes.len()
                );
                assert_eq!(client.say([head.as_bytes(), bytes].concat()).answer().status, 200);
            }
            Self::Websocket(socket) => {
                socket.send(Message::Text(String::from_utf8(bytes.to_vec()).unwrap().into())).unwrap();
                assert!(socket.read().unwrap().is_text());
            }
        }
    }
}

#[test]
fn a_thousand_shards_at_a_time_are_each_accounted_for() {
    raise_descriptor_limit();
    let dir = tempfile::tempdir().unwrap();
    let web = WebOptions { max_connections: 400, metric_streams: 100, ..web_options() };
    let collector =
        Collector::bind(CollectorOptions { max_connections: 800, web: Some(web), ..plain(dir.path()) }).unwrap();
    let mut shards: Vec<_> = (0..SHARDS).map(|number| Shard::join(&collector, number)).collect();
    for (number, shard) in (0..).zip(&mut shards) {
        shard.send(&[line_of(&run_id(number), "town", 1), line_of(&run_id(number), "town", 2)].concat());
    }
    let report = wait_for(&collector, "two lines of each", |report| report.totals.stored == 2 * SHARDS as u64);
    assert_eq!((report.connections_open, report.connections_refused), (SHARDS as u64, 0));

    // All are there still, one has lost a line, one says nothing, one says what is no line.
    for (number, shard) in (0..).zip(&mut shards) {
        match number {
            7 => shard.send(&line_of(&run_id(number), "town", 4)),
            8 => {}
            9 => shard.send(b"{\"broken\n"),
            _ => shard.send(&line_of(&run_id(number), "town", 3)),
        }
    }
    let stored = 3 * SHARDS as u64 - 2;
    wait_for(&collector, "the third", |report| report.totals.stored == stored && report.totals.invalid == 1);
    let reports = collector.shards();
    assert_eq!(reports.len() as u128, SHARDS);
    let of = |number| reports.iter().find(|shard| shard.run_id.as_deref() == Some(run_id(number).as_str())).unwrap();
    assert_eq!((of(7).missing, of(7).gaps[0].to_string().as_str(), of(7).loss_ratio), (1, "3", 0.25));
    assert_eq!((of(8).last_seq, of(8).missing), (2, 0));
    assert!(of(8).silent_ms.unwrap() >= of(999).silent_ms.unwrap());
    assert_eq!(reports.iter().map(|shard| shard.missing).sum::<u64>(), 1);

    let metrics = metrics(&collector);
    let named = metrics.keys().filter(|name| name.starts_with("townlet_stream_lines_total")).count();
    assert_eq!(named, 101, "a hundred by name, and the others");
    assert_eq!(metrics["townlet_collector_connections{via=\"lines\"}"], 700.0);
    assert_eq!(metrics["townlet_collector_connections{via=\"websocket\"}"], 200.0);
    assert_eq!(metrics["parser_failure_total{error_code=\"syntax\"}"], 1.0);
    drop(shards);
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.missing), (stored, 1));
}

/// Whoever holds a connection without using it takes nothing from the others.
#[test]
fn slow_and_endless_lines_are_cut_while_the_others_go_on() {
    raise_descriptor_limit();
    let dir = tempfile::tempdir().unwrap();
    let options = CollectorOptions {
        max_line_bytes: 1000,
        line_timeout: std::time::Duration::from_secs(5),
        web: Some(web_options()),
        ..plain(dir.path())
    };
    let collector = Collector::bind(options).unwrap();
    let mut good: Vec<_> = [3, 1, 0].map(|number| Shard::join(&collector, number)).into();
    let begun: Vec<_> = (0..50)
        .map(|_| {
            let mut socket = TcpStream::connect(collector.local_addr()).unwrap();
            socket.write_all(b"{\"run_id\":").unwrap();
            socket
        })
        .collect();
    let endless: Vec<_> = (0..20)
        .map(|_| {
            let mut socket = TcpStream::connect(collector.local_addr()).unwrap();
            // It may be cut before all of it is out.
            let _ = socket.write_all(&[b'x'; 3000]);
            socket
        })
        .collect();
    // The beginning of a masked frame, and a frame that is longer than a line may be.
    let mut frames: Vec<_> = (0..2)
        .map(|_| match Shard::join(&collector, 1) {
            Shard::Websocket(socket) => socket.get_ref().try_clone().unwrap(),
            _ => unreachable!("1 is a WebSocket"),
        })
        .collect();
    frames[0].write_all(&[0x81, 0xfe, 0x01, 0x00, 1, 2, 3, 4, 5]).unwrap();
    frames[1].write_all(&[0x81, 0xff, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 2, 3, 4]).unwrap();
    let report = wait_for(&collector, "the cuts", |report| {
        report.endings.get("line_timeout") == Some(&51) && report.endings.get("line_too_long") == Some(&21)
    });
    assert_eq!(report.connections_open, 3);
    for mut socket in begun.into_iter().chain(endless).chain(frames) {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    }
    for (number, shard) in (0..).zip(&mut good) {
        shard.send(&line_of(&run_id(number), "town", 1));
    }
    wait_for(&collector, "the lines of the others", |report| report.totals.stored == 3);
    drop(good);
    stop(collector);
}
