//! Sections about the town: queues, conflicts, exits, fixtures, prices, perturbations, stability.

use std::collections::BTreeMap;

use townlet_schema::Object;
use townlet_schema::snapshot::{
    AffordanceEventCounts, AffordanceRuntime, Conflict, EmbeddingMetrics, Employment, KpiHistory, ObjectStock,
    OptionThrashThreshold, Perturbation, PerturbationCooldowns, Perturbations, PriceSpike, Promotion, PromotionWindow,
    QueueHistoryEntry, QueueMetrics, RewardVarianceThreshold, RivalryEvent, RunningAffordance, Stability,
    StabilityInputs, StabilityMetrics, StarvationThreshold, Thresholds,
};

use super::{map, rounded};
use crate::agents::Doing;
use crate::conflict::{self, QueueCounters};
use crate::economy::Price;
use crate::exits::{DAILY_EXIT_CAP, EXIT_QUEUE_LIMIT, REVIEW_WINDOW_TICKS};
use crate::perturbations::Booking;
use crate::promotion::{PROMOTION_WINDOW_TICKS, REQUIRED_PASSES, ReleaseRecord};
use crate::stability as limits;
use crate::town::Fixture;
use crate::world::{TickOutcome, World};

fn counters(counters: QueueCounters) -> QueueMetrics {
    QueueMetrics {
        cooldown_events: counters.cooldown_events,
        ghost_step_events: counters.ghost_step_events,
        rotation_events: counters.rotation_events,
    }
}

fn rivalry_event(event: &conflict::RivalryEvent) -> RivalryEvent {
    RivalryEvent {
        tick: event.tick,
        agent_a: event.a.id(),
        agent_b: event.b.id(),
        intensity: rounded(event.intensity),
        reason: event.reason.name().into(),
    }
}

fn perturbation(booking: &Booking) -> Perturbation {
    let targets = super::events::targets(booking);
    Perturbation {
        event_id: booking.id(),
        spec_name: booking.kind.spec().name().into(),
        kind: booking.kind.spec().name().into(),
        started_at: booking.starts_at,
        ends_at: booking.ends_at,
        payload: super::events::details(booking),
        targets: targets.iter().filter_map(|target| target.as_str()).map(str::to_owned).collect(),
    }
}

fn release(config_id: &str) -> Object {
    map([("config_id", config_id.into())])
}

fn release_record(record: &ReleaseRecord) -> Object {
    map([
        ("tick", record.tick.into()),
        ("event", record.change.name().into()),
        ("config_id", record.config_id.as_str().into()),
    ])
}

impl World {
    pub(super) fn wire_queue_metrics(&self) -> QueueMetrics {
        counters(self.conflict.totals)
    }

    pub(super) fn wire_embeddings(&self) -> EmbeddingMetrics {
        EmbeddingMetrics {
            allocations_total: self.embeddings.allocations as f64,
            forced_reuse_count: self.embeddings.forced_reuse as f64,
            forced_reuse_rate: rounded(self.embeddings.forced_rate()),
            reuse_warning: if self.embeddings.warns() { 1.0 } else { 0.0 },
        }
    }

    pub(super) fn wire_employment(&self) -> Employment {
        let exits = &self.employment.exits;
        Employment {
            pending: exits.waiting().map(|agent| agent.id()).collect(),
            pending_count: exits.count().into(),
            exits_today: exits.today.into(),
            daily_exit_cap: DAILY_EXIT_CAP.into(),
            queue_limit: EXIT_QUEUE_LIMIT as u64,
            review_window: REVIEW_WINDOW_TICKS,
        }
    }

    pub(super) fn wire_conflict(&self) -> Conflict {
        let mut rivalry = self.by_agent(|agent| {
            let ties = self.relationships.of(agent.id.index()).iter().filter(|tie| tie.rivalry > 0.0);
            ties.map(|tie| (tie.other.id(), rounded(tie.rivalry))).collect()
        });
        rivalry.retain(|_, ties: &mut BTreeMap<String, f64>| !ties.is_empty());
        let entry = |sample: &conflict::QueueSample| QueueHistoryEntry {
            tick: sample.tick,
            delta: counters(sample.delta),
            totals: counters(sample.totals),
        };
        Conflict {
            queues: self.wire_queue_metrics(),
            queue_history: self.conflict.history.iter().map(entry).collect(),
            rivalry,
            rivalry_events: self.conflict.recent.iter().map(rivalry_event).collect(),
        }
    }

    pub(super) fn wire_objects(&self) -> BTreeMap<String, ObjectStock> {
        let stock = |fixture, place: &crate::queues::Object| -> Vec<(&str, i64)> {
            let (power, water) = (self.utilities.power.into(), self.utilities.water.into());
            match fixture {
                Fixture::Shower => vec![("power_on", power), ("water_on", water)],
                Fixture::Bed => {
                    let free = place.capacity - place.users.len();
                    vec![("sleep_slots", free as i64), ("sleep_capacity", place.capacity as i64)]
                }
                Fixture::Fridge => vec![("meals", place.meals.into())],
                Fixture::Stove => vec![("raw_ingredients", place.raw_ingredients.into()), ("power_on", power)],
            }
        };
        let entry = |(id, place): (crate::town::ObjectId, &crate::queues::Object)| {
            let stock = stock(id.fixture(), place).into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
            (id.id(), ObjectStock { kind: id.fixture().name().into(), stock })
        };
        self.objects.iter().map(entry).collect()
    }

    pub(super) fn wire_prices(&self) -> BTreeMap<String, f64> {
        Price::ALL.into_iter().map(|price| (price.name().to_owned(), rounded(self.economy.price(price)))).collect()
    }

    pub(super) fn wire_spikes(&self) -> BTreeMap<String, PriceSpike> {
        let entry = |booking: &Booking| {
            let spike = self.economy.spikes.get(&booking.number)?;
            let targets = spike.targets.iter().map(|price| price.name().to_owned()).collect();
            Some((booking.id(), PriceSpike { magnitude: rounded(spike.magnitude), targets }))
        };
        self.perturbations.active.iter().filter_map(entry).collect()
    }

    /// A fixture that serves several agents at once has its second one as `fridge_1#2`.
    pub(super) fn wire_runtime(&self, outcome: &TickOutcome) -> AffordanceRuntime {
        let mut running = BTreeMap::new();
        let mut active_reservations = BTreeMap::new();
        for (id, place) in self.objects.iter() {
            for (number, user) in place.users.iter().enumerate() {
                let Doing::Using { affordance, until, .. } = self.agents[user.index()].doing else { continue };
                let object_id = id.id();
                let key = if number == 0 { object_id.clone() } else { format!("{object_id}#{}", number + 1) };
                active_reservations.insert(key.clone(), user.id());
                running.insert(
                    key,
                    RunningAffordance {
                        agent_id: user.id(),
                        object_id,
                        affordance_id: affordance.name().into(),
                        duration_remaining: until.saturating_sub(self.tick),
                        effects: affordance.effects().iter().map(|(need, by)| ((*need).to_owned(), *by)).collect(),
                    },
                );
            }
        }
        let counts = World::use_counts(&outcome.events);
        AffordanceRuntime {
            tick: outcome.tick,
            running_count: running.len() as u64,
            running,
            active_reservations,
            event_counts: AffordanceEventCounts {
                start: counts.start.into(),
                finish: counts.finish.into(),
                fail: counts.fail.into(),
                precondition_fail: counts.precondition_fail.into(),
            },
        }
    }

    pub(super) fn wire_perturbations(&self) -> Perturbations {
        let state = &self.perturbations;
        Perturbations {
            active: state.active.iter().map(|booking| (booking.id(), perturbation(booking))).collect(),
            pending: state.pending.iter().map(perturbation).collect(),
            cooldowns: PerturbationCooldowns {
                spec: state.spec_cooldowns.iter().map(|(spec, until)| (spec.name().to_owned(), *until)).collect(),
                agents: state.agent_cooldowns.iter().map(|(agent, until)| (agent.id(), *until)).collect(),
            },
        }
    }

    pub(super) fn wire_kpis(&self) -> KpiHistory {
        let floats = |of: fn(&crate::world::Kpi) -> f64| self.kpis.iter().map(|kpi| rounded(of(kpi))).collect();
        let counts = |of: fn(&crate::world::Kpi) -> u64| self.kpis.iter().map(of).collect();
        KpiHistory {
            queue_conflict_intensity: floats(|kpi| kpi.conflict_intensity),
            employment_lateness: floats(|kpi| kpi.lateness.into()),
            late_help_events: floats(|kpi| kpi.late_helps.into()),
            queue_rotation_events: counts(|kpi| kpi.rotations),
            queue_ghost_step_events: counts(|kpi| kpi.ghost_steps),
        }
    }

    pub(super) fn wire_stability(&self) -> Stability {
        let metrics = self.stability_metrics();
        Stability {
            alerts: metrics.alerts.clone(),
            inputs: StabilityInputs {
                hunger_levels: self.by_agent(|agent| rounded(agent.needs.hunger)),
                option_switch_counts: self.by_agent(|agent| agent.mind.switched.into()),
                reward_samples: self.by_agent(|agent| rounded(agent.reward.total)),
            },
            metrics,
        }
    }

    /// The stability metrics of the tick that has just run (the predecessor's were one tick old).
    pub fn stability_metrics(&self) -> StabilityMetrics {
        let stability = &self.stability;
        StabilityMetrics {
            starvation_incidents: stability.starvation_incidents(),
            starvation_window_ticks: limits::LONG_WINDOW_TICKS,
            option_switch_rate: stability.option_switch_rate().map(rounded),
            option_samples: stability.option_samples(),
            reward_variance: stability.reward_variance().map(rounded),
            reward_mean: stability.reward_mean().map(rounded),
            reward_samples: stability.reward_samples(),
            queue_totals: counters(self.conflict.totals),
            queue_deltas: counters(self.conflict.delta),
            rivalry_events: self.conflict.fresh.iter().map(rivalry_event).collect(),
            alerts: stability.alerts.iter().map(|alert| alert.name().into()).collect(),
            thresholds: Thresholds {
                affordance_fail_threshold: limits::MAX_FAILURES.into(),
                lateness_threshold: limits::MAX_LATE.into(),
                starvation: StarvationThreshold {
                    window_ticks: limits::LONG_WINDOW_TICKS,
                    max_incidents: 0,
                    hunger_threshold: limits::STARVATION_HUNGER,
                    min_duration_ticks: limits::STARVATION_TICKS.into(),
                },
                reward_variance: RewardVarianceThreshold {
                    window_ticks: limits::LONG_WINDOW_TICKS,
                    max_variance: limits::MAX_REWARD_VARIANCE,
                    min_samples: limits::MIN_REWARD_SAMPLES,
                },
                option_thrash: OptionThrashThreshold {
                    window_ticks: limits::OPTION_WINDOW_TICKS,
                    max_switch_rate: limits::MAX_SWITCH_RATE,
                    min_samples: limits::MIN_OPTION_SAMPLES,
                },
            },
            promotion: PromotionWindow {
                window_start: self.promotion.window_start,
                window_end: self.promotion.window_start + PROMOTION_WINDOW_TICKS,
                window_ticks: PROMOTION_WINDOW_TICKS,
                pass_streak: self.promotion.pass_streak.into(),
                required_passes: REQUIRED_PASSES.into(),
                candidate_ready: self.promotion.candidate_ready(),
                last_result: self.promotion.last_result.map(|result| result.name().into()),
                last_evaluated_tick: self.promotion.last_evaluated,
            },
            promotion_state: Some(self.wire_promotion()),
        }
    }

    pub(super) fn wire_promotion(&self) -> Promotion {
        let promotion = &self.promotion;
        Promotion {
            state: promotion.state.name().into(),
            pass_streak: promotion.pass_streak.into(),
            required_passes: REQUIRED_PASSES.into(),
            candidate_ready: promotion.candidate_ready(),
            candidate_ready_tick: promotion.ready_tick,
            last_result: promotion.last_result.map(|result| result.name().into()),
            last_evaluated_tick: promotion.last_evaluated,
            current_release: release(&promotion.current),
            initial_release: release(&promotion.initial),
            candidate: promotion.ready_tick.map(|tick| map([("ready_since", tick.into())])),
            history: promotion.history.iter().map(release_record).collect(),
        }
    }
}
