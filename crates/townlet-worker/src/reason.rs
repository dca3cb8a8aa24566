//! Why an accepted event was not delivered.

use std::fmt;

/// The closed list of reasons under which an accepted event may be dropped.
///
/// Every drop in the workspace goes through a function that takes one of these,
/// so that a loss without a reason does not compile. The names are those of the
/// `dropped` map in status and statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum DropReason {
    /// `drop_oldest`: made room for a newer event.
    Backpressure,
    /// `block`: the timeout ran out and there was nothing older to evict.
    BlockTimeout,
    /// `fan_out`: the extra lane was full as well.
    FanOutFull,
    /// Larger than the sink's byte bound or its peer's limit; dropped alone.
    Oversize,
    /// The peer refuses this frame and always will.
    Rejected,
    /// The sink's reader went away in the ordinary course (a closed pipe).
    SinkClosed,
    /// `ensure_fields`: a required field is missing.
    MissingFields,
    /// `schema_validator` in mode `drop`.
    SchemaInvalid,
    /// A float was NaN or infinite, which JSON cannot say.
    NonFinite,
    /// The payload is not one JSON object within the limits.
    InvalidPayload,
    /// A transform of the host refused it.
    Transform,
    /// A transform panicked on it.
    TransformPanic,
    /// `spill`: memory was full, and the disk could not take more in time.
    SpillFull,
    /// `spill`: the oldest on disk, given up for the spill's bounds of size or age.
    SpillShed,
    /// `spill`: what was on disk cannot be read any more.
    SpillDamaged,
    /// Handed to the transport at shutdown, outcome unknown.
    UnackedAtShutdown,
    /// Still waiting when the shutdown deadline came.
    UndeliveredAtShutdown,
}

impl DropReason {
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Self; 17] = [
        Self::Backpressure,
        Self::BlockTimeout,
        Self::FanOutFull,
        Self::Oversize,
        Self::Rejected,
        Self::SinkClosed,
        Self::MissingFields,
        Self::SchemaInvalid,
        Self::NonFinite,
        Self::InvalidPayload,
        Self::Transform,
        Self::TransformPanic,
        Self::SpillFull,
        Self::SpillShed,
        Self::SpillDamaged,
        Self::UnackedAtShutdown,
        Self::UndeliveredAtShutdown,
    ];

    /// The name in status, statements and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backpressure => "backpressure",
            Self::BlockTimeout => "block_timeout",
            Self::FanOutFull => "fan_out_full",
            Self::Oversize => "oversize",
            Self::Rejected => "rejected",
            Self::SinkClosed => "sink_closed",
            Self::MissingFields => "missing_fields",
            Self::SchemaInvalid => "schema_invalid",
            Self::NonFinite => "non_finite",
            Self::InvalidPayload => "invalid_payload",
            Self::Transform => "transform",
            Self::TransformPanic => "transform_panic",
            Self::SpillFull => "spill_full",
            Self::SpillShed => "spill_shed",
            Self::SpillDamaged => "spill_damaged",
            Self::UnackedAtShutdown => "unacked_at_shutdown",
            Self::UndeliveredAtShutdown => "undelivered_at_shutdown",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
