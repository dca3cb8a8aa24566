//! Policies that read well and cannot work, and sound ones.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use proptest::prelude::*;
use townlet_policy::evaluate::{Evaluator, State};
use townlet_policy::{Code, Findings, Metric, MetricId, Policy, lint};

use crate::evaluate::secs;

fn read(text: &str) -> (Policy, Findings) {
    let mut found = Findings::new("p.yaml", text);
    let policy = Policy::read(text, &mut found).unwrap_or_else(|| panic!("{text}\n{found}"));
    lint(&policy, &mut found);
    (policy, found)
}

/// A policy with these rules, each `form action: condition`.
fn policy(rules: &[&str]) -> String {
    let mut text = String::from(
        "metrics:\n  p95: { unit: ms, worse: up }\n  ok: { unit: \"%\", worse: down }\n  load: { unit: \"%\", worse: both }\nrules:\n",
    );
    for (number, rule) in rules.iter().enumerate() {
        let (action, condition) = rule.split_once(": ").unwrap();
        let (form, action) = action.split_once(' ').unwrap();
        text += &format!("  - {{ id: r{number}, {form}: \"{condition}\", action: {action} }}\n");
    }
    text
}

#[test]
fn what_cannot_work_is_found() {
    for (rules, expected) in [
        // The checklist: +-7% for 2 h never fires before +-6% for 10 min does.
        (&["when rollback: load > ±7% for 2h", "when rollback: load > ±6% for 10m"][..], &[(Code::DeadRule, 6)][..]),
        (&["when warn: p95 > 300 for 10m", "when rollback: p95 > 200 for 5m"], &[(Code::DeadRule, 6)]),
        (&["when hold: p95 > 200", "when warn: p95 > 300"], &[(Code::ShadowedRule, 7)]),
        (&["when warn: p95 > 200", "require warn: p95 <= 200"], &[(Code::ShadowedRule, 7)]),
        (&["when warn: p95 > 9 and ok < 5", "when hold: ok < 6"], &[(Code::ShadowedRule, 6)]),
        (&["when hold: p95 absent for 10m", "when hold: p95 absent for 5m"], &[(Code::ShadowedRule, 6)]),
        (&["when rollback: not (p95 absent)", "when warn: p95 > 300"], &[(Code::DeadRule, 7)]),
        (&["require hold: ok >= 99", "require hold: ok < 98"], &[(Code::Contradiction, 7)]),
        (&["when hold: p95 > 5 and p95 < 4"], &[(Code::NeverBad, 6)]),
        (&["when hold: p95 > 5 or p95 < 6"], &[(Code::NeverGood, 6)]),
        (&["when rollback: p95 > ±7%"], &[(Code::TwoSided, 6)]),
        (&["require hold: ok in 98..99"], &[(Code::TwoSided, 6)]),
        (&["when warn: load > +2pp", "when hold: load > +3%"], &[(Code::MixedUnits, 7)]),
    ] {
        let (_, found) = read(&policy(rules));
        let all: Vec<_> = found.iter().map(|one| (one.code, one.place.line)).collect();
        assert_eq!(all, expected, "{rules:?}\n{found}");
    }
}

#[test]
fn what_only_looks_dead_is_left_alone() {
    for rules in [
        &["when warn: p95 > 200 for 5m", "when rollback: p95 > 300 for 5m"][..],
        &["when rollback: p95 > 300 for 5m", "when rollback: p95 > 200 for 10m"],
        &["when rollback: p95 > 300", "when warn: p95 > 200"],
        // The weaker rule needs less evidence, bears longer gaps, or keeps on.
        &["when rollback: p95 > 200 for 5m min_samples 9 in 5m", "when warn: p95 > 300 for 5m"],
        &["when rollback: p95 > 200 max_gap 30s", "when warn: p95 > 300"],
        &["when hold: p95 > 200", "when warn: p95 > 300 keep 5m"],
        &["when rollback: p95 > 200 for 5m", "when warn: p95 > 200 and ok < 5 for 5m max_gap 10m"],
        // The end of the series resets the rollback's timer, and only pauses the other.
        &["when rollback: not (p95 absent) for 5m", "when warn: p95 > 300 for 5m"],
        // After a rollback one ends, and the other has nothing to say.
        &["require hold: p95 absent for 5m", "when hold: p95 > 300"],
        &["when hold: p95 > 10%", "when hold: ok < 99"],
    ] {
        let text = policy(rules).replace("p95 > 10%", "p95 > +10%");
        let (_, found) = read(&text);
        assert!(found.is_empty(), "{found}");
    }
}

/// A ladder on each metric: the further, the stronger and the sooner.
fn sound() -> impl Strategy<Value = String> {
    let basis = prop::sample::select(vec![("", ""), ("+", "%"), ("+", "")]);
    let fors = prop::sample::select(vec![[20, 10, 5], [10, 10, 1], [5, 0, 0], [0, 0, 0]]);
    let metric = (basis, fors, 1..50_u32, 1..20_u32, 1..20_u32, prop::bool::ANY, prop::bool::ANY, prop::bool::ANY);
    (prop::collection::vec(metric, 1..5), prop::bool::ANY, prop::bool::ANY).prop_map(|(metrics, prometheus, joined)| {
        let mut text = format!("gap: {}\nmetrics:\n", if prometheus { "prometheus" } else { "hold" });
        let mut rules = String::from("rules:\n");
        for (at, ((sign, suffix), fors, first, second, third, down, gone, require)) in metrics.iter().enumerate() {
            text += &format!("  m{at}: {{ unit: count, worse: {} }}\n", if *down { "down" } else { "up" });
            let steps = [*first, first + second, first + second + third];
            let sign = if *down { sign.replace('+', "-") } else { (*sign).to_owned() };
            let limit = |step: u32| if *down && sign.is_empty() { 200 - step } else { step };
            let (bad, good) = if *down { ("<", ">=") } else { (">", "<=") };
            for ((step, minutes), action) in steps.iter().zip(fors).zip(["warn", "hold", "rollback"]) {
                let lasting = if *minutes == 0 { String::new() } else { format!(" for {minutes}m") };
                let (form, op) = if *require { ("require", good) } else { ("when", bad) };
                let limit = limit(*step);
                rules += &format!(
                    "  - {{ id: m{at}-{action}, {form}: \"m{at} {op} {sign}{limit}{suffix}{lasting}\", action: {action} }}\n"
                );
            }
            let accepted = limit(steps[0]);
            rules += &format!("  - {{ id: m{at}-accept, accept: \"m{at} {good} {sign}{accepted}{suffix}\" }}\n");
            if *gone {
                rules += &format!("  - {{ id: m{at}-gone, when: \"m{at} absent for 5m\", action: hold }}\n");
            }
        }
        if joined && metrics.len() > 1 {
            // Two metrics a little bad at once are worth more than a warning.
            let part = |at: usize| {
                let ((sign, suffix), _, first, _, _, down, ..) = &metrics[at];
                let limit = if *down && sign.is_empty() { 200 - first } else { *first };
                let (op, sign) = if *down { ("<", sign.replace('+', "-")) } else { (">", (*sign).to_owned()) };
                format!("m{at} {op} {sign}{limit}{suffix}")
            };
            rules += &format!("  - {{ id: both, when: \"{} and {}\", action: rollback }}\n", part(0), part(1));
        }
        text + &rules
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_sound_policy_is_not_reported(text in sound()) {
        let (_, found) = read(&text);
        prop_assert!(found.is_empty(), "{}\n{}", text, found);
    }

    /// What is called dead or shadowed never fires where the others do not.
    #[test]
    fn what_is_outdone_never_fires_alone(
        rules in prop::collection::vec((0..6_usize, 0..6_usize, 0..3_usize, 0..3_usize, prop::bool::ANY), 2..4),
        steps in prop::collection::vec((0..3_usize, -1..12_i32, 1..4_u64), 1..40),
    ) {
        let conditions = ["p95 > 2", "p95 > 5", "p95 >= 5", "ok < 4", "p95 > 2 and ok < 4", "p95 absent for 2m"];
        let fors = ["", " for 1m", " for 3m"];
        let texts: Vec<String> = rules.iter().map(|(one, other, lasting, action, either)| {
            let condition = if *either { format!("{} or {}", conditions[*one], conditions[*other]) } else { conditions[*one].to_owned() };
            format!("when {}: ({condition}){}", ["warn", "hold", "rollback"][*action], fors[*lasting])
        }).collect();
        let (policy, found) = read(&policy(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
        let outdone = |at: usize| found.iter().any(|one| matches!(one.code, Code::DeadRule | Code::ShadowedRule) && one.place == policy.rules[at].place);
        let mut evaluator = Evaluator::new(&policy.rules, policy.metrics.len(), secs(0), policy.settings).unwrap();
        let metrics: &[Metric] = &policy.metrics;
        let mut fired = vec![false; policy.rules.len()];
        let mut now = 0;
        for (metric, value, step) in steps {
            now += step * 40;
            if metric < 2 && value >= 0 {
                evaluator.sample(MetricId(metric), secs(now), f64::from(value), 1).unwrap();
            } else if metric < metrics.len() - 1 {
                evaluator.stale(MetricId(metric), secs(now)).unwrap();
            }
            for (fired, status) in fired.iter_mut().zip(evaluator.evaluate(secs(now)).unwrap()) {
                *fired |= matches!(status.state, State::Firing { .. });
            }
            for at in 0..fired.len() {
                let another = (0..fired.len()).any(|other| other != at && fired[other] && policy.rules[other].action >= policy.rules[at].action);
                prop_assert!(!fired[at] || !outdone(at) || another, "{:?} at {}", texts, now);
            }
        }
    }
}
