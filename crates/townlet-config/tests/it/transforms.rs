//! Every form of a transform entry.

use std::collections::BTreeMap;

use townlet_config::{Loader, RedactAction, Redaction, TransformConfig, ValidationMode};

use crate::support::{accept, findings, only_error};

fn pipeline(items: &str) -> String {
    format!("telemetry: {{transforms: {{pipeline: [{items}]}}}}")
}

fn redact(fields: &[&str], kinds: &[&str]) -> TransformConfig {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let text = pipeline("{redact_fields: {fields: [x]}}");
    match accept(&text).config.transforms.remove(0) {
        TransformConfig::RedactFields { action, .. } => {
            TransformConfig::RedactFields { fields: owned(fields), kinds: owned(kinds), action }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_forms_of_an_entry_mean_the_same() {
    let expected = redact(&["policy_identity"], &["snapshot", "diff"]);
    for form in [
        "{redact_fields: {fields: [policy_identity]}}",
        "redact_fields: {fields: [policy_identity]}",
        "{id: redact_fields, fields: [policy_identity]}",
        "{name: redact_fields, fields: [policy_identity]}",
        "{id: Redact_Fields, options: {fields: [policy_identity]}}",
        "{REDACT_FIELDS: {fields: [policy_identity], kinds: [snapshot, diff], action: remove}}",
    ] {
        assert_eq!(accept(&pipeline(form)).config.transforms, std::slice::from_ref(&expected), "{form}");
    }
    for form in ["snapshot_normalizer", "Snapshot_Normalizer", "{id: snapshot_normalizer}", "{snapshot_normalizer: }"] {
        let transforms = accept(&pipeline(form)).config.transforms;
        assert_eq!(transforms, [TransformConfig::SnapshotNormalizer], "{form}");
    }
}

#[test]
fn entries_that_are_none_of_the_forms_are_refused() {
    for (form, code, key) in [
        ("wombat", "transform", ""),
        ("{wombat: {a: 1}}", "transform", ""),
        ("redact_field", "transform", ""),
        ("{fields: [a], kinds: [snapshot]}", "transform", ""),
        ("{id: redact_fields, name: redact_fields, fields: [a]}", "transform", ""),
        ("{id: redact_fields, options: {fields: [a]}, kinds: [snapshot]}", "transform", ""),
        ("{id: redact_fields, options: [a]}", "transform", ""),
        ("{redact_fields: [a]}", "transform", ""),
        ("{id: [a]}", "wrong_type", ""),
        ("[snapshot_normalizer]", "transform", ""),
        ("snapshot_normalizer: {depth: 3}", "unknown_key", ".depth"),
        ("redact_fields", "missing", ".fields"),
        ("{redact_fields: {fields: []}}", "missing", ".fields"),
        ("{redact_fields: {fields: policy_identity}}", "wrong_type", ".fields"),
        ("{redact_fields: {fields: [[a]]}}", "wrong_type", ".fields"),
        ("{redact_fields: {fields: [a], kinds: [snapshots]}}", "bad_choice", ".kinds"),
        ("{redact_fields: {fields: [a], action: encrypt}}", "bad_choice", ".action"),
        ("{redact_fields: {fields: [a], action: hash}}", "missing", ".key_file"),
        ("{redact_fields: {fields: [a], key_file: k}}", "conflict", ".key_file"),
        ("{redact_fields: {fields: [a], action: hash, key_file: no/such/key}}", "file", ".key_file"),
        (
            "{ensure_fields: {required_fields_by_kind: {snapshot: tick}}}",
            "wrong_type",
            ".required_fields_by_kind.snapshot",
        ),
        ("{ensure_fields: {required_fields_by_kind: [tick]}}", "wrong_type", ".required_fields_by_kind"),
        ("{ensure_fields: {required_fields_by_kind: {snap: [tick]}}}", "bad_choice", ".required_fields_by_kind.snap"),
        ("{ensure_fields: {default_required_fields: tick}}", "wrong_type", ".default_required_fields"),
        ("schema_validator", "missing", ".schemas"),
        ("{schema_validator: {schemas: {}}}", "missing", ".schemas"),
        ("{schema_validator: {schemas: {snapshot: no/such/schema.json}}}", "file", ".schemas.snapshot"),
        ("{schema_validator: {schemas: {snapshot: [a]}}}", "wrong_type", ".schemas.snapshot"),
    ] {
        let (error, _) = only_error(&pipeline(form));
        assert_eq!(error, format!("{code} telemetry.transforms.pipeline[0]{key}"), "{form}");
    }
    assert_eq!(
        only_error("telemetry: {transforms: {pipeline: snapshot_normalizer}}").0,
        "wrong_type telemetry.transforms.pipeline"
    );
}

#[test]
fn options_have_the_documented_defaults() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.json"), "{}").unwrap();
    std::fs::write(folder.path().join("key"), "secret").unwrap();
    let text = pipeline(
        "ensure_fields, {schema_validator: {schemas: {snapshot: s.json}}}, \
         {redact_fields: {fields: [a.b], action: hash, key_file: key}}, \
         {ensure_fields: {required_fields_by_kind: {diff: []}}}, \
         {schema_validator: {schemas: {diff: s.json}, mode: raise}}",
    );
    let config = Loader::new().base_dir(folder.path()).load_str("town.yaml", &text).unwrap().config;
    let schema = folder.path().join("s.json");
    let TransformConfig::EnsureFields { required_fields_by_kind, default_required_fields } = &config.transforms[0]
    else {
        panic!("{:?}", config.transforms)
    };
    assert_eq!((required_fields_by_kind, &**default_required_fields), (&BTreeMap::new(), &["tick".to_owned()][..]));
    let TransformConfig::SchemaValidator { schemas, mode } = &config.transforms[1] else { panic!() };
    assert_eq!((&schemas["snapshot"], *mode), (&schema, ValidationMode::Drop));
    let TransformConfig::RedactFields { action, kinds, .. } = &config.transforms[2] else { panic!() };
    assert!(matches!(action, RedactAction::Hash { key_file } if *key_file == folder.path().join("key")));
    assert_eq!(kinds, &["snapshot", "diff"]);
    let TransformConfig::EnsureFields { required_fields_by_kind, .. } = &config.transforms[3] else { panic!() };
    assert_eq!(required_fields_by_kind["diff"], [""; 0]);
    assert!(matches!(&config.transforms[4], TransformConfig::SchemaValidator { mode: ValidationMode::Raise, .. }));
}

#[test]
fn redaction_never_goes_silently() {
    let note = "note redaction telemetry.transforms.redaction 1:26";
    assert_eq!(findings("telemetry: {transforms: {}}"), [""; 0]);
    assert_eq!(findings(&pipeline("snapshot_normalizer")), [note]);
    let warning = "warning redaction telemetry.transforms.redaction 1:26";
    for own in ["{fields: [policy_identity], kinds: [snapshot]}", "{fields: [wallet]}"] {
        assert_eq!(findings(&pipeline(&format!("redact_fields: {own}"))), [warning], "{own}");
    }
    assert_eq!(findings(&pipeline("redact_fields: {fields: [policy_identity]}")), [""; 0]);
    let off = accept("telemetry: {transforms: {redaction: off, pipeline: [snapshot_normalizer]}}");
    assert_eq!(off.config.redaction, Redaction::Off);
    assert_eq!(off.warnings.iter().map(|d| d.severity.as_str()).collect::<Vec<_>>(), ["warning"]);
    let (error, shown) = only_error("telemetry: {transforms: {redaction: false}}");
    assert_eq!(error, "bad_choice telemetry.transforms.redaction");
    assert!(shown.contains("did you mean 'off'?"), "{shown}");
}
