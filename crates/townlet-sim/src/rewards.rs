//! Rewards: fourteen components per agent and tick, clipped per tick and per life.

use crate::agents::Agent;
use crate::world::World;

/// A tick's reward lies within plus and minus this.
pub const TICK_CLIP: f64 = 0.2;
/// The rewards of one life add up to at most plus and minus this.
pub(crate) const EPISODE_CLIP: f64 = 50.0;

const SURVIVAL: f64 = 0.002;
const TERMINAL_PENALTY: f64 = -1.0;
/// Weights of unmet hunger, hygiene and energy, squared.
const NEED_WEIGHTS: [f64; 3] = [0.05, 0.02, 0.03];

/// One agent's reward of one tick, by component.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct RewardBreakdown {
    pub(crate) total: f64,
    pub(crate) homeostasis: f64,
    pub(crate) shaping: f64,
    pub(crate) work: f64,
    pub(crate) social: f64,
    pub(crate) survival: f64,
    pub(crate) needs_penalty: f64,
    pub(crate) wage: f64,
    pub(crate) punctuality: f64,
    pub(crate) social_bonus: f64,
    pub(crate) social_penalty: f64,
    pub(crate) social_avoidance: f64,
    pub(crate) terminal_penalty: f64,
    pub(crate) clip_adjustment: f64,
}

impl RewardBreakdown {
    fn of(agent: &Agent) -> Self {
        let (needs, signals) = (&agent.needs, &agent.signals);
        let lacks = [1.0 - needs.hunger, 1.0 - needs.hygiene, 1.0 - needs.energy];
        let needs_penalty = -lacks.iter().zip(NEED_WEIGHTS).map(|(lack, weight)| weight * lack * lack).sum::<f64>();
        let survival = if agent.ended.is_none() { SURVIVAL } else { 0.0 };
        let terminal_penalty = if agent.ended.is_some() { TERMINAL_PENALTY } else { 0.0 };
        let homeostasis = survival + needs_penalty;
        let work = signals.wage + signals.punctuality;
        let social = signals.social_bonus - signals.social_penalty + signals.social_avoidance;
        let raw = homeostasis + signals.shaping + work + social + terminal_penalty;
        let clipped = raw.clamp(-TICK_CLIP, TICK_CLIP);
        let total = (agent.episode_reward + clipped).clamp(-EPISODE_CLIP, EPISODE_CLIP) - agent.episode_reward;
        Self {
            total,
            homeostasis,
            shaping: signals.shaping,
            work,
            social,
            survival,
            needs_penalty,
            wage: signals.wage,
            punctuality: signals.punctuality,
            social_bonus: signals.social_bonus,
            social_penalty: 0.0 - signals.social_penalty,
            social_avoidance: signals.social_avoidance,
            terminal_penalty,
            clip_adjustment: total - raw,
        }
    }
}

impl World {
    /// Turns this tick's signals into rewards, for those whose life ended in it too.
    pub(crate) fn step_rewards(&mut self) {
        for agent in self.agents.iter_mut().filter(|agent| agent.alive) {
            agent.reward = RewardBreakdown::of(agent);
            agent.episode_reward += agent.reward.total;
            agent.signals = Default::default();
        }
    }
}
