//! What dashboards and scripts read: the newest of everything, shared, not copied.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use townlet_schema::snapshot::{
    AffordanceManifest, AffordanceRuntime, AnnealStatus, Conflict, EmbeddingMetrics, Employment, Job, KpiHistory, Name,
    Narration, ObjectStock, OverlayEntry, Personality, Perturbations, PolicyDecision, PolicyIdentity, PriceSpike,
    Promotion, QueueHistoryEntry, QueueMetrics, RelationshipChurn, RelationshipUpdate, RewardBreakdown, RivalryEvent,
    SocialEvent, Stability, StabilityInputs, StabilityMetrics, Tie, Utilities, WorldEvent,
};
use townlet_schema::{ConsoleResult, Health, Snapshot};

use crate::telemetry::Telemetry;

/// Console results kept (facts 6.1).
const CONSOLE_HISTORY: usize = 200;

/// A part of the newest snapshot. Keeps that snapshot alive; copies nothing.
pub struct View<T: ?Sized> {
    snapshot: Arc<Snapshot>,
    part: fn(&Snapshot) -> &T,
}

impl<T: ?Sized> Deref for View<T> {
    type Target = T;

    fn deref(&self) -> &T {
        (self.part)(&self.snapshot)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for View<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Latest {
    state: Mutex<LatestState>,
}

#[derive(Debug, Default)]
struct LatestState {
    tick: Option<u64>,
    snapshot: Option<Arc<Snapshot>>,
    health: Option<Arc<Health>>,
    /// Results with the tick of each, oldest first.
    console: VecDeque<(u64, Arc<ConsoleResult>)>,
}

impl Latest {
    fn lock(&self) -> MutexGuard<'_, LatestState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep_snapshot(&self, tick: u64, snapshot: Arc<Snapshot>) {
        let mut state = self.lock();
        state.tick = state.tick.max(Some(tick));
        let previous = state.snapshot.replace(snapshot);
        drop(state);
        // Freed outside the lock, where this was the last reader.
        drop(previous);
    }

    pub(crate) fn keep_health(&self, tick: u64, health: Health) {
        let mut state = self.lock();
        state.tick = state.tick.max(Some(tick));
        state.health = Some(Arc::new(health));
    }

    pub(crate) fn keep_console(&self, tick: u64, result: ConsoleResult) {
        let mut state = self.lock();
        state.tick = state.tick.max(Some(tick));
        if state.console.len() == CONSOLE_HISTORY {
            state.console.pop_front();
        }
        state.console.push_back((tick, Arc::new(result)));
    }
}

/// One getter a section, as the seeds' protocol surface names them.
macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $part:expr;)*) => {
        impl Telemetry {
            $($(#[$doc])*
            ///
            /// `None` before the first snapshot.
            pub fn $name(&self) -> Option<View<$type>> {
                Some(View { snapshot: self.latest_snapshot()?, part: $part })
            })*
        }
    };
}

getters! {
    /// Queue counters.
    latest_queue_metrics: QueueMetrics = |s| &s.queue_metrics;
    /// Recent queue counters by tick, oldest first.
    latest_queue_history: [QueueHistoryEntry] = |s| &s.conflict.queue_history;
    /// Queues and rivalry.
    latest_conflict_snapshot: Conflict = |s| &s.conflict;
    /// Recent rivalry events, oldest first.
    latest_rivalry_events: [RivalryEvent] = |s| &s.conflict.rivalry_events;
    /// Use of embedding slots.
    latest_embedding_metrics: EmbeddingMetrics = |s| &s.embedding_metrics;
    /// The exit queue.
    latest_employment_metrics: Employment = |s| &s.employment;
    /// Jobs by agent.
    latest_job_snapshot: BTreeMap<String, Job> = |s| &s.jobs;
    /// World events of the newest tick.
    latest_events: [WorldEvent] = |s| &s.events;
    /// Objects and stock.
    latest_economy_snapshot: BTreeMap<String, ObjectStock> = |s| &s.economy;
    /// Prices and wages.
    latest_economy_settings: BTreeMap<String, f64> = |s| &s.economy_settings;
    /// Price spikes in force.
    latest_price_spikes: BTreeMap<String, PriceSpike> = |s| &s.price_spikes;
    /// Power and water.
    latest_utilities: Utilities = |s| &s.utilities;
    /// Churn of the current window.
    latest_relationship_metrics: RelationshipChurn = |s| &s.relationships;
    /// Ties: owner to other to tie.
    latest_relationship_snapshot: BTreeMap<String, BTreeMap<String, Tie>> = |s| &s.relationship_snapshot;
    /// Ties that changed in the newest tick.
    latest_relationship_updates: [RelationshipUpdate] = |s| &s.relationship_updates;
    /// Strongest ties by owner.
    latest_relationship_overlay: BTreeMap<String, Vec<OverlayEntry>> = |s| &s.relationship_overlay;
    /// Chats and avoidances of the newest tick.
    latest_social_events: [SocialEvent] = |s| &s.social_events;
    /// Narrations of the newest tick.
    latest_narrations: [Narration] = |s| &s.narrations;
    /// Decisions by agent.
    latest_policy_snapshot: BTreeMap<String, PolicyDecision> = |s| &s.policy_snapshot;
    /// Which policy acts. Inside the process only: on the wire it is redacted.
    latest_policy_identity: Option<PolicyIdentity> = |s| &s.policy_identity;
    /// Blending of scripted and learned behaviour.
    latest_anneal_status: Option<AnnealStatus> = |s| &s.anneal_status;
    /// Recent values of the key indicators.
    kpi_history: KpiHistory = |s| &s.kpi_history;
    /// Where the affordances were loaded from.
    latest_affordance_manifest: AffordanceManifest = |s| &s.affordance_manifest;
    /// Affordances under way.
    latest_affordance_runtime: AffordanceRuntime = |s| &s.affordance_runtime;
    /// Rewards by agent.
    latest_reward_breakdown: BTreeMap<String, RewardBreakdown> = |s| &s.reward_breakdown;
    /// Personalities by agent.
    latest_personality_snapshot: BTreeMap<String, Personality> = |s| &s.personalities;
    /// Stability as a whole.
    latest_stability: Stability = |s| &s.stability;
    /// What stability was computed from.
    latest_stability_inputs: StabilityInputs = |s| &s.stability.inputs;
    /// Stability metrics.
    latest_stability_metrics: StabilityMetrics = |s| &s.stability.metrics;
    /// Alerts in force.
    latest_stability_alerts: [Name] = |s| &s.stability.alerts;
    /// Where the policy's promotion stands.
    latest_promotion_state: Option<Promotion> = |s| &s.promotion;
    /// Scheduled disturbances.
    latest_perturbations: Perturbations = |s| &s.perturbations;
}

impl Telemetry {
    /// The newest tick that anything was emitted for through the typed methods.
    pub fn current_tick(&self) -> Option<u64> {
        self.inner().latest.lock().tick
    }

    /// The newest snapshot, as it was emitted.
    pub fn latest_snapshot(&self) -> Option<Arc<Snapshot>> {
        self.inner().latest.lock().snapshot.clone()
    }

    /// The newest health report.
    pub fn latest_health_status(&self) -> Option<Arc<Health>> {
        self.inner().latest.lock().health.clone()
    }

    /// Console results of the newest tick that had any, oldest first.
    pub fn latest_console_results(&self) -> Vec<Arc<ConsoleResult>> {
        let state = self.inner().latest.lock();
        let newest = state.console.back().map(|(tick, _)| *tick);
        state.console.iter().filter(|(tick, _)| Some(*tick) == newest).map(|(_, r)| Arc::clone(r)).collect()
    }

    /// The last 200 console results, oldest first.
    pub fn console_history(&self) -> Vec<Arc<ConsoleResult>> {
        self.inner().latest.lock().console.iter().map(|(_, r)| Arc::clone(r)).collect()
    }
}
