//! What keeps a rollout from starting, one thing at a time.

use std::time::Duration;

use townlet_rollout::{
    Answer, Check, Command, EventKind, Finding, Moment, Note, Phase, Plan, Reference, References, What,
};

use crate::world::{GO, MINUTE, World, finding, plan};

/// Submits a plan in a world in which all is well but for this. The reasons not to start; none where it is ready.
fn reasons(plan: &Plan, but: &Finding) -> Vec<String> {
    let mut world = World::new(plan);
    world.answers = false;
    world.ask("ops", Command::Submit);
    for intent in world.asked.clone() {
        let What::Check { check } = intent.what else { continue };
        let finding = if but.answers() == check { but.clone() } else { finding(check, GO) };
        world.send(EventKind::Answered { id: intent.id, answer: Answer::Found { finding } });
    }
    let blocked = world.notes.iter().find_map(|note| match note {
        Note::Blocked { reasons } => Some(reasons.clone()),
        _ => None,
    });
    assert_eq!(world.phase(), if blocked.is_some() { Phase::Draft } else { Phase::Ready });
    blocked.unwrap_or_default()
}

fn capacity(cpu: Option<f64>, memory: Option<f64>, disk: Option<f64>) -> Finding {
    Finding::Capacity { cpu, memory, disk }
}

fn rehearsal(ago: Duration, took: Duration) -> Finding {
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Finding::Rehearsal { rehearsed_ms: Some(Moment::from_ms(GO.as_ms() - ms(ago))), took_ms: ms(took) }
}

/// A history of the first signal of so many windows; that of the other is good.
fn history(until: Moment, every: Duration, samples: usize) -> Finding {
    let Finding::Baseline { references } = finding(Check::Baseline, GO) else { return finding(Check::Baseline, GO) };
    let back = every * u32::try_from(samples - 1).unwrap_or(0);
    let first = Moment::from_ms(until.as_ms() - u64::try_from(back.as_millis()).unwrap_or(0));
    let own = Reference::new(first, every, vec![Some(80.0); samples], vec![]);
    Finding::Baseline { references: References(vec![Some(own), references.0[1].clone()]) }
}

const MS: Duration = Duration::from_millis(1);
const MONTH: Duration = Duration::from_hours(30 * 24);
const QUICK: Duration = Duration::from_mins(3);

#[test]
fn each_check_says_why_the_rollout_may_not_start() {
    let plan = plan();
    let references = |all| Finding::Baseline { references: References(all) };
    for (but, why) in [
        (Finding::Flag { percent: None }, "there is no flag `parser`"),
        (Finding::Flag { percent: Some(25) }, "flag `parser` is at 25 % already"),
        (capacity(Some(70.0), Some(70.0), Some(60.0)), "CPU is at 70 %, must be below 70 %"),
        (capacity(Some(60.0), Some(75.0), Some(60.0)), "memory is at 75 %, must be below 75 %"),
        (capacity(Some(60.0), Some(60.0), Some(80.0)), "disk is at 80 %, must be below 80 %"),
        (capacity(Some(f64::NAN), Some(60.0), Some(60.0)), "nobody knows how much CPU"),
        (capacity(None, Some(60.0), Some(60.0)), "nobody knows how much CPU is in use"),
        (capacity(Some(60.0), None, Some(60.0)), "nobody knows how much memory is in use"),
        (capacity(Some(60.0), Some(60.0), None), "nobody knows how much disk is in use"),
        (Finding::Rehearsal { rehearsed_ms: None, took_ms: 0 }, "the rollback was never rehearsed"),
        (rehearsal(MONTH + MS, QUICK), "the rollback was rehearsed 720h1ms ago, at most 720h"),
        (
            Finding::Rehearsal { rehearsed_ms: Some(GO + MS), took_ms: 1 },
            "the rehearsal of the rollback lies in the future",
        ),
        (rehearsal(MONTH, Duration::from_mins(5) + MS), "the rehearsed rollback took 5m1ms, at most 5m"),
        (references(vec![None, None]), "`parse_duration_ms.p95` has no baseline"),
        (history(GO, MINUTE, 9), "the baseline of `parse_duration_ms.p95` has 9 samples, at least 10"),
        (history(GO + MS, MINUTE, 10), "does not end before the change"),
        (history(Moment::from_ms(GO.as_ms() - 3_600_001), MINUTE, 10), "ended 1h1ms ago, at most 1h"),
        (history(GO, MINUTE * 2, 10), "has windows of another length than the plan"),
        (Finding::OtherRollouts { names: vec!["other".into()] }, "rollout `other` is on"),
        (Finding::Incidents { names: vec!["INC-7".into()] }, "incident `INC-7` is open"),
    ] {
        let told = reasons(&plan, &but);
        assert!(told.iter().any(|reason| reason.contains(why)), "{why}: {told:?}");
    }
}

#[test]
fn what_is_exactly_at_its_limit_starts() {
    let plan = plan();
    for but in [
        capacity(Some(69.9), Some(74.9), Some(79.9)),
        rehearsal(MONTH, Duration::from_mins(5)),
        rehearsal(Duration::ZERO, QUICK),
        history(GO, MINUTE, 10),
        history(Moment::from_ms(GO.as_ms() - 3_600_000), MINUTE, 10),
    ] {
        assert_eq!(reasons(&plan, &but), Vec::<String>::new(), "{but:?}");
    }
}

#[test]
fn answers_grow_old_and_a_late_go_needs_another_preflight() {
    let plan = plan();
    for (minutes, phase) in [(30, Phase::Restarting { service: 0 }), (31, Phase::Draft)] {
        let mut world = World::new(&plan);
        world.ask("ops", Command::Submit);
        world.now = world.now + MINUTE * minutes;
        world.answers = minutes > 30;
        let flag = world.asked.len();
        world.ask("ops", Command::Go);
        let set = world.asked[flag..].iter().find(|intent| intent.what.acts()).map(|intent| intent.id);
        if let Some(id) = set {
            world.send(EventKind::Answered { id, answer: Answer::FlagReads { percent: 25, restarts: 0 } });
        }
        assert_eq!(world.phase(), phase, "{minutes}");
    }
}
