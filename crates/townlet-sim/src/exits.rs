//! Employment exits: a short queue, reviewed by an operator or after a day, at most two carried out per day.

use std::collections::VecDeque;

use crate::events::{ExitReason, TownEvent};
use crate::town::AgentRef;
use crate::world::World;

/// Agents that can wait for their exit at once.
pub const EXIT_QUEUE_LIMIT: usize = 8;
/// Exits carried out per day at most.
pub const DAILY_EXIT_CAP: u32 = 2;
/// Ticks after which an exit is carried out without an operator.
pub const REVIEW_WINDOW_TICKS: u64 = 1440;

/// An agent that waits for its exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    agent: AgentRef,
    since: u64,
    approved: bool,
}

/// The exit queue and today's exits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exits {
    pending: VecDeque<Pending>,
    pub(crate) today: u32,
    /// Whose exit was carried out this tick; they leave in the lifecycle.
    pub(crate) leaving: Vec<AgentRef>,
    /// Whether the queue refused somebody this tick.
    pub(crate) overflowed: bool,
    /// Today the cap has already been reported as the reason of a delay.
    cap_reported: bool,
}

/// What the town keeps about employment as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Employment {
    pub(crate) exits: Exits,
    /// Agents that are late at this tick.
    pub(crate) late_now: u32,
    /// Late agents that were helped this tick.
    pub(crate) late_helps: u32,
}

impl Exits {
    /// Who waits, oldest first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = AgentRef> {
        self.pending.iter().map(|entry| entry.agent)
    }

    pub(crate) fn count(&self) -> u32 {
        self.pending.len() as u32
    }

    pub(crate) fn new_day(&mut self) {
        self.today = 0;
        self.cap_reported = false;
    }

    pub(crate) fn forget(&mut self, agent: AgentRef) {
        self.pending.retain(|entry| entry.agent != agent);
    }
}

impl World {
    /// Puts an agent into the exit queue, unless it is there or the queue is full.
    pub(crate) fn request_exit(&mut self, agent: AgentRef, reason: ExitReason) {
        let exits = &mut self.employment.exits;
        if exits.waiting().any(|waiting| waiting == agent) {
            return;
        }
        if exits.pending.len() >= EXIT_QUEUE_LIMIT {
            exits.overflowed = true;
            let (pending_count, limit) = (exits.count(), EXIT_QUEUE_LIMIT as u32);
            self.log.push(TownEvent::ExitQueueOverflow { agent, pending_count, limit });
            return;
        }
        exits.pending.push_back(Pending { agent, since: self.tick, approved: false });
        let pending_count = exits.count();
        self.agents[agent.index()].work.exit_pending = true;
        self.log.push(TownEvent::ExitPending { agent, pending_count, reason });
    }

    /// An operator approves an exit; an agent that does not wait joins the queue first. The exit is carried out in
    /// this tick if the day's cap allows it.
    pub(crate) fn approve_exit(&mut self, agent: AgentRef) {
        if !self.employment.exits.waiting().any(|waiting| waiting == agent) {
            let pending_count = self.employment.exits.count();
            self.log.push(TownEvent::ExitManualRequest { agent, pending_count });
            self.request_exit(agent, ExitReason::ManualRequest);
        }
        if let Some(entry) = self.employment.exits.pending.iter_mut().find(|entry| entry.agent == agent) {
            entry.approved = true;
        }
    }

    /// Takes an agent out of the exit queue; false when it does not wait.
    pub(crate) fn defer_exit(&mut self, agent: AgentRef) -> bool {
        let exits = &mut self.employment.exits;
        let before = exits.pending.len();
        exits.forget(agent);
        if exits.pending.len() == before {
            return false;
        }
        let pending_count = exits.count();
        self.agents[agent.index()].work.exit_pending = false;
        self.log.push(TownEvent::ExitDeferred { agent, pending_count, reason: ExitReason::ManualDefer });
        true
    }

    /// Carries out approved exits, then those that waited for the whole review window, up to the daily cap.
    pub(crate) fn step_exits(&mut self) {
        let tick = self.tick;
        loop {
            let exits = &mut self.employment.exits;
            let due = |entry: &Pending| entry.approved || entry.since + REVIEW_WINDOW_TICKS <= tick;
            let Some(position) = exits.pending.iter().position(due) else { return };
            let Pending { agent, approved, .. } = exits.pending[position];
            if exits.today >= DAILY_EXIT_CAP {
                if !std::mem::replace(&mut exits.cap_reported, true) {
                    let pending_count = exits.count();
                    self.log.push(TownEvent::ExitDeferred { agent, pending_count, reason: ExitReason::DailyCap });
                }
                return;
            }
            exits.pending.remove(position);
            exits.today += 1;
            exits.leaving.push(agent);
            let pending_count = exits.count();
            let reason = if approved { ExitReason::ManualApprove } else { ExitReason::AutoReview };
            self.agents[agent.index()].work.exit_pending = false;
            self.log.push(TownEvent::ExitProcessed { agent, pending_count, reason });
        }
    }
}
