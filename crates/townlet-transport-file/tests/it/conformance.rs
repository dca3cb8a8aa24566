use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use townlet_testkit::{Case, conformance};
use townlet_transport::{Fsync, Transport};
use townlet_transport_file::FileOptions;

use crate::{MARKER, marked, open};

struct Files {
    folder: TempDir,
    fsync: Fsync,
}

impl Files {
    fn new(fsync: Fsync) -> Self {
        Self { folder: TempDir::new().unwrap(), fsync }
    }
    fn parent(&self) -> PathBuf {
        self.folder.path().join("logs")
    }
    fn all(&self) -> Vec<Vec<u8>> {
        let Ok(content) = std::fs::read(self.parent().join("town.jsonl")) else { return Vec::new() };
        assert!(content.is_empty() || content.ends_with(b"\n"), "a torn last line");
        content.strip_suffix(b"\n").map(|c| c.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect()).unwrap_or_default()
    }
    fn is_marker(line: &[u8]) -> bool {
        line == MARKER.trim_end().as_bytes()
    }
}

impl Case for Files {
    fn transport(&mut self) -> Box<dyn Transport> {
        let options = FileOptions { fsync: self.fsync, ..marked(&self.parent().join("town.jsonl")) };
        Box::new(open(options))
    }
    fn arrived(&mut self, _count: usize) -> Vec<Vec<u8>> {
        self.all().into_iter().filter(|line| !Self::is_marker(line)).collect()
    }
    fn openings(&mut self) -> Option<usize> {
        Some(self.all().iter().filter(|line| Self::is_marker(line)).count())
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn begin_outage(&mut self) -> bool {
        // The folder is moved away and a file lies in its place.
        if self.parent().exists() {
            std::fs::rename(self.parent(), self.folder.path().join("away")).unwrap();
        }
        std::fs::write(self.parent(), "not a folder").unwrap();
        true
    }
    fn end_outage(&mut self) {
        std::fs::remove_file(self.parent()).unwrap();
        let away = self.folder.path().join("away");
        if away.exists() {
            std::fs::rename(away, self.parent()).unwrap();
        }
    }
}

#[test]
fn a_file_that_is_never_synced_keeps_the_contract() {
    conformance(|| Files::new(Fsync::Never));
}

#[test]
fn a_file_that_is_synced_on_flush_keeps_the_contract() {
    conformance(|| Files::new(Fsync::OnFlush));
}

#[test]
fn a_file_that_is_synced_with_each_batch_keeps_the_contract() {
    conformance(|| Files::new(Fsync::EachBatch));
}
