//! The plan of step 2: how it goes when all is well, and when it is not.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use townlet_policy::suite::Suite;
use townlet_policy::{Findings, mutate};
use townlet_rollout::simulate::{Fault, Options, Resampled, Simulation, Trouble, predict};
use townlet_rollout::{Cause, Moment, Phase, Plan, Recorder, Reference, References, Table};

use crate::file::{STEP2, step2};
use crate::series::Habit;
use crate::world::{GO, MINUTE};

const DAYS: u64 = 5;

/// What production measured before, by column: the levels of the step 2 report, with noise and a day.
const HABITS: [(&str, Habit); 5] = [
    ("cli_latency_p95_ms", Habit { level: 47.1, noise: 0.015, memory: 0.5, swing: 0.01 }),
    ("cicd_success_ratio", Habit { level: 97.6, noise: 0.002, memory: 0.3, swing: 0.0 }),
    ("resource_utilization_cpu_percent", Habit { level: 64.0, noise: 0.01, memory: 0.6, swing: 0.05 }),
    ("telemetry_stream_lag_ms", Habit { level: 195.0, noise: 0.05, memory: 0.5, swing: 0.1 }),
    ("parser_failure_total.delta", Habit { level: 0.0, noise: 0.0, memory: 0.0, swing: 0.0 }),
];

/// The history as the file that `townlet plan` reads.
pub(crate) fn csv() -> String {
    let first = GO.as_ms() - DAYS * 1440 * 60_000;
    let columns = HABITS.iter().zip(0..);
    let columns: Vec<Vec<Option<f64>>> =
        columns.map(|((_, habit), seed)| habit.values(seed, first / 60_000 % 1440, DAYS * 1440)).collect();
    let names: Vec<&str> = HABITS.iter().map(|(name, _)| *name).collect();
    let mut out = format!("at_ms,{}\n", names.join(","));
    for minute in 0..usize::try_from(DAYS * 1440).unwrap() {
        let cells: Vec<String> = columns.iter().map(|column| column[minute].unwrap().to_string()).collect();
        out.push_str(&format!("{},{}\n", first + minute as u64 * 60_000, cells.join(",")));
    }
    out
}

pub(crate) fn history(plan: &Plan) -> References {
    let table = Table::read(&csv()).unwrap();
    assert!(table.missing(plan).is_empty(), "{:?}", table.missing(plan));
    table.references(plan, GO.before_minute())
}

trait Before {
    fn before_minute(self) -> Self;
}

impl Before for Moment {
    fn before_minute(self) -> Self {
        Self::from_ms(self.as_ms() - 60_000)
    }
}

fn run<'p>(plan: &'p Plan, history: &References, trouble: Option<Trouble>) -> Recorder<'p> {
    let mut source = Resampled::new(plan, history, GO, 7);
    if let Some(trouble) = trouble {
        source = source.with(Arc::new(trouble));
    }
    let mut needed = history.clone();
    for (reference, signal) in needed.0.iter_mut().zip(&plan.signals) {
        if !signal.needs_history() {
            *reference = None;
        }
    }
    Simulation::new(plan, Recorder::new(plan, STEP2, "step2-1"), needed, source, GO).run()
}

#[test]
fn a_healthy_step_2_goes_its_48_hours_and_is_signed() {
    let file = step2();
    let history = history(&file.plan);
    let run = run(&file.plan, &history, None);
    assert_eq!(run.state().phase(), Phase::Succeeded, "{}", run.to_text());
    insta::assert_snapshot!("step2_healthy", run.to_text());
    let took = run.state().now().since(GO);
    assert!(took > Duration::from_hours(48) && took < Duration::from_hours(49), "{took:?}");
    let rows = run.state().rows();
    let mut checkpoints: Vec<&str> = rows.iter().map(|row| row.checkpoint.as_str()).collect();
    checkpoints.dedup();
    assert_eq!(checkpoints, ["baseline", "24h", "48h"]);
    let keys: BTreeSet<_> =
        rows.iter().map(|row| (&row.rollout, &row.checkpoint, &row.metric, &row.statistic)).collect();
    assert_eq!((keys.len(), rows.len()), (24, 24), "eight metrics at three checkpoints, each row once");
    let log = run.to_jsonl();
    let again = Recorder::replay(&file.plan, STEP2, &log).map(|run| run.to_jsonl()).map_err(|why| why.to_string());
    assert!(again == Ok(log), "the replay differs");
}

#[test]
fn a_slower_parser_is_undone_and_the_rollback_is_shown_within_five_minutes() {
    let file = step2();
    let history = history(&file.plan);
    let from = GO + Duration::from_hours(3);
    let trouble = Trouble { fault: Fault::Times(1.12), signals: vec![1], from };
    let run = run(&file.plan, &history, Some(trouble));
    assert_eq!(run.state().phase(), Phase::RolledBack, "{}", run.to_text());
    assert_eq!(run.state().cause(), Some(&Cause::Rule { rule: "parse-p95-shift".into() }));
    insta::assert_snapshot!("step2_slower_parser", run.to_text());
}

#[test]
fn every_rule_of_step_2_can_be_relied_on() {
    let file = step2();
    let history = history(&file.plan);
    let options = Options { runs: 60, faulty_runs: 20, threads: 2, ..Options::default() };
    let prediction = predict(&file.plan, &history, GO, &options);
    let hopeless: Vec<_> = prediction.rules.iter().filter(|rule| rule.hopeless.is_some()).collect();
    assert!(hopeless.is_empty(), "{hopeless:#?}");
    assert!(prediction.false_rollback <= 0.02, "{prediction:#?}");
    let slow = MINUTE * 119;
    let p95 = prediction.rules.iter().find(|rule| rule.rule == "parse-p95-shift").unwrap();
    let tenth = p95.found.iter().find(|found| found.fault == Fault::Times(1.1)).unwrap();
    assert!(tenth.delay.is_some_and(|delay| delay <= slow), "{p95:?}");
    let gross = p95.found.iter().find(|found| found.fault == Fault::Times(3.0)).unwrap();
    assert!(gross.delay.is_some_and(|delay| delay <= MINUTE * 2), "{p95:?}");
}

/// The limits of step 2 stand in the plan and nowhere else, and these are their tests.
#[test]
fn the_tests_of_the_plan_pass_and_notice_nineteen_of_twenty_changes_of_its_rules() {
    const TESTS: &str = include_str!("../../../../samples/rollouts/telemetry-step2.test.yaml");
    let file = step2();
    let mut found = Findings::new("telemetry-step2.test.yaml", TESTS);
    let bound = Suite::read(TESTS, &mut found).and_then(|suite| suite.bind(&file.policy, &mut found));
    let bound = bound.unwrap_or_else(|| panic!("{found}"));
    let failures: Vec<String> = bound.run(&file.policy).iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let score = mutate::score(&file.policy, &[bound]).unwrap();
    let survivors: Vec<&str> = score.survivors.iter().map(|one| one.change.as_str()).collect();
    println!("{:.1} % of {} ({} by lint)", score.killed() * 100.0, score.mutants(), score.by_lint);
    assert!(score.mutants() > 80 && score.killed() >= 0.95, "{}\n{}", score.mutants(), survivors.join("\n"));
}

#[test]
fn a_history_that_is_read_from_a_table_is_the_one_that_was_written() {
    let file = step2();
    let history = history(&file.plan);
    let cli = history.of(4).unwrap();
    assert_eq!((cli.samples(), cli.until()), (u32::try_from(DAYS * 1440).unwrap(), GO.before_minute()));
    let written = HABITS[0].1.values(0, GO.as_ms() / 60_000 % 1440, DAYS * 1440);
    assert_eq!(cli.windows().map(|sample| sample.value).collect::<Vec<_>>(), written);
    assert_eq!(history.of(0).map(Reference::samples), None);
}
