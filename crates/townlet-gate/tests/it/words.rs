//! Decisions in words, and what differs between two of them.

use serde_json::{Value, json};
use townlet_gate::gate::{Code, diff, explain, explain_code};
use townlet_registry::Digest;

use crate::sample::manifest;
use crate::world::{World, approval, signed};

#[test]
fn a_decision_is_explained_with_every_reason_and_what_to_do() {
    let world = World::sound().without("product-owner").without("rehearsal");
    let digest = world.digest();
    let mut world = world.and("nobody", signed("cy", digest, approval("product-owner", "", "2026-11-21T13:00:00Z")));
    world.samples = world.samples.map(|text| text.replace("183.5", "283.5"));
    insta::assert_snapshot!(explain(&world.decide()));
}

#[test]
fn an_approval_is_explained_as_well() {
    let text = explain(&World::sound().decide());
    assert!(text.starts_with("approve: R42 may go to production, as of 2026-11-21T14:00:00.000Z\n"), "{text}");
    assert!(
        text.contains("performance_p95_ms was 183.5 at 2026-11-21T13:30:00.000Z") && !text.contains("->"),
        "{text}"
    );
}

#[test]
fn a_code_is_explained_by_its_name() {
    let text = explain_code(Code::RollbackRehearsalOverdue);
    let remedy = "townlet rehearse, and townlet attest rehearsal";
    assert_eq!(text, format!("ROLLBACK_REHEARSAL_OVERDUE\n  The last rehearsal is too long ago.\n  -> {remedy}\n"));
}

#[test]
fn two_manifests_differ_field_by_field_and_items_are_known_by_their_names() {
    let before = manifest();
    let mut after = before.clone();
    after.release = "R43".into();
    after.artifacts[1].digest = Digest::of(b"other");
    after.artifacts.swap(0, 1);
    after.feature_flags.clear();
    after.previous =
        Some(townlet_gate::manifest::Previous { release: "R42".into(), manifest: before.digest().unwrap() });
    let json = |manifest| serde_json::to_value(manifest).unwrap();
    let found = diff(&json(&before), &json(&after));
    let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["artifacts[prompt-pack].digest", "feature_flags[overlay_v2]", "previous", "release"]);
    assert_eq!((&found[3].before, &found[3].after), (&Some(json!("R42")), &Some(json!("R43"))));
    assert_eq!((found[1].after.as_ref(), found[2].before.as_ref()), (None, Some(&Value::Null)));
    assert!(diff(&json(&before), &json(&before)).is_empty());
}

#[test]
fn two_decisions_differ_in_what_changed_their_mind() {
    let approved = World::sound();
    let mut rejected = approved.clone();
    rejected.samples = rejected.samples.map(|text| text.replace("0.001", "0.1"));
    let json = |world: &World| serde_json::to_value(world.decide()).unwrap();
    let found = diff(&json(&approved), &json(&rejected));
    let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
    for path in ["verdict", "conditions[error_rate].standing", "conditions[error_rate].observed[0].value"] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
}

#[test]
fn lists_without_names_and_with_doubles_are_compared_by_position() {
    let found = diff(&json!({"a": [1, 2], "b": ["x", "x"]}), &json!({"a": [1, 3, 4], "b": ["x", "y"]}));
    let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["a[1]", "a[2]", "b[0]", "b[1]", "b[x]", "b[y]"]);
}
