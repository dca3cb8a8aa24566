//! The outcome of an inspection.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::follow::{RunSummary, TickGap};
use super::sizes::SizeSummary;
use super::trace::RunTrace;
use crate::report::InvalidLine;

/// What a file of townlet lines holds. The plain names are counts; what they
/// count is listed under the longer names, up to a bound.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InspectReport {
    /// Lines that are a record of some schema version.
    pub records: u64,
    /// Records by `payload_type`, and `observation` and `console_snapshot`, which
    /// have none.
    pub by_kind: BTreeMap<String, u64>,
    /// Records by `schema_version`; `none` for those without.
    pub schema_versions: BTreeMap<String, u64>,
    /// Process runs, by `run_id`; where lines have none, each time the tick goes
    /// backwards.
    pub runs: u64,
    /// Jumps of the tick by more than one between neighbouring states of a stream.
    pub tick_gaps: u64,
    /// Diffs of a state that is not there, or that they do not fit: what they lead
    /// to is not known until the next whole state.
    pub state_gaps: u64,
    /// Records that were there before.
    pub duplicates: u64,
    /// Lines of text that are no record, such as logs, those written as JSON
    /// objects without any key of an envelope included.
    pub noise_lines: u64,
    /// Lines that begin like a record and cannot be read by the schema, hide one
    /// behind other text, or are no text at all.
    pub invalid: u64,
    /// All bytes of the input.
    pub bytes: u64,
    /// All lines, the unterminated last one included.
    pub lines: u64,
    /// Lines without anything but white space.
    pub blank_lines: u64,
    /// True where the last line has no newline.
    pub unterminated: bool,
    /// Records by `dto_schema_version`.
    pub dto_schema_versions: BTreeMap<String, u64>,
    /// States by the `runtime_variant` in force; `none` where there is none.
    pub runtime_variants: BTreeMap<String, u64>,
    /// Sizes of the records in bytes.
    pub record_bytes: SizeSummary,
    /// Numbers missing in numbered streams.
    pub missing: u64,
    /// Records of numbered streams that came after a later one.
    pub out_of_order: u64,
    /// Times a known stream name came from a new process run.
    pub restarts: u64,
    /// Unreadable lines by what is wrong with them.
    pub invalid_by_reason: BTreeMap<String, u64>,
    /// The first 100 unreadable lines.
    pub invalid_lines: Vec<InvalidLine>,
    /// The first 1000 tick gaps.
    pub tick_gap_list: Vec<TickGap>,
    /// The first 1000 runs.
    pub run_list: Vec<RunSummary>,
    /// Records of runs or streams beyond the number that is followed.
    pub unfollowed: u64,
    /// What a comparison needs, a run each.
    #[serde(skip)]
    pub(super) traces: Vec<RunTrace>,
}

impl InspectReport {
    /// True where every line could be read and nothing is missing or doubled.
    pub fn is_clean(&self) -> bool {
        let gaps = self.tick_gaps + self.state_gaps + self.missing;
        self.invalid == 0 && self.duplicates == 0 && gaps == 0
    }
}

impl fmt::Display for InspectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<String, u64>| {
            let entries: Vec<_> = counts.iter().map(|(name, n)| format!("{} {n}", name.escape_debug())).collect();
            if entries.is_empty() { "-".to_owned() } else { entries.join(", ") }
        };
        writeln!(f, "records          {}", self.records)?;
        writeln!(f, "kinds            {}", list(&self.by_kind))?;
        writeln!(f, "schema versions  {}", list(&self.schema_versions))?;
        if !self.dto_schema_versions.is_empty() {
            writeln!(f, "dto versions     {}", list(&self.dto_schema_versions))?;
        }
        writeln!(f, "runtime variants {}", list(&self.runtime_variants))?;
        writeln!(f, "runs             {}", self.runs)?;
        for run in self.run_list.iter().take(10) {
            write!(f, "  {}: {} records", run.run.escape_debug(), run.records)?;
            if let (Some(first), Some(last)) = (run.first_tick, run.last_tick) {
                write!(f, ", ticks {first}-{last}")?;
            }
            writeln!(f)?;
            for (name, stream) in &run.streams {
                let Some(sequence) = &stream.sequence else { continue };
                writeln!(
                    f,
                    "    {}: seq {}-{}, {} missing, {} duplicates",
                    name.escape_debug(),
                    sequence.counts.first,
                    sequence.last,
                    sequence.missing,
                    stream.duplicates
                )?;
            }
        }
        if self.runs > 10 {
            writeln!(f, "  and {} more", self.runs - 10)?;
        }
        writeln!(f, "tick gaps        {}", self.tick_gaps)?;
        for gap in self.tick_gap_list.iter().take(10) {
            writeln!(f, "  {} {}: {} -> {}", gap.run.escape_debug(), gap.stream.escape_debug(), gap.after, gap.before)?;
        }
        if self.tick_gaps > 10 {
            writeln!(f, "  and {} more", self.tick_gaps - 10)?;
        }
        if self.state_gaps > 0 {
            writeln!(f, "state gaps       {} diffs of a state that is not there", self.state_gaps)?;
        }
        writeln!(f, "duplicates       {}", self.duplicates)?;
        writeln!(f, "missing          {} (by seq), {} out of order", self.missing, self.out_of_order)?;
        writeln!(f, "noise lines      {}", self.noise_lines)?;
        writeln!(f, "invalid          {}", self.invalid)?;
        for line in self.invalid_lines.iter().take(10) {
            writeln!(f, "  line {}: {}", line.line, line.reason.escape_debug())?;
        }
        if self.invalid > 10 {
            writeln!(f, "  and {} more", self.invalid - 10)?;
        }
        let sizes = self.record_bytes;
        writeln!(
            f,
            "bytes            {} in {} lines; a record: min {}, median {}, p95 {}, max {}",
            self.bytes, self.lines, sizes.min, sizes.median, sizes.p95, sizes.max
        )?;
        if self.unterminated {
            writeln!(f, "note             the last line has no newline")?;
        }
        Ok(())
    }
}
