//! What each schema version looks like, kept as files by version.
//!
//! A folder of a released version is frozen: when one of its files would
//! change, that is a new version.

use townlet_schema::legacy::LegacySnapshot;
use townlet_schema::{Event, Json, LineExtra, PolicyMetadata, Record, TransportStatus, read_record};

use crate::samples::{file, line, lines, one_of_each, snapshot, state_diff, stream};

fn keep(version: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("../snapshots/{version}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Short lines as they are on the wire, long ones laid out (and so sorted).
fn lay_out(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    if text.len() < 1500 { text.trim_end().to_owned() } else { Json::parse(line).unwrap().to_pretty() }
}

#[test]
fn lines_of_1_1_0() {
    for (kind, line) in one_of_each() {
        keep("v1.1.0", kind.as_str(), &lay_out(&line));
    }
    keep("v1.1.0", "policy_metadata", &lay_out(&line(&Event(PolicyMetadata::default()), LineExtra::default())));
    let based = LineExtra { base_seq: Some(6), ..LineExtra::default() };
    keep("v1.1.0", "state_diff", &lay_out(&line(&state_diff(), based)));
    keep("v1.1.0", "transport_status", &Json::from_serialize(&TransportStatus::default()).unwrap().to_pretty());
}

#[test]
fn the_order_of_the_wire_in_1_1_0() {
    let line = String::from_utf8(line(&snapshot(), LineExtra::default())).unwrap();
    keep("v1.1.0", "snapshot_wire", line.trim_end());
}

#[test]
fn records_of_0_9_0() {
    let bytes = stream();
    let Record::LegacySnapshot(last) = read_record(lines(bytes)[119]).unwrap() else { panic!("not a snapshot") };
    keep("v0.9.0", "tick_120", &Json::from_serialize(&*last).unwrap().to_pretty());
    keep("v0.9.0", "tick_120_upgraded", &Json::from_serialize(&last.upgrade().unwrap()).unwrap().to_pretty());
}

#[test]
fn what_a_reader_of_0_9_7_gets() {
    let old = LegacySnapshot::downgrade(&snapshot(), 42).unwrap();
    keep("v0.9.7", "downgraded", &Json::from_serialize(&old).unwrap().to_pretty());
}

#[test]
fn records_of_0_2_0() {
    let bytes = file("docs/samples/telemetry_snapshot_0.2.0.json");
    keep("v0.2.0", "console_snapshot", &format!("{:#?}", read_record(&bytes).unwrap()));
    let bytes = file("docs/architecture_review/WP_NOTES/WP3/dto_sample_tick.json");
    keep("v0.2.0", "observation", &format!("{:#?}", read_record(&bytes).unwrap()));
}
