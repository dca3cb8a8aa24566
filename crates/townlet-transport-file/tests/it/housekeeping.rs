use std::cell::Cell;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use tempfile::TempDir;
use townlet_testkit::{frame_of_len, frames, logged, seqs_of};
use townlet_transport::{Fsync, Transport};
use townlet_transport_file::{FileOptions, Housekeeping};

use crate::{HOUR, Wall, open, put, read, tree, wait_for};

const GO_ON: fn() -> bool = || false;

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// The lines of all files, by name: what is set aside has the lower names.
fn everything(folder: &Path) -> Vec<u64> {
    let names = tree(folder);
    let text = names.iter().map(|name| match name.ends_with(".gz") {
        true => unpacked(&folder.join(name)),
        false => read(&folder.join(name)),
    });
    seqs_of(text.collect::<String>().lines())
}

/// Writes so many files of one line each, the last of them open.
fn files(options: &FileOptions, wall: &Wall, count: u64) {
    let mut sink = wall.open(FileOptions { rotate_bytes: Some(50), ..FileOptions::new(&options.path) });
    for seq in 1..=count {
        put(&mut sink, &[frame_of_len(seq, 100)]);
        wall.on(60);
    }
}

#[test]
fn a_finished_file_is_compressed_beside_the_batches_and_the_open_one_is_not() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let path = folder.path().join("town.jsonl");
    let mut sink = wall.open(FileOptions { rotate_bytes: Some(150), gzip: true, ..FileOptions::new(&path) });
    for seq in 1..=7 {
        put(&mut sink, &[frame_of_len(seq, 100)]);
        wall.on(1);
    }
    wait_for("three compressed files", || sink.housekeeping().compressed == 3);
    let names = tree(folder.path());
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names[..3].iter().all(|name| name.ends_with(".jsonl.gz")), "{names:?}");
    assert_eq!(names[3], "town.jsonl");
    assert_eq!(everything(folder.path()), [1, 2, 3, 4, 5, 6, 7]);
    let (counts, log) =
        (sink.housekeeping(), std::process::Command::new("gzip").arg("-l").arg(folder.path().join(&names[0])).output());
    assert_eq!((counts.failed, counts.deleted), (0, 0));
    if let Ok(listed) = log {
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains("200"), "gzip finds the two lines too: {listed}");
    }
}

#[test]
fn a_file_that_takes_long_to_compress_holds_up_no_batch_and_no_end() {
    const LARGE: u64 = 1 << 33;
    let folder = TempDir::new().unwrap();
    let large = folder.path().join("town.20261120T220000Z-000.jsonl");
    // Takes no room, and a long time.
    std::fs::File::create(&large).unwrap().set_len(LARGE).unwrap();
    let path = folder.path().join("town.jsonl");
    let mut sink = open(FileOptions { rotate_bytes: Some(1000), gzip: true, ..FileOptions::new(&path) });
    let parts = || tree(folder.path()).iter().filter(|name| name.ends_with(".part")).count();
    put(&mut sink, &[frame_of_len(1, 100)]);
    wait_for("the compression to begin", || parts() == 1);
    for seq in 2..=60 {
        put(&mut sink, &[frame_of_len(seq, 100)]);
    }
    assert_eq!((sink.housekeeping().compressed, parts()), (0, 1), "sixty batches and five rotations in its middle");
    drop(sink);
    wait_for("its end, half way", || parts() == 0);
    assert_eq!(large.metadata().unwrap().len(), LARGE);
    std::fs::remove_file(large).unwrap();
    assert_eq!(everything(folder.path()), (1..=60).collect::<Vec<_>>());
}

#[test]
fn the_day_before_is_compressed_under_its_own_name() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let options = FileOptions { gzip: true, ..FileOptions::new(folder.path().join("%F/town.jsonl")) };
    let mut sink = wall.open(options);
    put(&mut sink, &frames(1..=2));
    wall.on(3 * HOUR);
    put(&mut sink, &frames(3..=3));
    wait_for("yesterday compressed", || sink.housekeeping().compressed == 1);
    assert_eq!(tree(folder.path()), ["2026-11-20/town.jsonl.gz", "2026-11-21/town.jsonl"]);
    assert_eq!(everything(folder.path()), [1, 2, 3]);
}

#[test]
fn a_yesterday_that_another_process_still_holds_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let options = FileOptions::new(folder.path().join("%F/town.jsonl"));
    let mut asleep = wall.open(options.clone());
    put(&mut asleep, &frames(1..=1));
    wall.on(3 * HOUR);
    let housekeeping = Housekeeping::new(&FileOptions { gzip: true, keep_files: Some(0), ..options }).unwrap();
    housekeeping.run(wall.now(), &GO_ON);
    assert_eq!(tree(folder.path()), ["2026-11-20/town.jsonl"]);
    asleep.close();
    housekeeping.run(wall.now(), &GO_ON);
    assert_eq!(tree(folder.path()), [""; 0]);
    assert!(!folder.path().join("2026-11-20").exists(), "an empty day goes too");
    assert!(folder.path().exists());
}

#[test]
fn wherever_a_kill_comes_the_next_start_completes_it_and_nothing_is_lost() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let options = FileOptions { gzip: true, ..FileOptions::new(folder.path().join("town.jsonl")) };
    files(&options, &wall, 4);
    let names = tree(folder.path());
    // Killed while it compressed the first, and after it had renamed the second.
    std::fs::write(folder.path().join(format!("{}.gz.4711.part", names[0])), "half a fi").unwrap();
    let second = std::fs::read(folder.path().join(&names[1])).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&second).unwrap();
    std::fs::write(folder.path().join(format!("{}.gz", names[1])), packer.finish().unwrap()).unwrap();
    let housekeeping = Housekeeping::new(&options).unwrap();
    housekeeping.run(wall.now(), &GO_ON);
    let counts = housekeeping.counts();
    assert_eq!((counts.parts_removed, counts.compressed, counts.failed), (1, 3, 0));
    assert_eq!(everything(folder.path()), [1, 2, 3, 4]);
    assert_eq!(tree(folder.path()).iter().filter(|name| name.ends_with(".gz")).count(), 3);
}

#[test]
fn a_compressed_file_with_other_content_is_never_replaced() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let options = FileOptions { gzip: true, ..FileOptions::new(folder.path().join("town.jsonl")) };
    files(&options, &wall, 2);
    let foreign = folder.path().join(format!("{}.gz", tree(folder.path())[0]));
    std::fs::write(&foreign, "not ours").unwrap();
    let housekeeping = Housekeeping::new(&options).unwrap();
    let log = logged(|| housekeeping.run(wall.now(), &GO_ON));
    assert_eq!(read(&foreign), "not ours");
    assert_eq!((housekeeping.counts().compressed, housekeeping.counts().failed), (0, 1));
    assert!(log.contains("telemetry_file_housekeeping_failed") && log.contains("something else"), "{log}");
    assert_eq!(tree(folder.path()).len(), 3, "nothing is lost");
}

#[test]
fn stopped_at_any_step_it_leaves_whole_files() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let options = FileOptions { gzip: true, ..FileOptions::new(folder.path().join("town.jsonl")) };
    files(&options, &wall, 6);
    let housekeeping = Housekeeping::new(&options).unwrap();
    let mut rounds = 0;
    for steps in 0_usize.. {
        let left = Cell::new(steps);
        housekeeping.run(wall.now(), &|| left.replace(left.get().saturating_sub(1)) == 0);
        assert_eq!(everything(folder.path()), [1, 2, 3, 4, 5, 6], "after {steps} steps");
        rounds += 1;
        if housekeeping.counts().compressed == 5 {
            break;
        }
    }
    assert!(rounds > 3, "it was stopped half way: {rounds}");
    assert_eq!(tree(folder.path()).iter().filter(|name| name.ends_with(".part")).count(), 0);
}

#[test]
fn retention_is_by_count_age_and_bytes_and_says_what_it_deletes() {
    for (options, kept, why) in [
        (FileOptions { keep_files: Some(2), ..FileOptions::new("") }, vec![8, 9, 10], "keep_files"),
        // Set aside at minutes 1 to 9; it is minute 10.
        (
            FileOptions { keep_for: Some(Duration::from_secs(180)), ..FileOptions::new("") },
            vec![7, 8, 9, 10],
            "keep_seconds",
        ),
        (FileOptions { keep_bytes: Some(450), ..FileOptions::new("") }, vec![6, 7, 8, 9, 10], "keep_bytes"),
        (FileOptions { keep_bytes: Some(450), keep_files: Some(1), ..FileOptions::new("") }, vec![9, 10], "keep_files"),
    ] {
        let folder = TempDir::new().unwrap();
        let wall = Wall::evening();
        let options = FileOptions { path: folder.path().join("town.jsonl"), ..options };
        files(&options, &wall, 10);
        std::fs::write(folder.path().join("town.20261120T220000Z.jsonl"), "not ours").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("town.20261120T220000Z-000.jsonl")).unwrap();
        let before = tree(folder.path()).len();
        let housekeeping = Housekeeping::new(&options).unwrap();
        let log = logged(|| housekeeping.run(wall.now(), &GO_ON));
        let counts = housekeeping.counts();
        assert_eq!(counts.deleted as usize, 10 - kept.len(), "{why}");
        assert_eq!((counts.deleted_bytes, counts.failed), (counts.deleted * 100, 0));
        assert_eq!(log.matches("telemetry_file_deleted").count(), 10 - kept.len(), "{log}");
        assert!(log.contains(why), "{log}");
        assert_eq!(tree(folder.path()).len(), before - counts.deleted as usize);
        std::fs::remove_file(folder.path().join("town.20261120T220000Z.jsonl")).unwrap();
        std::fs::remove_file(folder.path().join("town.20261120T220000Z-000.jsonl")).unwrap();
        assert_eq!(everything(folder.path()), kept, "{why}");
    }
}

#[test]
fn whether_too_many_bytes_are_there_is_asked_when_all_is_compressed() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let path = folder.path().join("town.jsonl");
    let options = FileOptions { keep_bytes: Some(100_000), gzip: true, ..FileOptions::new(path) };
    let mut sink = wall.open(FileOptions { rotate_bytes: Some(1), ..FileOptions::new(&options.path) });
    for seq in 1..=4 {
        put(&mut sink, &[frame_of_len(seq, 90_000)]);
    }
    let housekeeping = Housekeeping::new(&options).unwrap();
    housekeeping.run(wall.now(), &GO_ON);
    assert_eq!((housekeeping.counts().compressed, housekeeping.counts().deleted), (3, 0));
}

#[test]
fn days_are_deleted_oldest_first_with_their_folders() {
    let folder = TempDir::new().unwrap();
    let wall = Wall::evening();
    let options = FileOptions {
        keep_for: Some(Duration::from_secs(2 * 86_400)),
        ..FileOptions::new(folder.path().join("%Y/%m-%d/town.jsonl"))
    };
    let mut sink = wall.open(FileOptions { keep_for: None, ..options.clone() });
    for seq in 1..=5 {
        put(&mut sink, &frames(seq..=seq));
        wall.on(86_400);
    }
    std::fs::write(folder.path().join("2026/11-20/notes"), "mine").unwrap();
    // It is the 25th, 22:00: the 23rd ended less than two days ago.
    let housekeeping = Housekeeping::new(&options).unwrap();
    housekeeping.run(wall.now(), &GO_ON);
    assert_eq!(tree(folder.path()), ["2026/11-20/notes", "2026/11-23/town.jsonl", "2026/11-24/town.jsonl"]);
    assert!(!folder.path().join("2026/11-21").exists() && folder.path().join("2026/11-20").exists());
    assert_eq!(housekeeping.files(wall.now()).unwrap().len(), 2);
}

#[test]
fn an_interval_syncs_beside_the_batches_also_when_none_follows() {
    let folder = TempDir::new().unwrap();
    let fsync = Fsync::Interval(Duration::from_millis(5));
    let mut sink = open(FileOptions { fsync, ..FileOptions::new(folder.path().join("town.jsonl")) });
    put(&mut sink, &frames(1..=3));
    wait_for("the sync of a single batch", || sink.housekeeping().syncs == 1);
    put(&mut sink, &frames(4..=4));
    wait_for("the sync of the next", || sink.housekeeping().syncs == 2);
    assert_eq!(sink.housekeeping().failed, 0);
}

#[test]
fn a_long_interval_gathers_many_batches_into_one_sync_and_the_end_does_not_wait_for_it() {
    let folder = TempDir::new().unwrap();
    let fsync = Fsync::Interval(Duration::from_secs(3600));
    let mut sink = open(FileOptions { fsync, ..FileOptions::new(folder.path().join("town.jsonl")) });
    for seq in 1..=50 {
        put(&mut sink, &frames(seq..=seq));
    }
    sink.flush().unwrap();
    sink.close();
    assert_eq!(sink.housekeeping().syncs, 0, "flush and close sync by themselves");
}
