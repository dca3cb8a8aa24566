use std::process::Command;

use tempfile::TempDir;
use townlet_testkit::frames;
use townlet_transport::{ErrorKind, Transport};

use crate::{file, read, sample};

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
                eprintln!("SKIPPED: mounting a small tmpfs needs root; each step's failure is tested in `textfile`");
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
fn a_full_disk_is_an_error_the_old_file_stays_whole_and_the_batch_that_comes_again_counts_once() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let (path, ballast) = (disk.0.path().join("town.prom"), disk.0.path().join("ballast"));
    let mut sink = file(&path);
    sink.connect().unwrap();
    sink.send(&frames(1..=3)).unwrap();
    let before = read(&path);
    let mut size = 64 * 1024;
    while std::fs::write(&ballast, vec![b'x'; size]).is_err() {
        size -= 1024;
    }
    for _ in 0..3 {
        sink.connect().unwrap();
        let error = sink.send(&frames(4..=6)).unwrap_err();
        assert_eq!((error.settled, error.error.kind()), (0, ErrorKind::StorageFull), "{error}");
        assert!(error.error.kind().is_retryable());
        assert_eq!(read(&path), before, "the old file is whole");
        assert!(!disk.0.path().join(".town.prom.tmp").exists(), "nothing takes up room");
    }
    std::fs::remove_file(&ballast).unwrap();
    sink.connect().unwrap();
    sink.send(&frames(4..=6)).unwrap();
    assert_eq!(sample(&read(&path), "townlet_telemetry_messages_total"), Some(6.0));
}
