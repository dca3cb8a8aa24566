use std::collections::BTreeSet;

use crate::{tick, town};

#[test]
fn two_days_of_six_agents_show_every_part_of_the_town() {
    let mut world = town(SEED, 6);
    let (mut events, mut told, mut alerts, mut shifts) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut commands, mut churned, mut pending_exits) = (BTreeSet::new(), 0, 0);
    for _ in 0..3000 {
        let (outcome, snapshot) = tick(&mut world);
        events.extend(outcome.events.iter().map(|event| event.name()));
        told.extend(outcome.narrations.iter().map(|narration| narration.category.clone()));
        alerts.extend(snapshot.stability.alerts);
        shifts.extend(snapshot.jobs.into_values().map(|job| job.shift_state));
        commands.extend(outcome.console.iter().map(|reply| reply.command.name()));
        churned = churned.max(snapshot.relationships.total);
        pending_exits = pending_exits.max(snapshot.employment.pending_count);
    }
    let missing: Vec<_> = EVENTS.iter().filter(|name| !events.contains(*name)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
    let missing: Vec<_> = TOLD.iter().filter(|name| !told.iter().any(|told| told == *name)).collect();
    assert!(missing.is_empty(), "never told: {missing:?} of {told:?}");
    for alert in ["rivalry_spike", "starvation_spike"] {
        assert!(alerts.contains(alert), "{alert} is not among {alerts:?}");
    }
    for state in ["idle", "await_start", "on_time", "late", "absent", "post_shift"] {
        assert!(shifts.contains(state), "{state} is not among {shifts:?}");
    }
    for command in ["employment_status", "employment_exit", "announce_story", "perturbation_trigger", "possess"] {
        assert!(commands.contains(command), "{command} is not among {commands:?}");
    }
    assert!(churned > 0 && pending_exits > 0);
}

/// Most seeds show nearly all of it; this one shows all.
const SEED: u64 = 7;

const TOLD: [&str; 8] = [
    "operator_story",
    "personality_event",
    "queue_conflict",
    "relationship_friendship",
    "relationship_social_alert",
    "shower_complete",
    "sleep_complete",
    "utility_outage",
];

const EVENTS: [&str; 41] = [
    "action.move",
    "action.noop",
    "action.release",
    "action.request",
    "action.start",
    "affordance_fail",
    "affordance_finish",
    "affordance_precondition_fail",
    "affordance_start",
    "agent_nightly_reset",
    "agent_removed",
    "agent_respawn",
    "agent_spawned",
    "agent_teleported",
    "arranged_meet_relocated",
    "chat_failure",
    "chat_success",
    "economy_price_update",
    "employment_exit_pending",
    "employment_exit_processed",
    "employment_helped_when_late",
    "employment_took_my_shift",
    "perturbation_arranged_meet",
    "perturbation_blackout",
    "perturbation_cancelled",
    "perturbation_ended",
    "perturbation_outage",
    "perturbation_price_spike",
    "perturbation_started",
    "policy.guardrail.block",
    "policy.guardrail.request",
    "queue_conflict",
    "queue_interaction",
    "shared_meal",
    "shift_absent",
    "shift_departed_early",
    "shift_late_start",
    "shower_complete",
    "shower_power_outage",
    "sleep_complete",
    "stock_replenish",
];
