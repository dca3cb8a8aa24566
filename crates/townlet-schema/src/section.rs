//! The sections of a snapshot and how they may be coalesced.

use std::fmt;

/// What a section says, which decides what may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SectionClass {
    /// How things are: the newest value replaces the older ones.
    State,
    /// What happened in one tick: values of several ticks are joined in order,
    /// and one that is dropped is lost.
    PerTick,
}

macro_rules! sections {
    ($($variant:ident $name:literal $class:ident,)*) => {
        /// A top-level key of a snapshot.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "each variant is the field of `Snapshot` with that name, described there")]
        pub enum Section {
            $($variant,)*
        }

        impl Section {
            /// Every section, in the order of the wire.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The key on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// How it may be coalesced.
            pub const fn class(self) -> SectionClass {
                match self {
                    $(Self::$variant => SectionClass::$class,)*
                }
            }

            /// The section with this key.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

sections! {
    RuntimeVariant "runtime_variant" State,
    QueueMetrics "queue_metrics" State,
    EmbeddingMetrics "embedding_metrics" State,
    Employment "employment" State,
    Conflict "conflict" State,
    Relationships "relationships" State,
    RelationshipSnapshot "relationship_snapshot" State,
    RelationshipUpdates "relationship_updates" PerTick,
    RelationshipOverlay "relationship_overlay" State,
    Events "events" PerTick,
    Narrations "narrations" PerTick,
    Jobs "jobs" State,
    Economy "economy" State,
    EconomySettings "economy_settings" State,
    PriceSpikes "price_spikes" State,
    Utilities "utilities" State,
    AffordanceManifest "affordance_manifest" State,
    AffordanceRuntime "affordance_runtime" State,
    RewardBreakdown "reward_breakdown" State,
    Stability "stability" State,
    Promotion "promotion" State,
    Perturbations "perturbations" State,
    PolicyIdentity "policy_identity" State,
    PolicySnapshot "policy_snapshot" State,
    AnnealStatus "anneal_status" State,
    KpiHistory "kpi_history" State,
    Personalities "personalities" State,
    SocialEvents "social_events" PerTick,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
