//! Lint against brute force, where everything can be tried: limits on one metric, and how long they must be exceeded.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use proptest::prelude::*;
use townlet_policy::evaluate::{Evaluator, State};
use townlet_policy::suite::Suite;
use townlet_policy::{Code, Findings, MetricId, Policy, lint, mutate};

use crate::evaluate::secs;

fn linted(rules: &str) -> (Policy, Findings) {
    let text = format!("metrics: {{ m: {{ unit: count, worse: both }} }}\nrules:\n{rules}");
    let mut found = Findings::new("p.yaml", &text);
    let policy = Policy::read(&text, &mut found).unwrap_or_else(|| panic!("{text}\n{found}"));
    lint(&policy, &mut found);
    (policy, found)
}

/// Every value between limits of whole numbers, and each of them.
const VALUES: [f64; 11] = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0];

fn holds(op: &str, limit: u32, value: f64) -> bool {
    let limit = f64::from(limit);
    match op {
        ">" => value > limit,
        ">=" => value >= limit,
        "<" => value < limit,
        _ => value <= limit,
    }
}

#[test]
fn a_rule_is_dead_exactly_where_a_rollback_is_always_there_first() {
    let mut dead = 0;
    for (op, other) in [(">", ">"), (">", ">="), (">=", ">"), (">=", ">="), ("<", "<="), ("<=", "<"), (">", "<")] {
        for (one, two, short, long) in (0..256).map(|n| (n % 4 + 1, n / 4 % 4 + 1, n / 16 % 4, n / 64 % 4)) {
            let (_, found) = linted(&format!(
                "  - {{ id: a, when: \"m {op} {one} for {short}m\", action: warn }}\n  \
                   - {{ id: b, when: \"m {other} {two} for {long}m\", action: rollback }}\n"
            ));
            let implied = VALUES.iter().all(|value| !holds(op, one, *value) || holds(other, two, *value));
            let expected = implied && long <= short;
            let told = found.iter().any(|one| one.code == Code::DeadRule && one.place.line == 3);
            assert_eq!(told, expected, "{op} {one} for {short}m and {other} {two} for {long}m\n{found}");
            dead += u32::from(expected);
        }
    }
    assert!(dead > 200, "{dead}");
}

#[test]
fn a_gap_between_accept_and_act_is_told_exactly_where_there_is_one() {
    let mut gaps = 0;
    for (good, bad) in [("<=", ">"), ("<", ">"), ("<=", ">="), (">=", "<"), (">", "<="), ("<=", "<")] {
        for (accepted, held, undone) in (0..64).map(|n| (n % 4 + 1, n / 4 % 4 + 1, n / 16 % 4 + 1)) {
            let (policy, found) = linted(&format!(
                "  - {{ id: accepted, accept: \"m {good} {accepted}\" }}\n  \
                   - {{ id: held, when: \"m {bad} {held} for 10m\", action: hold }}\n  \
                   - {{ id: undone, when: \"m {bad} {undone} for 2m\", action: rollback }}\n"
            ));
            let gap =
                |value: f64| !holds(good, accepted, value) && !holds(bad, held, value) && !holds(bad, undone, value);
            let expected = VALUES.iter().any(|value| gap(*value));
            let told = found.iter().find(|one| one.code == Code::ActionGap);
            assert_eq!(told.is_some(), expected, "{good} {accepted}, {bad} {held}, {bad} {undone}\n{found}");
            let Some(told) = told else { continue };
            gaps += 1;
            // The value that is named is one of them, as the evaluator sees it.
            let value = told.message.strip_prefix("with m at ").and_then(|rest| rest.split(',').next());
            let value: f64 = value.and_then(|value| value.trim_matches(['(', ')']).parse().ok()).unwrap();
            let mut evaluator = Evaluator::new(&policy.rules, 1, secs(0), policy.settings).unwrap();
            evaluator.sample(MetricId(0), secs(0), value, 1).unwrap();
            let states: Vec<State> = evaluator.evaluate(secs(0)).unwrap().into_iter().map(|one| one.state).collect();
            assert_eq!(states, [State::Firing { since: secs(0) }, State::Inactive, State::Inactive], "{told}");
        }
    }
    assert!(gaps > 50, "{gaps}");
}

/// The checklist, which has every section there is.
fn checklist() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/rollouts/telemetry-step2-checklist.yaml");
    std::fs::read_to_string(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_text_makes_the_readers_or_lint_panic(
        edits in prop::collection::vec((0..5000_usize, 0..12_usize, "([a-z]{1,3}|[0-9]{1,3}[smhd%]|[\\[\\]{}:>|&*!%\"'#±+-]|\n {0,6}|\\PC){0,4}"), 1..4),
    ) {
        let mut text: Vec<char> = checklist().chars().collect();
        for (at, cut, put) in edits {
            let at = at % text.len();
            let end = (at + cut).min(text.len());
            text.splice(at..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        let mut found = Findings::new("p.yaml", &text);
        if let Some(policy) = Policy::read(&text, &mut found) {
            lint(&policy, &mut found);
            prop_assert!(!found.has_errors(), "{}", found);
            prop_assert!(!mutate::mutants(&policy).is_empty());
        } else {
            prop_assert!(found.has_errors());
        }
        prop_assert!(!found.to_string().chars().any(|c| c.is_control() && c != '\n'));
    }

    #[test]
    fn no_text_at_all_makes_a_reader_panic(text in "(\\PC|[\n\t\r {}\\[\\]:,>|&*!%\"'#-]){0,60}") {
        let mut found = Findings::new("p.yaml", &text);
        prop_assert!(Policy::read(&text, &mut found).is_none() && found.has_errors());
        let mut found = Findings::new("p.test.yaml", &text);
        prop_assert!(Suite::read(&text, &mut found).is_none() && found.has_errors());
    }
}
