//! What redaction takes, by example.

use townlet_schema::snapshot::PolicyIdentity;
use townlet_schema::{Diff, Json, Kind, Snapshot};
use townlet_transform::{
    Chain, ChainBuilder, HashKey, HashKeyError, Head, Notice, Record, Redaction, TransformSpec, ValidatorMode,
};

use crate::documents::{checked, head, out, redacting};

const HASH: &str = "5f2b9c0e77aa41d3";

fn identity() -> PolicyIdentity {
    PolicyIdentity { config_id: "v7".into(), policy_hash: Some(HASH.into()), ..PolicyIdentity::default() }
}

/// One record of each shape that could carry the policy's hash.
fn carriers() -> Vec<Record> {
    let snapshot = Snapshot { policy_identity: Some(identity()), ..Snapshot::default() };
    let changed = Json::from_serialize(&identity()).unwrap();
    let diff = Diff { changes: [("policy_identity", changed)].into_iter().collect(), removed: vec![] };
    let section = format!(r#"{{"policy_identity":{{"policy_hash":"{HASH}"}}}}"#);
    vec![
        Record::typed(head(Kind::Snapshot), &snapshot).unwrap(),
        Record::typed(head(Kind::Diff), &diff).unwrap(),
        checked(Kind::Snapshot, section.clone()),
        checked(Kind::Snapshot, section.replace("policy_i", "\\u0070olicy\\u005fi")),
        checked(Kind::Diff, format!(r#"{{"changes":{section},"removed":[]}}"#)),
        checked(Kind::Diff, format!(r#"{{ "\u0063hanges" : {section} }}"#)),
        checked(Kind::Diff, format!(r#"{{"patch":{section}}}"#)),
        checked(Kind::Diff, format!(r#"{{"patch":{{"policy_identity":[{{"policy_hash":"{HASH}"}}]}}}}"#)),
        checked(Kind::Diff, format!(r#"{{"p\u0061tch":{section}}}"#)),
        checked(Kind::Event, format!(r#"{{"event":"loop.tick","payload":{section}}}"#)),
        checked(
            Kind::Event,
            format!(
                r#"{{"event":"policy.metadata","payload":{{"metadata":{{"identity":{{"policy_hash":"{HASH}"}}}}}}}}"#
            ),
        ),
        checked(Kind::Console, format!(r#"{{"command":{{}},"result":{section}}}"#)),
        checked(Kind::Health, format!(r#"{{"status":"ok","global_context":{section}}}"#)),
    ]
}

/// What a pipeline may look like whose owner did not think of redaction.
fn pipelines() -> Vec<Vec<TransformSpec>> {
    let ensure =
        TransformSpec::EnsureFields { required_fields_by_kind: Default::default(), default_required_fields: vec![] };
    let validate = TransformSpec::SchemaValidator { schemas: Default::default(), mode: ValidatorMode::Warn };
    vec![
        vec![],
        vec![TransformSpec::SnapshotNormalizer],
        vec![ensure.clone(), validate.clone()],
        vec![validate, TransformSpec::SnapshotNormalizer, ensure],
    ]
}

#[test]
fn w2_the_policy_hash_never_leaves_in_any_kind_through_any_pipeline() {
    for pipeline in pipelines() {
        let ids: Vec<_> = pipeline.iter().map(TransformSpec::id).collect();
        let mut chain = ChainBuilder::from_specs(pipeline.clone()).build().unwrap();
        for record in carriers() {
            let shown = format!("{record:?} through {ids:?}");
            // Dropped by a check is fine; leaving with the hash is not.
            if let Ok(redacted) = chain.run(record) {
                let body = String::from_utf8(redacted.body_bytes().to_vec()).unwrap();
                assert!(!body.contains(HASH), "{shown}: {body}");
                let kind = redacted.kind();
                assert!(chain.redactions().iter().all(|redaction| !redaction.finds(kind, body.as_bytes())), "{shown}");
            }
        }
        assert!(chain.stats().passed >= 8, "{ids:?}: {:?}", chain.stats());
    }
}

#[test]
fn w2_a_custom_pipeline_says_that_redaction_was_added() {
    let (chain, notices) = ChainBuilder::from_specs([TransformSpec::SnapshotNormalizer]).build_with_notices().unwrap();
    assert_eq!(notices, [Notice::DefaultRedactionAdded]);
    assert_eq!(chain.ids().collect::<Vec<_>>(), ["snapshot_normalizer", "redact_fields", "redact_fields"]);
    assert!(notices[0].to_string().contains("transforms.redaction: off"));
}

#[test]
fn redaction_is_off_only_when_somebody_says_so_and_then_it_warns() {
    for specs in [vec![], vec![TransformSpec::SnapshotNormalizer]] {
        let (mut chain, notices) = ChainBuilder::from_specs(specs).without_redaction().build_with_notices().unwrap();
        assert_eq!(notices, [Notice::RedactionOff]);
        assert!(notices[0].is_warning());
        assert!(chain.redactions().is_empty());
        assert!(out(&mut chain, carriers().swap_remove(0)).contains(HASH));
    }
}

#[test]
fn a_redaction_named_in_the_pipeline_stays_even_with_the_default_off() {
    let named = TransformSpec::RedactFields {
        fields: vec!["jobs".into()],
        kinds: vec![Kind::Snapshot],
        action: Redaction::Remove,
    };
    let mut chain = ChainBuilder::from_specs([named]).without_redaction().build().unwrap();
    assert_eq!(out(&mut chain, checked(Kind::Snapshot, r#"{"jobs":1,"x":2}"#)), r#"{"x":2}"#);
}

#[test]
fn a_typed_snapshot_loses_the_section_and_nothing_else() {
    let with = Snapshot { policy_identity: Some(identity()), ..Snapshot::default() };
    let mut body = Json::from_serialize(&with).unwrap();
    let sections = body.as_object_mut().unwrap();
    sections.remove("policy_identity").unwrap();
    let mut chain = Chain::standard().unwrap();
    let redacted = chain.run(Record::typed(head(Kind::Snapshot), &with).unwrap()).unwrap();
    assert_eq!(Json::parse(redacted.body_bytes()).unwrap(), body);
}

#[test]
fn paths_reach_nested_fields_wildcards_arrays_and_names_with_dots() {
    let case = |path: &str, body: &str| {
        out(&mut redacting(&[path], Kind::Snapshot, Redaction::Remove), checked(Kind::Snapshot, body))
    };
    assert_eq!(case("a.b", r#"{"a":{"b":1,"c":2},"b":3}"#), r#"{"a":{"c":2},"b":3}"#);
    assert_eq!(
        case("jobs.*.wallet", r#"{"jobs":{"x":{"wallet":1},"y":{"wallet":2,"z":0}}}"#),
        r#"{"jobs":{"x":{},"y":{"z":0}}}"#
    );
    assert_eq!(
        case("events.*.agent", r#"{"events":[{"agent":1,"t":2},{"t":3},4]}"#),
        r#"{"events":[{"t":2},{"t":3},4]}"#
    );
    assert_eq!(case("list.*", r#"{"list":[1,2,3],"x":0}"#), r#"{"list":[],"x":0}"#);
    assert_eq!(case("**.pw", r#"{"pw":1,"a":[[{"pw":2,"k":3}]]}"#), r#"{"a":[[{"k":3}]]}"#);
    assert_eq!(case("a.**.pw", r#"{"pw":1,"a":{"pw":2,"b":{"c":{"pw":3}}}}"#), r#"{"pw":1,"a":{"b":{"c":{}}}}"#);
    assert_eq!(case(r"x\.y", r#"{"x.y":1,"x":{"y":2}}"#), r#"{"x":{"y":2}}"#);
    assert_eq!(case(r"\*", r#"{"*":1,"x":2}"#), r#"{"x":2}"#);
    assert_eq!(case("a", r#"{"b":{"a":1}}"#), r#"{"b":{"a":1}}"#);
    assert_eq!(case("a.b", r#"{"a":[{"b":1}]}"#), r#"{"a":[{"b":1}]}"#);
}

#[test]
fn every_place_of_a_removed_member_leaves_valid_text() {
    for body in [
        r#"{"s":1}"#,
        r#"{"s":1,"a":2}"#,
        r#"{"a":2,"s":1}"#,
        r#"{"a":2,"s":1,"b":3}"#,
        r#"{ "s" : 1 , "t" : 2 , "a" : 3 }"#,
        r#"{"a":3, "s":1, "t":2}"#,
        r#"{"s":1, "a":3, "t":2 }"#,
        r#"{ "s" : {"x":[1,"}"]} , "t" : "\"," }"#,
    ] {
        let mut expected = Json::parse(body.as_bytes()).unwrap();
        expected.as_object_mut().unwrap().retain(|name, _| name != "s" && name != "t");
        let left = out(&mut redacting(&["s", "t"], Kind::Snapshot, Redaction::Remove), checked(Kind::Snapshot, body));
        assert_eq!(Json::parse(left.as_bytes()).unwrap(), expected, "{body} became {left}");
    }
}

#[test]
fn a_path_into_a_section_also_works_inside_a_diff_and_an_event() {
    let path = &["policy_identity.policy_hash"];
    let section = r#"{"policy_identity":{"config_id":"v7","policy_hash":"x"}}"#;
    let left = r#"{"policy_identity":{"config_id":"v7"}}"#;
    let case = |kind, body: String| out(&mut redacting(path, kind, Redaction::Remove), checked(kind, body));
    assert_eq!(case(Kind::Snapshot, section.into()), left);
    assert_eq!(case(Kind::Diff, format!(r#"{{"changes":{section}}}"#)), format!(r#"{{"changes":{left}}}"#));
    assert_eq!(case(Kind::Event, format!(r#"{{"payload":{section}}}"#)), format!(r#"{{"payload":{left}}}"#));
    // Only those two have a container.
    assert_eq!(case(Kind::Health, format!(r#"{{"changes":{section}}}"#)), format!(r#"{{"changes":{section}}}"#));
}

#[test]
fn kinds_that_are_not_named_are_left_alone() {
    let mut chain = redacting(&["a"], Kind::Snapshot, Redaction::Remove);
    assert_eq!(out(&mut chain, checked(Kind::Diff, r#"{"a":1}"#)), r#"{"a":1}"#);
}

#[test]
fn a_mask_keeps_the_field_and_hides_the_value() {
    let mut chain = redacting(&["a", "b.*"], Kind::Snapshot, Redaction::Mask);
    let body = r#"{"a":{"deep":[1,2]},"b":[1,{"c":2}],"d":3}"#;
    assert_eq!(
        out(&mut chain, checked(Kind::Snapshot, body)),
        r#"{"a":"[redacted]","b":["[redacted]","[redacted]"],"d":3}"#
    );
}

fn key(text: &str) -> Redaction {
    Redaction::Hash { key: HashKey::new(text.as_bytes(), "test").unwrap() }
}

#[test]
fn a_keyed_hash_is_stable_for_equal_values_and_depends_on_the_key() {
    let hashed = |key_text: &str, body: &str| {
        let text = out(&mut redacting(&["a"], Kind::Snapshot, key(key_text)), checked(Kind::Snapshot, body));
        Json::parse(text.as_bytes()).unwrap().get("a").and_then(Json::as_str).unwrap().to_owned()
    };
    let (one, two) = ("0123456789abcdef", "0123456789abcdeF");
    // openssl dgst -sha256 -hmac 0123456789abcdef <<< of the five bytes "bob" with quotes, first 32 digits.
    assert_eq!(hashed(one, r#"{"a":"bob"}"#), EXPECTED_HMAC);
    assert_eq!(hashed(one, r#"{"a":"bob"}"#), hashed(one, r#"{ "a" : "\u0062ob" , "z":1}"#));
    assert_eq!(hashed(one, r#"{"a":{"x":1,"y":[2]}}"#), hashed(one, r#"{"a":{ "y":[ 2 ], "x":1}}"#));
    assert_ne!(hashed(one, r#"{"a":"bob"}"#), hashed(two, r#"{"a":"bob"}"#));
    assert_ne!(hashed(one, r#"{"a":"1"}"#), hashed(one, r#"{"a":1}"#));
    assert_ne!(hashed(one, r#"{"a":null}"#), hashed(one, r#"{"a":"null"}"#));
}

const EXPECTED_HMAC: &str = "hmac-sha256:fb8febb0bc301728bb4e64712a5fcde8";

#[test]
fn a_hash_key_never_prints_and_must_be_long_enough() {
    let secret = "a-secret-of-32-bytes-0123456789ab";
    let spec = TransformSpec::RedactFields { fields: vec!["a".into()], kinds: vec![Kind::Event], action: key(secret) };
    assert!(!format!("{spec:?}").contains("secret-of"), "{spec:?}");
    let error = HashKey::new(b"short", "TOWNLET_KEY").unwrap_err();
    assert_eq!(error.to_string(), "TOWNLET_KEY: the hash key has 5 bytes; at least 16 are needed");
    assert!(matches!(HashKey::from_env("TOWNLET_TEST_THAT_NOBODY_SETS"), Err(HashKeyError::NotSet(_))));
}

#[test]
fn a_key_file_may_end_in_a_newline() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "0123456789abcdef\n").unwrap();
    let action = Redaction::Hash { key: HashKey::from_file(&path).unwrap() };
    let text = out(&mut redacting(&["a"], Kind::Snapshot, action), checked(Kind::Snapshot, r#"{"a":"bob"}"#));
    assert_eq!(text, format!(r#"{{"a":"{EXPECTED_HMAC}"}}"#));
    let error = HashKey::from_file(&dir.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("none cannot be read"), "{error}");
}

#[test]
fn the_leak_check_finds_what_was_not_redacted_and_accepts_what_was() {
    for (action, done) in [
        (Redaction::Remove, r#"{"b":1}"#.to_owned()),
        (Redaction::Mask, r#"{"a":"[redacted]"}"#.to_owned()),
        (key("0123456789abcdef"), format!(r#"{{"a":"{EXPECTED_HMAC}"}}"#)),
    ] {
        let chain = redacting(&["a"], Kind::Diff, action);
        let redaction = &chain.redactions()[0];
        assert!(!redaction.finds(Kind::Diff, done.as_bytes()), "{done}");
        assert!(redaction.finds(Kind::Diff, br#"{"changes":{"a":"bob"}}"#));
        assert!(redaction.finds(Kind::Diff, br#"{"a":"#), "text that cannot be followed is no clean text");
        assert!(!redaction.finds(Kind::Snapshot, br#"{"a":"bob"}"#));
    }
}

#[test]
fn text_that_a_host_vouched_for_and_that_redaction_cannot_follow_is_dropped() {
    let mut chain = redacting(&["secret"], Kind::Event, Redaction::Remove);
    for text in [r#"{"secret" 1}"#, r#"{"secret":}"#, r#"{"x":["secret":}"#, r#"{"secret":"x}"#] {
        let record = Record::encoded(Head::event("e", "town", 1), text.into()).unwrap();
        let dropped = chain.run(record).unwrap_err();
        assert_eq!(dropped.reason.as_str(), "invalid_payload", "{text}");
    }
    assert_eq!(chain.stats().dropped["invalid_payload"], 4);
}

#[test]
fn a_patch_is_redacted_by_what_its_changes_mean() {
    let fields = |paths: &[&str]| redacting(paths, Kind::Diff, Redaction::Mask);
    let secret = |paths: &[&str], patch: &str| {
        let body = format!(r#"{{"patch":{patch}}}"#);
        let by_text = out(&mut fields(paths), checked(Kind::Diff, body.clone()));
        let mut record = checked(Kind::Diff, body);
        record.tree().unwrap();
        assert_eq!(by_text, out(&mut fields(paths), record), "text and tree agree");
        by_text.strip_prefix(r#"{"patch":"#).and_then(|rest| rest.strip_suffix('}')).unwrap().to_owned()
    };
    let jobs = ["jobs.*.wallet"];
    assert_eq!(secret(&jobs, r#"{"jobs":{"ann":{"wallet":2.5}}}"#), r#"{"jobs":{"ann":{"wallet":"[redacted]"}}}"#);
    let whole = r#"{"jobs":{"ann":[{"wallet":2.5}]}}"#;
    assert_eq!(secret(&jobs, whole), whole.replace("2.5", r#""[redacted]""#), "the value in its brackets");
    assert_eq!(secret(&jobs, r#"{"jobs":{"ann":[]}}"#), r#"{"jobs":{"ann":[]}}"#, "gone is gone");
    assert_eq!(secret(&jobs, r#"{"jobs":{"ann":{"wallet":[]}}}"#), r#"{"jobs":{"ann":{"wallet":[]}}}"#);
    let list = ["log.*.who"];
    let slid = r#"{"log":[1,{"who":"ann"},[{"who":"bob"}]]}"#;
    assert_eq!(secret(&list, slid), slid.replace("ann", "[redacted]").replace("bob", "[redacted]"), "items that came");
    let within = r#"{"log":[null,4,1,{"who":"ann"}]}"#;
    assert_eq!(secret(&list, within), within.replace("ann", "[redacted]"), "in place of others");
    let place = r#"{"log":{"3":{"who":"ann"}}}"#;
    assert_eq!(secret(&list, place), place.replace("ann", "[redacted]"), "by its place");
}
