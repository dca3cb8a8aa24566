//! The global context: one free-form object with everything that a policy or an observer may want of a tick.

use std::collections::BTreeMap;

use serde::Serialize;
use townlet_schema::{Json, Object};

use super::{map, rounded};
use crate::world::{TickOutcome, World};

/// A section as a tree. The town's sections hold finite numbers and few levels, which is all that can go wrong; a
/// section that failed would show as `null`.
fn tree(section: &impl Serialize) -> Json {
    Json::from_serialize(section).unwrap_or(Json::Null)
}

impl World {
    /// The predecessor's `global_context` with its names, `job_snapshot` included. Times of its queue code
    /// (`queue_affinity_metrics`) are not in it: they would differ between two runs of one seed.
    pub fn global_context(&self, outcome: &TickOutcome) -> Object {
        let totals: BTreeMap<String, BTreeMap<&str, f64>> =
            self.by_agent(|agent| BTreeMap::from([("total", rounded(agent.reward.total))]));
        let economy = map([
            ("settings", tree(&self.wire_prices())),
            ("active_price_spikes", tree(&self.wire_spikes())),
            (
                "utility_snapshot",
                map([("power", self.utilities.power.into()), ("water", self.utilities.water.into())]).into(),
            ),
        ]);
        map([
            ("queue_metrics", tree(&self.wire_queue_metrics())),
            ("rewards", tree(&totals)),
            ("perturbations", tree(&self.wire_perturbations())),
            ("policy_snapshot", tree(&self.wire_decisions())),
            ("rivalry_events", tree(&self.stability_metrics().rivalry_events)),
            ("stability_metrics", tree(&self.stability_metrics())),
            ("promotion_state", tree(&self.wire_promotion())),
            ("policy_metadata", tree(&self.policy_details())),
            ("rng_seed", self.options.seed.into()),
            ("queues", self.queues().into()),
            ("running_affordances", tree(&self.wire_runtime(outcome).running)),
            ("relationship_snapshot", tree(&self.wire_ties())),
            ("relationship_metrics", tree(&self.wire_churn())),
            ("employment_snapshot", tree(&self.wire_employment())),
            ("economy_snapshot", economy.into()),
            ("job_snapshot", tree(&self.wire_jobs())),
            ("anneal_context", tree(&self.wire_anneal())),
        ])
    }

    fn queues(&self) -> Object {
        let (mut active, mut queues, mut cooldowns) = (Object::new(), Object::new(), Vec::new());
        for (id, place) in self.objects.iter() {
            if !place.users.is_empty() {
                let users: Vec<Json> = place.users.iter().map(|user| (*user).into()).collect();
                active.insert(id.id(), users);
            }
            if !place.waiting.is_empty() {
                let waiting: Vec<Json> = place.waiting.iter().map(|waiting| waiting.agent.into()).collect();
                queues.insert(id.id(), waiting);
            }
            for (agent, until) in place.cooldowns.iter().filter(|(_, until)| *until > self.tick) {
                let entry = [("object_id", id.into()), ("agent_id", (*agent).into()), ("expiry_tick", (*until).into())];
                cooldowns.push(map(entry).into());
            }
        }
        map([("active", active.into()), ("queues", queues.into()), ("cooldowns", cooldowns.into())])
    }
}
