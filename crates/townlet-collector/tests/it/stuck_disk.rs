//! A disk that answers no more: whoever only wants to know is told at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use townlet_collector::store::StoreOptions;
use townlet_collector::{Collector, CollectorOptions};

use crate::support::*;
use crate::web_support::{Client, web_options};

/// What takes longer waits for the disk.
const AT_ONCE: Duration = Duration::from_secs(60);

/// Does the work on a thread of its own, and fails where it does not come back.
#[track_caller]
fn at_once<T: Send>(what: &str, work: impl FnOnce() -> T + Send) -> T {
    let (done, result) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(done.send(work())));
        match result.recv_timeout(AT_ONCE) {
            Ok(result) => result,
            Err(_) => {
                // A scope waits for its threads, and this one never ends.
                eprintln!("{what} waits for the disk");
                std::process::abort();
            }
        }
    })
}

/// Replaces a stream's file by a pipe without a reader: opening it for writing takes for ever.
fn stuck(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn collector(dir: &Path) -> Collector {
    let store = StoreOptions { max_open_files: 1, ..StoreOptions::new(dir) };
    let options = CollectorOptions { web: Some(web_options()), max_streams: 3, ..plain(dir) };
    Collector::bind(options.with_store(store)).unwrap()
}

/// What everybody may ask for, while one stream's disk is stuck.
fn ask(collector: &Collector) -> String {
    at_once("a report", || collector.report());
    at_once("the shards", || collector.shards());
    let bodies = ["/health", "/v1/streams", "/metrics"].map(|path| {
        let answer = at_once(path, || Client::of(collector).get(path));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    });
    bodies[2].clone()
}

#[test]
fn a_write_that_hangs_holds_up_neither_figures_nor_other_streams_nor_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let collector = collector(dir.path());
    let mut held = TcpStream::connect(collector.local_addr()).unwrap();
    held.write_all(&line("town", 1)).unwrap();
    wait_for(&collector, "the first line", |report| report.totals.stored == 1);
    // The only open file is another one now, so that this one has to be opened again.
    send_plain(&collector, &line("other", 1));
    wait_for(&collector, "the second line", |report| report.totals.stored == 2);
    let path = dir.path().join(run_id(1).as_str()).join("town.jsonl");
    let first = std::fs::read(&path).unwrap();
    stuck(&path);
    held.write_all(&lines("town", [2, 5])).unwrap();
    let begun = Instant::now();
    while at_once("a report", || collector.report()).totals.unwritten != 2 {
        assert!(begun.elapsed() < AT_ONCE, "the lines were not taken");
        std::thread::yield_now();
    }
    let metrics = ask(&collector);
    let told = |line: &str| {
        line.starts_with("townlet_stream_missing_lines{") && line.contains("\"town\"") && line.ends_with(" 2")
    };
    assert!(metrics.lines().any(told), "the two lines that are missing are told: {metrics}");
    // A stream that is new and needs the place of one that is idle gets it.
    for n in 2..=4 {
        at_once("another stream", || send_plain(&collector, &line_of(&run_id(n), "town", 1)));
        let begun = Instant::now();
        while at_once("a report", || collector.report()).totals.stored < 1 + n as u64 {
            assert!(begun.elapsed() < AT_ONCE, "the line of another stream was not stored");
            std::thread::yield_now();
        }
    }
    let report = at_once("the end", || collector.shutdown(Duration::from_secs(1)));
    assert_eq!((report.connections_open, report.totals.unwritten), (1, 2), "it says what it could not wait for");
    // Let go, so that its thread ends: what it holds goes into the pipe, whole.
    let mut pipe = std::fs::File::open(&path).unwrap();
    let mut late = vec![0; first.len()];
    pipe.read_exact(&mut late).unwrap();
    assert!(late.starts_with(b"{"));
}

#[test]
fn a_file_that_cannot_be_read_again_to_its_end_holds_up_no_figures() {
    let dir = tempfile::tempdir().unwrap();
    let collector = collector(dir.path());
    // What was there before the start has to be read before its stream goes on.
    let path = dir.path().join(run_id(1).as_str()).join("town.jsonl");
    stuck(&path);
    let mut held = TcpStream::connect(collector.local_addr()).unwrap();
    held.write_all(&line("town", 1)).unwrap();
    let begun = Instant::now();
    while at_once("a report", || collector.report()).streams.is_empty() {
        assert!(begun.elapsed() < AT_ONCE, "the stream is not known");
        std::thread::yield_now();
    }
    ask(&collector);
    let report = at_once("the end", || collector.shutdown(Duration::from_secs(1)));
    assert_eq!((report.connections_open, report.streams.len()), (1, 1));
}
