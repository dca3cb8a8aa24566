//! What a start found and did, in words and bounded numbers.

use std::fmt;

use crate::disk::Disk;

/// How the state file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFound {
    /// A new folder, or one without a checkpoint so far.
    Fresh,
    /// The newest checkpoint was read.
    Good,
    /// One slot was damaged; the checkpoint may be the one before the newest,
    /// so that more than usual is delivered twice.
    Older,
    /// No checkpoint could be read. Sinks were taken from segment headers and
    /// begin with the oldest record: duplicates, never a loss.
    Rebuilt,
}

/// Bytes of a segment that are no records, with a bound of what they cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file; the name it has, or had before it was removed.
    pub segment: String,
    /// Where the bytes begin.
    pub offset: u64,
    /// How many are no records.
    pub bytes: u64,
    /// How many records can have been lost; of which streams is not known.
    pub records_at_most: u64,
}

/// One change that makes a folder whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RepairStep {
    /// Remove a file of which every record was settled.
    Remove {
        /// The file.
        name: String,
        /// Its length.
        bytes: u64,
    },
    /// Give a segment the name that its header says.
    Rename {
        /// The name it has.
        from: String,
        /// The name it should have.
        to: String,
    },
    /// Put a file aside for a person to look at.
    Quarantine {
        /// The file.
        name: String,
        /// Its new name.
        to: String,
        /// Its length.
        bytes: u64,
        /// Why it cannot be used.
        reason: String,
    },
    /// Cut off what a crash left of an unfinished write.
    Truncate {
        /// The file.
        name: String,
        /// Its length.
        from: u64,
        /// The end of its last good record.
        to: u64,
    },
    /// Write the state file anew.
    RewriteState,
}

impl fmt::Display for RepairStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove { name, bytes } => write!(f, "remove {name} ({bytes} bytes, all settled)"),
            Self::Rename { from, to } => write!(f, "rename {from} to {to}"),
            Self::Quarantine { name, bytes, reason, .. } => write!(f, "quarantine {name} ({bytes} bytes): {reason}"),
            Self::Truncate { name, from, to } => write!(f, "cut {name} from {from} to {to} bytes"),
            Self::RewriteState => f.write_str("write the state file anew"),
        }
    }
}

impl RepairStep {
    /// Does it. Failing leaves the folder usable: the next start tries again.
    pub(crate) fn apply(&self, disk: &mut dyn Disk) -> std::io::Result<()> {
        match self {
            Self::Remove { name, .. } => disk.remove(name),
            Self::Rename { from, to } | Self::Quarantine { name: from, to, .. } => {
                disk.rename(from, to)?;
                disk.sync_dir()
            }
            Self::Truncate { name, to, .. } => {
                disk.truncate(name, *to)?;
                disk.sync_data(name).map(|_| ())
            }
            // The log does so with its next checkpoint.
            Self::RewriteState => Ok(()),
        }
    }
}

/// What a start found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovery {
    /// The state file.
    pub state: StateFound,
    /// The caller's block of the checkpoint that was read.
    pub extra: Option<Vec<u8>>,
    /// Records appended after that checkpoint and found; exact.
    pub tail_records: u64,
    /// Bytes of head and body of those records.
    pub tail_bytes: u64,
    /// Bytes of an unfinished write at the end, cut off. They were never reported as committed,
    /// unless somebody else damaged the file.
    pub torn_bytes: u64,
    /// Damage met in the tail and files put aside. Damage elsewhere is met when it is
    /// read: [`Spill::take_damage`](crate::Spill::take_damage).
    pub damage: Vec<Damage>,
    /// What was done.
    pub steps: Vec<RepairStep>,
}

impl Recovery {
    /// Whether the log was as a crash, or a clean end, leaves it.
    pub fn is_clean(&self) -> bool {
        let usual = |step: &RepairStep| matches!(step, RepairStep::Remove { .. } | RepairStep::Truncate { .. });
        self.damage.is_empty() && self.state != StateFound::Rebuilt && self.steps.iter().all(usual)
    }

    /// The most records that the damage met so far can have cost.
    pub fn lost_at_most(&self) -> u64 {
        self.damage.iter().map(|damage| damage.records_at_most).fold(0, u64::saturating_add)
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            StateFound::Fresh => "a new spill",
            StateFound::Good => "the last checkpoint was read",
            StateFound::Older => "one slot of the state file is damaged, the other was read",
            StateFound::Rebuilt => {
                "the state file cannot be read: sinks begin with the oldest record, so some records come twice"
            }
        };
        write!(f, "{state}; {} records found behind it", self.tail_records)?;
        if self.torn_bytes > 0 {
            write!(f, "; {} bytes of an unfinished write were cut off", self.torn_bytes)?;
        }
        if !self.damage.is_empty() {
            let bytes: u64 = self.damage.iter().map(|damage| damage.bytes).sum();
            write!(f, "; damaged: {bytes} bytes, at most {} records lost", self.lost_at_most())?;
        }
        Ok(())
    }
}
