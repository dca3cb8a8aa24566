//! What was measured, as it is stored beside a decision.

use std::collections::BTreeSet;

use townlet_policy::yaml::Node;
use townlet_policy::{Code, Findings};
use townlet_registry::Time;

use crate::fields::{Reader, shown, tree};

/// The form of the document.
pub const SAMPLES_FORM: &str = "townlet.sli-samples/1";

/// Samples of some metrics.
///
/// ```json
/// {
///   "schema": "townlet.sli-samples/1",
///   "source": "http://prometheus.example:9090",
///   "series": [
///     { "metric": "performance_p95_ms", "dropped": 0, "baseline": 170,
///       "samples": [["2026-11-21T11:58:00Z", 183.5], ["2026-11-21T11:59:00Z", 181, 1200]] }
///   ]
/// }
/// ```
///
/// A sample is a time, a value, and what it stands for: 1 unless given. `dropped` is how many samples the way here
/// lost; whoever does not know it cannot say 0. `baseline` is what relative limits are measured from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Where they come from.
    pub source: String,
    /// One for each metric.
    pub series: Vec<SampleSeries>,
}

/// Samples of one metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleSeries {
    /// Which.
    pub metric: String,
    /// How many were lost.
    pub dropped: u64,
    /// What relative limits are measured from.
    pub baseline: Option<f64>,
    /// In the order of their times, no two of one.
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Time,
    /// In the unit of the metric.
    pub value: f64,
    /// How many events stand behind it.
    pub weight: u64,
}

/// Metrics that a gate makes itself; no document may.
pub(super) const DERIVED: [&str; 2] = ["readiness_passed", "readiness_waiver_expired"];

/// A metric that a gate counts from statements where the board says so.
pub(super) const OPEN_INCIDENTS: &str = "open_critical_incidents";

impl Samples {
    /// Reads the document.
    ///
    /// # Errors
    /// Every fault with its line.
    pub fn read(text: &str, file: &str) -> Result<Self, Findings> {
        let mut found = Findings::new(file, text);
        let root = tree(text, &mut found);
        let samples = root.map(|root| samples(&mut Reader { found: &mut found }, &root));
        found.sort();
        match samples {
            Some(samples) if !found.has_errors() => Ok(samples),
            _ => Err(found),
        }
    }
}

fn samples(reader: &mut Reader<'_>, root: &Node) -> Samples {
    let what = "a document of samples";
    reader.keys(root, what, &["schema", "source", "series"]);
    if let Some(node) = reader.needed(root, "schema", what).filter(|node| node.text() != Some(SAMPLES_FORM)) {
        let message = format!("schema is {SAMPLES_FORM}, not {}", node.describe());
        reader.fault(Code::Value, node.place, message, "this program reads no other form");
    }
    let source = reader.needed_text(root, "source", what).unwrap_or_default();
    let (mut all, mut names) = (Vec::new(), BTreeSet::new());
    for node in reader.needed(root, "series", what).map_or(&[][..], |node| reader.list(node, "series")) {
        let Some(series) = series(reader, node) else { continue };
        if !names.insert(series.metric.clone()) {
            let message =
                format!("'{}' has two series: one of them would be believed by chance", shown(&series.metric));
            reader.fault(Code::Duplicate, node.place, message, "give one");
        }
        all.push(series);
    }
    Samples { source, series: all }
}

fn series(reader: &mut Reader<'_>, node: &Node) -> Option<SampleSeries> {
    let what = "a series";
    reader.keys(node, what, &["metric", "dropped", "baseline", "samples"]);
    let metric = reader.needed_text(node, "metric", what)?;
    if DERIVED.contains(&metric.as_str()) {
        let message = format!("'{metric}' follows from the statements, and is not measured");
        reader.fault(Code::Value, node.place, message, "take it out");
    }
    let dropped = reader.needed(node, "dropped", what).and_then(|node| whole(reader, node, "dropped"));
    let baseline = node.get("baseline").and_then(|node| number(reader, node, "baseline"));
    let mut samples: Vec<Sample> = Vec::new();
    for item in reader.needed(node, "samples", what).map_or(&[][..], |node| reader.list(node, "samples")) {
        let parts = reader.list(item, "a sample");
        let ([at, value] | [at, value, _]) = parts else {
            reader.fault(Code::Value, item.place, "a sample is [time, value] or [time, value, weight]", "");
            continue;
        };
        let at = reader.moment(at, "the time of a sample");
        let value = number(reader, value, "the value of a sample");
        let weight = parts.get(2).map_or(Some(1), |node| whole(reader, node, "the weight of a sample"));
        let (Some(at), Some(value), Some(weight)) = (at, value, weight) else { continue };
        if samples.last().is_some_and(|last| last.at >= at) {
            reader.fault(Code::Value, item.place, "a sample is not later than the one before it", "sort by time");
        }
        samples.push(Sample { at, value, weight });
    }
    Some(SampleSeries { metric, dropped: dropped?, baseline, samples })
}

fn number(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<f64> {
    let text = reader.text(node, key)?;
    let read = text.parse::<f64>().ok().filter(|value| value.is_finite());
    if read.is_none() {
        reader.fault(Code::Value, node.place, format!("{key} is a finite number, not {}", node.describe()), "");
    }
    read
}

fn whole(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<u64> {
    let text = reader.text(node, key)?;
    let read = text.parse::<u64>().ok();
    if read.is_none() {
        reader.fault(Code::Value, node.place, format!("{key} is a whole number, not {}", node.describe()), "");
    }
    read
}
