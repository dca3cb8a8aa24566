//! Test files: read, bound to their policy, run.

use proptest::prelude::*;
use townlet_policy::suite::{Bound, Suite};
use townlet_policy::{Code, Findings, Policy};

const POLICY: &str = r#"
metrics:
  p95: { unit: ms, worse: up }
  ok: { unit: "%", worse: down }
rules:
  - { id: slow, when: "p95 > +10% for 2m", action: rollback }
  - { id: broken, require: "ok >= 99% min_samples 10 in 2m", action: hold }
"#;

const SUITE: &str = r#"policy: p.yaml
interval: 30s
evaluate: 1m
baselines: { p95: 0.1s }
weights: { ok: 5 }
series: { ok: "100x20" }
tests:
  - name: slow is undone
    series:
      p95: "110 120x20"
    expect:
      - { at: 0s, rules: { slow: inactive, broken: unknown } }
      - { at: 2m, rules: { slow: pending }, others: inactive, does: nothing }
      - { at: 3m, rules: { slow: firing }, does: rollback }
"#;

fn policy() -> Policy {
    let mut found = Findings::new("p.yaml", POLICY);
    Policy::read(POLICY, &mut found).unwrap_or_else(|| panic!("{found}"))
}

fn read(text: &str) -> (Option<Bound>, Findings) {
    let mut found = Findings::new("p.test.yaml", text);
    let suite = Suite::read(text, &mut found);
    let bound = suite.and_then(|suite| suite.bind(&policy(), &mut found));
    (bound, found)
}

#[test]
fn a_policy_in_place_of_its_tests_is_told_in_one_sentence() {
    let (bound, found) = read(POLICY);
    assert!(bound.is_none());
    let all: Vec<_> = found.iter().map(|one| (one.code, one.message.as_str())).collect();
    assert_eq!(all, [(Code::Missing, "this file has rules, and no tests of them")], "{found}");
}

#[test]
fn a_test_file_is_read_and_what_it_expects_is_so() {
    let (bound, found) = read(SUITE);
    let bound = bound.unwrap_or_else(|| panic!("{found}"));
    assert!(found.is_empty(), "{found}");
    assert_eq!((bound.tests(), bound.expectations()), (1, 3));
    assert!(bound.run(&policy()).is_empty() && bound.passes(&policy()), "{:?}", bound.run(&policy()));
}

#[test]
fn what_is_not_as_expected_is_told_with_its_place_and_its_reason() {
    let text = SUITE
        .replace("broken: unknown", "broken: inactive")
        .replace("does: nothing", "does: warn")
        .replace("others: inactive", "others: firing");
    let (bound, mut found) = read(&text);
    let bound = bound.unwrap();
    assert!(!bound.passes(&policy()));
    let failures = bound.run(&policy());
    let told: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "slow is undone: at 0s 'broken' is unknown, not inactive (5 of 10 samples of ok)",
            "slow is undone: at 2m 'broken' is inactive, not firing",
            "slow is undone: at 2m the rules do nothing, not warn",
        ]
    );
    for failure in failures {
        found.push(failure.into());
    }
    let printed = found.to_string();
    assert!(printed.contains("p.test.yaml:12:44") && printed.contains("error[test_failed]"), "{printed}");
}

#[test]
fn a_rule_that_is_gone_is_a_failure() {
    let (bound, _) = read(SUITE);
    let mut without = policy();
    without.rules.remove(0);
    let told: Vec<String> = bound.unwrap().run(&without).iter().map(ToString::to_string).collect();
    assert_eq!(told[0], "slow is undone: at 0s 'slow' is expected inactive, and there is no such rule");
}

#[test]
fn each_fault_is_found_at_its_place() {
    for (from, to, code, line, column) in [
        ("policy: p.yaml", "polcy: p.yaml", Code::UnknownKey, 1, 1),
        ("interval: 30s", "interval: 0s", Code::Value, 2, 11),
        ("p95: 0.1s", "p95: 0.1%", Code::Unit, 4, 14),
        ("p95: 0.1s", "p95: fast", Code::Unit, 4, 14),
        ("p95: 0.1s", "p59: 100", Code::UnknownMetric, 4, 14),
        ("ok: 5", "ok: 0", Code::Value, 5, 16),
        ("100x20", "100 100y", Code::Value, 6, 20),
        ("100x20", "1x99999999999999999999", Code::Value, 6, 16),
        ("name: slow is undone", "name:", Code::Value, 8, 5),
        ("at: 2m", "at: 90s", Code::Value, 13, 15),
        ("at: 2m", "at: 300d", Code::TooLarge, 13, 15),
        ("at: 2m", "at: soon", Code::Value, 13, 15),
        ("at: 3m", "at: 2m", Code::Value, 14, 9),
        ("slow: pending", "slow: waiting", Code::Value, 13, 34),
        ("slow: pending", "slwo: pending", Code::UnknownRule, 13, 28),
        ("does: nothing", "does: none", Code::Value, 13, 69),
        (", rules: { slow: firing }, does: rollback", "", Code::Missing, 14, 9),
    ] {
        let text = SUITE.replacen(from, to, 1);
        assert_ne!(text, SUITE, "{from}");
        let (bound, found) = read(&text);
        assert!(bound.is_none(), "{to}");
        let hit = found.iter().find(|one| one.code == code).unwrap_or_else(|| panic!("{to}: {found}"));
        assert_eq!((hit.place.line, hit.place.column), (line, column), "{to}\n{found}");
    }
}

#[test]
fn a_short_text_cannot_ask_for_hours_of_work() {
    let test = "  - { name: a, expect: [{ at: 0s, does: nothing }] }\n";
    let short = |tests: usize| format!("policy: p.yaml\nseries: {{ ok: \"0x90000\" }}\ntests:\n{}", test.repeat(tests));
    let (bound, found) = read(&short(11));
    assert!(bound.is_some(), "{found}");
    let (bound, found) = read(&short(1000));
    assert!(bound.is_none());
    let told: Vec<_> = found.iter().map(|one| (one.code, one.place.line)).collect();
    assert_eq!(told, [(Code::TooLarge, 15)], "{found}");
}

proptest! {
    #[test]
    fn no_text_makes_the_test_loader_panic(
        at in 0..SUITE.len(),
        cut in 0..20_usize,
        put in "([a-z]{1,3}|[0-9x+_. -]{1,6}|[\\[\\]{}:>|&*!%\"'#\\-]|\n {0,6}|\\PC){0,6}",
    ) {
        let mut text = SUITE.to_owned();
        text.replace_range(at..(at + cut).min(SUITE.len()), &put);
        let (bound, found) = read(&text);
        prop_assert_eq!(bound.is_none(), found.has_errors());
        if let Some(bound) = bound {
            prop_assert_eq!(bound.run(&policy()).is_empty(), bound.passes(&policy()));
        }
    }
}
