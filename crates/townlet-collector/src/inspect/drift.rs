//! Compares a candidate with a baseline: schema versions, `runtime_variant`,
//! queue metrics and observations, as the rollout plan asks before a promotion.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::report::InspectReport;
use super::trace::RunTrace;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// Another set of schema versions.
    SchemaVersion,
    /// Another set of versions of the observation DTO.
    DtoSchemaVersion,
    /// Another `runtime_variant`.
    RuntimeVariant,
    /// Runs of the baseline that the candidate has no counterpart for.
    Runs,
    /// Ticks of the baseline that the candidate lacks.
    Ticks,
    /// Queue metrics with other values or names.
    QueueMetrics,
    /// Observation tensors with another shape or other values, or other agents.
    Observations,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// Which pair of runs, from 1 in order of appearance; none for the files as a whole.
    pub run: Option<usize>,
    /// The first tick at which it shows.
    pub tick: Option<u64>,
    /// Baseline against candidate, in words.
    pub message: String,
}

/// The differences of two files. Empty means no drift.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The differences that count.
    pub findings: Vec<Finding>,
    /// What was not compared, and why.
    pub notes: Vec<String>,
}

impl Drift {
    /// True where nothing that counts differs.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, kind: FindingKind, run: Option<usize>, tick: Option<u64>, message: String) {
        self.findings.push(Finding { kind, run, tick, message });
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.findings.is_empty() {
            writeln!(f, "no drift")?;
        }
        for finding in &self.findings {
            f.write_str("drift: ")?;
            if let Some(run) = finding.run {
                write!(f, "run {run}: ")?;
            }
            writeln!(f, "{}", finding.message.escape_debug())?;
        }
        for note in &self.notes {
            writeln!(f, "note: {}", note.escape_debug())?;
        }
        Ok(())
    }
}

/// Compares two inspections.
///
/// Runs are paired in order of appearance and compared at the ticks that both
/// have. Both sides must have been inspected with the same
/// [`compare_entries`](super::InspectOptions::compare_entries) for the whole
/// length to be compared; where one was cut short, a note says from which tick on.
pub fn compare(baseline: &InspectReport, candidate: &InspectReport) -> Drift {
    let mut drift = Drift::default();
    let sets = [
        (FindingKind::SchemaVersion, "schema_version", &baseline.schema_versions, &candidate.schema_versions),
        (
            FindingKind::DtoSchemaVersion,
            "dto_schema_version",
            &baseline.dto_schema_versions,
            &candidate.dto_schema_versions,
        ),
        (FindingKind::RuntimeVariant, "runtime_variant", &baseline.runtime_variants, &candidate.runtime_variants),
    ];
    for (kind, name, before, after) in sets {
        if !before.keys().eq(after.keys()) {
            drift.add(kind, None, None, format!("{name}: {} -> {}", names(before), names(after)));
        }
    }
    let (before, after) = (baseline.traces.len(), candidate.traces.len());
    if after < before {
        drift.add(FindingKind::Runs, None, None, format!("runs: {before} -> {after}"));
    } else if after > before {
        drift.notes.push(format!("the candidate has {after} runs, the first {before} were compared"));
    }
    for (at, (before, after)) in baseline.traces.iter().zip(&candidate.traces).enumerate() {
        compare_runs(&mut drift, at + 1, before, after);
    }
    drift
}

fn compare_runs(drift: &mut Drift, run: usize, before: &RunTrace, after: &RunTrace) {
    for (side, trace) in [("baseline", before), ("candidate", after)] {
        if let Some(tick) = trace.truncated_at {
            drift.notes.push(format!("run {run}: of the {side} nothing from tick {tick} on was kept for comparing"));
        }
    }
    compare_ticks(drift, run, before, after);
    if before.variant_names() != after.variant_names() {
        // The sets of the whole files may be equal while two runs changed places.
        let text = |trace: &RunTrace| {
            let names: Vec<_> = trace.variant_names().into_iter().map(|name| name.unwrap_or("none")).collect();
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        };
        let message = format!("runtime_variant: {} -> {}", text(before), text(after));
        drift.add(FindingKind::RuntimeVariant, Some(run), None, message);
    }
    compare_queues(drift, run, before, after);
    compare_observations(drift, run, before, after);
}

fn compare_ticks(drift: &mut Drift, run: usize, before: &RunTrace, after: &RunTrace) {
    let limit = after.truncated_at.unwrap_or(u64::MAX);
    let mut lacking = 0u64;
    let mut first = None;
    for (from, to) in &before.ticks {
        for tick in (*from..=*to).take_while(|tick| *tick < limit) {
            if !after.has_tick(tick) {
                lacking += 1;
                first.get_or_insert(tick);
            }
        }
    }
    if let Some(tick) = first {
        let message = format!("{lacking} ticks of the baseline are missing, the first is {tick}");
        drift.add(FindingKind::Ticks, Some(run), Some(tick), message);
    }
    if let (Some((_, before)), Some((_, after))) = (before.ticks.last(), after.ticks.last())
        && after > before
    {
        drift.notes.push(format!("run {run}: compared up to tick {before}, the candidate goes on to {after}"));
    }
}

fn compare_queues(drift: &mut Drift, run: usize, before: &RunTrace, after: &RunTrace) {
    if before.queue.is_empty() {
        return;
    }
    if after.queue.is_empty() {
        drift.add(FindingKind::QueueMetrics, Some(run), None, "queue_metrics: the candidate has none".to_owned());
        return;
    }
    // Between changes nothing changes: the first common tick from each change on is enough.
    let changes = before.queue.iter().chain(&after.queue).map(|(tick, _)| *tick);
    let ticks: BTreeSet<u64> = changes.filter_map(|tick| next_common(before, after, tick)).collect();
    let mut different = 0u64;
    let mut first = None;
    for tick in ticks {
        let (was, is) = (before.queue_at(tick), after.queue_at(tick));
        if was.is_some() && was != is {
            different += 1;
            first.get_or_insert_with(|| (tick, differences(was, is)));
        }
    }
    if let Some((tick, text)) = first {
        let message =
            format!("queue_metrics differ at {different} ticks where they change, first at tick {tick}: {text}");
        drift.add(FindingKind::QueueMetrics, Some(run), Some(tick), message);
    }
}

fn compare_observations(drift: &mut Drift, run: usize, before: &RunTrace, after: &RunTrace) {
    let (was, is) = (before.observations_by_name(), after.observations_by_name());
    if was.is_empty() {
        if !is.is_empty() {
            drift.notes.push(format!("run {run}: the baseline has no observations to compare with"));
        }
        return;
    }
    if is.is_empty() {
        drift.add(FindingKind::Observations, Some(run), None, "observations: the candidate has none".to_owned());
        return;
    }
    let keys: BTreeSet<_> = was.keys().chain(is.keys()).copied().collect();
    let mut different = 0u64;
    let mut first = None;
    for key @ (tick, agent) in keys.into_iter().filter(|(tick, _)| before.has_tick(*tick) && after.has_tick(*tick)) {
        let text = match (was.get(&key), is.get(&key)) {
            (Some(was), Some(is)) if was == is => continue,
            (Some((was, _)), Some((is, _))) if was != is => format!("shape of {agent}: {was} -> {is}"),
            (Some((shape, _)), Some(_)) => format!("values of {agent} ({shape})"),
            (Some(_), None) => format!("{agent} is gone"),
            (None, _) => format!("{agent} is new"),
        };
        different += 1;
        first.get_or_insert((tick, text));
    }
    if let Some((tick, text)) = first {
        let message = format!("{different} observations differ, first at tick {tick}: {text}");
        drift.add(FindingKind::Observations, Some(run), Some(tick), message);
    }
}

/// The first tick from `tick` on that both runs have.
fn next_common(before: &RunTrace, after: &RunTrace, mut tick: u64) -> Option<u64> {
    loop {
        let next = after.next_tick(before.next_tick(tick)?)?;
        if before.has_tick(next) {
            return Some(next);
        }
        tick = next;
    }
}

fn differences(was: Option<&BTreeMap<String, f64>>, is: Option<&BTreeMap<String, f64>>) -> String {
    let value = |metrics: Option<&BTreeMap<String, f64>>, name: &String| metrics.and_then(|m| m.get(name).copied());
    let text = |value: Option<f64>| value.map_or("absent".to_owned(), |value| value.to_string());
    let names: BTreeSet<_> = was.into_iter().chain(is).flat_map(BTreeMap::keys).collect();
    let changed =
        names.into_iter().map(|name| (name, value(was, name), value(is, name))).filter(|(_, was, is)| was != is);
    let parts: Vec<_> = changed.map(|(name, was, is)| format!("{name} {} -> {}", text(was), text(is))).collect();
    parts.join(", ")
}

fn names(counts: &BTreeMap<String, u64>) -> String {
    let names: Vec<_> = counts.keys().map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
