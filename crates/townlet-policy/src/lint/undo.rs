//! Whether the change can be undone, and whether that could be seen.

use std::time::Duration;

use super::Lint;
use crate::finding::Code;
use crate::rule::{Action, Check};
use crate::surroundings::Rollback;
use crate::time::{Span, shorten};

impl Lint<'_> {
    pub(super) fn undo(&mut self) {
        let policy = self.policy;
        let surroundings = &policy.surroundings;
        let Some(rollback) = &surroundings.rollback else {
            let rolls = policy.rules.iter().find(|rule| rule.acts() == Some(Action::Rollback));
            if let (Some(rule), Some(step)) = (rolls, surroundings.steps.first()) {
                let message = format!("'{}' rolls back, and nothing says how", shorten(&rule.id));
                self.report(Code::MissingRollback, step.place, message, "write a rollback with a step for each step");
            }
            return;
        };
        let undone = |name: &str| rollback.steps.iter().any(|step| step.undoes.as_deref() == Some(name));
        for step in surroundings.steps.iter().filter(|step| !undone(&step.name)) {
            let message = format!("no step of the rollback takes '{}' back", shorten(&step.name));
            let help = format!("add one with undoes: {}", shorten(&step.name));
            self.report(Code::MissingRollback, step.place, message, &help);
        }
        for step in &rollback.steps {
            let known = |name: &String| surroundings.steps.iter().any(|step| step.name == *name);
            if let Some(name) = step.undoes.as_ref().filter(|name| !known(name)) {
                let message = format!("'{}' takes '{}' back, which is no step", shorten(&step.name), shorten(name));
                self.report(Code::MissingRollback, step.place, message, "name a step of the change");
            }
            let lacks = match (step.within, step.checked) {
                (Some(_), true) => continue,
                (None, true) => "has no deadline",
                (Some(_), false) => "is not checked",
                (None, false) => "has no deadline and is not checked",
            };
            let message =
                format!("'{}' {lacks}: a rollback that stops half-way would look like one", shorten(&step.name));
            self.report(Code::UncheckedRollback, step.place, message, "give it within: 1m and checked: true");
        }
        self.in_time(rollback);
        self.verified(rollback);
    }

    fn in_time(&mut self, rollback: &Rollback) {
        let Some(total) = rollback.total else { return };
        let steps = rollback.steps.iter().filter_map(|step| step.within).fold(Duration::ZERO, Duration::saturating_add);
        let tests = rollback.verified.iter().flat_map(|verified| verified.condition.tests());
        let silence = tests.filter_map(|test| match test.check {
            Check::Absent { lasting } => lasting,
            _ => None,
        });
        let needs = steps.saturating_add(silence.max().unwrap_or_default());
        if needs > total {
            let message = format!("the rollback needs {} to be shown, and has {}", Span(needs), Span(total));
            self.report(Code::SlowRollback, rollback.place, message, "shorten its steps, or give it more time");
        }
    }

    fn verified(&mut self, rollback: &Rollback) {
        let policy = self.policy;
        for verified in &rollback.verified {
            self.absent_at_once(&verified.condition, true, verified.place);
            for test in verified.condition.tests() {
                let read = matches!(test.check, Check::Compare { .. } | Check::In { .. } | Check::Fresh { .. });
                if read && policy.surroundings.switched.contains(&test.metric) {
                    let name = self.name(test.metric);
                    let message = format!("recovery is read from {name}, which the rollback switches off");
                    let help = "read it from a metric that is there without the change";
                    self.report(Code::SwitchedOff, verified.place, message, help);
                }
            }
        }
    }
}
