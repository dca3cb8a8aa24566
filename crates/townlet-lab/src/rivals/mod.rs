//! Other ways to carry events from a loop to a writer, each set up at its best.
//!
//! "At its best" means: a queue of [`QUEUE_EVENTS`], gathered writes where the
//! rival leaves that to its user, and no waiting for timers at the end. What a
//! rival does by itself, such as a write per line, stays as it ships.

mod appender;
mod channel;
mod mutex_batch;
mod otel;
pub mod rsyslog;

use std::iter::StepBy;
use std::ops::Range;

pub use self::appender::Appender;
pub use self::channel::{FlumeBytes, FlumeValues};
pub use self::mutex_batch::{MutexBatch, MutexBatchPipeline};
pub use self::otel::{Otel, null_logger};

/// Events that a rival's queue holds; as many as ours.
pub const QUEUE_EVENTS: usize = 65_536;

/// Bytes gathered before a write.
pub const GATHERED: usize = 256 * 1024;

/// The events of one producer: every so manyth, so that all producers are in the same tick.
pub type Share = StepBy<Range<u64>>;

/// A pipeline from events to a destination.
pub trait Pipeline: Sync {
    /// Emits the events of `share`, in order, on the calling thread.
    ///
    /// # Errors
    /// What keeps it from taking an event over.
    fn produce(&self, share: Share) -> anyhow::Result<()>;

    /// Waits until all that was emitted is with the kernel, and ends.
    ///
    /// # Errors
    /// What went wrong on the way, or books that do not balance.
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

/// The result of a rival's thread.
fn joined(thread: std::thread::JoinHandle<std::io::Result<()>>) -> anyhow::Result<()> {
    Ok(thread.join().map_err(|_| anyhow::anyhow!("a rival's thread panicked"))??)
}
