//! Every test writes to a real file system or answers on a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod conformance;
mod counting;
mod disk_full;
mod factory;
mod fakes;
mod fields;
mod peers;
mod scrapes;
mod textfile;

use std::path::Path;
use std::time::{Duration, Instant};

use townlet_transport_prometheus::{PrometheusOptions, PrometheusTransport};

/// A deadline that no sound run comes near, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn open(options: PrometheusOptions) -> PrometheusTransport {
    PrometheusTransport::new(options).unwrap()
}

pub(crate) fn file(path: &Path) -> PrometheusTransport {
    open(PrometheusOptions::file(path))
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The value of one sample, by its whole name.
pub(crate) fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

/// Waits until `ready` gives something. The pause between looks is a courtesy, not a bet on time.
pub(crate) fn eventually<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(there) = ready() {
            return there;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
