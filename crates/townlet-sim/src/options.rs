//! What a caller chooses about a world.

use std::collections::BTreeMap;

/// How to build a [`World`](crate::World).
#[derive(Debug, Clone, PartialEq)]
pub struct WorldOptions {
    /// Decides every random number. Same seed and same options, same bytes.
    pub seed: u64,
    /// Households, and so agents, from 0 up.
    pub agents: u32,
    /// `runtime_variant` of every snapshot.
    pub runtime_variant: String,
    /// `config_id` of the policy identity and of the promotion's release.
    pub config_id: String,
    /// Ticks between the end of a life and the household's next one; at least 1.
    pub respawn_delay_ticks: u64,
    /// Whether the scripted operator issues commands (drills, exit reviews, stories). Without it price spikes and
    /// outages come by chance only, about once a day.
    pub operator: bool,
    /// Alerts that do not fail a promotion window.
    pub allowed_alerts: Vec<String>,
    /// Limits on narrations.
    pub narration: NarrationOptions,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            agents: 6,
            runtime_variant: "facade".to_owned(),
            config_id: "v1.3.0".to_owned(),
            respawn_delay_ticks: 12,
            operator: true,
            allowed_alerts: Vec::new(),
            narration: NarrationOptions::default(),
        }
    }
}

/// The keys `telemetry.narration.*`, `telemetry.relationship_narration.*` and `telemetry.personality_narration.*`,
/// with the predecessor's defaults. Bounds are checked where the configuration is read; the town accepts any value.
#[derive(Debug, Clone, PartialEq)]
pub struct NarrationOptions {
    /// Ticks between two narrations without priority.
    pub global_cooldown_ticks: u64,
    /// Ticks between two narrations of one category; a category that is not listed uses the global cooldown.
    pub category_cooldown_ticks: BTreeMap<String, u64>,
    /// Ticks for which the same dedupe key is refused.
    pub dedupe_window_ticks: u64,
    /// Length of the rolling window in ticks.
    pub global_window_ticks: u64,
    /// Narrations per window, those with priority included.
    pub global_window_limit: usize,
    /// Categories whose narrations always have priority. (The predecessor stored this and never read it.)
    pub priority_categories: Vec<String>,
    /// Trust from which a tie is told as a friendship.
    pub friendship_trust_threshold: f64,
    /// Rise of trust in one tick that is told whatever the trust is.
    pub friendship_delta_threshold: f64,
    /// Trust from which that narration has priority.
    pub friendship_priority_threshold: f64,
    /// Rivalry from which a rivalry is told.
    pub rivalry_avoid_threshold: f64,
    /// Rivalry from which that narration has priority.
    pub rivalry_escalation_threshold: f64,
    /// Whether personalities are told at all.
    pub personality_enabled: bool,
    /// Extroversion from which a chat is told as a trait.
    pub chat_extroversion_threshold: f64,
    /// Extroversion from which that narration has priority.
    pub chat_priority_threshold: f64,
    /// Quality that such a chat needs.
    pub chat_quality_threshold: f64,
    /// Conflict tolerance (a multiplier on rivalry, 1 is normal) up to which an avoidance is told as a trait.
    pub conflict_tolerance_threshold: f64,
}

impl Default for NarrationOptions {
    fn default() -> Self {
        Self {
            global_cooldown_ticks: 30,
            category_cooldown_ticks: BTreeMap::new(),
            dedupe_window_ticks: 20,
            global_window_ticks: 600,
            global_window_limit: 10,
            priority_categories: Vec::new(),
            friendship_trust_threshold: 0.6,
            friendship_delta_threshold: 0.25,
            friendship_priority_threshold: 0.85,
            rivalry_avoid_threshold: 0.7,
            rivalry_escalation_threshold: 0.9,
            personality_enabled: true,
            chat_extroversion_threshold: 0.5,
            chat_priority_threshold: 0.75,
            chat_quality_threshold: 0.3,
            conflict_tolerance_threshold: 0.95,
        }
    }
}
