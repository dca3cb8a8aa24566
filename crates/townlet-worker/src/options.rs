//! What a worker can be told.

use std::fmt;
use std::time::Duration;

use townlet_transport::Level;

/// What happens when a sink has no room for another event (seed: pipeline guide).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backpressure {
    /// The oldest waiting event makes room.
    #[default]
    DropOldest,
    /// The caller waits, at most [`Options::block_timeout`] in all; after that
    /// the oldest makes room.
    Block,
    /// The event goes to one extra lane with its own connection and the same
    /// bounds; a full lane drops it.
    FanOut,
    /// What memory does not hold goes to disk, see [`Options::spill`]. Where even
    /// the disk cannot keep up, the caller waits as with [`Block`](Self::Block);
    /// after that the newcomer is dropped (`spill_full`).
    Spill,
    /// The oldest waiting state merges into the next one of its stream; where no
    /// two states wait that only this process has, as [`DropOldest`](Self::DropOldest).
    /// Events never merge. With a spill in mode [`Overflow`](SpillMode::Overflow) what
    /// no merging makes room for goes to disk, as under [`Spill`](Self::Spill);
    /// while anything is on disk newcomers go behind it, states too. In mode
    /// [`WriteAhead`](SpillMode::WriteAhead) nothing merges: the log has each already.
    Coalesce,
}

impl Backpressure {
    /// The name in configuration and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DropOldest => "drop_oldest",
            Self::Block => "block",
            Self::FanOut => "fan_out",
            Self::Spill => "spill",
            Self::Coalesce => "coalesce",
        }
    }
}

impl fmt::Display for Backpressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What of a sink goes through the spill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpillMode {
    /// What does not fit into half of the memory bounds.
    Overflow,
    /// Everything: what a receipt calls durable then survives the process. Sending
    /// does not wait for the sync.
    WriteAhead,
}

/// Limits, batching, retry and restart of one sink's worker.
///
/// The defaults are those of the `telemetry:` block.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name in logs and status.
    pub name: String,
    /// `buffer.max_queue_length`: events held at once, waiting and in flight.
    pub max_queue_length: usize,
    /// `buffer.max_buffer_bytes`: bytes held at once, waiting and in flight.
    pub max_buffer_bytes: usize,
    /// `buffer.max_batch_size`: events in one send, at least 1. A batch is due
    /// when so many wait, or as many as the queue holds, or when an event finds
    /// no room.
    pub max_batch_size: usize,
    /// `buffer.flush_interval_ticks`: a batch is due when the newest tick is
    /// this far beyond the oldest waiting one.
    pub flush_interval_ticks: u64,
    /// `buffer.flush_interval_seconds`: … or when the oldest may have waited so
    /// long. It is counted from the last time that nothing was seen waiting, so
    /// a batch goes out rather too early than too late. 0 holds nothing back.
    pub flush_interval: Duration,
    /// `worker_poll_seconds`: an idle worker looks around this often.
    pub poll: Duration,
    /// `worker.backpressure`.
    pub backpressure: Backpressure,
    /// Where set, somebody drives a [`Spooler`](crate::Spooler) for this sink.
    /// [`Backpressure::Spill`] needs it, [`Backpressure::Coalesce`] may have it.
    ///
    /// Memory keeps the one event that is sent next, and another may pass it on its way to the disk however large both
    /// are: then memory holds up to one event more than its bounds.
    pub spill: Option<SpillMode>,
    /// `worker.block_timeout_seconds`: the longest that one `emit` waits, in all.
    pub block_timeout: Duration,
    /// `retry.max_attempts`: failures in a row, beyond the first, after which
    /// the sink is reported as down. Nothing is dropped for it (W1, W7).
    pub max_attempts: u32,
    /// `retry.backoff_seconds`: upper bound of the first pause; it doubles from there.
    pub backoff: Duration,
    /// `retry.max_backoff_seconds`: no pause is longer.
    pub max_backoff: Duration,
    /// `worker.restart_limit`: panics survived within [`restart_window`](Self::restart_window).
    pub restart_limit: u32,
    /// `worker.restart_window_seconds`.
    pub restart_window: Duration,
    /// `settle_at`: a connection that cannot give this level is not used.
    pub settle_at: Level,
    /// How long a peer may owe an acknowledgement, counted from the oldest
    /// unacknowledged batch or from its last one, before the connection counts
    /// as lost. A slow peer that goes on acknowledging is not cut off.
    pub ack_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "main".into(),
            max_queue_length: 65_536,
            max_buffer_bytes: 256_000,
            max_batch_size: 32,
            flush_interval_ticks: 1,
            flush_interval: Duration::from_millis(500),
            poll: Duration::from_millis(500),
            backpressure: Backpressure::DropOldest,
            spill: None,
            block_timeout: Duration::from_millis(500),
            max_attempts: 3,
            backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(30),
            restart_limit: 3,
            restart_window: Duration::from_secs(60),
            settle_at: Level::Sent,
            ack_timeout: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// The events at which a batch is due: a queue that is smaller than a batch
    /// must not wait for one.
    pub(crate) fn batch_events(&self) -> usize {
        self.max_batch_size.min(self.max_queue_length)
    }

    /// The bytes at which a batch goes out although it is not full by count:
    /// large enough to amortise a system call, never more than half of the
    /// buffer, so that the next batch can fill while one is in flight.
    pub(crate) fn batch_bytes(&self) -> usize {
        (self.max_buffer_bytes / 2).clamp(1, 256 * 1024)
    }
}
