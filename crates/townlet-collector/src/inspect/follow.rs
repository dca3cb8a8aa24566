//! Runs, ticks and sequences of a file.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;

use serde::Serialize;
use townlet_schema::LineHead;

use super::probe::{Cadence, Class, Compared};
use super::trace::RunTrace;
use crate::sequence::{SequenceReport, SequenceTracker};

/// Streams that are followed; records of further ones are only counted.
const STREAMS_FOLLOWED: usize = 65_536;
/// Gaps kept for each stream.
const GAPS_PER_STREAM: usize = 4096;
/// Tick gaps that are listed.
const TICK_GAPS_LISTED: usize = 1000;

/// Ticks that are missing between two neighbouring records of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TickGap {
    /// The run, as in [`RunSummary::run`].
    pub run: String,
    /// The stream, or the kind of record where lines name none.
    pub stream: String,
    /// The last tick before the gap.
    pub after: u64,
    /// The first tick behind it.
    pub before: u64,
}

/// One process run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunSummary {
    /// Its `run_id`, or `#1`, `#2`, … for lines without one.
    pub run: String,
    /// Records of this run.
    pub records: u64,
    /// The lowest tick of its states, if they have one.
    pub first_tick: Option<u64>,
    /// The highest tick of its states.
    pub last_tick: Option<u64>,
    /// Its streams by name; where lines name none, by kind of record.
    pub streams: BTreeMap<String, StreamSummary>,
}

/// One stream of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamSummary {
    /// Its records.
    pub records: u64,
    /// Jumps of the tick by more than one between its states.
    pub tick_gaps: u64,
    /// Records that were there before: by `seq`, or by tick where there is none.
    pub duplicates: u64,
    /// What its numbers say, where it is numbered.
    pub sequence: Option<SequenceReport>,
}

#[derive(Default)]
pub(super) struct Follow {
    pub(super) runs: Vec<Run>,
    by_id: HashMap<String, usize>,
    /// The run to which lines without a run id belong now.
    unnamed: Option<usize>,
    unnamed_count: u64,
    streams: usize,
    pub(super) tick_gaps: u64,
    pub(super) listed: Vec<TickGap>,
    pub(super) unfollowed: u64,
}

pub(super) struct Run {
    pub(super) name: String,
    pub(super) named: bool,
    records: u64,
    streams: BTreeMap<String, Stream>,
    variant: Option<String>,
    pub(super) trace: RunTrace,
}

#[derive(Default)]
struct Stream {
    records: u64,
    first_tick: Option<u64>,
    last_tick: Option<u64>,
    tick_gaps: u64,
    tick_duplicates: u64,
    tracker: Option<SequenceTracker>,
}

impl Follow {
    /// Takes in one record; gives the `runtime_variant` that is in force in its
    /// run after it, none where the run is not followed or names none.
    pub(super) fn record(
        &mut self,
        head: &LineHead<'_>,
        class: Class,
        compared: Compared,
        trace_limit: usize,
    ) -> Option<&str> {
        let stream = match (&head.stream, class.cadence) {
            (Some(stream), _) => stream.as_ref(),
            // Snapshots and diffs are renderings of one sequence of states.
            (None, Cadence::State) => "state",
            (None, _) => class.name,
        };
        let Some(at) = self.run(head, class, stream) else {
            self.unfollowed += 1;
            return None;
        };
        let run = &mut self.runs[at];
        if !run.streams.contains_key(stream) {
            if self.streams == STREAMS_FOLLOWED {
                self.unfollowed += 1;
                return None;
            }
            self.streams += 1;
            run.streams.insert(stream.to_owned(), Stream::default());
        }
        let state = run.streams.get_mut(stream)?;
        run.records += 1;
        state.records += 1;
        let numbered = head.seq.and_then(NonZeroU64::new);
        if let Some(seq) = numbered {
            let tracker = state.tracker.get_or_insert_with(|| SequenceTracker::new(GAPS_PER_STREAM));
            match head.rendering {
                Some(rendering) => tracker.observe_keyframe(seq, rendering, head.tick),
                None => tracker.observe(seq, head.tick),
            };
        }
        if let Some(variant) = &compared.runtime_variant {
            run.variant.clone_from(variant);
        }
        if let Some(tick) = head.tick.filter(|_| class.cadence != Cadence::Other) {
            if let Some(after) = state.tick(tick, numbered.is_none()) {
                self.tick_gaps += 1;
                if self.listed.len() < TICK_GAPS_LISTED {
                    let (run, stream) = (run.name.clone(), stream.to_owned());
                    self.listed.push(TickGap { run, stream, after, before: tick });
                }
            }
            run.trace.record(tick, compared, trace_limit);
        }
        run.variant.as_deref()
    }

    /// The run to which this line belongs.
    fn run(&mut self, head: &LineHead<'_>, class: Class, stream: &str) -> Option<usize> {
        if let Some(run_id) = head.run_id.as_deref() {
            if let Some(at) = self.by_id.get(run_id) {
                return Some(*at);
            }
            let at = self.open(run_id.to_owned(), true)?;
            self.by_id.insert(run_id.to_owned(), at);
            return Some(at);
        }
        // Without run ids, a tick that goes backwards tells a new run.
        let went_back = |run: &Run| match (head.tick, run.streams.get(stream).and_then(|stream| stream.last_tick)) {
            (Some(tick), Some(last)) => class.cadence != Cadence::Other && tick < last,
            _ => false,
        };
        match self.unnamed {
            Some(at) if !went_back(&self.runs[at]) => Some(at),
            _ => {
                self.unnamed_count += 1;
                let at = self.open(format!("#{}", self.unnamed_count), false)?;
                self.unnamed = Some(at);
                Some(at)
            }
        }
    }

    fn open(&mut self, name: String, named: bool) -> Option<usize> {
        if self.runs.len() == STREAMS_FOLLOWED {
            return None;
        }
        let (streams, trace) = (BTreeMap::new(), RunTrace::default());
        self.runs.push(Run { name, named, records: 0, streams, variant: None, trace });
        Some(self.runs.len() - 1)
    }
}

impl Run {
    pub(super) fn summary(&self) -> RunSummary {
        let streams = self.streams.values();
        RunSummary {
            run: self.name.clone(),
            records: self.records,
            first_tick: streams.clone().filter_map(|stream| stream.first_tick).min(),
            last_tick: streams.filter_map(|stream| stream.last_tick).max(),
            streams: self.streams.iter().map(|(name, stream)| (name.clone(), stream.summary())).collect(),
        }
    }
}

impl Stream {
    /// Takes in a state's tick; gives the tick before it where it jumped.
    fn tick(&mut self, tick: u64, tick_identifies: bool) -> Option<u64> {
        let last = self.last_tick;
        self.first_tick = Some(self.first_tick.map_or(tick, |first| first.min(tick)));
        self.last_tick = Some(last.map_or(tick, |last| last.max(tick)));
        let last = last?;
        if tick == last && tick_identifies {
            self.tick_duplicates += 1;
        }
        if tick.saturating_sub(last) > 1 {
            self.tick_gaps += 1;
            return Some(last);
        }
        None
    }

    fn summary(&self) -> StreamSummary {
        let sequence = self.tracker.as_ref().map(SequenceTracker::report);
        let by_seq = sequence.as_ref().map_or(0, |sequence| sequence.counts.duplicates);
        StreamSummary {
            records: self.records,
            tick_gaps: self.tick_gaps,
            duplicates: by_seq + self.tick_duplicates,
            sequence,
        }
    }
}
