//! Undoing a rollout, and showing that it is undone.

use crate::event::Tick;
use crate::intent::What;
use crate::moment::{Moment, Span};
use crate::note::Note;
use crate::phase::{Cause, Phase};
use crate::plan::Undo;
use crate::state::{Stage, Undoing};
use townlet_stats::Direction;

use super::Turn;

impl Turn<'_> {
    /// From any phase in which the change may be in effect. What was under way is left where it is:
    /// an answer to it comes too late.
    pub(super) fn roll_back(&mut self, cause: Cause) {
        if !self.state.phase.is_live() {
            return;
        }
        self.state.open.clear();
        self.state.hold = None;
        self.state.pause = None;
        self.note(Note::Rollback { cause: cause.clone() });
        self.notify(format!("{}: rolling back, {cause}", self.state.rollout));
        let since = self.state.now;
        self.state.undoing = Some(Undoing { cause, since, failed: Vec::new(), acted: None, good: 0 });
        self.enter(Phase::RollingBack { step: 0 });
    }

    pub(super) fn advance_rollback(&mut self, index: usize) -> bool {
        let Some(undoing) = self.state.undoing.as_mut() else { return false };
        // The limit counts whatever happens, or does not.
        if self.state.now.since(undoing.since) > self.plan.rollback.total {
            let why = format!("not over within {}", Span(self.plan.rollback.total));
            self.rollback_failed(why);
            return true;
        }
        let Some(step) = self.plan.rollback.steps.get(index) else {
            if undoing.acted.is_none() {
                undoing.acted = Some(self.state.now);
            }
            return false;
        };
        match self.state.stage {
            Stage::Todo => {
                let what = match &step.undo {
                    Undo::FlagOff => What::SetFlag { key: self.plan.flag.clone(), percent: 0 },
                    Undo::Restart(service) => What::Restart { service: service.clone() },
                };
                let id = self.ask(what, step.within);
                self.state.stage = Stage::Asked(id);
                false
            }
            Stage::Done(_) => {
                self.enter(Phase::RollingBack { step: index + 1 });
                true
            }
            Stage::Asked(_) | Stage::Soaking(_) => false,
        }
    }

    /// A step that fails does not keep the others from being tried.
    pub(super) fn undo_failed(&mut self, index: usize, what: &What, why: &str) {
        let name = match what {
            What::SetFlag { key, .. } => format!("flag `{key}` off"),
            What::Restart { service } => format!("restart of `{service}`"),
            _ => return,
        };
        if let Some(undoing) = self.state.undoing.as_mut() {
            undoing.failed.push(name.clone());
        }
        self.page(format!("{}: rollback step {} ({name}) failed: {why}", self.state.rollout, index + 1));
        self.enter(Phase::RollingBack { step: index + 1 });
    }

    /// Judges recovery from a window that lies wholly after the steps.
    pub(super) fn recovery(
        &mut self,
        due: Moment,
        tick: Option<&Tick>,
        values: &[Option<f64>],
        expected: &[Option<f64>],
    ) {
        let Some(acted) = self.state.undoing.as_ref().and_then(|undoing| undoing.acted) else { return };
        if due.before(self.plan.every) < acted {
            return;
        }
        let mut wrong = Vec::new();
        if tick.is_none_or(|tick| tick.lossy) {
            wrong.push("the window is missing or inconclusive".to_owned());
        }
        for index in &self.plan.rollback.recovered {
            wrong.extend(self.not_recovered(*index, values, expected));
        }
        for index in &self.plan.rollback.silent {
            // A sample of a lossy window is a sample all the same.
            if tick.is_some_and(|tick| tick.values.get(*index).copied().flatten().is_some_and(f64::is_finite)) {
                wrong.extend(self.plan.signals.get(*index).map(|signal| format!("`{}` still emits", signal.name())));
            }
        }
        let good = wrong.is_empty();
        self.note(Note::Recovery { due_ms: due, wrong });
        let Some(undoing) = self.state.undoing.as_mut() else { return };
        undoing.good = if good { undoing.good.saturating_add(1) } else { 0 };
        if undoing.good < self.plan.rollback.windows || self.state.now.since(undoing.since) > self.plan.rollback.total {
            return;
        }
        let (failed, took) = (undoing.failed.join(", "), self.state.now.since(undoing.since));
        if failed.is_empty() {
            self.state.open.clear();
            self.enter(Phase::RolledBack);
            self.notify(format!("{}: rolled back and recovered within {}", self.state.rollout, Span(took)));
        } else {
            self.rollback_failed(format!("the signals are back, but these steps failed: {failed}"));
        }
    }

    fn not_recovered(&self, index: usize, values: &[Option<f64>], expected: &[Option<f64>]) -> Option<String> {
        let signal = self.plan.signals.get(index)?;
        let name = signal.name();
        let Some(value) = values.get(index).copied().flatten() else {
            return Some(format!("`{name}` has no sample"));
        };
        let Some(level) = expected.get(index).copied().flatten() else {
            return Some(format!("`{name}` has no baseline to return to"));
        };
        let worse = match signal.direction {
            Direction::LowerIsBetter => value - level,
            Direction::HigherIsBetter => level - value,
            Direction::Band => (value - level).abs(),
        };
        // Not by a quotient: of what was 0 before the band is 0 as well, and it can be back all the same.
        if worse <= self.plan.rollback.band * level.abs() {
            return None;
        }
        let share = 100.0 * worse / level.abs();
        Some(match share.is_finite() {
            true => format!("`{name}` is {share:.1} % worse than before"),
            false => format!("`{name}` is {value}, and was {level} before"),
        })
    }

    fn rollback_failed(&mut self, why: String) {
        self.state.open.clear();
        self.enter(Phase::RollbackFailed);
        self.page(format!("{}: ROLLBACK FAILED: {why}", self.state.rollout));
    }
}
