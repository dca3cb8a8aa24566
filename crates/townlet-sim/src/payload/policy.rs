//! The policy on the wire: its identity, its decisions, and the events that are due only when something changed.

use std::collections::BTreeMap;

use townlet_schema::snapshot::{ActionProbability, AnnealStatus, PolicyDecision, PolicyIdentity};
use townlet_schema::{
    Event, Health, HealthSummary, Object, PolicyAnnealUpdate, PolicyDetails, PolicyMetadata, PolicyPossession,
    StabilityUpdate,
};

use super::{map, number, rounded};
use crate::policy::OPTION_COMMIT_TICKS;
use crate::world::{TickOutcome, World};

/// Which implementation of policies acts.
const PROVIDER: &str = "scripted";
/// Actions in a decision.
const TOP_ACTIONS: usize = 5;
/// A crude critic: this tick's reward, for ever, at a discount of 0.95.
const HORIZON: f64 = 20.0;

impl World {
    pub(super) fn wire_identity(&self) -> PolicyIdentity {
        PolicyIdentity {
            config_id: self.promotion.current.clone(),
            policy_hash: Some(self.policy_hash.clone()),
            observation_variant: Some("hybrid".into()),
            anneal_ratio: Some(self.anneal_ratio()),
        }
    }

    pub(super) fn wire_decisions(&self) -> BTreeMap<String, PolicyDecision> {
        self.by_agent(|agent| {
            let distribution = agent.mind.distribution();
            let chosen = distribution.iter().find(|(choice, _)| *choice == agent.mind.choice);
            PolicyDecision {
                tick: agent.mind.decided_at,
                selected_action: agent.mind.choice.name().into(),
                log_prob: rounded(chosen.map_or(0.0, |(_, probability)| probability.ln())),
                value_pred: rounded(agent.reward.total * HORIZON),
                top_actions: (distribution.iter().take(TOP_ACTIONS))
                    .map(|(choice, probability)| ActionProbability {
                        action: choice.name().into(),
                        probability: rounded(*probability),
                    })
                    .collect(),
            }
        })
    }

    fn possessed_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.possessed().map(|agent| agent.id()).collect();
        ids.sort();
        ids
    }

    pub(super) fn wire_anneal(&self) -> AnnealStatus {
        let mut commit_state = Object::new();
        for agent in self.shown().filter(|agent| agent.mind.committed_until > self.tick) {
            let left = agent.mind.committed_until - self.tick;
            let commitment = map([("option", agent.mind.choice.name().into()), ("ticks_left", left.into())]);
            commit_state.insert(agent.id.id(), commitment);
        }
        AnnealStatus {
            anneal_ratio: Some(self.anneal_ratio()),
            blend_enabled: self.anneal_ratio() > 0.0,
            commit_state,
            option_commit_ticks: OPTION_COMMIT_TICKS,
            possessed_agents: self.possessed_ids(),
        }
    }

    pub(super) fn policy_details(&self) -> PolicyDetails {
        PolicyDetails {
            identity: Some(self.wire_identity()),
            possessed_agents: self.possessed_ids(),
            option_switch_counts: self.by_agent(|agent| agent.mind.switches.into()),
            anneal_ratio: Some(self.anneal_ratio()),
        }
    }

    /// `policy.metadata`, in the ticks in which something in it changed.
    pub fn policy_metadata(&self, outcome: &TickOutcome) -> Option<Event<PolicyMetadata>> {
        let due = outcome.policy.metadata;
        due.then(|| Event(PolicyMetadata { provider: PROVIDER.into(), metadata: self.policy_details() }))
    }

    /// `policy.possession`, at the first tick and when another set of agents is possessed.
    pub fn policy_possession(&self, outcome: &TickOutcome) -> Option<Event<PolicyPossession>> {
        outcome.policy.possession.then(|| {
            let free = self.shown().filter(|agent| !agent.possessed);
            let mut agents: Vec<String> = free.map(|agent| agent.id.id()).collect();
            agents.sort();
            Event(PolicyPossession { provider: PROVIDER.into(), agents, possessed_agents: self.possessed_ids() })
        })
    }

    /// `policy.anneal.update`, at the first tick and when the ratio changed.
    pub fn policy_anneal_update(&self, outcome: &TickOutcome) -> Option<Event<PolicyAnnealUpdate>> {
        outcome.policy.anneal.then(|| {
            let context = map([
                ("anneal_ratio", number(self.anneal_ratio())),
                ("blend_enabled", (self.anneal_ratio() > 0.0).into()),
                ("option_commit_ticks", OPTION_COMMIT_TICKS.into()),
            ]);
            let ratio = Some(self.anneal_ratio());
            Event(PolicyAnnealUpdate { provider: PROVIDER.into(), ratio, context })
        })
    }

    /// `stability.metrics` of the tick that has just run.
    pub fn stability_update(&self) -> Event<StabilityUpdate> {
        Event(StabilityUpdate { metrics: self.stability_metrics(), promotion_state: Some(self.wire_promotion()) })
    }

    /// `loop.health` as far as the town knows it; the transport's part is filled in by whoever has a transport.
    /// `duration_ms` is the wall time of the tick, which the town cannot know.
    pub fn health(&self, duration_ms: f64, failure_count: u64) -> Health {
        Health {
            status: "ok".into(),
            runtime_variant: Some(self.options.runtime_variant.clone()),
            duration_ms,
            failure_count,
            summary: HealthSummary {
                duration_ms,
                perturbations_pending: self.perturbations.pending.len() as u64,
                perturbations_active: self.perturbations.active.len() as u64,
                employment_exit_queue: self.employment.exits.count().into(),
                ..HealthSummary::default()
            },
            ..Health::default()
        }
    }
}
