//! Acknowledgements: cumulative, after the store has the lines, only where asked.

use townlet_collector::store::{Settle, StoreOptions};
use townlet_collector::{Collector, CollectorOptions};

use crate::support::*;

#[test]
fn acks_count_all_whole_lines_of_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let mut client = secure.connect(collector.local_addr(), true);
    client.send(&lines("town", 1..=10));
    client.acks_until(10);
    // A begun line is no line; its rest makes it one.
    let next = line("town", 11);
    client.send(&next[..20]);
    client.send(&next[20..]);
    assert_eq!(client.acks_until(11), [11]);
    client.send(&lines("town.health", 1..=500));
    let acks = client.acks_until(511);
    assert!(acks.is_sorted_by(|a, b| a < b), "{acks:?}");
    client.close();
    let report = stop(collector);
    assert!(report.connections[0].acks);
    assert_eq!(report.connections[0].acknowledged, 511);
}

#[test]
fn an_acknowledged_line_is_in_the_file_already() {
    for settle in [Settle::Written, Settle::Synced] {
        let dir = tempfile::tempdir().unwrap();
        let secure = Secure::new();
        let store = StoreOptions { settle, ..StoreOptions::new(dir.path()) };
        let collector = Collector::bind(secure.options(dir.path()).with_store(store)).unwrap();
        let mut client = secure.connect(collector.local_addr(), true);
        for seq in 1..=20 {
            client.send(&line("town", seq));
            client.acks_until(seq);
            assert_eq!(stored(dir.path(), "town"), lines("town", 1..=seq), "{settle:?}");
        }
        client.close();
        stop(collector);
    }
}

#[test]
fn a_line_settled_on_receipt_reaches_the_file_when_the_connection_pauses() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let store = StoreOptions { settle: Settle::Received, ..StoreOptions::new(dir.path()) };
    let collector = Collector::bind(secure.options(dir.path()).with_store(store)).unwrap();
    let mut client = secure.connect(collector.local_addr(), true);
    client.send(&lines("town", 1..=3));
    client.acks_until(3);
    wait_for(&collector, "the lines in the file", |report| report.totals.unwritten == 0);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=3));
    client.close();
    stop(collector);
}

#[test]
fn what_is_sent_again_after_a_reconnect_is_acknowledged_and_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let mut first = secure.connect(collector.local_addr(), true);
    first.send(&lines("town", 1..=50));
    first.acks_until(50);
    drop(first);
    let mut second = secure.connect(collector.local_addr(), true);
    second.send(&lines("town", 30..=60));
    second.acks_until(31);
    second.close();
    let report = stop(collector);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=60));
    assert_eq!((report.totals.lines, report.totals.stored, report.totals.duplicates), (81, 60, 21));
}

#[test]
fn w8_a_line_torn_by_a_broken_connection_and_sent_again_is_stored_once_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let mut first = secure.connect(collector.local_addr(), true);
    first.send(&lines("town", 1..=4));
    first.acks_until(4);
    let torn = line("town", 5);
    first.send(&torn[..torn.len() - 7]);
    wait_for(&collector, "nothing but the whole lines", |report| report.totals.lines == 4);
    drop(first);
    let mut second = secure.connect(collector.local_addr(), true);
    // The sender cannot know how far it got: it repeats what was not acknowledged, and one more.
    second.send(&lines("town", 4..=6));
    second.acks_until(3);
    second.close();
    let report = stop(collector);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=6));
    assert_eq!((report.totals.duplicates, report.partial_lines), (1, 1));
}

#[test]
fn duplicates_are_known_again_after_the_collector_was_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let mut client = secure.connect(collector.local_addr(), true);
    client.send(&lines("town", (1..=50).filter(|seq| *seq != 20)));
    client.acks_until(49);
    client.close();
    stop(collector);

    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let mut client = secure.connect(collector.local_addr(), true);
    client.send(&lines("town", 15..=55));
    client.acks_until(41);
    client.close();
    let report = stop(collector);
    let stream = &report.streams[0];
    assert_eq!((stream.recovered, stream.stored, stream.duplicates), (49, 6, 35));
    assert_eq!(stream.sequence.missing, 0, "20 came late and was new");
    let expected: Vec<u8> =
        [lines("town", (1..=50).filter(|seq| *seq != 20)), line("town", 20), lines("town", 51..=55)].concat();
    assert_eq!(stored(dir.path(), "town"), expected);
}

#[test]
fn lines_of_a_kind_from_the_future_are_known_again_after_the_collector_was_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let run = run_id(1);
    let dreams = |seqs: std::ops::RangeInclusive<u64>| -> Vec<u8> {
        let dream = |seq| {
            format!(
                "{{\"schema_version\":\"1.7.0\",\"payload_type\":\"dream\",\"run_id\":\"{run}\",\"stream\":\"town\",\"seq\":{seq},\"tick\":1}}\n"
            )
        };
        seqs.map(dream).collect::<String>().into_bytes()
    };
    for (sent, stored_now, duplicates) in [(1..=5, 5, 0), (3..=8, 3, 3)] {
        let collector = Collector::bind(secure.options(dir.path())).unwrap();
        let mut client = secure.connect(collector.local_addr(), true);
        client.send(&dreams(sent.clone()));
        client.acks_until(sent.count() as u64);
        client.close();
        let report = stop(collector);
        assert_eq!((report.totals.stored, report.totals.duplicates), (stored_now, duplicates));
    }
    assert_eq!(stored(dir.path(), "town"), dreams(1..=8));
}

#[test]
fn a_client_that_did_not_ask_gets_no_acks() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let mut client = secure.connect(collector.local_addr(), false);
    client.send(&lines("town", 1..=5));
    client.close();
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.connections[0].acknowledged), (5, 0));
}

#[test]
fn a_refused_line_is_acknowledged_so_that_it_is_not_sent_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let options = CollectorOptions { keep_rejected_bytes: 10_000, ..secure.options(dir.path()) };
    let collector = Collector::bind(options).unwrap();
    let mut client = secure.connect(collector.local_addr(), true);
    client.send(&[line("town", 1), b"not json\n".to_vec(), line("town", 2)].concat());
    client.acks_until(3);
    client.close();
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.invalid, report.rejected_kept), (2, 1, 1));
    assert_eq!(report.connections[0].invalid_lines[0].line, 2);
    let rejected = std::fs::read_to_string(dir.path().join("@rejected.jsonl")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(rejected.trim_end()).unwrap();
    assert_eq!((kept["line"].as_u64(), kept["text"].as_str()), (Some(2), Some("not json")));
}

#[test]
fn a_keyframe_is_no_duplicate_of_the_line_whose_state_it_repeats() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    let run = run_id(1);
    let keyframe = |rendering: u64| {
        format!("{{\"schema_version\":\"1.0.0\",\"payload_type\":\"snapshot\",\"run_id\":\"{run}\",\"stream\":\"town\",\"seq\":2,\"tick\":4,\"rendering\":{rendering}}}\n").into_bytes()
    };
    let mut client = secure.connect(collector.local_addr(), true);
    client.send(&[lines("town", 1..=2), keyframe(0), keyframe(1), keyframe(0), line("town", 3)].concat());
    client.acks_until(6);
    client.close();
    let report = stop(collector);
    assert_eq!(stored(dir.path(), "town"), [lines("town", 1..=2), keyframe(0), keyframe(1), line("town", 3)].concat());
    let counts = report.streams[0].sequence.counts;
    assert_eq!((counts.keyframes, counts.duplicates, counts.distinct), (2, 1, 3));
}
