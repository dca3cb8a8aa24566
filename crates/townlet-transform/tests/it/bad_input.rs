//! W16: what cannot be a body is dropped with a reason, and nothing else happens.

use proptest::prelude::*;
use townlet_schema::{EventRecord, Json, Kind, Object, Snapshot};
use townlet_transform::{Chain, Dropped, MAX_BODY_BYTES, Record};

use crate::documents::head;

fn reason(result: Result<Record, Dropped>) -> String {
    let dropped = result.expect_err("it must not become a record");
    assert!(!dropped.detail.is_empty());
    let chain = Chain::standard().unwrap();
    chain.count_drop(Kind::Event, &dropped);
    assert_eq!(chain.stats().dropped[dropped.reason.as_str()], 1);
    dropped.to_string()
}

fn checked(text: impl Into<Vec<u8>>) -> String {
    reason(Record::checked(head(Kind::Event), text.into()))
}

#[test]
fn w16_non_finite_numbers_are_a_reason_of_their_own() {
    let value =
        |number: f64| Snapshot { economy_settings: [("meal_cost".into(), number)].into(), ..Snapshot::default() };
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let said = reason(Record::typed(head(Kind::Snapshot), &value(number)));
        assert!(said.starts_with("non_finite: economy_settings.meal_cost"), "{said}");
    }
    for text in [r#"{"a":NaN}"#, r#"{"a":[1,Infinity]}"#, r#"{"a":-Infinity}"#, r#"{"a":1e999}"#, r#"{"a":-1E+400}"#] {
        assert!(checked(text).starts_with("non_finite: byte "), "{text}: {}", checked(text));
    }
    let long = format!(r#"{{"a":1{}}}"#, "0".repeat(400));
    assert!(checked(long).starts_with("non_finite"));
}

#[test]
fn w16_ten_thousand_levels_of_nesting_are_refused_without_recursing_into_them() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let text = format!("{{\"a\":{}1{}}}", open.repeat(10_000), close.repeat(10_000));
        let said = checked(text);
        assert!(said.contains("nested deeper than 128 levels"), "{said}");
    }
    // At the limit it is a body.
    let fits = format!("{{\"a\":{}1{}}}", "[".repeat(127), "]".repeat(127));
    assert!(Record::checked(head(Kind::Event), fits.into_bytes()).is_ok());
    let beyond = format!("{{\"a\":{}1{}}}", "[".repeat(128), "]".repeat(128));
    assert!(checked(beyond).starts_with("invalid_payload"));
}

#[test]
fn w16_a_string_of_64_mib_is_oversize_from_text_from_a_type_and_from_a_tree() {
    let huge = "x".repeat(64 << 20);
    let said = checked(format!(r#"{{"a":"{huge}"}}"#));
    assert_eq!(said, format!("oversize: a body of {} bytes; at most {MAX_BODY_BYTES} can be sent", (64 << 20) + 8));

    let payload: Object = [("a", Json::from(huge.as_str()))].into_iter().collect();
    let said = reason(Record::typed(head(Kind::Event), &EventRecord::new("e", payload.clone())));
    assert!(said.starts_with("oversize"), "{said}");

    let mut chain = Chain::standard().unwrap();
    let tree = Record::from_tree(
        head(Kind::Event),
        [("event", Json::from("e")), ("payload", payload.into())].into_iter().collect(),
    );
    assert_eq!(chain.run(tree.unwrap()).unwrap_err().reason.as_str(), "oversize");
}

#[test]
fn w16_lone_surrogates_duplicate_keys_and_broken_text_are_invalid_and_say_where() {
    for (text, said) in [
        (r#"{"a":"\ud800"}"#, "invalid_payload: byte 6: a lone surrogate"),
        (r#"{"a":"\ud800\u0041"}"#, "invalid_payload: byte 6: a lone surrogate"),
        (r#"{"a":"\udc00\ud800"}"#, "invalid_payload: byte 6: a lone surrogate"),
        (r#"{"\ud800":1}"#, "invalid_payload: byte 2: a lone surrogate"),
        (r#"{"a":1,"a":2}"#, "invalid_payload: byte 8: a member named twice"),
        (r#"{"b":{"a":1,"\u0061":2}}"#, "invalid_payload: byte 13: a member named twice"),
        (r#"{"b":1,"a":2,"b":3}"#, "invalid_payload: byte 14: a member named twice"),
        ("", "invalid_payload: byte 0: a body must be one JSON object"),
        ("null", "invalid_payload: byte 0: a body must be one JSON object"),
        ("[{}]", "invalid_payload: byte 0: a body must be one JSON object"),
        ("{", "invalid_payload: byte 1: expected a member name"),
        ("{}{}", "invalid_payload: byte 2: text after the end of the object"),
        (r#"{"a":}"#, "invalid_payload: byte 5: expected a value"),
        (r#"{"a":1,}"#, "invalid_payload: byte 7: expected a member name"),
        (r#"{"a":[1,]}"#, "invalid_payload: byte 8: expected a value"),
        (r#"{"a":01}"#, "invalid_payload: byte 6: expected `,` or `}`"),
        (r#"{"a":1.}"#, "invalid_payload: byte 7: expected a digit"),
        (r#"{"a":tru}"#, "invalid_payload: byte 5: expected a value"),
        (r#"{"a":"\x"}"#, "invalid_payload: byte 6: an escape that JSON does not have"),
        (r#"{"a":"\u12g4"}"#, "invalid_payload: byte 6: an escape that JSON does not have"),
        (r#"{"a":"\u+123"}"#, "invalid_payload: byte 6: an escape that JSON does not have"),
        (r#"{"a":"b"#, "invalid_payload: byte 6: a string without its end"),
        ("{\"a\":\"\n\"}", "invalid_payload: byte 6: a control character that is not escaped"),
        (r#"{"tick":1}"#, "invalid_payload: the body has a field `tick`, which belongs to the envelope"),
    ] {
        assert_eq!(checked(text), said, "{text}");
    }
    assert_eq!(checked(b"{\"a\":\"\xff\"}".to_vec()), "invalid_payload: byte 6: the text is not UTF-8");
    assert!(Record::checked(head(Kind::Event), br#"{"a":"\ud83d\ude00"}"#.to_vec()).is_ok());
}

proptest! {
    /// The check agrees with a full parser on every text that was once good and then was not.
    #[test]
    fn no_text_makes_it_panic_and_what_passes_is_json(
        object in crate::documents::object(),
        dice in any::<u64>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"{}[]\",:\\u0-1eN \n\xff".to_vec())), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut text = crate::documents::spelled(&object, dice);
        for (at, byte) in damage {
            let at = at.index(text.len());
            text[at] = byte;
        }
        if dice % 4 == 0 {
            text.truncate(cut.index(text.len()));
        }
        let parsed = Json::parse(&text);
        let record = Record::checked(head(Kind::Snapshot), text.clone());
        let is_object = matches!(parsed, Ok(Json::Object(_)));
        prop_assert_eq!(record.is_ok(), is_object, "{} {:?} {:?}", String::from_utf8_lossy(&text), record, parsed);
        // Unchecked, it may be dropped but must not panic.
        if let Ok(record) = Record::encoded(head(Kind::Diff), text) {
            let _ = Chain::standard().unwrap().run(record);
        }
    }
}
