//! A changed configuration for a pipeline that runs.

use townlet_pipeline::{ReplaceError, Telemetry};

use crate::config::{BufferConfig, Provider, SinkConfig, TelemetryConfig, WorkerConfig};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::load::Loaded;
use crate::start::{Factories, Identity, StartError, marker_of, transport, worker_options};

/// What [`reload`] did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reloaded {
    /// The configuration that holds from now on.
    pub config: TelemetryConfig,
    /// Sinks with another transport, on trial until it has delivered.
    pub replaced: Vec<String>,
    /// Sinks whose worker has other limits or pauses.
    pub retuned: Vec<String>,
    /// Keys whose changes wait for a restart; the running values hold.
    /// [`Loaded::waiting`] says where they stand.
    pub needs_restart: Vec<String>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// A transport of the new configuration cannot be built.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its certificates, say, cannot be read.
    #[error("{block}: {source}")]
    Transport {
        /// The block with its keys.
        block: String,
        /// Why.
        source: townlet_transport::TransportError,
    },
    /// The pipeline refused.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
}

/// Brings a running pipeline from `running` to `next`, as far as that goes
/// without a restart.
///
/// Taken over at once, without losing an event: of each sink the transport with
/// all its keys, `retry`, batches and flush intervals, the time that `block`
/// waits, `restart_limit` and its window, the poll, and the bounds of the buffer
/// where there is no spill. A smaller buffer takes nothing away from what waits:
/// it holds for newcomers.
///
/// A restart needs what a run promises its readers or its disk: which sinks there
/// are, `backpressure`, spills and the buffers before them, `dead_letters`, `settle_at`,
/// keyframes, diffs and `wire`, the transforms (what a run redacts it redacts
/// throughout), and what belongs to the host, such as narrations.
///
/// Each new transport is built once beforehand, without connecting: where one
/// cannot be, nothing is changed. Connections are on trial: after more than
/// `max_attempts` failures of the sink's `retry` block before its first
/// delivery, the last transport that has delivered is back.
///
/// # Errors
/// See [`ReloadError`]; the pipeline goes on as it was.
pub fn reload(
    telemetry: &Telemetry,
    running: &TelemetryConfig,
    next: &TelemetryConfig,
    factories: &Factories,
    identity: &Identity,
) -> Result<Reloaded, ReloadError> {
    let marker = marker_of(running, identity);
    let mut config = running.clone();
    let mut needs_restart = rest(running, next);
    let (mut swapped, mut retuned) = (Vec::new(), Vec::new());
    for sink in &mut config.sinks {
        // Missing ones are reported by `rest`.
        let Some(wanted) = next.sinks.iter().find(|other| other.name == sink.name) else { continue };
        let taken = taken_over(sink, wanted);
        needs_restart.extend(left_over(&taken, wanted));
        let moved = SinkConfig {
            transport_type: taken.transport_type.clone(),
            settings: taken.settings.clone(),
            ..sink.clone()
        };
        if moved != *sink {
            let (info, make) = transport(&taken, factories, &marker)?;
            make().map_err(|source| ReloadError::Transport { block: taken.block(), source })?;
            swapped.push((taken.name.clone(), info, taken.retry.max_attempts, make));
        }
        if taken != moved {
            retuned.push(taken.name.clone());
        }
        *sink = taken;
    }
    let mut replaced = Vec::new();
    // With the stub there is nothing to exchange.
    if running.provider == Provider::Full {
        for sink in config.sinks.iter().filter(|sink| retuned.contains(&sink.name)) {
            telemetry.retune(&worker_options(sink))?;
        }
        for (name, info, trial, make) in swapped {
            telemetry.replace_transport(&name, info, trial, make)?;
            replaced.push(name);
        }
    }
    Ok(Reloaded { config, replaced, retuned, needs_restart })
}

/// `sink` with what a running one can take over from `wanted`.
fn taken_over(sink: &SinkConfig, wanted: &SinkConfig) -> SinkConfig {
    let mut taken = SinkConfig {
        transport_type: wanted.transport_type.clone(),
        settings: wanted.settings.clone(),
        retry: wanted.retry.clone(),
        ..sink.clone()
    };
    // A transport that is not asked for it may not give the level that the run holds to.
    taken.settings.settle_at = sink.settings.settle_at;
    taken.worker = WorkerConfig { backpressure: sink.worker.backpressure, ..wanted.worker.clone() };
    taken.buffer = BufferConfig { spill: sink.buffer.spill.clone(), ..wanted.buffer.clone() };
    if sink.buffer.spill.is_some() {
        // The books on disk say how much memory may hold, and it must not be more.
        taken.buffer.max_queue_length = sink.buffer.max_queue_length;
        taken.buffer.max_buffer_bytes = sink.buffer.max_buffer_bytes;
    }
    taken
}

/// The keys of a sink that `taken` has otherwise than `wanted`.
fn left_over(taken: &SinkConfig, wanted: &SinkConfig) -> Vec<String> {
    let (block, worker) = (wanted.block(), wanted.worker_block());
    let differ = [
        (taken.worker.backpressure != wanted.worker.backpressure, format!("{worker}.backpressure")),
        (taken.buffer.spill != wanted.buffer.spill, format!("{block}.buffer.spill")),
        (taken.buffer.max_queue_length != wanted.buffer.max_queue_length, format!("{block}.buffer.max_queue_length")),
        (taken.buffer.max_buffer_bytes != wanted.buffer.max_buffer_bytes, format!("{block}.buffer.max_buffer_bytes")),
        (taken.settle_at != wanted.settle_at, format!("{block}.settle_at")),
        (taken.dead_letters != wanted.dead_letters, format!("{block}.dead_letters")),
        (taken.keyframes.keyframe_every != wanted.keyframes.keyframe_every, format!("{block}.keyframe_every")),
        (taken.keyframes.keyframe_bytes != wanted.keyframes.keyframe_bytes, format!("{block}.keyframe_bytes")),
    ];
    differ.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key).collect()
}

/// What differs apart from the sinks that both have.
fn rest(running: &TelemetryConfig, next: &TelemetryConfig) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |differs: bool, key: &str| {
        if differs {
            found.push(key.to_owned());
        }
    };
    let names = |config: &TelemetryConfig| config.sinks.iter().map(|sink| sink.name.clone()).collect::<Vec<_>>();
    note(names(running) != names(next), "telemetry.sinks");
    note(running.provider != next.provider, "runtime.telemetry");
    note(running.producer != next.producer, "telemetry.producer");
    note(running.ledger_path != next.ledger_path, "telemetry.ledger_path");
    note(running.diff_enabled != next.diff_enabled, "telemetry.diff_enabled");
    note(running.wire != next.wire, "telemetry.wire");
    note(running.transforms != next.transforms, "telemetry.transforms.pipeline");
    note(running.redaction != next.redaction, "telemetry.transforms.redaction");
    note(running.narration != next.narration, "telemetry.narration");
    note(running.relationship_narration != next.relationship_narration, "telemetry.relationship_narration");
    note(running.personality_narration != next.personality_narration, "telemetry.personality_narration");
    found
}

impl Loaded {
    /// A warning for each key that waits for a restart ([`Reloaded::needs_restart`]),
    /// at the line where this file gives it.
    pub fn waiting(&self, reloaded: &Reloaded) -> Vec<Diagnostic> {
        let found = reloaded.needs_restart.iter().map(|key| {
            let message = format!("{key} has changed, which takes effect after a restart; the running value holds");
            let mut found = Diagnostic::new(Code::NeedsRestart, Severity::Warning, key, message);
            self.locate(&mut found);
            found
        });
        found.collect()
    }
}
