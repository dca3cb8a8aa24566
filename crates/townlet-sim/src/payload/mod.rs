//! From the world to the wire: every section of a snapshot, and the events that go with it.
//!
//! Numbers that are not counts are rounded to six decimals: it halves their length, and it keeps the last bits of a
//! platform's `exp` and `ln` (used for shown probabilities only) out of the bytes.

mod context;
mod events;
mod people;
mod policy;
mod replies;
mod state;

use townlet_schema::{Json, Object, Snapshot, snapshot};

use crate::world::{TickOutcome, World};

/// To six decimals, never a negative zero.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6 + 0.0
}

/// To six decimals. The town's numbers are finite; one that were not would show as `null`.
pub(crate) fn number(value: f64) -> Json {
    Json::try_from(rounded(value)).unwrap_or(Json::Null)
}

/// An object with these entries.
pub(crate) fn map<const N: usize>(entries: [(&str, Json); N]) -> Object {
    let mut object = Object::new();
    for (key, value) in entries {
        object.insert(key, value);
    }
    object
}

impl World {
    /// The state after the last tick, with what that tick brought. Every section is filled, and each event is in it
    /// once.
    ///
    /// `outcome` must be what the last [`step`](World::step) returned: an older one is shown as it is, beside the
    /// newer state.
    pub fn snapshot(&self, outcome: &TickOutcome) -> Snapshot {
        // No `..Default::default()`: a section that the schema gains must be filled here, or this does not compile.
        Snapshot {
            runtime_variant: Some(self.options.runtime_variant.clone()),
            queue_metrics: self.wire_queue_metrics(),
            embedding_metrics: self.wire_embeddings(),
            employment: self.wire_employment(),
            conflict: self.wire_conflict(),
            relationships: self.wire_churn(),
            relationship_snapshot: self.wire_ties(),
            relationship_updates: outcome.relationship_updates.iter().map(people::tie_update).collect(),
            relationship_overlay: self.wire_overlay(),
            events: self.world_events(outcome),
            narrations: outcome.narrations.clone(),
            jobs: self.wire_jobs(),
            economy: self.wire_objects(),
            economy_settings: self.wire_prices(),
            price_spikes: self.wire_spikes(),
            utilities: snapshot::Utilities { power: self.utilities.power, water: self.utilities.water },
            affordance_manifest: self.manifest.clone(),
            affordance_runtime: self.wire_runtime(outcome),
            reward_breakdown: self.wire_rewards(),
            stability: self.wire_stability(),
            promotion: Some(self.wire_promotion()),
            perturbations: self.wire_perturbations(),
            policy_identity: Some(self.wire_identity()),
            policy_snapshot: self.wire_decisions(),
            anneal_status: Some(self.wire_anneal()),
            kpi_history: self.wire_kpis(),
            personalities: self.wire_personalities(),
            social_events: outcome.social_events.iter().map(events::social).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_leaves_no_negative_zero() {
        assert_eq!(number(-1e-9).to_string(), number(0.0).to_string());
        assert_eq!(rounded(0.1 + 0.2), 0.3);
    }
}
