//! Recorded streams, and trees at random.

use std::path::PathBuf;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use townlet_schema::{ENVELOPE_KEYS, Json, Number, Object};

fn sample(relative: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(relative);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The 120 ticks of the predecessor, as recorded.
pub(crate) fn predecessor() -> Vec<u8> {
    sample("predecessor/telemetry_stream_0.9.0.jsonl")
}

/// The states of the town of this version, with its other streams left out.
pub(crate) fn town() -> Vec<Object> {
    states(&sample("1.0.0/town.jsonl"))
}

/// Every recorded state, stream after stream.
pub(crate) fn recorded() -> Vec<Vec<Object>> {
    vec![states(&predecessor()), town()]
}

/// The bodies of the snapshots among `lines`.
pub(crate) fn states(lines: &[u8]) -> Vec<Object> {
    let trees =
        lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| Json::parse(line).unwrap());
    let snapshots = trees.filter(|tree| tree.get("payload_type").is_none_or(|kind| kind.as_str() == Some("snapshot")));
    let states = snapshots.map(|tree| {
        let mut sections = tree.as_object().unwrap().clone();
        sections.retain(|key, _| !ENVELOPE_KEYS.contains(&key));
        sections
    });
    states.collect()
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn object(text: &str) -> Object {
    json(text).as_object().expect("an object").clone()
}

fn number() -> impl Strategy<Value = Json> {
    prop_oneof![
        4 => (0u64..4).prop_map(Json::from),
        1 => any::<i64>().prop_map(Json::from),
        1 => any::<f64>().prop_filter_map("finite", |value| Number::try_from(value).ok().map(Json::Number)),
        1 => prop_oneof![Just(0.0), Just(-0.0), Just(1.0)].prop_map(|value| Json::try_from(value).unwrap()),
    ]
}

/// Keys that look like what a patch is made of, and sections that are per tick.
pub(crate) fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]",
        2 => prop_oneof![
            Just("0"), Just("1"), Just("01"), Just("-1"), Just("patch"), Just("changes"), Just("removed"),
            Just("[]"), Just("null"), Just(""), Just("$"), Just("events"), Just("narrations"), Just("social_events"),
        ].prop_map(str::to_owned),
        1 => ".{0,6}",
    ]
}

/// Values, out of few, so that two of them have much in common; among them
/// values that look like operations.
pub(crate) fn tree() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        number(),
        prop_oneof![Just(String::new()), "[ab]", ".{0,8}"].prop_map(Json::from),
        prop_oneof![
            Just("[]"),
            Just("{}"),
            Just("[[]]"),
            Just("[{}]"),
            Just("[0]"),
            Just("[1,2]"),
            Just("[null,0,1]"),
            Just("[null,0,0,{}]"),
            Just(r#"{"0":[]}"#),
            Just(r#"[{"0":1}]"#),
            Just("[[1],[1],[1]]"),
        ]
        .prop_map(json),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Json::Array),
            btree_map(key(), inner, 0..6).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

pub(crate) fn state() -> impl Strategy<Value = Object> {
    btree_map(key(), tree(), 0..7).prop_map(|map| map.into_iter().collect())
}

/// What a tick may do to a value: nothing, something deep inside, a slide, a
/// removal, another value.
pub(crate) fn step() -> impl Strategy<Value = Vec<(u8, usize, Json)>> {
    vec((0u8..8, 0usize..64, tree()), 0..5)
}

/// Does the steps to a state.
pub(crate) fn stepped(state: &Object, steps: &[(u8, usize, Json)]) -> Object {
    let mut next = Json::Object(state.clone());
    for (what, place, value) in steps {
        change(&mut next, *what, *place, value);
    }
    next.as_object().unwrap().clone()
}

fn change(target: &mut Json, what: u8, place: usize, value: &Json) {
    match target {
        Json::Object(object) if !object.is_empty() => {
            let key = object.keys().nth(place % object.len()).unwrap().to_owned();
            match what {
                0 => drop(object.remove(&key)),
                1 => drop(object.insert(format!("{key}+"), value.clone())),
                _ => change(object.get_mut(&key).unwrap(), what, place / 2, value),
            }
        }
        Json::Array(items) if !items.is_empty() => {
            let at = place % items.len();
            match what {
                0 => drop(items.remove(at)),
                1 => items.insert(at, value.clone()),
                2 | 3 => {
                    items.drain(..at.min(2));
                    items.push(value.clone());
                }
                4 => items.truncate(at),
                5 => {
                    let last = items.last().unwrap().clone();
                    items.push(last);
                }
                _ => change(&mut items[at], what, place / 2, value),
            }
        }
        // The root stays an object.
        Json::Object(object) => drop(object.insert("a", value.clone())),
        other => *other = value.clone(),
    }
}
