use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use townlet_testkit::{frame_of_len, frames};
use townlet_transport::{ErrorKind, Frame, Fsync, Transport};
use townlet_transport_file::FileOptions;

use crate::{MARKER, marked, open, read, text};

#[test]
fn a_full_device_is_an_error_that_settles_nothing() {
    let mut sink = open(FileOptions::new("/dev/full"));
    sink.connect().unwrap();
    let error = sink.send(&frames(1..=3)).unwrap_err();
    assert_eq!((error.settled, error.error.kind()), (0, ErrorKind::StorageFull), "{error}");
    assert!(error.error.kind().is_retryable());
    let mut marked_sink = open(marked(Path::new("/dev/full")));
    assert_eq!(marked_sink.connect().unwrap_err().kind(), ErrorKind::StorageFull);
}

/// A file system of `kib` KiB, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(kib: usize) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let options = format!("size={kib}k");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => {
                eprintln!("SKIPPED: mounting a small tmpfs needs root; the arithmetic is tested in `lines`");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the small disk stays mounted");
    }
}

#[test]
fn on_a_full_disk_whole_lines_stay_the_rest_is_kept_and_goes_on_later() {
    for fsync in [Fsync::Never, Fsync::EachBatch] {
        let Some(disk) = SmallDisk::mount(256) else { return };
        let (path, ballast) = (disk.0.path().join("town.jsonl"), disk.0.path().join("ballast"));
        std::fs::write(&ballast, vec![b'x'; 160 * 1024]).unwrap();
        let mut sink = open(FileOptions { fsync, ..marked(&path) });
        let all: Vec<Frame> = (1..=400).map(|seq| frame_of_len(seq, 300 + (seq as usize * 37) % 500)).collect();
        let mut queue = &all[..];
        let mut failures = 0;
        while !queue.is_empty() {
            sink.connect().unwrap();
            let batch = &queue[..queue.len().min(32)];
            match sink.send(batch) {
                Ok(_) => queue = &queue[batch.len()..],
                Err(error) => {
                    assert_eq!(error.error.kind(), ErrorKind::StorageFull, "{error}");
                    queue = &queue[error.settled..];
                    let settled = &all[..all.len() - queue.len()];
                    assert_eq!(read(&path), format!("{MARKER}{}", text(settled)), "exactly what settled is there");
                    failures += 1;
                    if failures == 3 {
                        std::fs::remove_file(&ballast).unwrap();
                    }
                    assert!(failures < 5, "there is room for all");
                }
            }
        }
        assert_eq!(failures, 3, "the disk was full until the ballast went");
        assert_eq!(read(&path), format!("{MARKER}{}", text(&all)), "each line once, in order, one marker");
    }
}

#[test]
fn a_marker_that_does_not_fit_is_not_left_torn() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let path = disk.0.path().join("town.jsonl");
    let ballast = disk.0.path().join("ballast");
    // Fills the disk but for what the file's own first line needs and has not got.
    let mut size = 64 * 1024;
    while std::fs::write(&ballast, vec![b'x'; size]).is_err() {
        size -= 4096;
    }
    let mut sink = open(marked(&path));
    for _ in 0..3 {
        assert_eq!(sink.connect().unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(read(&path), "");
    }
    std::fs::remove_file(&ballast).unwrap();
    assert!(sink.connect().unwrap().fresh);
    sink.send(&frames(1..=1)).unwrap();
    assert_eq!(read(&path), format!("{MARKER}{}", text(&frames(1..=1))));
}
