//! The text of each form of a change.

use townlet_schema::{Json, MAX_DEPTH, Object, Patch};
use townlet_state::{diff, patch, write_diff};

use crate::data::{json, object};

/// The patch from `{"s":base}` to `{"s":next}`, without the `s`.
fn change(base: &str, next: &str) -> String {
    let (base, next) = (json(base), json(next));
    let around = |value: &Json| Object::from_iter([("s", value.clone()), ("t", Json::Null)]);
    let patch = patch(&around(&base), &around(&next)).unwrap();
    let mut state = around(&base);
    patch.apply(&mut state).unwrap();
    assert_eq!(state, around(&next));
    patch.changes().get("s").map_or_else(|| "nothing".to_owned(), Json::to_string)
}

#[test]
fn each_change_has_the_shortest_of_its_forms() {
    for (base, next, text) in [
        // Scalars stand for themselves, and what looks equal and is not is a change.
        ("1", "2", "2"),
        ("1", "1.0", "1.0"),
        ("0.0", "-0.0", "-0.0"),
        ("null", "\"a\"", "\"a\""),
        ("{\"a\":1}", "null", "null"),
        ("null", "null", "nothing"),
        // Containers stand in brackets.
        ("1", "[]", "[[]]"),
        ("1", "{}", "[{}]"),
        ("[1]", "{\"a\":1}", "[{\"a\":1}]"),
        ("{\"a\":[]}", "{}", "[{}]"),
        // Members.
        (r#"{"a":1,"b":2,"c":3}"#, r#"{"a":1,"b":4,"c":3}"#, r#"{"b":4}"#),
        (r#"{"alice":1,"bob":2}"#, r#"{"alice":1}"#, r#"{"bob":[]}"#),
        (r#"{"a":1,"bob":2,"cecile":3}"#, r#"{"a":1}"#, r#"[{"a":1}]"#),
        (r#"{"alice":"a long text","bob":2}"#, r#"{"alice":"a long text"}"#, r#"{"bob":[]}"#),
        (r#"{"a":{"b":{"c":[1]},"d":1}}"#, r#"{"a":{"b":{"c":[1],"e":{}},"d":1}}"#, r#"{"a":{"b":{"e":[{}]}}}"#),
        // Lists that slide, by one, by more, to the end, and without new items.
        ("[1,2,3,4]", "[2,3,4,5]", "[1,5]"),
        ("[1,2,3,4]", "[4,8,9]", "[3,8,9]"),
        ("[1,2,3,4]", "[1,2,3,4,5]", "[0,5]"),
        ("[1,2,3,4]", "[3,4]", "[2]"),
        ("[0,0,0,0]", "[0,0,0,1]", "[1,1]"),
        ("[0,0,0,0]", "[0,0,0,0,0]", "[0,0]"),
        // An item as a change to the one before it.
        (r#"[{"tick":1,"n":{"a":0}}]"#, r#"[{"tick":1,"n":{"a":0}},{"tick":2,"n":{"a":0}}]"#, r#"[0,{"tick":2}]"#),
        (r#"["text",{"a":1}]"#, r#"["text",{"a":1},{"a":1},"b",{"c":1}]"#, r#"[0,{},"b",[{"c":1}]]"#),
        ("[[1,1],[1,2]]", "[[1,2],[1,2,3]]", "[1,[0,3]]"),
        // One place in the middle, and the end that is cut off.
        ("[1,2,3,4,5,6,7,8]", "[1,2,3,5,6,7,8]", "[null,3,1]"),
        (r#"["aaaaaaaa","bbbbbbbb"]"#, r#"["cccccccc","aaaaaaaa","bbbbbbbb"]"#, r#"[null,0,0,"cccccccc"]"#),
        (r#"["aaaaaaaa","bbbbbbbb","c"]"#, r#"["aaaaaaaa","bbbbbbbb"]"#, "[null,2,1]"),
        // Indices.
        (
            r#"[{"p":1,"a":"long"},{"p":2,"a":"text"}]"#,
            r#"[{"p":3,"a":"long"},{"p":4,"a":"text"}]"#,
            r#"{"0":{"p":3},"1":{"p":4}}"#,
        ),
        // All of it.
        ("[1,2]", "[3,4]", "[[3,4]]"),
        ("[1]", "[]", "[[]]"),
    ] {
        assert_eq!(change(base, next), text, "{base} to {next}");
    }
}

#[test]
fn keys_and_values_that_look_like_operations_are_none() {
    for (base, next) in [
        (r#"{"0":1,"x":"long enough"}"#, r#"{"0":[],"x":"long enough"}"#),
        ("[[],1]", "[[],[]]"),
        (r#"{"[]":1,"null":2}"#, r#"{"[]":[],"null":[null,0,1]}"#),
        ("[0]", "[[0]]"),
        ("[[0]]", "[0]"),
        ("[null,0,1]", "[null,0,2]"),
        (r#"[{"0":[]}]"#, r#"[{"0":[[]]}]"#),
        (r#"{"patch":{"patch":1}}"#, r#"{"patch":{"changes":1,"removed":["patch"]}}"#),
    ] {
        change(base, next);
        change(next, base);
    }
}

#[test]
fn per_tick_sections_travel_whole_and_are_over_in_the_next_tick() {
    let quiet = object(r#"{"events":[],"jobs":{"ann":{"wallet":1}},"narrations":[]}"#);
    let busy = object(r#"{"events":[{"event":"chat"}],"jobs":{"ann":{"wallet":1}},"narrations":[]}"#);
    let text = |base: &Object, next: &Object| {
        let mut body = Vec::new();
        assert!(write_diff(base, next, &mut body));
        String::from_utf8(body).unwrap()
    };
    assert_eq!(text(&quiet, &busy), r#"{"patch":{},"events":[{"event":"chat"}]}"#);
    // The same event again is another one, and goes whole once more.
    assert_eq!(text(&busy, &busy), r#"{"patch":{},"events":[{"event":"chat"}]}"#);
    assert_eq!(text(&busy, &quiet), r#"{"patch":{}}"#);
    // A section that comes or goes as such is said.
    assert_eq!(text(&Object::new(), &object(r#"{"events":[]}"#)), r#"{"patch":{},"events":[]}"#);
    assert_eq!(text(&busy, &object(r#"{"jobs":{"ann":{"wallet":1}},"narrations":[]}"#)), r#"{"patch":{"events":[]}}"#);
}

#[test]
fn a_patch_has_nothing_that_is_neither_in_the_new_state_nor_a_key_of_the_old_one_w2() {
    // Redaction is done before: what it took out of both states cannot come back by a diff.
    let base =
        object(r#"{"jobs":{"ann":{"wallet":"5d41"}},"policy_identity":{"config_id":"v1","policy_hash":"secret-old"}}"#);
    let next = object(r#"{"jobs":{"ann":{"wallet":"7f02"}}}"#);
    let text = Json::from_serialize(&diff(&base, &next).unwrap()).unwrap().to_string();
    assert_eq!(text, r#"{"patch":{"jobs":{"ann":{"wallet":"7f02"}},"policy_identity":[]}}"#);
}

#[test]
fn what_would_be_nested_too_deeply_to_be_read_is_not_written() {
    let nested =
        |levels: usize, leaf: &str| object(&format!(r#"{}{leaf}{}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels)));
    let mut body = b"before".to_vec();
    assert!(write_diff(&nested(MAX_DEPTH - 1, "1"), &nested(MAX_DEPTH - 1, "2"), &mut body));
    assert!(Json::parse(&body[6..]).is_ok());
    body.truncate(6);
    assert!(!write_diff(&nested(MAX_DEPTH, "1"), &nested(MAX_DEPTH, "2"), &mut body));
    assert_eq!(body, b"before");
    for levels in MAX_DEPTH - 4..=MAX_DEPTH {
        for (base, next) in
            [(object("{}"), nested(levels, "1")), (nested(levels - 2, "[1]"), nested(levels - 2, "[{}]"))]
        {
            body.clear();
            if write_diff(&base, &next, &mut body) {
                let mut state = base;
                let tree = Json::parse(&body).unwrap();
                townlet_schema::StateDiff::from_body(tree.as_object().unwrap().clone())
                    .unwrap()
                    .apply(&mut state)
                    .unwrap();
                assert_eq!(state, next);
            } else {
                assert!(levels >= MAX_DEPTH - 2);
                assert_eq!(patch(&base, &next).map(|patch: Patch| patch.is_empty()), None);
            }
        }
    }
}
