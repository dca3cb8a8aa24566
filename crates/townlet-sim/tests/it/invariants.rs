use proptest::prelude::*;
use townlet_sim::{Command, World, WorldOptions};

use crate::watch::Watch;
use crate::{tick, town};

fn agent() -> impl Strategy<Value = String> {
    prop_oneof![Just("alice"), Just("bob"), Just("carol#1"), Just("nobody")].prop_map(str::to_owned)
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        Just(Command::EmploymentStatus),
        agent().prop_map(|agent| Command::EmploymentExitApprove { agent }),
        agent().prop_map(|agent| Command::EmploymentExitDefer { agent }),
        agent().prop_map(|agent| Command::Kill { agent }),
        (agent(), any::<bool>()).prop_map(|(agent, release)| Command::Possess { agent, release }),
        (0..100_u32).prop_map(|cents| Command::Price { key: "meal_cost".to_owned(), value: f64::from(cents) / 100.0 }),
        (0..5_usize, 0..20_u64, 1..40_u64).prop_map(|(spec, starts_in, duration)| Command::PerturbationTrigger {
            spec: ["price_spike", "blackout", "outage", "arranged_meet", "flood"][spec].to_owned(),
            starts_in,
            duration: Some(duration),
            magnitude: None,
        }),
        (1..6_u32).prop_map(|number| Command::PerturbationCancel { event_id: format!("price_spike-{number}") }),
        (agent(), agent()).prop_map(|(a, b)| Command::ArrangeMeet { agents: [a, b], starts_in: 2 }),
        Just(Command::PromotePolicy { checkpoint: "v2".to_owned() }),
        Just(Command::RollbackPolicy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_tick_of_every_town_keeps_its_promises(
        seed in any::<u64>(),
        agents in 0..40_u32,
        respawn_delay_ticks in 0..30_u64,
        commands in prop::collection::vec((0..300_usize, command()), 0..60),
    ) {
        let options = WorldOptions { seed, agents, respawn_delay_ticks, ..WorldOptions::default() };
        let mut world = World::new(options);
        let mut watch = Watch::default();
        for step in 0..300 {
            for (_, command) in commands.iter().filter(|(at, _)| *at == step) {
                world.submit("test", command.clone()).unwrap();
            }
            let (outcome, snapshot) = tick(&mut world);
            watch.tick(&world, &outcome, &snapshot);
        }
    }
}

#[test]
fn two_days_of_a_small_town_keep_their_promises() {
    let (mut world, mut watch) = (town(7, 6), Watch::default());
    for _ in 0..3000 {
        let (outcome, snapshot) = tick(&mut world);
        watch.tick(&world, &outcome, &snapshot);
    }
}

#[test]
fn a_large_town_keeps_its_promises() {
    let (mut world, mut watch) = (town(11, 500), Watch::default());
    for _ in 0..120 {
        let (outcome, snapshot) = tick(&mut world);
        watch.tick(&world, &outcome, &snapshot);
    }
}
