//! A plan over recorded series, beside the rules of others.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use townlet_rollout::simulate::{BacktestError, Ending, backtest};
use townlet_rollout::{BaselineSource, Cause, Moment, Plan, Table};

use crate::series::Habit;
use crate::simulate::large;
use crate::world::{GO, MINUTE};

const DAYS: u64 = 5;
const RATHER_WILD: Habit = Habit { level: 50.0, noise: 0.03, memory: 0.6, swing: 0.1 };

/// A plan of two signals with a history each, and a detector with five percent of tolerance on each.
fn two() -> Plan {
    let mut plan = large();
    plan.signals.truncate(2);
    plan.signals.iter_mut().for_each(|signal| signal.behind_flag = false);
    plan.rules.retain(|rule| rule.signals().iter().all(|signal| *signal < 2) && rule.name.starts_with("worse"));
    plan.rollback.recovered = vec![1];
    plan.rollback.silent = vec![];
    assert!(plan.problems().is_empty(), "{:?}", plan.problems());
    plan
}

/// Five days before the flag and fifty hours after it; from the third hour on the first signal is `factor` times as much.
fn record(factor: f64) -> String {
    let first = GO.as_ms() - DAYS * 1440 * 60_000;
    let count = DAYS * 1440 + 50 * 60;
    let columns = [1, 2].map(|seed| RATHER_WILD.values(seed, first / 60_000 % 1440, count));
    let mut out = String::from("at_ms,metric_0,metric_1,note\n");
    for minute in 0..count {
        let at = first + minute * 60_000;
        let times = if at >= GO.as_ms() + 3 * 3_600_000 { factor } else { 1.0 };
        let value = |column: usize| columns[column][usize::try_from(minute).unwrap()].unwrap();
        out.push_str(&format!("{at},{},{},\n", value(0) * times, value(1)));
    }
    out
}

fn table(factor: f64) -> Table {
    Table::read(&record(factor)).unwrap()
}

#[test]
fn the_plan_passes_a_healthy_record_with_day_and_night_and_the_checklist_and_argo_do_not() {
    let plan = two();
    let told = backtest(&plan, "plan", &table(1.0), GO).unwrap();
    assert!(matches!(told.ending, Ending::Succeeded { .. }), "{:?}", told.ending);
    assert!(told.rules.iter().all(Option::is_none), "{:?}", told.rules);
    for name in ["checklist, 5-min baseline", "checklist, 24-h baseline", "Argo-style"] {
        let rival = told.rivals.iter().find(|rival| rival.name == name).unwrap();
        assert!(rival.fired.is_some(), "{name}");
    }
    assert!(told.rivals.iter().any(|rival| rival.name == "Kayenta-style"));
}

#[test]
fn the_plan_finds_what_is_wrong_when_it_happens() {
    let plan = two();
    let told = backtest(&plan, "plan", &table(1.2), GO).unwrap();
    let Ending::RolledBack { at, cause } = &told.ending else { panic!("{:?}", told.ending) };
    assert_eq!(*cause, Cause::Rule { rule: "worse 0".into() });
    let wrong = GO + Duration::from_hours(3);
    assert!(*at > wrong && *at < wrong + MINUTE * 119, "{at:?}");
    let fired = told.rules[0].as_ref().unwrap();
    assert!(at.since(fired.at) < MINUTE && fired.why.starts_with("small shift of +0."), "{fired:?}");
    assert_eq!(told.rules[1], None);
}

#[test]
fn a_record_that_is_too_short_or_lacks_a_column_is_refused_or_blocked() {
    let plan = two();
    let table = table(1.0);
    let early = GO.since(Moment::from_ms(0)) - Duration::from_hours(24 * 4);
    let early = Moment::from_ms(u64::try_from(early.as_millis()).unwrap());
    let told = backtest(&plan, "plan", &table, early).unwrap();
    let Ending::Blocked { reasons } = &told.ending else { panic!("{:?}", told.ending) };
    assert!(reasons.iter().any(|why| why.contains("days of history")), "{reasons:?}");
    let outside = backtest(&plan, "plan", &table, Moment::from_ms(5));
    assert!(matches!(outside, Err(BacktestError::Outside { go: 5, .. })));
    let mut other = two();
    other.signals[0].metric = "metric_x".into();
    other.signals[1].baseline = BaselineSource::Control;
    let missing = backtest(&other, "plan", &table, GO).map(|_| ());
    assert_eq!(missing, Err(BacktestError::Missing(vec!["metric_x".into(), "control:metric_1".into()])));
}

#[test]
fn a_table_with_a_fault_is_refused_at_its_line() {
    for (text, line, why) in [
        ("", 1, "at_ms or at_s"),
        ("time,a\n1,2\n", 1, "at_ms or at_s"),
        ("at_ms,a\n", 2, "no rows"),
        ("at_ms,a\n1,2\n1,3\n", 3, "do not rise"),
        ("at_ms,a\n1,2\n2,x\n", 3, "no number"),
        ("at_ms,a\n1,2\n-2,1\n", 3, "no number"),
        ("at_ms,a\n1,2\n2,NaN\n", 3, "no number"),
        ("at_ms,a\n1,2,3\n", 2, "fields"),
        ("at_ms,a,b,a\n1,2,3,4\n", 1, "two columns are called `a`"),
    ] {
        let error = Table::read(text).unwrap_err();
        assert_eq!(error.line, line, "{text:?}: {error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    let table = Table::read("at_s, a ,b\n1.5,2,\n3,,4\n").unwrap();
    assert_eq!((table.first(), table.last()), (Moment::from_ms(1_500), Moment::from_ms(3_000)));
    assert_eq!(table.names().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_slip_in_the_times_of_a_record_costs_neither_memory_nor_time() {
    let plan = two();
    // Milliseconds, but for the first row, which is in seconds; and a last row in microseconds.
    let (first, last) = (GO.as_ms() / 1_000, GO.as_ms() * 1_000);
    let text = format!("at_ms,metric_0,metric_1\n{first},1,1\n{},1,1\n{},1,1\n", GO.as_ms(), GO.as_ms() + 60_000);
    let history = Table::read(&text).unwrap().references(&plan, GO);
    let reference = history.of(0).unwrap();
    assert_eq!((reference.windows().count(), reference.until()), (1_000_000, GO));
    assert_eq!(reference.samples(), 1, "what is older than a million windows is none of it");
    let table = Table::read(&format!("{text}{last},1,1\n")).unwrap();
    let told = backtest(&plan, "plan", &table, GO).map(|_| ());
    assert!(matches!(told, Err(BacktestError::TooLong { most: 1_000_000, .. })), "{told:?}");
}
