//! Patches that fit, that do not, and that are none.

use townlet_schema::{HeapSize, Object, Patch, StateDiff, encode_into};

use crate::samples::object;

#[test]
fn the_body_of_a_diff_is_a_patch_and_what_happened_in_the_tick() {
    let body = object(
        r#"{"schema_version":"1.1.0","tick":3,"patch":{"jobs":{"ann":1}},"events":[{"event":"chat"}],"later":true}"#,
    );
    assert!(StateDiff::is_body(&body) && !StateDiff::is_body(&object(r#"{"changes":{}}"#)));
    let diff = StateDiff::from_body(body).unwrap();
    assert_eq!(diff.per_tick, object(r#"{"events":[{"event":"chat"}]}"#), "neither the envelope nor what is unknown");
    let mut out = Vec::new();
    encode_into(&diff, &mut out).unwrap();
    assert_eq!(out, br#"{"patch":{"jobs":{"ann":1}},"events":[{"event":"chat"}]}"#);
    assert!(diff.heap_size() > 0);
    let mut state = object(r#"{"jobs":{"ann":0},"narrations":[1]}"#);
    diff.apply(&mut state).unwrap();
    assert_eq!(state, object(r#"{"jobs":{"ann":1},"narrations":[],"events":[{"event":"chat"}]}"#));
    for (body, message) in [("{}", "patch: missing"), (r#"{"patch":[]}"#, "patch: expected an object, found an array")]
    {
        assert_eq!(StateDiff::from_body(object(body)).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_patch_that_does_not_fit_changes_nothing_and_names_the_member() {
    let base = object(r#"{"a":{"b":[1,{"c":2}],"n":1},"z":{"y":0}}"#);
    for (patch, message) in [
        (r#"{"a":{"q":{"c":1}}}"#, "a.q: there is nothing to change"),
        (r#"{"a":{"n":{"c":1}}}"#, "a.n: members change, and here are none"),
        (r#"{"a":{"q":[]}}"#, "a.q: there is nothing to remove"),
        (r#"{"q":[]}"#, "q: there is nothing to remove"),
        (r#"{"a":{"b":{"0":[]}}}"#, "a.b.0: only a member of an object can be removed"),
        (r#"{"a":{"b":{"2":1}}}"#, "a.b.2: no index of this array"),
        (r#"{"a":{"b":{"01":1}}}"#, "a.b.01: no index of this array"),
        (r#"{"a":{"b":{"+1":1}}}"#, "a.b.+1: no index of this array"),
        (r#"{"a":{"b":[3]}}"#, "a.b: more items than the array has, or no count of items"),
        (r#"{"a":{"b":[-1]}}"#, "a.b: more items than the array has, or no count of items"),
        (r#"{"a":{"b":[0.5]}}"#, "a.b: more items than the array has, or no count of items"),
        (r#"{"a":{"b":[null,1,2]}}"#, "a.b: more items than the array has, or no count of items"),
        (r#"{"a":{"b":[null,1,18446744073709551615]}}"#, "a.b: more items than the array has, or no count of items"),
        (r#"{"a":{"n":[0,1]}}"#, "a.n: items change, and here is no array"),
        (r#"{"a":{"n":[null,0,0]}}"#, "a.n: items change, and here is no array"),
        (r#"{"a":{"b":["x"]}}"#, "a.b: not an operation that is known"),
        (r#"{"a":{"b":[null,0]}}"#, "a.b: not an operation that is known"),
        (r#"{"a":{"b":[[],[]]}}"#, "a.b: not an operation that is known"),
        (r#"{"a":{"b":[true,1]}}"#, "a.b: not an operation that is known"),
        (r#"{"a":{"b":[2,{}]}}"#, "a.b[0]: there is nothing to change"),
        (r#"{"a":{"b":[0,5,{}]}}"#, "a.b[3]: members change, and here are none"),
        (r#"{"a":{"b":[0,[]]}}"#, "a.b[2]: only a member of an object can be removed"),
        (r#"{"a":{"b":[0,{"q":{}}]}}"#, "a.b[2].q: there is nothing to change"),
    ] {
        // What comes before and after it fits, and is not applied either.
        let mut changes = object(patch);
        changes.insert("A", 1u64);
        changes.insert("z", object(r#"{"y":[]}"#));
        let mut state = base.clone();
        let error = Patch::new(changes).apply(&mut state).expect_err(patch);
        assert_eq!(error.to_string(), message, "{patch}");
        assert_eq!(state, base, "{patch}");
    }
}

#[test]
fn a_few_bytes_cannot_ask_for_more_memory_than_a_line_could() {
    let text = "x".repeat(1 << 20);
    let base: Object = object(&format!(r#"{{"list":[{{"text":"{text}"}}]}}"#));
    let mut state = base.clone();
    let patch = object(&format!(r#"{{"list":[0{}]}}"#, ",{}".repeat(1000)));
    let error = Patch::new(patch).apply(&mut state).unwrap_err();
    assert!(error.to_string().contains("copies more than a line could say"), "{error}");
    assert_eq!(state, base);
}

#[test]
fn many_members_come_and_go_in_one_pass() {
    // Inserting each where it belongs would move the others a hundred thousand times.
    let many = |prefix: &str| (0..100_000u64).map(|n| (format!("{prefix}{n}"), n)).collect::<Object>();
    let mut state = Object::from_iter([("s", many("z"))]);
    let mut changes: Object = many("a");
    changes.extend(many("z").into_iter().map(|(key, _)| (key, townlet_schema::Json::Array(vec![]))));
    Patch::new(Object::from_iter([("s", changes)])).apply(&mut state).unwrap();
    assert_eq!(state, Object::from_iter([("s", many("a"))]));
}
