//! Lines in messages: what a message may take of time and room.

use std::time::{Duration, Instant};

use townlet_collector::web::WebOptions;
use townlet_collector::{Collector, CollectorOptions};

use crate::support::*;
use crate::web_support::*;

/// A frame as clients send it, under a mask that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first, 0x80 | 127];
    out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

/// A ping has the short form.
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];

fn join(collector: &Collector) -> Client {
    let mut client = Client::of(collector);
    client.say(
        "GET /v1/telemetry/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(client.answer().status, 101);
    client
}

/// Waits until the room that is taken satisfies `ready`.
fn wait_for_bytes(collector: &Collector, ready: impl Fn(f64) -> bool) {
    let begun = Instant::now();
    while !ready(metrics(collector)["townlet_web_body_bytes"]) {
        assert!(begun.elapsed() < PATIENCE, "the room is not taken, or not given back");
        std::thread::yield_now();
    }
}

#[test]
fn pings_buy_a_message_that_was_begun_no_time_and_an_idle_connection_lives_by_them() {
    let dir = tempfile::tempdir().unwrap();
    // Time enough, on a busy machine, for a message that comes whole.
    let limit = Duration::from_secs(3);
    let options = CollectorOptions { line_timeout: limit, ..plain(dir.path()).with_web(web_options()) };
    let collector = Collector::bind(options).unwrap();
    let (mut idle, mut slow) = (join(&collector), join(&collector));
    // Not the last frame of its message.
    slow.say(frame(0x01, &line("town", 1)));
    let begun = Instant::now();
    slow.0.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    while !collector.report().endings.contains_key("line_timeout") {
        assert!(begun.elapsed() < PATIENCE, "nobody cut the message");
        slow.say(PING);
        idle.say(PING);
        // The pongs, and a pause.
        let _ = std::io::Read::read(&mut slow.0, &mut [0; 64]);
    }
    assert_eq!(collector.report().connections_open, 1, "the idle one is there still");
    idle.say(frame(0x81, &line("town", 1)));
    wait_for(&collector, "the line of the idle one", |report| report.totals.stored == 1);
    drop((idle, slow));
    stop(collector);
}

#[test]
fn a_connection_that_never_brings_a_line_gives_its_place_back_whatever_it_pings() {
    let dir = tempfile::tempdir().unwrap();
    // Time enough, on a busy machine, for a line to come.
    let limit = Duration::from_secs(6);
    let options = CollectorOptions { first_line_timeout: limit, ..plain(dir.path()).with_web(web_options()) };
    let collector = Collector::bind(options).unwrap();
    let (mut producer, mut idle) = (join(&collector), join(&collector));
    producer.say(frame(0x82, &line("town", 1)));
    wait_for(&collector, "the line", |report| report.totals.stored == 1);
    let begun = Instant::now();
    idle.0.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    while !collector.report().endings.contains_key("idle_timeout") {
        assert!(begun.elapsed() < PATIENCE, "nobody cut the connection");
        // It may be cut at this moment.
        let _ = std::io::Write::write_all(&mut idle.0, &PING);
        let _ = std::io::Read::read(&mut idle.0, &mut [0; 64]);
    }
    producer.say(frame(0x82, &line("town", 2)));
    let report = wait_for(&collector, "the next line", |report| report.totals.stored == 2);
    assert_eq!(report.connections_open, 1, "whoever brought a line may be quiet");
    drop(producer);
    stop(collector);
}

#[test]
fn what_is_gathered_of_messages_takes_of_the_room_that_bodies_have() {
    let dir = tempfile::tempdir().unwrap();
    let web = WebOptions { max_bytes_in_flight: 300_000, ..web_options() };
    let collector = with_web(dir.path(), web);
    let mut one = join(&collector);
    one.say(frame(0x01, &vec![b' '; 250_000]));
    wait_for_bytes(&collector, |bytes| bytes >= 250_000.0 - 65_536.0);
    let mut other = join(&collector);
    other.say(frame(0x01, &vec![b' '; 250_000]));
    let report = wait_for(&collector, "the end of the other", |report| report.endings.contains_key("no_room"));
    assert_eq!(report.endings.get("no_room"), Some(&1));
    let mut close = [0; 4];
    std::io::Read::read_exact(&mut other.0, &mut close).unwrap();
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1013), "come again");
    // Little finds its way, and what was gathered is free once it was worked off.
    let mut small = join(&collector);
    small.say(frame(0x81, &line("town", 1)));
    wait_for(&collector, "a small message", |report| report.totals.stored == 1);
    one.say(frame(0x80, &line("town", 2)));
    wait_for(&collector, "the large message", |report| report.totals.stored == 2);
    wait_for_bytes(&collector, |bytes| bytes == 0.0);
    drop((one, other, small));
    stop(collector);
}

#[test]
fn between_large_and_small_messages_and_pings_no_line_is_lost() {
    const LARGE: u64 = 1_500;
    const CLIENTS: usize = 3;
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| join(&collector)).collect();
    let mut sent = 0;
    for round in 0..4 {
        for (n, client) in clients.iter_mut().enumerate() {
            let of = |seqs: std::ops::RangeInclusive<u64>| -> Vec<u8> {
                seqs.flat_map(|seq| line_of(&run_id(n as u128 + 1), "town", round * (LARGE + 3) + seq)).collect()
            };
            let large = of(1..=LARGE);
            assert!(large.len() > 128 * 1024);
            client.say(frame(0x82, &large));
            // What follows may be read together with it, or in pieces.
            let small: Vec<u8> = (1..=3).flat_map(|more| frame(0x81, &of(LARGE + more..=LARGE + more))).collect();
            client.say(&small[..small.len() - 5]).say(&small[small.len() - 5..]).say(PING);
            let mut pong = [0; 2];
            std::io::Read::read_exact(&mut client.0, &mut pong).unwrap();
            assert_eq!(pong, [0x8a, 0], "round {round}");
            sent += LARGE + 3;
        }
    }
    let report = wait_for(&collector, "all lines", |report| report.totals.stored == sent);
    assert_eq!((report.missing, report.totals.invalid, report.connections_open), (0, 0, CLIENTS as u64));
    stop(collector);
}
