use townlet_schema::Json;
use townlet_sim::{COMMAND_QUEUE_LIMIT, Command, TownEvent, World};

use crate::{quiet_town, tick};

fn trigger(spec: &str, starts_in: u64, duration: u64, magnitude: Option<f64>) -> Command {
    Command::PerturbationTrigger { spec: spec.to_owned(), starts_in, duration: Some(duration), magnitude }
}

fn shower_in_use(world: &mut World) -> String {
    for _ in 0..500 {
        let (_, snapshot) = tick(world);
        let shower = |running: &&townlet_schema::snapshot::RunningAffordance| {
            running.affordance_id == "use_shower" && running.duration_remaining > 5
        };
        if let Some(running) = snapshot.affordance_runtime.running.values().find(shower) {
            return running.agent_id.clone();
        }
    }
    panic!("nobody showered in 500 ticks");
}

#[test]
fn a_blackout_throws_out_who_showers_and_keeps_showers_shut() {
    let mut world = quiet_town(4, 6);
    let user = shower_in_use(&mut world);
    world.submit("op", trigger("blackout", 0, 25, None)).unwrap();
    let (outcome, snapshot) = tick(&mut world);
    let names: Vec<_> = outcome.events.iter().map(TownEvent::name).collect();
    for name in ["perturbation_started", "perturbation_blackout", "shower_power_outage"] {
        assert_eq!(names.iter().filter(|other| **other == name).count(), 1, "{name} in {names:?}");
    }
    let fail = snapshot.events.iter().find(|event| event.event == "affordance_fail").unwrap();
    assert_eq!(fail.fields.get("agent_id").and_then(Json::as_str), Some(user.as_str()));
    assert_eq!(fail.fields.get("reason").and_then(Json::as_str), Some("power_off"));
    assert_eq!(snapshot.economy["shower_1"].stock["power_on"], 0);
    for _ in 1..25 {
        let (outcome, snapshot) = tick(&mut world);
        assert!(!snapshot.utilities.power);
        assert!(!outcome.events.iter().any(|event| matches!(
            event,
            TownEvent::AffordanceStart { affordance: townlet_sim::Affordance::UseShower, .. }
        )));
    }
    let (outcome, snapshot) = tick(&mut world);
    assert!(snapshot.utilities.power && snapshot.economy["shower_1"].stock["power_on"] == 1);
    assert!(outcome.events.iter().any(|event| event.name() == "perturbation_ended"));
}

#[test]
fn an_outage_throws_out_who_showers_without_a_power_failure() {
    let mut world = quiet_town(4, 6);
    shower_in_use(&mut world);
    world.submit("op", trigger("outage", 0, 5, None)).unwrap();
    let (outcome, snapshot) = tick(&mut world);
    assert!(!snapshot.utilities.water && snapshot.utilities.power);
    assert!(outcome.events.iter().any(|event| event.name() == "affordance_fail"));
    assert!(!outcome.events.iter().any(|event| event.name() == "shower_power_outage"));
}

#[test]
fn spikes_that_overlap_restore_every_price_exactly() {
    let mut world = quiet_town(6, 3);
    let before = tick(&mut world).1.economy_settings;
    world.submit("op", trigger("price_spike", 0, 30, Some(1.37))).unwrap();
    world.submit("op", trigger("price_spike", 10, 40, Some(1.73))).unwrap();
    let mut spiked = 0;
    for _ in 0..80 {
        let (outcome, snapshot) = tick(&mut world);
        if snapshot.price_spikes.is_empty() {
            assert_eq!(snapshot.economy_settings, before);
        } else {
            spiked += 1;
            assert_ne!(snapshot.economy_settings, before);
            assert!(snapshot.jobs.values().all(|job| job.basket_cost > 0.62));
        }
        for event in outcome.events.iter().filter(|event| event.name() == "perturbation_price_spike") {
            assert!(
                matches!(event, TownEvent::PerturbationEffect(booking) if booking.id().starts_with("price_spike-"))
            );
        }
    }
    assert_eq!(spiked, 50, "ticks 2..=51");
}

#[test]
fn a_third_perturbation_waits_for_room_and_keeps_its_duration() {
    let mut world = quiet_town(6, 3);
    for (spec, duration) in [("blackout", 20), ("outage", 30), ("price_spike", 7)] {
        world.submit("op", trigger(spec, 0, duration, Some(1.5))).unwrap();
    }
    let (outcome, snapshot) = tick(&mut world);
    assert_eq!((snapshot.perturbations.active.len(), snapshot.perturbations.pending.len()), (2, 1));
    assert!(outcome.console.iter().all(|reply| reply.result.is_ok()));
    let spiked = (0..60).filter(|_| !tick(&mut world).1.price_spikes.is_empty()).count();
    assert_eq!(spiked, 7);
}

#[test]
fn a_cancelled_perturbation_is_undone_or_never_begins() {
    let mut world = quiet_town(6, 3);
    let before = tick(&mut world).1.economy_settings;
    world.submit("op", trigger("price_spike", 0, 90, Some(1.5))).unwrap();
    world.submit("op", trigger("blackout", 50, 90, None)).unwrap();
    tick(&mut world);
    for event_id in ["price_spike-1", "blackout-2", "flood-3"] {
        world.submit("op", Command::PerturbationCancel { event_id: event_id.to_owned() }).unwrap();
    }
    let (outcome, snapshot) = tick(&mut world);
    assert_eq!(snapshot.economy_settings, before);
    assert!(snapshot.perturbations.active.is_empty() && snapshot.perturbations.pending.is_empty());
    let pending: Vec<_> = (outcome.events.iter())
        .filter_map(|event| match event {
            TownEvent::PerturbationCancelled { pending, .. } => Some(*pending),
            _ => None,
        })
        .collect();
    assert_eq!(pending, [false, true]);
    let last = outcome.console_results().last().unwrap();
    assert_eq!((last.result.status.as_ref(), last.result.error.unwrap().code.as_ref()), ("error", "not_found"));
}

#[test]
fn arranged_agents_are_brought_together_and_talk() {
    // Some pairs are busy at the time; one of a few seeds has both free.
    let met = (0..20).any(|seed| {
        let mut world = quiet_town(seed, 4);
        world.step();
        let agents = ["alice".to_owned(), "bob".to_owned()];
        world.submit("op", Command::ArrangeMeet { agents, starts_in: 1 }).unwrap();
        world.step();
        let (outcome, snapshot) = tick(&mut world);
        let relocated = outcome.events.iter().find_map(|event| match event {
            TownEvent::MeetRelocated { targets, .. } => Some(targets.len()),
            _ => None,
        });
        assert!(relocated.is_some(), "the meeting starts on time, whoever comes");
        assert_eq!(snapshot.perturbations.cooldowns.agents.len(), 2);
        let talked = outcome.events.iter().any(|event| event.name().starts_with("chat_"));
        relocated == Some(2) && talked
    });
    assert!(met);
}

#[test]
fn unknown_names_and_bad_values_are_refused_with_a_code() {
    let mut world = quiet_town(1, 2);
    let nobody = || "zaphod".to_owned();
    let cases = [
        (Command::Kill { agent: nobody() }, "not_found"),
        (Command::EmploymentExitDefer { agent: "alice".to_owned() }, "conflict"),
        (Command::ArrangeMeet { agents: ["alice".to_owned(), nobody()], starts_in: 0 }, "not_found"),
        (Command::ArrangeMeet { agents: ["alice".to_owned(), "alice".to_owned()], starts_in: 0 }, "invalid_args"),
        (trigger("flood", 0, 1, None), "unknown_spec"),
        (trigger("price_spike", 0, 1, Some(f64::NAN)), "invalid_args"),
        (Command::Price { key: "meal_cost".to_owned(), value: -1.0 }, "invalid_args"),
        (Command::Price { key: "rent".to_owned(), value: 1.0 }, "not_found"),
        (Command::Possess { agent: "bob".to_owned(), release: true }, "conflict"),
        (Command::PromotePolicy { checkpoint: "v2".to_owned() }, "promotion_not_ready"),
    ];
    for (command, _) in &cases {
        world.submit("op", command.clone()).unwrap();
    }
    let outcome = world.step();
    for (reply, (command, code)) in outcome.console.iter().zip(&cases) {
        assert_eq!(reply.result.as_ref().unwrap_err().code.name(), *code, "{command:?}");
    }
    assert_eq!(outcome.console.len(), cases.len());
}

#[test]
fn a_reply_never_becomes_a_command_and_the_queue_is_bounded() {
    let mut world = quiet_town(1, 2);
    for _ in 0..COMMAND_QUEUE_LIMIT {
        world.submit("op", Command::EmploymentStatus).unwrap();
    }
    assert!(world.submit("op", Command::EmploymentStatus).is_err());
    assert_eq!(world.step().console.len(), COMMAND_QUEUE_LIMIT);
    assert_eq!(world.step().console.len(), 0, "W24: results are not parsed again");
}

#[test]
fn a_ready_candidate_is_promoted_and_rolled_back() {
    let alerts = ["queue_fairness_pressure", "rivalry_spike", "starvation_spike", "option_thrashing"];
    let more = ["affordance_failures_exceeded", "lateness_spike", "employment_exit_backlog"];
    let options = townlet_sim::WorldOptions {
        seed: 2,
        agents: 2,
        allowed_alerts: alerts.iter().chain(&more).map(|alert| (*alert).to_owned()).collect(),
        ..Default::default()
    };
    let mut world = World::new(options);
    let mut states = Vec::new();
    for _ in 0..2010 {
        let (_, snapshot) = tick(&mut world);
        let promotion = snapshot.promotion.unwrap();
        if states.last() != Some(&promotion.state) {
            states.push(promotion.state);
        }
    }
    assert_eq!(states, ["monitoring", "ready", "promoted"]);
    world.submit("op", Command::RollbackPolicy).unwrap();
    let promotion = tick(&mut world).1.promotion.unwrap();
    assert_eq!(promotion.current_release, promotion.initial_release);
    assert_eq!(promotion.history.len(), 2);
}
