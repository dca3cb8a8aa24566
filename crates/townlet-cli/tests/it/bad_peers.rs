//! Real sockets, misbehaving peers: whatever they do, the books balance, nothing
//! else is lost, and what can be delivered once they behave is delivered.

use std::collections::BTreeSet;
use std::time::Duration;

use townlet_pipeline::{Backpressure, Options, SinkInfo, Telemetry};
use townlet_schema::{Json, read_head};
use townlet_testkit::certs::{Issued, Leaf, Pki};
use townlet_testkit::peer::{Behaviour, Peer, PeerTls};
use townlet_transport::{Factory, Settings};
use townlet_transport_tcp::TcpFactory;

/// A deadline no sound run comes near, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a connect, a send and an acknowledgement, where a peer uses it up; long for one that does not.
const SHORT: Duration = Duration::from_secs(1);
const ACKS: &str = "townlet-ack/1";

fn pipeline(endpoint: String, pki: &Pki, limit: Duration) -> Telemetry {
    let mut settings = Settings::default();
    settings.endpoint = Some(endpoint);
    settings.ca_file = Some(pki.ca_file().to_owned());
    (settings.connect_timeout, settings.send_timeout) = (limit, limit);
    let options = Options {
        max_batch_size: 8,
        max_buffer_bytes: 1 << 20,
        flush_interval: Duration::from_millis(5),
        backoff: Duration::from_millis(5),
        max_backoff: Duration::from_millis(20),
        ack_timeout: limit,
        backpressure: Backpressure::DropOldest,
        ..Options::default()
    };
    let info = SinkInfo::new("tcp").security(true, true, false);
    Telemetry::builder().sink(options, info, move || TcpFactory.build(&settings)).start().unwrap()
}

fn emit(telemetry: &Telemetry, ticks: std::ops::RangeInclusive<u64>) {
    for tick in ticks {
        telemetry.emit_named("probe", tick, Json::from(tick)).unwrap();
    }
}

fn seqs(peer: &Peer) -> BTreeSet<u64> {
    peer.lines().iter().map(|line| read_head(line).expect("only whole lines are kept").seq.unwrap()).collect()
}

/// The peer treats its first connections as `bad` says, the later ones well, and
/// acknowledges: then nothing is lost at all.
fn recovers_from(bad: &[Behaviour]) {
    let pki = Pki::new();
    let tls = PeerTls::with_alpn(&pki.localhost(), &[ACKS]);
    let peer = Peer::tls(tls, Behaviour::Record);
    bad.iter().for_each(|behaviour| peer.treat_next(behaviour.clone()));
    let telemetry = pipeline(peer.localhost(), &pki, SHORT);
    emit(&telemetry, 1..=200);
    let books = telemetry.shutdown(PATIENCE);
    let (_, main) = &books.sinks[0];
    assert_eq!(books.residual(), 0, "{bad:?}");
    assert_eq!((main.account.accepted(), main.account.delivered()), (200, 200), "{bad:?}: {main:?}");
    assert_eq!(seqs(&peer), (1..=200).collect(), "{bad:?}");
    assert!(peer.conversations().len() > bad.len(), "every bad connection took place");
}

#[test]
fn a_peer_that_accepts_and_closes() {
    recovers_from(&[Behaviour::AcceptAndClose, Behaviour::AcceptAndClose]);
}

#[test]
fn a_peer_that_stalls_or_drips_in_the_handshake() {
    recovers_from(&[Behaviour::Stall, Behaviour::Drip { every: Duration::from_millis(50) }]);
}

#[test]
fn a_peer_that_resets_in_the_middle_of_a_line() {
    recovers_from(&[Behaviour::ResetAfter { bytes: 500 }, Behaviour::ResetAfter { bytes: 1 }]);
}

#[test]
fn a_peer_that_never_acknowledges() {
    recovers_from(&[Behaviour::NeverAck]);
}

#[test]
fn a_peer_that_acknowledges_and_dies() {
    recovers_from(&[Behaviour::AckThenClose { lines: 3 }, Behaviour::CloseAfter { lines: 20 }]);
}

#[test]
fn a_peer_that_answers_with_nonsense() {
    recovers_from(&[Behaviour::Babble(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())]);
}

#[test]
fn a_peer_that_reads_one_byte_at_a_time_slows_nobody_and_the_books_balance_at_the_deadline() {
    let pki = Pki::new();
    let slow = Behaviour::ReadSlowly { bytes: 1, every: Duration::from_millis(10) };
    let peer = Peer::tls(PeerTls::with_alpn(&pki.localhost(), &[ACKS]), slow);
    let telemetry = pipeline(peer.localhost(), &pki, SHORT);
    let started = std::time::Instant::now();
    for tick in 1..=20_000 {
        telemetry.emit_named("probe", tick, Json::from("x".repeat(200))).unwrap();
    }
    assert!(started.elapsed() < PATIENCE / 2, "emit does not wait for the peer");
    let books = telemetry.shutdown(Duration::from_millis(100));
    let account = books.sinks[0].1.account;
    assert_eq!((books.residual(), account.accepted()), (0, 20_000));
    assert!(account.dropped() > 0 && books.sinks[0].1.buffered == 0, "{account:?}");
}

#[test]
fn a_certificate_that_cannot_be_trusted_is_named_and_keeps_everything_queued() {
    let pki = Pki::new();
    let foreign = Pki::new();
    let cases: [(&str, Issued); 4] = [
        ("expired", pki.issue("expired", &Leaf::server(&["localhost"]).expired())),
        ("not valid yet", pki.issue("early", &Leaf::server(&["localhost"]).not_yet_valid())),
        ("localhost", pki.issue("wrong", &Leaf::server(&["elsewhere.example"]))),
        ("ca_file", foreign.localhost()),
    ];
    for (word, certificate) in cases {
        let peer = Peer::tls(PeerTls::new(&certificate), Behaviour::Record);
        let telemetry = pipeline(peer.localhost(), &pki, PATIENCE);
        emit(&telemetry, 1..=20);
        let started = std::time::Instant::now();
        let error = loop {
            if let Some(error) = telemetry.latest_transport_status().last_error {
                break error;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{word}: no error is shown: {:?}",
                telemetry.latest_transport_status()
            );
            std::thread::yield_now();
        };
        assert!(error.contains(word), "{word} in {error}");
        let status = telemetry.latest_transport_status();
        assert_eq!((status.delivered, status.dropped_messages, status.buffered), (0, 0, 20), "{word}");
        let books = telemetry.shutdown(Duration::from_millis(50));
        assert_eq!(books.residual(), 0);
        assert!(peer.lines().is_empty(), "{word}: no line left the process");
    }
}

/// The predecessor's counters went back to zero with every reconnect.
#[test]
fn w22_counters_only_grow_across_reconnects() {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::with_alpn(&pki.localhost(), &[ACKS]), Behaviour::Record);
    let telemetry = pipeline(peer.localhost(), &pki, PATIENCE);
    let mut before = telemetry.latest_transport_status();
    for round in 0..4u64 {
        emit(&telemetry, round * 10 + 1..=round * 10 + 10);
        assert!(telemetry.flush(PATIENCE));
        let now = telemetry.latest_transport_status();
        assert_eq!(now.payloads_flushed_total, before.payloads_flushed_total + 10);
        assert!(now.bytes_flushed_total > before.bytes_flushed_total);
        assert!(now.send_failures_total >= before.send_failures_total);
        before = now;
        peer.hang_up();
    }
    assert!(before.connects_total >= 4, "each round had a connection of its own: {before:?}");
}

#[test]
fn a_collector_that_starts_late_gets_everything_that_the_buffer_held() {
    let pki = Pki::new();
    let peer = Peer::tls(PeerTls::with_alpn(&pki.localhost(), &[ACKS]), Behaviour::Record);
    peer.go_down();
    let telemetry = pipeline(peer.localhost(), &pki, PATIENCE);
    emit(&telemetry, 1..=100);
    let started = std::time::Instant::now();
    while telemetry.latest_transport_status().send_failures_total < 3 {
        assert!(started.elapsed() < PATIENCE, "{:?}", telemetry.latest_transport_status());
        std::thread::yield_now();
    }
    let waiting = telemetry.latest_transport_status();
    assert_eq!((waiting.delivered, waiting.dropped_messages, waiting.buffered), (0, 0, 100));
    peer.come_back();
    assert!(telemetry.flush(PATIENCE), "{:?}", telemetry.latest_transport_status());
    assert_eq!(seqs(&peer), (1..=100).collect());
    let after = telemetry.latest_transport_status();
    assert_eq!((after.delivered, after.last_error, after.connected), (100, None, true));
    assert!(after.last_error_at.is_some(), "when it was is kept");
}
