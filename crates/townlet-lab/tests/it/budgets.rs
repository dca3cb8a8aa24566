//! The verdicts.

use townlet_lab::budgets::{Bound, Figure, all, judge};
use townlet_lab::measure::{Rounds, Sample};

const COMPARISON: &str = "to a file, 1 producer";

fn measured(ours: f64, flume: f64, cpu: f64) -> Vec<(&'static str, Rounds)> {
    let mut rounds = Rounds::default();
    for _ in 0..5 {
        let sample = Sample::from([("events_per_s", ours), ("cpu_us_per_event", cpu)]);
        rounds.push("ours, no transforms", sample);
        rounds.push("flume + BufWriter, our lines", Sample::from([("events_per_s", flume)]));
    }
    vec![(COMPARISON, rounds)]
}

fn verdict(comparisons: &[(&'static str, Rounds)], text: &str) -> townlet_lab::budgets::Verdict {
    let of = judge(comparisons).into_iter().find(|v| v.budget.comparison == COMPARISON && v.budget.text == text);
    of.unwrap_or_else(|| panic!("there is no budget {text}"))
}

#[test]
fn a_figure_may_be_off_by_the_tolerance_and_not_by_more() {
    let text = "no transforms : flume + BufWriter, equal lines";
    // At least 1.2 ×, less 15 %, is 1.02 ×.
    for (ours, passes) in [(1.3, true), (1.03, true), (1.01, false)] {
        let verdict = verdict(&measured(ours, 1.0, 0.5), text);
        assert!((verdict.measured.unwrap() - ours).abs() < 1e-9);
        assert_eq!((verdict.passes(), verdict.is_miss()), (Some(passes), !passes), "{ours}");
    }
    let text = "CPU per delivered event, µs";
    for (cpu, passes) in [(0.9, true), (1.14, true), (1.16, false)] {
        assert_eq!(verdict(&measured(1.0, 1.0, cpu), text).passes(), Some(passes), "{cpu}");
    }
}

#[test]
fn what_was_not_measured_is_neither_passed_nor_missed() {
    for verdict in judge(&[]) {
        assert_eq!((verdict.measured, verdict.passes(), verdict.is_miss()), (None, None, false));
    }
}

#[test]
fn what_is_only_reported_is_no_miss() {
    let mut rounds = Rounds::default();
    rounds.push("ours", Sample::from([("middle", 1.0), ("p999", 90.0)]));
    rounds.push("flume move", Sample::from([("middle", 1.0), ("p999", 10.0)]));
    let verdicts = judge(&[("emit owned, paced", rounds)]);
    let tail = verdicts.iter().find(|v| v.budget.text.starts_with("p99.9")).unwrap();
    assert_eq!((tail.measured, tail.passes(), tail.is_miss()), (Some(9.0), Some(false), false));
}

#[test]
fn no_budget_is_stated_twice() {
    let all = all();
    for (n, budget) in all.iter().enumerate() {
        let same = |b: &&townlet_lab::budgets::Budget| b.comparison == budget.comparison && b.text == budget.text;
        assert_eq!(all.iter().filter(same).count(), 1, "{n}: {} {}", budget.comparison, budget.text);
        let Figure::Ratio(a, b) = budget.figure else { continue };
        assert_ne!(a, b, "a ratio to itself");
        assert!(budget.limit > 0.0 && matches!(budget.bound, Bound::AtMost | Bound::AtLeast));
    }
}
