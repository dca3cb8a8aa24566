//! A client, lines, and waiting.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use townlet_collector::store::StoreOptions;
use townlet_collector::{ACK_PROTOCOL, Collector, CollectorOptions, CollectorReport, Security};
use townlet_schema::{Kind, LineExtra, LinePrefix, RunId, SchemaVersion};
use townlet_testkit::certs::Pki;
use townlet_tls::{ClientOptions, ClientStream, ClientTls, Endpoint, ServerOptions, ServerTls};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run_id(n: u128) -> RunId {
    RunId::from_u128(n)
}

/// One event line of run 1.
pub(crate) fn line(stream: &str, seq: u64) -> Vec<u8> {
    line_of(&run_id(1), stream, seq)
}

pub(crate) fn line_of(run: &RunId, stream: &str, seq: u64) -> Vec<u8> {
    let prefix = LinePrefix::new(SchemaVersion::CURRENT, Kind::Event, run, stream);
    let body = format!("{{\"event\":\"door\",\"payload\":{{\"text\":\"line {seq} — äöü\"}}}}");
    let mut out = Vec::new();
    prefix.write_line(seq, seq * 2, LineExtra::default(), body.as_bytes(), &mut out);
    out
}

pub(crate) fn lines(stream: &str, seqs: impl IntoIterator<Item = u64>) -> Vec<u8> {
    seqs.into_iter().flat_map(|seq| line(stream, seq)).collect()
}

pub(crate) fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn plain(dir: &Path) -> CollectorOptions {
    CollectorOptions::new(anywhere(), Security::PlaintextOnLoopback).with_store(StoreOptions::new(dir))
}

/// Certificates and both sides' settings.
pub(crate) struct Secure {
    pub(crate) server: ServerTls,
    pub(crate) pki: Pki,
}

impl Secure {
    pub(crate) fn new() -> Self {
        let pki = Pki::new();
        let issued = pki.localhost();
        let mut options = ServerOptions::new(&issued.cert_file, &issued.key_file);
        options.alpn = vec![ACK_PROTOCOL.to_vec()];
        Self { server: ServerTls::load(&options).unwrap(), pki }
    }

    pub(crate) fn options(&self, dir: &Path) -> CollectorOptions {
        CollectorOptions::new(anywhere(), Security::Tls(self.server.clone())).with_store(StoreOptions::new(dir))
    }

    pub(crate) fn connect(&self, address: SocketAddr, acks: bool) -> TlsClient {
        let alpn = if acks { vec![ACK_PROTOCOL.to_vec()] } else { Vec::new() };
        let options = ClientOptions { ca_file: Some(self.pki.ca_file().to_owned()), alpn, ..ClientOptions::default() };
        let endpoint = Endpoint::parse(&format!("localhost:{}", address.port())).unwrap();
        // A small buffer, so that acknowledgements nobody reads pile up soon.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        let socket = TcpStream::from(socket);
        let tls = ClientTls::load(&options).unwrap();
        TlsClient::over(tls.handshake(socket, &endpoint, Instant::now() + PATIENCE).unwrap())
    }
}

pub(crate) struct TlsClient {
    stream: BufReader<ClientStream>,
}

impl TlsClient {
    pub(crate) fn over(stream: ClientStream) -> Self {
        stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.sock.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    /// As [`send`](Self::send); false where the connection is gone.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).and_then(|()| self.stream.get_mut().flush()).is_ok()
    }

    /// Reads acknowledgements up to the one for `count` lines; gives all of them.
    pub(crate) fn acks_until(&mut self, count: u64) -> Vec<u64> {
        let mut seen = Vec::new();
        while seen.last() != Some(&count) {
            let mut text = String::new();
            assert!(self.stream.read_line(&mut text).unwrap() > 0, "closed after the acks {seen:?}");
            let number = text.strip_prefix("{\"ack\":").and_then(|rest| rest.strip_suffix("}\n"));
            seen.push(number.unwrap_or_else(|| panic!("not an ack: {text:?}")).parse().unwrap());
        }
        seen
    }

    /// Ends our direction politely and waits for the other side's end.
    pub(crate) fn close(mut self) {
        self.stream.get_mut().conn.send_close_notify();
        self.stream.get_mut().flush().unwrap();
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
    }

    /// True where the other side has ended the connection.
    pub(crate) fn sees_the_end(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    }
}

/// Sends `bytes` in the open and waits until the collector has read to the end.
pub(crate) fn send_plain(collector: &Collector, bytes: &[u8]) {
    let mut socket = TcpStream::connect(collector.local_addr()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(bytes).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut nothing = Vec::new();
    socket.read_to_end(&mut nothing).unwrap();
    assert!(nothing.is_empty(), "plaintext is never answered");
}

/// Waits until the report satisfies `ready`.
pub(crate) fn wait_for(collector: &Collector, what: &str, ready: impl Fn(&CollectorReport) -> bool) -> CollectorReport {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = collector.report();
        if ready(&report) {
            return report;
        }
        assert!(Instant::now() < deadline, "still waiting for {what}: {report:#?}");
        std::thread::yield_now();
    }
}

/// Stops, and checks what must hold after every stop.
pub(crate) fn stop(collector: Collector) -> CollectorReport {
    let report = collector.shutdown(PATIENCE);
    assert_eq!(report.connections_open, 0, "{report:#?}");
    assert!(report.totals.is_balanced(), "{report:#?}");
    assert_eq!(report.totals.unwritten, 0, "{report:#?}");
    report
}

pub(crate) fn stored(dir: &Path, stream: &str) -> Vec<u8> {
    stored_of(dir, run_id(1).as_str(), stream)
}

pub(crate) fn stored_of(dir: &Path, run: &str, stream: &str) -> Vec<u8> {
    let path = dir.join(run).join(format!("{stream}.jsonl"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
