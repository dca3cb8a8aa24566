//! Stability: rolling metrics of the town and the alerts that they raise, for the tick that has just run.

use std::collections::VecDeque;

use crate::conflict::RIVALRY_WINDOW_TICKS;
use crate::events::{RemovalReason, named};
use crate::relationships::AVOID_RIVALRY;
use crate::world::World;

/// Hunger at or below this, for [`STARVATION_TICKS`], is a starvation incident; a faint is one too, because it ends
/// the count before it is full.
pub(crate) const STARVATION_HUNGER: f64 = 0.05;
/// How long, in ticks.
pub(crate) const STARVATION_TICKS: u32 = 30;
/// Window of the starvation incidents and of the rewards.
pub(crate) const LONG_WINDOW_TICKS: u64 = 1000;
/// Window of the changes of mind.
pub(crate) const OPTION_WINDOW_TICKS: u64 = 600;
/// Mean changes of mind per agent and tick from which the town thrashes.
pub(crate) const MAX_SWITCH_RATE: f64 = 0.25;
/// Samples that the rate needs.
pub(crate) const MIN_OPTION_SAMPLES: u64 = 10;
/// Variance of the rewards from which it is an alert.
pub(crate) const MAX_REWARD_VARIANCE: f64 = 0.25;
/// Samples that the variance needs.
pub(crate) const MIN_REWARD_SAMPLES: u64 = 20;
/// Failed affordances in one tick from which, exclusive, it is an alert.
pub(crate) const MAX_FAILURES: u32 = 5;
/// Late agents in one tick from which, exclusive, it is an alert.
pub(crate) const MAX_LATE: u32 = 3;

/// Ghost steps or rotations in one tick from which it is an alert.
const QUEUE_PRESSURE: u64 = 5;
/// Strong clashes within the window from which it is an alert.
const RIVALRY_SPIKE: u64 = 5;
/// Rewards are added up in millionths, so that the window's sums are exact however often they are updated.
const REWARD_UNIT: f64 = 1e6;

named! {
    /// An alert.
    pub(crate) Alert {
        /// Five ghost steps or rotations in one tick.
        QueueFairnessPressure = "queue_fairness_pressure",
        /// Five strong clashes within [`RIVALRY_WINDOW_TICKS`](crate::RIVALRY_WINDOW_TICKS).
        RivalrySpike = "rivalry_spike",
        /// An agent starved within the last 1000 ticks.
        StarvationSpike = "starvation_spike",
        /// Agents change their minds too often.
        OptionThrashing = "option_thrashing",
        /// Rewards scatter too much.
        RewardVarianceSpike = "reward_variance_spike",
        /// Embedding slots are handed out again too soon.
        EmbeddingReuseWarning = "embedding_reuse_warning",
        /// More than five affordances failed in one tick.
        AffordanceFailuresExceeded = "affordance_failures_exceeded",
        /// More than three agents are late.
        LatenessSpike = "lateness_spike",
        /// The exit queue refused somebody.
        EmploymentExitQueueOverflow = "employment_exit_queue_overflow",
        /// Exits wait, and nothing else is wrong.
        EmploymentExitBacklog = "employment_exit_backlog",
    }
}

/// Sums over the last ticks of a window; adding a tick drops the oldest one.
#[derive(Debug, Clone, Default)]
struct Rolling {
    ticks: VecDeque<Sums>,
    total: Sums,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    count: u64,
    sum: i64,
    squares: i128,
}

impl Rolling {
    fn push(&mut self, tick: Sums, window: u64) {
        self.total.count += tick.count;
        self.total.sum += tick.sum;
        self.total.squares += tick.squares;
        self.ticks.push_back(tick);
        if self.ticks.len() as u64 > window
            && let Some(old) = self.ticks.pop_front()
        {
            self.total.count -= old.count;
            self.total.sum -= old.sum;
            self.total.squares -= old.squares;
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.total.count > 0).then(|| self.total.sum as f64 / self.total.count as f64)
    }

    fn variance(&self) -> Option<f64> {
        let n = i128::from(self.total.count);
        let sum = i128::from(self.total.sum);
        (n > 0).then(|| (n * self.total.squares - sum * sum) as f64 / (n * n) as f64)
    }
}

/// Rolling metrics and the alerts of the present tick.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stability {
    incidents: VecDeque<u64>,
    strong_clashes: VecDeque<(u64, u64)>,
    options: Rolling,
    rewards: Rolling,
    pub(crate) alerts: Vec<Alert>,
}

impl Stability {
    pub(crate) fn starvation_incidents(&self) -> u64 {
        self.incidents.len() as u64
    }

    pub(crate) fn option_switch_rate(&self) -> Option<f64> {
        self.options.mean()
    }

    pub(crate) fn option_samples(&self) -> u64 {
        self.options.total.count
    }

    pub(crate) fn reward_mean(&self) -> Option<f64> {
        self.rewards.mean().map(|mean| mean / REWARD_UNIT)
    }

    pub(crate) fn reward_variance(&self) -> Option<f64> {
        self.rewards.variance().map(|variance| variance / (REWARD_UNIT * REWARD_UNIT))
    }

    pub(crate) fn reward_samples(&self) -> u64 {
        self.rewards.total.count
    }
}

impl World {
    /// Takes this tick's samples and raises its alerts.
    pub(crate) fn step_stability(&mut self) {
        let tick = self.tick;
        let (mut options, mut rewards) = (Sums::default(), Sums::default());
        let stability = &mut self.stability;
        for agent in self.agents.iter_mut().filter(|agent| agent.alive) {
            let hungry = agent.needs.hunger <= STARVATION_HUNGER;
            agent.starving_ticks = if hungry { agent.starving_ticks + 1 } else { 0 };
            if agent.starving_ticks == STARVATION_TICKS || agent.ended == Some(RemovalReason::Faint) {
                stability.incidents.push_back(tick);
            }
            options.count += 1;
            options.sum += i64::from(agent.mind.switched);
            let reward = (agent.reward.total * REWARD_UNIT).round() as i64;
            rewards.count += 1;
            rewards.sum += reward;
            rewards.squares += i128::from(reward) * i128::from(reward);
        }
        stability.options.push(options, OPTION_WINDOW_TICKS);
        stability.rewards.push(rewards, LONG_WINDOW_TICKS);
        while stability.incidents.front().is_some_and(|at| at + LONG_WINDOW_TICKS <= tick) {
            stability.incidents.pop_front();
        }
        let strong = self.conflict.fresh.iter().filter(|event| event.intensity >= AVOID_RIVALRY).count() as u64;
        if strong > 0 {
            stability.strong_clashes.push_back((tick, strong));
        }
        while stability.strong_clashes.front().is_some_and(|(at, _)| at + RIVALRY_WINDOW_TICKS <= tick) {
            stability.strong_clashes.pop_front();
        }
        self.stability.alerts = self.alerts();
    }

    fn alerts(&self) -> Vec<Alert> {
        let (stability, exits) = (&self.stability, &self.employment.exits);
        let delta = &self.conflict.delta;
        let rate = stability.option_switch_rate().unwrap_or(0.0);
        let variance = stability.reward_variance().unwrap_or(0.0);
        let strong: u64 = stability.strong_clashes.iter().map(|(_, count)| count).sum();
        let rules = [
            (Alert::QueueFairnessPressure, delta.ghost_step_events.max(delta.rotation_events) >= QUEUE_PRESSURE),
            (Alert::RivalrySpike, strong >= RIVALRY_SPIKE),
            (Alert::StarvationSpike, !stability.incidents.is_empty()),
            (Alert::OptionThrashing, stability.option_samples() >= MIN_OPTION_SAMPLES && rate > MAX_SWITCH_RATE),
            (
                Alert::RewardVarianceSpike,
                stability.reward_samples() >= MIN_REWARD_SAMPLES && variance > MAX_REWARD_VARIANCE,
            ),
            (Alert::EmbeddingReuseWarning, self.embeddings.warns()),
            (Alert::AffordanceFailuresExceeded, self.failures > MAX_FAILURES),
            (Alert::LatenessSpike, self.employment.late_now > MAX_LATE),
            (Alert::EmploymentExitQueueOverflow, exits.overflowed),
        ];
        let mut alerts: Vec<Alert> = rules.into_iter().filter(|(_, raised)| *raised).map(|(alert, _)| alert).collect();
        if alerts.is_empty() && exits.count() > 0 {
            alerts.push(Alert::EmploymentExitBacklog);
        }
        alerts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolling_sums_forget_exactly() {
        let mut rolling = Rolling::default();
        let one = |value: i64| Sums { count: 1, sum: value, squares: i128::from(value) * i128::from(value) };
        for value in 0..1000 {
            rolling.push(one(value * 977 % 200_003 - 100_000), 10);
        }
        for _ in 0..10 {
            rolling.push(one(5), 10);
        }
        assert_eq!((rolling.mean(), rolling.variance()), (Some(5.0), Some(0.0)));
    }
}
