//! What one connection carries: checked, deduplicated, acknowledged, stored.
//!
//! `cargo run --release -p townlet-collector --example throughput [MB]` sends
//! event lines of about 265 bytes and prints MB/s, in the open and under TLS
//! with acknowledgements. Sender and collector share the machine.

#![expect(clippy::unwrap_used, reason = "a measurement stops where it cannot measure")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use townlet_collector::store::StoreOptions;
use townlet_collector::{ACK_PROTOCOL, Collector, CollectorOptions, Security};
use townlet_schema::{Kind, LineExtra, LinePrefix, RunId, SchemaVersion};
use townlet_testkit::certs::Pki;
use townlet_tls::{ClientOptions, ClientTls, Endpoint, ServerOptions, ServerTls};

const BODY: &[u8] = br#"{"event":"affordance_finish","payload":{"agent_id":"alice","object_id":"shower_1","affordance_id":"use","duration":12}}"#;

fn main() {
    let megabytes: usize = std::env::args().nth(1).map_or(400, |text| text.parse().unwrap());
    let prefix = LinePrefix::new(SchemaVersion::CURRENT, Kind::Event, &RunId::from_u128(1), "town.events");
    let mut bytes = Vec::with_capacity(megabytes * 1_000_000 + 1000);
    let mut lines = 0;
    while bytes.len() < megabytes * 1_000_000 {
        lines += 1;
        prefix.write_line(lines, lines, LineExtra::default(), BODY, &mut bytes);
    }
    println!("{lines} lines of {} bytes", bytes.len() as u64 / lines);

    let address = "127.0.0.1:0".parse().unwrap();
    measure("plaintext", CollectorOptions::new(address, Security::PlaintextOnLoopback), &bytes, lines, |socket, _| {
        (&socket).write_all(&bytes).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        (&socket).read_to_end(&mut Vec::new()).unwrap();
    });

    let pki = Pki::new();
    let issued = pki.localhost();
    let mut server = ServerOptions::new(&issued.cert_file, &issued.key_file);
    server.alpn = vec![ACK_PROTOCOL.to_vec()];
    let options = CollectorOptions::new(address, Security::Tls(ServerTls::load(&server).unwrap()));
    measure("TLS 1.3 with acks", options, &bytes, lines, |socket, port| {
        let alpn = vec![ACK_PROTOCOL.to_vec()];
        let client = ClientOptions { ca_file: Some(pki.ca_file().to_owned()), alpn, ..ClientOptions::default() };
        let endpoint = Endpoint::parse(&format!("localhost:{port}")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut stream = ClientTls::load(&client).unwrap().handshake(socket, &endpoint, deadline).unwrap();
        for batch in bytes.chunks(64 * 1024) {
            stream.write_all(batch).unwrap();
        }
        stream.flush().unwrap();
        let last = format!("{{\"ack\":{lines}}}\n");
        let mut acks = Vec::new();
        while !acks.ends_with(last.as_bytes()) {
            let mut piece = [0; 16 * 1024];
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "closed before the last ack");
            acks.extend_from_slice(&piece[..read]);
        }
    });
}

fn measure(name: &str, options: CollectorOptions, bytes: &[u8], lines: u64, send: impl Fn(TcpStream, u16)) {
    for _ in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let collector = Collector::bind(options.clone().with_store(StoreOptions::new(dir.path()))).unwrap();
        let address = collector.local_addr();
        let begun = Instant::now();
        send(TcpStream::connect(address).unwrap(), address.port());
        let seconds = begun.elapsed().as_secs_f64();
        let report = collector.shutdown(Duration::from_secs(30));
        assert_eq!((report.totals.stored, report.missing), (lines, 0));
        println!(
            "{name}: {:.0} MB/s, {:.2} M lines/s",
            bytes.len() as f64 / 1e6 / seconds,
            lines as f64 / 1e6 / seconds
        );
    }
}
