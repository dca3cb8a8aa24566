use tempfile::TempDir;
use townlet_testkit::{frame_of_len, frames};
use townlet_transport::{ErrorKind, Transport};
use townlet_transport_file::{FileOptions, FileTransport};

use crate::{HOUR, MARKER, Wall, marked, put, read, text, tree};

#[test]
fn a_new_day_is_a_new_folder_and_a_file_that_can_be_read_alone() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let mut sink = wall.open(marked(&folder.path().join("logs/%Y-%m-%d/town.jsonl")));
    for (seq, hours, fresh) in [(1, 0, true), (2, 1, false), (3, 1, true), (4, 23, false), (5, 1, true)] {
        wall.on(hours * HOUR);
        assert_eq!(sink.connect().unwrap().fresh, fresh, "what opens the file of a day says all, as a keyframe does");
        sink.send(&frames(seq..=seq)).unwrap();
    }
    for (day, seqs) in [(20, 1..=2), (21, 3..=4), (22, 5..=5)] {
        let path = folder.path().join(format!("logs/2026-11-{day}/town.jsonl"));
        assert_eq!(read(&path), format!("{MARKER}{}", text(&frames(seqs))), "{day}");
    }
    assert_eq!(tree(folder.path()).len(), 3);
    assert!(sink.path().ends_with("logs/2026-11-22/town.jsonl"));
}

#[test]
fn within_a_day_files_are_set_aside_in_its_folder() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let path = folder.path().join("%F/town-%H.jsonl");
    let mut sink = wall.open(FileOptions { rotate_bytes: Some(150), ..FileOptions::new(path) });
    for seq in 1..=5 {
        put(&mut sink, &[frame_of_len(seq, 100)]);
        wall.on(HOUR / 2);
    }
    assert_eq!(
        tree(folder.path()),
        ["2026-11-20/town-22.jsonl", "2026-11-20/town-23.jsonl", "2026-11-21/town-00.jsonl"]
    );
    put(&mut sink, &[frame_of_len(6, 100)]);
    put(&mut sink, &[frame_of_len(7, 100)]);
    assert_eq!(tree(folder.path())[2..], ["2026-11-21/town-00.20261121T003000Z-000.jsonl", "2026-11-21/town-00.jsonl"]);
}

#[test]
fn a_clock_that_is_corrected_at_midnight_does_not_reopen_yesterday() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let options = FileOptions::new(folder.path().join("%F.jsonl"));
    let mut sink = wall.open(options.clone());
    put(&mut sink, &frames(1..=1));
    wall.on(2 * HOUR + 5);
    put(&mut sink, &frames(2..=2));
    wall.back(10);
    put(&mut sink, &frames(3..=3));
    // Nor does the next process.
    sink.close();
    let mut sink = wall.open(options.clone());
    put(&mut sink, &frames(4..=4));
    assert_eq!(read(&folder.path().join("2026-11-20.jsonl")), text(&frames(1..=1)));
    assert_eq!(read(&folder.path().join("2026-11-21.jsonl")), text(&frames(2..=4)));
    // A file of a day that is far off was written by a clock that was wrong.
    sink.close();
    std::fs::write(folder.path().join("2099-01-01.jsonl"), "").unwrap();
    let mut sink = wall.open(options);
    put(&mut sink, &frames(5..=5));
    assert_eq!(read(&folder.path().join("2026-11-20.jsonl")), text(&[frames(1..=1), frames(5..=5)].concat()));
}

#[test]
fn a_path_that_would_mix_days_is_refused_before_anything_is_written() {
    for path in ["logs/%d.jsonl", "logs/%Y/%H.jsonl", "%Q"] {
        let error = FileTransport::new(FileOptions::new(path)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.to_string().contains(path), "{error}");
    }
}
