//! Whether the samples since the start are what the sequential lane takes them for.

use crate::check::{Assumption, Check};
use crate::robust::median;

/// So many pairs make a block, so many blocks are judged: healthy metrics stay within about 0.2 then.
const PAIRS: f64 = 60.0;
const BLOCKS: usize = 4;
/// Two days of blocks; older ones are forgotten.
const MOST_BLOCKS: usize = 48;
const CORRELATION: f64 = 0.3;
/// When holes in what is watched are judged.
pub(crate) const LIVE: Holes = Holes { steps: 60, coverage: 0.8 };

/// After so many steps, so much of them must have a value.
pub(crate) struct Holes {
    pub(crate) steps: u64,
    pub(crate) coverage: f64,
}

/// How far innovations follow each other, block by block, and how many steps had a value.
///
/// A shift, for the better or the worse, makes innovations of one block follow each other, and no other block: the
/// middle one of all blocks says what the noise does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    last: Option<f64>,
    block: Block,
    correlations: std::collections::VecDeque<f64>,
    first_step: Option<u64>,
    present: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    pairs: f64,
    sum: f64,
    squares: f64,
    products: f64,
}

impl Block {
    fn correlation(&self) -> f64 {
        let centre = self.sum / self.pairs;
        let spread = self.squares / self.pairs - centre * centre;
        // Innovations are bounded: a metric far off for good has none that differ, and nothing follows anything.
        if spread > 1e-9 { (self.products / self.pairs - centre * centre) / spread } else { 0.0 }
    }
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
        let Some(before) = self.last.replace(now) else { return };
        self.block.pairs += 1.0;
        self.block.sum += now;
        self.block.squares += now * now;
        self.block.products += now * before;
        if self.block.pairs >= PAIRS {
            if self.correlations.len() == MOST_BLOCKS {
                self.correlations.pop_front();
            }
            self.correlations.push_back(std::mem::take(&mut self.block).correlation());
        }
    }

    /// What can be said of it by now.
    pub(crate) fn checks(&self, step: u64) -> impl Iterator<Item = Check> {
        let steps = self.first_step.map_or(0, |first| step.saturating_sub(first).saturating_add(1));
        let share = self.present as f64 / steps.max(1) as f64;
        let coverage = (steps >= LIVE.steps).then(|| Check::at_least(Assumption::LiveCoverage, share, LIVE.coverage));
        let mut blocks: Vec<f64> = self.correlations.iter().copied().collect();
        let correlation = median(&mut blocks).filter(|_| blocks.len() >= BLOCKS);
        let independence = correlation.map(|found| Check::at_most(Assumption::LiveIndependence, found, CORRELATION));
        coverage.into_iter().chain(independence)
    }
}
