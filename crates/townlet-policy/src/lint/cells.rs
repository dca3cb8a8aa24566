//! All that can be the case, as far as some conditions can tell.

use std::time::Duration;

use crate::evaluate::{GapMode, Settings};
use crate::expression::limit;
use crate::metric::Metric;
use crate::rule::{Basis, Check, Condition, Limit, MetricId, Op, Test};
use crate::truth::Truth;
use crate::unit::Unit;

/// A condition, and how old its present values may be.
pub(super) struct Asked<'a> {
    pub(super) bad: &'a Condition,
    pub(super) max_gap: Duration,
}

/// One case for one metric.
#[derive(Clone, Copy)]
struct Cell {
    /// Milliseconds since the last sample.
    age: f64,
    content: Content,
    /// The change against the baseline: as a fraction of it, and in the unit of the metric.
    relative: Option<f64>,
    difference: Option<f64>,
}

#[derive(Clone, Copy)]
enum Content {
    /// A stale marker came after the last sample.
    Ended,
    /// There is a sample, and nothing may be concluded from it.
    Thin,
    Value(f64),
}

pub(super) struct Worlds {
    settings: Settings,
    /// Whether each metric has no value but those from 0 to 1.
    bounded: Vec<bool>,
    left: usize,
}

/// The most cases of one question, and of all questions of one policy.
const MOST: usize = 20_000;
const MOST_IN_ALL: usize = 10_000_000;

impl Worlds {
    pub(super) fn new(settings: Settings, metrics: &[Metric]) -> Self {
        let bounded = metrics.iter().map(|metric| matches!(metric.unit, Unit::Ratio | Unit::Bool));
        Self { settings, bounded: bounded.collect(), left: MOST_IN_ALL }
    }

    /// Hands the truths of the conditions in each case to `tell`, until it says false. Answers `false` if there are
    /// too many cases, and nothing may be concluded.
    pub(super) fn each(&mut self, asked: &[Asked<'_>], mut tell: impl FnMut(&[Truth]) -> bool) -> bool {
        let mut metrics: Vec<MetricId> = asked.iter().flat_map(|one| one.bad.metrics()).collect();
        metrics.sort_unstable();
        metrics.dedup();
        self.each_of(metrics, asked, |truths, _| tell(truths))
    }

    /// The same for the cases of these metrics alone, nothing being known of the others. Hands over the case as well.
    pub(super) fn each_of(
        &mut self,
        metrics: Vec<MetricId>,
        asked: &[Asked<'_>],
        mut tell: impl FnMut(&[Truth], World<'_>) -> bool,
    ) -> bool {
        if self.left == 0 {
            return false;
        }
        let mut axes: Vec<(MetricId, Vec<Cell>)> = Vec::with_capacity(metrics.len());
        let mut count = 2_usize;
        for metric in metrics {
            let bounded = self.bounded.get(metric.0).copied().unwrap_or(false);
            let Some(cells) = cells(metric, asked, bounded) else { return false };
            // Making them is work as well.
            self.left = self.left.saturating_sub(cells.len());
            count = count.saturating_mul(cells.len());
            if count > MOST {
                return false;
            }
            axes.push((metric, cells));
        }
        let Some(left) = self.left.checked_sub(count) else {
            self.left = 0;
            return false;
        };
        self.left = left;
        for number in 0..count {
            let watched = number % 2 == 0;
            let mut rest = number / 2;
            let world: Vec<(MetricId, Cell)> = axes
                .iter()
                .map(|(metric, cells)| {
                    let cell = cells[rest % cells.len()];
                    rest /= cells.len();
                    (*metric, cell)
                })
                .collect();
            let case = |one: &Asked<'_>| {
                Case { world: &world, watched, mode: self.settings.gap, max_gap: millis(one.max_gap) }.truth(one.bad)
            };
            let truths: Vec<Truth> = asked.iter().map(case).collect();
            if !tell(&truths, World(&world)) {
                break;
            }
        }
        true
    }

    /// What a condition says when a metric has ended long ago, nothing being known of the others.
    pub(super) fn ended(&self, metric: MetricId, asked: &Asked<'_>) -> Truth {
        let cell = Cell { age: f64::MAX, content: Content::Ended, relative: None, difference: None };
        let (mode, max_gap) = (self.settings.gap, millis(asked.max_gap));
        Case { world: &[(metric, cell)], watched: true, mode, max_gap }.truth(asked.bad)
    }
}

/// One case of some metrics.
#[derive(Clone, Copy)]
pub(super) struct World<'a>(&'a [(MetricId, Cell)]);

impl World<'_> {
    /// Whether a value in it is not a number, as a quotient of nothing is. To Prometheus that is not bad.
    pub(super) fn has_nan(self) -> bool {
        self.0.iter().any(|(_, cell)| matches!(cell.content, Content::Value(value) if value.is_nan()))
    }

    /// It in words: `p95 at +5.5%`.
    pub(super) fn describe(self, metrics: &[Metric]) -> String {
        let each = self.0.iter().filter_map(|(id, cell)| {
            let metric = metrics.get(id.0)?;
            let limit = |value, basis| limit(Limit { value, basis, two_sided: false }, &metric.unit);
            let change = cell.relative.map(|value| limit(value, Basis::Relative));
            let change = change.or_else(|| cell.difference.map(|value| limit(value, Basis::Difference)));
            let text = match (cell.content, change) {
                (Content::Value(_), Some(change)) => format!("at {change}"),
                (Content::Value(value), None) => format!("at {}", limit(value, Basis::Value)),
                (Content::Ended | Content::Thin, _) => "without data".to_owned(),
            };
            Some(format!("{} {text}", metric.name))
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

/// Every case of one metric; `None` if a limit is no number or there are too many.
fn cells(metric: MetricId, asked: &[Asked<'_>], bounded: bool) -> Option<Vec<Cell>> {
    let (mut ages, mut values, mut relative, mut difference) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for one in asked {
        ages.push(millis(one.max_gap));
        for test in one.bad.tests().into_iter().filter(|test| test.metric == metric) {
            let limits = match test.check {
                Check::Compare { limit, .. } => vec![limit],
                Check::In { low, high } => vec![low, high],
                Check::Absent { lasting: Some(span) } | Check::Fresh { within: span } => {
                    ages.push(millis(span));
                    Vec::new()
                }
                Check::Absent { lasting: None } => Vec::new(),
            };
            for limit in limits {
                let axis = match limit.basis {
                    Basis::Value => &mut values,
                    Basis::Relative => &mut relative,
                    Basis::Difference => &mut difference,
                };
                axis.push(limit.value);
                if limit.two_sided {
                    axis.push(-limit.value);
                }
            }
        }
    }
    let changes = |cuts: Vec<f64>| -> Option<Vec<Option<f64>>> {
        if cuts.is_empty() {
            return Some(vec![None]);
        }
        Some(cut(cuts)?.into_iter().map(Some).chain([None]).collect())
    };
    if bounded {
        values.extend([0.0, 1.0]);
    }
    let (ages, mut values) = (cut(ages)?, cut(values)?);
    values.retain(|value| !bounded || (0.0..=1.0).contains(value));
    let (relative, difference) = (changes(relative)?, changes(difference)?);
    let contents = values.len() + 3;
    if ages.len().saturating_mul(contents).saturating_mul(relative.len()).saturating_mul(difference.len()) > MOST {
        return None;
    }
    let mut cells = Vec::new();
    for age in ages.into_iter().filter(|age| *age >= 0.0) {
        let known = values.iter().copied().chain([f64::NAN]).map(Content::Value);
        for content in known.chain([Content::Ended, Content::Thin]) {
            for relative in &relative {
                for difference in &difference {
                    cells.push(Cell { age, content, relative: *relative, difference: *difference });
                }
            }
        }
    }
    Some(cells)
}

/// A number from every piece of the line that these cut, and each of them.
fn cut(mut at: Vec<f64>) -> Option<Vec<f64>> {
    if at.iter().any(|cut| !cut.is_finite()) {
        return None;
    }
    at.sort_by(f64::total_cmp);
    at.dedup();
    let (Some(first), Some(last)) = (at.first().copied(), at.last().copied()) else { return Some(vec![0.0]) };
    let between: Vec<f64> = at.windows(2).map(|pair| pair[0] / 2.0 + pair[1] / 2.0).collect();
    // Zero is in it for ages, of which none is below.
    let below = if first > 0.0 { first / 2.0 } else { first * 2.0 - 1.0 };
    let above = if last < 0.0 { last / 2.0 } else { last * 2.0 + 1.0 };
    Some([below].into_iter().chain(at).chain(between).chain([above]).collect())
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// One case, as one rule sees it. It says what `evaluate` would.
struct Case<'a> {
    world: &'a [(MetricId, Cell)],
    /// Whether watching began before everything that is asked about.
    watched: bool,
    mode: GapMode,
    max_gap: f64,
}

impl Case<'_> {
    fn truth(&self, condition: &Condition) -> Truth {
        match condition {
            Condition::All(parts) => parts.iter().fold(Truth::True, |all, part| all.and(self.truth(part))),
            Condition::Any(parts) => parts.iter().fold(Truth::False, |any, part| any.or(self.truth(part))),
            Condition::Not(inner) => !self.truth(inner),
            Condition::Test(test) => self.test(test).map_or(Truth::Unknown, Truth::from),
        }
    }

    fn test(&self, test: &Test) -> Option<bool> {
        let (_, cell) = self.world.iter().find(|(metric, _)| *metric == test.metric)?;
        let young = cell.age < self.max_gap || self.mode == GapMode::Hold && cell.age <= self.max_gap;
        let present = young && !matches!(cell.content, Content::Ended);
        let looked = self.watched || self.mode == GapMode::Prometheus;
        let seen = |span: Duration| {
            let seen = cell.age < millis(span);
            (seen || looked).then_some(seen)
        };
        match test.check {
            Check::Compare { op, limit } => self.holds(*cell, present, op, limit),
            Check::In { low, high } => {
                Some(self.holds(*cell, present, Op::Ge, low)? && self.holds(*cell, present, Op::Le, high)?)
            }
            Check::Absent { lasting: None } => (present || looked).then_some(!present),
            Check::Absent { lasting: Some(span) } => seen(span).map(|seen| !seen),
            Check::Fresh { within } => seen(within),
        }
    }

    fn holds(&self, cell: Cell, present: bool, op: Op, limit: Limit) -> Option<bool> {
        let Content::Value(value) = cell.content else { return None };
        if !present || value.is_nan() && self.mode == GapMode::Hold {
            return None;
        }
        let left = match limit.basis {
            Basis::Value => value,
            Basis::Relative => cell.relative?,
            Basis::Difference => cell.difference?,
        };
        let left = if value.is_nan() { value } else { left };
        Some(op.holds(if limit.two_sided { left.abs() } else { left }, limit.value))
    }
}
