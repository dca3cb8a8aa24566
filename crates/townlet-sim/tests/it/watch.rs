//! What must hold after every tick, whatever the seed, the size and the commands.

use std::collections::{BTreeMap, BTreeSet};

use townlet_schema::snapshot::{QueueMetrics, Tie, UpdateStatus};
use townlet_schema::{Json, Snapshot};
use townlet_sim::{
    DAILY_EXIT_CAP, EXIT_QUEUE_LIMIT, HISTORY_LENGTH, KPI_LENGTH, MAX_CONCURRENT, MAX_PENDING, MAX_TIES,
    RIVALRY_WINDOW_TICKS, TICK_CLIP, TICKS_PER_DAY, TickOutcome, World,
};

type Ties = BTreeMap<String, BTreeMap<String, Tie>>;

/// Follows a run, tick by tick, and panics at the first broken promise.
#[derive(Default)]
pub(crate) struct Watch {
    totals: QueueMetrics,
    ties: Ties,
    exits_today: u64,
    away: BTreeMap<String, u64>,
    strong_clashes: Vec<(u64, usize)>,
    base_prices: Option<BTreeMap<String, f64>>,
}

impl Watch {
    /// Checks everything about one tick.
    pub(crate) fn tick(&mut self, world: &World, outcome: &TickOutcome, snapshot: &Snapshot) {
        self.people(snapshot);
        self.census(world, outcome);
        self.events(outcome, snapshot);
        self.conflicts(outcome, snapshot);
        self.ties(snapshot);
        self.exits(outcome, snapshot);
        self.perturbations(outcome, snapshot);
        self.prices(outcome, snapshot);
        fixtures(snapshot);
        rewards(snapshot);
        bounds(snapshot);
    }

    fn people(&self, snapshot: &Snapshot) {
        for (id, job) in &snapshot.jobs {
            for need in [job.needs.hunger, job.needs.hygiene, job.needs.energy] {
                assert!((0.0..=1.0).contains(&need), "{id} has a need of {need}");
            }
            assert!(job.wallet >= 0.0, "{id} owes {}", job.wallet);
            assert!((0.0..=1.0).contains(&job.attendance_ratio));
            assert!(job.absent_shifts_7d <= 7 && job.wages_withheld >= 0.0);
        }
    }

    /// Nobody is lost: a life that ends is followed by the next after the delay, and not before.
    fn census(&mut self, world: &World, outcome: &TickOutcome) {
        let census = world.census();
        assert_eq!(census.alive + census.away, world.options().agents as usize);
        let delay = world.options().respawn_delay_ticks.max(1);
        for event in world.world_events(outcome) {
            let household = |key: &str| {
                let id = event.fields.get(key).and_then(Json::as_str).unwrap().to_owned();
                id.split('#').next().unwrap().to_owned()
            };
            match event.event.as_ref() {
                "agent_removed" => {
                    assert!(self.away.insert(household("agent_id"), outcome.tick).is_none());
                }
                "agent_respawn" => {
                    let left = self.away.remove(&household("original_agent_id")).expect("was away");
                    assert_eq!(outcome.tick - left, delay);
                }
                _ => {}
            }
        }
        assert!(self.away.values().all(|left| outcome.tick - left < delay));
    }

    /// W5: what happened is told once.
    fn events(&self, outcome: &TickOutcome, snapshot: &Snapshot) {
        assert_eq!(outcome.events.len(), snapshot.events.len());
        let mut seen = BTreeSet::new();
        for event in &snapshot.events {
            assert_eq!(event.tick, outcome.tick);
            let text = Json::from_serialize(event).unwrap().to_string();
            assert!(seen.insert(text.clone()), "told twice: {text}");
        }
        let chats = |name: &str| snapshot.events.iter().filter(|event| event.event.starts_with(name)).count();
        assert_eq!(chats("chat_") + chats("policy.guardrail.block"), snapshot.social_events.len());
        assert!(snapshot.narrations.iter().all(|narration| narration.tick == outcome.tick));
    }

    fn conflicts(&mut self, outcome: &TickOutcome, snapshot: &Snapshot) {
        let metrics = &snapshot.stability.metrics;
        let (before, now, delta) = (self.totals, snapshot.queue_metrics, metrics.queue_deltas);
        assert_eq!(before.cooldown_events + delta.cooldown_events, now.cooldown_events);
        assert_eq!(before.ghost_step_events + delta.ghost_step_events, now.ghost_step_events);
        assert_eq!(before.rotation_events + delta.rotation_events, now.rotation_events);
        assert_eq!((metrics.queue_totals, snapshot.conflict.queues), (now, now));
        let last = snapshot.conflict.queue_history.last().unwrap();
        assert_eq!((last.tick, last.delta, last.totals), (outcome.tick, delta, now));
        self.totals = now;

        // W14: the metrics are this tick's, and the spike looks at the window only.
        let clashes: Vec<f64> = (snapshot.events.iter())
            .filter(|event| event.event == "queue_conflict")
            .map(|event| event.fields.get("intensity").and_then(Json::as_f64).unwrap())
            .collect();
        assert!(clashes.iter().all(|intensity| (0.1..=5.0).contains(intensity)));
        assert_eq!(metrics.rivalry_events.len(), clashes.len());
        assert!(metrics.rivalry_events.iter().all(|event| event.tick == outcome.tick));
        let told = snapshot.kpi_history.queue_conflict_intensity.last().unwrap();
        assert!((clashes.iter().sum::<f64>() - told).abs() < 1e-6);
        self.strong_clashes.push((outcome.tick, clashes.iter().filter(|intensity| **intensity >= 0.7).count()));
        self.strong_clashes.retain(|(at, _)| at + RIVALRY_WINDOW_TICKS > outcome.tick);
        let spike = self.strong_clashes.iter().map(|(_, count)| count).sum::<usize>() >= 5;
        assert_eq!(snapshot.stability.alerts.iter().any(|alert| alert == "rivalry_spike"), spike);
        assert_eq!(snapshot.stability.alerts, metrics.alerts);
    }

    /// The updates alone rebuild the ties: none is left out and none is told twice.
    fn ties(&mut self, snapshot: &Snapshot) {
        for update in &snapshot.relationship_updates {
            let ties = self.ties.entry(update.owner.clone()).or_default();
            let tie = Tie { trust: update.trust, familiarity: update.familiarity, rivalry: update.rivalry };
            let before = match update.status {
                UpdateStatus::Removed => ties.remove(&update.other),
                _ => ties.insert(update.other.clone(), tie),
            };
            assert_eq!(before.is_none(), update.status == UpdateStatus::Added, "{update:?}");
            let before = before.unwrap_or_default();
            assert!((tie.trust - before.trust - update.delta.trust).abs() < 1e-5, "{update:?} after {before:?}");
            assert!((tie.rivalry - before.rivalry - update.delta.rivalry).abs() < 1e-5, "{update:?}");
            if ties.is_empty() {
                self.ties.remove(&update.owner);
            }
        }
        assert_eq!(self.ties, snapshot.relationship_snapshot);
        for (owner, ties) in &snapshot.relationship_snapshot {
            assert!(ties.len() <= MAX_TIES && !ties.contains_key(owner));
            for tie in ties.values() {
                assert!((-1.0..=1.0).contains(&tie.trust) && (-1.0..=1.0).contains(&tie.familiarity));
                assert!((0.0..=1.0).contains(&tie.rivalry));
            }
            let overlay = &snapshot.relationship_overlay[owner];
            assert_eq!(overlay.len(), ties.len().min(3));
            assert!(overlay.windows(2).all(|pair| pair[0].trust >= pair[1].trust));
        }
    }

    fn exits(&mut self, outcome: &TickOutcome, snapshot: &Snapshot) {
        let processed = snapshot.events.iter().filter(|event| event.event == "employment_exit_processed").count();
        self.exits_today += processed as u64;
        assert!(self.exits_today <= DAILY_EXIT_CAP.into(), "more exits today than the cap");
        if outcome.tick.is_multiple_of(TICKS_PER_DAY) {
            self.exits_today = 0;
        }
        let employment = &snapshot.employment;
        assert_eq!(employment.exits_today, self.exits_today);
        assert_eq!(employment.pending_count as usize, employment.pending.len());
        assert!(employment.pending.len() <= EXIT_QUEUE_LIMIT);
        for id in &employment.pending {
            assert!(snapshot.jobs[id].exit_pending);
        }
    }

    fn perturbations(&self, outcome: &TickOutcome, snapshot: &Snapshot) {
        let perturbations = &snapshot.perturbations;
        assert!(perturbations.active.len() <= MAX_CONCURRENT && perturbations.pending.len() <= MAX_PENDING);
        let cooldowns = &perturbations.cooldowns;
        for active in perturbations.active.values() {
            assert!(active.started_at <= outcome.tick && outcome.tick < active.ends_at, "{active:?}");
            assert!(cooldowns.spec[active.spec_name.as_ref()] > active.ends_at);
        }
        assert!(cooldowns.spec.values().chain(cooldowns.agents.values()).all(|until| *until > outcome.tick));
        let runs = |kind: &str| perturbations.active.values().any(|active| active.kind == kind);
        assert_eq!(snapshot.utilities.power, !runs("blackout"));
        assert_eq!(snapshot.utilities.water, !runs("outage"));
        assert_eq!(!snapshot.price_spikes.is_empty(), runs("price_spike"));
    }

    /// Without a spike every price is exactly what it was before the first one, or what a command made it.
    fn prices(&mut self, outcome: &TickOutcome, snapshot: &Snapshot) {
        let base = self.base_prices.get_or_insert_with(|| snapshot.economy_settings.clone());
        for reply in &outcome.console {
            if let (townlet_sim::Command::Price { key, value }, Ok(_)) = (&reply.command, &reply.result) {
                base.insert(key.clone(), *value);
            }
        }
        for (key, value) in &snapshot.economy_settings {
            let spiked = snapshot.price_spikes.values().filter(|spike| spike.targets.contains(key));
            let factor: f64 = spiked.map(|spike| spike.magnitude).product();
            assert!((value - base[key] * factor).abs() < 1e-5, "{key} is {value}");
        }
        if snapshot.price_spikes.is_empty() {
            assert_eq!(&snapshot.economy_settings, base);
        }
    }
}

fn fixtures(snapshot: &Snapshot) {
    let runtime = &snapshot.affordance_runtime;
    assert_eq!(runtime.running_count as usize, runtime.running.len());
    let users: BTreeSet<_> = runtime.running.values().map(|running| &running.agent_id).collect();
    assert_eq!(users.len(), runtime.running.len(), "an agent uses two fixtures");
    for (id, object) in &snapshot.economy {
        assert!(object.stock.values().all(|stock| *stock >= 0), "{id} has {:?}", object.stock);
        if object.kind == "shower" {
            assert_eq!(object.stock["power_on"] == 1, snapshot.utilities.power);
        }
    }
}

fn rewards(snapshot: &Snapshot) {
    assert!(snapshot.reward_breakdown.keys().eq(snapshot.jobs.keys()));
    for (id, reward) in &snapshot.reward_breakdown {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{id}: {reward:?}");
        close(reward.homeostasis, reward.survival + reward.needs_penalty);
        close(reward.work, reward.wage + reward.punctuality);
        close(reward.social, reward.social_bonus + reward.social_penalty + reward.social_avoidance);
        let raw = reward.homeostasis + reward.shaping + reward.work + reward.social + reward.terminal_penalty;
        close(reward.total, raw + reward.clip_adjustment);
        assert!(reward.total.abs() <= TICK_CLIP);
    }
}

/// W14: no list grows with the ticks.
fn bounds(snapshot: &Snapshot) {
    let kpi = &snapshot.kpi_history;
    for length in [
        kpi.queue_conflict_intensity.len(),
        kpi.employment_lateness.len(),
        kpi.late_help_events.len(),
        kpi.queue_rotation_events.len(),
        kpi.queue_ghost_step_events.len(),
    ] {
        assert!(length <= KPI_LENGTH);
    }
    let conflict = &snapshot.conflict;
    assert!(conflict.queue_history.len() <= HISTORY_LENGTH && conflict.rivalry_events.len() <= HISTORY_LENGTH);
    let now = snapshot.affordance_runtime.tick;
    assert!(conflict.rivalry_events.iter().all(|event| event.tick + RIVALRY_WINDOW_TICKS > now));
    assert!(snapshot.relationships.history.len() <= 8);
    assert!(snapshot.promotion.as_ref().unwrap().history.len() <= 50);
    for decision in snapshot.policy_snapshot.values() {
        assert!(decision.top_actions.len() <= 5 && decision.log_prob <= 0.0);
        assert!(decision.top_actions.iter().map(|action| action.probability).sum::<f64>() <= 1.0 + 1e-5);
    }
}
