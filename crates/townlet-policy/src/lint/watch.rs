//! Rules beside the time, the sources and the baselines that they have.

use super::Lint;
use crate::finding::Code;
use crate::rule::{Basis, Check, Form, MetricId, Rule};
use crate::time::{Span, shorten};

impl Lint<'_> {
    pub(super) fn watch(&mut self) {
        let policy = self.policy;
        for rule in &policy.rules {
            self.too_long(rule);
            self.too_old(rule);
            self.without_source(rule);
        }
        self.baselines();
        for stated in &policy.surroundings.stated {
            let metrics = stated.condition.as_ref().map(crate::rule::Condition::metrics).unwrap_or_default();
            let shares = |rule: &&Rule| rule.condition.metrics().iter().any(|metric| metrics.contains(metric));
            let beside = policy.rules.iter().find(shares);
            let beside = beside.map_or_else(String::new, |rule| format!(", beside the rule '{}'", shorten(&rule.id)));
            let message = format!("'{}' decides outside the rules{beside}", shorten(&stated.by));
            let help = "make it a rule, and let the other place refer to this policy by its digest";
            self.report(Code::SecondSource, stated.place, message, help);
        }
    }

    fn too_long(&mut self, rule: &Rule) {
        let Some(watched) = self.policy.surroundings.watched else { return };
        let mut longest = rule.timing.lasting;
        for test in rule.condition.tests() {
            if let Check::Absent { lasting: Some(span) } = test.check {
                longest = longest.max(span);
            }
        }
        if longest > watched && rule.form != Form::Accept {
            let message = format!(
                "the rule '{}' needs {} and is watched for {}",
                shorten(&rule.id),
                Span(longest),
                Span(watched)
            );
            self.report(Code::Unreachable, rule.place, message, "shorten it, or watch for longer");
        }
    }

    /// Where samples come less often than they may be old, every second look finds nothing.
    fn too_old(&mut self, rule: &Rule) {
        let Some(every) = self.policy.surroundings.every else { return };
        let tests = rule.condition.tests();
        let compares = tests.iter().any(|test| matches!(test.check, Check::Compare { .. } | Check::In { .. }));
        let mut shortest = compares.then(|| self.max_gap(rule));
        for test in tests {
            if let Check::Fresh { within } = test.check {
                shortest = Some(shortest.map_or(within, |shortest| shortest.min(within)));
            }
        }
        if let Some(shortest) = shortest.filter(|shortest| *shortest < every) {
            let message = format!(
                "the rule '{}' takes samples of at most {}, and one comes every {}",
                shorten(&rule.id),
                Span(shortest),
                Span(every)
            );
            self.report(Code::Unreachable, rule.place, message, "let max_gap be two or three times as long as that");
        }
    }

    fn without_source(&mut self, rule: &Rule) {
        let Some(measured) = &self.policy.surroundings.measured else { return };
        for metric in rule.condition.metrics().iter().filter(|metric| !measured.contains(metric)) {
            let name = self.name(*metric);
            let message = format!("nobody measures {name}, so '{}' is never known", shorten(&rule.id));
            self.report(
                Code::NoSource,
                rule.place,
                message,
                "name its source, or write the rule about what is measured",
            );
        }
    }

    fn baselines(&mut self) {
        let policy = self.policy;
        let surroundings = &policy.surroundings;
        if let Some(begins) = surroundings.change_begins() {
            for baseline in surroundings.baselines.iter().filter(|baseline| baseline.until > begins) {
                let message = format!(
                    "the baseline is taken from {} to {}, and the change begins at {begins}: it measures the change",
                    baseline.from, baseline.until
                );
                let help = format!("end it by {begins}; the same minutes of the days before are better");
                self.report(Code::ContaminatedBaseline, baseline.place, message, &help);
            }
        }
        let covers = |metric: MetricId| {
            surroundings.baselines.iter().any(|one| one.metrics.is_empty() || one.metrics.contains(&metric))
        };
        if surroundings.baselines.is_empty() {
            return;
        }
        for rule in &policy.rules {
            let needs = |metric: &&MetricId| {
                super::pairs::measured(&rule.condition, **metric).iter().any(|basis| *basis != Basis::Value)
            };
            let metrics = rule.condition.metrics();
            for metric in metrics.iter().filter(needs).filter(|metric| !covers(**metric)) {
                let message =
                    format!("{} has no baseline, so '{}' is never known", self.name(*metric), shorten(&rule.id));
                self.report(Code::Unreachable, rule.place, message, "take one, or limit the value itself");
            }
        }
    }
}
