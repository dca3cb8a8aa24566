//! Rollouts of 48 hours in virtual time: how they end, and how long that takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use townlet_rollout::simulate::{Fault, Options, Resampled, Simulation, Trouble, predict};
use townlet_rollout::{
    Action, BaselineSource, Cause, Checkpoint, Condition, Note, Phase, Plan, Recorder, Reference, References, Rule,
    Undo,
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
fn a_healthy_rollout_of_48_hours_succeeds_and_takes_seconds_at_most() {
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
    // `cargo xtask prove` measures it; this only finds what grows beyond all bounds, on a machine however busy.
    assert!(each < Duration::from_secs(20), "{each:?} a rollout");
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

/// A rule that rolls back where the first metric of the small plan is over a limit for so many windows.
fn only(text: &str) -> Plan {
    let mut plan = large();
    plan.signals.truncate(2);
    plan.signals[1].behind_flag = false;
    plan.rules = rules("cpu_percent > 1000", text);
    plan.rollback.recovered = vec![1];
    plan.rollback.silent = vec![0];
    // Three hours, so that thousands of them take seconds.
    plan.checkpoints.retain(|checkpoint| checkpoint.after < Duration::from_hours(2));
    plan.checkpoints.push(Checkpoint { after: Duration::from_hours(3), snapshot: true });
    plan
}

/// Near one half a thousand rollouts stray by 1.6 points (one standard error) themselves, so that one thousand cannot
/// tell a prediction that is two points off. Five of them together stray by 0.7, and a prediction from 10,000 by 0.5.
#[test]
fn the_predicted_false_rollbacks_are_those_of_thousands_of_simulated_rollouts_within_two_points() {
    // From hardly ever to nearly always.
    let mut predicted = Vec::new();
    for (text, thousands) in [("> +8%", 1), ("> +3.9% for 1m", 5), ("> +3% for 1m", 1)] {
        let plan = only(&format!("parse_duration_ms.p95 {text}"));
        let history = history(&plan, Habit { swing: 0.05, ..USUAL });
        let runs = 2_000 * thousands;
        let options = Options { runs, faulty_runs: 0, seed: 11, threads: 2, ..Options::default() };
        let prediction = predict(&plan, &history, GO, &options);
        let foreseen = prediction.false_rollback;
        let undone = |seed: u64| {
            let source = Resampled::new(&plan, &history, GO, 1_000_000 + seed);
            let run = Recorder::forgetful(&plan, "r");
            Simulation::new(&plan, run, history.clone(), source, GO).run().state().phase() == Phase::RolledBack
        };
        let shares: Vec<f64> = (0..u64::from(thousands))
            .map(|n| (0..1_000).filter(|seed| undone(n * 1_000 + seed)).count() as f64 / 1_000.0)
            .collect();
        let seen = shares.iter().sum::<f64>() / shares.len() as f64;
        println!("{text}: predicted {foreseen:.3}, seen {seen:.4} in {shares:?}");
        assert!((foreseen - seen).abs() <= 0.02, "{text}: {foreseen} and {seen}");
        // Each thousand by itself, to three standard errors of what it and the prediction stray.
        let stray = 3.0 * (foreseen * (1.0 - foreseen) * (1.0 / 1_000.0 + 1.0 / f64::from(runs))).sqrt() + 0.001;
        assert!(shares.iter().all(|share| (foreseen - share).abs() <= stray), "{text}: {foreseen} and {shares:?}");
        assert!(prediction.rules[1].fires == foreseen, "{text}");
        assert_eq!(prediction.rules[1].hopeless.is_some(), seen > 0.02, "{:?}", prediction.rules[1]);
        predicted.push(foreseen);
    }
    let [seldom, middle, mostly] = predicted[..] else { panic!("{predicted:?}") };
    assert!(seldom < 0.05 && mostly > 0.9, "{predicted:?}");
    assert!((0.3..0.7).contains(&middle), "one where a thousand strays most: {predicted:?}");
}

/// The rules alone foretell what the engine does with them: the median of its delays is the predicted one.
#[test]
fn the_predicted_delay_of_a_detection_is_the_one_of_simulated_rollouts() {
    let mut plan = only("parse_duration_ms.p95 > +5% for 2m");
    // They begin at all times of the day after the history.
    plan.preflight.baseline_max_age = Duration::from_hours(48);
    let history = history(&plan, Habit { swing: 0.05, noise: 0.01, ..USUAL });
    let options = Options { runs: 1, faulty_runs: 400, seed: 3, threads: 2, ..Options::default() };
    let prediction = predict(&plan, &history, GO, &options);
    let fault = Fault::Times(1.05);
    let foreseen = prediction.rules[1].found.iter().find(|found| found.fault == fault).unwrap();
    let quiet = Duration::from_hours(1);
    let mut delays: Vec<Duration> = (0..400)
        .filter_map(|seed| {
            let start = GO + MINUTE * (seed * 37 % 1_440);
            let trouble = Trouble { fault, signals: Vec::new(), from: start + quiet };
            let source = Resampled::new(&plan, &history, start, 77_000 + u64::from(seed)).with(Arc::new(trouble));
            let run = Recorder::new(&plan, "plan", "r");
            let run = Simulation::new(&plan, run, history.clone(), source, start).run();
            let begins = |note: &Note| matches!(note, Note::Rollback { .. });
            let undone = run.entries().iter().find(|entry| entry.notes.iter().any(begins))?.event.at;
            (undone > start + quiet).then(|| undone.since(start + quiet))
        })
        .collect();
    delays.sort_unstable();
    assert!(delays.len() > 350, "{}", delays.len());
    let (seen, foreseen) = (delays[delays.len() / 2], foreseen.delay.unwrap());
    println!("predicted {foreseen:?}, seen {seen:?}");
    assert!(seen.abs_diff(foreseen) <= foreseen / 10 + MINUTE, "{seen:?} and {foreseen:?}");
}

#[test]
fn the_number_of_threads_changes_no_prediction() {
    let plan = only("parse_duration_ms.p95 > +5% for 2m");
    let history = history(&plan, USUAL);
    let of = |threads| {
        let options = Options { runs: 7, faulty_runs: 3, threads, ..Options::default() };
        predict(&plan, &history, GO, &options)
    };
    assert_eq!(of(1), of(3));
}

#[test]
fn a_rule_that_finds_nothing_and_one_that_is_never_known_are_hopeless() {
    let plan = only("parse_duration_ms.p95 > 100000");
    let mut history = history(&plan, USUAL);
    let options = Options { runs: 5, faulty_runs: 5, ..Options::default() };
    let why =
        |history: &References| predict(&plan, history, GO, &options).rules[1].hopeless.clone().unwrap_or_default();
    assert!(why(&history).contains("neither ten times as much"), "{}", why(&history));
    history.0[0] = None;
    assert!(why(&history).contains("unknown"), "{}", why(&history));
}
