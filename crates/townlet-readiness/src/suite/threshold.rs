//! Thresholds: rules of `townlet-policy` about one run of one suite.

use townlet_policy::{
    Action, Basis, Check, Code, Condition, Evaluator, Form, GapMode, Metric, MetricId, Op, Place, Reason, Rule,
    Settings, Severity, State, Time, Truth, Unit, Worse, expression,
};

use crate::report::{ThresholdResult, ThresholdState};

/// One threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The key that gave it (`max_flake_rate`), or `require`.
    pub key: String,
    /// As the grammar prints it.
    pub text: String,
    /// The rule: bad where the text does not hold.
    pub rule: Rule,
}

/// What is known of a metric in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Given {
    /// Its value.
    pub value: Option<f64>,
    /// What the value stands for under `min_samples`: runs for a rate, else 1.
    pub weight: u64,
    /// What a limit with a sign is measured from.
    pub baseline: Option<f64>,
}

/// What every suite has, with unit and direction.
const OF_EVERY_SUITE: [(&str, &str, Worse); 5] = [
    ("duration_seconds", "s", Worse::Up),
    ("attempts", "count", Worse::Up),
    ("success_rate", "ratio", Worse::Down),
    ("flake_rate", "ratio", Worse::Up),
    ("error_budget_burn", "count", Worse::Up),
];

/// What a suite with a JUnit file has too.
const OF_TESTS: [(&str, Worse); 5] = [
    ("tests", Worse::Down),
    ("tests_passed", Worse::Down),
    ("tests_failed", Worse::Up),
    ("tests_skipped", Worse::Up),
    ("tests_flaky", Worse::Up),
];

/// What the thresholds of a suite may be about.
pub(super) fn metrics(junit: bool, benches: &[String]) -> Vec<Metric> {
    let metric = |name: &str, unit: &str, worse| Metric { name: name.to_owned(), unit: Unit::parse(unit), worse };
    let mut all: Vec<Metric> = OF_EVERY_SUITE.iter().map(|(name, unit, worse)| metric(name, unit, *worse)).collect();
    if junit {
        all.extend(OF_TESTS.iter().map(|(name, worse)| metric(name, "count", *worse)));
    }
    all.extend(benches.iter().map(|name| metric(name, "ns", Worse::Up)));
    all
}

/// A threshold that cannot be taken: where in its text, and why.
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) column: usize,
    pub(super) width: usize,
    pub(super) message: String,
    pub(super) help: String,
}

impl Threshold {
    /// Reads a condition. `most` says how far a metric can go, so that a limit beyond is refused.
    pub(super) fn read(
        key: &str,
        text: &str,
        metrics: &[Metric],
        place: Place,
        most: impl Fn(&str) -> Option<f64>,
    ) -> Result<Self, Refused> {
        let whole = |code, message: String, help: &str| Refused {
            code,
            column: 0,
            width: text.chars().count().max(1),
            message,
            help: help.to_owned(),
        };
        let read = expression::parse(text, metrics, None).map_err(|fault| {
            let code = match fault.kind {
                expression::ErrorKind::UnknownMetric => Code::UnknownMetric,
                expression::ErrorKind::Unit => Code::Unit,
                _ => Code::Expression,
            };
            let known = || {
                let name: String = text.chars().skip(fault.column).take(fault.width).collect();
                let all: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
                let meant = townlet_policy::nearest(&name, all.iter().copied()).map(|name| format!("write {name}"));
                meant.unwrap_or_else(|| format!("this suite has {}", all.join(", ")))
            };
            let help = if code == Code::UnknownMetric { known() } else { fault.help.clone().unwrap_or_default() };
            Refused { code, column: fault.column, width: fault.width, message: fault.message, help }
        })?;
        let timing = &read.timing;
        if !timing.lasting.is_zero() || !timing.keep.is_zero() || timing.max_gap.is_some() {
            let message = "a suite is judged once, when it is over, so for, keep and max_gap have no meaning";
            return Err(whole(Code::Expression, message.into(), "leave the clause out"));
        }
        let rule = Rule {
            id: text.to_owned(),
            form: Form::Require,
            condition: read.condition,
            timing: read.timing,
            severity: Severity::of(Some(Action::Hold)),
            action: Some(Action::Hold),
            dry_run: false,
            place,
        };
        for test in rule.condition.tests() {
            if matches!(test.check, Check::Absent { .. } | Check::Fresh { .. }) {
                let message = "a suite is judged once, when it is over, so absent and fresh have no meaning";
                return Err(whole(Code::Expression, message.into(), "compare with a value"));
            }
        }
        if let Some(message) = out_of_reach(&rule.condition, metrics, most) {
            return Err(whole(Code::NeverBad, message, "set a limit that a run can break, or leave it out"));
        }
        let text = expression::condition(&rule.condition, metrics);
        let text = format!("{text}{}", rule.timing);
        Ok(Self { key: key.to_owned(), text, rule })
    }

    /// What the threshold says of a run.
    pub(super) fn judge(&self, metrics: &[Metric], given: &[Given]) -> ThresholdResult {
        let settings = Settings { gap: GapMode::Hold, ..Settings::default() };
        let at = Time::from_ms(0);
        let rules = [self.rule.clone()];
        let (state, why) = match Evaluator::new(&rules, metrics.len(), at, settings) {
            Ok(mut evaluator) => {
                for (id, given) in given.iter().enumerate().map(|(id, given)| (MetricId(id), given)) {
                    // One sample a metric at one time, and as many metrics as the evaluator has: nothing to refuse.
                    let _ = evaluator.baseline(id, given.baseline);
                    let _ = given.value.map(|value| evaluator.sample(id, at, value, given.weight));
                }
                match evaluator.evaluate(at).ok().and_then(|statuses| statuses.into_iter().next()) {
                    Some(status) => {
                        debug_assert!(status.truth != Truth::Unknown || !status.why.is_empty());
                        let why = status.why.iter().map(|reason| explain(*reason, metrics)).collect();
                        (state(status.state), why)
                    }
                    None => (ThresholdState::Unknown, vec!["it could not be evaluated".to_owned()]),
                }
            }
            Err(error) => (ThresholdState::Unknown, vec![error.to_string()]),
        };
        let about = self.rule.condition.metrics();
        let values = about.iter().filter_map(|id| Some((metrics.get(id.0)?.name.clone(), given.get(id.0)?.value?)));
        ThresholdResult {
            key: self.key.clone(),
            threshold: self.text.clone(),
            state,
            values: values.collect(),
            reasons: why,
        }
    }
}

fn state(state: State) -> ThresholdState {
    match state {
        State::Inactive => ThresholdState::Held,
        State::Firing { .. } | State::Pending { .. } => ThresholdState::Violated,
        State::Unknown { .. } => ThresholdState::Unknown,
        State::Excused { .. } => ThresholdState::Excused,
    }
}

fn explain(reason: Reason, metrics: &[Metric]) -> String {
    let name = metrics.get(reason.metric().0).map_or("the metric", |metric| metric.name.as_str());
    match reason {
        Reason::NoData(_) => format!("{name} has no value in this run"),
        Reason::TooFewSamples { have, need, .. } => format!("{name} stands on {have} of the {need} runs asked for"),
        Reason::NoBaseline(_) => format!("{name} has no baseline"),
        _ => format!("{name} cannot be compared"),
    }
}

/// Why a comparison can never be broken, or never be met: its limit lies outside of what the metric can be.
fn out_of_reach(condition: &Condition, metrics: &[Metric], most: impl Fn(&str) -> Option<f64>) -> Option<String> {
    // Only for the plain case; what stands under `or` and `not` is for the lint of the whole.
    let Condition::Test(test) = condition else { return None };
    let Check::Compare { op, limit } = test.check else { return None };
    let metric = metrics.get(test.metric.0)?;
    let high = most(&metric.name).or_else(|| (metric.unit == Unit::Ratio).then_some(1.0)).unwrap_or(f64::INFINITY);
    if limit.basis != Basis::Value || limit.two_sided || matches!(op, Op::Eq | Op::Ne) {
        return None;
    }
    let (at_least, at_most) = (op.holds(0.0, limit.value), op.holds(high, limit.value));
    let name = &metric.name;
    match (at_least, at_most) {
        (true, true) => Some(format!("this can never fire: {name} lies between 0 and {high}")),
        (false, false) => Some(format!("this can never be met: {name} lies between 0 and {high}")),
        _ => None,
    }
}
