//! Rules of the grammar and detectors, in the engine.

use std::time::Duration;

use townlet_rollout::{
    Action, BaselineSource, Cause, Check, Command, Condition, Count, Direction, EventKind, Finding, HoldReason, Note,
    Phase, Plan, References, Rule, Scale, Stated, Tick, Verdict, What,
};

use crate::world::{GO, GOOD, MINUTE, World, finding, plan, rules};

/// The small plan with a detector on both signals in place of its rules.
pub(crate) fn detecting(tolerance: f64) -> Plan {
    let mut plan = plan();
    let rule = |signal, name: &str| Rule {
        name: name.into(),
        action: Some(Action::Rollback),
        dry_run: false,
        known_from: Duration::ZERO,
        condition: Condition::Worse { signal, tolerance },
    };
    plan.rules = vec![rule(0, "slower"), rule(1, "busier")];
    for (signal, level) in plan.signals.iter_mut().zip([80.0, 64.0]) {
        signal.baseline = BaselineSource::Stated(Stated { level, sd: 0.02, memory: 0.0 });
    }
    plan
}

fn cause(world: &World<'_>) -> Option<String> {
    match world.run.state().cause() {
        Some(Cause::Rule { rule }) => Some(rule.clone()),
        _ => None,
    }
}

/// How many windows of these values it takes to a rollback.
fn windows_to_rollback(world: &mut World<'_>, values: [f64; 2], most: usize) -> Option<usize> {
    (1..=most).find(|_| {
        world.window(&values.map(Some));
        cause(world).is_some()
    })
}

#[test]
fn a_catastrophe_is_found_at_its_second_window_in_every_phase_and_a_small_shift_within_two_hours() {
    let plan = detecting(0.0);
    for (windows, values, most) in
        [(1, [80.0, 200.0], 2), (8, [240.0, 64.0], 2), (25, [240.0, 64.0], 2), (25, [88.0, 64.0], 119)]
    {
        let mut world = World::started(&plan);
        world.good(windows);
        let found = windows_to_rollback(&mut world, values, most);
        assert!(found.is_some(), "{values:?} after {windows}:\n{}", world.run.to_text());
    }
}

#[test]
fn a_metric_that_is_better_or_within_its_tolerance_is_left_alone() {
    for (tolerance, values) in [(0.0, [60.0, 50.0]), (0.06, [84.0, 64.0])] {
        let plan = detecting(tolerance);
        let mut world = World::started(&plan);
        world.good(25);
        assert_eq!(windows_to_rollback(&mut world, values, 300), None, "{values:?}");
    }
}

#[test]
fn a_metric_behind_the_flag_is_not_missed_before_its_first_sample_and_is_after_it() {
    let mut plan = detecting(0.0);
    plan.emission_within = Duration::from_mins(10);
    let mut world = World::started(&plan);
    for _ in 0..5 {
        world.window(&[None, Some(64.0)]);
    }
    assert_eq!(world.run.state().verdicts(), [Verdict::Unknown, Verdict::Pass]);
    world.good(1);
    for _ in 0..2 {
        assert_eq!(cause(&world), None);
        world.window(&[None, Some(64.0)]);
    }
    assert_eq!(cause(&world).as_deref(), Some("slower"));
}

#[test]
fn a_relative_limit_is_measured_from_what_is_expected_of_the_window() {
    let mut plan = plan();
    plan.rules = rules("parse_duration_ms.p95 > +10% for 2m", "cpu_percent > +50% for 1m");
    let mut world = World::started(&plan);
    world.good(20);
    for verdict in [Verdict::Pending, Verdict::Pending, Verdict::Firing] {
        world.window(&[Some(89.0), Some(64.0)]);
        assert_eq!(world.run.state().verdicts().first(), Some(&verdict));
    }
    assert!(matches!(world.phase(), Phase::Holding { reason: HoldReason::Rule, .. }));
    let why = world.notes.iter().rev().find_map(|note| match note {
        Note::Rule { to: Verdict::Firing, why, .. } => Some(why.as_str()),
        _ => None,
    });
    assert_eq!(why, Some("parse_duration_ms.p95 89.00 (expected 80.00)"));
}

#[test]
fn a_rule_without_an_action_closes_the_gate_and_nothing_else() {
    let mut plan = plan();
    if let Some(rule) = plan.rules.first_mut() {
        rule.action = None;
    }
    let mut world = World::started(&plan);
    while world.phase() != (Phase::Watching { checkpoint: 0 }) {
        world.good(1);
    }
    for _ in 0..10 {
        world.window(&[Some(100.0), Some(64.0)]);
        assert_eq!(world.phase(), Phase::Watching { checkpoint: 0 });
    }
    for _ in 0..6 {
        world.window(&[Some(100.0), Some(64.0)]);
    }
    assert!(matches!(world.phase(), Phase::Holding { reason: HoldReason::Rule, .. }), "{}", world.phase());
    world.good(1);
    assert_eq!(world.phase(), Phase::Watching { checkpoint: 1 });
}

#[test]
fn a_rule_that_permits_missing_data_is_excused_and_others_hold() {
    for (clause, verdict, held) in [("", Verdict::Unknown, true), (" unless no-data", Verdict::Excused, false)] {
        let mut plan = plan();
        plan.rules = rules(&format!("parse_duration_ms.p95 > 90{clause}"), "cpu_percent > 160");
        let mut world = World::started(&plan);
        while world.phase() != (Phase::Watching { checkpoint: 0 }) {
            world.good(1);
        }
        for _ in 0..15 {
            world.window(&[None, Some(64.0)]);
        }
        assert_eq!(world.run.state().verdicts().first(), Some(&verdict));
        assert_eq!(matches!(world.phase(), Phase::Holding { .. }), held, "{}", world.phase());
    }
}

#[test]
fn a_gap_does_not_reset_a_timer_and_a_lossy_window_counts_for_nothing() {
    let mut plan = plan();
    plan.rules = rules("parse_duration_ms.p95 > 90 for 3m", "parse_duration_ms.p95 > 160 for 3m");
    let mut world = World::started(&plan);
    world.good(20);
    let bad = [Some(240.0), Some(64.0)];
    for _ in 0..3 {
        world.window(&bad);
    }
    for _ in 0..4 {
        let due = world.run.state().next_due().unwrap_or_default();
        world.now = due;
        world.send(EventKind::Tick(Tick { due, values: GOOD.to_vec(), control: vec![], lossy: true }));
        assert_eq!(world.run.state().verdicts(), [Verdict::Unknown, Verdict::Unknown]);
    }
    world.window(&bad);
    assert_eq!(cause(&world), None);
    world.window(&bad);
    assert_eq!(cause(&world).as_deref(), Some("broken"));
}

#[test]
fn nothing_is_taken_for_absent_in_windows_that_nobody_saw() {
    for condition in ["cpu_percent absent for 3m", "cpu_percent absent", "not cpu_percent fresh < 150s"] {
        let mut plan = plan();
        plan.rules = rules("parse_duration_ms.p95 > 90", condition);
        for lossy in [true, false] {
            let mut world = World::started(&plan);
            world.good(20);
            let first = world.run.state().next_due().unwrap_or_default();
            // Ten minutes of samples that the pipeline lost, or without a driver.
            for n in 0..10 {
                world.now = first + MINUTE * n;
                if lossy {
                    world.send(EventKind::Tick(Tick { due: world.now, values: vec![None; 2], control: vec![], lossy }));
                    // For as long as the last sample is young enough, it is not absent.
                    let verdicts = world.run.state().verdicts();
                    assert!(n < 3 || verdicts == [Verdict::Unknown, Verdict::Unknown], "{condition}: {verdicts:?}");
                }
            }
            world.now = first + MINUTE * 10;
            world.tick(world.now, &GOOD);
            assert_eq!(cause(&world), None, "{condition}, lossy: {lossy}\n{}", world.run.to_text());
            assert_eq!(world.run.state().verdicts(), [Verdict::Pass, Verdict::Pass], "{condition}");
            // What is absent while somebody looks is found as before.
            for _ in 0..4 {
                world.window(&[Some(80.0), None]);
            }
            assert_eq!(
                cause(&world).as_deref(),
                Some("broken"),
                "{condition}, lossy: {lossy}\n{}",
                world.run.to_text()
            );
        }
    }
}

#[test]
fn the_flag_is_not_raised_while_a_rule_is_broken_that_has_not_lasted_yet() {
    let mut plan = plan();
    plan.rules = rules("parse_duration_ms.p95 > 90", "cpu_percent > 160 for 15m");
    let raised =
        |world: &World<'_>| world.asked.iter().any(|intent| matches!(intent.what, What::SetFlag { percent: 100, .. }));
    let mut world = World::started(&plan);
    while world.phase() != (Phase::Enabling { step: 0 }) || world.run.state().rows().is_empty() {
        world.good(1);
    }
    // The ten minutes of the step end after ten of fifteen bad ones.
    for _ in 0..12 {
        world.window(&[Some(80.0), Some(200.0)]);
    }
    assert!(!raised(&world), "{}", world.run.to_text());
    world.good(1);
    assert!(raised(&world), "{}", world.run.to_text());
}

#[test]
fn a_rule_on_trial_is_judged_and_does_nothing() {
    let mut plan = plan();
    let mut trial = plan.rules.clone();
    trial.iter_mut().for_each(|rule| (rule.name, rule.dry_run) = (format!("trial {}", rule.name), true));
    plan.rules.extend(trial);
    plan.rules.remove(0);
    let mut world = World::started(&plan);
    world.good(20);
    for _ in 0..4 {
        world.window(&[Some(100.0), Some(64.0)]);
    }
    assert_eq!(world.run.state().verdicts(), [Verdict::Pass, Verdict::Firing, Verdict::Pass]);
    assert!(matches!(world.phase(), Phase::Watching { .. }), "{}", world.phase());
}

#[test]
fn a_detector_whose_history_is_too_short_keeps_the_rollout_from_starting() {
    let mut plan = detecting(0.0);
    plan.signals.iter_mut().for_each(|signal| signal.baseline = BaselineSource::History);
    let mut world = World::new(&plan);
    world.ask("ops", Command::Submit);
    assert_eq!(world.phase(), Phase::Draft);
    let blocked = world.notes.iter().any(
        |note| matches!(note, Note::Blocked { reasons } if reasons.iter().any(|why| why.contains("days of history"))),
    );
    assert!(blocked, "{:?}", world.notes);
}

#[test]
fn a_rule_that_compares_with_a_baseline_which_is_not_there_is_a_problem_of_the_plan() {
    let mut plan = plan();
    plan.rules = rules("parse_duration_ms.p95 > +10%", "cpu_percent > 160");
    plan.signals.iter_mut().for_each(|signal| signal.baseline = BaselineSource::None);
    let problems = plan.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(problems.contains("rule `slow` compares `parse_duration_ms.p95` with its baseline"), "{problems}");
    assert!(!problems.contains("rule `broken`"), "{problems}");
}

/// The small plan with detectors, of which the first counts failures: none in a day before.
fn counting() -> Plan {
    let mut plan = detecting(0.0);
    if let Some(signal) = plan.signals.first_mut() {
        signal.baseline = BaselineSource::Rare(Some(Count { events: 0, exposure: 1_440.0 }));
        signal.scale = Scale::Difference;
    }
    assert!(plan.problems().is_empty(), "{:?}", plan.problems());
    plan
}

#[test]
fn more_failures_than_were_counted_before_are_undone_with_their_exact_chance() {
    let plan = counting();
    let mut world = World::started(&plan);
    for _ in 0..25 {
        world.window(&[Some(0.0), Some(64.0)]);
    }
    assert_eq!(world.run.state().verdicts(), [Verdict::Pass, Verdict::Pass]);
    assert_eq!(windows_to_rollback(&mut world, [2.0, 64.0], 10), Some(2));
    assert_eq!(cause(&world).as_deref(), Some("slower"));
    let why = world.notes.iter().rev().find_map(|note| match note {
        Note::Rule { to: Verdict::Firing, why, .. } => Some(why.as_str()),
        _ => None,
    });
    assert_eq!(why, Some("4 in 2 windows since T+26m, 0 in 1440 before: chance 4e-12"));
}

#[test]
fn counts_that_are_often_missing_are_unknown_and_hold() {
    let plan = counting();
    let mut world = World::started(&plan);
    for n in 0..40 {
        let missing = n % 3 == 1;
        world.window(&[if missing { None } else { Some(0.0) }, Some(64.0)]);
    }
    let mut unknown = false;
    for n in 0..60 {
        world.window(&[if n % 2 == 0 { None } else { Some(0.0) }, Some(64.0)]);
        unknown |= world.run.state().verdicts().first() == Some(&Verdict::Unknown);
    }
    assert!(unknown, "{}", world.run.to_text());
    world.sign("queenie", "qa");
    world.sign("oliver", "devops");
    assert!(world.phase() != Phase::Succeeded, "nothing succeeds with an unknown rule");
}

#[test]
fn a_history_of_counts_that_clump_keeps_the_rollout_from_starting() {
    let mut plan = counting();
    plan.signals.iter_mut().take(1).for_each(|signal| signal.baseline = BaselineSource::Rare(None));
    let mut world = World::new(&plan);
    world.ask("ops", Command::Submit);
    // An hour of eighty a minute.
    let reasons: Vec<&str> = world
        .notes
        .iter()
        .filter_map(|note| if let Note::Blocked { reasons } = note { Some(reasons) } else { None })
        .flatten()
        .map(String::as_str)
        .collect();
    for part in ["days of history: 0.042", "events a window: 80.000 (at most 10): FAILS"] {
        assert!(reasons.iter().any(|reason| reason.contains(part)), "{part}: {reasons:?}");
    }
}

#[test]
fn what_is_rare_has_no_level_and_gets_worse_in_one_direction() {
    let relative = rules("parse_duration_ms.p95 > +10%", "cpu_percent > 160");
    let of = |change: &dyn Fn(&mut Plan)| {
        let mut plan = counting();
        change(&mut plan);
        plan.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let told = of(&|plan| plan.rules.extend(relative.clone()));
    assert!(told.contains("measures from the level of `parse_duration_ms.p95`, which is rare and has none"), "{told}");
    let told = of(&|plan| plan.signals.iter_mut().for_each(|signal| signal.direction = Direction::Band));
    assert!(told.contains("looks for more of `parse_duration_ms.p95`"), "{told}");
    let told = of(&|plan| {
        plan.signals.iter_mut().for_each(|signal| signal.behind_flag = false);
        plan.rollback.recovered = vec![0];
        plan.rollback.silent = vec![];
    });
    assert!(told.contains("it has no level to return to"), "{told}");
}

#[test]
fn what_detectors_assume_of_each_history_is_told_before_the_rollout() {
    let mut plan = counting();
    if let Some(signal) = plan.signals.last_mut() {
        signal.baseline = BaselineSource::History;
    }
    let Finding::Baseline { references } = finding(Check::Baseline, GO) else { panic!("another finding") };
    let told = plan.assumed(&references);
    let [counted, level] = &told[..] else { panic!("{told:?}") };
    assert_eq!((counted.signal.as_str(), &counted.checks), ("parse_duration_ms.p95", &Ok(vec![])), "stated");
    let failing: Vec<String> =
        level.checks.iter().flatten().filter(|check| !check.holds).map(ToString::to_string).collect();
    assert!(failing.iter().any(|why| why.starts_with("days of history: 0.042 (at least 3)")), "{failing:?}");
    let told = plan.assumed(&References::default());
    assert!(told[1].checks.as_ref().is_err_and(|why| why.contains("no history")), "{told:?}");
}
