//! What a receiver knows about one numbered stream: what is missing, what came
//! twice, what came late. Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::num::NonZeroU64;

use serde::Serialize;

use crate::planted;

/// Keyframe identities remembered for deduplication. A sender repeats only what
/// was in flight when its connection broke, which is a handful of keyframes.
const KEYFRAMES_REMEMBERED: usize = 32;

/// A range of sequence numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SeqRange {
    /// The lowest number of the range.
    pub first: u64,
    /// The highest number of the range.
    pub last: u64,
}

impl SeqRange {
    /// How many numbers the range holds.
    #[expect(clippy::len_without_is_empty, reason = "a range with both ends included is never empty")]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    fn holds(&self, seq: u64) -> bool {
        self.first <= seq && seq <= self.last
    }
}

impl fmt::Display for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// What one arrival meant for its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arrival {
    /// Higher than everything before: the ordinary case.
    Next,
    /// Lower than the highest, and it was missing: it filled a gap.
    Filled,
    /// It was here before.
    Duplicate,
    /// It lies below a gap that was forgotten for want of room, so nobody can
    /// say whether it was here before. A receiver keeps it: a line stored twice
    /// can still be told apart by its number, a line thrown away is gone.
    Uncertain,
}

impl Arrival {
    /// True where the line is certainly here already and need not be kept.
    pub fn is_duplicate(self) -> bool {
        self == Self::Duplicate
    }
}

/// Follows one `(run_id, stream)`, whose numbers count from 1 without gaps at
/// the source.
///
/// An arrival in order costs O(1). Memory is bounded by the number of gaps that
/// are kept; when one more opens, the lowest is forgotten and counted.
///
/// ```
/// use std::num::NonZeroU64;
/// use townlet_collector::sequence::{Arrival, SeqRange, SequenceTracker};
///
/// let mut tracker = SequenceTracker::new(16);
/// let mut arrive = |seq| tracker.observe(NonZeroU64::new(seq).unwrap(), Some(seq));
/// assert_eq!(arrive(1), Arrival::Next);
/// assert_eq!(arrive(5), Arrival::Next);
/// assert_eq!(arrive(3), Arrival::Filled);
/// assert_eq!(arrive(5), Arrival::Duplicate);
///
/// let report = tracker.report();
/// assert_eq!(report.gaps, [SeqRange { first: 2, last: 2 }, SeqRange { first: 4, last: 4 }]);
/// ```
#[derive(Clone, Debug)]
pub struct SequenceTracker {
    /// Missing numbers below `highest`, ascending, neither touching nor overlapping.
    gaps: VecDeque<SeqRange>,
    gap_limit: usize,
    highest: u64,
    highest_tick: Option<u64>,
    /// Nothing certain is known at or below this number.
    horizon: u64,
    keyframes: VecDeque<(u64, u64)>,
    counts: SequenceCounts,
}

/// The counters of a [`SequenceTracker`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SequenceCounts {
    /// The number of the first arrival, 0 before it.
    pub first: u64,
    /// Arrivals that were new (in order, filling a gap, or uncertain).
    pub distinct: u64,
    /// Arrivals that were here before, keyframes included.
    pub duplicates: u64,
    /// New arrivals with a number lower than one that came earlier.
    pub out_of_order: u64,
    /// Arrivals of which nobody can say whether they were here before.
    pub uncertain: u64,
    /// Keyframes: whole renderings of a state, also those of a state that was here before.
    pub keyframes: u64,
    /// Arrivals in order whose tick was lower than the tick before.
    pub tick_backwards: u64,
    /// Gaps that were forgotten because the limit of gaps was reached.
    pub gaps_forgotten: u64,
    /// Numbers that were missing in the forgotten gaps when they were forgotten.
    pub missing_forgotten: u64,
}

/// A reading of a [`SequenceTracker`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SequenceReport {
    /// The counters.
    #[serde(flatten)]
    pub counts: SequenceCounts,
    /// The highest number that arrived, 0 before the first.
    pub last: u64,
    /// Numbers from 1 to `last` that did not arrive, ascending, as ranges. A
    /// range that begins at 1 is what was sent before this receiver listened,
    /// or was lost before its first arrival.
    pub gaps: Vec<SeqRange>,
    /// How many numbers lie in `gaps`, and in those that were forgotten.
    pub missing: u64,
}

impl SequenceTracker {
    /// A tracker that keeps at most `gap_limit` gaps (at least 1).
    pub fn new(gap_limit: usize) -> Self {
        Self {
            gaps: VecDeque::new(),
            gap_limit: gap_limit.max(1),
            highest: 0,
            highest_tick: None,
            horizon: 0,
            keyframes: VecDeque::new(),
            counts: SequenceCounts::default(),
        }
    }

    /// Takes in the arrival of the line numbered `seq`, emitted at `tick`.
    pub fn observe(&mut self, seq: NonZeroU64, tick: Option<u64>) -> Arrival {
        let seq = seq.get();
        if self.counts.first == 0 {
            self.counts.first = seq;
        }
        let arrival = if seq > self.highest {
            self.advance(seq, tick);
            Arrival::Next
        } else {
            self.look_back(seq)
        };
        match arrival {
            Arrival::Next => self.counts.distinct += 1,
            Arrival::Filled => {
                self.counts.distinct += 1;
                self.counts.out_of_order += 1;
            }
            Arrival::Duplicate => self.counts.duplicates += 1,
            Arrival::Uncertain => {
                self.counts.distinct += 1;
                self.counts.uncertain += 1;
            }
        }
        arrival
    }

    /// Takes in a keyframe: rendering `rendering` of the state numbered `seq`.
    ///
    /// A keyframe is a state whole, for a peer that may not have what a diff would
    /// be against. Where the state was not here before, this is its arrival. Where
    /// it was, it is kept all the same, and counts as nothing but a keyframe: only
    /// the same rendering a second time is a duplicate.
    pub fn observe_keyframe(&mut self, seq: NonZeroU64, rendering: u64, tick: Option<u64>) -> Arrival {
        let key = (seq.get(), rendering);
        if self.keyframes.contains(&key) {
            self.counts.duplicates += 1;
            return Arrival::Duplicate;
        }
        if self.keyframes.len() == KEYFRAMES_REMEMBERED {
            self.keyframes.pop_front();
        }
        self.keyframes.push_back(key);
        self.counts.keyframes += 1;
        if self.has(seq.get()) { Arrival::Next } else { self.observe(seq, tick) }
    }

    /// The counters so far.
    pub fn counts(&self) -> SequenceCounts {
        self.counts
    }

    /// The highest number that arrived, 0 before the first.
    pub fn last(&self) -> u64 {
        self.highest
    }

    /// The tick of the line with the highest number, where it had one.
    pub fn last_tick(&self) -> Option<u64> {
        self.highest_tick
    }

    /// The gaps that are kept, ascending.
    pub fn gaps(&self) -> impl Iterator<Item = SeqRange> + '_ {
        self.gaps.iter().copied()
    }

    /// A full reading.
    pub fn report(&self) -> SequenceReport {
        SequenceReport {
            counts: self.counts,
            last: self.highest,
            gaps: self.gaps.iter().copied().collect(),
            missing: self.missing(),
        }
    }

    /// How many numbers from 1 to the highest did not arrive. Where gaps were
    /// forgotten this is an upper bound, since what filled them later is not known.
    pub fn missing(&self) -> u64 {
        self.gaps.iter().map(SeqRange::len).fold(self.counts.missing_forgotten, u64::saturating_add)
    }

    /// True where `seq` was here before, or nobody can say.
    fn has(&self, seq: u64) -> bool {
        let at = self.gaps.partition_point(|gap| gap.last < seq);
        seq <= self.highest && !self.gaps.get(at).is_some_and(|gap| gap.holds(seq))
    }

    /// The highest number up to which, from `from` on, every one arrived. None
    /// where `from` did not, or where nobody can say because its gaps were
    /// forgotten.
    pub fn has_up_to(&self, from: u64) -> Option<u64> {
        if from == 0 || from > self.highest || from <= self.horizon {
            return None;
        }
        let at = self.gaps.partition_point(|gap| gap.last < from);
        match self.gaps.get(at) {
            Some(gap) if gap.holds(from) => None,
            Some(gap) => Some(gap.first - 1),
            None => Some(self.highest),
        }
    }

    fn advance(&mut self, seq: u64, tick: Option<u64>) {
        if seq - self.highest > 1 {
            self.gaps.push_back(SeqRange { first: self.highest + 1, last: seq - 1 });
            self.forget_surplus();
        }
        self.highest = seq;
        if let Some(tick) = tick {
            if self.highest_tick.is_some_and(|before| tick < before) {
                self.counts.tick_backwards += 1;
            }
            self.highest_tick = Some(tick);
        }
    }

    fn look_back(&mut self, seq: u64) -> Arrival {
        let at = self.gaps.partition_point(|gap| gap.last < seq);
        let gap = self.gaps.get_mut(at).filter(|gap| gap.holds(seq));
        let Some(gap) = gap.filter(|_| !planted::is("a line that fills a gap is taken for a duplicate")) else {
            let unknown = seq <= self.horizon || planted::is("a line that comes again is kept again");
            return if unknown { Arrival::Uncertain } else { Arrival::Duplicate };
        };
        if gap.first == gap.last {
            self.gaps.remove(at);
        } else if seq == gap.first {
            gap.first += 1;
        } else if seq == gap.last {
            gap.last -= 1;
        } else {
            let above = SeqRange { first: seq + 1, last: gap.last };
            gap.last = seq - 1;
            self.gaps.insert(at + 1, above);
            self.forget_surplus();
        }
        Arrival::Filled
    }

    /// The lowest gap goes first: what is oldest is least likely to be filled.
    fn forget_surplus(&mut self) {
        while self.gaps.len() > self.gap_limit {
            if let Some(gap) = self.gaps.pop_front() {
                self.horizon = gap.last;
                self.counts.gaps_forgotten += 1;
                self.counts.missing_forgotten += gap.len();
            }
        }
    }
}

/// How often a producer started again: for each stream name, the process runs
/// that were seen under it, less one.
///
/// ```
/// use townlet_collector::sequence::restarts;
/// assert_eq!(restarts([("run-1", "town"), ("run-2", "town"), ("run-1", "town.events")]), 1);
/// ```
pub fn restarts<'a>(streams: impl IntoIterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut runs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (run_id, stream) in streams {
        runs.entry(stream).or_default().insert(run_id);
    }
    runs.values().map(|runs| runs.len() as u64 - 1).sum()
}
