//! The encoder and the tree.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use townlet_schema::{EncodeErrorKind, Json, MAX_DEPTH, Number, Object, encode_into};

use crate::samples::{json, town};

fn text<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    encode_into(value, &mut out).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(Json::from_serialize(value), Ok(Json::parse(&out).expect("JSON")), "the tree without the text");
    String::from_utf8(out).expect("UTF-8")
}

fn refusal<T: Serialize>(value: &T) -> (EncodeErrorKind, String) {
    let mut out = b"before".to_vec();
    let error = encode_into(value, &mut out).expect_err("must be refused");
    assert_eq!(out, b"before", "a refused value leaves nothing behind");
    let tree = Json::from_serialize(value).expect_err("must be refused as a tree as well");
    assert_eq!((tree.kind(), tree.path()), (error.kind(), error.path()));
    (error.kind(), error.to_string())
}

#[derive(Serialize)]
struct Shapes {
    z_first: u8,
    a_second: Option<i64>,
    tuple: (f32, char),
    unit: (),
    newtype: Wrapped,
    variants: Vec<Variant>,
}

#[derive(Serialize)]
struct Wrapped(&'static str);

#[derive(Serialize)]
enum Variant {
    Unit,
    Newtype(bool),
    Tuple(u8, u8),
    Struct { b: u8, a: u8 },
}

#[test]
fn every_shape_of_serde_has_its_json() {
    let shapes = Shapes {
        z_first: 1,
        a_second: None,
        tuple: (0.1, 'é'),
        unit: (),
        newtype: Wrapped("x\"\\\u{8}\u{c}\n\r\t\u{1}\u{7f}\u{2028}"),
        variants: vec![Variant::Unit, Variant::Newtype(true), Variant::Tuple(1, 2), Variant::Struct { b: 1, a: 2 }],
    };
    let ours = text(&shapes);
    assert_eq!(ours, serde_json::to_string(&shapes).unwrap(), "as serde_json writes it, field for field");
    assert!(ours.starts_with(r#"{"z_first":1,"a_second":null,"tuple":[0.1,"é"]"#), "{ours}");
}

#[test]
fn free_form_maps_are_sorted_whatever_order_they_have() {
    let keys = ["b", "a\n", "a", "a\"", "é", "", "a!", "a\\", "\u{1}", "10", "9"];
    let map: HashMap<&str, usize> = keys.iter().copied().zip(0..).collect();
    let tree: Object = map.iter().map(|(key, value)| (*key, Json::from(*value as u64))).collect();
    let sorted: BTreeMap<&str, usize> = map.iter().map(|(k, v)| (*k, *v)).collect();
    assert_eq!(text(&map), text(&tree));
    assert_eq!(text(&map), text(&sorted));
    assert_eq!(text(&map), serde_json::to_string(&sorted).unwrap());
}

/// Behaves as `serde_json::Map` does when a host turns on `preserve_order`.
struct Unsorted(Vec<(&'static str, Json)>);

impl Serialize for Unsorted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[test]
fn a_map_in_insertion_order_is_sorted_with_its_nested_values_intact() {
    let nested = json(r#"{"q":"a,b}]\"{","r":[1,{"x":[]}]}"#);
    let map = Unsorted(vec![("c", nested.clone()), ("a", 1u64.into()), ("b", Json::Array(vec![nested]))]);
    assert_eq!(text(&map), r#"{"a":1,"b":[{"q":"a,b}]\"{","r":[1,{"x":[]}]}],"c":{"q":"a,b}]\"{","r":[1,{"x":[]}]}}"#);
}

#[test]
fn a_key_that_stands_twice_is_refused_by_name() {
    let twice = Unsorted(vec![("k", Json::Null), ("a", Json::Null), ("k", Json::Null)]);
    assert_eq!(refusal(&twice), (EncodeErrorKind::DuplicateKey, "k: the same key twice in one map".to_owned()));
    let adjacent = Unsorted(vec![("k", Json::Null), ("k", Json::Null)]);
    assert_eq!(refusal(&adjacent).0, EncodeErrorKind::DuplicateKey);
}

#[test]
fn a_key_that_a_flattened_map_brings_once_more_is_refused_wherever_it_stands() {
    #[derive(Serialize)]
    struct Order {
        price: u64,
        id: u64,
        #[serde(flatten)]
        rest: BTreeMap<&'static str, Json>,
    }
    let with = |key| Order {
        price: 1,
        id: 2,
        rest: BTreeMap::from([("b", json(r#"{"price":1,"id":"}"}"#)), (key, 3.into())]),
    };
    assert_eq!(
        refusal(&with("price")),
        (EncodeErrorKind::DuplicateKey, "price: the same key twice in one map".to_owned())
    );
    assert_eq!(refusal(&vec![with("id")]).0, EncodeErrorKind::DuplicateKey);
    assert_eq!(text(&with("a")), r#"{"price":1,"id":2,"a":3,"b":{"id":"}","price":1}}"#, "its fields keep their order");
}

#[test]
fn a_non_finite_float_is_an_error_that_names_its_field_and_never_a_null() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut town = town(2, 1);
        town.jobs.get_mut("agent_1").unwrap().needs.hunger = bad;
        let (kind, message) = refusal(&town);
        assert_eq!(kind, EncodeErrorKind::NonFinite);
        assert!(message.starts_with("jobs.agent_1.needs.hunger: "), "{message}");
        assert!(Number::try_from(bad).is_err() && Json::try_from(bad).is_err());
    }
    assert_eq!(refusal(&vec![1.0f32, f32::NAN]).1, "[1]: NaN is not a finite number, which JSON cannot say");
}

#[test]
fn nesting_ends_at_128_levels() {
    let nest = |levels: usize| (0..levels).fold(Json::Null, |inner, _| Json::Array(vec![inner]));
    assert_eq!(text(&nest(MAX_DEPTH)).len(), 2 * MAX_DEPTH + 4);
    assert_eq!(refusal(&nest(MAX_DEPTH + 1)).0, EncodeErrorKind::TooDeep);
    let deep: Vec<Vec<Json>> = vec![vec![nest(MAX_DEPTH)]];
    assert_eq!(refusal(&deep).0, EncodeErrorKind::TooDeep);
}

#[test]
fn what_json_cannot_say_is_refused() {
    assert_eq!(refusal(&BTreeMap::from([((1, 2), 3)])).0, EncodeErrorKind::Unsupported);
    assert_eq!(refusal(&BTreeMap::from([(None::<u8>, 3)])).0, EncodeErrorKind::Unsupported);
    assert_eq!(refusal(&u128::MAX).0, EncodeErrorKind::Unsupported);
    assert_eq!(text(&BTreeMap::from([(2u8, 1), (10, 1)])), r#"{"10":1,"2":1}"#, "sorted as text");
    assert_eq!(text(&u128::from(u64::MAX)), u64::MAX.to_string());
}

#[test]
fn raw_values_and_numbers_of_serde_json_come_out_compact_and_sorted() {
    let raw =
        serde_json::value::RawValue::from_string("{ \"b\" : [1, 2.50],\n \"a\": \"\\u0041\" }".to_owned()).unwrap();
    assert_eq!(text(&vec![&raw]), r#"[{"a":"A","b":[1,2.5]}]"#);
    // What `arbitrary_precision` makes of a number.
    #[derive(Serialize)]
    #[serde(rename = "$serde_json::private::Number")]
    struct Foreign {
        #[serde(rename = "$serde_json::private::Number")]
        text: &'static str,
    }
    assert_eq!(text(&vec![Foreign { text: "1e2" }]), "[100.0]");
    assert_eq!(refusal(&Foreign { text: "1e999" }).0, EncodeErrorKind::Unsupported);
}

#[test]
fn a_tree_reads_out_of_any_deserializer() {
    let tree: Json = serde_json::from_str(r#"{"b":[1,-2,2.5,null,true],"a":{}}"#).unwrap();
    assert_eq!(tree, json(r#"{"a":{},"b":[1,-2,2.5,null,true]}"#));
    let twice = serde_json::from_str::<Json>(r#"{"a":1,"a":2}"#).unwrap_err();
    assert!(twice.to_string().contains("\"a\" stands twice"), "{twice}");
    let tagged: Json = serde_json::from_str(r#"{"$serde_json::private::Number":"12"}"#).unwrap();
    assert_eq!(tagged.as_u64(), Some(12), "as `arbitrary_precision` hands a number out");
}

#[test]
fn numbers_are_equal_when_they_are_written_the_same() {
    assert_ne!(json("1"), json("1.0"));
    assert_ne!(json("0.0"), json("-0.0"));
    assert_eq!(json("1e2"), json("100.0"));
    assert_eq!(json("18446744073709551615").as_u64(), Some(u64::MAX));
    assert_eq!(json("-9223372036854775808").as_i64(), Some(i64::MIN));
    assert_eq!(json("18446744073709551616").as_u64(), None);
    for number in ["0", "-1", "0.1", "1e300", "5e-324", "1.7976931348623157e308", "123456789.125"] {
        assert_eq!(json(&json(number).to_string()), json(number), "{number}");
    }
}

#[test]
fn an_object_stays_sorted_through_every_change() {
    let mut object = Object::from_iter([("b", 1u64), ("a", 2), ("b", 3)]);
    assert_eq!(object.get("b").and_then(Json::as_u64), Some(3), "the later value stands");
    assert_eq!(object.insert("aa", "new"), None);
    assert_eq!(object.insert("a", Json::Null), Some(2u64.into()));
    *object.get_mut("b").unwrap() = true.into();
    assert_eq!(object.keys().collect::<Vec<_>>(), ["a", "aa", "b"]);
    assert_eq!(object.remove("aa"), Some("new".into()));
    assert_eq!(Json::from(object).to_string(), r#"{"a":null,"b":true}"#);
}

#[test]
fn pretty_text_reads_back_equal() {
    let tree = Json::from_serialize(&town(2, 3)).unwrap();
    assert_eq!(json(&tree.to_pretty()), tree);
    assert_eq!(
        json(r#"{"a":[],"b":{},"c":[1]}"#).to_pretty(),
        "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1\n  ]\n}"
    );
}
