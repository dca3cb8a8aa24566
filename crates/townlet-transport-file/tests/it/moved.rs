use tempfile::TempDir;
use townlet_testkit::frames;
use townlet_transport::Transport;

use crate::{MARKER, marked, open, read, text};

#[test]
fn after_a_rename_the_next_batch_starts_a_new_file() {
    let folder = TempDir::new().unwrap();
    let (path, old) = (folder.path().join("town.jsonl"), folder.path().join("town.old"));
    let mut sink = open(marked(&path));
    sink.connect().unwrap();
    sink.send(&frames(1..=1)).unwrap();
    std::fs::rename(&path, &old).unwrap();
    assert!(sink.connect().unwrap().fresh, "a reader of the new file knows nothing of the old one");
    sink.send(&frames(2..=2)).unwrap();
    assert_eq!(read(&old), format!("{MARKER}{}", text(&frames(1..=1))));
    assert_eq!(read(&path), format!("{MARKER}{}", text(&frames(2..=2))));
}

#[test]
fn after_a_rename_and_a_new_file_by_somebody_else_that_one_is_appended_to() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    let mut sink = open(marked(&path));
    sink.connect().unwrap();
    sink.send(&frames(1..=1)).unwrap();
    std::fs::rename(&path, folder.path().join("town.old")).unwrap();
    std::fs::write(&path, "").unwrap();
    assert!(sink.connect().unwrap().fresh);
    sink.send(&frames(2..=2)).unwrap();
    assert_eq!(read(&path), format!("{MARKER}{}", text(&frames(2..=2))));
}

#[test]
fn a_deleted_file_and_its_deleted_folder_are_made_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a/b/town.jsonl");
    let mut sink = open(marked(&path));
    for seq in 1..=3 {
        assert!(sink.connect().unwrap().fresh);
        sink.send(&frames(seq..=seq)).unwrap();
        assert_eq!(read(&path), format!("{MARKER}{}", text(&frames(seq..=seq))));
        if seq == 1 {
            std::fs::remove_file(&path).unwrap();
        } else {
            std::fs::remove_dir_all(folder.path().join("a")).unwrap();
        }
    }
}

#[test]
fn a_file_truncated_by_somebody_else_goes_on_with_a_marker_on_a_line_of_its_own() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    let mut sink = open(marked(&path));
    sink.connect().unwrap();
    sink.send(&frames(1..=3)).unwrap();
    // As `copytruncate` of logrotate does.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert!(sink.connect().unwrap().fresh);
    sink.send(&frames(4..=4)).unwrap();
    assert_eq!(read(&path), format!("{MARKER}{}", text(&frames(4..=4))));
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5).unwrap();
    assert!(sink.connect().unwrap().fresh);
    sink.send(&frames(5..=5)).unwrap();
    assert_eq!(read(&path), format!("{}\n{MARKER}{}", &MARKER[..5], text(&frames(5..=5))));
}
