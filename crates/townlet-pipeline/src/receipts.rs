//! Receipts of one event over all sinks that took it.

use std::time::{Duration, Instant};

use townlet_transport::Level;
use townlet_worker::{NoReceipt, Receipt};

/// The receipts of one event, by sink. See [`Stream::emit_with_receipt`](crate::Stream::emit_with_receipt).
#[derive(Clone, Debug)]
pub struct Receipts {
    pub(crate) by_sink: Vec<(String, Receipt)>,
}

impl Receipts {
    /// Waits until the event has reached `level` in every sink that took it. Not for the loop.
    ///
    /// # Errors
    /// The first reason, in the order of the sinks, for which it has not or never will.
    pub fn wait(&self, level: Level, timeout: Duration) -> Result<(), NoReceipt> {
        let began = Instant::now();
        self.by_sink.iter().try_for_each(|(_, receipt)| receipt.wait(level, timeout.saturating_sub(began.elapsed())))
    }

    /// The same as a future, for any executor. It has no timeout of its own.
    pub fn reached(&self, level: Level) -> impl Future<Output = Result<(), NoReceipt>> + Send + 'static {
        let waits: Vec<_> = self.by_sink.iter().map(|(_, receipt)| receipt.reached(level)).collect();
        async move {
            for wait in waits {
                wait.await?;
            }
            Ok(())
        }
    }

    /// The receipt of each sink that took the event.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Receipt)> {
        self.by_sink.iter().map(|(name, receipt)| (name.as_str(), receipt))
    }

    /// True where no sink took it: it was dropped, and counted.
    pub fn is_empty(&self) -> bool {
        self.by_sink.is_empty()
    }
}
