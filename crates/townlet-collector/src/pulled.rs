//! What a collector has to say about the messages that it pulls.

use std::fmt;

use serde::Serialize;

/// What became of the messages that are pulled from NATS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NatsReport {
    /// True while there is a connection.
    pub connected: bool,
    /// Connections made.
    pub connections: u64,
    /// The partitions that this member pulls.
    pub partitions: Vec<u32>,
    /// Messages that the broker had still to deliver for them when it was last heard.
    pub pending: u64,
    /// Messages that were delivered, to us or before, and that the broker has no word of yet:
    /// under way, or given back to come again.
    pub unacknowledged: u64,
    /// Both by partition.
    pub by_partition: Vec<PartitionReport>,
    /// Messages that came a second time or more often.
    pub redelivered: u64,
    /// Messages that are no line, and must not come again.
    pub terminated: u64,
    /// Messages given back, because the store failed or another member took over.
    pub returned: u64,
    /// Why there is no connection, or the last trouble with a partition.
    pub error: Option<String>,
}

/// How far behind the consumer of a partition is, as the broker said last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// The partition.
    pub partition: u32,
    /// Messages that were never delivered yet.
    pub pending: u64,
    /// Messages that were delivered, and that the broker has no word of yet.
    pub unacknowledged: u64,
}

impl fmt::Display for NatsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nats: {} partitions, {} to come, {} not acknowledged, {} came again, {} terminated, {} given back, {} connections",
            self.partitions.len(),
            self.pending,
            self.unacknowledged,
            self.redelivered,
            self.terminated,
            self.returned,
            self.connections
        )?;
        match &self.error {
            Some(error) => write!(f, "; {error}"),
            None => Ok(()),
        }
    }
}
