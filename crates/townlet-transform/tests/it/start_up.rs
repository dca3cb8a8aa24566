//! Mistakes in a pipeline are found when the chain is built, and say where.

use std::collections::BTreeMap;

use townlet_schema::Kind;
use townlet_transform::{ChainBuilder, Redaction, SchemaSource, TransformSpec, ValidatorMode};

fn refused(spec: TransformSpec) -> String {
    let error = ChainBuilder::from_specs([TransformSpec::SnapshotNormalizer, spec]).build().unwrap_err();
    // The chain of sources holds what the message already says.
    assert!(std::error::Error::source(&error).is_none_or(|source| error.to_string().contains(&source.to_string())));
    error.to_string()
}

fn schema(text: &str) -> String {
    let source = SchemaSource::Text { name: "own.json".into(), text: text.into() };
    let schemas = BTreeMap::from([(Kind::Event, source)]);
    refused(TransformSpec::SchemaValidator { schemas, mode: ValidatorMode::Drop })
}

#[test]
fn w21_a_schema_that_would_not_be_enforced_is_refused_with_the_place() {
    let shown: Vec<String> = [
        "{",
        "7",
        r#"{"type":"objekt"}"#,
        r#"{"minimun":1}"#,
        r#"{"properties":{"a":{"items":[{"type":"null"}]}}}"#,
        r#"{"properties":{"a":{"additionalItems":false}}}"#,
        r#"{"dependencies":{"a":["b"]}}"#,
        r#"{"id":"x"}"#,
        r#"{"enum":"abc"}"#,
        r#"{"required":"a"}"#,
        r#"{"pattern":"("}"#,
        r#"{"then":{"type":"null"}}"#,
        r#"{"minContains":2}"#,
        r#"{"format":"postcode"}"#,
        r#"{"$schema":"http://json-schema.org/draft-07/schema#"}"#,
        r#"{"$defs":{"a":{"$schema":"https://json-schema.org/draft/2019-09/schema"}}}"#,
        r##"{"$ref":"#/$defs/none"}"##,
        r#"{"$ref":"https://example.com/schema.json"}"#,
        r#"{"$ref":"other.json"}"#,
        r#"{"$vocabulary":{"https://example.com/vocab":true}}"#,
    ]
    .iter()
    .map(|text| format!("{text}\n    {}", schema(text)))
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn annotations_and_numeric_formats_are_no_mistakes() {
    let text = r##"{"$schema":"https://json-schema.org/draft/2020-12/schema#","$comment":"","title":"t","x-owner":"ops",
        "definitions":{"n":{"format":"uint64","type":"integer"}},"properties":{"x-y.z":{"$ref":"#/definitions/n"}}}"##;
    let source = SchemaSource::Text { name: "own".into(), text: text.into() };
    let spec =
        TransformSpec::SchemaValidator { schemas: BTreeMap::from([(Kind::Run, source)]), mode: ValidatorMode::Warn };
    ChainBuilder::from_specs([spec]).build().unwrap();
}

#[test]
fn a_schema_file_that_is_missing_or_broken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let schemas = BTreeMap::from([(Kind::Diff, SchemaSource::File(dir.path().join(name)))]);
        refused(TransformSpec::SchemaValidator { schemas, mode: ValidatorMode::Raise })
    };
    let said = file("none.json");
    assert!(said.contains("none.json: cannot be read: No such file"), "{said}");
    std::fs::write(dir.path().join("broken.json"), "{\n  \"type\": \"object\"\n  \"x\"").unwrap();
    let said = file("broken.json");
    assert!(said.contains("broken.json: not JSON: expected `,` or `}` at line 3 column 3"), "{said}");
    std::fs::write(dir.path().join("bytes.json"), b"\"\xff\"").unwrap();
    assert!(file("bytes.json").contains("bytes.json: not JSON"), "{}", file("bytes.json"));
    assert!(file(".").contains("cannot be read"), "{}", file("."));
}

#[test]
fn options_that_cannot_mean_anything_are_refused() {
    let redact = |fields: &[&str], kinds: &[Kind]| TransformSpec::RedactFields {
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        kinds: kinds.to_vec(),
        action: Redaction::Remove,
    };
    let wide: Vec<String> = (0..129).map(|n| format!("f{n}")).collect();
    let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    let ensure = TransformSpec::EnsureFields {
        required_fields_by_kind: BTreeMap::from([(Kind::Diff, vec!["a..b".to_owned()])]),
        default_required_fields: vec![],
    };
    let deep = ["a"; 65].join(".");
    let mut shown = vec![
        refused(ensure),
        refused(redact(&[], &[Kind::Run])),
        refused(redact(&["a"], &[])),
        refused(redact(&wide, &[Kind::Run])),
    ];
    for path in ["", "a.", ".a", "a..b", "a*", "**", "a.**", "***", r"a\", r"a\b", &deep] {
        shown.push(refused(redact(&["fine", path], &[Kind::Run])).replace(&deep, "a.a…"));
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn two_validators_that_raise_are_one_too_many() {
    let raise = TransformSpec::SchemaValidator { schemas: BTreeMap::new(), mode: ValidatorMode::Raise };
    let error = ChainBuilder::from_specs([raise.clone(), raise]).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "transforms.pipeline[1].mode: is `raise` twice; put all schemas into one schema_validator"
    );
}
