//! Before anything is changed.

use crate::intent::{Check, Finding, What};
use crate::judge::Judge;
use crate::moment::{Moment, Span};
use crate::note::Note;
use crate::phase::Phase;
use crate::reference::{self, Baselines, References};

use super::Turn;

impl Turn<'_> {
    pub(super) fn submit(&mut self) {
        let problems = self.plan.problems();
        if !problems.is_empty() {
            let reasons = problems.iter().map(ToString::to_string).collect();
            return self.note(Note::Blocked { reasons });
        }
        self.state.findings.clear();
        self.enter(Phase::Preflight);
        for check in Check::ALL {
            self.ask(What::Check { check }, self.plan.preflight.answer_within);
        }
    }

    pub(super) fn advance_preflight(&mut self) -> bool {
        if !self.state.open.is_empty() {
            return false;
        }
        let reasons = self.reasons();
        if reasons.is_empty() {
            self.enter(Phase::Ready);
        } else {
            self.note(Note::Blocked { reasons });
            self.enter(Phase::Draft);
        }
        true
    }

    /// Starts the rollout: windows are counted from here.
    pub(super) fn go(&mut self) {
        let age = self.state.now.since(self.state.entered);
        if age > self.plan.preflight.valid_for {
            self.note(Note::Blocked { reasons: vec![format!("the preflight is {} old: submit again", Span(age))] });
            return self.enter(Phase::Draft);
        }
        self.state.started = Some(self.state.now);
        self.state.judge = Judge::start(self.plan, &self.state.baselines, self.state.now);
        self.state.next_due = Some(self.state.now + self.plan.every);
        self.notify(format!("{}: started in {}", self.state.rollout, self.plan.environment));
        self.enter(Phase::Enabling { step: 0 });
    }

    /// Why the rollout may not start; what nobody knows is a reason.
    fn reasons(&mut self) -> Vec<String> {
        let mut reasons = Vec::new();
        for check in Check::ALL {
            match self.state.findings.get(&check).cloned() {
                Some(Ok(finding)) => self.judge_finding(finding, &mut reasons),
                Some(Err(why)) => reasons.push(format!("{check:?} could not be checked: {why}")),
                None => reasons.push(format!("{check:?} was not checked")),
            }
        }
        reasons
    }

    fn judge_finding(&mut self, finding: Finding, reasons: &mut Vec<String>) {
        let limits = self.plan.preflight;
        let now = self.state.now;
        let flag = &self.plan.flag;
        match finding {
            Finding::Flag { percent: Some(0) } => {}
            Finding::Flag { percent: Some(on) } => reasons.push(format!("flag `{flag}` is at {on} % already")),
            Finding::Flag { percent: None } => reasons.push(format!("there is no flag `{flag}`")),
            Finding::Capacity { cpu, memory, disk } => {
                let limits = [
                    ("CPU", cpu, limits.cpu_below),
                    ("memory", memory, limits.memory_below),
                    ("disk", disk, limits.disk_below),
                ];
                for (what, used, below) in limits {
                    // A log has no other word for what is not finite than none.
                    match used.filter(|used| used.is_finite()) {
                        Some(used) if used < below => {}
                        Some(used) => reasons.push(format!("{what} is at {used} %, must be below {below} %")),
                        None => reasons.push(format!("nobody knows how much {what} is in use")),
                    }
                }
            }
            Finding::Rehearsal { rehearsed_ms: None, .. } => reasons.push("the rollback was never rehearsed".into()),
            Finding::Rehearsal { rehearsed_ms: Some(at), took_ms } => {
                if at > now {
                    reasons.push("the rehearsal of the rollback lies in the future".into());
                } else if now.since(at) > limits.rehearsal_max_age {
                    let (age, most) = (Span(now.since(at)), Span(limits.rehearsal_max_age));
                    reasons.push(format!("the rollback was rehearsed {age} ago, at most {most}"));
                }
                let total = self.plan.rollback.total;
                if std::time::Duration::from_millis(took_ms) > total {
                    let took = Span(std::time::Duration::from_millis(took_ms));
                    reasons.push(format!("the rehearsed rollback took {took}, at most {}", Span(total)));
                }
            }
            Finding::Baseline { references } => {
                self.judge_baseline(&references, now, reasons);
                self.state.baselines = Baselines::new(self.plan, &references);
                self.state.references = references;
            }
            Finding::OtherRollouts { names } => {
                reasons.extend(names.iter().map(|name| format!("rollout `{name}` is on")));
            }
            Finding::Incidents { names } => {
                reasons.extend(names.iter().map(|name| format!("incident `{name}` is open")));
            }
        }
    }

    fn judge_baseline(&self, references: &References, now: Moment, reasons: &mut Vec<String>) {
        let limits = &self.plan.preflight;
        for (index, signal) in self.plan.signals.iter().enumerate().filter(|(_, signal)| signal.needs_history()) {
            let name = signal.name();
            let Some(reference) = references.of(index) else {
                reasons.push(format!("`{name}` has no baseline"));
                continue;
            };
            if reference.samples() < limits.baseline_min_samples {
                let (has, least) = (reference.samples(), limits.baseline_min_samples);
                reasons.push(format!("the baseline of `{name}` has {has} samples, at least {least}"));
            }
            if reference.until() > now {
                reasons.push(format!("the baseline of `{name}` does not end before the change"));
            } else if now.since(reference.until()) > limits.baseline_max_age {
                let (age, most) = (Span(now.since(reference.until())), Span(limits.baseline_max_age));
                reasons.push(format!("the baseline of `{name}` ended {age} ago, at most {most}"));
            }
            if !reference.fits(self.plan) {
                reasons.push(format!("the baseline of `{name}` has windows of another length than the plan"));
            }
            match reference::baseline(self.plan, signal, Some(reference)) {
                Some(Err(why)) => reasons.push(format!("the baseline of `{name}` cannot be used: {why}")),
                Some(Ok(baseline)) if self.plan.is_detected(index) => {
                    let failing = baseline.checks().iter().filter(|check| !check.holds);
                    reasons.extend(failing.map(|check| format!("the baseline of `{name}`: {check}")));
                }
                _ => {}
            }
        }
    }
}
