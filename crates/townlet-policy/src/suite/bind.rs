//! The names of a test file, looked up in its policy.

use super::{Expected, Point, Suite};
use crate::finding::{Code, Findings};
use crate::nearest::nearest;
use crate::policy::Policy;
use crate::reader::{Reader, meant, position};
use crate::rule::MetricId;
use crate::time::{Time, shorten};

/// Tests that fit a policy, and every policy with the same metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    pub(super) cases: Vec<BoundCase>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct BoundCase {
    pub(super) name: String,
    pub(super) evaluate: std::time::Duration,
    pub(super) baselines: Vec<(MetricId, f64)>,
    /// Everything that comes, in the order of time.
    pub(super) arrivals: Vec<Arrival>,
    pub(super) expect: Vec<Expected>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrival {
    pub(super) at: Time,
    pub(super) metric: MetricId,
    /// `None` is a stale marker.
    pub(super) value: Option<f64>,
    pub(super) weight: u64,
}

impl Suite {
    /// Looks up every name. `None` if one is not known, or a baseline does not fit its metric.
    pub fn bind(&self, policy: &Policy, found: &mut Findings) -> Option<Bound> {
        let mut reader = Reader::new(found);
        let cases = self.tests.iter().map(|case| {
            let mut metric = |name: &str, place| {
                let id = position(name, &policy.metrics);
                if id.is_none() {
                    let what = format!("the policy has no metric '{}'", shorten(name));
                    reader.error(Code::UnknownMetric, place, what, &meant(name, &policy.metrics));
                }
                id
            };
            let series: Vec<_> = case
                .series
                .iter()
                .filter_map(|named| Some((metric(&named.name, named.place)?, &named.value)))
                .collect();
            let weights: Vec<_> = case
                .weights
                .iter()
                .filter_map(|named| Some((metric(&named.name, named.place)?, named.value)))
                .collect();
            let written: Vec<_> =
                case.baselines.iter().filter_map(|named| Some((metric(&named.name, named.place)?, named))).collect();
            let mut baselines = Vec::new();
            for (id, named) in written {
                match number(&named.value, id, policy) {
                    Ok(value) => baselines.push((id, value)),
                    Err(message) => reader.error(Code::Unit, named.place, message, "write 80, or 80ms"),
                }
            }
            let ids = policy.rules.iter().map(|rule| rule.id.as_str());
            for named in case.expect.iter().flat_map(|expected| &expected.rules) {
                if !policy.rules.iter().any(|rule| rule.id == named.name) {
                    let help = nearest(&named.name, ids.clone())
                        .map_or_else(|| "take the id of a rule".to_owned(), |id| format!("write {id}"));
                    let what = format!("the policy has no rule '{}'", shorten(&named.name));
                    reader.error(Code::UnknownRule, named.place, what, &help);
                }
            }
            let mut arrivals = Vec::new();
            for (metric, points) in series {
                let weight = weights.iter().find(|(of, _)| *of == metric).map_or(1, |(_, weight)| *weight);
                let times = (0_u32..).map(|number| Time::default() + case.interval.saturating_mul(number));
                arrivals.extend(times.zip(points).filter_map(|(at, point)| match point {
                    Point::Missing => None,
                    Point::Stale => Some(Arrival { at, metric, value: None, weight: 0 }),
                    Point::Value(value) => Some(Arrival { at, metric, value: Some(*value), weight }),
                }));
            }
            arrivals.sort_by_key(|arrival| (arrival.at, arrival.metric));
            let (name, evaluate, expect) = (case.name.clone(), case.evaluate, case.expect.clone());
            BoundCase { name, evaluate, baselines, arrivals, expect }
        });
        let cases = cases.collect();
        let broken = reader.broken;
        found.sort();
        (!broken).then_some(Bound { cases })
    }
}

/// `80`, `80ms`, `-5`: in the unit of the metric.
fn number(text: &str, metric: MetricId, policy: &Policy) -> Result<f64, String> {
    let text = text.trim();
    let suffix = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
    let wrong = || format!("'{}' is no number", shorten(text));
    let number: f64 = text[..suffix].parse().map_err(|_| wrong())?;
    let unit = &policy.metrics.get(metric.0).ok_or_else(wrong)?.unit;
    unit.convert(number, text[suffix..].trim())
}
