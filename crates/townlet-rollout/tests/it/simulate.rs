//! Rollouts of 48 hours in virtual time: how they end, and how long that takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use townlet_rollout::simulate::{Fault, Resampled, Simulation, Trouble};
use townlet_rollout::{
    Action, BaselineSource, Cause, Checkpoint, Condition, Phase, Plan, Recorder, Reference, References, Rule, Undo,
};

use crate::series::Habit;
use crate::world::{GO, MINUTE, plan, rules, signal};

const DAYS: u64 = 7;

/// Ten metrics and twenty rules over 48 hours: a detector and a limit for each metric.
pub(crate) fn large() -> Plan {
    let mut plan = plan();
    plan.signals = (0..10).map(|index| signal(&format!("metric_{index}"), "value", index < 4)).collect();
    let limit = rules("cpu_percent > 75 for 10m keep 5m", "cpu_percent > +30% for 5m").remove(1);
    plan.rules = (0..10)
        .flat_map(|index| {
            let worse = Rule {
                name: format!("worse {index}"),
                action: Some(Action::Rollback),
                dry_run: false,
                known_from: Duration::ZERO,
                condition: Condition::Worse { signal: index, tolerance: 0.05 },
            };
            let mut stated = limit.clone();
            stated.name = format!("limit {index}");
            if let Condition::Stated(rule) = &mut stated.condition {
                rule.condition = townlet_policy::Condition::Test(townlet_policy::Test {
                    metric: townlet_policy::MetricId(index),
                    ..rule.condition.tests()[0].clone()
                });
            }
            [worse, stated]
        })
        .collect();
    let minutes = [15, 30, 45, 60, 75, 90, 720, 1440, 2160, 2880];
    plan.checkpoints = minutes.map(|after| Checkpoint { after: MINUTE * after, snapshot: after % 1440 == 0 }).to_vec();
    plan.preflight.baseline_min_samples = 1440;
    plan.rollback.recovered = vec![9];
    plan.rollback.silent = vec![0, 1, 2, 3];
    assert!(plan.rollback.steps.iter().any(|step| step.undo == Undo::FlagOff));
    assert!(plan.problems().is_empty(), "{:?}", plan.problems());
    plan
}

/// A week of each metric of the plan that ends one minute before `GO`, where the simulated rollouts begin.
pub(crate) fn history(plan: &Plan, habit: Habit) -> References {
    let first = townlet_rollout::Moment::from_ms(GO.as_ms() - DAYS * 1440 * 60_000);
    let minute = first.as_ms() / 60_000 % 1440;
    let of = |seed: u64| Some(Reference::new(first, MINUTE, habit.values(seed, minute, DAYS * 1440), vec![]));
    References((0..plan.signals.len() as u64).map(of).collect())
}

pub(crate) const USUAL: Habit = Habit { level: 50.0, noise: 0.02, memory: 0.5, swing: 0.1 };

fn rollout<'p>(plan: &'p Plan, history: &References, seed: u64, trouble: Option<Trouble>) -> Recorder<'p> {
    let mut source = Resampled::new(plan, history, GO, seed);
    if let Some(trouble) = trouble {
        source = source.with(Arc::new(trouble));
    }
    Simulation::new(plan, Recorder::new(plan, "plan", "r1"), history.clone(), source, GO).run()
}

#[test]
fn a_healthy_rollout_of_48_hours_succeeds_and_takes_less_than_a_second() {
    let plan = large();
    let history = history(&plan, USUAL);
    // The first one reads the history; those after it share what it found.
    let first = rollout(&plan, &history, 0, None);
    assert_eq!(first.state().phase(), Phase::Succeeded, "{}", first.to_text());
    let began = Instant::now();
    let runs = 10;
    for seed in 1..=runs {
        let run = rollout(&plan, &history, seed, None);
        assert_eq!(run.state().phase(), Phase::Succeeded, "seed {seed}:\n{}", run.to_text());
        assert!(run.entries().len() >= 2_880);
    }
    let each = began.elapsed() / u32::try_from(runs).unwrap_or(1);
    println!("{} windows, {} signals, {} rules: {each:?} a rollout", 2_880, plan.signals.len(), plan.rules.len());
    // An optimised build on a quiet machine takes a twentieth of it.
    assert!(each < Duration::from_secs(1), "{each:?} a rollout");
}

#[test]
fn a_shift_of_ten_percent_is_undone_within_two_hours_and_threefold_within_two_windows() {
    let plan = large();
    let history = history(&plan, USUAL);
    for (fault, within) in [(Fault::Times(1.12), 119), (Fault::Times(3.0), 2), (Fault::Absent, 2)] {
        let from = GO + Duration::from_hours(6);
        for seed in 0..3 {
            let run = rollout(&plan, &history, seed, Some(Trouble { fault, signals: vec![2], from }));
            assert_eq!(run.state().phase(), Phase::RolledBack, "{fault:?}:\n{}", run.to_text());
            assert!(matches!(run.state().cause(), Some(Cause::Rule { .. })));
            let undone = run
                .entries()
                .iter()
                .find(|entry| entry.notes.iter().any(|note| note.to_string().starts_with("rollback:")));
            let after = undone.map(|entry| entry.event.at.since(from));
            assert!(after.is_some_and(|after| after < MINUTE * (within + 1)), "{fault:?}, seed {seed}: {after:?}");
        }
    }
}

#[test]
fn a_signal_without_samples_holds_the_rollout_and_then_undoes_it() {
    let mut plan = large();
    plan.signals[5].required = false;
    plan.signals[5].baseline = BaselineSource::None;
    plan.rules.retain(|rule| !rule.signals().contains(&5));
    plan.rules.push(rules("cpu_percent > 75", "parse_duration_ms.p95 > 5").remove(1));
    if let Some(Condition::Stated(rule)) = plan.rules.last_mut().map(|rule| &mut rule.condition) {
        rule.condition = townlet_policy::Condition::Test(townlet_policy::Test {
            metric: townlet_policy::MetricId(5),
            ..rule.condition.tests()[0].clone()
        });
    }
    let mut history = history(&plan, USUAL);
    history.0[5] = None;
    let run = rollout(&plan, &history, 1, None);
    assert_eq!(run.state().phase(), Phase::RolledBack, "{}", run.to_text());
    assert!(matches!(run.state().cause(), Some(Cause::HeldTooLong { .. })), "{:?}", run.state().cause());
}

#[test]
fn equal_seeds_give_equal_logs_and_a_log_replays_to_its_bytes() {
    let plan = large();
    let history = history(&plan, USUAL);
    let (one, two, other) =
        (rollout(&plan, &history, 5, None), rollout(&plan, &history, 5, None), rollout(&plan, &history, 6, None));
    let log = one.to_jsonl();
    assert_eq!(log, two.to_jsonl());
    assert_ne!(log, other.to_jsonl());
    let again = Recorder::replay(&plan, "plan", &log).map(|run| run.to_jsonl()).map_err(|error| error.to_string());
    assert!(again == Ok(log), "the replay differs");
}
