//! Redaction: text and trees lose the same, what the paths name and nothing else, and no value that was taken is left
//! in the bytes.
//!
//! An input is a line `<kind> <action> <path> <path> …`, such as `d h policy_identity **.secret`, then a body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townlet_fuzz::redaction::Paths;
use townlet_schema::{ENVELOPE_KEYS, Json, Kind, Object};
use townlet_transform::{Chain, ChainBuilder, FieldPath, HashKey, Head, MASK, Record, Redaction, TransformSpec};

/// A text that short may stand in what is left for reasons of its own.
const TELLING: usize = 6;

fuzz_target!(|input: &[u8]| {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(rule) = std::str::from_utf8(&input[..end]) else { return };
    let body = &input[end + 1..];
    let mut words = rule.split(' ');
    let (kind, action) = (kind(words.next()), words.next().unwrap_or_default());
    let fields: Vec<String> = words.map(str::to_owned).take(8).collect();

    let taken_as_body = Record::checked(Head::new(kind, "town", 7), body.to_vec());
    let Some(tree) = tree_of(body) else {
        assert!(taken_as_body.is_err(), "a body that is no tree: {}", String::from_utf8_lossy(body));
        return;
    };
    let record = taken_as_body.unwrap_or_else(|dropped| panic!("a tree that is no body: {dropped}"));
    let Some(mut chain) = chain(&fields, kind, action) else { return };

    let mut values = Vec::new();
    let expected = Paths::new(&fields, kind).redacted(&tree, &|value| replacement(action, value), &mut values);
    let from_text = chain.run(record).unwrap_or_else(|dropped| panic!("dropped as text: {dropped}"));
    let from_tree = Record::from_tree(Head::new(kind, "town", 7), tree).and_then(|record| chain.run(record));
    let from_tree = from_tree.unwrap_or_else(|dropped| panic!("dropped as a tree: {dropped}"));
    for (way, left) in [("text", from_text), ("tree", from_tree)] {
        let bytes = left.body_bytes().to_vec();
        let shown = String::from_utf8_lossy(&bytes);
        let tree = left.into_tree().unwrap_or_else(|dropped| panic!("{way} became no body: {dropped}: {shown}"));
        assert_eq!(tree, expected, "from {way}: {shown}");
        assert_eq!(tree_of(&bytes).as_ref(), Some(&expected), "from {way}: {shown}");
        let found = chain.redactions().iter().any(|redaction| redaction.finds(kind, &bytes));
        assert!(!found, "from {way}, still found: {shown}");
        nothing_is_left(&values, &Json::Object(expected.clone()), &shown);
    }
});

fn kind(word: Option<&str>) -> Kind {
    match word {
        Some("d") => Kind::Diff,
        Some("e") => Kind::Event,
        _ => Kind::Snapshot,
    }
}

/// The body, where it is one by the readers of the schema.
fn tree_of(body: &[u8]) -> Option<Object> {
    match Json::parse(body) {
        Ok(Json::Object(tree)) if !ENVELOPE_KEYS.iter().any(|key| tree.contains_key(key)) => Some(tree),
        _ => None,
    }
}

fn key() -> HashKey {
    HashKey::new(b"a key for fuzzing", "fuzz").unwrap_or_else(|error| panic!("{error}"))
}

/// A chain that redacts and does nothing else; none where the fields are refused.
fn chain(fields: &[String], kind: Kind, action: &str) -> Option<Chain> {
    let action = match action {
        "m" => Redaction::Mask,
        "h" => Redaction::Hash { key: key() },
        _ => Redaction::Remove,
    };
    let readable = !fields.is_empty() && fields.iter().all(|field| FieldPath::parse(field).is_ok());
    let spec = TransformSpec::RedactFields { fields: fields.to_vec(), kinds: vec![kind], action };
    match ChainBuilder::from_specs([spec]).build() {
        Ok(chain) => {
            assert!(readable, "took a field that cannot be read: {fields:?}");
            Some(chain)
        }
        Err(error) => {
            assert!(!readable || error.to_string().contains("128 levels"), "{error}");
            None
        }
    }
}

/// What the documentation of [`Redaction`] says, by other code where that is possible.
fn replacement(action: &str, value: &Json) -> Option<Json> {
    match action {
        "m" => Some(Json::from(MASK)),
        "h" => Some(hashed(value)),
        _ => None,
    }
}

/// Hashing has one implementation; that equal values get equal hashes on both ways is what can be checked here.
fn hashed(value: &Json) -> Json {
    let body: Object = [("x", value.clone())].into_iter().collect();
    let fields = ["x".to_owned()];
    let mut chain = chain(&fields, Kind::Run, "h").unwrap_or_else(|| panic!("a chain that hashes"));
    let mut text = Vec::new();
    Json::Object(body).write(&mut text);
    let record = Record::checked(Head::new(Kind::Run, "town", 7), text);
    let left = record.and_then(|record| chain.run(record)).and_then(|left| left.into_tree());
    let hash = left.ok().and_then(|mut left| left.remove("x"));
    hash.unwrap_or_else(|| panic!("a value that cannot be hashed"))
}

fn nothing_is_left(taken: &[Json], expected: &Json, shown: &str) {
    let expected = expected.to_string();
    let mut open: Vec<&Json> = taken.iter().collect();
    while let Some(value) = open.pop() {
        match value {
            Json::Array(elements) => open.extend(elements),
            Json::Object(members) => open.extend(members.values()),
            Json::String(_) | Json::Number(_) => {
                let text = value.to_string();
                let text = text.trim_matches('"');
                let telling = text.len() >= TELLING && !expected.contains(text);
                assert!(!telling || !shown.contains(text), "{text} is left in {shown}");
            }
            Json::Null | Json::Bool(_) => {}
        }
    }
}
