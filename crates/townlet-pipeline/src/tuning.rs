//! Limits of running sinks, and what the stage makes of them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use townlet_worker::{Options, Sink};

use crate::error::ReplaceError;
use crate::telemetry::Telemetry;

/// Bounds of the time for which a stage without work sleeps.
const SHORTEST_DOZE: Duration = Duration::from_millis(1);
const LONGEST_DOZE: Duration = Duration::from_millis(100);

/// What the way in and the separate stage have to know of all sinks together.
/// Each value stands alone: a reader may see some of them newer than others.
#[derive(Debug, Default)]
pub(crate) struct Tuning {
    largest_bound: AtomicUsize,
    doze_us: AtomicU64,
    at_once: AtomicBool,
}

impl Tuning {
    pub(crate) fn of(sinks: &[Sink]) -> Self {
        let tuning = Self::default();
        tuning.renew(sinks);
        tuning
    }

    fn renew(&self, sinks: &[Sink]) {
        let options = || sinks.iter().map(|sink| sink.main().options());
        let at_once = options().any(|o| o.flush_interval.is_zero() || o.flush_interval_ticks == 0);
        let shortest_flush = options().map(|o| o.flush_interval).min().unwrap_or_default();
        // Events wait at most a quarter longer than by the workers' own interval.
        let doze = if at_once { LONGEST_DOZE } else { (shortest_flush / 4).clamp(SHORTEST_DOZE, LONGEST_DOZE) };
        let largest = options().map(|o| o.max_buffer_bytes).max().unwrap_or_default();
        self.largest_bound.store(largest, Ordering::Relaxed);
        // At most 100 ms.
        self.doze_us.store(doze.as_micros() as u64, Ordering::Relaxed);
        self.at_once.store(at_once, Ordering::Relaxed);
    }

    /// The largest `max_buffer_bytes`: nothing heavier than this fits into any sink.
    pub(crate) fn largest_bound(&self) -> usize {
        self.largest_bound.load(Ordering::Relaxed)
    }

    /// How long the separate stage may let events wait for more.
    pub(crate) fn stage_doze(&self) -> Duration {
        Duration::from_micros(self.doze_us.load(Ordering::Relaxed))
    }

    /// Some sink wants events at once: each wakes the stage where it dozes.
    pub(crate) fn stage_at_once(&self) -> bool {
        self.at_once.load(Ordering::Relaxed)
    }
}

impl Telemetry {
    /// Gives the sink `options.name` other limits while it runs: batches and flush
    /// intervals, retry pauses, `block_timeout`, the limit of restarts, and, where it
    /// has no spill, the bounds of its queue. A smaller bound holds for what comes
    /// and takes nothing away from what waits. `backpressure`, `spill` and
    /// `settle_at` of `options` are not looked at: a run keeps them.
    ///
    /// # Errors
    /// [`ReplaceError::NoSuchSink`]; [`ReplaceError::Closed`] after shutdown.
    pub fn retune(&self, options: &Options) -> Result<(), ReplaceError> {
        let shared = &self.inner().shared;
        let mut state = shared.lock();
        if state.closed {
            return Err(ReplaceError::Closed);
        }
        let found = state.sinks.all().iter_mut().find(|sink| sink.main().options().name == options.name);
        found.ok_or_else(|| ReplaceError::NoSuchSink(options.name.clone()))?.retune(options);
        shared.tuning.renew(state.sinks.all());
        drop(state);
        // Who waits by the old limits looks again.
        shared.ring_all();
        Ok(())
    }
}
