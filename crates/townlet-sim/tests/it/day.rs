use townlet_schema::Json;
use townlet_sim::{Command, DAILY_EXIT_CAP, EXIT_QUEUE_LIMIT, ExitReason, TICKS_PER_DAY, TownEvent};

use crate::{quiet_town, tick, town};

#[test]
fn midnight_sends_everybody_home_and_starts_the_counters_over() {
    let mut world = town(7, 6);
    let mut late_before = 0;
    for _ in 1..TICKS_PER_DAY {
        let (outcome, snapshot) = tick(&mut world);
        assert!(!outcome.events.iter().any(|event| event.name() == "agent_nightly_reset"), "{}", outcome.tick);
        late_before = snapshot.jobs.values().map(|job| job.late_ticks_today).sum();
    }
    let (outcome, snapshot) = tick(&mut world);
    assert_eq!(outcome.tick, TICKS_PER_DAY);
    let reset = outcome.events.iter().filter(|event| event.name() == "agent_nightly_reset").count();
    assert_eq!(reset, world.census().alive);
    let moved = |event: &&TownEvent| matches!(event, TownEvent::AgentNightlyReset { moved: true, .. });
    assert!(outcome.events.iter().any(|event| moved(&event)), "nobody was out at midnight");
    assert!(late_before > 0, "this seed has late agents on its first day");
    assert_eq!(snapshot.jobs.values().map(|job| job.late_ticks_today).sum::<u64>(), 0);
    assert_eq!(snapshot.employment.exits_today, 0);
}

#[test]
fn exits_overflow_the_queue_and_stop_at_the_daily_cap() {
    let mut world = quiet_town(1, 12);
    world.step();
    for slot in 0..12 {
        let agent = townlet_sim::AgentRef { slot, life: 0 }.id();
        world.submit("mayor", Command::EmploymentExitApprove { agent }).unwrap();
    }
    let (outcome, snapshot) = tick(&mut world);
    let count = |name: &str| outcome.events.iter().filter(|event| event.name() == name).count();
    assert_eq!(count("employment_exit_manual_request"), 12);
    assert_eq!(count("employment_exit_pending"), EXIT_QUEUE_LIMIT);
    assert_eq!(count("employment_exit_queue_overflow"), 12 - EXIT_QUEUE_LIMIT);
    assert_eq!(count("employment_exit_processed"), DAILY_EXIT_CAP as usize);
    assert!(
        outcome
            .events
            .iter()
            .any(|event| matches!(event, TownEvent::ExitDeferred { reason: ExitReason::DailyCap, .. }))
    );
    assert_eq!(snapshot.employment.pending.len(), EXIT_QUEUE_LIMIT - DAILY_EXIT_CAP as usize);
    assert!(snapshot.stability.alerts.iter().any(|alert| alert == "employment_exit_queue_overflow"));
    let left: Vec<_> = (outcome.events.iter())
        .filter_map(|event| match event {
            TownEvent::AgentRemoved { agent, reason } => Some((agent.id(), reason.name())),
            _ => None,
        })
        .collect();
    assert_eq!(left, [("alice".to_owned(), "employment_exit"), ("bob".to_owned(), "employment_exit")]);

    // The rest of the day carries out no more; the first tick of the next day does.
    let mut processed = 0;
    while world.tick() < TICKS_PER_DAY {
        processed += world.step().events.iter().filter(|event| event.name() == "employment_exit_processed").count();
    }
    assert_eq!(processed, 0);
}

#[test]
fn an_exit_that_nobody_reviews_is_carried_out_after_a_day() {
    // Without an operator only the review window carries exits out.
    let mut world = quiet_town(2, 120);
    let (mut pending, mut processed) = (0, Vec::new());
    for _ in 0..5 * TICKS_PER_DAY {
        for event in world.step().events {
            match event {
                TownEvent::ExitPending { .. } => pending += 1,
                TownEvent::ExitProcessed { reason, .. } => processed.push(reason),
                _ => {}
            }
        }
    }
    assert!(pending > processed.len() && !processed.is_empty(), "{pending} {processed:?}");
    assert!(processed.iter().all(|reason| *reason == ExitReason::AutoReview));
}

#[test]
fn a_household_lives_on_under_a_numbered_name() {
    let mut world = quiet_town(1, 2);
    world.step();
    for life in 1..=3_u32 {
        let name = townlet_sim::AgentRef { slot: 0, life: life - 1 }.id();
        world.submit("fate", Command::Kill { agent: name.clone() }).unwrap();
        let (outcome, snapshot) = tick(&mut world);
        assert!(outcome.events.iter().any(|event| event.name() == "agent_killed"));
        assert!(snapshot.reward_breakdown[&name].terminal_penalty < 0.0, "shown for the last time");
        let delay = world.options().respawn_delay_ticks;
        for _ in 1..delay {
            assert!(!tick(&mut world).1.jobs.keys().any(|id| id.starts_with("alice")));
        }
        let (outcome, snapshot) = tick(&mut world);
        let born = outcome.events.iter().position(|event| event.name() == "agent_respawn").unwrap();
        let event = &world.world_events(&outcome)[born];
        let field = |key: &str| event.fields.get(key).and_then(Json::as_str).unwrap().to_owned();
        assert_eq!((field("agent_id"), field("original_agent_id")), (format!("alice#{life}"), "alice".to_owned()));
        assert!(snapshot.jobs.contains_key(&format!("alice#{life}")));
    }
}
