//! What the collector keeps of the allocator's memory.
//!
//! One test at a time, because the count is the process's.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod compressed;
#[cfg(feature = "nats")]
mod nats;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cap::Cap;
use townlet_collector::store::StoreOptions;
use townlet_collector::web::WebOptions;
use townlet_collector::{Collector, CollectorOptions, Security};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

static COUNTING: Mutex<()> = Mutex::new(());

fn nobody_else() -> MutexGuard<'static, ()> {
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

const CLIENTS: usize = 8;

/// What a connection may keep, and the stream that it brings.
const KEPT: usize = 160 * 1024;

fn join(collector: &Collector) -> TcpStream {
    let mut socket = TcpStream::connect(collector.web_addr().unwrap()).unwrap();
    let ask = "GET /v1/telemetry/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
               Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(ask.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    socket
}

/// A text message of so many lines, under a mask that changes nothing; returns its size.
fn send(socket: &mut TcpStream, client: usize, seqs: std::ops::Range<u64>) -> usize {
    let line =
        |seq| format!("{{\"run_id\":\"r{client}\",\"stream\":\"town\",\"seq\":{seq},\"pad\":\"{:0900}\"}}\n", seq);
    let lines: String = seqs.map(line).collect();
    let mut message = vec![0x81, 0x80 | 127];
    message.extend_from_slice(&(lines.len() as u64).to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(lines.as_bytes());
    socket.write_all(&message).unwrap();
    message.len()
}

#[track_caller]
fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {} bytes are held", ALLOCATOR.allocated());
        std::thread::yield_now();
    }
}

#[test]
fn a_connection_keeps_no_memory_of_a_large_message_once_small_ones_come() {
    let _alone = nobody_else();
    let dir = tempfile::tempdir().unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let web = WebOptions { live_streams: 0, ..WebOptions::new(address, Security::PlaintextOnLoopback) };
    let options = CollectorOptions::new(address, Security::PlaintextOnLoopback)
        .with_store(StoreOptions::new(dir.path()))
        .with_web(web);
    let collector = Collector::bind(options).unwrap();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| join(&collector)).collect();
    let mut stored = 0;
    let mut round = |seqs: std::ops::Range<u64>| {
        let mut size = 0;
        for (client, socket) in clients.iter_mut().enumerate() {
            size = send(socket, client, seqs.clone());
            stored += seqs.end - seqs.start;
        }
        wait_for("all lines", || collector.report().totals.stored == stored);
        size
    };
    round(1..2);
    let before = ALLOCATOR.allocated();
    let size = round(2..3002);
    assert!(size > 2_700_000, "{size}");
    round(3002..3003);
    wait_for("the memory of a large message goes", || ALLOCATOR.allocated().saturating_sub(before) < CLIENTS * KEPT);
    let kept = ALLOCATOR.allocated().saturating_sub(before) / CLIENTS;
    println!("{kept} bytes a connection and its stream are kept after messages of {size} bytes");
    assert!(collector.report().missing == 0 && collector.report().connections_open == CLIENTS as u64);
    collector.shutdown(Duration::from_secs(5));
}
