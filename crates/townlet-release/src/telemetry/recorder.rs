//! Where things are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use townlet_config::{Factories, Identity, TelemetryConfig};
use townlet_pipeline::Telemetry;

use super::record::Record;
use super::trace::TraceParent;

/// The stream of what is told is `release.events`, unless the configuration names a producer.
const PRODUCER: &str = "release";

/// Why nothing is told although somebody asked for it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] townlet_config::StartError);

/// Tells what happens, or does not. Cheap to clone; the clones share one pipeline.
#[derive(Clone, Default)]
pub struct Recorder(Option<Arc<On>>);

struct On {
    telemetry: Telemetry,
    parent: Option<TraceParent>,
    /// A tick for each thing that is told.
    told: AtomicU64,
}

/// What became of everything that was told, over all sinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Told, once for each sink.
    pub accepted: u64,
    /// Of these, what has not arrived.
    pub lost: u64,
}

impl Recorder {
    /// Tells nobody.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Tells the sinks of a configuration. With `parent` everything joins the trace of a caller.
    ///
    /// # Errors
    /// Where the pipeline cannot be started.
    pub fn start(
        config: &TelemetryConfig,
        factories: &Factories,
        identity: Identity,
        parent: Option<TraceParent>,
    ) -> Result<Self, StartError> {
        let identity = Identity { producer: PRODUCER.to_owned(), runtime_variant: None, ..identity };
        let telemetry = townlet_config::start(config, factories, &identity)?;
        Ok(Self(Some(Arc::new(On { telemetry, parent, told: AtomicU64::new(0) }))))
    }

    /// Whether anybody is told.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Tells what `make` makes, which is asked only where somebody listens.
    pub(super) fn tell(&self, name: &'static str, make: impl FnOnce() -> Record) {
        let Some(on) = &self.0 else { return };
        let mut record = make();
        if let Some(parent) = &on.parent {
            record.join(&parent.trace_id, &parent.span_id, parent.sampled);
        }
        let tick = on.told.fetch_add(1, Ordering::Relaxed) + 1;
        // A refusal is on the books of the pipeline, and changes nothing here.
        let _ = on.telemetry.emit_event(name, tick, &record);
    }

    /// Delivers what it can until `limit` is over, and ends. What is told later goes nowhere.
    pub fn finish(self, limit: Duration) -> Account {
        let Some(on) = self.0 else { return Account::default() };
        let books = on.telemetry.shutdown(limit);
        let mut account = Account::default();
        for (_, statement) in &books.sinks {
            account.accepted += statement.account.accepted();
            account.lost += statement.account.accepted().saturating_sub(statement.account.delivered());
        }
        account
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_on() { "Recorder(on)" } else { "Recorder(off)" })
    }
}
