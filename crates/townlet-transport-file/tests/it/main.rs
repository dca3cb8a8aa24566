//! Every test writes to a real file system.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod conformance;
mod daily;
mod disk_full;
mod factory;
mod following;
mod following_model;
mod healing;
mod housekeeping;
mod moved;
mod rotation;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use townlet_transport::{Frame, Transport};
use townlet_transport_file::{FileOptions, FileTransport, Follower};

pub(crate) const MARKER: &str = "{\"payload_type\":\"run\"}\n";

/// Options with a run marker.
pub(crate) fn marked(path: &Path) -> FileOptions {
    FileOptions { run_marker: Some(MARKER.into()), ..FileOptions::new(path) }
}

pub(crate) fn open(options: FileOptions) -> FileTransport {
    FileTransport::new(options).unwrap()
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The frames' lines, as they have to be in the file.
pub(crate) fn text(frames: &[Frame]) -> String {
    frames.iter().map(|frame| std::str::from_utf8(frame.line()).unwrap()).collect()
}

/// A wall clock that a test moves.
#[derive(Clone)]
pub(crate) struct Wall(Arc<AtomicU64>);

impl Wall {
    /// 2026-11-20, 22:00 UTC.
    pub(crate) fn evening() -> Self {
        Self(Arc::new(AtomicU64::new(1_795_212_000)))
    }
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
    pub(crate) fn on(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
    pub(crate) fn back(&self, seconds: u64) {
        self.0.fetch_sub(seconds, Ordering::Relaxed);
    }
    pub(crate) fn open(&self, options: FileOptions) -> FileTransport {
        let wall = self.clone();
        FileTransport::with_clock(options, move || wall.now()).unwrap()
    }
}

pub(crate) const HOUR: u64 = 3600;

/// One batch.
pub(crate) fn put(sink: &mut FileTransport, batch: &[Frame]) {
    sink.connect().unwrap();
    sink.send(batch).unwrap();
}

/// Every file below a folder, by path.
pub(crate) fn tree(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

/// Everything that a follower gives out now.
pub(crate) fn drain(follower: &mut Follower) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    while follower.next_line(&mut line).unwrap() {
        lines.push(String::from_utf8(line.clone()).unwrap());
    }
    lines
}

/// Waits for a condition.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "still not: {what}");
        std::thread::yield_now();
    }
}
