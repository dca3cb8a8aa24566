//! JSON Schemas against types, files and lines.

use serde_json::Value;
use townlet_schema::{
    Kind, LineExtra, ObservationEnvelope, SchemaVersion, TransportStatus, bundled_schema, json_schemas,
};

use crate::samples::{file, line, lines, one_of_each, path, state_diff};

fn validator(text: &str) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(text).expect("JSON");
    assert!(jsonschema::meta::is_valid(&schema), "not a JSON Schema");
    jsonschema::validator_for(&schema).expect("a schema that compiles")
}

fn value(line: &[u8]) -> Value {
    serde_json::from_slice(line).expect("JSON")
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let dir = path("schemas").join(SchemaVersion::CURRENT.to_string());
    let bless = std::env::var_os("TOWNLET_BLESS").is_some_and(|value| value == "1");
    for (name, text) in json_schemas() {
        let path = dir.join(&name);
        if bless {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{name} differs from the types: review, then run with TOWNLET_BLESS=1");
    }
    let files = std::fs::read_dir(dir).unwrap().count();
    assert_eq!(files, json_schemas().len(), "a schema that belongs to no type");
}

#[test]
fn the_bundled_schemas_are_the_committed_ones_by_kind_and_minor() {
    for kind in Kind::ALL {
        let text = bundled_schema(*kind, SchemaVersion::CURRENT).expect("one for each kind");
        let generated = json_schemas().into_iter().find(|(name, _)| *name == format!("{kind}.schema.json")).unwrap();
        assert_eq!(text, generated.1);
        assert_eq!(bundled_schema(*kind, SchemaVersion::new(1, 1, 9)), Some(text));
        let before = bundled_schema(*kind, SchemaVersion::new(1, 0, 0)).expect("1.0 as well");
        assert!(before.contains("urn:townlet:schema:1.0.0:"));
        for version in [SchemaVersion::new(1, 2, 0), SchemaVersion::new(0, 90, 1), SchemaVersion::new(2, 0, 0)] {
            assert_eq!(bundled_schema(*kind, version), None, "{kind} {version}");
        }
        let old = bundled_schema(*kind, SchemaVersion::new(0, 9, 7));
        assert_eq!(old.is_some(), matches!(kind, Kind::Snapshot | Kind::Diff));
    }
}

#[test]
fn every_line_that_we_write_passes_the_schema_of_its_kind_and_no_other() {
    for (kind, line) in one_of_each() {
        for other in Kind::ALL {
            let validator = validator(bundled_schema(*other, SchemaVersion::CURRENT).unwrap());
            let errors: Vec<_> = validator.iter_errors(&value(&line)).map(|error| error.to_string()).collect();
            assert_eq!(errors.is_empty(), kind == *other, "{kind} against {other}: {errors:?}");
        }
    }
}

#[test]
fn the_schemas_refuse_wrong_types_deep_inside_snapshots_and_diffs() {
    let spoil = |kind: Kind, from: &str, to: &str| {
        let line = one_of_each().into_iter().find(|(k, _)| *k == kind).unwrap().1;
        let line = String::from_utf8(line).unwrap();
        assert!(line.contains(from), "{from} is not in {line}");
        let validator = validator(bundled_schema(kind, SchemaVersion::CURRENT).unwrap());
        assert!(!validator.is_valid(&value(line.replacen(from, to, 1).as_bytes())), "{kind}: {to} was taken");
    };
    spoil(Kind::Snapshot, r#""wallet":2.5"#, r#""wallet":"much""#);
    spoil(Kind::Snapshot, r#""tick":42"#, r#""tick":-1"#);
    spoil(Kind::Snapshot, r#""status":"updated""#, r#""status":"conflict""#);
    spoil(Kind::Snapshot, r#""schema_version":"1.1.0""#, r#""schema_version":"1.0""#);
    spoil(Kind::Diff, r#""power":false"#, r#""power":0"#);
    spoil(Kind::Diff, r#""base_seq":6,"#, "");
    spoil(Kind::Diff, r#""removed":["promotion"]"#, r#""removed":[1]"#);
    spoil(Kind::Event, r#""event":"door.opened","#, "");
    spoil(Kind::Health, r#""queue_length":3"#, r#""queue_length":-3"#);
}

#[test]
fn observations_and_the_transport_status_pass_their_schemas() {
    let schemas = json_schemas();
    let text = |name: &str| &schemas.iter().find(|(n, _)| n == name).unwrap().1;
    let observation = validator(text("observation.schema.json"));
    let bytes = file("docs/architecture_review/WP_NOTES/WP3/dto_parity/dto_baseline.jsonl");
    for line in lines(&bytes) {
        let errors: Vec<_> = observation.iter_errors(&value(line)["envelope"]).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
    let fresh = serde_json::to_value(ObservationEnvelope::default()).unwrap();
    assert!(observation.is_valid(&fresh));
    let mut status = TransportStatus { last_error_at: Some(1), ..TransportStatus::default() };
    status.sinks.insert("archive".to_owned(), TransportStatus::default());
    assert!(validator(text("transport_status.schema.json")).is_valid(&serde_json::to_value(status).unwrap()));
}

#[test]
fn a_diff_has_changed_sections_or_a_patch_and_not_both() {
    let validator = validator(bundled_schema(Kind::Diff, SchemaVersion::CURRENT).unwrap());
    let based = LineExtra { base_seq: Some(6), ..LineExtra::default() };
    let text = String::from_utf8(line(&state_diff(), based)).unwrap();
    assert!(validator.is_valid(&value(text.as_bytes())));
    for (from, to) in [
        (r#""patch":{"#, r#""changes":{},"patch":{"#),
        (r#""patch":{"#, r#""neither":{"#),
        (r#""quality":0.75"#, r#""quality":"good""#),
        (r#""base_seq":6,"#, ""),
    ] {
        assert!(text.contains(from));
        assert!(!validator.is_valid(&value(text.replace(from, to).as_bytes())), "{to}");
    }
}
