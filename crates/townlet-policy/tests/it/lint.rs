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
        (&["when rollback: not (p95 absent)", "when warn: p95 > 300"], &[(Code::AbsentAtOnce, 6), (Code::DeadRule, 7)]),
        (&["require hold: load >= 99", "require hold: load < 98"], &[(Code::Contradiction, 7)]),
        (&["accept hold: p95 <= 200", "accept hold: p95 <= 300"], &[(Code::ShadowedRule, 7)]),
        (&["when hold: p95 > 5 and p95 < 4"], &[(Code::NeverBad, 6)]),
        (&["when hold: p95 > 5 or p95 < 6"], &[(Code::NeverGood, 6)]),
        (&["when hold: p95 > ±7%"], &[(Code::TwoSided, 6)]),
        (&["when hold: p95 < 100"], &[(Code::WrongSide, 6)]),
        (&["require hold: ok <= 99"], &[(Code::WrongSide, 6)]),
        (&["when rollback: p95 > 200"], &[(Code::OneSample, 6)]),
        (&["require hold: p95 absent"], &[(Code::AbsentAtOnce, 6)]),
        (&["accept note: p95 <= 200", "when hold: p95 > 300"], &[(Code::ActionGap, 6)]),
        (&["accept note: p95 <= +5%", "when hold: p95 > +6% and ok < 5"], &[(Code::ActionGap, 6)]),
        (&["accept warn: ok >= 99"], &[(Code::ActionGap, 6)]),
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
        &["when hold: p95 > +10%", "when hold: ok < 99"],
        // Of two that accept, the looser one stops where the stricter only notes.
        &["accept note: p95 <= 200", "accept hold: p95 <= 300"],
    ] {
        let (_, found) = read(&policy(rules));
        let others = [Code::OneSample, Code::AbsentAtOnce, Code::ActionGap];
        assert!(found.iter().all(|one| others.contains(&one.code)), "{found}");
    }
}

#[test]
fn where_somebody_acts_there_is_no_gap() {
    for rules in [
        &["accept note: p95 <= 200", "when hold: p95 > 200 for 10m"][..],
        &["accept note: p95 <= 200", "when hold: p95 > 150"],
        &["accept hold: p95 <= 200", "when rollback: p95 > 300 for 10m"],
        // Unknown holds.
        &["accept note: p95 fresh < 1m", "when hold: p95 absent for 1m"],
        // A guard, and what is bad in both directions.
        &["when hold: p95 < 100 and ok < 90", "when hold: load < 5"],
        // Which of the two is reached first depends on the baseline.
        &["accept note: p95 <= 200", "when hold: p95 > +6%"],
    ] {
        let (_, found) = read(&policy(rules));
        assert!(found.is_empty(), "{found}");
    }
}

#[test]
fn a_limit_that_no_share_reaches_is_found() {
    let of = |condition: &str| {
        let text = format!(
            "metrics: {{ errors: {{ unit: ratio, worse: up }}, up: {{ unit: bool, worse: down }} }}\nrules: \
             [{{ id: a, {condition}, action: hold }}]\n"
        );
        read(&text).1.iter().map(|one| one.code).collect::<Vec<_>>()
    };
    for never in
        ["when: errors > 5", "when: errors > 1", "require: errors < 5", "require: errors <= 100%", "when: up < 0"]
    {
        assert_eq!(of(never), [Code::NeverBad], "{never}");
    }
    for always in ["require: errors < 0", "when: errors >= 0"] {
        assert_eq!(of(always), [Code::NeverGood], "{always}");
    }
    for sound in [
        "when: errors > 5%",
        "when: errors >= 1",
        "require: errors <= 0.05",
        "when: errors > +150%",
        "require: up == true",
    ] {
        assert_eq!(of(sound), [], "{sound}");
    }
}

#[test]
fn in_mode_prometheus_somebody_has_to_watch_for_the_end_of_data() {
    let unwatched =
        format!("gap: prometheus\n{}", policy(&["when hold: p95 > 200 for 10m", "when warn: p95 absent for 5m"]));
    let (_, found) = read(&unwatched);
    assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::GapUnnoticed], "{found}");
    for watched in ["when hold: p95 absent for 5m", "require hold: p95 fresh < 2m", "when hold: p95 absent or ok < 5"] {
        let ok = "when hold: ok absent for 5m";
        let (_, found) = read(&format!("gap: prometheus\n{}", policy(&["when hold: p95 > 200 for 10m", watched, ok])));
        assert!(found.is_empty(), "{found}");
    }
}

/// A ladder on each metric: the further, the stronger and the sooner; and a change that can be undone.
fn sound() -> impl Strategy<Value = String> {
    let basis = prop::sample::select(vec![("", ""), ("+", "%"), ("+", "")]);
    let unit = prop::sample::select(vec!["count", "ms", "requests"]);
    let fors = prop::sample::select(vec![[20, 10, 5], [10, 10, 1], [5, 0, 0], [0, 0, 0]]);
    let flags = (prop::bool::ANY, prop::bool::ANY, prop::bool::ANY, prop::bool::ANY);
    let metric = (basis, unit, fors, 1..50_u32, 1..20_u32, 1..20_u32, flags);
    (prop::collection::vec(metric, 1..5), prop::bool::ANY, prop::bool::ANY).prop_map(|(metrics, prometheus, joined)| {
        let mut text = format!("gap: {}\nmetrics:\n", if prometheus { "prometheus" } else { "hold" });
        let mut rules = String::from("rules:\n");
        for (at, ((sign, suffix), unit, fors, first, second, third, flags)) in metrics.iter().enumerate() {
            let (down, gone, require, patient) = *flags;
            text += &format!("  m{at}: {{ unit: {unit}, worse: {} }}\n", if down { "down" } else { "up" });
            let steps = [*first, first + second, first + second + third];
            let sign = if down { sign.replace('+', "-") } else { (*sign).to_owned() };
            let limit = |step: u32| if down && sign.is_empty() { 200 - step } else { step };
            let (bad, good) = if down { ("<", ">=") } else { (">", "<=") };
            for ((step, minutes), action) in steps.iter().zip(fors).zip(["warn", "hold", "rollback"]) {
                let lasting = match (minutes, action) {
                    (0, "rollback") => " min_samples 3 in 5m".to_owned(),
                    (0, _) => String::new(),
                    _ => format!(" for {minutes}m"),
                };
                let (form, op) = if require { ("require", good) } else { ("when", bad) };
                let limit = limit(*step);
                rules += &format!(
                    "  - {{ id: m{at}-{action}, {form}: \"m{at} {op} {sign}{limit}{suffix}{lasting}\", action: {action} }}\n"
                );
            }
            // What is not accepted holds, by itself or by the rule that holds from there on.
            let (accepted, action) = if patient { (limit(steps[1]), "") } else { (limit(steps[0]), ", action: hold") };
            rules += &format!("  - {{ id: m{at}-accept, accept: \"m{at} {good} {sign}{accepted}{suffix}\"{action} }}\n");
            if gone || prometheus {
                rules += &format!("  - {{ id: m{at}-gone, when: \"m{at} absent for 5m\", action: hold }}\n");
            }
        }
        if joined && metrics.len() > 1 {
            // Two metrics a little bad at once are worth more than a warning.
            let part = |at: usize| {
                let ((sign, suffix), _, _, first, _, _, (down, ..)) = &metrics[at];
                let limit = if *down && sign.is_empty() { 200 - first } else { *first };
                let (op, sign) = if *down { ("<", sign.replace('+', "-")) } else { (">", (*sign).to_owned()) };
                format!("m{at} {op} {sign}{limit}{suffix}")
            };
            rules += &format!("  - {{ id: both, when: \"{} and {} for 2m\", action: rollback }}\n", part(0), part(1));
        }
        let names: Vec<String> = (0..metrics.len()).map(|at| format!("m{at}")).collect();
        let change = CHANGE.replace("[p95, ok, load]", &format!("[{}]", names.join(", ")));
        text + &rules + &change.replace("switched: [p95]", "switched: [m0]").replace("p95", "m0").replace("ok", "m0")
    })
}

/// Surroundings without a fault, for the metrics p95, ok and load.
const CHANGE: &str = r#"change:
  every: 1m
  watched: 48h
  measured: [p95, ok, load]
  switched: [p95]
  steps:
    - { name: flag on, at: 2m }
    - { name: restart, at: 4m }
  baselines:
    - { from: "-24h", until: 0s }
  rollback:
    total: 5m
    steps:
      - { name: flag off, undoes: flag on, within: 30s, checked: true }
      - { name: restart again, undoes: restart, within: 1m, checked: true }
    verified: ["p95 absent for 3m"]
"#;

#[test]
fn what_cannot_work_around_the_rules_is_found() {
    let rules = policy(&["when hold: p95 > +6% for 10m", "when rollback: ok < 90% for 5m", "when warn: load > +5pp"]);
    let sound = rules + CHANGE;
    let (_, found) = read(&sound);
    assert!(found.is_empty(), "{found}");
    for (from, to, code, line) in [
        ("from: \"-24h\", until: 0s", "from: 10m, until: 15m", Code::ContaminatedBaseline, 18),
        ("from: \"-24h\", until: 0s", "from: \"-5m\", until: 3m", Code::ContaminatedBaseline, 18),
        ("until: 0s", "until: 0s, metrics: [load]", Code::Unreachable, 6),
        ("undoes: restart, ", "", Code::MissingRollback, 16),
        ("undoes: restart, ", "undoes: restrt, ", Code::MissingRollback, 16),
        ("within: 1m, checked: true", "within: 1m", Code::UncheckedRollback, 23),
        ("within: 1m, checked: true", "checked: true", Code::UncheckedRollback, 23),
        ("within: 1m, checked: true", "within: 2m, checked: true", Code::SlowRollback, 20),
        ("p95 absent for 3m", "p95 absent", Code::AbsentAtOnce, 24),
        ("p95 absent for 3m", "p95 <= +2%", Code::SwitchedOff, 24),
        ("p95 absent for 3m", "load in ±1%", Code::MixedUnits, 24),
        ("measured: [p95, ok, load]", "measured: [p95, ok]", Code::NoSource, 8),
        ("for 10m", "for 3d", Code::Unreachable, 6),
        ("for 10m", "for 10m max_gap 30s", Code::Unreachable, 6),
        ("every: 1m", "stated: [{ by: manifest, says: \"p95 > 400ms\" }]", Code::SecondSource, 10),
    ] {
        let text = sound.replacen(from, to, 1);
        assert_ne!(text, sound, "{from}");
        let (_, found) = read(&text);
        assert!(found.iter().any(|one| (one.code, one.place.line) == (code, line)), "{to}: {code} at {line}\n{found}");
    }
    let (head, _) = sound.split_once("  rollback:").unwrap();
    let (_, found) = read(head);
    assert_eq!(found.iter().map(|one| (one.code, one.place.line)).collect::<Vec<_>>(), [(Code::MissingRollback, 15)]);
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
