//! Stopping: on time, and the books balance.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use townlet_collector::web::WebOptions;
use townlet_collector::{Collector, CollectorOptions, Security};

use crate::support::*;

#[test]
fn a_stop_in_the_middle_of_the_stream_balances_and_keeps_whole_lines_only() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    let address = collector.local_addr();
    let senders: Vec<_> = (1..=3)
        .map(|n| {
            std::thread::spawn(move || {
                let mut socket = TcpStream::connect(address).unwrap();
                // Every third line is a duplicate, every seventh is broken.
                for seq in 1.. {
                    let line = line_of(&run_id(n), "town", if seq % 3 == 0 { seq - 1 } else { seq });
                    let bytes = if seq % 7 == 0 { b"{broken\n".to_vec() } else { line };
                    if socket.write_all(&bytes).is_err() {
                        break;
                    }
                }
            })
        })
        .collect();
    wait_for(&collector, "some lines", |report| report.totals.lines > 5_000);
    let begun = Instant::now();
    // Who goes on sending is read for three quarters of it, then cut.
    let report = collector.shutdown(Duration::from_secs(8));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    for sender in senders {
        sender.join().unwrap();
    }
    let t = &report.totals;
    assert_eq!(report.connections_open, 0, "{report:#?}");
    assert!(t.is_balanced() && t.unwritten == 0, "{report:#?}");
    assert!(t.duplicates > 0 && t.invalid > 0 && t.stored > 0);
    let mut in_files = 0;
    for n in 1..=3 {
        let content = stored_of(dir.path(), run_id(n).as_str(), "town");
        assert_eq!(content.last(), Some(&b'\n'));
        in_files += content.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    assert_eq!(in_files, t.stored, "the report says what the disk says");
}

#[test]
fn what_has_arrived_from_a_client_without_acks_is_read_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    let mut socket = TcpStream::connect(collector.local_addr()).unwrap();
    wait_for(&collector, "the connection", |report| report.connections_open == 1);
    socket.write_all(&lines("town", 1..=5000)).unwrap();
    let report = stop(collector);
    assert_eq!(report.totals.stored, 5000);
}

#[test]
fn an_acknowledged_client_is_told_all_that_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let mut client = secure.connect(collector.local_addr(), true);
    client.send(&lines("town", 1..=100));
    client.acks_until(100);
    let report = stop(collector);
    assert!(client.sees_the_end());
    assert_eq!(report.connections[0].acknowledged, report.totals.stored);
}

#[test]
fn a_silent_handshake_does_not_delay_the_stop() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let options = CollectorOptions { handshake_timeout: 10 * PATIENCE, ..secure.options(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let _silent = TcpStream::connect(collector.local_addr()).unwrap();
    wait_for(&collector, "the connection", |report| report.connections_open == 1);
    let begun = Instant::now();
    let report = stop(collector);
    assert!(begun.elapsed() < PATIENCE / 2, "the handshake has ten minutes, the stop has not");
    assert_eq!(report.endings.get("stopped"), Some(&1), "{report:#?}");
}

#[test]
fn some_time_after_a_drop_nobody_listens() {
    let dir = tempfile::tempdir().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let collector = Collector::bind(plain(dir.path())).unwrap();
    let address = collector.local_addr();
    drop(collector);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "still listening after the drop");
        std::thread::yield_now();
    }
}

#[test]
fn after_a_shutdown_nobody_listens_any_more() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let web = WebOptions::new(anywhere(), Security::PlaintextOnLoopback);
        let collector = Collector::bind(plain(dir.path()).with_web(web)).unwrap();
        let addresses = [collector.local_addr(), collector.web_addr().unwrap()];
        stop(collector);
        for address in addresses {
            // A client may be given the very port that it calls, and then meets itself.
            let met = TcpStream::connect(address).ok().filter(|socket| socket.local_addr().unwrap() != address);
            assert!(met.is_none(), "round {round}: {address} still listens");
        }
    }
}
