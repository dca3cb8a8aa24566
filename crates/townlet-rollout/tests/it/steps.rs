//! Steps that fail, on the way forward and on the way back, and rules that go on being judged.

use townlet_rollout::{Answer, Cause, Command, EventKind, HoldReason, Note, PauseReason, Phase, What};

use crate::world::{MINUTE, World, plan};

/// Answers every intent from number `from` on, also those that follow from an answer.
fn answer(world: &mut World<'_>, from: usize, mut with: impl FnMut(&What) -> Option<Answer>) {
    let mut at = from;
    while let Some(intent) = world.asked.get(at).cloned() {
        at += 1;
        if let Some(answer) = with(&intent.what) {
            world.send(EventKind::Answered { id: intent.id, answer });
        }
    }
}

#[test]
fn a_flag_that_does_not_read_as_set_or_restarts_something_undoes_the_rollout() {
    let plan = plan();
    for (percent, restarts, tries, why) in [
        (10, 0, 2, "the flag reads 10 % and should read 25 %"),
        (25, 1, 1, "instances restarted at the change of a flag"),
    ] {
        let mut world = World::new(&plan);
        world.ask("ops", Command::Submit);
        world.answers = false;
        let from = world.asked.len();
        world.ask("ops", Command::Go);
        answer(&mut world, from, |what| match what {
            What::SetFlag { percent: 25, .. } => Some(Answer::FlagReads { percent, restarts }),
            _ => None,
        });
        let Some(Cause::Step { reason, .. }) = world.run.state().cause() else { panic!("{}", world.run.to_text()) };
        assert_eq!(reason, why);
        let sets = world.asked.iter().filter(|intent| matches!(intent.what, What::SetFlag { percent: 25, .. }));
        assert_eq!(sets.count(), tries, "{why}");
    }
}

#[test]
fn a_service_that_is_not_ready_in_time_undoes_the_rollout() {
    let plan = plan();
    let mut world = World::new(&plan);
    world.ask("ops", Command::Submit);
    world.answers = false;
    let from = world.asked.len();
    world.ask("ops", Command::Go);
    answer(&mut world, from, |what| match what {
        What::SetFlag { percent: 25, .. } => Some(Answer::FlagReads { percent: 25, restarts: 0 }),
        What::Restart { .. } => Some(Answer::Restarted { ready: 2, wanted: 3 }),
        What::Observe { .. } => Some(Answer::NotInEffect),
        _ => None,
    });
    assert!(matches!(world.run.state().cause(), Some(Cause::Step { .. })), "{}", world.run.to_text());
}

#[test]
fn a_step_of_the_rollback_that_fails_is_paged_and_the_others_are_taken_all_the_same() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(20);
    world.answers = false;
    let from = world.asked.len();
    world.ask("ops", Command::Rollback);
    answer(&mut world, from, |what| match what {
        What::SetFlag { .. } => Some(Answer::Failed { reason: "refused".into() }),
        What::Observe { .. } => Some(Answer::NotInEffect),
        What::Restart { .. } => Some(Answer::Restarted { ready: 3, wanted: 3 }),
        _ => None,
    });
    assert!(world.asked[from..].iter().any(|intent| matches!(intent.what, What::Restart { .. })));
    assert_eq!(world.phase(), Phase::RollingBack { step: 2 }, "{}", world.run.to_text());
    world.silent(2);
    assert_eq!(world.phase(), Phase::RollbackFailed, "{}", world.run.to_text());
    let pages: Vec<&str> = world
        .asked
        .iter()
        .filter_map(|intent| if let What::Page { text } = &intent.what { Some(text.as_str()) } else { None })
        .collect();
    let [step, whole] = pages[..] else { panic!("{pages:?}") };
    assert!(step.starts_with("r1: rollback step 1 (flag `parser` off) failed: "), "{step}");
    assert!(whole.ends_with("the signals are back, but these steps failed: flag `parser` off"), "{whole}");
}

#[test]
fn a_catastrophe_is_undone_also_while_the_rollout_holds_or_waits_for_signatures() {
    let plan = plan();
    let holds: fn(&mut World<'_>) = |world| {
        world.good(20);
        world.ask("ops", Command::Hold);
        assert!(matches!(world.phase(), Phase::Holding { reason: HoldReason::Operator, .. }));
    };
    let waits: fn(&mut World<'_>) = |world| {
        world.good(60);
        world.sign("queenie", "qa");
        assert_eq!(world.phase(), Phase::SignOff);
    };
    for before in [holds, waits] {
        let mut world = World::started(&plan);
        before(&mut world);
        for _ in 0..2 {
            assert!(world.phase().is_live());
            world.window(&[Some(240.0), Some(64.0)]);
        }
        assert_eq!(world.run.state().cause(), Some(&Cause::Rule { rule: "broken".into() }));
    }
}

#[test]
fn a_clock_that_goes_back_pauses_the_rollout_until_it_has_data_again() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(20);
    let now = world.now;
    world.now = townlet_rollout::Moment::from_ms(now.as_ms() - 10_000);
    world.send(EventKind::Clock);
    assert!(matches!(world.phase(), Phase::Watching { .. }), "within the lateness of a window: {}", world.phase());
    world.now = townlet_rollout::Moment::from_ms(now.as_ms() - 60_000);
    world.send(EventKind::Clock);
    assert!(matches!(world.phase(), Phase::Paused { reason: PauseReason::ClockWentBack, .. }), "{}", world.phase());
    assert!(world.notes.contains(&Note::ClockBack { by_ms: 60_000 }), "{:?}", world.notes);
    world.now = now + MINUTE;
    world.good(1);
    assert!(matches!(world.phase(), Phase::Watching { .. }), "{}", world.phase());
}

#[test]
fn a_driver_that_comes_back_when_the_state_says_so_sees_the_end_of_every_silence() {
    fn started(world: &mut World<'_>, windows: u32) {
        world.ask("ops", Command::Submit);
        world.ask("ops", Command::Go);
        world.good(windows);
    }
    let plan = plan();
    type Left = fn(&mut World<'_>);
    let unasked: Left = |world| {
        world.answers = false;
        world.ask("ops", Command::Submit);
    };
    let unanswered: Left = |world| {
        world.ask("ops", Command::Submit);
        world.answers = false;
        world.ask("ops", Command::Go);
    };
    let held: Left = |world| {
        started(world, 20);
        world.ask("ops", Command::Hold);
    };
    let undone: Left = |world| {
        started(world, 20);
        world.ask("ops", Command::Rollback);
    };
    let left = [
        ("no check is answered", unasked, Phase::Draft),
        ("the flag is not answered", unanswered, Phase::RollbackFailed),
        ("windows end", |world| started(world, 20), Phase::RollbackFailed),
        ("windows end while nobody signs", |world| started(world, 60), Phase::RollbackFailed),
        ("windows end in a hold", held, Phase::RollbackFailed),
        ("windows end in a rollback", undone, Phase::RollbackFailed),
    ];
    for (what, leave, end) in left {
        let mut world = World::new(&plan);
        leave(&mut world);
        for _ in 0..100 {
            let Some(next) = world.run.state().next_deadline() else { break };
            assert!(next > world.now, "{what}: at {:?} it asks for {next:?}", world.now);
            world.now = next;
            world.send(EventKind::Clock);
        }
        assert_eq!(world.phase(), end, "{what}\n{}", world.run.to_text());
    }
}

#[test]
fn what_a_driver_that_died_may_not_have_said_is_said_again() {
    let plan = plan();
    let mut world = World::started(&plan);
    world.good(60);
    world.sign("queenie", "qa");
    let before = world.asked.len();
    world.send(EventKind::Resumed);
    let asked = world.asked[before..].iter().filter_map(|intent| match &intent.what {
        What::AskSignOff { role, .. } => Some(role.clone()),
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<_>>(), ["devops"], "{}", world.run.to_text());

    world.ask("ops", Command::Rollback);
    world.pass(MINUTE * 6);
    assert_eq!(world.phase(), Phase::RollbackFailed);
    let pages = |world: &World<'_>| world.asked.iter().filter(|one| matches!(one.what, What::Page { .. })).count();
    let before = pages(&world);
    world.send(EventKind::Resumed);
    assert_eq!((pages(&world), world.phase()), (before + 1, Phase::RollbackFailed), "{}", world.run.to_text());
}
