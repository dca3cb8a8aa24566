//! The metrics of a plan, and what is known of each beside its unit and direction.

use std::time::Duration;

use townlet_policy::reader::Reader;
use townlet_policy::yaml::Node;
use townlet_policy::{Basis, Check, Code, Condition, Limit, Metric, MetricId, Timing, Unit, Worse, expression};
use townlet_stats::{Count, Direction, Scale, Stated};

use crate::plan::{BaselineSource, Signal};

use super::sections::{MOST, span, whole};

pub(super) fn read(reader: &mut Reader<'_>, root: &Node, metrics: &[Metric], every: Duration) -> Vec<Signal> {
    let mut signals: Vec<Signal> = metrics.iter().map(signal).collect();
    for at in named(reader, root, "switched", metrics) {
        signals[at].behind_flag = true;
    }
    if let Some(node) = root.get("emission") {
        for at in named(reader, node, "optional", metrics) {
            signals[at].required = false;
        }
    }
    if let Some(node) = root.get("baselines") {
        baselines(reader, node, metrics, &mut signals, every);
    }
    signals
}

/// `parse_duration_ms.p95` is the statistic `p95` of a metric.
fn signal(metric: &Metric) -> Signal {
    let (name, statistic) = metric.name.rsplit_once('.').unwrap_or((&metric.name, "value"));
    Signal {
        metric: name.into(),
        statistic: statistic.into(),
        unit: metric.unit.to_string(),
        direction: match metric.worse {
            Worse::Up => Direction::LowerIsBetter,
            Worse::Down => Direction::HigherIsBetter,
            Worse::Both => Direction::Band,
        },
        behind_flag: false,
        required: true,
        baseline: BaselineSource::None,
        scale: if metric.unit.has_points() { Scale::Difference } else { Scale::Ratio },
    }
}

/// The positions of the metrics that a list under a key names.
pub(super) fn named(reader: &mut Reader<'_>, node: &Node, key: &str, metrics: &[Metric]) -> Vec<usize> {
    let Some(list) = node.get(key) else { return Vec::new() };
    let names = reader.list(list, key, MOST, "write [name, name]");
    names.iter().filter_map(|node| Some(reader.metric(node, key, metrics)?.0)).collect()
}

fn baselines(reader: &mut Reader<'_>, node: &Node, metrics: &[Metric], signals: &mut [Signal], every: Duration) {
    reader.keys(node, "baselines", &["history", "control", "rare", "stated", "by_difference", "by_ratio"]);
    for (key, scale) in [("by_difference", Scale::Difference), ("by_ratio", Scale::Ratio)] {
        for at in named(reader, node, key, metrics) {
            signals[at].scale = scale;
        }
    }
    let mut given = Vec::new();
    let sources = [
        ("history", BaselineSource::History),
        ("control", BaselineSource::Control),
        ("rare", BaselineSource::Rare(None)),
    ];
    for (key, source) in sources {
        given.extend(named(reader, node, key, metrics).into_iter().map(|at| (at, source, node)));
    }
    if let Some(node) = node.get("stated") {
        if node.entries().is_empty() {
            let what = format!("stated is a mapping of metrics, not {}", node.describe());
            reader.error(Code::Value, node.place, what, "write name: { level: 83.5, sd: 2%, memory: 0.5 }");
        }
        for entry in node.entries() {
            let name = Node {
                value: townlet_policy::yaml::Value::Scalar {
                    text: entry.key.clone(),
                    style: townlet_policy::yaml::Style::Plain,
                },
                place: entry.place,
            };
            let Some(metric) = reader.metric(&name, "stated", metrics) else { continue };
            let scale = signals[metric.0].scale;
            let counted = entry.node.get("events").is_some() || entry.node.get("in").is_some();
            let source = match counted {
                true => rare(reader, &entry.node, every),
                false => stated(reader, &entry.node, metrics, metric, scale),
            };
            given.extend(source.map(|source| (metric.0, source, &entry.node)));
        }
    }
    for (at, source, place) in given {
        if signals[at].baseline != BaselineSource::None {
            let what = format!("`{}` has two baselines", signals[at].name());
            reader.error(Code::Duplicate, place.place, what, "take one of them out");
        }
        if let BaselineSource::Rare(_) = source {
            // A count has no unit of its own, and no share of nothing: what is tolerated is a number of events.
            signals[at].scale = Scale::Difference;
            if !metrics.get(at).is_some_and(|metric| matches!(metric.unit, Unit::Count | Unit::Other(_))) {
                let what = format!("`{}` is in {}: only what is counted is rare", signals[at].name(), signals[at].unit);
                reader.error(Code::Unit, place.place, what, "name it under history");
            }
        }
        signals[at].baseline = source;
    }
}

/// `{ events: 0, in: 24h }`
fn rare(reader: &mut Reader<'_>, node: &Node, every: Duration) -> Option<BaselineSource> {
    reader.keys(node, "a stated count", &["events", "in"]);
    let events = reader.needed(node, "events", "a stated count");
    let events = events.and_then(|node| whole(reader, node, "events", 0, u32::MAX));
    let within = reader.needed(node, "in", "a stated count").and_then(|_| span(reader, node, "in"));
    let (events, within) = (events?, within?);
    if within < every {
        let what = "a stated count is of one window at least";
        reader.error(Code::Value, node.place, what, "write { events: 0, in: 24h }, for example");
        return None;
    }
    let exposure = within.as_secs_f64() / every.as_secs_f64();
    Some(BaselineSource::Rare(Some(Count { events: u64::from(events), exposure })))
}

fn stated(
    reader: &mut Reader<'_>,
    node: &Node,
    metrics: &[Metric],
    metric: MetricId,
    scale: Scale,
) -> Option<BaselineSource> {
    reader.keys(node, "a stated baseline", &["level", "sd", "memory"]);
    let level = reader.needed(node, "level", "a stated baseline");
    let level = level.and_then(|node| limit(reader, node, "level", metrics, metric, "", Basis::Value));
    let sd = reader.needed(node, "sd", "a stated baseline");
    let sd = sd.and_then(|node| compared(reader, node, "sd", metrics, metric, scale));
    let memory = match node.get("memory") {
        None => 0.0,
        Some(node) => {
            let memory = node.text().and_then(|text| text.parse::<f64>().ok()).filter(|m| (0.0..1.0).contains(m));
            if memory.is_none() {
                let what = format!("memory is a number from 0 to below 1, not {}", node.describe());
                reader.error(Code::Value, node.place, what, "write 0.5, for example");
            }
            memory?
        }
    };
    let (level, sd) = (level?, sd?);
    if sd <= 0.0 || (scale == Scale::Ratio && level <= 0.0) {
        reader.error(Code::Value, node.place, "the level and the sd of a stated baseline are above 0", "");
        return None;
    }
    Some(BaselineSource::Stated(Stated { level, sd, memory }))
}

/// A distance from a baseline in the way that its signal is compared: `5%` by ratio, `2pp` or `3ms` by difference.
pub(super) fn compared(
    reader: &mut Reader<'_>,
    node: &Node,
    key: &str,
    metrics: &[Metric],
    metric: MetricId,
    scale: Scale,
) -> Option<f64> {
    let basis = if scale == Scale::Ratio { Basis::Relative } else { Basis::Difference };
    limit(reader, node, key, metrics, metric, "+", basis)
}

/// Reads a limit by the grammar of rules, so that units are converted there and nowhere else.
fn limit(
    reader: &mut Reader<'_>,
    node: &Node,
    key: &str,
    metrics: &[Metric],
    metric: MetricId,
    sign: &str,
    basis: Basis,
) -> Option<f64> {
    let text = reader.text(node, key)?;
    let name = &metrics.get(metric.0)?.name;
    let written = text.trim().trim_start_matches('+');
    let help = match basis {
        Basis::Value => "write 83.5, for example",
        Basis::Relative => "write 5%, for example: it is compared by ratio",
        Basis::Difference => "write 2pp or 2, for example: it is compared by difference",
    };
    let read = expression::parse(&format!("{name} <= {sign}{written}"), metrics, None);
    // A clause behind it would mean nothing, and whoever wrote it would not know.
    let plain = read.ok().filter(|read| read.timing == Timing::default());
    let found = plain.and_then(|read| match read.condition {
        Condition::Test(test) => match test.check {
            Check::Compare { limit: Limit { value, basis: found, two_sided: false }, .. } if found == basis => {
                Some(value)
            }
            _ => None,
        },
        _ => None,
    });
    let found = found.filter(|value| value.is_finite() && *value >= 0.0);
    if found.is_none() {
        reader.error(Code::Value, node.place, format!("{key} of {name} cannot be {}", node.describe()), help);
    }
    found
}
