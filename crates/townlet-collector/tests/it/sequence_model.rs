//! The tracker against a set.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use proptest::prelude::*;
use townlet_collector::sequence::{Arrival, SequenceTracker};

/// The obvious implementation.
#[derive(Default)]
struct Model {
    seen: BTreeSet<u64>,
    duplicates: u64,
    out_of_order: u64,
}

impl Model {
    fn observe(&mut self, seq: u64) -> Arrival {
        let highest = self.seen.last().copied().unwrap_or(0);
        if !self.seen.insert(seq) {
            self.duplicates += 1;
            return Arrival::Duplicate;
        }
        if seq > highest {
            return Arrival::Next;
        }
        self.out_of_order += 1;
        Arrival::Filled
    }

    fn has_up_to(&self, from: u64) -> Option<u64> {
        (from..).take_while(|seq| *seq > 0 && self.seen.contains(seq)).last()
    }

    fn missing(&self) -> Vec<u64> {
        let highest = self.seen.last().copied().unwrap_or(0);
        (1..=highest).filter(|seq| !self.seen.contains(seq)).collect()
    }
}

fn number(seq: u64) -> NonZeroU64 {
    NonZeroU64::new(seq).unwrap()
}

fn arrivals() -> impl Strategy<Value = Vec<u64>> {
    // Mostly forward with jumps, sometimes back: what a network with retries does.
    prop::collection::vec((any::<prop::sample::Index>(), 0u8..10), 1..300).prop_map(|steps| {
        let mut next = 1;
        let mut out = Vec::new();
        for (index, what) in steps {
            let seq = match what {
                0 => 1 + index.index(next as usize) as u64,
                1 => next + index.index(6) as u64,
                _ => next,
            };
            next = next.max(seq + 1);
            out.push(seq);
        }
        out
    })
}

proptest! {
    #[test]
    fn with_room_for_all_gaps_the_tracker_is_the_set(arrivals in arrivals()) {
        let mut tracker = SequenceTracker::new(1000);
        let mut model = Model::default();
        for seq in arrivals {
            prop_assert_eq!(tracker.observe(number(seq), None), model.observe(seq));
            let report = tracker.report();
            let listed: Vec<u64> = report.gaps.iter().flat_map(|gap| gap.first..=gap.last).collect();
            prop_assert_eq!(&listed, &model.missing());
            prop_assert!(report.gaps.windows(2).all(|pair| pair[0].last + 1 < pair[1].first), "ranges touch");
            prop_assert_eq!(report.missing, listed.len() as u64);
        }
        for from in (0..=tracker.last() + 1).step_by(7) {
            prop_assert_eq!(tracker.has_up_to(from), model.has_up_to(from));
        }
        let counts = tracker.counts();
        prop_assert_eq!(counts.distinct, model.seen.len() as u64);
        prop_assert_eq!((counts.duplicates, counts.out_of_order), (model.duplicates, model.out_of_order));
        prop_assert_eq!((counts.uncertain, counts.gaps_forgotten), (0, 0));
    }

    #[test]
    fn without_room_a_new_line_is_never_taken_for_a_duplicate(arrivals in arrivals(), room in 1usize..4) {
        let mut tracker = SequenceTracker::new(room);
        let mut model = Model::default();
        for seq in arrivals {
            let expected = model.observe(seq);
            let arrival = tracker.observe(number(seq), None);
            if arrival != Arrival::Uncertain {
                prop_assert_eq!(arrival, expected);
            }
            prop_assert!(tracker.report().gaps.len() <= room);
            prop_assert!(tracker.missing() >= model.missing().len() as u64, "an upper bound");
        }
        for from in (0..=tracker.last() + 1).step_by(7) {
            let claimed = tracker.has_up_to(from);
            prop_assert!(claimed.is_none() || claimed == model.has_up_to(from), "nothing is claimed that is not here");
        }
    }
}

#[test]
fn ticks_that_go_backwards_are_counted_in_order_only() {
    let mut tracker = SequenceTracker::new(10);
    for (seq, tick) in [(1, 10), (2, 11), (4, 13), (3, 12), (5, 9), (6, 9)] {
        tracker.observe(number(seq), Some(tick));
    }
    assert_eq!(tracker.counts().tick_backwards, 1);
}

#[test]
fn the_largest_numbers_do_no_harm() {
    let mut tracker = SequenceTracker::new(2);
    assert_eq!(tracker.observe(number(u64::MAX), None), Arrival::Next);
    assert_eq!(tracker.missing(), u64::MAX - 1);
    assert_eq!(tracker.observe(number(u64::MAX), None), Arrival::Duplicate);
    assert_eq!(tracker.observe(number(1), None), Arrival::Filled);
    assert_eq!(tracker.observe(number(u64::MAX - 1), None), Arrival::Filled);
    assert_eq!(tracker.missing(), u64::MAX - 3);
}

#[test]
fn a_whole_state_is_the_arrival_of_its_number_where_that_is_new_and_else_only_a_keyframe() {
    let mut tracker = SequenceTracker::new(4);
    let seq = |n| NonZeroU64::new(n).unwrap();
    assert_eq!(tracker.observe_keyframe(seq(1), 0, Some(1)), Arrival::Next);
    assert_eq!(tracker.observe(seq(2), Some(2)), Arrival::Next);
    assert_eq!(tracker.observe_keyframe(seq(4), 0, Some(4)), Arrival::Next, "after a loss");
    assert_eq!(tracker.observe_keyframe(seq(4), 0, Some(4)), Arrival::Duplicate);
    assert_eq!(tracker.observe_keyframe(seq(4), 1, Some(4)), Arrival::Next, "another rendering is kept");
    assert_eq!(tracker.observe_keyframe(seq(3), 0, Some(3)), Arrival::Filled);
    let counts = tracker.counts();
    assert_eq!((counts.distinct, counts.duplicates, counts.keyframes, tracker.missing()), (4, 1, 4, 0));
}
