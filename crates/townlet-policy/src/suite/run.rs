//! Tests, run.

use std::fmt;

use super::bind::{Arrival, Bound, BoundCase};
use super::{Expected, Stand};
use crate::evaluate::{EvaluateError, Evaluator, Reason, Status};
use crate::finding::{Code, Finding, Level, Place};
use crate::policy::Policy;
use crate::rule::Action;
use crate::time::{Time, shorten};

/// An expectation that was not met.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The name of the test.
    pub test: String,
    /// When.
    pub at: Time,
    /// Where the expectation stands in the test file.
    pub place: Place,
    /// What was not met.
    pub fault: Fault,
}

/// What can be not as expected.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A rule stands elsewhere.
    Rule {
        /// Its id.
        id: String,
        /// What was expected.
        expected: Stand,
        /// What was; `None` if there is no such rule.
        was: Option<Stand>,
        /// Why it is unknown, for people; empty otherwise.
        why: String,
    },
    /// Another action is the strongest.
    Does {
        /// What was expected; `None` for nothing.
        expected: Option<Action>,
        /// What was.
        was: Option<Action>,
    },
    /// The series cannot be fed to these rules.
    Feed(EvaluateError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |action: &Option<Action>| action.map_or("nothing", Action::as_str);
        write!(f, "{}: at {} ", shorten(&self.test), self.at)?;
        match &self.fault {
            Fault::Rule { id, expected, was: None, .. } => {
                write!(f, "'{}' is expected {}, and there is no such rule", shorten(id), expected.as_str())
            }
            Fault::Rule { id, expected, was: Some(was), why } => {
                let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
                write!(f, "'{}' is {}, not {}{why}", shorten(id), was.as_str(), expected.as_str())
            }
            Fault::Does { expected, was } => write!(f, "the rules do {}, not {}", word(was), word(expected)),
            Fault::Feed(error) => error.fmt(f),
        }
    }
}

impl From<Failure> for Finding {
    fn from(failure: Failure) -> Self {
        Self::new(Code::TestFailed, Level::Error, failure.place, failure.to_string())
    }
}

impl Bound {
    /// The number of tests.
    #[must_use]
    pub fn tests(&self) -> usize {
        self.cases.len()
    }

    /// The number of times that are looked at.
    #[must_use]
    pub fn expectations(&self) -> usize {
        self.cases.iter().map(|case| case.expect.len()).sum()
    }

    /// What is not as expected, in the order of the file.
    #[must_use]
    pub fn run(&self, policy: &Policy) -> Vec<Failure> {
        let mut all = Vec::new();
        for case in &self.cases {
            case.run(policy, &mut |failure| {
                all.push(failure);
                true
            });
        }
        all
    }

    /// Whether all is as expected. It stops at the first that is not.
    #[must_use]
    pub fn passes(&self, policy: &Policy) -> bool {
        self.cases.iter().all(|case| {
            let mut passes = true;
            case.run(policy, &mut |_| {
                passes = false;
                false
            });
            passes
        })
    }
}

impl BoundCase {
    /// Hands each failure to `tell`, until it says false.
    fn run(&self, policy: &Policy, tell: &mut dyn FnMut(Failure) -> bool) {
        if let Err((at, place, error)) = self.feed(policy, tell) {
            tell(Failure { test: self.name.clone(), at, place, fault: Fault::Feed(error) });
        }
    }

    fn feed(&self, policy: &Policy, tell: &mut dyn FnMut(Failure) -> bool) -> Result<(), (Time, Place, EvaluateError)> {
        let top = |error| (Time::default(), Place::TOP, error);
        let evaluator = Evaluator::new(&policy.rules, policy.metrics.len(), Time::default(), policy.settings);
        let mut evaluator = evaluator.map_err(top)?;
        for (metric, value) in &self.baselines {
            evaluator.baseline(*metric, Some(*value)).map_err(top)?;
        }
        let (mut arrivals, mut now) = (self.arrivals.as_slice(), Time::default());
        for expected in &self.expect {
            loop {
                let fault = |error| (now, expected.place, error);
                while let [Arrival { at, metric, value, weight }, rest @ ..] = arrivals
                    && *at <= now
                {
                    arrivals = rest;
                    let taken = match value {
                        Some(value) => evaluator.sample(*metric, *at, *value, *weight),
                        None => evaluator.stale(*metric, *at),
                    };
                    taken.map_err(fault)?;
                }
                let statuses = evaluator.evaluate(now).map_err(fault)?;
                let here = now == expected.at;
                now = now + self.evaluate;
                if here {
                    if !self.compare(policy, expected, &statuses, tell) {
                        return Ok(());
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    fn compare(
        &self,
        policy: &Policy,
        expected: &Expected,
        statuses: &[Status],
        tell: &mut dyn FnMut(Failure) -> bool,
    ) -> bool {
        let mut tell =
            |place: Place, fault: Fault| tell(Failure { test: self.name.clone(), at: expected.at, place, fault });
        let all = || policy.rules.iter().zip(statuses);
        for named in &expected.rules {
            let status = all().find(|(rule, _)| rule.id == named.name).map(|(_, status)| status);
            let was = status.map(|status| Stand::from(status.state));
            if was != Some(named.value) {
                let why = status.map(|status| why(policy, status)).unwrap_or_default();
                let fault = Fault::Rule { id: named.name.clone(), expected: named.value, was, why };
                if !tell(named.place, fault) {
                    return false;
                }
            }
        }
        if let Some(stand) = expected.others {
            let named = |id: &str| expected.rules.iter().any(|named| named.name == id);
            for (rule, status) in all().filter(|(rule, _)| !named(&rule.id)) {
                let was = Stand::from(status.state);
                let (id, why) = (rule.id.clone(), why(policy, status));
                let fault = Fault::Rule { id, expected: stand, was: Some(was), why };
                if was != stand && !tell(expected.place, fault) {
                    return false;
                }
            }
        }
        let firing = all().filter(|(_, status)| Stand::from(status.state) == Stand::Firing);
        let was = firing.filter_map(|(rule, _)| rule.acts()).max();
        match expected.does {
            Some(does) if does != was => tell(expected.place, Fault::Does { expected: does, was }),
            _ => true,
        }
    }
}

/// Why a rule is unknown, for people.
fn why(policy: &Policy, status: &Status) -> String {
    let name = |reason: &Reason| policy.metrics.get(reason.metric().0).map_or("?", |metric| metric.name.as_str());
    let each = status.why.iter().map(|reason| match reason {
        Reason::NoData(_) => format!("no data of {}", name(reason)),
        Reason::TooFewSamples { have, need, .. } => format!("{have} of {need} samples of {}", name(reason)),
        Reason::NoBaseline(_) => format!("no baseline of {}", name(reason)),
        Reason::NotANumber(_) => format!("{} is not a number", name(reason)),
        Reason::WatchedTooShort(_) => format!("{} is watched for too short a time", name(reason)),
    });
    each.collect::<Vec<_>>().join(", ")
}
