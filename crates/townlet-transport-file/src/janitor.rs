//! The thread beside a transport: it compresses, deletes, and syncs at intervals,
//! so that none of it is on the way of a batch.

use std::cell::Cell;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::housekeeping::{Housekeeping, add};
use crate::names::Period;

/// Hands work to the thread; the thread ends with it, at its next step.
pub(crate) struct Janitor {
    shared: Arc<Shared>,
}

struct Shared {
    slot: Mutex<Slot>,
    wake: Condvar,
    stop: AtomicBool,
    housekeeping: Housekeeping,
    interval: Option<Duration>,
}

/// What waits for the thread. A later request takes the place of an earlier one.
#[derive(Default)]
struct Slot {
    tidy: Option<(SystemTime, Period)>,
    dirty: Option<Arc<File>>,
}

impl Janitor {
    /// Starts the thread. Where the system gives none, files stay as they are, and
    /// the log says so.
    pub(crate) fn start(housekeeping: Housekeeping, interval: Option<Duration>) -> Self {
        let (slot, wake, stop) = (Mutex::default(), Condvar::new(), AtomicBool::new(false));
        let shared = Arc::new(Shared { slot, wake, stop, housekeeping, interval });
        let thread = Arc::clone(&shared);
        let spawned = std::thread::Builder::new().name("townlet-files".into()).spawn(move || thread.work());
        if let Err(error) = spawned {
            tracing::warn!(%error, "telemetry_file_housekeeping_failed");
        }
        Self { shared }
    }

    /// Asks for a round over the finished files. Returns at once.
    pub(crate) fn tidy(&self, now: SystemTime, period: Period) {
        self.shared.lock().tidy = Some((now, period));
        self.shared.wake.notify_one();
    }

    /// Asks for a sync of the file within the interval. Returns at once.
    pub(crate) fn dirty(&self, file: &Arc<File>) {
        let mut slot = self.shared.lock();
        if slot.dirty.is_none() {
            slot.dirty = Some(Arc::clone(file));
            self.shared.wake.notify_one();
        }
    }

    /// The file was synced otherwise.
    pub(crate) fn clean(&self) {
        self.shared.lock().dirty = None;
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // Not waited for: its disk may be the one that hangs. It holds nothing that
        // a kill at this place would not leave in order.
        self.shared.stop.store(true, Ordering::Release);
        drop(self.shared.lock());
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn work(&self) {
        // When the file has to be synced at the latest.
        let due = Cell::new(None);
        let mut slot = self.lock();
        while !self.stopped() {
            if let Some((now, period)) = slot.tidy.take() {
                drop(slot);
                // A round may take long, and syncs do not wait for its end.
                self.housekeeping.run_before(now, &period, &|| {
                    drop(self.sync_if_due(self.lock(), &due));
                    self.stopped()
                });
                slot = self.lock();
                continue;
            }
            slot = self.sync_if_due(slot, &due);
            if slot.tidy.is_some() || self.stopped() {
                continue;
            }
            slot = match due.get() {
                None => self.wake.wait(slot).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    self.wake.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Syncs what was written an interval ago, without the lock.
    fn sync_if_due<'a>(&'a self, mut slot: MutexGuard<'a, Slot>, due: &Cell<Option<Instant>>) -> MutexGuard<'a, Slot> {
        let Some(interval) = self.interval.filter(|_| slot.dirty.is_some()) else {
            due.set(None);
            return slot;
        };
        let now = Instant::now();
        let at = due.get().unwrap_or_else(|| now.checked_add(interval).unwrap_or(now));
        due.set(Some(at));
        if at > now {
            return slot;
        }
        due.set(None);
        let file = slot.dirty.take();
        drop(slot);
        file.iter().for_each(|file| self.sync(file));
        self.lock()
    }

    fn sync(&self, file: &File) {
        match file.sync_data() {
            Ok(()) => drop(add(&self.housekeeping.counts.syncs, 1)),
            Err(error) => {
                let total = add(&self.housekeeping.counts.failed, 1);
                tracing::warn!(%error, total, "telemetry_file_sync_failed");
            }
        }
    }
}
