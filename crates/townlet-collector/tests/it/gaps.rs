//! The gap report is exact.

use proptest::prelude::*;
use townlet_collector::Collector;
use townlet_collector::sequence::SeqRange;

use crate::support::*;

fn ranges(missing: impl IntoIterator<Item = u64>) -> Vec<SeqRange> {
    let mut out: Vec<SeqRange> = Vec::new();
    for seq in missing {
        match out.last_mut() {
            Some(range) if range.last + 1 == seq => range.last = seq,
            _ => out.push(SeqRange { first: seq, last: seq }),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn w6_dropped_lines_are_reported_as_the_gaps_they_are(kept in prop::collection::vec(any::<bool>(), 1..300)) {
        let dir = tempfile::tempdir().unwrap();
        let collector = Collector::bind(plain(dir.path())).unwrap();
        let seqs: Vec<u64> = (1..).zip(&kept).filter(|(_, kept)| **kept).map(|(seq, _)| seq).collect();
        send_plain(&collector, &lines("town", seqs.iter().copied()));
        let report = stop(collector);
        let last = seqs.last().copied().unwrap_or(0);
        let missing: Vec<u64> = (1..=last).filter(|seq| !seqs.contains(seq)).collect();
        prop_assert_eq!(report.missing, missing.len() as u64);
        let gaps = report.streams.first().map(|stream| stream.sequence.gaps.clone()).unwrap_or_default();
        prop_assert_eq!(gaps, ranges(missing));
    }
}

#[test]
fn lines_that_come_late_close_their_gap() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    send_plain(&collector, &lines("town", [1, 2, 6, 7, 4, 9]));
    let report = stop(collector);
    let sequence = &report.streams[0].sequence;
    assert_eq!(sequence.gaps, ranges([3, 5, 8]));
    assert_eq!((sequence.counts.out_of_order, sequence.counts.first, sequence.last), (1, 1, 9));
}

#[test]
fn streams_and_runs_are_counted_apart() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    let second_run: Vec<u8> = [1, 3].into_iter().flat_map(|seq| line_of(&run_id(2), "town", seq)).collect();
    send_plain(&collector, &[lines("town", [1, 2]), lines("town.events", [2]), second_run].concat());
    let report = stop(collector);
    let gaps: Vec<_> = report.streams.iter().map(|s| (s.stream.as_deref(), s.sequence.gaps.clone())).collect();
    assert_eq!(
        gaps,
        [(Some("town"), vec![]), (Some("town.events"), ranges([1])), (Some("town"), ranges([2]))],
        "by run and name"
    );
    assert_eq!(report.restarts, 1);
}
