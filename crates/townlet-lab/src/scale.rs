//! How much is measured.

use crate::measure::{Contender, Rounds, interleave};

/// Rounds, calls and events of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Interleaved rounds of each comparison.
    pub rounds: usize,
    /// Paced calls a round, 100,000 a second.
    pub paced_calls: u64,
    /// Calls of a burst, a multiple of [`BATCH`](crate::measure::BATCH) that fits into every queue.
    pub burst_calls: u64,
    /// Paced calls with 12 KB, 10,000 a second.
    pub large_calls: u64,
    /// Events to a file, a round and contender.
    pub file_events: u64,
    /// Events over a socket.
    pub socket_events: u64,
    /// Snapshots of 12 KB.
    pub snapshots: u64,
    /// Events through the transforms.
    pub transformed: u64,
    /// Lines to the collector.
    pub collected: u64,
    /// Only this contender, to look at it with a profiler; then there are no ratios.
    pub contender: Option<String>,
}

impl Scale {
    /// Compares the contenders, or lets the only one run.
    ///
    /// # Errors
    /// What keeps a contender from being measured.
    pub fn compare(&self, mut contenders: Vec<Contender<'_>>) -> anyhow::Result<Rounds> {
        if let Some(only) = &self.contender {
            contenders.retain(|contender| contender.name == only);
        }
        interleave(self.rounds, contenders)
    }

    /// What figures are quoted from; under six minutes.
    pub fn full() -> Self {
        Self {
            rounds: 7,
            paced_calls: 30_000,
            burst_calls: 32_768,
            large_calls: 2_000,
            file_events: 250_000,
            socket_events: 200_000,
            snapshots: 1_000,
            transformed: 40_000,
            collected: 300_000,
            contender: None,
        }
    }

    /// For CI: under 40 seconds in release; tails are rough.
    pub fn quick() -> Self {
        Self {
            rounds: 5,
            paced_calls: 6_000,
            burst_calls: 16_384,
            large_calls: 400,
            file_events: 40_000,
            socket_events: 30_000,
            snapshots: 200,
            transformed: 10_000,
            collected: 60_000,
            contender: None,
        }
    }

    /// To see that everything works; no figure of it means anything.
    pub fn smallest() -> Self {
        Self {
            rounds: 1,
            paced_calls: 500,
            burst_calls: 512,
            large_calls: 50,
            file_events: 1_000,
            socket_events: 1_000,
            snapshots: 16,
            transformed: 500,
            collected: 1_000,
            contender: None,
        }
    }
}
