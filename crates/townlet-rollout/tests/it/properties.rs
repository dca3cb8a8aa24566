//! Whatever happens, in whatever order.

use std::time::Duration;

use proptest::prelude::*;
use townlet_rollout::{Answer, Command, EventKind, Note, Phase, Plan, Recorder, Verdict};

use crate::rules::detecting;
use crate::world::{MINUTE, World, plan, rules};

#[derive(Clone, Debug)]
enum Doing {
    Windows(u8, Option<u16>, Option<u16>),
    Late(u8),
    Wait(u16),
    Ask(Command),
    Sign(bool, bool),
    Resumed,
    Deaf(bool),
    Answer(u8, u8),
    ClockBack(u16),
}

fn value() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![6 => Just(Some(80)), 1 => Just(None), 1 => (60..260_u16).prop_map(Some)]
}

fn cpu() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![8 => Just(Some(64)), 1 => Just(None), 1 => (60..90_u16).prop_map(Some)]
}

fn doing() -> impl Strategy<Value = Doing> {
    prop_oneof![
        8 => (1..20_u8, value(), cpu()).prop_map(|(n, a, b)| Doing::Windows(n, a, b)),
        1 => (1..6_u8).prop_map(Doing::Late),
        2 => (0..900_u16).prop_map(Doing::Wait),
        2 => prop_oneof![Just(Command::Go), Just(Command::Submit), Just(Command::Hold), Just(Command::Resume)].prop_map(Doing::Ask),
        1 => prop_oneof![8 => Just(Command::Hold), 1 => Just(Command::Rollback)].prop_map(Doing::Ask),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(a, b)| Doing::Sign(a, b)),
        1 => Just(Doing::Resumed),
        1 => any::<bool>().prop_map(Doing::Deaf),
        1 => (0..40_u8, 0..5_u8).prop_map(|(id, what)| Doing::Answer(id, what)),
        1 => (0..600_u16).prop_map(Doing::ClockBack),
    ]
}

fn act(world: &mut World<'_>, doing: &Doing) {
    match doing {
        Doing::Windows(n, a, b) => {
            for _ in 0..*n {
                if world.run.state().next_due().is_some() {
                    world.window(&[a.map(f64::from), b.map(f64::from)]);
                }
            }
        }
        Doing::Late(n) => {
            if let Some(due) = world.run.state().next_due() {
                let due = due + MINUTE * u32::from(*n);
                world.now = world.now.max(due);
                world.tick(due, &[Some(80.0), Some(64.0)]);
            }
        }
        Doing::Wait(seconds) => world.pass(Duration::from_secs((*seconds).into())),
        Doing::Ask(command) => world.ask("ops", *command),
        Doing::Sign(who, role) => {
            world.sign(if *who { "ann" } else { "bob" }, if *role { "qa" } else { "devops" });
        }
        Doing::Resumed => world.send(EventKind::Resumed),
        Doing::Deaf(deaf) => world.answers = !deaf,
        Doing::Answer(id, what) => {
            let id = townlet_rollout::IntentId((*id).into());
            let answer = match what {
                0 => Answer::Done,
                1 => Answer::InEffect,
                2 => Answer::NotInEffect,
                3 => Answer::FlagReads { percent: 25, restarts: 0 },
                _ => Answer::Failed { reason: "no".into() },
            };
            world.send(EventKind::Answered { id, answer });
        }
        Doing::ClockBack(seconds) => {
            let now = world.now;
            world.now = now.before_for_tests(*seconds);
            world.send(EventKind::Clock);
            world.now = now;
        }
    }
}

/// The small plan with its limits, or with detectors, a rule without an action and one that permits missing data.
fn either() -> impl Strategy<Value = Plan> {
    let other = || {
        let mut plan = detecting(0.0);
        plan.rules.extend(rules("parse_duration_ms.p95 > 90 unless no-data", "cpu_percent > +30% for 2m max_gap 1m"));
        plan.rules[2].action = None;
        plan
    };
    prop_oneof![Just(plan()), Just(other())]
}

trait Back {
    fn before_for_tests(self, seconds: u16) -> Self;
}

impl Back for townlet_rollout::Moment {
    fn before_for_tests(self, seconds: u16) -> Self {
        Self::from_ms(self.as_ms() - u64::from(seconds) * 1000)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_path_leads_to_success_with_an_unknown_rule(
        plan in either(),
        doings in prop::collection::vec(doing(), 1..40),
    ) {
        let mut world = World::started(&plan);
        for doing in &doings {
            act(&mut world, doing);
            if world.phase() == Phase::Succeeded {
                let verdicts = world.run.state().verdicts();
                // Only the rule that permits missing data may be excused.
                let good = |(at, verdict): (usize, &Verdict)| {
                    *verdict == Verdict::Pass || (*verdict == Verdict::Excused && at == 2)
                };
                prop_assert!(verdicts.iter().enumerate().all(good), "{verdicts:?}");
                break;
            }
        }
    }

    #[test]
    fn a_rollback_ends_undone_or_failed_within_its_limit(
        plan in either(),
        doings in prop::collection::vec(doing(), 0..20),
        after in prop::collection::vec(doing(), 0..20),
    ) {
        let mut world = World::started(&plan);
        for doing in &doings {
            act(&mut world, doing);
        }
        world.ask("ops", Command::Rollback);
        if !world.phase().is_live() {
            for doing in &after {
                act(&mut world, doing);
            }
            world.pass(plan.rollback.total + Duration::from_secs(1));
            prop_assert!(world.phase().is_final(), "{}", world.phase());
            if world.run.state().cause().is_some() {
                prop_assert!(matches!(world.phase(), Phase::RolledBack | Phase::RollbackFailed));
                prop_assert_eq!(world.phase() == Phase::RollbackFailed, world.notes.iter().any(|note| note.to_string() == "-> RollbackFailed"));
                prop_assert!(world.phase() == Phase::RolledBack || world.paged());
            }
        }
    }

    #[test]
    fn a_replay_gives_the_same_bytes(plan in either(), doings in prop::collection::vec(doing(), 0..30)) {
        let mut world = World::started(&plan);
        for doing in &doings {
            act(&mut world, doing);
        }
        let log = world.run.to_jsonl();
        let again = Recorder::replay(&plan, "plan", &log).map(|run| run.to_jsonl()).map_err(|error| error.to_string());
        prop_assert_eq!(again, Ok(log));
    }

    #[test]
    fn windows_that_come_late_say_what_they_would_have_said_in_time(
        plan in either(),
        windows in prop::collection::vec((value(), cpu()), 1..15),
        batches in prop::collection::vec(1..5_usize, 15),
    ) {
        let windows: Vec<[Option<f64>; 2]> =
            windows.iter().map(|(a, b)| [a.map(f64::from), b.map(f64::from)]).collect();
        let (mut prompt, mut late) = (World::started(&plan), World::started(&plan));
        prompt.good(20);
        late.good(20);
        let (mut rest, mut sizes) = (&windows[..], batches.iter());
        while !rest.is_empty() {
            let (batch, after) = rest.split_at((*sizes.next().unwrap_or(&1)).min(rest.len()));
            let due = late.run.state().next_due().unwrap_or_default();
            // All of them are there when the last one is: nobody judges the first of them by what is known by now.
            late.now = due + MINUTE * u32::try_from(batch.len()).unwrap_or(1);
            for (n, values) in (0..).zip(batch) {
                prompt.window(values);
                late.tick(due + MINUTE * n, values);
            }
            rest = after;
        }
        let said = |world: &World<'_>| -> Vec<Note> {
            world.notes.iter().filter(|note| matches!(note, Note::Rule { .. })).cloned().collect()
        };
        prop_assert_eq!(said(&prompt), said(&late));
        prop_assert_eq!(prompt.run.state().verdicts(), late.run.state().verdicts());
        prop_assert_eq!(prompt.run.state().cause(), late.run.state().cause());
        let came_late = late.notes.iter().any(|note| matches!(note, Note::TickLate { .. }));
        prop_assert!(came_late);
    }
}
