//! The promotion window: a candidate policy is ready after two windows of a thousand ticks without a disallowed alert.

use std::collections::VecDeque;

use crate::conflict::push_bounded;
use crate::events::named;
use crate::world::World;

/// Length of one window in ticks.
pub(crate) const PROMOTION_WINDOW_TICKS: u64 = 1000;
/// Windows that have to pass in a row.
pub(crate) const REQUIRED_PASSES: u32 = 2;
/// Entries of the history.
const HISTORY: usize = 50;

named! {
    /// Where the candidate stands.
    pub(crate) PromotionState {
        /// Not enough windows have passed.
        Monitoring = "monitoring",
        /// It may be promoted.
        Ready = "ready",
        /// It was.
        Promoted = "promoted",
    }
}

named! {
    /// How a window ended.
    pub(crate) WindowResult {
        /// No disallowed alert.
        Pass = "pass",
        /// At least one.
        Fail = "fail",
    }
}

named! {
    /// What an operator did about a release.
    pub(crate) ReleaseChange {
        /// The candidate became the release.
        Promoted = "promoted",
        /// The initial release came back.
        Rollback = "rollback",
    }
}

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReleaseRecord {
    pub(crate) tick: u64,
    pub(crate) change: ReleaseChange,
    pub(crate) config_id: String,
}

/// The present window and what came of the earlier ones.
#[derive(Debug, Clone)]
pub(crate) struct Promotion {
    pub(crate) state: PromotionState,
    pub(crate) window_start: u64,
    pub(crate) pass_streak: u32,
    pub(crate) ready_tick: Option<u64>,
    pub(crate) last_result: Option<WindowResult>,
    pub(crate) last_evaluated: Option<u64>,
    pub(crate) current: String,
    pub(crate) initial: String,
    pub(crate) history: VecDeque<ReleaseRecord>,
    failing: bool,
}

impl Promotion {
    pub(crate) fn new(config_id: &str) -> Self {
        Self {
            state: PromotionState::Monitoring,
            window_start: 0,
            pass_streak: 0,
            ready_tick: None,
            last_result: None,
            last_evaluated: None,
            current: config_id.to_owned(),
            initial: config_id.to_owned(),
            history: VecDeque::new(),
            failing: false,
        }
    }

    pub(crate) fn candidate_ready(&self) -> bool {
        self.pass_streak >= REQUIRED_PASSES
    }

    /// Makes `config_id` the release; false when the candidate is not ready.
    pub(crate) fn promote(&mut self, tick: u64, config_id: &str) -> bool {
        if !self.candidate_ready() {
            return false;
        }
        self.current = config_id.to_owned();
        self.start_over(tick, PromotionState::Promoted, ReleaseChange::Promoted);
        true
    }

    /// Brings the initial release back.
    pub(crate) fn roll_back(&mut self, tick: u64) {
        self.current.clone_from(&self.initial);
        self.start_over(tick, PromotionState::Monitoring, ReleaseChange::Rollback);
    }

    fn start_over(&mut self, tick: u64, state: PromotionState, change: ReleaseChange) {
        (self.state, self.pass_streak, self.ready_tick) = (state, 0, None);
        let record = ReleaseRecord { tick, change, config_id: self.current.clone() };
        push_bounded(&mut self.history, record, HISTORY);
    }

    fn watch(&mut self, tick: u64, alarmed: bool) {
        self.failing |= alarmed;
        if tick < self.window_start + PROMOTION_WINDOW_TICKS {
            return;
        }
        let passed = !std::mem::take(&mut self.failing);
        self.pass_streak = if passed { self.pass_streak + 1 } else { 0 };
        self.last_result = Some(if passed { WindowResult::Pass } else { WindowResult::Fail });
        self.last_evaluated = Some(tick);
        self.window_start += PROMOTION_WINDOW_TICKS;
        if self.candidate_ready() && self.ready_tick.is_none() {
            (self.state, self.ready_tick) = (PromotionState::Ready, Some(tick));
        } else if !passed && self.state == PromotionState::Ready {
            (self.state, self.ready_tick) = (PromotionState::Monitoring, None);
        }
    }
}

impl World {
    pub(crate) fn step_promotion(&mut self) {
        let allowed = &self.options.allowed_alerts;
        let alarmed = self.stability.alerts.iter().any(|alert| !allowed.iter().any(|name| name == alert.name()));
        self.promotion.watch(self.tick, alarmed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(promotion: &mut Promotion, windows: &[bool]) {
        let start = promotion.window_start;
        for tick in start + 1..=start + windows.len() as u64 * PROMOTION_WINDOW_TICKS {
            let window = (tick - start - 1) / PROMOTION_WINDOW_TICKS;
            // One bad tick in the middle is enough.
            promotion.watch(tick, !windows[window as usize] && tick % 500 == 0);
        }
    }

    #[test]
    fn two_clean_windows_in_a_row_make_a_candidate_ready() {
        let mut promotion = Promotion::new("v1");
        run(&mut promotion, &[true, false, true]);
        assert!(!promotion.candidate_ready());
        assert!(!promotion.promote(3001, "v2"));
        run(&mut promotion, &[true]);
        assert_eq!((promotion.state, promotion.ready_tick), (PromotionState::Ready, Some(4000)));
        assert!(promotion.promote(4001, "v2"));
        assert_eq!((promotion.current.as_str(), promotion.state), ("v2", PromotionState::Promoted));
        promotion.roll_back(4002);
        assert_eq!((promotion.current.as_str(), promotion.history.len()), ("v1", 2));
    }

    #[test]
    fn a_failed_window_takes_readiness_back() {
        let mut promotion = Promotion::new("v1");
        run(&mut promotion, &[true, true, false]);
        assert_eq!((promotion.state, promotion.pass_streak), (PromotionState::Monitoring, 0));
    }
}
