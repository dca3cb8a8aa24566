//! Where nothing happens: between what is accepted and what is acted on, and where data ends.

use super::pairs::measured;
use super::{Lint, stops};
use crate::evaluate::GapMode;
use crate::finding::Code;
use crate::rule::{Action, Check, Form, MetricId, Rule};
use crate::time::shorten;
use crate::truth::Truth;

impl Lint<'_> {
    /// A value that no checkpoint accepts, and that no rule acts on.
    pub(super) fn action_gaps(&mut self, sound: &[&Rule]) {
        for rule in sound.iter().filter(|rule| rule.form == Form::Accept && !rule.dry_run) {
            if rule.acts() >= Some(Action::Hold) {
                continue;
            }
            let metrics = rule.condition.metrics();
            let shares = |other: &Rule| other.condition.metrics().iter().any(|metric| metrics.contains(metric));
            // All of them: one that cannot be compared with others may act all the same.
            let acting: Vec<&Rule> = self.policy.rules.iter().filter(|other| stops(other) && shares(other)).collect();
            // Which values lie between limits of two kinds depends on the baseline, which nobody knows yet.
            let one_basis = |metric: &MetricId| {
                let mut all: Vec<_> = acting.iter().flat_map(|other| measured(&other.condition, *metric)).collect();
                all.extend(measured(&rule.condition, *metric));
                all.windows(2).all(|pair| pair[0] == pair[1])
            };
            if !metrics.iter().all(one_basis) {
                continue;
            }
            let bads: Vec<_> = std::iter::once(*rule).chain(acting.iter().copied()).map(Rule::bad).collect();
            let asked: Vec<_> = std::iter::once(*rule)
                .chain(acting.iter().copied())
                .zip(&bads)
                .map(|(r, bad)| self.asked(r, bad))
                .collect();
            // Unknown holds, unless it is unknown only because another metric is left open here.
            let holds = self.policy.settings.gap == GapMode::Hold;
            let closed: Vec<bool> =
                acting.iter().map(|other| other.condition.metrics().iter().all(|m| metrics.contains(m))).collect();
            let mut gap = None;
            let all = &self.policy.metrics;
            let known = self.worlds.each_of(metrics.clone(), &asked, |truths, world| {
                let acts = truths[1..].iter().zip(&closed).any(|(truth, closed)| match truth {
                    Truth::True => true,
                    Truth::Unknown => holds && *closed,
                    Truth::False => false,
                });
                if truths[0] == Truth::True && !acts && !world.has_nan() {
                    // The last one lies between two limits rather than on one, and above rather than below.
                    gap = Some(world.describe(all));
                }
                true
            });
            if let Some(gap) = gap.filter(|_| known) {
                let message =
                    format!("with {gap}, '{}' does not accept, and no rule holds or rolls back", shorten(&rule.id));
                let help = "give it action: hold, or let a rule act from the same limit on";
                self.report(Code::ActionGap, rule.place, message, help);
            }
        }
    }

    /// To Prometheus what is missing is not bad, and every timer begins anew: somebody has to watch for the end.
    pub(super) fn unnoticed_gaps(&mut self) {
        if self.policy.settings.gap != GapMode::Prometheus {
            return;
        }
        let acting: Vec<&Rule> = self.policy.rules.iter().filter(|rule| stops(rule)).collect();
        for metric in (0..self.policy.metrics.len()).map(MetricId) {
            let compared = |rule: &&&Rule| {
                let tests = rule.condition.tests();
                let value = |check: &Check| matches!(check, Check::Compare { .. } | Check::In { .. });
                tests.iter().any(|test| test.metric == metric && value(&test.check))
            };
            let Some(rule) = acting.iter().find(compared) else { continue };
            let noticed = acting.iter().any(|rule| {
                let bad = rule.bad();
                self.worlds.ended(metric, &self.asked(rule, &bad)) == Truth::True
            });
            if !noticed {
                let name = self.name(metric);
                let message = format!(
                    "when {name} ends, '{}' is good and its timer begins anew; no rule notices the gap",
                    shorten(&rule.id)
                );
                let help = format!("add a rule that holds when {name} absent for 5m, or take gap: hold");
                self.report(Code::GapUnnoticed, rule.place, message, &help);
            }
        }
    }
}
