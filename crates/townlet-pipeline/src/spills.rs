//! What the spills of a pipeline say of themselves.

use std::path::PathBuf;

use crate::shared::State;
use crate::telemetry::Telemetry;

/// A spill of a running pipeline at one instant; see [`Telemetry::spills`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpillState {
    /// `buffer.spill.path`.
    pub path: PathBuf,
    /// The sinks that use it, in the order of configuration.
    pub sinks: Vec<String>,
    /// Why the disk takes nothing at present; what is emitted then waits in memory.
    pub error: Option<String>,
    /// Failures of the disk, ever.
    pub errors_total: u64,
    /// Commits, ever.
    pub commits_total: u64,
    /// Records that damage has cost, as far as known.
    pub damaged_total: u64,
}

impl Telemetry {
    /// The state of each spill, in the order in which their folders were
    /// configured. What waits in them is `spilled` in [`statements`](Self::statements).
    pub fn spills(&self) -> Vec<SpillState> {
        let inner = self.inner();
        let mut state = inner.shared.lock();
        let State { sinks, spools, .. } = &mut *state;
        let sinks = sinks.all();
        let all = inner.recovered().iter().zip(&*spools).enumerate();
        all.map(|(n, (recovered, status))| SpillState {
            path: recovered.path.clone(),
            sinks: inner.shared.sinks_of(n).map(|s| sinks[s].main().options().name.clone()).collect(),
            error: status.error.clone(),
            errors_total: status.errors_total,
            commits_total: status.commits_total,
            damaged_total: status.damaged_total,
        })
        .collect()
    }
}
