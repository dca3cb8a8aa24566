//! A pipeline's figures, as a test wants them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use townlet_transport::{Durations, Figure, Figures, Reading};

/// A pipeline of one sink that has accepted and dropped so many.
pub(crate) struct Pipeline {
    run: String,
    state: Mutex<(u64, u64, Durations)>,
    reads: AtomicU64,
}

impl Pipeline {
    pub(crate) fn run(run: &str) -> Arc<Self> {
        Arc::new(Self { run: run.to_owned(), state: Mutex::default(), reads: AtomicU64::new(0) })
    }

    pub(crate) fn accept(&self, events: u64) {
        let mut state = self.state.lock().unwrap();
        state.0 += events;
        state.2.record(Duration::from_millis(3));
    }

    /// How often it was asked for its figures.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn drop_some(&self, events: u64) {
        self.state.lock().unwrap().1 += events;
    }
}

impl Figures for Pipeline {
    fn epoch(&self) -> &str {
        &self.run
    }

    fn read(&self, show: &mut dyn FnMut(Figure<'_>)) {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let (accepted, dropped, durations) = *self.state.lock().unwrap();
        let mut tell =
            |name, help, labels: &[(&'static str, &str)], reading| show(Figure { name, help, labels, reading });
        tell("accepted_total", "Accepted.", &[("sink", "main")], Reading::Counter(accepted));
        for (reason, n) in [("backpressure", dropped), ("rejected", 0)] {
            tell(
                "dropped_total",
                "Dropped, by \"reason\"\nand more.",
                &[("reason", reason), ("sink", "main")],
                Reading::Counter(n),
            );
        }
        tell("buffered", "Waiting.", &[("sink", "main")], Reading::Gauge(2.0));
        tell("flush_duration_seconds", "Flushes.", &[("sink", "main")], Reading::Durations(&durations));
    }
}
