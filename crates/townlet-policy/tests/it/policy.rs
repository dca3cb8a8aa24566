//! Policy files, sound and broken.

use std::time::Duration;

use proptest::prelude::*;
use townlet_policy::evaluate::GapMode;
use townlet_policy::{Action, Code, Findings, Form, Policy, Severity, expression};

const SOUND: &str = r#"
gap: prometheus
max_gap: 2m
metrics:
  p95: { unit: ms, worse: up }
  cicd.ok: { unit: "%", worse: down }
rules:
  - id: slow
    when: "p95 > +6% for 10m"
    action: rollback
  - id: pipeline
    metric: cicd.ok
    require: ">= 99.5%"
    action: hold
    severity: critical
    dry_run: true
  - id: good enough
    accept: p95 <= 200
"#;

#[test]
fn a_policy_is_read_whole() {
    let mut found = Findings::new("p.yaml", SOUND);
    let policy = Policy::read(SOUND, &mut found).unwrap_or_else(|| panic!("{found}"));
    assert!(found.is_empty(), "{found}");
    assert_eq!((policy.settings.gap, policy.settings.max_gap), (GapMode::Prometheus, Duration::from_secs(120)));
    let rules: Vec<_> = policy
        .rules
        .iter()
        .map(|rule| (rule.form, expression::rule(rule, &policy.metrics), rule.action, rule.severity, rule.dry_run))
        .collect();
    let expected = [
        (Form::When, "p95 > +6% for 10m".to_owned(), Some(Action::Rollback), Severity::Critical, false),
        (Form::Require, "cicd.ok >= 99.5%".to_owned(), Some(Action::Hold), Severity::Critical, true),
        (Form::Accept, "p95 <= 200ms".to_owned(), None, Severity::Info, false),
    ];
    assert_eq!(rules, expected);
    assert_eq!(policy.rules[0].place.line, 9);
}

#[test]
fn each_fault_is_found_at_its_place_with_a_remedy() {
    for (from, to, code, line, column, help) in [
        ("gap: prometheus", "gab: hold", Code::UnknownKey, 2, 1, "write gap"),
        ("gap: prometheus", "gap: promteheus", Code::Value, 2, 6, "write prometheus"),
        ("max_gap: 2m", "max_gap: 2 minutes", Code::Value, 3, 10, "write 2m, for example"),
        ("max_gap: 2m", "max_gap: 0s", Code::Value, 3, 10, "write 2m, for example"),
        ("unit: ms, worse", "uint: ms, worse", Code::UnknownKey, 5, 10, "write unit"),
        ("p95: {", "for: {", Code::Value, 5, 3, "take letters"),
        ("worse: down", "worse: dwon", Code::Value, 6, 32, "write down"),
        ("p95 > +6% for 10m", "p59 > +6% for 10m", Code::UnknownMetric, 9, 12, "write p95"),
        ("p95 > +6% for 10m", "p95 > 6% for 10m", Code::Unit, 9, 18, ""),
        ("p95 > +6% for 10m", "p95 > +6% for", Code::Expression, 9, 25, ""),
        ("    action: rollback\n", "", Code::Missing, 8, 5, "write note, warn, hold or rollback"),
        ("action: rollback", "action: rolback", Code::Value, 10, 13, "write rollback"),
        ("metric: cicd.ok", "metric: cicd.okay", Code::UnknownMetric, 12, 13, "write cicd.ok"),
        ("id: pipeline", "id: slow", Code::Duplicate, 11, 9, "rename one"),
        ("\">= 99.5%\"", ">= 99.5%", Code::YamlTrap, 13, 14, "write \">= 99.5%\", in quotes"),
        ("dry_run: true", "dry_run: yes", Code::Value, 16, 14, "write one of true, false"),
        ("accept: p95 <= 200", "acept: p95 <= 200", Code::UnknownKey, 18, 5, "write accept"),
        ("dry_run: true", "when: p95 > 1", Code::Value, 13, 14, "make it a rule of its own"),
    ] {
        let text = SOUND.replace(from, to);
        assert_ne!(text, SOUND, "{from}");
        let mut found = Findings::new("p.yaml", &text);
        assert!(Policy::read(&text, &mut found).is_none(), "{to}");
        let hit = found.iter().find(|one| one.code == code).unwrap_or_else(|| panic!("{to}: {found}"));
        assert_eq!((hit.place.line, hit.place.column), (line, column), "{found}");
        assert!(hit.help.as_deref().unwrap_or_default().starts_with(help), "{found}");
    }
}

#[test]
fn nothing_and_nonsense_are_no_policy() {
    for text in
        ["", "rules", "[]", "metrics: 1\nrules: 2", "metrics: {}\nrules: []", "metrics: {a: b}\nrules: [c]", "a: *b"]
    {
        let mut found = Findings::new("p.yaml", text);
        assert!(Policy::read(text, &mut found).is_none() && found.has_errors(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        at in 0..SOUND.len(),
        cut in 0..20_usize,
        put in "([a-z]{1,3}|[\\[\\]{}:>|&*!%\"'#\\-]|\n {0,6}|\\PC){0,6}",
    ) {
        let mut text = SOUND.to_owned();
        text.replace_range(at..(at + cut).min(SOUND.len()), &put);
        let mut found = Findings::new("p.yaml", &text);
        let read = Policy::read(&text, &mut found);
        prop_assert_eq!(read.is_none(), found.has_errors());
        let printed = found.to_string();
        prop_assert!(!printed.contains(char::from(27)), "{:?}", printed);
    }
}
