//! The way of a rollout, and the ways out of it.

use std::time::Duration;

use townlet_rollout::{
    Answer, Cause, Check, Command, EventKind, Finding, HoldReason, Note, PauseReason, Phase, Recorder, Tick, What,
    snapshot,
};

use crate::world::{GOOD, MINUTE, World, plan};

#[test]
fn a_healthy_rollout_passes_every_state_to_success() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(60);
    assert_eq!(world.phase(), Phase::SignOff, "{}", world.run.to_text());
    world.sign("queenie", "qa");
    world.sign("oliver", "devops");
    assert_eq!(world.phase(), Phase::Succeeded);
    let entered: Vec<&str> = world
        .notes
        .iter()
        .filter_map(|note| if let Note::Entered { phase } = note { Some(phase.as_str()) } else { None })
        .collect();
    assert_eq!(
        entered,
        [
            "Preflight",
            "Ready",
            "Enabling(0)",
            "Restarting(0)",
            "EmissionCheck",
            "Baseline",
            "Enabling(0)",
            "Enabling(1)",
            "Watching(0)",
            "Watching(1)",
            "SignOff",
            "Succeeded"
        ]
    );
    let checkpoints: Vec<&str> = world.run.state().rows().iter().map(|row| row.checkpoint.as_str()).collect();
    assert_eq!(checkpoints, ["baseline", "baseline", "30m", "30m"]);
}

#[test]
fn a_catastrophe_is_undone_at_its_second_sample_in_every_phase() {
    let plan = plan();
    for windows in 0..50 {
        let mut world = World::started(&plan);
        world.good(windows);
        let before = world.phase();
        for _ in 0..2 {
            assert!(!matches!(world.phase(), Phase::RollingBack { .. }));
            world.window(&[Some(240.0), Some(64.0)]);
        }
        assert_eq!(world.phase(), Phase::RollingBack { step: 2 }, "from {before}");
        assert_eq!(world.run.state().cause(), Some(&Cause::Rule { rule: "broken".into() }));
        world.silent(3);
        assert_eq!(world.phase(), Phase::RolledBack, "{}", world.run.to_text());
    }
}

#[test]
fn an_unknown_rule_holds_at_a_checkpoint_and_data_ends_the_hold() {
    let plan = plan();
    let mut world = World::started(&plan);
    while world.phase() != (Phase::Watching { checkpoint: 0 }) {
        world.good(1);
    }
    for _ in 0..15 {
        world.window(&[None, Some(64.0)]);
    }
    assert!(matches!(world.phase(), Phase::Holding { reason: HoldReason::Unknown, .. }), "{}", world.phase());
    world.good(1);
    assert_eq!(world.phase(), Phase::Watching { checkpoint: 1 });
}

#[test]
fn a_hold_that_does_not_end_is_undone() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(20);
    for _ in 0..2 {
        world.window(&[Some(100.0), Some(64.0)]);
    }
    assert!(matches!(world.phase(), Phase::Holding { reason: HoldReason::Rule, .. }));
    for _ in 0..22 {
        world.window(&[Some(100.0), Some(64.0)]);
    }
    assert_eq!(world.run.state().cause(), Some(&Cause::HeldTooLong { reason: HoldReason::Rule }));
}

#[test]
fn only_an_operator_ends_the_hold_of_an_operator() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(5);
    world.ask("ops", Command::Hold);
    world.good(10);
    assert!(matches!(world.phase(), Phase::Holding { reason: HoldReason::Operator, .. }));
    world.ask("ops", Command::Resume);
    assert!(!matches!(world.phase(), Phase::Holding { .. }));
}

#[test]
fn a_late_window_is_judged_as_of_its_own_time() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(20);
    let first = world.run.state().next_due().unwrap_or_default();
    world.now = first + Duration::from_mins(3);
    for n in 0..3 {
        world.tick(first + MINUTE * n, &GOOD);
    }
    let late: Vec<u64> = world
        .notes
        .iter()
        .filter_map(|note| if let Note::TickLate { late_ms, .. } = note { Some(*late_ms) } else { None })
        .collect();
    assert_eq!(late, [180_000, 120_000, 60_000]);
    assert_eq!(world.run.state().next_due(), Some(first + MINUTE * 3));
}

#[test]
fn missed_windows_are_recorded_and_unknown_and_a_second_judgement_is_refused() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(20);
    let first = world.run.state().next_due().unwrap_or_default();
    world.now = first + MINUTE * 2;
    world.tick(first + MINUTE * 2, &GOOD);
    assert!(
        world
            .notes
            .iter()
            .any(|note| matches!(note, Note::TicksMissed { count: 2, first_ms, .. } if *first_ms == first))
    );
    world.tick(first, &GOOD);
    assert_eq!(world.notes.last(), Some(&Note::TickStale { due_ms: first }));
}

#[test]
fn a_window_in_which_samples_were_lost_is_unknown() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(20);
    let due = world.run.state().next_due().unwrap_or_default();
    world.now = due;
    world.send(EventKind::Tick(Tick { due, values: GOOD.to_vec(), control: vec![], lossy: true }));
    assert!(world.run.state().verdicts().iter().all(|verdict| *verdict == townlet_rollout::Verdict::Unknown));
}

#[test]
fn silence_pauses_and_then_undoes_and_a_rollback_nobody_answers_fails_and_pages() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(20);
    world.pass(Duration::from_mins(7));
    assert!(matches!(world.phase(), Phase::Paused { reason: PauseReason::SourceLost, .. }));
    world.answers = false;
    world.pass(Duration::from_mins(11));
    assert!(matches!(world.phase(), Phase::RollingBack { .. }));
    for _ in 0..8 {
        world.pass(MINUTE);
    }
    assert_eq!(world.phase(), Phase::RollbackFailed);
    assert!(world.paged());
}

#[test]
fn an_intent_without_a_result_is_looked_at_and_not_repeated() {
    let plan = plan();
    let mut world = World::new(&plan);
    world.ask("ops", Command::Submit);
    world.answers = false;
    world.ask("ops", Command::Go);
    world.send(EventKind::Resumed);
    assert!(matches!(world.phase(), Phase::Paused { reason: PauseReason::Resumed, .. }));
    let looks: Vec<_> =
        world.asked.iter().filter(|intent| matches!(intent.what, What::Observe { .. })).cloned().collect();
    let sets = world.asked.iter().filter(|intent| matches!(intent.what, What::SetFlag { .. })).count();
    assert_eq!((looks.len(), sets), (1, 1));
    world.answers = true;
    let id = looks[0].id;
    world.send(EventKind::Answered { id, answer: Answer::InEffect });
    world.good(1);
    assert!(!matches!(world.phase(), Phase::Paused { .. } | Phase::Enabling { .. }), "{}", world.phase());
    let sets = world.asked.iter().filter(|intent| matches!(intent.what, What::SetFlag { .. })).count();
    assert_eq!(sets, 1);
}

#[test]
fn metrics_that_do_not_show_up_undo_the_rollout() {
    let plan = plan();
    let mut world = World::started(&plan);
    for _ in 0..5 {
        world.window(&[None, Some(64.0)]);
    }
    let missing = vec!["parse_duration_ms.p95".to_owned()];
    assert_eq!(world.run.state().cause(), Some(&Cause::NoEmission { missing }));
}

#[test]
fn a_healthy_rollout_has_a_window_at_least_for_its_metrics_to_show_up() {
    for (within, runs) in [(Duration::from_secs(50), false), (MINUTE, true)] {
        let mut plan = plan();
        plan.emission_within = within;
        let mut world = World::new(&plan);
        world.ask("ops", Command::Submit);
        assert_eq!(world.phase() == Phase::Ready, runs, "{within:?}");
        world.answers = false;
        world.ask("ops", Command::Go);
        // The service is ready just after a window began.
        for answer in [Answer::FlagReads { percent: 25, restarts: 0 }, Answer::Restarted { ready: 3, wanted: 3 }] {
            world.now = world.now + Duration::from_secs(1);
            if let Some(id) = world.asked.last().map(|intent| intent.id) {
                world.send(EventKind::Answered { id, answer });
            }
        }
        if runs {
            world.good(5);
        }
        assert_eq!(world.run.state().cause(), None, "{within:?}\n{}", world.run.to_text());
    }
}

#[test]
fn recovery_is_not_shown_while_the_silenced_metric_emits_or_the_other_is_off() {
    let plan = plan();
    for values in [[Some(80.0), Some(64.0)], [None, Some(70.0)], [None, None]] {
        let mut world = World::started(&plan);
        world.good(20);
        world.ask("ops", Command::Rollback);
        for _ in 0..6 {
            if !world.phase().is_final() {
                world.window(&values);
            }
        }
        assert_eq!(world.phase(), Phase::RollbackFailed, "{values:?}");
        assert!(world.paged());
    }
}

#[test]
fn a_signal_that_was_zero_before_is_back_when_it_is_zero_again() {
    let mut plan = plan();
    if let Some(cpu) = plan.signals.get_mut(1) {
        cpu.scale = townlet_rollout::Scale::Difference;
        cpu.baseline =
            townlet_rollout::BaselineSource::Stated(townlet_rollout::Stated { level: 0.0, sd: 0.1, memory: 0.0 });
    }
    for (after, phase) in [(0.0, Phase::RolledBack), (0.2, Phase::RollbackFailed)] {
        let mut world = World::started(&plan);
        for _ in 0..20 {
            world.window(&[Some(80.0), Some(0.0)]);
        }
        world.ask("ops", Command::Rollback);
        for _ in 0..6 {
            world.window(&[None, Some(after)]);
        }
        assert_eq!(world.phase(), phase, "{}", world.run.to_text());
    }
}

#[test]
fn what_is_not_finite_is_no_sample_and_the_log_says_the_same() {
    let plan = plan();
    for nothing in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut world = World::new(&plan);
        world.ask("ops", Command::Submit);
        world.ask("ops", Command::Go);
        world.good(20);
        world.ask("ops", Command::Rollback);
        for _ in 0..6 {
            // A quantile of no requests at all.
            world.window(&[Some(nothing), Some(64.0)]);
        }
        assert_eq!(world.phase(), Phase::RolledBack, "{}", world.run.to_text());
        let log = world.run.to_jsonl();
        assert_eq!(Recorder::replay(&plan, "plan", &log).map(|run| run.to_jsonl()).ok().as_ref(), Some(&log));

        let mut world = World::new(&plan);
        world.answers = false;
        world.ask("ops", Command::Submit);
        let finding = Finding::Capacity { cpu: Some(nothing), memory: Some(1.0), disk: None };
        for intent in world.asked.clone() {
            let What::Check { check } = intent.what else { continue };
            let finding =
                if check == Check::Capacity { finding.clone() } else { crate::world::finding(check, world.now) };
            world.send(EventKind::Answered { id: intent.id, answer: Answer::Found { finding } });
        }
        assert_eq!(world.phase(), Phase::Draft);
        let log = world.run.to_jsonl();
        assert_eq!(Recorder::replay(&plan, "plan", &log).map(|run| run.to_jsonl()).ok(), Some(log));
    }
}

#[test]
fn one_person_does_not_sign_twice_and_nobody_signs_before_the_end_or_something_else() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.sign("queenie", "qa");
    world.good(60);
    assert_eq!(world.phase(), Phase::SignOff);
    world.send(EventKind::Signed { actor: "queenie".into(), role: "qa".into(), digest: "0".into() });
    world.sign("queenie", "qa");
    world.sign("queenie", "devops");
    // A blank makes nobody somebody else.
    world.sign("queenie ", "devops");
    assert_eq!(world.phase(), Phase::SignOff);
    let refused = world.notes.iter().filter(|note| matches!(note, Note::Refused { .. })).count();
    assert_eq!(refused, 4);
}

#[test]
fn nothing_starts_where_a_check_is_bad_or_nobody_knows() {
    let plan = plan();
    let mut world = World::new(&plan);
    world.answers = false;
    world.ask("ops", Command::Submit);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.phase(), Phase::Draft);
    assert!(matches!(world.notes.iter().rev().nth(1), Some(Note::Blocked { reasons }) if reasons.len() == 6));
}

#[test]
fn a_plan_whose_rollback_cannot_be_shown_is_refused() {
    let mut plan = plan();
    plan.rollback.recovered = vec![0];
    plan.rollback.windows = 4;
    plan.rules.retain(|rule| !rule.rolls_back());
    let problems = plan.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for part in ["switches it off", "needs up to 6m35s", "no rule rolls back"] {
        assert!(problems.contains(part), "{part} is not in:\n{problems}");
    }
}

#[test]
fn snapshots_go_out_as_json_lines_as_csv_and_with_a_schema_of_the_same_columns() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(60);
    let rows = world.run.state().rows();
    let first: serde_json::Value =
        serde_json::from_str(snapshot::to_jsonl(rows).lines().next().unwrap_or_default()).unwrap_or_default();
    let schema: Vec<serde_json::Value> = serde_json::from_str(&snapshot::bigquery_schema()).unwrap_or_default();
    let csv = snapshot::to_csv(rows);
    let names: Vec<&str> = schema.iter().filter_map(|field| field["name"].as_str()).collect();
    assert_eq!(csv.lines().next(), Some(names.join(",").as_str()));
    assert_eq!(csv.lines().count(), rows.len() + 1);
    assert_eq!(first.as_object().map(serde_json::Map::len), Some(names.len()));
    assert!(names.iter().all(|name| first.get(name).is_some()));
}

#[test]
fn a_log_replays_to_the_same_bytes_and_a_changed_one_is_found() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(20);
    world.ask("ops", Command::Rollback);
    world.silent(3);
    let log = world.run.to_jsonl();
    let again = Recorder::replay(&plan, "plan", &log);
    assert_eq!(again.map(|run| run.to_jsonl()).ok(), Some(log.clone()));
    let changed = log.replacen("[80.0,64.0]", "[280.0,64.0]", 30);
    assert_ne!(changed, log);
    assert!(Recorder::replay(&plan, "plan", &changed).is_err());
    assert!(Recorder::replay(&plan, "another plan", &log).is_err());
    // Every byte counts, also those that a text reader would take for nothing.
    let (first, rest) = log.split_once('\n').unwrap_or_default();
    let end = log.len() - 1;
    for other in [log.replace('\n', "\r\n"), log[..end].to_owned(), format!("{log}\n"), format!(" {first}\n{rest}")] {
        assert!(Recorder::replay(&plan, "plan", &other).is_err());
    }
}
