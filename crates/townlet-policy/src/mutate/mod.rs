//! Changes of a policy that its tests should notice.
//!
//! Each [`Mutant`] differs from the policy in one place: a limit nudged by a tenth, a comparison turned round or
//! loosened, a direction dropped, a duration halved or left out, `and` made `or`, a part of a condition left out,
//! `unless no-data` left out, another action, a dry run made serious, a rule removed, the gap mode changed. [`score`]
//! says which of them neither the tests nor [`lint`](crate::lint()) notice: what they changed is not tested.
//!
//! Severities are left alone, because nothing is decided by them.

mod condition;
mod timing;

use std::time::Duration;

use crate::evaluate::GapMode;
use crate::expression;
use crate::finding::{Code, Finding, Findings, Level, Place};
use crate::metric::Worse;
use crate::policy::Policy;
use crate::rule::{Action, Check, Rule};
use crate::suite::Bound;
use crate::time::{Span, shorten};

/// A policy with one change.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutant {
    /// The place of the rule, in the policy.
    pub place: Place,
    /// What was changed, for people: `'slow': parse_p95_ms > +6% for 10m became parse_p95_ms > +6%`.
    pub change: String,
    /// The changed policy.
    pub policy: Policy,
}

impl From<&Mutant> for Finding {
    fn from(mutant: &Mutant) -> Self {
        let message = format!("no test notices: {}", mutant.change);
        Self::new(Code::Survivor, Level::Warning, mutant.place, message)
            .help("test both sides of it: the last value that passes and the first that does not")
    }
}

/// What became of the mutants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// Noticed by a test that fails.
    pub by_tests: usize,
    /// Noticed by no test, and by lint, which finds what it does not find in the policy.
    pub by_lint: usize,
    /// Not noticed.
    pub survivors: Vec<Mutant>,
}

impl Score {
    /// How many mutants there were.
    #[must_use]
    pub fn mutants(&self) -> usize {
        self.by_tests + self.by_lint + self.survivors.len()
    }

    /// The share that was noticed, 0 to 1; 1 where there was none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are thousands of mutants at most")]
    pub fn killed(&self) -> f64 {
        let all = self.mutants();
        if all == 0 { 1.0 } else { (self.by_tests + self.by_lint) as f64 / all as f64 }
    }
}

/// Runs the tests of every suite against every mutant; `None` if they fail without one, because then it says nothing
/// that they fail with it.
#[must_use]
pub fn score(policy: &Policy, suites: &[Bound]) -> Option<Score> {
    if !suites.iter().all(|suite| suite.passes(policy)) {
        return None;
    }
    let before = findings(policy);
    let mut score = Score::default();
    for mutant in mutants(policy) {
        if !suites.iter().all(|suite| suite.passes(&mutant.policy)) {
            score.by_tests += 1;
        } else if findings(&mutant.policy).iter().any(|one| !before.contains(one)) {
            score.by_lint += 1;
        } else {
            score.survivors.push(mutant);
        }
    }
    Some(score)
}

fn findings(policy: &Policy) -> Vec<(Code, Place)> {
    let mut found = Findings::new("", "");
    crate::lint(policy, &mut found);
    found.iter().map(|one| (one.code, one.place)).collect()
}

/// Every mutant, in the order of the policy.
#[must_use]
pub fn mutants(policy: &Policy) -> Vec<Mutant> {
    let mut all = Vec::new();
    settings(policy, &mut all);
    metrics(policy, &mut all);
    for at in 0..policy.rules.len() {
        rule(policy, at, &mut all);
    }
    all
}

fn settings(policy: &Policy, all: &mut Vec<Mutant>) {
    let mut push = |change: String, edit: &dyn Fn(&mut Policy)| {
        let mut policy = policy.clone();
        edit(&mut policy);
        all.push(Mutant { place: Place::TOP, change, policy });
    };
    let (from, to) = match policy.settings.gap {
        GapMode::Hold => ("hold", GapMode::Prometheus),
        GapMode::Prometheus => ("prometheus", GapMode::Hold),
    };
    let word = if to == GapMode::Hold { "hold" } else { "prometheus" };
    push(format!("gap: {from} became {word}"), &|policy| policy.settings.gap = to);
    // Only where a rule takes it as its own.
    let takes = |rule: &Rule| {
        let tests = rule.condition.tests();
        let present = |check: &Check| !matches!(check, Check::Absent { lasting: Some(_) } | Check::Fresh { .. });
        rule.timing.max_gap.is_none() && tests.iter().any(|test| present(&test.check))
    };
    if policy.rules.iter().any(takes) {
        let gap = policy.settings.max_gap;
        for other in [gap / 2, gap * 2] {
            push(format!("max_gap: {} became {}", Span(gap), Span(other)), &|policy| policy.settings.max_gap = other);
        }
    }
}

fn metrics(policy: &Policy, all: &mut Vec<Mutant>) {
    for (at, metric) in policy.metrics.iter().enumerate() {
        let limited = |rule: &&Rule| {
            let mut tests = rule.condition.tests().into_iter();
            tests.any(|test| test.metric.0 == at && matches!(test.check, Check::Compare { .. } | Check::In { .. }))
        };
        let Some(rule) = policy.rules.iter().find(limited) else { continue };
        let other = match metric.worse {
            Worse::Up => Worse::Down,
            Worse::Down => Worse::Up,
            // What is limited on one side only says nothing against the other.
            Worse::Both => continue,
        };
        let mut policy = policy.clone();
        policy.metrics[at].worse = other;
        let change = format!("{}: worse: {} became {}", metric.name, metric.worse.as_str(), other.as_str());
        all.push(Mutant { place: rule.place, change, policy });
    }
}

fn rule(policy: &Policy, at: usize, all: &mut Vec<Mutant>) {
    let rule = &policy.rules[at];
    let text = |rule: &Rule| expression::rule(rule, &policy.metrics);
    let id = shorten(&rule.id);
    let mut push = |edited: Rule, change: String| {
        let mut policy = policy.clone();
        policy.rules[at] = edited;
        all.push(Mutant { place: rule.place, change: format!("'{id}': {change}"), policy });
    };
    let mut written = |edited: Rule| {
        let change = difference(&text(rule), &text(&edited));
        push(edited, change);
    };
    for condition in condition::variants(&rule.condition, &policy.metrics) {
        written(Rule { condition, ..rule.clone() });
    }
    for timing in timing::variants(&rule.timing) {
        written(Rule { timing, ..rule.clone() });
    }
    if let Some(action) = rule.action {
        // What a dry run would have done, nobody sees.
        let known = Action::ALL.iter().position(|one| *one == action).unwrap_or_default();
        let beside = [known.checked_sub(1), Some(known + 1)].into_iter().flatten();
        for other in beside.filter_map(|at| Action::ALL.get(at).copied()).filter(|_| !rule.dry_run) {
            let change = format!("action: {} became {}", action.as_str(), other.as_str());
            push(Rule { action: Some(other), ..rule.clone() }, change);
        }
        let change = if rule.dry_run { "became serious" } else { "became a dry run" };
        push(Rule { dry_run: !rule.dry_run, ..rule.clone() }, change.to_owned());
    }
    let mut without = policy.clone();
    without.rules.remove(at);
    all.push(Mutant { place: rule.place, change: format!("'{id}' was removed"), policy: without });
}

/// Half of it, to the millisecond.
fn half(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis() / 2).unwrap_or(u64::MAX))
}

/// What became what, without what stayed: a word on either side is kept.
fn difference(from: &str, to: &str) -> String {
    let (one, other): (Vec<&str>, Vec<&str>) = (from.split(' ').collect(), to.split(' ').collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let before = one.iter().zip(&other).take_while(same).count();
    let shorter = one.len().min(other.len()) - before;
    let after = one.iter().rev().zip(other.iter().rev()).take_while(same).count().min(shorter);
    // The metric and the comparison stand before most of what changes.
    let (first, last) = (before.saturating_sub(2), after.saturating_sub(1));
    let piece = |words: &[&str]| {
        let start = if first > 0 { "… " } else { "" };
        let end = if last > 0 { " …" } else { "" };
        format!("{start}{}{end}", words[first..words.len() - last].join(" "))
    };
    format!("{} became {}", piece(&one), piece(&other))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn what_stayed_is_left_out() {
        for (from, to, told) in [
            ("a > 5", "a >= 5", "a > 5 became a >= 5"),
            ("a > 5 for 5m", "a > 5", "… > 5 for 5m became … > 5"),
            ("a > 5 and b > 6 or c > 7", "a > 5 and b > 8 or c > 7", "… b > 6 or … became … b > 8 or …"),
            ("a", "b", "a became b"),
            ("a a a", "a a", "a a a became a a"),
        ] {
            assert_eq!(difference(from, to), told);
        }
    }
}
