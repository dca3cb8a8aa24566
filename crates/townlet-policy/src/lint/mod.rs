//! What is wrong with the rules of a policy that reads well: found by proof, or not at all.
//!
//! Each metric is cut at every limit, age and baseline that the rules ask about, with cells for missing, ended and thin
//! data. Two conditions that agree on every cell agree on every sample there can be. The cells hold more than can
//! happen, never less: what is reported is so, and what needs an argument about two baselines at once is not found.
//! Rules over very many limits at once are left out.

mod alone;
mod cells;
mod gaps;
mod pairs;
mod undo;
mod watch;

use crate::expression;
use crate::finding::{Code, Finding, Findings, Level, Place};
use crate::policy::Policy;
use crate::rule::{Action, Condition, Form, Rule};
use crate::time::shorten;
use cells::{Asked, Worlds};

/// Looks for what cannot work as it stands: all findings are warnings, at the place of the rule, step or baseline.
///
/// Of one rule:
/// - [`Code::NeverBad`], [`Code::NeverGood`]: no value makes the rule bad, or none makes it good. A ratio is never above
///   1: of a share of 5 % say `5%` or `0.05`.
/// - [`Code::TwoSided`], [`Code::WrongSide`]: getting better counts as bad.
/// - [`Code::OneSample`]: a single measurement rolls back.
/// - [`Code::AbsentAtOnce`]: `absent` without `for` where absence is what is hoped for.
/// - [`Code::Unreachable`], [`Code::NoSource`]: `for` longer than anybody watches, older than samples ever get, no
///   baseline, no source.
///
/// Of several:
/// - [`Code::DeadRule`]: a rollback is always there first.
/// - [`Code::ShadowedRule`]: it decides only where another rule does, which does as much.
/// - [`Code::Contradiction`]: where one of two rules is good, the other is bad.
/// - [`Code::MixedUnits`]: limits of one metric in `%` and in `pp` of the same baseline.
/// - [`Code::ActionGap`]: a value that is not accepted, and that nobody acts on.
/// - [`Code::GapUnnoticed`]: in gap mode `prometheus`, data that ends looks good and resets every timer.
///
/// Of what surrounds them, as far as [`Policy::surroundings`] tells:
/// - [`Code::ContaminatedBaseline`]: taken after the change.
/// - [`Code::MissingRollback`], [`Code::UncheckedRollback`], [`Code::SlowRollback`]: steps that nothing takes back, whose
///   failure nobody would notice, or that do not fit their time.
/// - [`Code::SwitchedOff`]: recovery is read from what the rollback switches off.
/// - [`Code::SecondSource`]: a trigger or limit outside the rules.
pub fn lint(policy: &Policy, found: &mut Findings) {
    let mut lint = Lint { policy, found, worlds: Worlds::new(policy.settings, &policy.metrics) };
    let sound: Vec<&Rule> = policy.rules.iter().filter(|rule| lint.alone(rule)).collect();
    lint.pairs(&sound);
    lint.mixed_units();
    lint.action_gaps(&sound);
    lint.unnoticed_gaps();
    lint.watch();
    lint.undo();
    lint.found.sort();
}

struct Lint<'a> {
    policy: &'a Policy,
    found: &'a mut Findings,
    worlds: Worlds,
}

impl Lint<'_> {
    fn report(&mut self, code: Code, place: Place, message: String, help: &str) {
        self.found.push(Finding::new(code, Level::Warning, place, message).help(help));
    }

    fn max_gap(&self, rule: &Rule) -> std::time::Duration {
        rule.timing.max_gap.unwrap_or(self.policy.settings.max_gap)
    }

    fn asked<'c>(&self, rule: &Rule, bad: &'c Condition) -> Asked<'c> {
        Asked { bad, max_gap: self.max_gap(rule) }
    }

    fn name(&self, metric: crate::rule::MetricId) -> String {
        self.policy.metrics.get(metric.0).map_or_else(String::new, |metric| metric.name.clone())
    }

    fn condition(&self, condition: &Condition) -> String {
        shorten(&expression::condition(condition, &self.policy.metrics))
    }
}

/// Whether a rule that is watched stops a release when it fires.
fn stops(rule: &Rule) -> bool {
    rule.form != Form::Accept && rule.acts() >= Some(Action::Hold)
}
