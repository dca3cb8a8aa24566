//! From the first step of the flag to the last checkpoint.

use crate::intent::What;
use crate::moment::Moment;
use crate::note::Note;
use crate::phase::{Cause, HoldReason, Phase};
use crate::snapshot;
use crate::state::Stage;
use crate::verdict::Verdict;

use super::Turn;

/// Whether the rollout may go on.
enum Gate {
    Open,
    /// Not yet: a rule is broken, or suspected to be, and it shows within its time whether that lasts.
    Pending,
    Firing,
    Unknown,
}

impl Turn<'_> {
    pub(super) fn advance_enabling(&mut self, index: usize) -> bool {
        let Some(step) = self.plan.steps.get(index).copied() else { return false };
        let last = index + 1 == self.plan.steps.len();
        match self.state.stage {
            Stage::Todo => {
                let what = What::SetFlag { key: self.plan.flag.clone(), percent: step.percent };
                let id = self.ask(what, self.plan.limits.flag_within);
                self.state.stage = Stage::Asked(id);
                false
            }
            Stage::Asked(_) => false,
            Stage::Done(at) => {
                if last {
                    self.state.exposed = Some(at);
                }
                if index > 0 {
                    self.soak_or_watch(index);
                } else if self.plan.services.is_empty() {
                    self.enter(Phase::EmissionCheck);
                } else {
                    self.enter(Phase::Restarting { service: 0 });
                }
                true
            }
            Stage::Soaking(until) => {
                if !self.passes(until) {
                    return false;
                }
                self.enter(Phase::Enabling { step: index + 1 });
                true
            }
        }
    }

    /// After a step of the flag has settled.
    fn soak_or_watch(&mut self, index: usize) {
        if index + 1 == self.plan.steps.len() {
            return self.enter(Phase::Watching { checkpoint: 0 });
        }
        let soak = self.plan.steps.get(index).map_or(std::time::Duration::ZERO, |step| step.soak);
        if self.state.phase != (Phase::Enabling { step: index }) {
            self.enter(Phase::Enabling { step: index });
        }
        self.state.stage = Stage::Soaking(self.state.now + soak);
    }

    pub(super) fn advance_restarting(&mut self, index: usize) -> bool {
        match self.state.stage {
            Stage::Todo => {
                let Some(service) = self.plan.services.get(index) else { return false };
                let id = self.ask(What::Restart { service: service.name.clone() }, service.ready_within);
                self.state.stage = Stage::Asked(id);
                false
            }
            Stage::Done(_) => {
                if index + 1 < self.plan.services.len() {
                    self.enter(Phase::Restarting { service: index + 1 });
                } else {
                    self.enter(Phase::EmissionCheck);
                }
                true
            }
            Stage::Asked(_) | Stage::Soaking(_) => false,
        }
    }

    /// Every required signal has a sample in a window that began after the restarts.
    pub(super) fn advance_emission(&mut self) -> bool {
        let since = self.state.entered;
        let shown = |seen: &Option<Moment>| seen.is_some_and(|due| due.before(self.plan.every) >= since);
        let signals = self.plan.signals.iter().zip(&self.state.last_seen);
        let missing: Vec<String> =
            signals.filter(|(signal, seen)| signal.required && !shown(seen)).map(|(signal, _)| signal.name()).collect();
        if missing.is_empty() && self.state.judged.is_some_and(|due| due > since) {
            self.enter(Phase::Baseline);
            return true;
        }
        // A window that ended in time may still arrive: the limit is for the windows, not for now.
        let limit = since + self.plan.emission_within;
        if self.state.judged.is_some_and(|due| due > limit) {
            self.roll_back(Cause::NoEmission { missing });
            return true;
        }
        false
    }

    pub(super) fn advance_baseline(&mut self) -> bool {
        if !self.passes(self.state.entered + self.plan.observation) {
            return false;
        }
        self.take_snapshot("baseline");
        self.soak_or_watch(0);
        true
    }

    pub(super) fn advance_watching(&mut self, index: usize) -> bool {
        let (Some(checkpoint), Some(exposed)) = (self.plan.checkpoints.get(index), self.state.exposed) else {
            return false;
        };
        if !self.passes(exposed + checkpoint.after) {
            return false;
        }
        let name = checkpoint.name();
        self.note(Note::Checkpoint { name: name.clone(), due_ms: self.state.judged.unwrap_or_default() });
        self.notify(format!("{}: checkpoint {name} passed", self.state.rollout));
        if checkpoint.snapshot {
            self.take_snapshot(&name);
        }
        if index + 1 < self.plan.checkpoints.len() {
            self.enter(Phase::Watching { checkpoint: index + 1 });
        } else {
            self.ask_for_signatures();
        }
        true
    }

    /// Whether a window that ended at `due` or after it lets the rollout go on; holds it where it must not.
    fn passes(&mut self, due: Moment) -> bool {
        if self.state.judged.is_none_or(|judged| judged < due) {
            return false;
        }
        match self.gate() {
            Gate::Open => true,
            Gate::Pending => false,
            Gate::Firing => {
                self.hold(HoldReason::Rule);
                false
            }
            Gate::Unknown => {
                self.hold(HoldReason::Unknown);
                false
            }
        }
    }

    /// What the rules say together. A rule on trial has no say; one that need not be known yet may be unknown.
    fn gate(&self) -> Gate {
        let exposed_for = match (self.state.exposed, self.state.judged) {
            (Some(exposed), Some(judged)) => judged.since(exposed),
            _ => std::time::Duration::ZERO,
        };
        let mut gate = Gate::Open;
        for (rule, verdict) in self.plan.rules.iter().zip(&self.state.verdicts).filter(|(rule, _)| !rule.dry_run) {
            match verdict {
                Verdict::Firing if rule.binds() => return Gate::Firing,
                Verdict::Unknown if exposed_for >= rule.known_from => gate = Gate::Unknown,
                Verdict::Pending if rule.binds() && !matches!(gate, Gate::Unknown) => gate = Gate::Pending,
                _ => {}
            }
        }
        gate
    }

    /// A hold that the rules made ends when they say so.
    pub(super) fn end_hold(&mut self) {
        if let Some((HoldReason::Rule | HoldReason::Unknown, _)) = self.state.hold
            && matches!(self.gate(), Gate::Open | Gate::Pending)
        {
            self.state.hold = None;
            self.remark_phase();
        }
    }

    fn take_snapshot(&mut self, checkpoint: &str) {
        let rows = snapshot::rows(self.plan, &self.state, checkpoint);
        let digest = snapshot::digest(&rows);
        self.note(Note::Snapshot { checkpoint: checkpoint.into(), rows: rows.len(), digest: digest.clone() });
        self.ask(What::Store { checkpoint: checkpoint.into(), digest }, self.plan.limits.look_within);
        self.state.rows.extend(rows);
    }
}
