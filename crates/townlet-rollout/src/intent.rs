//! What the engine asks of the world, and what it hears back.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::reference::References;

/// Names one intent of one rollout. Numbers are given in order from 1, and never twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(pub u64);

/// Something that the driver shall do. It writes the intent down before it acts,
/// and the result after; the id is the key that makes an actuator idempotent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Which.
    pub id: IntentId,
    /// When it was asked for.
    #[serde(rename = "issued_ms")]
    pub issued: Moment,
    /// When the engine stops waiting for the result, and looks for itself.
    #[serde(rename = "deadline_ms")]
    pub deadline: Moment,
    /// 1 for the first try.
    pub attempt: u32,
    /// What to do.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of intents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// Find out whether the rollout may start; answered by [`Answer::Found`].
    Check {
        /// What to look at.
        check: Check,
    },
    /// Set the flag, and read it back.
    SetFlag {
        /// The flag.
        key: String,
        /// The share of the traffic that gets the change, 0 to 100.
        percent: u8,
    },
    /// Restart a service, and wait until every instance of it is ready.
    Restart {
        /// The service.
        service: String,
    },
    /// Look whether an intent took effect. Nothing may be changed.
    Observe {
        /// The intent.
        of: IntentId,
    },
    /// Keep the rows of a snapshot where others can query them.
    Store {
        /// The checkpoint.
        checkpoint: String,
        /// SHA-256 of the rows as JSON lines.
        digest: String,
    },
    /// Ask a role for its signature under the snapshots.
    AskSignOff {
        /// The role.
        role: String,
        /// What it signs: SHA-256 of all snapshots as JSON lines.
        digest: String,
    },
    /// Tell people; nobody waits for it.
    Notify {
        /// The text.
        text: String,
    },
    /// Wake somebody.
    Page {
        /// The text.
        text: String,
    },
}

impl What {
    /// Whether something is changed, so that it must not be repeated blindly.
    #[must_use]
    pub fn acts(&self) -> bool {
        matches!(self, Self::SetFlag { .. } | Self::Restart { .. })
    }

    /// Whether the rollout waits for the result.
    #[must_use]
    pub fn awaited(&self) -> bool {
        matches!(self, Self::Check { .. } | Self::SetFlag { .. } | Self::Restart { .. } | Self::Observe { .. })
    }
}

/// What preflight looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// The flag exists, and is off.
    Flag,
    /// The environment has room.
    Capacity,
    /// The rollback has been rehearsed, not long ago, and was fast enough.
    Rehearsal,
    /// The baseline is fresh, long enough, and ends before the change.
    Baseline,
    /// No other rollout is on in this environment.
    OtherRollouts,
    /// No incident is open.
    Incidents,
}

impl Check {
    /// All of them, in the order in which they are asked for.
    pub const ALL: [Check; 6] =
        [Self::Flag, Self::Capacity, Self::Rehearsal, Self::Baseline, Self::OtherRollouts, Self::Incidents];
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// The share of the traffic that the flag gives the change to; `None` where there is no such flag.
    Flag {
        /// 0 to 100.
        percent: Option<u8>,
    },
    /// Percent in use; `None` where nobody knows, which is not enough room.
    Capacity {
        /// CPU.
        cpu: Option<f64>,
        /// Memory.
        memory: Option<f64>,
        /// Disk.
        disk: Option<f64>,
    },
    /// The last rehearsal of the rollback that succeeded, if any.
    Rehearsal {
        /// When it ended.
        rehearsed_ms: Option<Moment>,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// What the metrics were before the change.
    Baseline {
        /// One for each signal that has a history.
        references: References,
    },
    /// The rollouts that are on.
    OtherRollouts {
        /// Their names.
        names: Vec<String>,
    },
    /// The incidents that are open.
    Incidents {
        /// Their names.
        names: Vec<String>,
    },
}

impl Finding {
    /// The check that it answers.
    #[must_use]
    pub fn answers(&self) -> Check {
        match self {
            Self::Flag { .. } => Check::Flag,
            Self::Capacity { .. } => Check::Capacity,
            Self::Rehearsal { .. } => Check::Rehearsal,
            Self::Baseline { .. } => Check::Baseline,
            Self::OtherRollouts { .. } => Check::OtherRollouts,
            Self::Incidents { .. } => Check::Incidents,
        }
    }
}

/// What became of an intent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// A check found this.
    Found {
        /// What.
        #[serde(flatten)]
        finding: Finding,
    },
    /// Done.
    Done,
    /// The flag is set; this is what it reads.
    FlagReads {
        /// 0 to 100.
        percent: u8,
        /// Instances that restarted by themselves since the flag was set. A flag change alone restarts nothing.
        restarts: u32,
    },
    /// The service has restarted.
    Restarted {
        /// Instances that are ready.
        ready: u32,
        /// Instances that there should be.
        wanted: u32,
    },
    /// The intent that was asked about is in effect.
    InEffect,
    /// It is not.
    NotInEffect,
    /// It failed, or nobody can tell.
    Failed {
        /// Why.
        reason: String,
    },
}
