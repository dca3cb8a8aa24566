//! The policies, asked of the samples at the moment of the decision.

use townlet_policy::evaluate::Reason as Why;
use townlet_policy::{Action, Evaluator, Form, Metric, MetricId, Rule, State, Status, Time as Tick, expression};
use townlet_registry::Time;

use super::board::Policies;
use super::case::{Case, Measured};
use super::code::Code;
use super::samples::{DERIVED, OPEN_INCIDENTS, Samples};
use super::verdict::{Condition, Observed, Standing};

/// What follows from statements instead of samples: whether the suites passed, and whether a waiver that would be
/// needed has expired. `None` where nobody can tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Derived {
    pub(super) readiness_passed: Option<bool>,
    pub(super) readiness_waiver_expired: Option<bool>,
    /// How many critical incidents are open, where that is counted from statements.
    pub(super) open_incidents: Option<usize>,
}

/// The rules that an environment demands: those that act, and those that state what is acceptable.
pub(super) fn demanded<'c>(case: &'c Case, policies: &Policies) -> Vec<&'c Rule> {
    let acts = |rule: &&Rule| match rule.form {
        Form::Accept => !rule.dry_run,
        Form::When | Form::Require => matches!(rule.acts(), Some(Action::Hold | Action::Rollback)),
    };
    match policies {
        Policies::All => case.policy.rules.iter().filter(acts).collect(),
        // What is named is demanded, whatever it does by itself.
        Policies::These(ids) => case.policy.rules.iter().filter(|rule| ids.contains(&rule.id)).collect(),
    }
}

/// Whether a rule asks about one of these metrics.
pub(super) fn asks_about(case: &Case, rule: &Rule, names: &[&str]) -> bool {
    let metrics = rule.condition.metrics();
    metrics.iter().any(|id| case.policy.metrics.get(id.0).is_some_and(|metric| names.contains(&metric.name.as_str())))
}

/// A condition for each of these rules.
pub(super) fn conditions(case: &Case, rules: &[&Rule], derived: Derived) -> Vec<Condition> {
    let statuses = statuses(case, rules, derived);
    let ruled = rules.iter().enumerate().map(|(at, rule)| {
        let status = statuses.as_ref().map(|all| all.get(at));
        let mut condition = match status {
            _ if case.supposed.contains(&rule.id) => Condition::met(&rule.id, Vec::new()),
            Err((code, text)) => Condition::standing(&rule.id, Standing::Unknown).because(*code, text),
            Ok(status) => standing(case, rule, status),
        };
        condition.rule = Some(expression::rule(rule, &case.policy.metrics));
        condition.observed = observed(case, rule);
        condition
    });
    ruled.collect()
}

fn standing(case: &Case, rule: &Rule, status: Option<&Status>) -> Condition {
    let lost = lost(case, rule);
    if let Some(text) = lost {
        return Condition::standing(&rule.id, Standing::Unknown).because(Code::SamplesIncomplete, text);
    }
    let Some(status) = status else {
        return Condition::standing(&rule.id, Standing::Unknown)
            .because(Code::EvidenceUnavailable, "the policy was not evaluated");
    };
    match status.state {
        State::Inactive => Condition::met(&rule.id, Vec::new()),
        State::Pending { since } => {
            let text = format!("it is violated since {}, though not yet for as long as it asks", time(since));
            Condition::unmet(&rule.id, Code::PolicyViolated, text)
        }
        State::Firing { since } => {
            Condition::unmet(&rule.id, Code::PolicyViolated, format!("it is violated since {}", time(since)))
        }
        State::Unknown { .. } | State::Excused { .. } => {
            let mut condition = Condition::standing(&rule.id, Standing::Unknown);
            for why in &status.why {
                condition = condition.because(Code::EvidenceUnavailable, explained(*why, &case.policy.metrics));
            }
            if condition.reasons.is_empty() {
                condition = condition.because(Code::EvidenceUnavailable, "nobody can tell");
            }
            condition
        }
    }
}

/// Which metric of a rule lost samples on the way.
fn lost(case: &Case, rule: &Rule) -> Option<String> {
    let Measured::Given(samples) = &case.measured else { return None };
    let asked = rule.condition.metrics();
    let mut named = asked.iter().filter_map(|id| case.policy.metrics.get(id.0));
    named.find_map(|metric| {
        let series = samples.series.iter().find(|series| series.metric == metric.name && series.dropped > 0)?;
        Some(format!("{} samples of {} were lost", series.dropped, metric.name))
    })
}

fn statuses(case: &Case, rules: &[&Rule], derived: Derived) -> Result<Vec<Status>, (Code, String)> {
    let none = Samples::default();
    let samples = match &case.measured {
        Measured::Given(samples) => samples,
        Measured::Missing => &none,
        Measured::Invalid(why) => return Err((Code::SamplesInvalid, why.clone())),
    };
    let late = samples.series.iter().find_map(|series| series.samples.iter().find(|sample| sample.at > case.as_of));
    if let Some(late) = late {
        return Err((Code::SamplesInvalid, format!("one is of {}, and this is {}", late.at, case.as_of)));
    }
    let counted = derived.open_incidents.is_some();
    if counted && samples.series.iter().any(|series| series.metric == OPEN_INCIDENTS) {
        let text = format!("the board has {OPEN_INCIDENTS} counted from statements; take it out of the samples");
        return Err((Code::SamplesInvalid, text));
    }
    evaluate(case, rules, samples, derived).map_err(|why| (Code::EvidenceUnavailable, why))
}

/// Feeds the samples in the order of their times, and asks at each of them, so that `for` and `keep` see what was.
fn evaluate(case: &Case, rules: &[&Rule], samples: &Samples, derived: Derived) -> Result<Vec<Status>, String> {
    let metrics = &case.policy.metrics;
    let id = |name: &str| metrics.iter().position(|metric| metric.name == name).map(MetricId);
    let mut fed: Vec<(Time, MetricId, f64, u64)> = Vec::new();
    for series in &samples.series {
        let Some(id) = id(&series.metric) else { continue };
        fed.extend(series.samples.iter().map(|sample| (sample.at, id, sample.value, sample.weight)));
    }
    for (name, value) in DERIVED.iter().zip([derived.readiness_passed, derived.readiness_waiver_expired]) {
        if let (Some(id), Some(value)) = (id(name), value) {
            fed.push((case.as_of, id, f64::from(u8::from(value)), 1));
        }
    }
    if let (Some(id), Some(open)) = (id(OPEN_INCIDENTS), derived.open_incidents) {
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 incidents")]
        fed.push((case.as_of, id, open as f64, 1));
    }
    fed.sort_by_key(|(at, id, ..)| (*at, *id));
    let started = fed.first().map_or(case.as_of, |first| first.0);
    let rules: Vec<Rule> = rules.iter().map(|rule| (*rule).clone()).collect();
    let words = |error: townlet_policy::EvaluateError| error.to_string();
    let mut evaluator = Evaluator::new(&rules, metrics.len(), tick(started), case.policy.settings).map_err(words)?;
    for series in &samples.series {
        if let Some(id) = id(&series.metric) {
            evaluator.baseline(id, series.baseline).map_err(words)?;
        }
    }
    let mut rest = fed.as_slice();
    while let Some((at, ..)) = rest.first().copied().filter(|(at, ..)| *at < case.as_of) {
        let (now, later) = rest.split_at(rest.partition_point(|sample| sample.0 <= at));
        for (at, id, value, weight) in now {
            evaluator.sample(*id, tick(*at), *value, *weight).map_err(words)?;
        }
        evaluator.evaluate(tick(at)).map_err(words)?;
        rest = later;
    }
    for (at, id, value, weight) in rest {
        evaluator.sample(*id, tick(*at), *value, *weight).map_err(words)?;
    }
    evaluator.evaluate(tick(case.as_of)).map_err(words)
}

/// The last samples of the metrics that a rule asks about.
fn observed(case: &Case, rule: &Rule) -> Vec<Observed> {
    let Measured::Given(samples) = &case.measured else { return Vec::new() };
    let ids = rule.condition.metrics();
    let metrics = ids.iter().filter_map(|id| case.policy.metrics.get(id.0));
    let last = metrics.filter_map(|metric| {
        let series = samples.series.iter().find(|series| series.metric == metric.name)?;
        let sample = series.samples.iter().rev().find(|sample| sample.at <= case.as_of)?;
        Some(Observed { metric: metric.name.clone(), value: sample.value, at: sample.at })
    });
    last.collect()
}

fn explained(why: Why, metrics: &[Metric]) -> String {
    let name = metrics.get(why.metric().0).map_or("a metric", |metric| metric.name.as_str());
    match why {
        Why::NoData(_) => format!("{name} has no sample that is young enough"),
        Why::TooFewSamples { have, need, .. } => format!("{name} has {have} samples where {need} are asked for"),
        Why::NoBaseline(_) => format!("{name} has no baseline to measure from"),
        Why::NotANumber(_) => format!("the last sample of {name} is no number"),
        Why::WatchedTooShort(_) => format!("{name} was not watched for long enough"),
        _ => format!("nobody can tell about {name}"),
    }
}

/// Times of policies have no sign; before 1970 nothing was measured.
fn tick(at: Time) -> Tick {
    Tick::from_ms(u64::try_from(at.as_ms()).unwrap_or(0))
}

fn time(at: Tick) -> Time {
    Time::from_ms(i64::try_from(at.as_ms()).unwrap_or(i64::MAX))
}
