//! Policies, their tests, and what stands in them: any text is refused with places that exist, or reads as what it says.
//!
//! An input is a letter and a text: `p` for a policy, `t` for a file of tests, `n` for a series in promtool's notation,
//! `e` for a rule.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use townlet_policy::evaluate::Evaluator;
use townlet_policy::expression::{self, Expression};
use townlet_policy::suite::{Suite, points};
use townlet_policy::{Finding, Findings, Metric, MetricId, Policy, Time, Unit, Worse, lint, mutate};

const FILE: &str = "fuzz.yaml";
const RULES: &str = include_str!("../../../samples/policies/pipeline.yaml");
/// Lint compares each rule with each other one, and its work is bounded by more than a run of this can wait for.
const MOST_RULES: usize = 8;
/// Values and evaluations of a test that is run.
const MOST_WORK: u64 = 5_000;

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let mut found = Findings::new("pipeline.yaml", RULES);
    Policy::read(RULES, &mut found).unwrap_or_else(|| panic!("{found}"))
});

static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    let units = [("a", "ms"), ("b.p95", "%"), ("c", "ratio"), ("d", "bool"), ("e", "count"), ("f", "events/s")];
    units.map(|(name, unit)| Metric { name: name.into(), unit: Unit::parse(unit), worse: Worse::Both }).to_vec()
});

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match kind {
        b'p' => policy(text),
        b't' => tests(text),
        b'n' => notation(text),
        b'e' => rule(text),
        _ => {}
    }
});

fn policy(text: &str) {
    let mut found = Findings::new(FILE, text);
    let read = Policy::read(text, &mut found);
    assert_eq!(read.is_none(), found.has_errors(), "{found}");
    have_places(&found, text);
    let Some(policy) = read else { return };
    for rule in &policy.rules {
        let printed = expression::rule(rule, &policy.metrics);
        let again = expression::parse(&printed, &policy.metrics, None);
        let same = Expression { condition: rule.condition.clone(), timing: rule.timing.clone() };
        assert_eq!(again, Ok(same), "{printed}");
    }
    let metrics = policy.metrics.len();
    let evaluator = Evaluator::new(&policy.rules, metrics, Time::default(), policy.settings);
    let mut evaluator = evaluator.unwrap_or_else(|error| panic!("a policy's own rules: {error}"));
    for (number, value) in [1.0, 0.0, -1e300, f64::NAN].into_iter().enumerate() {
        let at = Time::from_ms(number as u64 * 60_000);
        for metric in 0..metrics.min(3) {
            evaluator.sample(MetricId(metric), at, value, 1).unwrap_or_else(|error| panic!("in order: {error}"));
        }
        let statuses = evaluator.evaluate(at).unwrap_or_else(|error| panic!("in order: {error}"));
        assert_eq!(statuses.len(), policy.rules.len());
    }
    if policy.rules.len() <= MOST_RULES {
        let mut more = Findings::new(FILE, text);
        lint(&policy, &mut more);
        assert!(!more.has_errors(), "lint warns and refuses nothing: {more}");
        have_places(&more, text);
        for mutant in mutate::mutants(&policy) {
            assert_ne!(mutant.policy, policy, "{}", mutant.change);
            assert!(!Finding::from(&mutant).message.chars().any(char::is_control), "{}", mutant.change);
        }
    }
}

fn tests(text: &str) {
    let mut found = Findings::new(FILE, text);
    let read = Suite::read(text, &mut found);
    assert_eq!(read.is_none(), found.has_errors(), "{found}");
    have_places(&found, text);
    let Some(suite) = read else { return };
    let bound = suite.bind(&POLICY, &mut found);
    assert_eq!(bound.is_none(), found.has_errors(), "{found}");
    have_places(&found, text);
    let Some(bound) = bound else { return };
    let work = suite.tests.iter().map(|case| {
        let values: usize = case.series.iter().map(|named| named.value.len()).sum();
        let every = u64::try_from(case.evaluate.as_millis()).unwrap_or(u64::MAX).max(1);
        values as u64 + case.expect.last().map_or(0, |last| last.at.as_ms() / every)
    });
    if work.fold(0, u64::saturating_add) > MOST_WORK {
        return;
    }
    let failures = bound.run(&POLICY);
    assert_eq!(failures.is_empty(), bound.passes(&POLICY));
    for failure in failures {
        found.push(failure.into());
    }
    have_places(&found, text);
}

/// Each item is read by itself, whatever stands beside it.
fn notation(text: &str) {
    let alone: Vec<_> = text.split_whitespace().map(points).collect();
    match points(text) {
        Ok(all) => {
            let alone: Vec<_> =
                alone.into_iter().flat_map(|one| one.unwrap_or_else(|fault| panic!("{fault}"))).collect();
            assert_eq!(format!("{all:?}"), format!("{alone:?}"));
        }
        Err(fault) => {
            assert!(fault.column + fault.width <= text.chars().count().max(1), "{fault}");
            let long: usize = alone.iter().flatten().map(Vec::len).sum();
            assert!(alone.iter().any(Result::is_err) || long > 10_000, "{fault}");
        }
    }
}

fn rule(text: &str) {
    for subject in [None, Some(MetricId(0)), Some(MetricId(3))] {
        match expression::parse(text, &METRICS, subject) {
            Ok(read) => {
                let condition = expression::condition(&read.condition, &METRICS);
                let again = expression::parse(&condition, &METRICS, None).map(|read| read.condition);
                assert_eq!(again, Ok(read.condition), "{condition}");
            }
            Err(fault) => {
                assert!(fault.column <= text.chars().count() && fault.width >= 1, "{fault}");
            }
        }
    }
}

fn have_places(found: &Findings, text: &str) {
    let shown = found.to_string();
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    for finding in found {
        assert!(finding.place.line >= 1 && finding.place.column >= 1 && finding.place.width >= 1, "{finding}");
        assert!(finding.place.line as usize <= lines + 1, "no such line: {finding}");
        assert!(!finding.message.is_empty());
    }
}
