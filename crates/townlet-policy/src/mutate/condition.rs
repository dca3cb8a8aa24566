//! Other conditions.

use super::half;
use crate::metric::Metric;
use crate::rule::{Basis, Check, Condition, Limit, Op, Test};
use crate::unit::Unit;

/// Every condition that differs in one place.
pub(super) fn variants(condition: &Condition, metrics: &[Metric]) -> Vec<Condition> {
    match condition {
        Condition::Test(test) => {
            let unit = metrics.get(test.metric.0).map_or(&Unit::Count, |metric| &metric.unit);
            tests(test, unit)
        }
        Condition::Not(inner) => {
            let negated = variants(inner, metrics).into_iter().map(|inner| Condition::Not(Box::new(inner)));
            std::iter::once((**inner).clone()).chain(negated).collect()
        }
        Condition::All(parts) => chains(parts, metrics, Condition::All, Condition::Any(parts.clone())),
        Condition::Any(parts) => chains(parts, metrics, Condition::Any, Condition::All(parts.clone())),
    }
}

fn chains(
    parts: &[Condition],
    metrics: &[Metric],
    join: fn(Vec<Condition>) -> Condition,
    swapped: Condition,
) -> Vec<Condition> {
    let mut all = vec![swapped];
    for (at, part) in parts.iter().enumerate() {
        let mut without = parts.to_vec();
        without.remove(at);
        all.push(match without.as_slice() {
            [alone] => alone.clone(),
            _ => join(without),
        });
        for other in variants(part, metrics) {
            let mut edited = parts.to_vec();
            edited[at] = other;
            all.push(join(edited));
        }
    }
    all
}

fn tests(test: &Test, unit: &Unit) -> Vec<Condition> {
    let other = |check| Condition::Test(Test { metric: test.metric, check });
    let against = Condition::Not(Box::new(Condition::Test(test.clone())));
    match test.check {
        Check::Compare { op, limit } => compares(op, limit, unit).into_iter().map(other).collect(),
        Check::In { low, high } => {
            let step = (high.value - low.value) / 10.0;
            let step = if step == 0.0 { nudge(low, unit) } else { step };
            let moved = |limit: Limit, by: f64| Limit { value: limit.value + by, ..limit };
            let ends = [(step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step)];
            let all = ends.map(|(at, end)| other(Check::In { low: moved(low, at), high: moved(high, end) }));
            all.into_iter().chain([against]).collect()
        }
        Check::Absent { lasting: None } => vec![against],
        Check::Absent { lasting: Some(span) } => {
            let half = Some(half(span)).filter(|half| !half.is_zero());
            let mut all = vec![against, other(Check::Absent { lasting: None })];
            all.extend(half.map(|half| other(Check::Absent { lasting: Some(half) })));
            all
        }
        Check::Fresh { within } => {
            let halves = half(within);
            let mut all = vec![against, other(Check::Fresh { within: within * 2 })];
            if !halves.is_zero() {
                all.push(other(Check::Fresh { within: halves }));
            }
            all
        }
    }
}

fn compares(op: Op, limit: Limit, unit: &Unit) -> Vec<Check> {
    let mut all = Vec::new();
    let (flipped, loosened) = match op {
        Op::Lt => (Op::Gt, Some(Op::Le)),
        Op::Le => (Op::Ge, Some(Op::Lt)),
        Op::Gt => (Op::Lt, Some(Op::Ge)),
        Op::Ge => (Op::Le, Some(Op::Gt)),
        Op::Eq => (Op::Ne, None),
        Op::Ne => (Op::Eq, None),
    };
    all.push(Check::Compare { op: flipped, limit });
    all.extend(loosened.map(|op| Check::Compare { op, limit }));
    if *unit == Unit::Bool {
        return all;
    }
    let step = nudge(limit, unit);
    // Without the dust of binary fractions, which nobody would write.
    let round = |value: f64| format!("{value:.12}").parse().unwrap_or(value);
    for value in [round(limit.value + step), round(limit.value - step)] {
        all.push(Check::Compare { op, limit: Limit { value, ..limit } });
    }
    // With or without a direction.
    if limit.basis != Basis::Value && loosened.is_some() {
        // What was bad below -6% is then bad beyond ±6%.
        let op = if limit.value < 0.0 { flipped } else { op };
        let turned = Limit { value: limit.value.abs(), two_sided: !limit.two_sided, ..limit };
        all.push(Check::Compare { op, limit: turned });
    }
    all
}

/// A tenth of a limit; of zero, what people would take for a little.
fn nudge(limit: Limit, unit: &Unit) -> f64 {
    match (limit.value, limit.basis, unit) {
        (value, ..) if value != 0.0 => value.abs() / 10.0,
        (_, Basis::Relative, _) | (_, _, Unit::Ratio) => 0.01,
        _ => 1.0,
    }
}
