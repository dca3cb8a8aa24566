//! Validation snapshots: one table for all rollouts, keyed by rollout, checkpoint, metric and statistic.
//!
//! The checklist had a table for each day of its calendar. Here the checkpoint
//! is a column.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::moment::{Moment, ms};
use townlet_stats::Direction;

use crate::plan::Plan;
use crate::state::State;

/// One row. The first four columns are its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The run.
    pub rollout: String,
    /// `baseline`, `24h`, `48h`.
    pub checkpoint: String,
    /// The metric.
    pub metric: String,
    /// Its statistic.
    pub statistic: String,
    /// Of `value`, `reference` and `delta`.
    pub unit: String,
    /// Start of the windows that it sums up.
    #[serde(rename = "window_start_ms")]
    pub window_start: Moment,
    /// Their end.
    #[serde(rename = "window_end_ms")]
    pub window_end: Moment,
    /// Windows with a sample.
    pub samples: u32,
    /// Windows that there were.
    pub windows: u32,
    /// The median of the samples.
    pub value: Option<f64>,
    /// The median of what was expected of the same windows.
    pub reference: Option<f64>,
    /// `value` less `reference`.
    pub delta: Option<f64>,
    /// `delta` as a share of `reference`, in percent; above 0 is more.
    pub change_percent: Option<f64>,
    /// The change on the worse side, in percent; 0 where it is better.
    pub adverse_percent: Option<f64>,
}

/// The columns, in order: name, type in BigQuery, whether it may be null, meaning.
const COLUMNS: [(&str, &str, bool, &str); 14] = [
    ("rollout", "STRING", false, "Key 1: the run"),
    ("checkpoint", "STRING", false, "Key 2: baseline, 24h, 48h"),
    ("metric", "STRING", false, "Key 3: the metric"),
    ("statistic", "STRING", false, "Key 4: p50, p95, mean, value, delta"),
    ("unit", "STRING", false, "Unit of value, reference and delta"),
    ("window_start_ms", "INTEGER", false, "Start of the windows, milliseconds since 1970 UTC"),
    ("window_end_ms", "INTEGER", false, "End of the windows, milliseconds since 1970 UTC"),
    ("samples", "INTEGER", false, "Windows with a sample"),
    ("windows", "INTEGER", false, "Windows that there were"),
    ("value", "FLOAT", true, "Median of the samples"),
    ("reference", "FLOAT", true, "Median of what was expected of the same windows"),
    ("delta", "FLOAT", true, "value - reference"),
    ("change_percent", "FLOAT", true, "delta as a percentage of reference"),
    ("adverse_percent", "FLOAT", true, "The change on the worse side in percent; 0 where it is better"),
];

/// The rows of one checkpoint, from the windows of the last observation.
pub(crate) fn rows(plan: &Plan, state: &State, checkpoint: &str) -> Vec<Row> {
    let end = state.judged.unwrap_or_default();
    let start = end.before(plan.observation);
    let signals = plan.signals.iter().enumerate();
    signals
        .map(|(index, signal)| {
            let recent = || state.recent.iter().filter(|seen| seen.due > start);
            let mut values: Vec<f64> = recent().filter_map(|seen| seen.values.get(index).copied().flatten()).collect();
            let mut expected: Vec<f64> =
                recent().filter_map(|seen| seen.expected.get(index).copied().flatten()).collect();
            let samples = u32::try_from(values.len()).unwrap_or(u32::MAX);
            let value = median(&mut values);
            let reference = median(&mut expected);
            let delta = value.zip(reference).map(|(value, reference)| value - reference);
            let share = delta.zip(reference).map(|(delta, before)| 100.0 * delta / before.abs());
            let change_percent = share.filter(|share| share.is_finite());
            let adverse_percent = change_percent.map(|change| match signal.direction {
                Direction::LowerIsBetter => change.max(0.0),
                Direction::HigherIsBetter => (-change).max(0.0),
                Direction::Band => change.abs(),
            });
            Row {
                rollout: state.rollout.clone(),
                checkpoint: checkpoint.into(),
                metric: signal.metric.clone(),
                statistic: signal.statistic.clone(),
                unit: signal.unit.clone(),
                window_start: start,
                window_end: end,
                samples,
                windows: u32::try_from(ms(plan.observation) / ms(plan.every).max(1)).unwrap_or(u32::MAX),
                value,
                reference,
                delta,
                change_percent,
                adverse_percent,
            }
        })
        .collect()
}

pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(middle.checked_sub(1)?)?;
    // Half of each, so that the sum of two large ones is finite.
    Some(lower / 2.0 + upper / 2.0)
}

/// The rows as JSON lines, in their order: what `bq load --source_format=NEWLINE_DELIMITED_JSON` takes.
#[must_use]
pub fn to_jsonl(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        out.push_str(&crate::log::json(row));
        out.push('\n');
    }
    out
}

/// The rows as CSV (RFC 4180) with a header; what is unknown is empty.
#[must_use]
pub fn to_csv(rows: &[Row]) -> String {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    let mut out = names.join(",") + "\r\n";
    for row in rows {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let cells = [
            quoted(&row.rollout),
            quoted(&row.checkpoint),
            quoted(&row.metric),
            quoted(&row.statistic),
            quoted(&row.unit),
            row.window_start.as_ms().to_string(),
            row.window_end.as_ms().to_string(),
            row.samples.to_string(),
            row.windows.to_string(),
            number(row.value),
            number(row.reference),
            number(row.delta),
            number(row.change_percent),
            number(row.adverse_percent),
        ];
        out.push_str(&cells.join(","));
        out.push_str("\r\n");
    }
    out
}

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

/// The schema file for BigQuery (`bq mk --table … schema.json`).
#[must_use]
pub fn bigquery_schema() -> String {
    let field = |(name, kind, nullable, meaning): &(&str, &str, bool, &str)| {
        let mode = if *nullable { "NULLABLE" } else { "REQUIRED" };
        format!(
            "  {{\"name\": \"{name}\", \"type\": \"{kind}\", \"mode\": \"{mode}\", \"description\": \"{meaning}\"}}"
        )
    };
    let fields: Vec<String> = COLUMNS.iter().map(field).collect();
    format!("[\n{}\n]\n", fields.join(",\n"))
}

/// SHA-256 of the rows as JSON lines, in hex: what people sign.
#[must_use]
pub fn digest(rows: &[Row]) -> String {
    hex(to_jsonl(rows).as_bytes())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
