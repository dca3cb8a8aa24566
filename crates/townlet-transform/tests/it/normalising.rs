//! `snapshot_normalizer`.

use proptest::prelude::*;
use townlet_schema::{Json, Kind, Object, SchemaVersion, Section, Snapshot};
use townlet_transform::{Chain, ChainBuilder, Head, Record, TransformSpec};

use crate::documents::{checked, head, object, out, spelled};

fn normaliser() -> Chain {
    ChainBuilder::from_specs([TransformSpec::SnapshotNormalizer]).without_redaction().build().unwrap()
}

fn normal(body: &str) -> Object {
    normaliser().run(checked(Kind::Snapshot, body)).unwrap().into_tree().unwrap()
}

/// Without the sections that were filled in.
fn given(body: &str) -> String {
    let names = Json::parse(body.as_bytes()).unwrap();
    let mut left = normal(body);
    left.retain(|name, _| Section::from_name(name).is_none() || names.get(name).is_some());
    Json::Object(left).to_string()
}

#[test]
fn absent_sections_get_their_typed_defaults_and_are_counted() {
    let mut chain = normaliser();
    let body = r#"{"jobs":{"ann":{"wallet":2.0}},"own_section":1}"#;
    let filled = chain.run(checked(Kind::Snapshot, body)).unwrap().into_tree().unwrap();
    let Json::Object(mut expected) = Json::from_serialize(&Snapshot::default()).unwrap() else { panic!("an object") };
    expected.retain(|_, value| !value.is_null());
    let sections = expected.len();
    expected.insert("jobs", Json::parse(br#"{"ann":{"wallet":2.0}}"#).unwrap());
    expected.insert("own_section", 1_u64);
    assert_eq!(filled, expected);
    assert_eq!(chain.stats().filled_sections, sections as u64 - 1);
}

#[test]
fn nothing_is_removed_and_nulls_stay() {
    assert_eq!(
        given(r#"{"promotion":null,"anneal_status":null,"extra":null}"#),
        r#"{"anneal_status":null,"extra":null,"promotion":null}"#
    );
}

#[test]
fn a_snapshot_of_an_older_version_keeps_the_sections_of_its_version() {
    let old = Head { schema_version: SchemaVersion::new(0, 9, 0), ..head(Kind::Snapshot) };
    let record = Record::checked(old, br#"{"jobs":{"b":1,"a":2}}"#.to_vec()).unwrap();
    assert_eq!(out(&mut normaliser(), record), r#"{"jobs":{"a":2,"b":1}}"#);
}

#[test]
fn free_form_maps_are_sorted() {
    assert_eq!(given(r#"{"x":{"b":1,"a":{"d":1,"c":2}}}"#), r#"{"x":{"a":{"c":2,"d":1},"b":1}}"#);
}

#[test]
fn w16_characters_that_act_on_a_terminal_become_visible_in_values_and_names() {
    assert_eq!(given(r#"{"n":"\u001b[31mred\u0007"}"#), r#"{"n":"␛[31mred␇"}"#);
    assert_eq!(given("{\"n\":\"a\u{202e}b\u{9b}c\"}"), r#"{"n":"a<U+202E>b<U+009B>c"}"#);
    assert_eq!(given(r#"{"jobs":{"bob\u001b]0;x\u0007":[{"\u007f":1}]}}"#), r#"{"jobs":{"bob␛]0;x␇":[{"␡":1}]}}"#);
    assert_eq!(given(r#"{"n":"line\nnext\tZoë 😀 \"q\" \\"}"#), r#"{"n":"line\nnext\tZoë 😀 \"q\" \\"}"#);
}

#[test]
fn names_that_would_become_one_are_kept_apart() {
    assert_eq!(given(r#"{"j":{"a\u001b":1,"a␛":2,"a␛~2":3}}"#), r#"{"j":{"a␛":2,"a␛~2":3,"a␛~3":1}}"#);
}

#[test]
fn negative_zero_becomes_zero_and_other_negatives_stay() {
    assert_eq!(
        given(r#"{"a":[-0.0,-0,-0e5,-0.00,-0.5,-0.001,-10,"-0.0"]}"#),
        r#"{"a":[0.0,0.0,0.0,0.0,-0.5,-0.001,-10,"-0.0"]}"#
    );
}

#[test]
fn a_typed_snapshot_with_nothing_to_normalise_keeps_its_bytes() {
    let snapshot = Snapshot {
        economy_settings: [("meal_cost".to_owned(), -0.05)].into(),
        runtime_variant: Some("fa\"cade".into()),
        ..Snapshot::default()
    };
    let mut record = Record::typed(head(Kind::Snapshot), &snapshot).unwrap().proven_by_type();
    let before = String::from_utf8(record.body_bytes().unwrap().to_vec()).unwrap();
    assert_eq!(out(&mut normaliser(), record), before);
}

#[test]
fn a_typed_snapshot_is_searched_for_characters_and_zeros() {
    let snapshot = Snapshot {
        economy_settings: [("meal\u{1b}cost".to_owned(), -0.0)].into(),
        runtime_variant: Some("a\u{7}".into()),
        ..Snapshot::default()
    };
    let record = Record::typed(head(Kind::Snapshot), &snapshot).unwrap().proven_by_type();
    let left = out(&mut normaliser(), record);
    assert!(left.contains(r#""economy_settings":{"meal␛cost":0.0}"#), "{left}");
    assert!(left.contains(r#""runtime_variant":"a␇""#), "{left}");
}

#[test]
fn other_kinds_are_left_alone() {
    let body = r#"{"b":"\u001b","a":-0.0}"#;
    assert_eq!(out(&mut normaliser(), checked(Kind::Health, body)), body);
}

proptest! {
    #[test]
    fn normalising_twice_is_normalising_once(object in object(), dice in any::<u64>()) {
        let once = out(&mut normaliser(), checked(Kind::Snapshot, spelled(&object, dice)));
        let mut chain = normaliser();
        prop_assert_eq!(&out(&mut chain, checked(Kind::Snapshot, once.as_str())), &once);
        prop_assert_eq!(chain.stats().filled_sections, 0);
    }

    #[test]
    fn the_spelling_of_a_snapshot_does_not_matter(object in object(), one in any::<u64>(), other in any::<u64>()) {
        let normal = |dice| out(&mut normaliser(), checked(Kind::Snapshot, spelled(&object, dice)));
        prop_assert_eq!(normal(one), normal(other));
    }
}
