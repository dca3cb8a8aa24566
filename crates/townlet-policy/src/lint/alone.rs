//! What a single rule says about itself.

use super::Lint;
use crate::finding::{Code, Place};
use crate::metric::Worse;
use crate::rule::{Action, Basis, Check, Condition, Form, Op, Rule, Test};
use crate::time::shorten;
use crate::truth::Truth;
use crate::unit::Unit;

impl Lint<'_> {
    /// Looks at one rule; says whether it is worth comparing with others.
    pub(super) fn alone(&mut self, rule: &Rule) -> bool {
        self.sides(rule);
        self.one_sample(rule);
        self.absent_at_once(&rule.bad(), false, rule.place);
        let bad = rule.bad();
        let asked = [self.asked(rule, &bad)];
        let (mut ever_bad, mut ever_good) = (false, false);
        let known = self.worlds.each(&asked, |truths| {
            ever_bad |= truths[0] == Truth::True;
            ever_good |= truths[0] == Truth::False;
            !(ever_bad && ever_good)
        });
        if !known {
            return false;
        }
        let text = self.condition(&rule.condition);
        if !ever_bad {
            let message = format!("the rule '{}' can never be bad: {text}", shorten(&rule.id));
            self.report(Code::NeverBad, rule.place, message, "no value leads there; look at the limits");
        }
        if !ever_good {
            let message = format!("the rule '{}' can never be good: {text}", shorten(&rule.id));
            self.report(Code::NeverGood, rule.place, message, "every value is bad; look at the limits");
        }
        ever_bad && ever_good
    }

    /// Whether getting better counts as bad.
    fn sides(&mut self, rule: &Rule) {
        for test in rule.condition.tests() {
            let both = match test.check {
                Check::Compare { limit, .. } => limit.two_sided,
                Check::In { .. } => true,
                Check::Absent { .. } | Check::Fresh { .. } => false,
            };
            let metric = self.policy.metrics.get(test.metric.0);
            if let Some(metric) = metric.filter(|metric| both && metric.worse != Worse::Both) {
                let way = metric.worse.as_str();
                let message = format!("{} is worse {way} only, and the limit has two sides", metric.name);
                self.report(
                    Code::TwoSided,
                    rule.place,
                    message,
                    "limit the side that is worse, or declare worse: both",
                );
            }
        }
        // Beside another metric a comparison may be a guard: only with traffic do errors count.
        let &[metric] = rule.condition.metrics().as_slice() else { return };
        let Some(metric) = self.policy.metrics.get(metric.0).filter(|metric| metric.worse != Worse::Both) else {
            return;
        };
        let mut bad_at = Vec::new();
        sides_of(&rule.bad(), true, &metric.unit, &mut bad_at);
        if !bad_at.is_empty() && bad_at.iter().all(|side| *side != metric.worse) {
            let (way, other) = if metric.worse == Worse::Up { ("up", "low") } else { ("down", "high") };
            let message =
                format!("{} is worse {way}, and '{}' is bad where it is {other}", metric.name, shorten(&rule.id));
            self.report(Code::WrongSide, rule.place, message, "turn the comparison round, or the worse: of the metric");
        }
    }

    /// Whether one measurement undoes a release. Counts and states are no measurements: one incident is one.
    fn one_sample(&mut self, rule: &Rule) {
        let patient = !rule.timing.lasting.is_zero() || rule.timing.min_samples.is_some();
        if patient || rule.acts() != Some(Action::Rollback) || rule.form == Form::Accept {
            return;
        }
        let measured = |test: &&&Test| {
            let unit = self.policy.metrics.get(test.metric.0).map(|metric| &metric.unit);
            let compared = matches!(test.check, Check::Compare { .. } | Check::In { .. });
            compared && !matches!(unit, None | Some(Unit::Bool | Unit::Count))
        };
        let tests = rule.condition.tests();
        if let Some(test) = tests.iter().find(measured) {
            let name = self.name(test.metric);
            let message = format!("a single sample of {name} makes '{}' roll back", shorten(&rule.id));
            self.report(Code::OneSample, rule.place, message, "give it a time, for 2m, or min_samples 5 in 5m");
        }
    }

    /// Absence that is hoped for needs a time: without one, a single late sample looks like it. `hoped` is whether the
    /// condition is.
    pub(super) fn absent_at_once(&mut self, condition: &Condition, hoped: bool, place: Place) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                for part in parts {
                    self.absent_at_once(part, hoped, place);
                }
            }
            Condition::Not(inner) => self.absent_at_once(inner, !hoped, place),
            Condition::Test(Test { metric, check: Check::Absent { lasting: None } }) if hoped => {
                let name = self.name(*metric);
                let message = format!("one moment without a sample passes for the absence of {name}");
                let help = format!("absence is seen over a time: write {name} absent for 5m");
                self.report(Code::AbsentAtOnce, place, message, &help);
            }
            Condition::Test(_) => {}
        }
    }
}

/// On which sides of its limits a condition holds. `positive` is whether it stands under an even number of `not`.
fn sides_of(condition: &Condition, positive: bool, unit: &Unit, sides: &mut Vec<Worse>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().for_each(|part| sides_of(part, positive, unit, sides));
        }
        Condition::Not(inner) => sides_of(inner, !positive, unit, sides),
        Condition::Test(Test { check: Check::Absent { .. } | Check::Fresh { .. }, .. }) => {}
        Condition::Test(Test { check: Check::Compare { op, limit }, .. }) if !limit.two_sided => {
            let up = match op {
                Op::Gt | Op::Ge => Some(true),
                Op::Lt | Op::Le => Some(false),
                // Where there is nothing below, everything else is above; true is above false.
                Op::Eq | Op::Ne if limit.basis != Basis::Value => None,
                Op::Eq | Op::Ne => match (unit, limit.value) {
                    (Unit::Bool, 1.0) => Some(*op == Op::Eq),
                    (Unit::Percent | Unit::Other(_), _) => None,
                    (_, 0.0) => Some(*op == Op::Ne),
                    _ => None,
                },
            };
            match up {
                Some(up) if up == positive => sides.push(Worse::Up),
                Some(_) => sides.push(Worse::Down),
                None => sides.extend([Worse::Up, Worse::Down]),
            }
        }
        Condition::Test(_) => sides.extend([Worse::Up, Worse::Down]),
    }
}
