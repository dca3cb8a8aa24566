//! The handle that a host embeds.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use townlet_schema::{ConsoleResult, Failure, Health, Json, Kind, Payload, RunId, Snapshot};
use townlet_worker::{Account, Sink, Statement};

use crate::admission::Emitted;
use crate::books::Recovered;
use crate::builder::Builder;
use crate::dynamic::{NamedEvent, StandardStreams};
use crate::error::{EmitError, StreamError};
use crate::lane::Lane;
use crate::latest::Latest;
use crate::shared::{Shared, State};
use crate::state::StateValue;
use crate::stream::Stream;
use crate::tap::{Tap, TapOptions};

/// A running pipeline. Cheap to clone, `Send + Sync`.
///
/// When the last handle goes without [`shutdown`](Self::shutdown), streams are
/// closed and the threads end without draining; the books cannot be read any
/// more then, so call it. What was not delivered is logged as
/// `telemetry_dropped_without_shutdown`.
#[derive(Clone, Debug)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) producer: String,
    pub(crate) runtime_variant: Option<String>,
    pub(crate) standard: StandardStreams,
    pub(crate) latest: Latest,
    recovered: Vec<Recovered>,
}

/// The final books of a pipeline, by sink, in the order of configuration.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FinalStatement {
    /// Sink name and its statement; `buffered` is 0 in each, `spilled` is what its
    /// spill keeps for the next run.
    pub sinks: Vec<(String, Statement)>,
}

impl FinalStatement {
    /// The sum of the residuals: 0, or there is a bug.
    pub fn residual(&self) -> i128 {
        self.sinks.iter().map(|(_, s)| s.residual()).sum()
    }
}

impl Inner {
    pub(crate) fn recovered(&self) -> &[Recovered] {
        &self.recovered
    }
}

impl Telemetry {
    /// Starts putting a pipeline together.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        producer: String,
        runtime_variant: Option<String>,
        recovered: Vec<Recovered>,
    ) -> Result<Self, StreamError> {
        let standard = StandardStreams::open(&shared, &producer)?;
        let latest = Latest::default();
        Ok(Self { inner: Arc::new(Inner { shared, producer, runtime_variant, standard, latest, recovered }) })
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The identity of this run.
    pub fn run_id(&self) -> RunId {
        *self.inner.shared.lock().streams.run_id()
    }

    /// What earlier runs left in the spills, in the order in which they were configured,
    /// and behind them in the ledger.
    pub fn recovered(&self) -> &[Recovered] {
        &self.inner.recovered
    }

    /// Opens a stream for payloads of one type, or returns the one that is open.
    /// `name` gets the producer's name in front: `orders` → `town.orders`.
    ///
    /// # Errors
    /// [`StreamError::TypeMismatch`] where the name carries another type,
    /// [`StreamError::BadName`] where it is not a name.
    pub fn stream<T: Payload>(&self, name: &str) -> Result<Stream<T>, StreamError> {
        open(&self.inner.shared, &format!("{}.{name}", self.inner.producer))
    }

    /// Emits by event name, the seeds' entry point.
    ///
    /// `loop.tick`, `loop.health`, `loop.failure` and `console.result` go to their
    /// own kinds, with the payload as the line's body, less the fields that the
    /// envelope has (`tick`, `schema_version`, …); any other name becomes an
    /// `event` line `{"event": name, "payload": …}` in `<producer>.events`.
    /// The payload is encoded here; for the typed way see [`stream`](Self::stream)
    /// and the `emit_*` methods.
    ///
    /// # Errors
    /// As [`Stream::emit`].
    pub fn emit_event<P: Serialize + ?Sized>(&self, name: &str, tick: u64, payload: &P) -> Result<Emitted, EmitError> {
        self.inner.standard.emit_named(name, tick, payload)
    }

    /// Emits the state of a tick and keeps it for the `latest_*` getters. The
    /// snapshot is shared, not copied.
    ///
    /// # Errors
    /// As [`Stream::emit`].
    pub fn emit_snapshot(&self, tick: u64, snapshot: Snapshot) -> Result<Emitted, EmitError> {
        let snapshot = Arc::new(snapshot);
        self.inner.latest.keep_snapshot(tick, Arc::clone(&snapshot));
        self.inner.standard.snapshots.emit(tick, StateValue(snapshot))
    }

    /// Emits a health report and keeps it for [`latest_health_status`](Self::latest_health_status).
    ///
    /// # Errors
    /// As [`Stream::emit`].
    pub fn emit_health(&self, tick: u64, health: Health) -> Result<Emitted, EmitError> {
        self.inner.latest.keep_health(tick, health.clone());
        self.inner.standard.health.emit(tick, health)
    }

    /// Emits a failure report of the loop.
    ///
    /// # Errors
    /// As [`Stream::emit`].
    pub fn emit_failure(&self, tick: u64, failure: Failure) -> Result<Emitted, EmitError> {
        self.inner.standard.failures.emit(tick, failure)
    }

    /// Emits the result of a console command and keeps it in the history.
    ///
    /// # Errors
    /// As [`Stream::emit`].
    pub fn emit_console(&self, tick: u64, result: ConsoleResult) -> Result<Emitted, EmitError> {
        self.inner.latest.keep_console(tick, result.clone());
        self.inner.standard.console.emit(tick, result)
    }

    /// Emits a named event with a free-form payload that is moved, not encoded here.
    ///
    /// # Errors
    /// As [`Stream::emit`].
    pub fn emit_named(
        &self,
        name: impl Into<std::borrow::Cow<'static, str>>,
        tick: u64,
        payload: Json,
    ) -> Result<Emitted, EmitError> {
        self.inner.standard.events.emit(tick, NamedEvent { event: name.into(), payload })
    }

    /// The books of each sink at one instant, in the order of configuration.
    pub fn statements(&self) -> Vec<(String, Statement)> {
        let mut state = self.inner.shared.lock();
        state.sinks.all().iter().map(|s| (s.main().options().name.clone(), s.statement())).collect()
    }

    /// For one sink, the account of each stream, at one instant.
    pub fn stream_accounts(&self, sink: &str) -> Option<Vec<(String, Account)>> {
        let mut state = self.inner.shared.lock();
        let State { sinks, streams, .. } = &mut *state;
        let sink: &Sink = sinks.all().iter().find(|s| s.main().options().name == sink)?;
        let infos = streams.infos();
        Some(infos.iter().enumerate().map(|(n, i)| (i.name.to_string(), sink.stream(n as u32))).collect())
    }

    /// Shows the frames that are made from now on, after redaction, also those
    /// that a sink then fails to deliver. A tap that reads too slowly misses
    /// frames, which it counts; nobody waits for it. Any number may be attached.
    pub fn tap(&self, options: &TapOptions) -> Tap {
        self.inner.shared.tap.attach(options)
    }

    /// Sends what waits without regard to batch size and intervals, and waits
    /// until every sink has settled everything or `timeout` is over. True where
    /// nothing is buffered any more. Blocks the caller; not for the loop.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.inner.shared.flush(timeout)
    }

    /// Delivers what it can until `timeout`, stores the rest where there is a
    /// spill (it counts as spilled, and the next run delivers it), settles by name what is still left
    /// (`unacked_at_shutdown`, `undelivered_at_shutdown`), and returns the final
    /// books. On time even when a call of a transport is stuck; a disk that is slow may
    /// add a second for the last writes of a spill
    /// ([`SpillSettings::grace`](crate::SpillSettings::grace)) or a ledger. Later emits are
    /// refused; calling it again returns the same books.
    pub fn shutdown(&self, timeout: Duration) -> FinalStatement {
        let statements = self.inner.shared.shutdown(timeout);
        self.inner.shared.tap.close();
        let names = self.statements().into_iter().map(|(name, _)| name);
        FinalStatement { sinks: names.zip(statements).collect() }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let now = self.shared.now();
        let mut state = self.shared.lock();
        self.shared.close(&mut state, now);
        let left: Vec<(String, u64)> = state
            .sinks
            .all()
            .iter()
            .map(|sink| (sink.main().options().name.clone(), sink.statement().buffered))
            .filter(|(_, undelivered)| *undelivered > 0)
            .collect();
        self.shared.abandon(&mut state);
        drop(state);
        // Nobody can read the books any more.
        for (sink, undelivered) in left {
            tracing::warn!(sink, undelivered, "telemetry_dropped_without_shutdown");
        }
        self.shared.retire_slots();
        self.shared.tap.close();
    }
}

/// Opens or finds a stream by its full name.
/// Never waits for a transform.
pub(crate) fn open<T: Payload>(shared: &Arc<Shared>, name: &str) -> Result<Stream<T>, StreamError> {
    let mut state = shared.lock();
    let (index, new) = state.streams.open::<T>(name)?;
    if new {
        state.intake.add_lane(Box::new(Lane::<T>::default()), Box::new(Lane::<T>::default()));
    }
    let raising = shared.raising().filter(|v| v.concerns(T::KIND));
    let name = Arc::clone(&state.streams.get(index).name);
    Ok(Stream::new(Arc::clone(shared), index, name, raising))
}

/// The kind that an event name of the seeds stands for.
pub(crate) fn kind_of(name: &str) -> Kind {
    match name {
        "loop.tick" => Kind::Snapshot,
        "loop.health" => Kind::Health,
        "loop.failure" => Kind::Failure,
        "console.result" => Kind::Console,
        _ => Kind::Event,
    }
}
