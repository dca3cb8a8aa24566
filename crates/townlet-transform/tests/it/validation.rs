//! `schema_validator`: every keyword counts (W21), every mode does what it says (W3).

use std::collections::BTreeMap;

use townlet_schema::{Kind, SchemaVersion};
use townlet_transform::{
    Chain, ChainBuilder, CheckError, DropReason, Head, Record, SchemaSource, TransformSpec, Validator, ValidatorMode,
};

use crate::documents::{checked, head, out};

fn sources(kind: Kind, schema: &str) -> BTreeMap<Kind, SchemaSource> {
    BTreeMap::from([(kind, SchemaSource::Text { name: "own".into(), text: schema.into() })])
}

fn validating(kind: Kind, schema: &str, mode: ValidatorMode) -> Chain {
    let spec = TransformSpec::SchemaValidator { schemas: sources(kind, schema), mode };
    ChainBuilder::from_specs([spec]).without_redaction().build().unwrap()
}

/// The keyword and the place that `body` breaks; nothing where it is fine.
fn broken(schema: &str, body: &str) -> Option<(String, String)> {
    let validator = Validator::new(&sources(Kind::Event, schema)).unwrap();
    let result = validator.check(&head(Kind::Event), body.as_bytes());
    // The record's way and the text's way are one.
    assert_eq!(validator.check_record(&mut checked(Kind::Event, body)), result);
    match result {
        Ok(()) => None,
        Err(CheckError::Violation(violation)) => Some((violation.keyword, violation.place)),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn w21_every_keyword_is_enforced() {
    let cases: &[(&str, &str, &str, &str)] = &[
        // schema of member `a`, a value that fits, one that does not, the keyword
        (r#"{"minimum":0}"#, "0", "-1", "minimum"),
        (r#"{"maximum":5}"#, "5", "5.1", "maximum"),
        (r#"{"exclusiveMinimum":0}"#, "0.1", "0", "exclusiveMinimum"),
        (r#"{"exclusiveMaximum":5}"#, "4", "5", "exclusiveMaximum"),
        (r#"{"multipleOf":0.5}"#, "1.5", "1.3", "multipleOf"),
        (r#"{"type":"integer"}"#, "1.0", "1.5", "type"),
        (r#"{"type":"integer"}"#, "18446744073709551615", "true", "type"),
        (r#"{"type":"number"}"#, "-1e3", "\"1\"", "type"),
        (r#"{"type":"null"}"#, "null", "0", "type"),
        (r#"{"type":["string","null"]}"#, "null", "7", "type"),
        (r#"{"type":["string","null"]}"#, "\"x\"", "{}", "type"),
        (r#"{"enum":["ab",1,null]}"#, "1", "\"a\"", "enum"),
        (r#"{"const":{"x":[1]}}"#, r#"{"x":[1.0]}"#, r#"{"x":[2]}"#, "const"),
        (r#"{"minLength":2}"#, "\"\\u00e9\\u00e9\"", "\"\\u00e9\"", "minLength"),
        (r#"{"maxLength":1}"#, "\"\u{1f600}\"", "\"ab\"", "maxLength"),
        (r#"{"pattern":"^[a-f]+$"}"#, "\"\\u0061bc\"", "\"xyz\"", "pattern"),
        (r#"{"pattern":"^(?!bad)"}"#, "\"good\"", "\"bad\"", "pattern"),
        (r#"{"format":"uuid"}"#, "\"01890a5d-ac96-774b-bcce-b302099a8057\"", "\"x\"", "format"),
        (r#"{"format":"date-time"}"#, "\"2025-01-01T00:00:00Z\"", "\"today\"", "format"),
        (r#"{"items":{"type":"string"}}"#, "[\"x\"]", "[\"x\",1]", "type"),
        (r#"{"prefixItems":[{"type":"string"}],"items":false}"#, "[\"x\"]", "[\"x\",1]", "falseSchema"),
        (r#"{"minItems":1}"#, "[0]", "[]", "minItems"),
        (r#"{"maxItems":1}"#, "[0]", "[0,0]", "maxItems"),
        (r#"{"uniqueItems":true}"#, "[1,2]", "[1,1.0]", "uniqueItems"),
        (r#"{"contains":{"type":"null"}}"#, "[1,null]", "[1]", "contains"),
        (
            r#"{"properties":{"x":{"properties":{"y":{"type":"string"}}}}}"#,
            r#"{"x":{"y":""}}"#,
            r#"{"x":{"y":1}}"#,
            "type",
        ),
        (r#"{"required":["x","y"]}"#, r#"{"y":0,"x":null}"#, r#"{"x":0}"#, "required"),
        (
            r#"{"additionalProperties":false,"properties":{"x":true}}"#,
            r#"{"x":0}"#,
            r#"{"x":0,"y":0}"#,
            "additionalProperties",
        ),
        (r#"{"additionalProperties":{"type":"number"}}"#, r#"{"x":0}"#, r#"{"x":""}"#, "type"),
        (r#"{"patternProperties":{"^n_":{"type":"number"}}}"#, r#"{"x":"","n_x":1}"#, r#"{"n_x":""}"#, "type"),
        (r#"{"propertyNames":{"maxLength":2}}"#, r#"{"\u0061b":1}"#, r#"{"abc":1}"#, "propertyNames"),
        (r#"{"minProperties":1}"#, r#"{"x":0}"#, "{}", "minProperties"),
        (r#"{"maxProperties":1}"#, r#"{"x":0}"#, r#"{"x":0,"y":0}"#, "maxProperties"),
        (r#"{"dependentRequired":{"x":["y"]}}"#, r#"{"x":0,"y":0}"#, r#"{"x":0}"#, "required"),
        (r#"{"dependentSchemas":{"x":{"required":["y"]}}}"#, r#"{"x":0,"y":0}"#, r#"{"x":0}"#, "required"),
        (r#"{"allOf":[{"minimum":1},{"maximum":2}]}"#, "2", "3", "maximum"),
        (r#"{"anyOf":[{"minimum":5},{"type":"string"}]}"#, "\"x\"", "3", "anyOf"),
        (r#"{"oneOf":[{"minimum":5},{"maximum":9}]}"#, "3", "7", "oneOf"),
        (r#"{"not":{"type":"null"}}"#, "0", "null", "not"),
        (r#"{"if":{"type":"string"},"then":{"minLength":1},"else":{"minimum":1}}"#, "\"x\"", "0", "minimum"),
        (r##"{"$ref":"#/$defs/positive"}"##, "1", "0", "exclusiveMinimum"),
        (r##"{"$ref":"#tree"}"##, r#"{"v":1,"kids":[{"v":2,"kids":[]}]}"#, r#"{"v":1,"kids":[{"v":"2"}]}"#, "type"),
        (
            r#"{"properties":{"x":true},"unevaluatedProperties":false}"#,
            r#"{"x":0}"#,
            r#"{"y":0}"#,
            "unevaluatedProperties",
        ),
        (r#"{"prefixItems":[true],"unevaluatedItems":false}"#, "[0]", "[0,1]", "unevaluatedItems"),
        ("false", "", "0", "falseSchema"),
    ];
    for (schema, good, bad, keyword) in cases {
        let schema = format!(
            r##"{{"$schema":"https://json-schema.org/draft/2020-12/schema","properties":{{"a":{schema}}},"$defs":{{
                "positive":{{"exclusiveMinimum":0}},
                "tree":{{"$anchor":"tree","properties":{{"v":{{"type":"number"}},"kids":{{"items":{{"$ref":"#tree"}}}}}}}}}}}}"##
        );
        if !good.is_empty() {
            assert_eq!(broken(&schema, &format!(r#"{{ "a" : {good} }}"#)), None, "{schema} must take {good}");
        }
        let (broken_keyword, place) =
            broken(&schema, &format!(r#"{{"z":0,"a":{bad}}}"#)).unwrap_or_else(|| panic!("{schema} took {bad}"));
        assert_eq!(&broken_keyword, keyword, "{schema} with {bad}");
        assert!(place.starts_with("/a"), "{place}");
    }
}

#[test]
fn w21_a_negative_tick_cannot_even_be_written_and_a_schema_sees_the_tick() {
    let schema = r#"{"required":["tick","schema_version","stream"],"properties":{"tick":{"minimum":8}}}"#;
    assert_eq!(broken(schema, "{}"), Some(("minimum".into(), "/tick".into())));
    assert_eq!(broken(r#"{"required":["tick"],"properties":{"tick":{"const":7}}}"#, "{}"), None);
    let line = br#"{"schema_version":"0.9.0","tick":-1}"#;
    assert_eq!(Record::from_line(line, "town").unwrap_err().reason, DropReason::InvalidPayload);
}

#[test]
fn the_envelope_is_shown_to_a_schema_that_names_it_and_to_no_other() {
    // Closed, written for a predecessor's payload: knows no stream, run_id or seq.
    let closed =
        r#"{"additionalProperties":false,"properties":{"schema_version":{"type":"string"},"tick":true,"a":true}}"#;
    assert_eq!(broken(closed, r#"{"a":1}"#), None);
    assert_eq!(broken(r#"{"additionalProperties":false,"properties":{"a":true}}"#, r#"{"a":1}"#), None);
    assert_eq!(broken(r#"{"maxProperties":1}"#, r#"{"a":1}"#), None);
    // Named through a reference and a combination.
    let through =
        r##"{"$ref":"#/$defs/line","$defs":{"line":{"allOf":[{"required":["seq","run_id","payload_type"]}]}}}"##;
    assert_eq!(broken(through, "{}"), None);
    let wrong = r#"{"properties":{"payload_type":{"const":"diff"}}}"#;
    assert_eq!(broken(wrong, "{}"), Some(("const".into(), "/payload_type".into())));
}

#[test]
fn a_recursive_schema_on_a_body_of_full_depth_is_checked_to_the_bottom() {
    let schema = r##"{"properties":{"a":{"$ref":"#"}},"not":{"required":["bad"]}}"##;
    let body = |bottom: &str| format!("{}{bottom}{}", r#"{"a":"#.repeat(127), "}".repeat(127));
    assert_eq!(broken(schema, &body("{}")), None);
    assert_eq!(broken(schema, &body(r#"{"bad":1}"#)), Some(("not".into(), "/a".repeat(127))));
}

#[test]
fn a_pattern_that_would_backtrack_for_ever_gives_up_and_the_record_is_dropped() {
    let schema = r#"{"properties":{"a":{"pattern":"^(?=a)(a|aa)+\\1$"}}}"#;
    let body = format!(r#"{{"a":"{}!"}}"#, "a".repeat(60));
    assert_eq!(broken(schema, &body), Some(("pattern".into(), "/a".into())));
}

#[test]
fn mode_drop_counts_and_names_place_and_rule_but_no_value() {
    let mut chain = validating(Kind::Health, r#"{"properties":{"n":{"maximum":1}}}"#, ValidatorMode::Drop);
    let dropped = chain.run(checked(Kind::Health, r#"{"n":4711}"#)).unwrap_err();
    assert_eq!(dropped.reason, DropReason::SchemaInvalid);
    assert_eq!(dropped.detail, "health breaks schema own: `maximum` at /n");
    assert!(chain.run(checked(Kind::Health, r#"{"n":1}"#)).is_ok());
    assert!(chain.run(checked(Kind::Run, r#"{"n":4711}"#)).is_ok(), "kinds without a schema pass");
    let stats = chain.stats();
    assert_eq!((stats.passed, stats.dropped["schema_invalid"], stats.warned), (2, 1, 0));
}

#[test]
fn mode_warn_counts_and_lets_pass() {
    let mut chain = validating(Kind::Health, r#"{"required":["n"]}"#, ValidatorMode::Warn);
    for _ in 0..3 {
        assert_eq!(out(&mut chain, checked(Kind::Health, "{}")), "{}");
    }
    let stats = chain.stats();
    assert_eq!((stats.passed, stats.warned, stats.dropped_total()), (3, 3, 0));
}

#[test]
fn w3_mode_raise_gives_the_error_to_whoever_emits_and_the_chain_skips_it() {
    let mut chain = validating(Kind::Health, r#"{"required":["n"]}"#, ValidatorMode::Raise);
    assert_eq!(chain.ids().count(), 0);
    let raising = chain.raising().expect("the pipeline asks for it");
    // From the emitting thread, while the chain runs elsewhere.
    let violation = std::thread::spawn(move || raising.check(&head(Kind::Health), b"{}")).join().unwrap().unwrap_err();
    assert_eq!(violation.to_string(), "health breaks schema own: `required` at /");
    assert!(matches!(violation, CheckError::Violation(_)));
    assert!(chain.run(checked(Kind::Health, "{}")).is_ok());
    assert!(Chain::standard().unwrap().raising().is_none());
}

#[test]
fn a_validator_says_of_text_that_is_no_body_what_is_wrong_with_it() {
    let validator = Validator::new(&sources(Kind::Event, "true")).unwrap();
    let error = validator.check(&head(Kind::Event), br#"{"a":NaN}"#).unwrap_err();
    assert!(matches!(&error, CheckError::Malformed(dropped) if dropped.reason == DropReason::NonFinite), "{error}");
    assert_eq!(validator.check(&head(Kind::Diff), b"not looked at"), Ok(()));
}

#[test]
fn the_bundled_schemas_check_free_form_bodies_of_the_current_version() {
    let mut chain = Chain::standard().unwrap();
    let event = |body: &str| Record::checked(Head::event("e", "town", 1), body.into()).unwrap();
    assert!(chain.run(event(r#"{"event":"e","payload":{"anything":[1]}}"#)).is_ok());
    let dropped = chain.run(event(r#"{"event":7,"payload":{}}"#)).unwrap_err();
    assert_eq!(dropped.detail, "event breaks schema event 1.1: `type` at /event");
    let dropped = chain.run(event(r#"{"payload":{}}"#)).unwrap_err();
    assert_eq!(dropped.detail, "event breaks schema event 1.1: `required` at /");
    let negative = r#"{"queue_metrics":{"cooldown_events":-1,"ghost_step_events":0,"rotation_events":0}}"#;
    let dropped = chain.run(checked(Kind::Snapshot, negative)).unwrap_err();
    assert_eq!(dropped.detail, "snapshot breaks schema snapshot 1.1: `minimum` at /queue_metrics/cooldown_events");
}

#[test]
fn a_legacy_record_is_checked_by_the_schema_of_its_version() {
    let mut chain = Chain::standard().unwrap();
    let line = |queue: &str| {
        format!(r#"{{"schema_version":"0.9.0","tick":3,"queue_metrics":{queue},"economy":{{"o":{{"own":1}}}}}}"#)
    };
    let fine = line(r#"{"cooldown_events":1,"ghost_step_events":0,"rotation_events":0}"#);
    let redacted = chain.run(Record::from_line(fine.as_bytes(), "town").unwrap()).unwrap();
    assert_eq!(redacted.head().schema_version, SchemaVersion::new(0, 9, 0));
    let closed = line(r#"{"cooldown_events":1,"more":2}"#);
    let dropped = chain.run(Record::from_line(closed.as_bytes(), "town").unwrap()).unwrap_err();
    assert_eq!(dropped.detail, "snapshot breaks schema snapshot 0.9: `additionalProperties` at /queue_metrics");
    // A diff of the current version needs changes, whatever its sections say.
    let dropped = chain.run(checked(Kind::Diff, r#"{"changes":[]}"#)).unwrap_err();
    assert_eq!(dropped.detail, "diff breaks schema diff 1.1: `type` at /changes");
    assert!(chain.run(checked(Kind::Diff, r#"{"changes":{}}"#)).is_ok());
}

#[test]
fn w16_a_place_in_a_message_holds_no_control_characters() {
    let schema = r#"{"additionalProperties":{"type":"null"}}"#;
    assert_eq!(broken(schema, r#"{"bob\u001b[2J":1}"#), Some(("type".into(), "/bob␛[2J".into())));
}
