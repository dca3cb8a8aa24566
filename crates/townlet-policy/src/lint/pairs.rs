//! What two rules say to each other.

use super::{Lint, stops};
use crate::evaluate::GapMode;
use crate::finding::{Code, Place};
use crate::rule::{Action, Basis, Check, Condition, Form, MetricId, Rule};
use crate::time::shorten;
use crate::truth::Truth;

impl Lint<'_> {
    pub(super) fn pairs(&mut self, sound: &[&Rule]) {
        for (at, rule) in sound.iter().enumerate() {
            let others = || sound.iter().enumerate().filter(|(other, _)| *other != at);
            let killer = others().find_map(|(other, by)| {
                let code = self.outdone(rule, by)?;
                // Of two that outdo each other, the first stays.
                (other < at || self.outdone(by, rule).is_none()).then_some((code, by))
            });
            if let Some((code, by)) = killer {
                let how = match (code, rule.form) {
                    (Code::DeadRule, _) => "rolls back no later",
                    (_, Form::Accept) => "refuses whenever this one does",
                    _ => "fires whenever this one does",
                };
                let message = format!("the rule '{}' decides nothing: '{}' {how}", shorten(&rule.id), shorten(&by.id));
                let help = "remove it, or give it a lower limit, a shorter for or a stronger action";
                self.report(code, rule.place, message, help);
            }
            for (_, other) in others().filter(|(other, _)| *other < at) {
                if binds(rule) && binds(other) && self.contradict(rule, other) {
                    let message = format!("'{}' and '{}' cannot both be good", shorten(&other.id), shorten(&rule.id));
                    self.report(Code::Contradiction, rule.place, message, "change the limit of one of them");
                }
            }
        }
    }

    /// Whether `rule` adds nothing to `by`.
    fn outdone(&mut self, rule: &Rule, by: &Rule) -> Option<Code> {
        if rule.form == Form::Accept || by.form == Form::Accept {
            return self.refused(rule, by).then_some(Code::ShadowedRule);
        }
        let (own, stronger) = (rule.acts()?, by.acts()?);
        let same_evidence = rule.timing.min_samples == by.timing.min_samples;
        let at_once = by.timing.lasting.is_zero();
        let comparable = self.max_gap(rule) == self.max_gap(by)
            && (same_evidence || at_once && by.timing.min_samples.is_none())
            && by.timing.lasting <= rule.timing.lasting;
        if !comparable || stronger < own || !within(&by.condition, &rule.condition) {
            return None;
        }
        let (bad, worse) = (rule.bad(), by.bad());
        let asked = [self.asked(rule, &bad), self.asked(rule, &worse)];
        let prometheus = self.policy.settings.gap == GapMode::Prometheus;
        let (mut implied, mut ends_with) = (true, true);
        let known = self.worlds.each(&asked, |truths| {
            let seen = |truth| if prometheus && truth == Truth::Unknown { Truth::False } else { truth };
            let (rule, by) = (seen(truths[0]), seen(truths[1]));
            implied &= rule != Truth::True || by == Truth::True;
            // A good value would reset the other's timer and not this one's.
            ends_with &= by != Truth::False || rule == Truth::False;
            implied
        });
        if !known || !implied {
            return None;
        }
        if stronger == Action::Rollback && (at_once || ends_with && same_evidence) {
            return Some(Code::DeadRule);
        }
        let outlasts = by.timing.keep >= rule.timing.keep && by.severity >= rule.severity;
        (ends_with && same_evidence && outlasts).then_some(Code::ShadowedRule)
    }

    /// Whether of two rules that accept, the first is met whenever the other is.
    fn refused(&mut self, rule: &Rule, by: &Rule) -> bool {
        let alike = rule.form == by.form && rule.timing == by.timing && rule.dry_run == by.dry_run;
        if !alike || by.action < rule.action || !within(&by.condition, &rule.condition) {
            return false;
        }
        let (bad, worse) = (rule.bad(), by.bad());
        let asked = [self.asked(rule, &bad), self.asked(by, &worse)];
        let mut met = true;
        let known = self.worlds.each(&asked, |truths| {
            met &= truths[1] != Truth::False || truths[0] == Truth::False;
            met
        });
        known && met
    }

    fn contradict(&mut self, rule: &Rule, other: &Rule) -> bool {
        if rule.condition.metrics() != other.condition.metrics() {
            return false;
        }
        let (one, two) = (rule.bad(), other.bad());
        let asked = [self.asked(rule, &one), self.asked(other, &two)];
        let mut against = true;
        let known = self.worlds.each(&asked, |truths| {
            // A good one beside an unknown one is no contradiction: the other may just have ended.
            against &= truths[0] != Truth::False || truths[1] == Truth::True;
            against &= truths[1] != Truth::False || truths[0] == Truth::True;
            against
        });
        known && against
    }

    /// `+2%` and `+2pp` look alike and are not, of a metric that is itself a share.
    pub(super) fn mixed_units(&mut self) {
        let policy = self.policy;
        let rules = policy.rules.iter().map(|rule| (shorten(&rule.id), &rule.condition, rule.place));
        let verified = policy.surroundings.rollback.iter().flat_map(|rollback| &rollback.verified);
        let all: Vec<(String, &Condition, Place)> =
            rules.chain(verified.map(|one| ("the rollback".to_owned(), &one.condition, one.place))).collect();
        for (at, metric) in policy.metrics.iter().enumerate().filter(|(_, metric)| metric.unit.has_points()) {
            let uses = |basis| all.iter().find(|(_, condition, _)| measured(condition, MetricId(at)).contains(&basis));
            if let (Some(relative), Some(points)) = (uses(Basis::Relative), uses(Basis::Difference)) {
                let message = format!(
                    "{} is limited in % of its baseline by '{}' and in percentage points by '{}'",
                    metric.name, relative.0, points.0
                );
                let later = std::cmp::max(relative.2, points.2);
                self.report(Code::MixedUnits, later, message, "use one of the two");
            }
        }
    }
}

/// Whether a rule stops a release when it is bad.
fn binds(rule: &Rule) -> bool {
    rule.form == Form::Accept || stops(rule)
}

/// What the limits of a metric are measured from, in one condition.
pub(super) fn measured(condition: &Condition, metric: MetricId) -> Vec<Basis> {
    let tests = condition.tests();
    let limits = tests.iter().filter(|test| test.metric == metric).filter_map(|test| match test.check {
        Check::Compare { limit, .. } | Check::In { low: limit, .. } => Some(limit.basis),
        Check::Absent { .. } | Check::Fresh { .. } => None,
    });
    limits.collect()
}

/// Whether a condition asks only about what another one asks about.
fn within(condition: &Condition, other: &Condition) -> bool {
    let known = other.metrics();
    condition.metrics().iter().all(|metric| known.contains(metric))
}
