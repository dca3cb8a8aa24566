use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use townlet_testkit::{frame_of_len, frames, logged, seqs_of};
use townlet_transport::{Frame, Transport};
use townlet_transport_file::{FileOptions, FileTransport};

use crate::{MARKER, marked, open, read, wait_for};

/// All files of the folder, oldest name first, the live one last.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort_by_key(|path| (path.file_name().unwrap() == "town.jsonl", path.clone()));
    found
}

fn lines(path: &Path) -> Vec<String> {
    read(path).lines().map(str::to_owned).collect()
}

fn hundred(seq: u64) -> Frame {
    frame_of_len(seq, 100)
}

#[test]
fn a_file_that_has_reached_its_size_is_set_aside_and_nothing_is_lost() {
    let folder = TempDir::new().unwrap();
    let options = FileOptions { rotate_bytes: Some(1000), ..marked(&folder.path().join("town.jsonl")) };
    let mut sink = open(options);
    let mut fresh = 0;
    for seq in 1..=50 {
        fresh += usize::from(sink.connect().unwrap().fresh);
        sink.send(&[hundred(seq)]).unwrap();
    }
    let files = files(folder.path());
    assert_eq!(files.len(), fresh, "each file was announced as fresh");
    assert_eq!(files.len(), 5);
    let mut all = Vec::new();
    for file in &files {
        let lines = lines(file);
        assert_eq!(lines[0], MARKER.trim_end(), "each file begins with the marker");
        assert!(read(file).len() < 1000 + 100, "at most one batch too large");
        all.extend(lines[1..].to_vec());
    }
    assert_eq!(seqs_of(all), (1..=50).collect::<Vec<_>>());
}

#[test]
fn only_the_newest_files_are_kept_and_nobody_elses_are_touched() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("town.notes.jsonl"), "mine").unwrap();
    let options = FileOptions {
        rotate_bytes: Some(100),
        keep_files: Some(2),
        ..FileOptions::new(folder.path().join("town.jsonl"))
    };
    let mut sink = open(options);
    for seq in 1..=1100 {
        sink.connect().unwrap();
        sink.send(&[hundred(seq)]).unwrap();
    }
    wait_for("two old files, the live one and another", || files(folder.path()).len() == 4);
    let found = files(folder.path());
    assert_eq!(read(&folder.path().join("town.notes.jsonl")), "mine");
    let kept: Vec<u64> = found.iter().flat_map(|file| seqs_of(lines(file))).collect();
    assert_eq!(kept, [1098, 1099, 1100], "the newest, past a three-digit counter too");
}

#[test]
fn a_file_is_set_aside_at_its_age_by_the_given_clock() {
    let folder = TempDir::new().unwrap();
    let offset = Arc::new(AtomicU64::new(0));
    let start = SystemTime::now();
    let clock = {
        let offset = Arc::clone(&offset);
        move || start + Duration::from_secs(offset.load(Ordering::Relaxed))
    };
    let options = FileOptions {
        rotate_after: Some(Duration::from_secs(3600)),
        ..FileOptions::new(folder.path().join("town.jsonl"))
    };
    let mut sink = FileTransport::with_clock(options, clock).unwrap();
    for (seq, at, expected) in [(1, 0, 1), (2, 3500, 1), (3, 3700, 2), (4, 7000, 2), (5, 7301, 3)] {
        offset.store(at, Ordering::Relaxed);
        sink.connect().unwrap();
        sink.send(&frames(seq..=seq)).unwrap();
        assert_eq!(files(folder.path()).len(), expected, "at {at} s");
    }
    let all: Vec<u64> = files(folder.path()).iter().flat_map(|file| seqs_of(lines(file))).collect();
    assert_eq!(all, [1, 2, 3, 4, 5]);
}

#[test]
fn names_go_up_although_the_clock_was_set_back() {
    let folder = TempDir::new().unwrap();
    let seconds_back = Arc::new(AtomicU64::new(0));
    let start = SystemTime::now();
    let clock = {
        let back = Arc::clone(&seconds_back);
        move || start - Duration::from_secs(back.load(Ordering::Relaxed))
    };
    let options = FileOptions {
        rotate_bytes: Some(100),
        keep_files: Some(3),
        ..FileOptions::new(folder.path().join("town.jsonl"))
    };
    let mut sink = FileTransport::with_clock(options, clock).unwrap();
    for seq in 1..=8 {
        seconds_back.store(seq * 1000, Ordering::Relaxed);
        sink.connect().unwrap();
        sink.send(&[hundred(seq)]).unwrap();
    }
    wait_for("three old files", || files(folder.path()).len() == 4);
    let kept: Vec<u64> = files(folder.path()).iter().flat_map(|file| seqs_of(lines(file))).collect();
    assert_eq!(kept, [5, 6, 7, 8]);
}

#[test]
fn an_old_file_that_is_too_large_already_is_set_aside_before_it_grows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    std::fs::write(&path, "x".repeat(2000)).unwrap();
    let mut sink = open(FileOptions { rotate_bytes: Some(1000), ..marked(&path) });
    sink.connect().unwrap();
    let found = files(folder.path());
    assert_eq!((found.len(), read(&found[0]).len()), (2, 2000));
    assert_eq!(read(&path), MARKER);
}

#[test]
fn a_marker_alone_never_makes_a_file_due() {
    let folder = TempDir::new().unwrap();
    let options = FileOptions { rotate_bytes: Some(1), ..marked(&folder.path().join("town.jsonl")) };
    let mut sink = open(options);
    for _ in 0..5 {
        sink.connect().unwrap();
        sink.send(&[]).unwrap();
    }
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn where_setting_aside_fails_the_old_file_goes_on_and_that_is_logged_once() {
    let folder = TempDir::new().unwrap();
    // With the mark the name becomes longer than a file name may be.
    let path = folder.path().join(format!("{}.jsonl", "t".repeat(249)));
    let mut sink = open(FileOptions { rotate_bytes: Some(100), ..marked(&path) });
    let log = logged(|| {
        for seq in 1..=5 {
            sink.connect().unwrap();
            sink.send(&[hundred(seq)]).unwrap();
        }
    });
    assert_eq!(log.matches("telemetry_file_rotation_failed").count(), 1, "{log}");
    assert_eq!(seqs_of(lines(&path)), [1, 2, 3, 4, 5]);
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_keeps_leading_to_the_file_and_the_log_says_why_it_grows() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (link, real) = (folder.path().join("town.jsonl"), elsewhere.path().join("town.jsonl"));
    std::fs::write(&real, "").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let mut sink = open(FileOptions { rotate_bytes: Some(100), keep_files: Some(1), ..FileOptions::new(&link) });
    let said = logged(|| {
        for seq in 1..=5 {
            sink.connect().unwrap();
            sink.send(&[hundred(seq)]).unwrap();
        }
    });
    assert_eq!(std::fs::read_link(&link).unwrap(), real);
    assert_eq!(seqs_of(lines(&real)), [1, 2, 3, 4, 5]);
    assert_eq!(files(folder.path()), [link]);
    assert_eq!(said.matches("telemetry_file_rotation_failed").count(), 1, "{said}");
    assert!(said.contains("write the path that it leads to"), "{said}");
}
