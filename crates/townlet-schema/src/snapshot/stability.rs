//! Stability, promotion and key indicators.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Name, QueueMetrics, RivalryEvent};
use crate::Object;
use crate::heap::{heap_of, no_heap};

/// Limits on hunger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StarvationThreshold {
    /// Ticks looked back.
    pub window_ticks: u64,
    /// Incidents allowed.
    pub max_incidents: u64,
    /// An agent at or below starves.
    pub hunger_threshold: f64,
    /// For so many ticks.
    pub min_duration_ticks: u64,
}

/// Limits on the spread of rewards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RewardVarianceThreshold {
    /// Ticks looked back.
    pub window_ticks: u64,
    /// Variance allowed.
    pub max_variance: f64,
    /// Samples needed to judge.
    pub min_samples: u64,
}

/// Limits on changes of mind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OptionThrashThreshold {
    /// Ticks looked back.
    pub window_ticks: u64,
    /// Switches a tick and agent allowed.
    pub max_switch_rate: f64,
    /// Samples needed to judge.
    pub min_samples: u64,
}

/// When an alert is raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Thresholds {
    /// Failed affordances a tick.
    pub affordance_fail_threshold: u64,
    /// Late agents a tick.
    pub lateness_threshold: u64,
    /// Hunger.
    pub starvation: StarvationThreshold,
    /// Rewards.
    pub reward_variance: RewardVarianceThreshold,
    /// Changes of mind.
    pub option_thrash: OptionThrashThreshold,
}

/// The evaluation window of a promotion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PromotionWindow {
    /// First tick.
    pub window_start: u64,
    /// Tick after the last.
    pub window_end: u64,
    /// Length in ticks.
    pub window_ticks: u64,
    /// Windows passed in a row.
    pub pass_streak: u64,
    /// Windows needed.
    pub required_passes: u64,
    /// True once enough passed.
    pub candidate_ready: bool,
    /// `pass` or `fail`.
    pub last_result: Option<Name>,
    /// When the last window was judged.
    pub last_evaluated_tick: Option<u64>,
}

/// Section `promotion`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Promotion {
    /// `monitoring`, `ready` or `promoted`.
    pub state: Name,
    /// Windows passed in a row.
    pub pass_streak: u64,
    /// Windows needed.
    pub required_passes: u64,
    /// True once enough passed.
    pub candidate_ready: bool,
    /// When that was.
    pub candidate_ready_tick: Option<u64>,
    /// `pass` or `fail`.
    pub last_result: Option<Name>,
    /// When the last window was judged.
    pub last_evaluated_tick: Option<u64>,
    /// What acts now.
    pub current_release: Object,
    /// What acted first.
    pub initial_release: Object,
    /// What may act next.
    pub candidate: Option<Object>,
    /// At most the last 50 promotions, rollbacks and swaps.
    pub history: Vec<Object>,
}

/// What the stability monitor found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StabilityMetrics {
    /// Agents that starved within the window.
    pub starvation_incidents: u64,
    /// The window, in ticks.
    pub starvation_window_ticks: u64,
    /// Changes of mind a tick and agent.
    pub option_switch_rate: Option<f64>,
    /// Samples of it.
    pub option_samples: u64,
    /// Variance of the rewards within the window.
    pub reward_variance: Option<f64>,
    /// Their mean.
    pub reward_mean: Option<f64>,
    /// Their number.
    pub reward_samples: u64,
    /// Queue counters since the start.
    pub queue_totals: QueueMetrics,
    /// Queue counters of this tick.
    pub queue_deltas: QueueMetrics,
    /// Clashes of this tick.
    pub rivalry_events: Vec<RivalryEvent>,
    /// Alerts raised.
    pub alerts: Vec<Name>,
    /// When alerts are raised.
    pub thresholds: Thresholds,
    /// The evaluation window.
    pub promotion: PromotionWindow,
    /// As section `promotion`.
    pub promotion_state: Option<Promotion>,
}

/// What the stability monitor was given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StabilityInputs {
    /// By agent, 0 to 1.
    pub hunger_levels: BTreeMap<String, f64>,
    /// By agent, of this tick.
    pub option_switch_counts: BTreeMap<String, u64>,
    /// By agent, of this tick.
    pub reward_samples: BTreeMap<String, f64>,
}

/// Section `stability`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stability {
    /// What was found.
    pub metrics: StabilityMetrics,
    /// Alerts raised.
    pub alerts: Vec<Name>,
    /// What it was found in.
    pub inputs: StabilityInputs,
}

/// Section `kpi_history`: at most the last 50 ticks of each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KpiHistory {
    /// Sum of conflict intensities.
    pub queue_conflict_intensity: Vec<f64>,
    /// Late agents.
    pub employment_lateness: Vec<f64>,
    /// Helped late-comers.
    pub late_help_events: Vec<f64>,
    /// Rotations.
    pub queue_rotation_events: Vec<u64>,
    /// Ghost steps.
    pub queue_ghost_step_events: Vec<u64>,
}

no_heap!(StarvationThreshold, RewardVarianceThreshold, OptionThrashThreshold, Thresholds);
heap_of!(
    PromotionWindow { last_result }
    Promotion { state, last_result, current_release, initial_release, candidate, history }
    StabilityMetrics { rivalry_events, alerts, promotion, promotion_state }
    StabilityInputs { hunger_levels, option_switch_counts, reward_samples }
    Stability { metrics, alerts, inputs }
    KpiHistory {
        queue_conflict_intensity, employment_lateness, late_help_events, queue_rotation_events,
        queue_ghost_step_events,
    }
);
