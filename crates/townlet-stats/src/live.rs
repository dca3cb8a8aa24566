//! Whether the samples since the start are what the sequential lane takes them for.

use crate::check::{Assumption, Check};

/// So many samples before a correlation is judged: healthy ones stay within about 0.2 then.
const PAIRS: f64 = 240.0;
const CORRELATION: f64 = 0.3;
/// So many steps before holes are judged.
const STEPS: u64 = 60;
const COVERAGE: f64 = 0.8;

/// Running sums over the innovations, and how many steps had a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    last: Option<f64>,
    pairs: f64,
    sum: f64,
    squares: f64,
    products: f64,
    first_step: Option<u64>,
    present: u64,
}

impl Live {
    /// A step that was looked at, and the innovation it had.
    pub(crate) fn take(&mut self, step: u64, innovation: Option<f64>) {
        self.first_step.get_or_insert(step);
        let Some(now) = innovation else {
            self.last = None;
            return;
        };
        self.present += 1;
        if let Some(before) = self.last.replace(now) {
            self.pairs += 1.0;
            self.sum += now;
            self.squares += now * now;
            self.products += now * before;
        }
    }

    /// What can be said of it by now.
    pub(crate) fn checks(&self, step: u64) -> impl Iterator<Item = Check> {
        let steps = self.first_step.map_or(0, |first| step.saturating_sub(first) + 1);
        let coverage = (steps >= STEPS)
            .then(|| Check::at_least(Assumption::LiveCoverage, self.present as f64 / steps as f64, COVERAGE));
        let independence = (self.pairs >= PAIRS)
            .then(|| Check::at_most(Assumption::LiveIndependence, self.correlation(), CORRELATION));
        coverage.into_iter().chain(independence)
    }

    fn correlation(&self) -> f64 {
        let centre = self.sum / self.pairs;
        let spread = self.squares / self.pairs - centre * centre;
        if spread > 0.0 { (self.products / self.pairs - centre * centre) / spread } else { 0.0 }
    }
}
