//! What a rule is, once it has been read.

use std::fmt;
use std::time::Duration;

use crate::finding::Place;
use crate::time::Span;

/// The position of a metric in the list that a rule was read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricId(pub usize);

/// One rule: a condition, how long it must last, and what to do then.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name, unique in the policy.
    pub id: String,
    /// Whether the text states what must hold or what must not.
    pub form: Form,
    /// The text as a tree. For [`Form::When`] it is bad where it is true, otherwise where it is false;
    /// [`Rule::bad`] answers for both.
    pub condition: Condition,
    /// How long, and on what evidence.
    pub timing: Timing,
    /// How loudly to tell.
    pub severity: Severity,
    /// What to do when the rule fires; `None` only for [`Form::Accept`].
    pub action: Option<Action>,
    /// Evaluated and shown, and never acted on.
    pub dry_run: bool,
    /// Where the expression stands in the file.
    pub place: Place,
}

impl Rule {
    /// The condition under which the rule is bad, as a tree.
    #[must_use]
    pub fn bad(&self) -> Condition {
        match self.form {
            Form::When => self.condition.clone(),
            Form::Require | Form::Accept => Condition::Not(Box::new(self.condition.clone())),
        }
    }

    /// The action, unless the rule is a dry run.
    #[must_use]
    pub fn acts(&self) -> Option<Action> {
        if self.dry_run { None } else { self.action }
    }
}

/// Which of the two a rule states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `when:` the condition is bad, as in an alert.
    When,
    /// `require:` the condition must hold; it is bad where it does not.
    Require,
    /// `accept:` like `require:`, and read at checkpoints. Without an action nothing happens by itself.
    Accept,
}

/// What to do when a rule fires, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Write it down.
    Note,
    /// Tell people.
    Warn,
    /// Go no further.
    Hold,
    /// Undo the change.
    Rollback,
}

impl Action {
    /// All of them, weakest first.
    pub const ALL: [Self; 4] = [Self::Note, Self::Warn, Self::Hold, Self::Rollback];

    /// The word in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Hold => "hold",
            Self::Rollback => "rollback",
        }
    }
}

/// How loudly to tell. It changes no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For the record.
    Info,
    /// For working hours.
    Warning,
    /// For now.
    Critical,
}

impl Severity {
    /// All of them, weakest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of a rule that states none.
    #[must_use]
    pub fn of(action: Option<Action>) -> Self {
        match action {
            None | Some(Action::Note) => Self::Info,
            Some(Action::Warn | Action::Hold) => Self::Warning,
            Some(Action::Rollback) => Self::Critical,
        }
    }
}

/// The clauses that follow a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// `for 10m`: how long the bad state must have lasted.
    pub lasting: Duration,
    /// `keep 5m`: how long the rule goes on firing after the bad state has ended.
    pub keep: Duration,
    /// `min_samples 5 in 10m`: with less evidence the condition is unknown.
    pub min_samples: Option<MinSamples>,
    /// `max_gap 2m`: how old a sample may be to count as the present value; whoever evaluates decides where absent.
    pub max_gap: Option<Duration>,
    /// `unless no-data`: missing data neither holds nor passes; the rule is excused.
    pub unless_no_data: bool,
}

/// The least evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinSamples {
    /// Samples, or what they stand for: each counts with its weight.
    pub count: u64,
    /// The time up to now that they lie in.
    pub within: Duration,
}

/// A condition as a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `… and …`
    All(Vec<Condition>),
    /// `… or …`
    Any(Vec<Condition>),
    /// `not …`
    Not(Box<Condition>),
    /// One question about one metric.
    Test(Test),
}

impl Condition {
    /// Every test in it, from left to right.
    pub fn tests(&self) -> Vec<&Test> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::tests).collect(),
            Self::Not(inner) => inner.tests(),
            Self::Test(test) => vec![test],
        }
    }

    /// The metrics that it asks about, each once, in their order.
    #[must_use]
    pub fn metrics(&self) -> Vec<MetricId> {
        let mut all: Vec<MetricId> = self.tests().iter().map(|test| test.metric).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// One question about one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Which metric.
    pub metric: MetricId,
    /// The question.
    pub check: Check,
}

/// The questions.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// `< 200`, `<= +10%`, `> ±7%`
    Compare {
        /// How.
        op: Op,
        /// With what.
        limit: Limit,
    },
    /// `in 1..5`, both ends included
    In {
        /// The lower end.
        low: Limit,
        /// The upper end.
        high: Limit,
    },
    /// `absent`, `absent for 5m`
    Absent {
        /// No sample for that long; without it, no present value.
        lasting: Option<Duration>,
    },
    /// `fresh < 60s`
    Fresh {
        /// The last sample is younger.
        within: Duration,
    },
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `==`
    Eq,
    /// `!=`
    Ne,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Lt, Self::Le, Self::Gt, Self::Ge, Self::Eq, Self::Ne];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Eq => "==",
            Self::Ne => "!=",
        }
    }

    /// Compares; false where either is not a number, except for `!=`.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Lt => left < right,
            Self::Le => left <= right,
            Self::Gt => left > right,
            Self::Ge => left >= right,
            Self::Eq => left == right,
            Self::Ne => left != right,
        }
    }
}

/// A limit in the unit of its metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// For [`Basis::Relative`] a fraction (`+10%` is 0.1), otherwise in the unit of the metric.
    pub value: f64,
    /// What it is measured from.
    pub basis: Basis,
    /// `±`: the distance counts, in whichever direction. Only with a basis other than [`Basis::Value`].
    pub two_sided: bool,
}

/// What a limit is measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// From zero: `200`, `99.5%`.
    Value,
    /// From the baseline, as a part of it: `+10%`.
    Relative,
    /// From the baseline, in the unit of the metric: `+5ms`, `+2pp`.
    Difference,
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.lasting.is_zero() {
            write!(f, " for {}", Span(self.lasting))?;
        }
        if !self.keep.is_zero() {
            write!(f, " keep {}", Span(self.keep))?;
        }
        if let Some(MinSamples { count, within }) = self.min_samples {
            write!(f, " min_samples {count} in {}", Span(within))?;
        }
        if let Some(gap) = self.max_gap {
            write!(f, " max_gap {}", Span(gap))?;
        }
        if self.unless_no_data {
            f.write_str(" unless no-data")?;
        }
        Ok(())
    }
}
