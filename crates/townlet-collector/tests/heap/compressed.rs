//! Lines that travel compressed: what came fast leaves nothing behind once it pauses.

use std::time::Duration;

use townlet_collector::store::StoreOptions;
use townlet_collector::{Collector, CollectorOptions, Security, protocols};
use townlet_testkit::certs::Pki;
use townlet_tls::{ClientOptions, Endpoint, ServerOptions, ServerTls};
use townlet_transport::{Frame, Label, Level, Transport};
use townlet_transport_tcp::{TcpOptions, TcpTransport};

use crate::{ALLOCATOR, CLIENTS, nobody_else, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a connection may keep beyond what it had after its first line.
const KEPT: usize = 80 * 1024;

/// Lines that do not become much smaller.
fn frames(client: usize, seqs: std::ops::Range<u64>) -> Vec<Frame> {
    let run = format!("r{client}");
    let mut seed = client as u64 + 1;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", seed >> 32)
    };
    let frame = |seq| {
        let pad: String = (0..100).map(|_| noise()).collect();
        let line = format!("{{\"run_id\":\"{run}\",\"stream\":\"town\",\"seq\":{seq},\"pad\":\"{pad}\"}}\n");
        Frame::new(Label::new(&run, "town"), "event", seq, seq, line)
    };
    seqs.map(frame).collect()
}

fn deliver(sink: &mut TcpTransport, frames: &[Frame]) {
    sink.send(frames).unwrap();
    let mut settled = 0;
    while settled < frames.len() {
        let more = sink.receipts(PATIENCE).unwrap();
        assert!(more > 0, "{settled} of {}", frames.len());
        settled += more;
    }
}

#[test]
fn a_compressed_connection_keeps_no_memory_of_a_burst_once_it_pauses() {
    let _alone = nobody_else();
    let (dir, pki) = (tempfile::tempdir().unwrap(), Pki::new());
    let issued = pki.localhost();
    let server = ServerOptions { alpn: protocols(), ..ServerOptions::new(&issued.cert_file, &issued.key_file) };
    let security = Security::Tls(ServerTls::load(&server).unwrap());
    let options =
        CollectorOptions::new("127.0.0.1:0".parse().unwrap(), security).with_store(StoreOptions::new(dir.path()));
    let collector = Collector::bind(options).unwrap();
    let endpoint = Endpoint::parse(&format!("localhost:{}", collector.local_addr().port())).unwrap();
    let client = ClientOptions { ca_file: Some(pki.ca_file().to_owned()), ..ClientOptions::default() };
    let options = TcpOptions {
        deflate: true,
        send_timeout: PATIENCE,
        connect_timeout: PATIENCE,
        ..TcpOptions::new(endpoint, townlet_transport_tcp::Security::Tls(client))
    };
    let mut sinks: Vec<_> = (0..CLIENTS).map(|_| TcpTransport::new(options.clone()).unwrap()).collect();
    for (client, sink) in sinks.iter_mut().enumerate() {
        assert_eq!(sink.connect().unwrap().level, Level::PeerAcked);
        deliver(sink, &frames(client, 1..2));
    }
    let before = ALLOCATOR.allocated();
    for (client, sink) in sinks.iter_mut().enumerate() {
        deliver(sink, &frames(client, 2..2002));
    }
    wait_for("the memory of a burst goes", || ALLOCATOR.allocated().saturating_sub(before) < CLIENTS * KEPT);
    let kept = ALLOCATOR.allocated().saturating_sub(before) / CLIENTS;
    println!("{kept} bytes a connection and its stream are kept after a burst");
    assert!(collector.report().missing == 0 && collector.report().connections_open == CLIENTS as u64);
    drop(sinks);
    collector.shutdown(Duration::from_secs(5));
}
