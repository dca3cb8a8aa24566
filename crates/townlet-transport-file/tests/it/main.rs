//! Every test writes to a real file system.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod conformance;
mod disk_full;
mod factory;
mod healing;
mod moved;
mod rotation;

use std::path::Path;

use townlet_transport::Frame;
use townlet_transport_file::{FileOptions, FileTransport};

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
