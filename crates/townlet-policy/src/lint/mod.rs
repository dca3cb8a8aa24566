//! What is wrong with the rules of a policy that reads well: found by proof, or not at all.
//!
//! Each metric is cut at every limit, age and baseline that the rules ask about, with cells for missing, ended and thin
//! data. Two conditions that agree on every cell agree on every sample there can be. The cells hold more than can
//! happen, never less: what is reported is so, and what needs an argument about two baselines at once is not found.
//! Rules over very many limits at once are left out.

mod cells;

use crate::finding::{Code, Finding, Findings, Level};
use crate::metric::Worse;
use crate::policy::Policy;
use crate::rule::{Action, Basis, Check, Condition, Form, MetricId, Rule};
use crate::time::shorten;
use crate::truth::Truth;
use crate::{GapMode, expression};
use cells::{Asked, Worlds};

/// Looks for rules that cannot do what they say: all findings are warnings, at the place of the rule.
///
/// - [`Code::NeverBad`], [`Code::NeverGood`]: no value makes the rule bad, or none makes it good.
/// - [`Code::DeadRule`]: a rollback is always there first.
/// - [`Code::ShadowedRule`]: it fires only while another rule does, which does as much.
/// - [`Code::Contradiction`]: where one of two rules is good, the other is bad.
/// - [`Code::TwoSided`]: getting better counts as bad.
/// - [`Code::MixedUnits`]: limits of one metric in `%` and in `pp` of the same baseline.
pub fn lint(policy: &Policy, found: &mut Findings) {
    let mut lint = Lint { policy, found, worlds: Worlds::new(policy.settings) };
    let sound: Vec<bool> = policy.rules.iter().map(|rule| lint.alone(rule)).collect();
    lint.mixed_units();
    for (at, rule) in policy.rules.iter().enumerate().filter(|(at, _)| sound[*at]) {
        let others = || policy.rules.iter().enumerate().filter(|(other, _)| *other != at && sound[*other]);
        let killer = others().find_map(|(other, by)| {
            let code = lint.outdone(rule, by)?;
            // Of two that outdo each other, the first stays.
            (other < at || lint.outdone(by, rule).is_none()).then_some((code, by))
        });
        if let Some((code, by)) = killer {
            let how = if code == Code::DeadRule { "rolls back no later" } else { "fires whenever this one does" };
            let message = format!("the rule '{}' decides nothing: '{}' {how}", shorten(&rule.id), shorten(&by.id));
            lint.report(code, rule, message, "remove it, or give it a lower limit, a shorter for or a stronger action");
        }
        for (_, other) in others().filter(|(other, _)| *other < at) {
            if binds(rule) && binds(other) && lint.contradict(rule, other) {
                let message = format!("'{}' and '{}' cannot both be good", shorten(&other.id), shorten(&rule.id));
                lint.report(Code::Contradiction, rule, message, "change the limit of one of them");
            }
        }
    }
    lint.found.sort();
}

/// Whether a rule stops a release when it is bad.
fn binds(rule: &Rule) -> bool {
    rule.form == Form::Accept || rule.acts() >= Some(Action::Hold)
}

struct Lint<'a> {
    policy: &'a Policy,
    found: &'a mut Findings,
    worlds: Worlds,
}

impl Lint<'_> {
    fn report(&mut self, code: Code, rule: &Rule, message: String, help: &str) {
        self.found.push(Finding::new(code, Level::Warning, rule.place, message).help(help));
    }

    /// Looks at one rule; says whether it is worth comparing with others.
    fn alone(&mut self, rule: &Rule) -> bool {
        for test in rule.condition.tests() {
            let metric = self.policy.metrics.get(test.metric.0);
            let both = match test.check {
                Check::Compare { limit, .. } => limit.two_sided,
                Check::In { .. } => true,
                Check::Absent { .. } | Check::Fresh { .. } => false,
            };
            if let Some(metric) = metric.filter(|metric| both && metric.worse != Worse::Both) {
                let way = if metric.worse == Worse::Up { "up" } else { "down" };
                let message = format!("{} is worse {way} only, and the limit has two sides", metric.name);
                self.report(Code::TwoSided, rule, message, "limit the side that is worse, or declare worse: both");
            }
        }
        let bad = rule.bad();
        let asked = [Asked { bad: &bad, max_gap: self.max_gap(rule) }];
        let (mut ever_bad, mut ever_good) = (false, false);
        let known = self.worlds.each(&asked, |truths| {
            ever_bad |= truths[0] == Truth::True;
            ever_good |= truths[0] == Truth::False;
            !(ever_bad && ever_good)
        });
        if !known {
            return false;
        }
        let text = shorten(&expression::condition(&rule.condition, &self.policy.metrics));
        if !ever_bad {
            let message = format!("the rule '{}' can never be bad: {text}", shorten(&rule.id));
            self.report(Code::NeverBad, rule, message, "no value leads there; look at the limits");
        }
        if !ever_good {
            let message = format!("the rule '{}' can never be good: {text}", shorten(&rule.id));
            self.report(Code::NeverGood, rule, message, "every value is bad; look at the limits");
        }
        ever_bad && ever_good
    }

    fn max_gap(&self, rule: &Rule) -> std::time::Duration {
        rule.timing.max_gap.unwrap_or(self.policy.settings.max_gap)
    }

    /// Whether `rule` adds nothing to `by`.
    fn outdone(&mut self, rule: &Rule, by: &Rule) -> Option<Code> {
        let (own, stronger) = (rule.acts()?, by.acts()?);
        let watched = rule.form != Form::Accept && by.form != Form::Accept;
        let same_evidence = rule.timing.min_samples == by.timing.min_samples;
        let at_once = by.timing.lasting.is_zero();
        let comparable = self.max_gap(rule) == self.max_gap(by)
            && (same_evidence || at_once && by.timing.min_samples.is_none())
            && by.timing.lasting <= rule.timing.lasting;
        if !watched || !comparable || stronger < own || !within(&by.condition, &rule.condition) {
            return None;
        }
        let (bad, worse) = (rule.bad(), by.bad());
        let max_gap = self.max_gap(rule);
        let asked = [Asked { bad: &bad, max_gap }, Asked { bad: &worse, max_gap }];
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

    fn contradict(&mut self, rule: &Rule, other: &Rule) -> bool {
        if rule.condition.metrics() != other.condition.metrics() {
            return false;
        }
        let (one, two) = (rule.bad(), other.bad());
        let asked =
            [Asked { bad: &one, max_gap: self.max_gap(rule) }, Asked { bad: &two, max_gap: self.max_gap(other) }];
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
    fn mixed_units(&mut self) {
        let policy = self.policy;
        for (at, metric) in policy.metrics.iter().enumerate().filter(|(_, metric)| metric.unit.has_points()) {
            let uses = |basis| policy.rules.iter().find(|rule| measured(rule, MetricId(at)).contains(&basis));
            if let (Some(relative), Some(points)) = (uses(Basis::Relative), uses(Basis::Difference)) {
                let message = format!(
                    "{} is limited in % of its baseline by '{}' and in percentage points by '{}'",
                    metric.name,
                    shorten(&relative.id),
                    shorten(&points.id)
                );
                let later = std::cmp::max_by_key(relative, points, |rule| (rule.place.line, rule.place.column));
                self.report(Code::MixedUnits, later, message, "use one of the two");
            }
        }
    }
}

/// What the limits of a metric are measured from, in one rule.
fn measured(rule: &Rule, metric: MetricId) -> Vec<Basis> {
    let tests = rule.condition.tests();
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
