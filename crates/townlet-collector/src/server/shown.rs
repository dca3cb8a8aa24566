//! What is told of a stream while its file is waited for. A disk that hangs holds
//! the stream's lock for as long as it hangs; whoever only wants to know reads here
//! what stood when the waiting began.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::report::StreamReport;

/// The figures of a stream as they were before something was asked of the disk.
pub(super) struct Figures {
    /// Without the names, which the stream itself knows.
    pub(super) report: StreamReport,
    pub(super) last_tick: Option<u64>,
    /// When the last line came.
    pub(super) heard: Option<Instant>,
}

/// Where they stand meanwhile; empty while nobody waits.
#[derive(Clone, Default)]
pub(super) struct Shown(Arc<Mutex<Option<Arc<Figures>>>>);

impl Shown {
    /// Shows the figures until the value that is returned goes.
    pub(super) fn show(&self, figures: Figures) -> Showing {
        self.put(Some(Arc::new(figures)));
        Showing(self.clone())
    }

    pub(super) fn read(&self) -> Option<Arc<Figures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, figures: Option<Arc<Figures>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

/// Takes the figures away again, also where the work panics.
pub(super) struct Showing(Shown);

impl Drop for Showing {
    fn drop(&mut self) {
        self.0.put(None);
    }
}
