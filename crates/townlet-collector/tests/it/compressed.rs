//! Lines that travel as one compressed stream: fewer bytes, the same guarantees.

use std::time::Duration;

use townlet_collector::{Collector, protocols};
use townlet_state::{Cadence, measure};
use townlet_tls::{ClientOptions, Endpoint, ServerOptions, ServerTls};
use townlet_transport::{Frame, Label, Level, Outcome, Transport};
use townlet_transport_tcp::{Security, TcpOptions, TcpTransport};
use townlet_worker::{Options, Worker};

use crate::acknowledged::{assert_stored, delivered, end, offer};
use crate::relay::Relay;
use crate::support::*;

/// 120 ticks of the predecessor, each a whole snapshot.
const RECORDED: &[u8] = include_bytes!("../../../../samples/predecessor/telemetry_stream_0.9.0.jsonl");

/// A collector's side that knows compression, and one that does not.
fn secure(alpn: Vec<Vec<u8>>) -> Secure {
    let secure = Secure::new();
    let issued = secure.pki.localhost();
    let options = ServerOptions { alpn, ..ServerOptions::new(&issued.cert_file, &issued.key_file) };
    Secure { server: ServerTls::load(&options).unwrap(), ..secure }
}

fn compressing(port: u16, secure: &Secure) -> TcpOptions {
    let client = ClientOptions { ca_file: Some(secure.pki.ca_file().to_owned()), ..ClientOptions::default() };
    let endpoint = Endpoint::parse(&format!("localhost:{port}")).unwrap();
    TcpOptions { deflate: true, send_timeout: PATIENCE, ..TcpOptions::new(endpoint, Security::Tls(client)) }
}

#[test]
fn states_tick_by_tick_need_two_percent_of_their_bytes_and_arrive_whole() {
    let measured = measure(RECORDED, Cadence::default()).unwrap();
    let run = "01932c07-1d3a-7cc2-8f6e-0123456789ab";
    let (dir, secure) = (tempfile::tempdir().unwrap(), secure(protocols()));
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let relay = Relay::to(&[collector.local_addr()]);
    let mut sink = TcpTransport::new(compressing(relay.address().port(), &secure)).unwrap();
    assert_eq!(sink.connect().unwrap().level, Level::PeerAcked);
    for (line, seq) in measured.lines.iter().zip(1..) {
        let frame = Frame::new(Label::new(run, "town"), "diff", seq, seq, line.clone());
        assert_eq!(sink.send(&[frame]).unwrap(), Outcome::Pending);
        // Each is acknowledged before the next is sent: it was readable at once.
        assert_eq!(sink.receipts(PATIENCE).unwrap(), 1, "tick {seq}");
    }
    sink.close();
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.invalid, report.missing), (120, 0, 0));
    assert!(stored_of(dir.path(), run, "town") == measured.lines.concat(), "byte for byte");
    // TLS: a handshake, and 22 bytes around each record.
    let lines = relay.passed_up() - 120 * 22 - 2048;
    let ratio = measured.share(lines);
    assert!(ratio <= 0.022, "{lines} bytes are {ratio:.4} of the states");
}

#[test]
fn cuts_in_a_compressed_stream_lose_nothing_and_store_nothing_twice() {
    let (dir, secure) = (tempfile::tempdir().unwrap(), secure(protocols()));
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let relay = Relay::to(&[collector.local_addr()]);
    let tcp = compressing(relay.address().port(), &secure);
    let options = Options {
        max_batch_size: 7,
        flush_interval: Duration::from_millis(1),
        backoff: Duration::from_millis(2),
        max_backoff: Duration::from_millis(20),
        settle_at: Level::PeerAcked,
        ack_timeout: PATIENCE,
        max_buffer_bytes: 8 << 20,
        ..Options::default()
    };
    let worker = Worker::spawn(options, move || {
        TcpTransport::new(tcp.clone()).map(|transport| Box::new(transport) as Box<dyn Transport>)
    });
    let worker = worker.unwrap();
    for (round, bytes) in [700, 1, 300, 40, 900].into_iter().enumerate() {
        let first = round as u64 * 200 + 1;
        relay.stall_after(bytes);
        offer(&worker, first..first + 200);
        relay.wait_until_stalled();
        relay.cut(collector.local_addr());
        delivered(&worker, first + 199);
    }
    end(&worker, 1000);
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.invalid, report.missing), (1000, 0, 0));
    assert_stored(dir.path(), 1..=1000);
}

#[test]
fn a_peer_that_cannot_unfold_gets_plain_lines_and_still_acknowledges() {
    let (dir, secure) = (tempfile::tempdir().unwrap(), secure(vec![townlet_collector::ACK_PROTOCOL.to_vec()]));
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let mut sink = TcpTransport::new(compressing(collector.local_addr().port(), &secure)).unwrap();
    assert_eq!(sink.connect().unwrap().level, Level::PeerAcked);
    sink.send(&townlet_testkit::frames(1..=5)).unwrap();
    assert_eq!(sink.receipts(PATIENCE).unwrap(), 5);
    sink.close();
    assert_eq!(stop(collector).totals.stored, 5);
}
