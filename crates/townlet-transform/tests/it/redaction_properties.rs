//! What redaction takes, for all documents: the same as a reference that is too simple to be wrong.

use proptest::prelude::*;
use townlet_schema::{Json, Kind, Object};
use townlet_transform::{HashKey, MASK, Record, Redaction};

use crate::documents::{checked, head, name, object, out, redacting, spelled};

/// A place in a document.
#[derive(Clone, PartialEq, Debug)]
enum Place {
    Member(String),
    Element,
}

/// Does `path` name the place? By the definition of paths, word for word.
fn names(path: &[String], place: &[Place]) -> bool {
    match (path.split_first(), place.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((segment, rest)), _) if segment == "**" => {
            names(rest, place) || place.split_first().is_some_and(|(_, below)| names(path, below))
        }
        (Some(_), None) => false,
        (Some((segment, rest)), Some((step, below))) => {
            let fits = match step {
                Place::Member(name) => segment == "*" || segment == &escaped(name),
                Place::Element => segment == "*",
            };
            fits && names(rest, below)
        }
    }
}

fn escaped(name: &str) -> String {
    name.replace('.', "\\.")
}

/// True where one of `paths` names the place in a record of `kind`.
fn is_redacted(paths: &[Vec<String>], kind: Kind, place: &[Place]) -> bool {
    let container = match kind {
        Kind::Diff => "changes",
        Kind::Event => "payload",
        _ => "",
    };
    let inner = match place.split_first() {
        Some((Place::Member(name), below)) if name == container && !below.is_empty() => Some(below),
        _ => None,
    };
    paths.iter().any(|path| names(path, place) || inner.is_some_and(|inner| names(path, inner)))
}

/// The reference: visits every value, asks every path.
fn reference(object: &Object, at: &[Place], hit: &dyn Fn(&[Place]) -> bool, mask: bool) -> Object {
    let mut left = Object::new();
    for (name, value) in object.iter() {
        let place = [at, &[Place::Member(name.to_owned())]].concat();
        if !hit(&place) {
            left.insert(name, reference_value(value, &place, hit, mask));
        } else if mask {
            left.insert(name, MASK);
        }
    }
    left
}

fn reference_value(value: &Json, at: &[Place], hit: &dyn Fn(&[Place]) -> bool, mask: bool) -> Json {
    match value {
        Json::Object(members) => reference(members, at, hit, mask).into(),
        Json::Array(elements) => {
            let place = [at, &[Place::Element]].concat();
            let kept = elements.iter().filter_map(|element| match (hit(&place), mask) {
                (false, _) => Some(reference_value(element, &place, hit, mask)),
                (true, true) => Some(Json::from(MASK)),
                (true, false) => None,
            });
            Json::Array(kept.collect())
        }
        scalar => scalar.clone(),
    }
}

fn path() -> impl Strategy<Value = Vec<String>> {
    let segment =
        prop_oneof![4 => name().prop_map(|name| escaped(&name)), 1 => Just("*".to_owned()), 1 => Just("**".to_owned())];
    (prop::collection::vec(segment, 0..4), prop_oneof![name().prop_map(|name| escaped(&name)), Just("*".to_owned())])
        .prop_map(|(mut path, last)| {
            path.push(last);
            path
        })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Snapshot, Kind::Diff, Kind::Event])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn redaction_of_text_and_of_trees_equals_the_reference(
        object in object(),
        paths in prop::collection::vec(path(), 1..4),
        kind in kind(),
        dice in any::<u64>(),
        mask in any::<bool>(),
    ) {
        let expected = reference(&object, &[], &|place| is_redacted(&paths, kind, place), mask);
        let written: Vec<String> = paths.iter().map(|path| path.join(".")).collect();
        let fields: Vec<&str> = written.iter().map(String::as_str).collect();
        let action = || if mask { Redaction::Mask } else { Redaction::Remove };

        let text = spelled(&object, dice);
        let left = out(&mut redacting(&fields, kind, action()), checked(kind, text.clone()));
        prop_assert_eq!(
            Json::parse(left.as_bytes()).unwrap(), Json::Object(expected.clone()),
            "{} without {:?} became {}", String::from_utf8_lossy(&text), written, left
        );

        let record = Record::from_tree(head(kind), object).unwrap();
        let left = redacting(&fields, kind, action()).run(record).unwrap().into_tree().unwrap();
        prop_assert_eq!(left, expected);
    }

    #[test]
    fn a_planted_token_never_survives(
        object in object(),
        plants in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..4),
        kind in kind(),
        dice in any::<u64>(),
        how in 0..3_u8,
    ) {
        const TOKEN: &str = "T0KEN-7f3a";
        let mut object = object;
        for (at, in_list) in &plants {
            plant(&mut object, at.index(7), *in_list, TOKEN);
        }
        let action = || match how {
            0 => Redaction::Remove,
            1 => Redaction::Mask,
            _ => Redaction::Hash { key: HashKey::new(b"0123456789abcdef", "test").unwrap() },
        };
        let fields = ["**.password"];
        let text = spelled(&object, dice);
        let from_text = out(&mut redacting(&fields, kind, action()), checked(kind, text));
        let from_tree = out(&mut redacting(&fields, kind, action()), Record::from_tree(head(kind), object).unwrap());
        for left in [&from_text, &from_tree] {
            let parsed = Json::parse(left.as_bytes()).unwrap().to_string();
            prop_assert!(!left.contains(TOKEN) && !parsed.contains(TOKEN), "{left}");
        }
        prop_assert_eq!(Json::parse(from_text.as_bytes()).unwrap(), Json::parse(from_tree.as_bytes()).unwrap());
    }

    #[test]
    fn redacting_twice_is_redacting_once(object in object(), path in path(), dice in any::<u64>(), mask in any::<bool>()) {
        let fields = [path.join(".")];
        let action = || if mask { Redaction::Mask } else { Redaction::Remove };
        let mut chain = redacting(&[fields[0].as_str()], Kind::Snapshot, action());
        let once = out(&mut chain, checked(Kind::Snapshot, spelled(&object, dice)));
        let found = chain.redactions()[0].finds(Kind::Snapshot, once.as_bytes());
        // Removing an element moves the next one up, and `*` takes that too: only there a second time differs.
        prop_assert!(!found, "{once}");
        prop_assert_eq!(&out(&mut chain, checked(Kind::Snapshot, once.as_str())), &once);
    }
}

/// Puts the token under `password` somewhere down the members, at most `down` levels.
fn plant(object: &mut Object, down: usize, in_list: bool, token: &str) {
    let next = object.iter_mut().find_map(|(_, value)| match value {
        Json::Object(inner) if down > 0 => Some(inner),
        _ => None,
    });
    match next {
        Some(inner) => plant(inner, down - 1, in_list, token),
        None => {
            let secret: Object = [("password", Json::from(token))].into_iter().collect();
            if in_list {
                object.insert("list", vec![Json::Array(vec![secret.into()])]);
            } else {
                object.insert("password", token);
            }
        }
    }
}
