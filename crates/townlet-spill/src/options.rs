//! What the log may use, and when it syncs.

use std::time::Duration;

/// When what was written is synced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FsyncPolicy {
    /// In every commit: what a commit returned survives a power cut.
    #[default]
    EachCommit,
    /// In a commit, at most this often, and whenever 8 MiB wait for it. Unsynced
    /// records are kept in memory too, so a failed sync loses nothing.
    Every(Duration),
    /// Left to the system: survives a killed process, not a power cut.
    Never,
}

/// Bounds of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpillOptions {
    /// A segment is closed by the commit that takes it to this many bytes.
    /// At most a quarter of `max_bytes` is used.
    pub segment_bytes: u64,
    /// Bytes of all segments and of what waits for a commit; `append` refuses
    /// beyond it. The state file (at most 256 KiB) comes on top.
    pub max_bytes: u64,
    /// Segments of which every record is older are shed by [`Spill::shed`](crate::Spill::shed).
    pub max_age: Option<Duration>,
    /// The largest record, head and body together.
    pub max_record_bytes: u32,
    /// When to sync.
    pub fsync: FsyncPolicy,
    /// [`Spill::checkpoint_due`](crate::Spill::checkpoint_due) says yes after so many bytes. It bounds
    /// what the next start has to read.
    pub checkpoint_bytes: u64,
    /// Bytes read from the disk at once, per sink that reads. A larger record
    /// needs its own size.
    pub read_buffer: usize,
    /// Damaged segments kept for a person to look at; older ones are removed.
    pub keep_quarantined: usize,
}

impl Default for SpillOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            max_bytes: 1 << 30,
            max_age: None,
            max_record_bytes: 16 << 20,
            fsync: FsyncPolicy::EachCommit,
            checkpoint_bytes: 4 << 20,
            read_buffer: 64 << 10,
            keep_quarantined: 8,
        }
    }
}

impl SpillOptions {
    /// With values that contradict each other brought into order.
    pub(crate) fn sane(mut self) -> Self {
        self.segment_bytes = self.segment_bytes.min(self.max_bytes / 4).max(4096);
        self.read_buffer = self.read_buffer.clamp(512, 4 << 20);
        self
    }
}
