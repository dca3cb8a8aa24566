//! What a fleet costs: memory for each connection, and how soon subscribers see
//! a state.
//!
//! `cargo run --release -p townlet-collector --example fleet [CONNECTIONS]`
//! prints the resident memory of this process without connections, with as many
//! of each kind that have sent one line, and after each has sent a quarter of a megabyte; then
//! the time from a state's last byte to the last of 50 subscribers. The clients
//! are in the same process, so their share is in the figures.

#![expect(clippy::unwrap_used, reason = "a measurement stops where it cannot measure")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use townlet_collector::store::StoreOptions;
use townlet_collector::web::WebOptions;
use townlet_collector::{ACK_PROTOCOL, Collector, CollectorOptions, Security};
use townlet_schema::{Kind, LineExtra, LinePrefix, RunId, SchemaVersion};
use townlet_testkit::certs::Pki;
use townlet_tls::{ClientOptions, ClientStream, ClientTls, Endpoint, ServerOptions, ServerTls};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

const BODY: &[u8] =
    br#"{"event":"affordance_finish","payload":{"agent_id":"alice","object_id":"shower_1","duration":12}}"#;

fn main() {
    let count: usize = std::env::args().nth(1).map_or(1000, |text| text.parse().unwrap());
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let pki = Pki::new();
    memory("lines, in the open", count, &pki, false, |collector, _| {
        Box::new(TcpStream::connect(collector.local_addr()).unwrap())
    });
    memory("lines, TLS 1.3 with acks", count, &pki, true, |collector, tls| {
        let port = collector.local_addr().port();
        let endpoint = Endpoint::parse(&format!("localhost:{port}")).unwrap();
        let socket = TcpStream::connect(collector.local_addr()).unwrap();
        let stream: ClientStream = tls.handshake(socket, &endpoint, Instant::now() + Duration::from_secs(30)).unwrap();
        Box::new(stream)
    });
    memory("WebSocket, in the open", count, &pki, false, |collector, _| {
        Box::new(Messages(socket(collector, "/v1/telemetry/ws")))
    });
    latency(50);
}

/// A way in that only takes bytes.
struct Messages(WebSocket<TcpStream>);

impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(Message::Text(std::str::from_utf8(bytes).unwrap().into())).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn socket(collector: &Collector, path: &str) -> WebSocket<TcpStream> {
    let address = collector.web_addr().unwrap();
    let request = format!("ws://{address}{path}").into_client_request().unwrap();
    tungstenite::client(request, TcpStream::connect(address).unwrap()).unwrap().0
}

fn collector(dir: &std::path::Path, security: Security, count: usize) -> Collector {
    let address = "127.0.0.1:0".parse().unwrap();
    let web = WebOptions { max_connections: count, ..WebOptions::new(address, Security::PlaintextOnLoopback) };
    let options = CollectorOptions { max_connections: count, ..CollectorOptions::new(address, security) };
    Collector::bind(options.with_store(StoreOptions::new(dir)).with_web(web)).unwrap()
}

fn memory(name: &str, count: usize, pki: &Pki, tls: bool, join: impl Fn(&Collector, &ClientTls) -> Box<dyn Write>) {
    let dir = tempfile::tempdir().unwrap();
    let security = if tls {
        let issued = pki.localhost();
        let mut options = ServerOptions::new(&issued.cert_file, &issued.key_file);
        options.alpn = vec![ACK_PROTOCOL.to_vec()];
        Security::Tls(ServerTls::load(&options).unwrap())
    } else {
        Security::PlaintextOnLoopback
    };
    let alpn = vec![ACK_PROTOCOL.to_vec()];
    let client = ClientOptions { ca_file: Some(pki.ca_file().to_owned()), alpn, ..ClientOptions::default() };
    let client = ClientTls::load(&client).unwrap();
    let collector = collector(dir.path(), security, count);
    let before = resident();
    let begun = Instant::now();
    let mut ways: Vec<_> = (0..count).map(|_| join(&collector, &client)).collect();
    let lines = |run: usize, from: u64, to: u64| {
        let run = RunId::from_u128(run as u128 + 1);
        let prefix = LinePrefix::new(SchemaVersion::CURRENT, Kind::Event, &run, "town.events");
        let mut bytes = Vec::new();
        for seq in from..=to {
            prefix.write_line(seq, seq, LineExtra::default(), BODY, &mut bytes);
        }
        bytes
    };
    let settle = |expected: u64| {
        while collector.report().totals.stored < expected {
            std::thread::yield_now();
        }
        // Until each connection has seen that nothing comes.
        std::thread::park_timeout(Duration::from_millis(500));
    };
    for (run, way) in ways.iter_mut().enumerate() {
        way.write_all(&lines(run, 1, 1)).unwrap();
        way.flush().unwrap();
    }
    settle(count as u64);
    let joined = begun.elapsed();
    let first = resident();
    let each = 1000;
    let begun = Instant::now();
    for (run, way) in ways.iter_mut().enumerate() {
        way.write_all(&lines(run, 2, each)).unwrap();
        way.flush().unwrap();
    }
    settle(count as u64 * each);
    let took = begun.elapsed();
    let second = resident();
    println!(
        "{name}: {count} connections in {:.1} s; resident {before} kB before, {first} kB with one line each ({:.1} kB \
         each), {second} kB after {each} lines each in {:.1} s ({:.1} kB each)",
        joined.as_secs_f64(),
        (first.saturating_sub(before)) as f64 / count as f64,
        took.as_secs_f64(),
        (second.saturating_sub(before)) as f64 / count as f64,
    );
    drop(ways);
    let report = collector.shutdown(Duration::from_secs(30));
    assert_eq!((report.totals.stored, report.missing), (count as u64 * each, 0));
}

/// From the last byte of a state to its arrival at the last of so many subscribers.
fn latency(subscribers: usize) {
    let dir = tempfile::tempdir().unwrap();
    let collector = collector(dir.path(), Security::PlaintextOnLoopback, 256);
    let mut town = TcpStream::connect(collector.local_addr()).unwrap();
    let prefix = LinePrefix::new(SchemaVersion::CURRENT, Kind::Snapshot, &RunId::from_u128(1), "town");
    let mut viewers: Vec<_> = (0..subscribers).map(|_| socket(&collector, "/ws/telemetry")).collect();
    let mut times = Vec::new();
    for seq in 1..=200u64 {
        let agents: Vec<_> = (0..80).map(|n| format!("\"agent-{n}\":{{\"wallet\":{seq}.5,\"job_id\":\"grocer\",\"needs\":{{\"hunger\":0.{n}1,\"energy\":0.5}}}}")).collect();
        let body = format!("{{\"jobs\":{{{}}}}}", agents.join(","));
        let mut line = Vec::new();
        prefix.write_line(seq, seq, LineExtra { rendering: Some(0), base_seq: None }, body.as_bytes(), &mut line);
        let begun = Instant::now();
        town.write_all(&line).unwrap();
        for viewer in &mut viewers {
            assert!(viewer.read().unwrap().is_text());
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    println!(
        "{subscribers} subscribers, states of 7 kB: p50 {:?}, p95 {:?}, max {:?} to the last one",
        times[100], times[190], times[199]
    );
    drop((viewers, town));
    collector.shutdown(Duration::from_secs(5));
}

/// Kilobytes of this process that are in memory.
fn resident() -> u64 {
    let mut text = String::new();
    std::fs::File::open("/proc/self/status").unwrap().read_to_string(&mut text).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
