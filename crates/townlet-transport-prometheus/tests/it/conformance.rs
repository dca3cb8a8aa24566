use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use townlet_testkit::{Case, conformance};
use townlet_transport::Transport;

use crate::{file, sample};

struct Counts(TempDir);

impl Counts {
    fn folder(&self) -> PathBuf {
        self.0.path().join("textfile")
    }
}

impl Case for Counts {
    fn transport(&mut self) -> Box<dyn Transport> {
        Box::new(file(&self.folder().join("town.prom")))
    }
    fn arrived(&mut self, _count: usize) -> Vec<Vec<u8>> {
        Vec::new()
    }
    fn sums(&mut self) -> Option<(u64, u64)> {
        let text = std::fs::read_to_string(self.folder().join("town.prom")).unwrap_or_default();
        let count = |name| sample(&text, name).unwrap_or_default() as u64;
        Some((count("townlet_telemetry_messages_total"), count("townlet_telemetry_bytes_total")))
    }
    fn openings(&mut self) -> Option<usize> {
        // What shows before anything was sent: the lock.
        Some(usize::from(self.folder().join(".town.prom.lock").exists()))
    }
    fn call_limit(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn begin_outage(&mut self) -> bool {
        // The folder is moved away and a file lies in its place.
        if self.folder().exists() {
            std::fs::rename(self.folder(), self.0.path().join("away")).unwrap();
        }
        std::fs::write(self.folder(), "not a folder").unwrap();
        true
    }
    fn end_outage(&mut self) {
        std::fs::remove_file(self.folder()).unwrap();
        let away = self.0.path().join("away");
        if away.exists() {
            std::fs::rename(away, self.folder()).unwrap();
        }
    }
}

#[test]
fn a_textfile_keeps_the_contract_and_counts_each_frame_once() {
    conformance(|| Counts(TempDir::new().unwrap()));
}
