use townlet_schema::{Event, Json};
use townlet_sim::Command;

use crate::{quiet_town, tick, town};

#[test]
fn policy_metadata_comes_exactly_when_it_changed() {
    let mut world = town(7, 4);
    let (mut last, mut sent) = (Json::Null, 0);
    for step in 0..900 {
        match step {
            300 => world.submit("op", Command::Kill { agent: "alice".to_owned() }).unwrap(),
            // Nothing was promoted, so the release stays what it was.
            500 => world.submit("op", Command::RollbackPolicy).unwrap(),
            _ => {}
        }
        let outcome = world.step();
        let context = world.global_context(&outcome);
        let now = context.get("policy_metadata").unwrap();
        match world.policy_metadata(&outcome) {
            Some(Event(event)) => {
                sent += 1;
                let said = Json::from_serialize(&event.metadata).unwrap();
                assert_eq!(&said, now);
                assert_ne!(said, last, "nothing changed at {}", outcome.tick);
                last = said;
            }
            None => assert_eq!(now, &last, "a change was kept quiet at {}", outcome.tick),
        }
    }
    assert!((10..600).contains(&sent), "{sent} of 900 ticks");
}

#[test]
fn the_anneal_update_comes_once_per_step_of_the_ratio() {
    let mut world = town(7, 2);
    let mut ratios = Vec::new();
    for _ in 0..450 {
        let outcome = world.step();
        if let Some(Event(update)) = world.policy_anneal_update(&outcome) {
            ratios.push((outcome.tick, update.ratio.unwrap()));
        }
    }
    assert_eq!(ratios, [(1, 0.0), (100, 0.05), (200, 0.1), (300, 0.15), (400, 0.2)]);
}

#[test]
fn possession_is_told_at_the_start_and_when_the_set_changes() {
    let mut world = quiet_town(1, 3);
    let mut told = Vec::new();
    for step in 1..=30 {
        let command = |release| Command::Possess { agent: "bob".to_owned(), release };
        match step {
            10 => world.submit("op", command(false)).unwrap(),
            20 => world.submit("op", command(true)).unwrap(),
            _ => {}
        }
        let (outcome, snapshot) = tick(&mut world);
        if let Some(Event(possession)) = world.policy_possession(&outcome) {
            assert_eq!(snapshot.anneal_status.unwrap().possessed_agents, possession.possessed_agents);
            told.push((outcome.tick, possession.possessed_agents));
        }
    }
    assert_eq!(told, [(1, vec![]), (10, vec!["bob".to_owned()]), (20, vec![])]);
}

#[test]
fn stability_is_this_ticks_and_health_counts_what_the_town_knows() {
    let mut world = town(7, 6);
    for _ in 0..400 {
        let (outcome, snapshot) = tick(&mut world);
        let Event(update) = world.stability_update();
        assert_eq!(update.metrics, snapshot.stability.metrics);
        let health = world.health(1.5, 0);
        assert_eq!((health.duration_ms, health.summary.duration_ms), (1.5, 1.5));
        assert_eq!(health.summary.perturbations_active as usize, snapshot.perturbations.active.len());
        assert_eq!(health.summary.perturbations_pending as usize, snapshot.perturbations.pending.len());
        assert_eq!(health.summary.employment_exit_queue, snapshot.employment.pending_count);
        assert_eq!(snapshot.affordance_runtime.tick, outcome.tick);
    }
}
