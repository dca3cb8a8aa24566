//! Comparing a candidate with a baseline.

use townlet_collector::inspect::{Drift, FindingKind, InspectOptions, compare, inspect};

use crate::inspect_files::{OBSERVATIONS, look, phase3, town_of};

fn drift(baseline: &[u8], candidate: &[u8]) -> Drift {
    compare(&look(baseline), &look(candidate))
}

fn kinds(drift: &Drift) -> Vec<FindingKind> {
    drift.findings.iter().map(|finding| finding.kind).collect()
}

fn replaced(bytes: &[u8], line: usize, from: &str, to: &str) -> Vec<u8> {
    let mut lines: Vec<String> = String::from_utf8(bytes.to_vec()).unwrap().lines().map(str::to_owned).collect();
    assert!(lines[line].contains(from), "{from} is not on line {line}");
    lines[line] = lines[line].replacen(from, to, 1);
    lines.join("\n").into_bytes()
}

fn state(tick: u64, variant: &str, rotations: u64) -> String {
    format!(
        "{{\"schema_version\":\"0.9.7\",\"tick\":{tick},\"payload_type\":\"snapshot\",\"runtime_variant\":\"{variant}\",\"queue_metrics\":{{\"cooldown_events\":0,\"ghost_step_events\":0,\"rotation_events\":{rotations}}}}}\n"
    )
}

fn observed(tick: u64, features: &str) -> String {
    format!(
        "{{\"tick\":{tick},\"dto_schema_version\":\"0.2.0\",\"agents\":[{{\"agent_id\":\"alice\",\"map\":[[[0.0,1.0]]],\"features\":{features},\"metadata\":{{}}}}],\"global\":{{}},\"actions\":{{}},\"terminated\":{{}},\"termination_reasons\":{{}}}}\n"
    )
}

#[test]
fn a_file_does_not_drift_from_itself() {
    for bytes in [phase3(), OBSERVATIONS.to_vec()] {
        let drift = drift(&bytes, &bytes);
        assert!(drift.is_empty() && drift.notes.is_empty(), "{drift}");
    }
}

#[test]
fn another_queue_metric_is_found_at_its_first_tick() {
    let baseline = phase3();
    let last = look(&baseline);
    assert!(last.records == 120);
    let candidate = replaced(&baseline, 0, "\"rotation_events\":0", "\"rotation_events\":4");
    let found = drift(&baseline, &candidate);
    assert_eq!(kinds(&found), [FindingKind::QueueMetrics], "{found}");
    assert_eq!(found.findings[0].tick, Some(1));
    assert!(found.findings[0].message.contains("rotation_events 0 -> 4"), "{found}");
}

#[test]
fn another_runtime_variant_is_found() {
    let found = drift(state(1, "facade", 0).as_bytes(), state(1, "legacy", 0).as_bytes());
    assert!(kinds(&found).contains(&FindingKind::RuntimeVariant), "{found}");
    assert!(found.to_string().contains("facade -> legacy"), "{found}");
}

#[test]
fn variants_that_changed_places_between_two_runs_are_found() {
    let before = [state(1, "facade", 0), state(2, "facade", 0), state(1, "legacy", 0)].concat();
    let after = [state(1, "legacy", 0), state(2, "legacy", 0), state(1, "facade", 0)].concat();
    let found = drift(before.as_bytes(), after.as_bytes());
    assert_eq!(kinds(&found), [FindingKind::RuntimeVariant, FindingKind::RuntimeVariant], "{found}");
    assert_eq!(found.findings.iter().map(|finding| finding.run).collect::<Vec<_>>(), [Some(1), Some(2)]);
}

#[test]
fn another_schema_version_is_found() {
    let other = state(1, "facade", 0).replace("0.9.7", "0.9.0");
    let found = drift(state(1, "facade", 0).as_bytes(), other.as_bytes());
    assert_eq!(kinds(&found), [FindingKind::SchemaVersion], "{found}");
    assert!(found.to_string().contains("0.9.7 -> 0.9.0"));
}

#[test]
fn diffs_carry_values_on_and_a_difference_behind_a_lost_tick_is_still_found() {
    let diff = |tick: u64, rotations: u64| {
        format!(
            "{{\"schema_version\":\"0.9.7\",\"tick\":{tick},\"payload_type\":\"diff\",\"changes\":{{\"queue_metrics\":{{\"cooldown_events\":0,\"ghost_step_events\":0,\"rotation_events\":{rotations}}}}}}}\n"
        )
    };
    let quiet = |tick: u64| {
        format!("{{\"schema_version\":\"0.9.7\",\"tick\":{tick},\"payload_type\":\"diff\",\"changes\":{{}}}}\n")
    };
    let before = [state(1, "facade", 0), diff(2, 5), quiet(3)].concat();
    let same = [state(1, "facade", 0), diff(2, 5), quiet(3), diff(4, 6)].concat();
    let found = drift(before.as_bytes(), same.as_bytes());
    assert!(found.is_empty(), "{found}");
    assert!(found.notes[0].contains("goes on to 4"), "{found}");

    let lost = [state(1, "facade", 0), quiet(3)].concat();
    let found = drift(before.as_bytes(), lost.as_bytes());
    assert_eq!(kinds(&found), [FindingKind::Ticks, FindingKind::QueueMetrics], "{found}");
    assert_eq!(found.findings[1].tick, Some(3));
}

#[test]
fn observation_tensors_are_compared_by_agent_shape_and_value() {
    let base = [observed(1, "[0.5,1]"), observed(2, "[0.5,1]")].concat();
    assert_eq!(look(base.as_bytes()).invalid, 0, "{}", look(base.as_bytes()));
    assert!(drift(base.as_bytes(), base.replace("[0.5,1]", "[0.50,1.0]").as_bytes()).is_empty(), "same numbers");
    let value = [observed(1, "[0.5,1]"), observed(2, "[0.5,2]")].concat();
    let found = drift(base.as_bytes(), value.as_bytes());
    assert_eq!(kinds(&found), [FindingKind::Observations]);
    assert_eq!(found.findings[0].tick, Some(2));
    assert!(found.to_string().contains("values of alice"), "{found}");
    let shape = [observed(1, "[0.5,1,0]"), observed(2, "[0.5,1]")].concat();
    let found = drift(base.as_bytes(), shape.as_bytes());
    assert!(found.to_string().contains("features 2 -> map 1x1x2, features 3"), "{found}");
    let found = drift(base.as_bytes(), base.replace("alice", "bob").as_bytes());
    assert_eq!(kinds(&found), [FindingKind::Observations]);
    let none = drift(base.as_bytes(), OBSERVATIONS);
    assert!(kinds(&none).contains(&FindingKind::Observations), "{none}");
}

#[test]
fn a_shorter_candidate_and_fewer_runs_are_found() {
    let baseline = phase3();
    let lines: Vec<&[u8]> = baseline.split_inclusive(|b| *b == b'\n').collect();
    let found = drift(&baseline, &lines[..100].concat());
    assert_eq!(kinds(&found), [FindingKind::Ticks], "{found}");
    assert_eq!(found.findings[0].tick, Some(101));
    let twice = [baseline.clone(), baseline.clone()].concat();
    assert_eq!(kinds(&drift(&twice, &baseline)), [FindingKind::Runs]);
    assert!(drift(&baseline, &twice).is_empty());
}

#[test]
fn what_was_not_kept_for_comparing_is_said() {
    let options = InspectOptions { compare_entries: 40, ..InspectOptions::default() };
    let bytes: String = (1..=100).map(|tick| state(tick, "facade", tick)).collect();
    let short = inspect(bytes.as_bytes(), &options).unwrap();
    let found = compare(&short, &short);
    assert!(found.is_empty());
    assert!(found.notes.iter().any(|note| note.contains("from tick")), "{found}");
}

#[test]
fn states_behind_diffs_are_compared_like_whole_ones() {
    let [whole, diffs] = [false, true].map(|diffs| town_of(diffs, |tick| tick / 10).concat());
    assert!(drift(&whole, &diffs).is_empty(), "{:?}", drift(&whole, &diffs));
    let other = town_of(true, |tick| if tick < 25 { tick / 10 } else { 9 }).concat();
    let found = format!("{:?}", drift(&whole, &other));
    assert!(found.contains("rotation_events") && found.contains("25"), "{found}");
}
