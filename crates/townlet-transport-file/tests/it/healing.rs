use std::time::Duration;

use tempfile::TempDir;
use townlet_testkit::frames;
use townlet_transport::{Fsync, Level, Outcome, Transport};
use townlet_transport_file::FileOptions;

use crate::{MARKER, marked, open, read, text};

#[test]
fn each_opening_is_marked_so_that_runs_stay_apart() {
    // W15: the predecessor appended runs without separation.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    for run in 1..=2 {
        let mut sink = open(marked(&path));
        assert!(sink.connect().unwrap().fresh);
        sink.send(&frames(run..=run)).unwrap();
        assert!(!sink.connect().unwrap().fresh);
    }
    assert_eq!(read(&path), format!("{MARKER}{}{MARKER}{}", text(&frames(1..=1)), text(&frames(2..=2))));
}

#[test]
fn a_marker_without_a_line_end_gets_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    let mut sink = open(FileOptions { run_marker: Some("{}".into()), ..FileOptions::new(&path) });
    sink.connect().unwrap();
    sink.send(&frames(1..=1)).unwrap();
    assert_eq!(read(&path), format!("{{}}\n{}", text(&frames(1..=1))));
}

#[test]
fn a_line_torn_by_a_crash_is_ended_before_anything_follows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    std::fs::write(&path, "{\"whole\":1}\n{\"torn").unwrap();
    let mut sink = open(FileOptions::new(&path));
    sink.connect().unwrap();
    sink.send(&frames(1..=1)).unwrap();
    assert_eq!(read(&path), format!("{{\"whole\":1}}\n{{\"torn\n{}", text(&frames(1..=1))));
}

#[test]
fn a_second_writer_is_kept_out_until_the_first_is_gone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    let (mut first, mut second) = (open(marked(&path)), open(marked(&path)));
    first.connect().unwrap();
    let error = second.connect().unwrap_err();
    assert!(error.kind().is_retryable() && error.to_string().contains("another sink"), "{error}");
    first.send(&frames(1..=1)).unwrap();
    first.close();
    assert!(second.connect().unwrap().fresh);
    second.send(&frames(2..=2)).unwrap();
    assert_eq!(read(&path), format!("{MARKER}{}{MARKER}{}", text(&frames(1..=1)), text(&frames(2..=2))));
}

#[test]
fn only_a_file_synced_with_each_batch_calls_its_frames_durable() {
    let folder = TempDir::new().unwrap();
    for (fsync, level) in [
        (Fsync::Never, Level::Sent),
        (Fsync::OnRotation, Level::Sent),
        (Fsync::OnFlush, Level::Sent),
        (Fsync::Interval(Duration::from_secs(1)), Level::Sent),
        (Fsync::EachBatch, Level::Durable),
    ] {
        let mut sink = open(FileOptions { fsync, ..FileOptions::new(folder.path().join(format!("{fsync:?}"))) });
        assert_eq!(sink.connect().unwrap().level, level);
        assert_eq!(sink.send(&frames(1..=2)).unwrap(), Outcome::Settled(level));
        sink.flush().unwrap();
    }
    let mut device = open(FileOptions { fsync: Fsync::EachBatch, ..FileOptions::new("/dev/null") });
    assert_eq!(device.connect().unwrap().level, Level::Sent, "a device keeps nothing");
    assert_eq!(device.send(&frames(1..=1)).unwrap(), Outcome::Settled(Level::Sent));
}
