//! Looking at a folder without changing it, and repairing it on request.

use std::time::Duration;

use crate::disk::{Disk, FileInfo};
use crate::error::SpillError;
use crate::log::{Position, Spill};
use crate::options::SpillOptions;
use crate::recovery::{Damage, Recovery, RepairStep, StateFound};
use crate::scan::{Met, Scan};
use crate::sink::Backlog;
use crate::survey::Survey;

const CHUNK: usize = 256 << 10;

/// A sink as a folder has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkInfo {
    /// Its name.
    pub name: String,
    /// Its bit in the targets of records.
    pub bit: u64,
    /// Everything below is settled.
    pub settled: Position,
    /// What it has yet to settle; too low if the state file is lost.
    pub backlog: Backlog,
}

/// What is in a folder. Read while a process writes to it, it is a moment of the past at best.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The state file.
    pub state: StateFound,
    /// The caller's block of the last checkpoint.
    pub extra: Option<Vec<u8>>,
    /// Segments, oldest first.
    pub segments: Vec<FileInfo>,
    /// Sinks, those included that nobody asks for any more.
    pub sinks: Vec<SinkInfo>,
    /// Position of the next record.
    pub next: Position,
    /// Records after the last checkpoint.
    pub tail_records: u64,
    /// Bytes of an unfinished write.
    pub torn_bytes: u64,
    /// Damage in the tail. [`check`] looks at everything.
    pub damage: Vec<Damage>,
    /// Files put aside earlier.
    pub quarantined: Vec<FileInfo>,
}

/// A segment read from end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentCheck {
    /// The file.
    pub name: String,
    /// Good records.
    pub records: u64,
    /// Their heads and bodies.
    pub bytes: u64,
    /// The rest.
    pub damage: Vec<Damage>,
}

/// What a repair would do: nothing is done before [`apply`](RepairPlan::apply).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a plan changes nothing until it is applied"]
pub struct RepairPlan {
    /// In this order. None if the folder is whole.
    pub steps: Vec<RepairStep>,
}

/// A record that some sink has not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportedRecord<'a> {
    /// Its place in the log.
    pub position: Position,
    /// The sinks that have not settled it, as far as the last checkpoint knows.
    pub owing: u64,
    /// As it was appended.
    pub head: &'a [u8],
    /// As it was appended.
    pub body: &'a [u8],
}

/// Reads state and tail, as a start would, and changes nothing.
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io) where the folder cannot be listed.
pub fn inspect(disk: &mut dyn Disk) -> Result<Inspection, SpillError> {
    let survey = Survey::take(disk, CHUNK, &mut |_, _| {})?;
    let sinks = survey.slots.iter().map(|slot| SinkInfo {
        name: slot.named.name.clone(),
        bit: 1 << slot.named.slot,
        settled: Position(slot.settled),
        backlog: Backlog { records: slot.records, bytes: slot.bytes, held: 0, exact: slot.exact },
    });
    Ok(Inspection {
        state: survey.found,
        sinks: sinks.collect(),
        segments: survey.segments.iter().map(|it| FileInfo { name: it.name.clone(), len: it.len }).collect(),
        extra: survey.state.map(|state| state.extra),
        next: Position(survey.next),
        tail_records: survey.tail_records,
        torn_bytes: survey.torn_bytes,
        damage: survey.damage,
        quarantined: survey.quarantined,
    })
}

/// Reads every segment from end to end and changes nothing.
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io) where the folder cannot be listed.
pub fn check(disk: &mut dyn Disk) -> Result<Vec<SegmentCheck>, SpillError> {
    let survey = Survey::take(disk, CHUNK, &mut |_, _| {})?;
    Ok(walk(disk, &survey, &mut |_, _, _, _| {}))
}

/// Shows every record that some sink has not settled, oldest first, and changes
/// nothing. Returns what `check` returns.
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io) where the folder cannot be listed.
pub fn export(disk: &mut dyn Disk, mut visit: impl FnMut(ExportedRecord<'_>)) -> Result<Vec<SegmentCheck>, SpillError> {
    let survey = Survey::take(disk, CHUNK, &mut |_, _| {})?;
    let slots: Vec<(u64, u64)> = survey.slots.iter().map(|slot| (1 << slot.named.slot, slot.settled)).collect();
    Ok(walk(disk, &survey, &mut |position, targets, head, body| {
        let owes = slots.iter().filter(|(bit, settled)| targets & bit != 0 && position >= *settled);
        let owing = owes.fold(0, |all, (bit, _)| all | bit);
        if owing != 0 {
            visit(ExportedRecord { position: Position(position), owing, head, body });
        }
    }))
}

/// What it takes to make the folder whole; changes nothing.
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io) where the folder cannot be listed.
pub fn repair(disk: &mut dyn Disk) -> Result<RepairPlan, SpillError> {
    Survey::take(disk, CHUNK, &mut |_, _| {}).map(|survey| RepairPlan { steps: survey.steps })
}

impl RepairPlan {
    /// Does it, with the folder as it is by now: a start does the same, so this
    /// is for those who want it done before one.
    ///
    /// # Errors
    /// [`Locked`](crate::ErrorKind::Locked) while a process uses the folder, and those of [`Spill::open`].
    pub fn apply(self, disk: Box<dyn Disk>, now: Duration) -> Result<Recovery, SpillError> {
        let (mut spill, recovery) = Spill::open(disk, SpillOptions::default(), now)?;
        if recovery.state == StateFound::Rebuilt {
            spill.checkpoint(now, &[])?;
        }
        Ok(recovery)
    }
}

/// Takes position, targets, head and body.
type Visit<'a> = dyn FnMut(u64, u64, &[u8], &[u8]) + 'a;

fn walk(disk: &mut dyn Disk, survey: &Survey, visit: &mut Visit<'_>) -> Vec<SegmentCheck> {
    let ends = survey.segments.iter().skip(1).map(|next| next.first).chain([survey.next]);
    let walks = survey.segments.iter().zip(ends).map(|(segment, stop)| {
        let name = survey.on_disk(&segment.name);
        let mut scan = Scan::new(name, segment.first, segment.len, segment.first, stop, 0, CHUNK);
        let mut report = SegmentCheck { name: name.to_owned(), records: 0, bytes: 0, damage: Vec::new() };
        loop {
            let met = scan.next_readable(disk);
            let mut damaged = |offset, bytes, records_at_most| {
                report.damage.push(Damage { segment: name.to_owned(), offset, bytes, records_at_most });
            };
            let missing = stop.saturating_sub(scan.expected);
            match met {
                Met::Record { frame, .. } => {
                    let (head, body) = scan.content().split_at(frame.head_len as usize);
                    visit(frame.position, frame.targets, head, body);
                    report.records += 1;
                    report.bytes += frame.content_len();
                }
                Met::Damage { offset, bytes, records } => damaged(offset, bytes, records),
                Met::BadEnd { offset, bytes } if missing > 0 => damaged(offset, bytes, missing),
                Met::End if missing > 0 => damaged(segment.len, 0, missing),
                Met::BadEnd { .. } | Met::End => break report,
            }
            if matches!(met, Met::BadEnd { .. } | Met::End) {
                break report;
            }
        }
    });
    walks.collect()
}
