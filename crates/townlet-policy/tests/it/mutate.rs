//! Changes of policies.

use townlet_policy::suite::Suite;
use townlet_policy::{Findings, Policy, expression, mutate};

const POLICY: &str = r#"
metrics:
  p95: { unit: ms, worse: up }
  ok: { unit: "%", worse: down }
  up: { unit: bool, worse: down }
rules:
  - { id: slow, when: "p95 > +10% and not ok < 0 for 4m keep 1m", action: hold }
  - { id: band, accept: "ok in 90..100 min_samples 4 in 2m unless no-data" }
  - { id: down, when: "up == false or p95 absent for 4m", action: rollback, dry_run: true }
  - { id: old, require: "p95 fresh < 1m max_gap 2m", action: note }
"#;

fn policy(text: &str) -> Policy {
    let mut found = Findings::new("p.yaml", text);
    Policy::read(text, &mut found).unwrap_or_else(|| panic!("{found}"))
}

#[test]
fn every_kind_of_change_is_made() {
    let all = mutate::mutants(&policy(POLICY));
    let changes: Vec<&str> = all.iter().map(|one| one.change.as_str()).collect();
    let expected = [
        "gap: hold became prometheus",
        "max_gap: 5m became 2m30s",
        "max_gap: 5m became 10m",
        "p95: worse: up became down",
        "ok: worse: down became up",
        "up: worse: down became up",
        "'slow': … > +10% and not … became … > +10% or not …",
        "'slow': p95 > +10% and not … became not …",
        "'slow': p95 > +10% … became p95 < +10% …",
        "'slow': p95 > +10% … became p95 >= +10% …",
        "'slow': p95 > +10% and … became p95 > +11% and …",
        "'slow': p95 > +10% and … became p95 > +9% and …",
        "'slow': p95 > +10% and … became p95 > ±10% and …",
        "'slow': … > +10% and not ok < 0% for … became … > +10% for …",
        "'slow': … +10% and not ok … became … +10% and ok …",
        "'slow': … not ok < 0% … became … not ok > 0% …",
        "'slow': … not ok < 0% … became … not ok <= 0% …",
        "'slow': … ok < 0% for … became … ok < 1% for …",
        "'slow': … ok < 0% for … became … ok < (-1%) for …",
        "'slow': … 0% for 4m keep … became … 0% for 2m keep …",
        "'slow': … < 0% for 4m keep … became … < 0% keep …",
        "'slow': … 4m keep 1m became … 4m keep 30s",
        "'slow': … for 4m keep 1m became … for 4m",
        "'slow': action: hold became warn",
        "'slow': action: hold became rollback",
        "'slow': became a dry run",
        "'slow' was removed",
    ];
    assert_eq!(changes[..expected.len()], expected);
    for change in [
        "'band': ok in 90%..100% min_samples … became ok in 91%..100% min_samples …",
        "'band': … 90%..100% min_samples 4 in … became … 90%..100% min_samples 2 in …",
        "'band': … in 90%..100% min_samples 4 in 2m unless … became … in 90%..100% unless …",
        "'band': … in 2m unless no-data became … in 2m",
        "'down': up == false … became up != false …",
        "'down': … absent for 4m became … absent for 2m",
        "'down': … p95 absent for 4m became … p95 absent",
        "'down': became serious",
        "'down' was removed",
        "'old': … fresh < 1m max_gap … became … fresh < 30s max_gap …",
        "'old': … 1m max_gap 2m became … 1m max_gap 1m",
        "'old': action: note became warn",
    ] {
        assert!(changes.contains(&change), "{change} in {changes:#?}");
    }
    // What a dry run would do, nobody sees; and nothing is weaker than a note.
    assert!(!changes.iter().any(|change| change.contains("'down': action")), "{changes:#?}");
}

#[test]
fn each_mutant_differs_from_the_policy_and_reads_back() {
    let original = policy(POLICY);
    for mutant in mutate::mutants(&original) {
        assert_ne!(mutant.policy, original, "{}", mutant.change);
        for rule in &mutant.policy.rules {
            let text = expression::rule(rule, &original.metrics);
            let read = expression::parse(&text, &original.metrics, None);
            assert!(read.is_ok(), "{text}: {read:?}");
        }
    }
}

#[test]
fn what_no_test_looks_at_survives() {
    let simple = r#"
metrics: { p95: { unit: ms, worse: up } }
rules: [{ id: slow, when: "p95 > 200 for 4m", action: hold }]
"#;
    let policy = policy(simple);
    let score = |text: &str| {
        let mut found = Findings::new("p.test.yaml", text);
        let bound = Suite::read(text, &mut found).unwrap_or_else(|| panic!("{found}"));
        mutate::score(&policy, &[bound.bind(&policy, &mut found).unwrap()])
    };
    let weak = "policy: p.yaml\ntests: [{ name: a, series: { p95: \"300x9\" }, expect: [{ at: 5m, rules: { slow: firing } }] }]";
    let weak = score(weak).unwrap();
    let survivors: Vec<&str> = weak.survivors.iter().map(|one| one.change.as_str()).collect();
    assert_eq!(
        survivors,
        [
            "max_gap: 5m became 2m30s",
            "max_gap: 5m became 10m",
            "'slow': p95 > 200ms … became p95 >= 200ms …",
            "'slow': p95 > 200ms for … became p95 > 220ms for …",
            "'slow': p95 > 200ms for … became p95 > 180ms for …",
            "'slow': … 200ms for 4m became … 200ms for 2m",
            "'slow': … > 200ms for 4m became … > 200ms",
            "'slow': action: hold became warn",
            "'slow': action: hold became rollback",
            "'slow': became a dry run",
        ]
    );
    // The turned comparison and the removed rule fail the test. That better now counts as bad, and that a gap would go
    // unnoticed, lint says.
    assert_eq!((weak.by_tests, weak.by_lint, weak.mutants()), (2, 2, 14));
    assert!((weak.killed() - 4.0 / 14.0).abs() < 1e-12);
    let failing = "policy: p.yaml\ntests: [{ name: a, expect: [{ at: 5m, rules: { slow: firing } }] }]";
    assert_eq!(score(failing), None);
}
