//! A real stream of the predecessor goes through whole.

use townlet_schema::{ENVELOPE_KEYS, Json, Kind, Number, Object, SchemaVersion};
use townlet_transform::{Chain, Record};

const STREAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/predecessor/telemetry_stream_0.9.0.jsonl");

/// Without what the default redaction takes; the stream's `-0.0` normalised.
fn without_policy(object: Object) -> Object {
    let kept = object.into_iter().filter(|(name, _)| !matches!(name.as_str(), "policy_identity" | "policy_hash"));
    kept.map(|(name, value)| (name, without_policy_in(value))).collect()
}

fn without_policy_in(value: Json) -> Json {
    match value {
        Json::Object(object) => without_policy(object).into(),
        Json::Array(elements) => elements.into_iter().map(without_policy_in).collect::<Vec<_>>().into(),
        Json::Number(number) if !number.is_integer() && number.as_f64() == 0.0 => {
            Json::Number(Number::try_from(0.0).unwrap())
        }
        scalar => scalar,
    }
}

#[test]
fn every_line_of_a_captured_0_9_stream_passes_with_its_version_and_loses_only_the_policy() {
    let stream = std::fs::read_to_string(STREAM).unwrap();
    let mut chain = Chain::standard().unwrap();
    let mut lines = 0;
    for line in stream.lines() {
        let record = Record::from_line(line.as_bytes(), "town").unwrap();
        let redacted = chain.run(record).unwrap_or_else(|dropped| panic!("line {lines}: {dropped}"));
        assert_eq!(redacted.head().schema_version, SchemaVersion::new(0, 9, 0));
        assert_eq!(redacted.kind(), Kind::Snapshot);

        let Json::Object(mut expected) = Json::parse(line.as_bytes()).unwrap() else { panic!("an object") };
        assert_eq!(expected.get("tick").and_then(Json::as_u64), Some(redacted.head().tick));
        expected.retain(|name, _| !ENVELOPE_KEYS.contains(&name));
        assert!(redacted.into_tree().unwrap() == without_policy(expected), "line {lines}");
        lines += 1;
    }
    let stats = chain.stats();
    assert_eq!((lines, stats.passed, stats.dropped_total(), stats.filled_sections), (120, 120, 0, 0));
}
