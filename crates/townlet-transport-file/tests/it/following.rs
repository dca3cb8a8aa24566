use std::io::Write;
use std::path::Path;

use tempfile::TempDir;
use townlet_testkit::{frame_of_len, frames, seqs_of};
use townlet_transport::Transport;
use townlet_transport_file::{FileOptions, Follower, From, Housekeeping};

use crate::{HOUR, Wall, drain, open, put, tree, wait_for};

fn append(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn resumed(path: &Path, follower: Follower) -> Follower {
    Follower::resume(path, follower.position().to_string().parse().unwrap()).unwrap()
}

#[test]
fn a_file_that_is_not_there_is_waited_for_and_a_line_until_it_is_whole() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("not/yet/town.jsonl");
    let mut follower = Follower::new(&path, From::Active).unwrap();
    assert_eq!(drain(&mut follower), [""; 0]);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    append(&path, "one\ntw");
    assert_eq!(drain(&mut follower), ["one\n"]);
    append(&path, "o\nthree\n");
    let mut follower = resumed(&path, follower);
    assert_eq!(drain(&mut follower), ["two\n", "three\n"]);
    assert_eq!((follower.counts().lines, follower.position().offset()), (2, 14));
}

#[test]
fn it_begins_with_the_active_file_or_with_the_oldest() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    let mut sink = open(FileOptions { rotate_bytes: Some(250), ..FileOptions::new(&path) });
    for seq in 1..=7 {
        put(&mut sink, &[frame_of_len(seq, 100)]);
    }
    assert_eq!(seqs_of(drain(&mut Follower::new(&path, From::Active).unwrap())), [7]);
    assert_eq!(seqs_of(drain(&mut Follower::new(&path, From::Oldest).unwrap())), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn files_that_were_finished_and_compressed_meanwhile_are_read_in_order() {
    for dated in [false, true] {
        let folder = TempDir::new().unwrap();
        let wall = Wall::evening();
        let path = folder.path().join(if dated { "%F/town.jsonl" } else { "town.jsonl" });
        let options = FileOptions { rotate_bytes: Some(250), ..FileOptions::new(&path) };
        let housekeeping = Housekeeping::new(&FileOptions { gzip: true, ..options.clone() }).unwrap();
        let mut sink = wall.open(options);
        let (mut held, mut seen) = (Follower::new(&path, From::Oldest).unwrap(), Vec::new());
        let (mut restarted, mut seen_again) = (Follower::new(&path, From::Oldest).unwrap(), Vec::new());
        for seq in 1..=60 {
            put(&mut sink, &[frame_of_len(seq, 100)]);
            wall.on(HOUR / 2);
            if seq % 13 == 0 {
                housekeeping.run(wall.now(), &|| false);
            }
            if seq % 7 == 0 {
                seen.extend(drain(&mut held));
                restarted = resumed(&path, restarted);
                seen_again.extend(drain(&mut restarted));
            }
        }
        seen.extend(drain(&mut held));
        seen_again.extend(drain(&mut restarted));
        assert_eq!(seqs_of(&seen), (1..=60).collect::<Vec<_>>());
        assert_eq!(seqs_of(&seen_again), (1..=60).collect::<Vec<_>>());
        assert_eq!((held.counts().lost, held.counts().cut), (0, 0));
        assert!(tree(folder.path()).iter().any(|name| name.ends_with(".gz")));
    }
}

#[test]
fn a_rename_by_others_is_followed_open_or_across_a_restart() {
    for aside in ["town.jsonl.1", "town.jsonl-20261121"] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("town.jsonl");
        append(&path, "one\n");
        let mut held = Follower::new(&path, From::Active).unwrap();
        assert_eq!(drain(&mut held), ["one\n"]);
        let position = held.position();
        std::fs::rename(&path, folder.path().join(aside)).unwrap();
        // The writer may not have noticed yet, although the new file is there.
        append(&path, "");
        append(&folder.path().join(aside), "two\n");
        assert_eq!(drain(&mut held), ["two\n"]);
        append(&folder.path().join(aside), "three\n");
        append(&path, "four\n");
        assert_eq!(drain(&mut held), ["three\n", "four\n"]);
        let mut later = Follower::resume(&path, position).unwrap();
        assert_eq!(drain(&mut later), ["two\n", "three\n", "four\n"]);
        assert_eq!(later.counts().lost, 0);
    }
}

#[test]
fn a_deleted_file_is_read_to_its_end_while_it_is_held_and_missed_otherwise() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    append(&path, "one\n");
    let mut held = Follower::new(&path, From::Active).unwrap();
    assert_eq!(drain(&mut held), ["one\n"]);
    let position = held.position();
    append(&path, "two\n");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(drain(&mut held), ["two\n"]);
    append(&path, "three\n");
    assert_eq!(drain(&mut held), ["three\n"]);
    let mut later = Follower::resume(&path, position).unwrap();
    assert_eq!(drain(&mut later), ["three\n"]);
    assert_eq!((later.counts().lost, held.counts().lost), (1, 0), "what nobody held is known to be lost");
}

#[test]
fn a_truncated_file_begins_anew_even_where_it_has_grown_past_the_old_place() {
    for again in ["a\n", "a new line that is longer than all before\n"] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("town.jsonl");
        append(&path, "one\ntwo\n");
        let mut follower = Follower::new(&path, From::Active).unwrap();
        assert_eq!(drain(&mut follower).len(), 2);
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        append(&path, again);
        assert_eq!(drain(&mut follower), [again]);
        assert_eq!(follower.counts().cut, 1);
    }
}

#[test]
fn what_the_writer_took_back_is_not_read_from_the_start_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    append(&path, "one\ntwo\nthr");
    let mut follower = Follower::new(&path, From::Active).unwrap();
    assert_eq!(drain(&mut follower), ["one\n", "two\n"]);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    // A line that did not fit, and then a whole one whose sync failed.
    file.set_len(8).unwrap();
    append(&path, "3\n");
    assert_eq!(drain(&mut follower), ["3\n"]);
    file.set_len(8).unwrap();
    append(&path, "4\n");
    assert_eq!(drain(&mut follower), ["4\n"]);
    assert_eq!(follower.counts().lines, 4);
}

#[test]
fn a_line_beyond_the_limit_is_passed_over_and_counted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    append(&path, &format!("0123456789\n{}\nok\n{}", "x".repeat(200_000), "y".repeat(70_000)));
    let mut follower = Follower::new(&path, From::Active).unwrap().longest_line(10);
    assert_eq!(drain(&mut follower), ["0123456789\n", "ok\n"]);
    append(&path, "yy\nend\n");
    let mut follower = resumed(&path, follower).longest_line(10);
    assert_eq!(drain(&mut follower), ["end\n"]);
    assert_eq!(follower.counts().overlong, 1);
}

#[test]
fn a_damaged_archive_costs_its_own_rest_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let path = folder.path().join("town.jsonl");
    let options = FileOptions { rotate_bytes: Some(50), ..FileOptions::new(&path) };
    let mut sink = wall.open(options.clone());
    for seq in 1..=4 {
        put(&mut sink, &[frame_of_len(seq, 100)]);
        wall.on(1);
    }
    Housekeeping::new(&FileOptions { gzip: true, ..options }).unwrap().run(wall.now(), &|| false);
    let second = folder.path().join(&tree(folder.path())[1]);
    let whole = std::fs::read(&second).unwrap();
    std::fs::write(&second, &whole[..whole.len() / 2]).unwrap();
    let mut follower = Follower::new(&path, From::Oldest).unwrap();
    assert_eq!(seqs_of(drain(&mut follower)), [1, 3, 4]);
    assert_eq!(follower.counts().damaged, 1);
}

#[test]
fn beside_a_writer_that_rotates_and_compresses_each_line_is_read_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.jsonl");
    let options = FileOptions { rotate_bytes: Some(2000), gzip: true, ..FileOptions::new(&path) };
    const LINES: u64 = 3000;
    let writer = std::thread::spawn(move || {
        let mut sink = open(options);
        for first in (1..=LINES).step_by(5) {
            put(&mut sink, &frames(first..first + 5));
        }
        sink.close();
        sink
    });
    let mut follower = Follower::new(&path, From::Oldest).unwrap();
    let mut seen = Vec::new();
    let mut rounds = 0;
    wait_for("all lines", || {
        seen.extend(drain(&mut follower));
        rounds += 1;
        if rounds % 20 == 0 {
            let position = follower.position().to_string().parse().unwrap();
            follower = Follower::resume(&path, position).unwrap();
        }
        seen.len() as u64 >= LINES
    });
    let sink = writer.join().unwrap();
    seen.extend(drain(&mut follower));
    let seqs = seqs_of(&seen);
    let odd = seqs.iter().zip(1..).find(|(seq, expected)| *seq != expected);
    assert_eq!((odd, seqs.len() as u64), (None, LINES), "the first that is missing, or twice");
    assert!(follower.counts().lost == 0 && sink.housekeeping().failed == 0);
}
