//! Inspection of real and of broken files.

use std::path::PathBuf;

use townlet_collector::inspect::{InspectOptions, InspectReport, inspect};
use townlet_schema::{Json, Kind, LineExtra, LinePrefix, SchemaVersion, Snapshot, encode_into};
use townlet_state::{Cadence, State, StateEncoder};

use crate::support::*;

pub(crate) fn phase3() -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../samples/predecessor/telemetry_stream_0.9.0.jsonl");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) const OBSERVATIONS: &[u8] = include_bytes!("../data/dto_baseline.jsonl");

pub(crate) fn look(bytes: &[u8]) -> InspectReport {
    inspect(bytes, &InspectOptions::default()).unwrap()
}

/// The keys that scripts and gates read.
fn counts(report: &InspectReport) -> serde_json::Value {
    let all = serde_json::to_value(report).unwrap();
    let keys =
        ["records", "by_kind", "schema_versions", "runs", "tick_gaps", "duplicates", "noise_lines", "invalid", "bytes"];
    keys.iter().map(|key| ((*key).to_owned(), all[*key].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn the_real_stream_of_the_predecessor_is_whole() {
    let bytes = phase3();
    let report = look(&bytes);
    assert_eq!(
        counts(&report),
        serde_json::json!({
            "records": 120, "by_kind": {"snapshot": 120}, "schema_versions": {"0.9.0": 120}, "runs": 1,
            "tick_gaps": 0, "duplicates": 0, "noise_lines": 0, "invalid": 0, "bytes": 1_144_863
        }),
        "{report}"
    );
    assert_eq!((report.run_list[0].first_tick, report.run_list[0].last_tick), (Some(1), Some(120)));
    let mut sizes: Vec<u64> = bytes.split_inclusive(|b| *b == b'\n').map(|line| line.len() as u64).collect();
    sizes.sort_unstable();
    assert_eq!((report.record_bytes.min, report.record_bytes.max), (sizes[0], sizes[119]));
    assert!((sizes[59]..sizes[59] * 1008 / 1000 + 1).contains(&report.record_bytes.median));
    assert!(report.is_clean());
}

#[test]
fn runs_appended_to_one_file_are_told_apart_by_their_ticks() {
    let stream = phase3();
    let all: Vec<&[u8]> = stream.split_inclusive(|b| *b == b'\n').collect();
    // As the predecessor's phase 0 capture: ticks 1-10, 1-10, 1-11.
    let appended = [all[..10].concat(), all[..10].concat(), all[..11].concat()].concat();
    let report = look(&appended);
    assert_eq!((report.records, report.runs, report.tick_gaps, report.duplicates), (31, 3, 0, 0));
    let names: Vec<_> = report.run_list.iter().map(|run| (run.run.as_str(), run.last_tick)).collect();
    assert_eq!(names, [("#1", Some(10)), ("#2", Some(10)), ("#3", Some(11))]);
}

#[test]
fn w15_w23_records_between_log_lines_are_found_and_their_gaps_too() {
    // As the predecessor's stdout transport wrote them (W15): log lines, dropped
    // ticks, a failure without a version (W23), a crash in the middle of a line.
    let mixed = mixed_capture();
    let report = look(&mixed);
    insta::assert_json_snapshot!("mixed_capture", report);
    insta::assert_snapshot!("mixed_capture_text", report.to_string());
}

fn mixed_capture() -> Vec<u8> {
    let diff = |tick: u64| {
        format!(
            "{{\"schema_version\":\"0.9.7\",\"tick\":{tick},\"payload_type\":\"diff\",\"changes\":{{\"queue_metrics\":{{\"cooldown_events\":{tick},\"ghost_step_events\":0,\"rotation_events\":0}}}}}}\n"
        )
    };
    let mut out = b"\xef\xbb\xbf{\"schema_version\":\"0.9.7\",\"tick\":1,\"payload_type\":\"snapshot\",\"runtime_variant\":\"facade\",\"queue_metrics\":{\"cooldown_events\":0,\"ghost_step_events\":0,\"rotation_events\":0}}\r\n".to_vec();
    out.extend_from_slice(diff(2).as_bytes());
    out.extend_from_slice(b"WARNING Telemetry buffer exceeded 256000 bytes; dropped 1 payloads\n\n");
    out.extend_from_slice(diff(4).as_bytes());
    out.extend_from_slice(b"tick_health tick=4 duration_ms=1.20 queue=0 dropped=1\n");
    out.extend_from_slice(b"{\"level\":\"info\",\"msg\":\"a structured log line of somebody else\"}\n");
    out.extend_from_slice(diff(4).as_bytes());
    out.extend_from_slice(b"INFO flushing... ");
    out.extend_from_slice(diff(5).as_bytes());
    out.extend_from_slice(diff(9).as_bytes());
    out.extend_from_slice(
        b"{\"tick\":9,\"status\":\"error\",\"duration_ms\":1.5,\"failure_count\":1,\"error\":\"ValueError: no\"}\n",
    );
    out.extend_from_slice(
        b"{\"schema_version\":\"0.9.7\",\"tick\":\"ten\",\"payload_type\":\"diff\",\"changes\":{}}\n",
    );
    out.extend_from_slice(b"{\"schema_version\":\"7.0.0\",\"tick\":10,\"payload_type\":\"snapshot\"}\n");
    out.extend_from_slice(b"\xff\xfe binary\n");
    out.extend_from_slice(b"ab\0cd\n");
    out.extend_from_slice(b"Traceback (most recent call last):\n  File \"loop.py\", line 3, in step\n");
    out.extend_from_slice(b"{\"schema_version\":\"0.9.7\",\"tick\":11,\"payl");
    out
}

#[test]
fn numbered_streams_are_checked_by_number() {
    let bytes = [lines("town", [1, 2, 2, 5, 4]), lines("town.events", 1..=3), line_of(&run_id(2), "town", 1)].concat();
    let report = look(&bytes);
    assert_eq!((report.records, report.runs, report.restarts), (9, 2, 1));
    assert_eq!((report.duplicates, report.missing, report.out_of_order), (1, 1, 1));
    assert_eq!(report.tick_gaps, 0, "events do not come every tick");
    let town = &report.run_list[0].streams["town"];
    assert_eq!(town.sequence.as_ref().unwrap().gaps.len(), 1);
    assert_eq!(report.schema_versions.get("1.1.0"), Some(&9));
}

#[test]
fn a_store_can_be_inspected_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let collector = townlet_collector::Collector::bind(plain(dir.path())).unwrap();
    send_plain(&collector, &phase3());
    stop(collector);
    let kept = stored_of(dir.path(), "@no-run-id", "@no-stream");
    assert!(kept == phase3(), "byte for byte");
    assert_eq!(look(&kept).records, 120);
}

#[test]
fn observations_are_a_kind_of_their_own() {
    let report = look(OBSERVATIONS);
    assert_eq!(report.by_kind.get("observation"), Some(&10));
    assert_eq!(report.dto_schema_versions.get("0.2.0"), Some(&10));
    assert_eq!((report.runs, report.tick_gaps), (1, 0));
}

#[test]
fn a_hand_made_single_snapshot_is_read_or_refused_with_the_field() {
    let report = look(include_bytes!("../data/telemetry_sample.jsonl"));
    assert_eq!(report.records + report.invalid, 1, "{report}");
    assert_eq!(report.noise_lines, 0);
}

#[test]
fn a_line_without_end_is_measured_and_not_held() {
    struct Endless(u64);
    impl std::io::Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let n = out.len().min(usize::try_from(self.0).unwrap());
            out[..n].fill(b'x');
            self.0 -= n as u64;
            Ok(n)
        }
    }
    let options = InspectOptions { max_line_bytes: 4096, ..InspectOptions::default() };
    let report = inspect(Endless(200 << 20), &options).unwrap();
    assert_eq!((report.lines, report.invalid, report.noise_lines, report.bytes), (1, 1, 0, 200 << 20));
    assert!(report.invalid_lines[0].reason.contains("209715200 bytes"), "{report}");
}

#[test]
fn an_empty_file_is_an_empty_report() {
    let report = look(b"");
    assert_eq!((report.records, report.lines, report.runs, report.bytes), (0, 0, 0, 0));
    assert!(!report.unterminated && report.is_clean());
}

#[test]
fn an_error_of_the_source_is_an_error() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    assert!(inspect(Broken, &InspectOptions::default()).is_err());
}

mod any_bytes {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_the_bytes_every_line_is_counted_once(
            pieces in prop::collection::vec(prop_oneof![
                Just(b"\n".to_vec()),
                Just(b"{\"schema_version\":\"0.9.0\",\"tick\":1}".to_vec()),
                Just(b"{\"tick\":".to_vec()),
                Just(b"log text".to_vec()),
                prop::collection::vec(any::<u8>(), 0..40),
            ], 0..60)
        ) {
            let bytes = pieces.concat();
            let report = super::look(&bytes);
            let lines = bytes.split_inclusive(|byte| *byte == b'\n').count() as u64;
            prop_assert_eq!(report.lines, lines);
            prop_assert_eq!(report.bytes, bytes.len() as u64);
            prop_assert_eq!(report.records + report.noise_lines + report.invalid + report.blank_lines, lines);
        }
    }
}

/// Forty ticks of a town, a line each: with diffs, or each state whole.
pub(crate) fn town_of(diffs: bool, rotations: impl Fn(u64) -> u64) -> Vec<Vec<u8>> {
    let run = run_id(3);
    let prefix = |kind| LinePrefix::new(SchemaVersion::CURRENT, kind, &run, "town");
    let (whole, diff) = (prefix(Kind::Snapshot), prefix(Kind::Diff));
    let mut encoder = StateEncoder::new(Cadence::default());
    let mut line_of = |tick: u64| {
        let mut town = Snapshot::default();
        town.queue_metrics.rotation_events = rotations(tick);
        town.economy_settings = (0..20).map(|n| (format!("price_{n}"), tick as f64)).collect();
        let (mut body, mut line) = (Vec::new(), Vec::new());
        if !diffs {
            encode_into(&town, &mut body).unwrap();
            whole.write_line(tick, tick, LineExtra::default(), &body, &mut line);
            return line;
        }
        let sections = Json::from_serialize(&town).unwrap().as_object().unwrap().clone();
        let rendered = encoder.render(&State::new(tick, tick, sections), &mut body);
        let prefix = if rendered.is_keyframe() { &whole } else { &diff };
        prefix.write_line(tick, tick, rendered.extra(), &body, &mut line);
        line
    };
    (1..=40).map(&mut line_of).collect()
}

#[test]
fn diffs_are_followed_and_a_lost_one_is_a_gap_until_the_next_whole_state() {
    let lines = town_of(true, |tick| tick / 10);
    let report = look(&lines.concat());
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.by_kind["snapshot"], report.by_kind["diff"]), (1, 39));
    assert_eq!(report.run_list[0].streams["town"].sequence.as_ref().unwrap().counts.distinct, 40);
    let mut torn = lines;
    torn.remove(20);
    let report = look(&torn.concat());
    assert_eq!((report.state_gaps, report.missing, report.tick_gaps), (19, 1, 1));
    assert!(!report.is_clean());
    assert!(report.to_string().contains("state gaps       19 diffs of a state that is not there"), "{report}");
}
