//! Windows: in their order, each as of its own time, and none in silence.

use crate::event::Tick;
use crate::moment::{Moment, ms};
use crate::note::Note;
use crate::phase::{Cause, HoldReason, PauseReason, Phase};
use crate::state::Seen;
use crate::verdict::Verdict;
use townlet_policy::Action;

use super::Turn;

impl Turn<'_> {
    pub(super) fn tick(&mut self, tick: &Tick) {
        let Some(expected) = self.state.next_due else {
            // Before the start nobody waits for windows.
            return;
        };
        let every = ms(self.plan.every).max(1);
        let offset = tick.due.as_ms().wrapping_sub(expected.as_ms());
        if tick.due < expected || tick.due > self.state.now || !offset.is_multiple_of(every) {
            return self.note(Note::TickStale { due_ms: tick.due });
        }
        let missed = offset / every;
        if missed > 0 {
            self.miss(expected, tick.due, missed);
        }
        let late = self.state.now.since(tick.due);
        if late > self.plan.grace {
            self.note(Note::TickLate { due_ms: tick.due, late_ms: ms(late) });
        }
        if tick.lossy {
            self.note(Note::TickLossy { due_ms: tick.due });
        }
        self.window(tick.due, Some(tick));
        // Data again, and nothing in doubt: the engine believes its eyes.
        if self.state.pause.is_some() && !tick.lossy && !self.in_doubt() {
            self.state.pause = None;
            self.remark_phase();
        }
    }

    /// Windows that never came: unknown, each at its own time.
    fn miss(&mut self, first: Moment, until: Moment, count: u64) {
        let last = until.before(self.plan.every);
        self.note(Note::TicksMissed { first_ms: first, last_ms: last, count });
        let mut due = first;
        // After a day of silence every rule has forgotten what it knew, and the limits have passed.
        for _ in 0..count.min(1_440) {
            self.window(due, None);
            due = due + self.plan.every;
        }
    }

    fn in_doubt(&self) -> bool {
        self.state.open.values().any(|open| open.looks > 0)
    }

    fn window(&mut self, due: Moment, tick: Option<&Tick>) {
        self.state.next_due = Some(due + self.plan.every);
        self.state.overdue_noted = false;
        let values: Vec<Option<f64>> =
            (0..self.plan.signals.len()).map(|signal| tick.and_then(|tick| tick.value(signal))).collect();
        for (seen, value) in self.state.last_seen.iter_mut().zip(&values) {
            if value.is_some() {
                *seen = Some(due);
            }
        }
        let expected = self.state.baselines.expected(due, tick);
        if let Phase::RollingBack { .. } = self.state.phase {
            return self.recovery(due, tick, &values, &expected);
        }
        if !self.state.phase.is_live() {
            return;
        }
        self.judge(due, tick, &expected);
        self.remember(Seen { due, values, expected });
        self.act();
    }

    /// Keeps what a snapshot sums up.
    fn remember(&mut self, seen: Seen) {
        let start = seen.due.before(self.plan.observation);
        while self.state.recent.front().is_some_and(|old| old.due <= start) {
            self.state.recent.pop_front();
        }
        self.state.recent.push_back(seen);
    }

    fn judge(&mut self, due: Moment, tick: Option<&Tick>, expected: &[Option<f64>]) {
        let before = std::mem::take(&mut self.state.verdicts);
        let now = self.state.judge.window(self.plan, due, tick, expected);
        self.state.judged = Some(due);
        for (index, rule) in self.plan.rules.iter().enumerate() {
            let from = before.get(index).copied().unwrap_or(Verdict::Unknown);
            let to = now.get(index).copied().unwrap_or(Verdict::Unknown);
            if from != to {
                let why = self.state.judge.why(self.plan, index);
                let warns = to == Verdict::Firing && rule.action == Some(Action::Warn) && !rule.dry_run;
                let text = warns.then(|| format!("{}: rule `{}` fires: {why}", self.state.rollout, rule.name));
                self.note(Note::Rule { rule: rule.name.clone(), from, to, due_ms: due, why, dry_run: rule.dry_run });
                if let Some(text) = text {
                    self.notify(text);
                }
            }
        }
        self.state.verdicts = now;
    }

    /// What firing rules do, whatever the phase: the worst first.
    fn act(&mut self) {
        let firing = |action: Action| {
            let rules = self.plan.rules.iter().zip(&self.state.verdicts);
            rules
                .filter(move |(rule, verdict)| {
                    rule.action == Some(action) && **verdict == Verdict::Firing && !rule.dry_run
                })
                .map(|(rule, _)| rule.name.clone())
                .next()
        };
        if let Some(rule) = firing(Action::Rollback) {
            self.roll_back(Cause::Rule { rule });
        } else if firing(Action::Hold).is_some() {
            self.hold(HoldReason::Rule);
        } else {
            self.end_hold();
        }
    }

    /// A window that is not here is remarked once; without any for long, the engine pauses.
    pub(super) fn overdue(&mut self) {
        let Some(due) = self.state.next_due else { return };
        let late = self.state.now.since(due);
        if late > self.plan.grace.max(self.plan.every) && !self.state.overdue_noted {
            self.state.overdue_noted = true;
            self.note(Note::TickOverdue { due_ms: due });
        }
        if late > self.plan.limits.source_lost && self.state.phase.is_live() {
            self.pause(PauseReason::SourceLost);
        }
    }
}
