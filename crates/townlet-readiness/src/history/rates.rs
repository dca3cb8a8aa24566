//! Success and flakiness over runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Entry;

/// How often a suite passed and flaked, the present run included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Runs that were looked at.
    pub runs: u64,
    /// Those that passed in the end.
    pub passed: u64,
    /// Those that were flaky.
    pub flaky: u64,
}

impl Rates {
    /// The share of runs that passed in the end; `None` without runs.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        share(self.passed, self.runs)
    }

    /// The share of runs that were flaky; `None` without runs.
    #[must_use]
    pub fn flake_rate(&self) -> Option<f64> {
        share(self.flaky, self.runs)
    }

    /// How fast the permitted failures are being used up: the share of failed runs over the share that may fail.
    /// 1 uses up exactly what `objective` (the least success rate) permits. With nine decimals: 0.98 is no binary number,
    /// and a limit of 1 must hold where it is met exactly.
    #[must_use]
    pub fn error_budget_burn(&self, objective: f64) -> Option<f64> {
        let permitted = 1.0 - objective;
        let failed = share(self.runs - self.passed, self.runs)?;
        (permitted > 0.0).then(|| (failed / permitted * 1e9).round() / 1e9)
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of runs are far below 2^52")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Looks at the last `window` runs of a suite.
///
/// A run is flaky if it failed and passed by itself (a retry of the suite or of a test), or if it failed while another
/// run of the window passed with the same command at the same revision: then nothing but chance lies between them.
pub(super) fn of(entries: &[Entry], suite: &str, window: usize) -> Rates {
    let mut last: Vec<&Entry> = entries.iter().rev().filter(|entry| entry.suite == suite).take(window).collect();
    last.reverse();
    let same =
        |a: &Entry, b: &Entry| a.revision.is_some() && a.revision == b.revision && a.command_sha256 == b.command_sha256;
    let by_chance = |entry: &Entry| !entry.passed && last.iter().any(|other| other.passed && same(entry, other));
    let count = |is: &dyn Fn(&Entry) -> bool| last.iter().filter(|entry| is(entry)).count() as u64;
    Rates {
        runs: last.len() as u64,
        passed: count(&|entry| entry.passed),
        flaky: count(&|entry| entry.flaky || by_chance(entry)),
    }
}
