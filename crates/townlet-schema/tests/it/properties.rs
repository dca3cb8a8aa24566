//! What must hold for every input.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use townlet_schema::{
    ClientState, Diff, Json, Kind, LineExtra, LinePrefix, Number, Object, RunId, SchemaVersion, encode_into, read_head,
    read_record,
};

fn number() -> impl Strategy<Value = Json> {
    prop_oneof![
        any::<u64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_filter_map("finite", |value| Number::try_from(value).ok().map(Json::Number)),
    ]
}

fn tree() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), number(), ".*".prop_map(Json::from)];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Json::Array),
            btree_map(".*", inner, 0..6).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Object> {
    btree_map("[a-z]{1,3}", tree(), 0..6).prop_map(|map| {
        let mut object: Object = map.into_iter().collect();
        object.retain(|key, _| !townlet_schema::ENVELOPE_KEYS.contains(&key));
        object
    })
}

/// Text that is nearly a line, so that a reader gets past its first byte.
fn nearly_a_line() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\\u"),
        Just("\\ud800"),
        Just("\"tick\""),
        Just("\"seq\""),
        Just("\"schema_version\":\"1.0.0\""),
        Just("\"schema_version\":\"0.9.0\""),
        Just("\"payload_type\":\"diff\""),
        Just("\"changes\""),
        Just("null"),
        Just("-1"),
        Just("1e9"),
        Just("\"jobs\""),
        Just("\"run_id\":\"01932c07-1d3a-7cc2-8f6e-0123456789ab\""),
        Just("\"stream\":\"s\""),
        Just(" "),
        Just("\u{1}"),
    ];
    vec(word, 0..40).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_tree_is_the_same_after_text(tree in tree()) {
        let mut compact = Vec::new();
        tree.write(&mut compact);
        prop_assert_eq!(&Json::parse(&compact).unwrap(), &tree);
        prop_assert_eq!(&Json::parse(tree.to_pretty().as_bytes()).unwrap(), &tree);
        let mut encoded = Vec::new();
        encode_into(&tree, &mut encoded).unwrap();
        prop_assert_eq!(&encoded, &compact, "one text for one tree");
        prop_assert_eq!(&Json::from_serialize(&tree).unwrap(), &tree);
        prop_assert_eq!(&tree.read::<Json>().unwrap(), &tree);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&compact).is_ok());
    }

    #[test]
    fn a_line_is_one_line_of_json_whose_head_reads_back(
        kind in proptest::sample::select(Kind::ALL.to_vec()),
        run in any::<u128>(),
        stream in ".*",
        seq in any::<u64>(),
        tick in any::<u64>(),
        base_seq in any::<Option<u64>>(),
        rendering in any::<Option<u64>>(),
        body in object(),
    ) {
        let run = RunId::from_u128(run);
        let prefix = LinePrefix::new(SchemaVersion::CURRENT, kind, &run, &stream);
        let (mut line, mut text) = (Vec::new(), Vec::new());
        encode_into(&body, &mut text).unwrap();
        prefix.write_line(seq, tick, LineExtra { base_seq, rendering }, &text, &mut line);
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        prop_assert_eq!(line.last(), Some(&b'\n'));
        let head = read_head(&line).unwrap();
        prop_assert_eq!(head.schema_version, Some(SchemaVersion::CURRENT));
        prop_assert_eq!(head.payload_type, Some(kind));
        prop_assert_eq!(head.run_id.as_deref(), Some(run.as_str()));
        prop_assert_eq!(head.stream.as_deref(), Some(stream.as_str()));
        prop_assert_eq!((head.seq, head.tick), (Some(seq), Some(tick)));
        prop_assert_eq!((head.base_seq, head.rendering), (base_seq, rendering));
        let whole = Json::parse(&line).unwrap();
        for (key, value) in body.iter() {
            prop_assert_eq!(whole.get(key), Some(value));
        }
    }

    #[test]
    fn readers_agree_and_never_panic_on_bytes(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read_record(&bytes);
        let (head, tree) = (read_head(&bytes), Json::parse(&bytes));
        prop_assert!(head.is_err() || tree.is_ok());
    }

    #[test]
    fn readers_agree_and_never_panic_on_text(text in "\\PC*") {
        let _ = read_record(text.as_bytes());
        let serde = serde_json::from_str::<serde_json::Value>(&text);
        prop_assert_eq!(Json::parse(text.as_bytes()).is_ok(), serde.is_ok(), "{}", text);
    }

    #[test]
    fn readers_never_panic_on_what_is_nearly_a_line(bytes in nearly_a_line()) {
        let _ = read_record(&bytes);
        let _ = ClientState::new().apply(&bytes);
        let tree = Json::parse(&bytes);
        if let (Ok(_), Err(error)) = (read_head(&bytes), &tree) {
            prop_assert_eq!(error.kind(), townlet_schema::ReadErrorKind::DuplicateKey);
        }
        if tree.is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        }
    }

    #[test]
    fn a_mutilated_recorded_line_never_panics(tick in 0usize..120, at in 0usize..4000, byte in any::<u8>()) {
        let mut line = crate::samples::lines(crate::samples::stream())[tick].to_vec();
        let at = at % line.len();
        line[at] = byte;
        let _ = read_record(&line);
        let _ = read_head(&line);
    }

    #[test]
    fn a_diff_leads_from_any_state_to_any_other(base in object(), next in object()) {
        let mut state = base.clone();
        Diff::between(&base, &next).apply(&mut state);
        prop_assert_eq!(state, next);
    }
}

/// Every shape of serde's data model.
#[derive(Clone, Debug, serde::Serialize)]
enum Shape {
    Unit,
    Newtype(Box<Shape>),
    Tuple(i8, u64, Option<f32>),
    Struct {
        map: std::collections::HashMap<String, f64>,
        numbered: std::collections::BTreeMap<i32, bool>,
        #[serde(flatten)]
        more: Flat,
    },
    List(Vec<Shape>),
    Tree(Json),
    Text(char, String),
    Wide(i128),
}

#[derive(Clone, Debug, serde::Serialize)]
struct Flat {
    z: (),
    a: f32,
}

fn shape() -> impl Strategy<Value = Shape> {
    let map = || proptest::collection::hash_map(".*", any::<f64>(), 0..4);
    let leaf = prop_oneof![
        Just(Shape::Unit),
        (any::<i8>(), any::<u64>(), any::<Option<f32>>()).prop_map(|(a, b, c)| Shape::Tuple(a, b, c)),
        (map(), btree_map(any::<i32>(), any::<bool>(), 0..4), any::<f32>())
            .prop_map(|(map, numbered, a)| Shape::Struct { map, numbered, more: Flat { z: (), a } }),
        tree().prop_map(Shape::Tree),
        (any::<char>(), ".*").prop_map(|(a, b)| Shape::Text(a, b)),
        prop_oneof![any::<i128>(), any::<u64>().prop_map(i128::from)].prop_map(Shape::Wide),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|shape| Shape::Newtype(shape.into())),
            vec(inner, 0..4).prop_map(Shape::List),
        ]
    })
}

proptest! {
    /// Whether by way of the text or straight: the same tree, or the same refusal.
    #[test]
    fn a_tree_from_a_value_is_the_tree_of_its_text(value in shape()) {
        let mut text = Vec::new();
        match (encode_into(&value, &mut text), Json::from_serialize(&value)) {
            (Ok(()), Ok(tree)) => prop_assert_eq!(tree, Json::parse(&text).unwrap()),
            (Err(text), Err(tree)) => prop_assert_eq!((text.kind(), text.path()), (tree.kind(), tree.path())),
            (text, tree) => prop_assert!(false, "{text:?} but {tree:?}"),
        }
    }
}
