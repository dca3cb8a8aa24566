//! Rules: what must hold, and what follows where it does not.

use std::time::Duration;

use townlet_policy::Action;

use townlet_stats::Direction;

use crate::plan::{BaselineSource, Plan};

/// One rule of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What a firing rule does at once. A rule with none is read at the gates only, and closes them while it fires.
    pub action: Option<Action>,
    /// On trial: judged and logged, and nothing follows.
    pub dry_run: bool,
    /// How long after full exposure it may be unknown at a gate. Tests that need hours of data say nothing before.
    pub known_from: Duration,
    /// The condition.
    pub condition: Condition,
}

/// When a rule is broken.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// As a rule of the grammar says ([`townlet_policy::expression`]). Its metrics are the plan's signals: metric n is
    /// signal n, and relative limits are measured from what the signal's baseline expects of the window.
    Stated(Box<townlet_policy::Rule>),
    /// A signal got worse than its baseline ([`townlet_stats::Detector`]): about three times, or absent, within two
    /// windows; or by a small shift, by a test that may be looked at with every window. Of something rare: there is
    /// more of it, by a test of counts ([`townlet_stats::RareDetector`]). What was found stays found.
    Worse {
        /// The signal.
        signal: usize,
        /// The shift that is accepted: a share of the level, or in the signal's unit where it is compared by difference.
        tolerance: f64,
    },
}

impl From<townlet_policy::Rule> for Rule {
    fn from(rule: townlet_policy::Rule) -> Self {
        Self {
            name: rule.id.clone(),
            action: rule.action,
            dry_run: rule.dry_run,
            known_from: Duration::ZERO,
            condition: Condition::Stated(Box::new(rule)),
        }
    }
}

impl Rule {
    /// Whether a rollout must not go on while this fires.
    pub(crate) fn binds(&self) -> bool {
        !self.dry_run && self.action.is_none_or(|action| action >= Action::Hold)
    }

    /// Whether it undoes the rollout.
    #[must_use]
    pub fn rolls_back(&self) -> bool {
        !self.dry_run && self.action == Some(Action::Rollback)
    }

    /// The signals that it reads, by position.
    #[must_use]
    pub fn signals(&self) -> Vec<usize> {
        match &self.condition {
            Condition::Stated(rule) => rule.condition.metrics().iter().map(|metric| metric.0).collect(),
            Condition::Worse { signal, .. } => vec![*signal],
        }
    }

    /// Why this plan cannot judge it.
    pub(crate) fn problems(&self, plan: &Plan) -> Vec<String> {
        let name = &self.name;
        let missing = self.signals().into_iter().filter(|signal| *signal >= plan.signals.len());
        let mut found: Vec<String> =
            missing.map(|signal| format!("rule `{name}` reads signal {signal}, which there is not")).collect();
        let needs: Vec<usize> = match &self.condition {
            Condition::Worse { signal, .. } => vec![*signal],
            Condition::Stated(rule) => {
                rule.condition.tests().iter().filter(|test| relative(&test.check)).map(|test| test.metric.0).collect()
            }
        };
        for signal in needs.iter().filter_map(|index| plan.signals.get(*index)) {
            let detects = matches!(self.condition, Condition::Worse { .. });
            let rare = matches!(signal.baseline, BaselineSource::Rare(_));
            let name_of = signal.name();
            if !signal.has_baseline() {
                found.push(format!("rule `{name}` compares `{name_of}` with its baseline, and it has none"));
            } else if rare && !detects {
                found.push(format!("rule `{name}` measures from the level of `{name_of}`, which is rare and has none"));
            } else if rare && signal.direction != Direction::LowerIsBetter {
                found.push(format!("rule `{name}` looks for more of `{name_of}`, of which more is not what is worse"));
            }
        }
        found
    }
}

fn relative(check: &townlet_policy::Check) -> bool {
    use townlet_policy::{Basis, Check};
    match check {
        Check::Compare { limit, .. } => limit.basis != Basis::Value,
        Check::In { low, high } => low.basis != Basis::Value || high.basis != Basis::Value,
        Check::Absent { .. } | Check::Fresh { .. } => false,
    }
}
