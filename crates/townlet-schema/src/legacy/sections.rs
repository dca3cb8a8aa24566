//! Some of the sections, each typed.

use std::collections::BTreeMap;

use serde::ser::{SerializeMap, Serializer};

use super::shapes::{
    LegacyChurn, LegacyConflict, LegacyEconomy, LegacyEvent, LegacyJob, LegacyOverlayEntry, LegacyRelationshipUpdate,
    LegacyStability,
};
use crate::snapshot::{
    AffordanceManifest, AffordanceRuntime, EmbeddingMetrics, Employment, Narration, Personality, Perturbations,
    PolicyDecision, PolicyIdentity, PriceSpike, Promotion, QueueMetrics, SocialEvent, Tie, Utilities,
};
use crate::{HeapSize, Json, Number, Object, ReadError};

macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// Those sections of 0.2 to 0.9 that a snapshot, a console snapshot or the
        /// changes of a diff carry. A section that is absent is `None`; one that may
        /// be null is `Some(None)` when it is.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct LegacySections {
            $($(#[$doc])* pub $name: Option<$type>,)*
            /// Keys that are no section of the stream: `transport`, `health`, ….
            pub other: Object,
        }

        impl LegacySections {
            /// Reads each known section of `object`; `skip` are keys of the line itself.
            pub(super) fn read(object: &Object, skip: &[&str]) -> Result<Self, ReadError> {
                let mut sections = Self::default();
                for (key, value) in object.iter().filter(|(key, _)| !skip.contains(key)) {
                    match key {
                        $(stringify!($name) => {
                            sections.$name = Some(value.read().map_err(|e| e.within_key(key))?);
                        })*
                        _ => {
                            sections.other.insert(key, value.clone());
                        }
                    }
                }
                Ok(sections)
            }

            /// Writes the sections that are there, in the predecessor's order.
            pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                $(if let Some(section) = &self.$name {
                    map.serialize_entry(stringify!($name), section)?;
                })*
                for (key, value) in self.other.iter() {
                    map.serialize_entry(key, value)?;
                }
                Ok(())
            }

            /// The keys that are there, those of `other` last.
            pub fn keys(&self) -> Vec<&str> {
                let mut keys = Vec::new();
                $(if self.$name.is_some() {
                    keys.push(stringify!($name));
                })*
                keys.extend(self.other.keys());
                keys
            }
        }

        impl HeapSize for LegacySections {
            fn heap_size(&self) -> usize {
                0 $(+ self.$name.heap_size())* + self.other.heap_size()
            }
        }
    };
}

sections! {
    /// From 0.9.7. Nullable.
    runtime_variant: Option<String>,
    /// Queue counters.
    queue_metrics: QueueMetrics,
    /// Embedding slots.
    embedding_metrics: EmbeddingMetrics,
    /// From 0.2.0.
    employment: Employment,
    /// From 0.3.0.
    conflict: LegacyConflict,
    /// Churn.
    relationships: LegacyChurn,
    /// From 0.6.0.
    relationship_snapshot: BTreeMap<String, BTreeMap<String, Tie>>,
    /// From 0.6.0.
    relationship_updates: Vec<LegacyRelationshipUpdate>,
    /// Strongest ties.
    relationship_overlay: BTreeMap<String, Vec<LegacyOverlayEntry>>,
    /// World events.
    events: Vec<LegacyEvent>,
    /// From 0.7.0.
    narrations: Vec<Narration>,
    /// Agents at work.
    jobs: BTreeMap<String, LegacyJob>,
    /// Two shapes.
    economy: LegacyEconomy,
    /// From 0.9.7.
    economy_settings: BTreeMap<String, f64>,
    /// From 0.9.7.
    price_spikes: BTreeMap<String, PriceSpike>,
    /// From 0.9.7.
    utilities: Utilities,
    /// Where affordances come from.
    affordance_manifest: AffordanceManifest,
    /// From 0.9.5, in console snapshots.
    affordance_runtime: AffordanceRuntime,
    /// Components by agent; their set grew with 0.9.3 and 0.9.6.
    reward_breakdown: BTreeMap<String, BTreeMap<String, f64>>,
    /// From 0.9.0.
    stability: LegacyStability,
    /// From 0.9.4. Nullable.
    promotion: Option<Promotion>,
    /// Disturbances.
    perturbations: Perturbations,
    /// Which policy acts.
    policy_identity: PolicyIdentity,
    /// Decisions by agent.
    policy_snapshot: BTreeMap<String, PolicyDecision>,
    /// Nullable; two shapes.
    anneal_status: Option<Object>,
    /// Recent values by indicator, unbounded for two of them.
    kpi_history: BTreeMap<String, Vec<Number>>,
    /// In console snapshots.
    personalities: BTreeMap<String, Personality>,
    /// From 0.9.6, in console snapshots.
    social_events: Vec<SocialEvent>,
}

impl serde::Serialize for LegacySections {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write(&mut map)?;
        map.end()
    }
}

impl LegacySections {
    /// The sections as a tree.
    ///
    /// # Errors
    /// A float that was set to NaN or an infinity since.
    pub fn to_object(&self) -> Result<Object, crate::EncodeError> {
        let tree = Json::from_serialize(self)?;
        Ok(if let Json::Object(object) = tree { object } else { Object::new() })
    }
}
