//! A changed configuration for a pipeline that runs.

use townlet_pipeline::{ReplaceError, Telemetry};

use crate::config::{Provider, SinkConfig, TelemetryConfig};
use crate::start::{Factories, Identity, StartError, marker_of, transport};

/// What [`reload`] did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reloaded {
    /// The configuration that holds from now on.
    pub config: TelemetryConfig,
    /// Sinks with another transport, on trial until it has delivered.
    pub replaced: Vec<String>,
    /// Blocks whose changes wait for a restart; the running values hold.
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
/// without a restart: sinks whose transport differs get the new one, without
/// losing an event. Each new transport is built once beforehand, without
/// connecting: where one cannot be, nothing is changed.
///
/// Connections are on trial: after more than `max_attempts` failures of the
/// sink's `retry` block before its first delivery, the last transport that has
/// delivered is back.
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
    let mut changed = Vec::new();
    for sink in &mut config.sinks {
        // Missing ones are reported by `rest`.
        let Some(wanted) = next.sinks.iter().find(|other| other.name == sink.name) else { continue };
        let swapped = SinkConfig {
            transport_type: wanted.transport_type.clone(),
            settings: wanted.settings.clone(),
            ..sink.clone()
        };
        if swapped != *wanted {
            needs_restart.push(wanted.worker_block());
        }
        if swapped != *sink {
            let (info, make) = transport(&swapped, factories, &marker)?;
            make().map_err(|source| ReloadError::Transport { block: swapped.block(), source })?;
            changed.push((swapped.name.clone(), info, swapped.retry.max_attempts, make));
            *sink = swapped;
        }
    }
    let mut replaced = Vec::new();
    // With the stub there is nothing to exchange.
    if running.provider == Provider::Full {
        for (name, info, trial, make) in changed {
            telemetry.replace_transport(&name, info, trial, make)?;
            replaced.push(name);
        }
    }
    Ok(Reloaded { config, replaced, needs_restart })
}

/// What differs apart from the sinks that both have.
fn rest(running: &TelemetryConfig, next: &TelemetryConfig) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |differs: bool, block: &str| {
        if differs {
            found.push(block.to_owned());
        }
    };
    let names = |config: &TelemetryConfig| config.sinks.iter().map(|sink| sink.name.clone()).collect::<Vec<_>>();
    note(names(running) != names(next), "telemetry.sinks");
    note(running.provider != next.provider, "runtime.telemetry");
    note((running.transforms != next.transforms) || (running.redaction != next.redaction), "telemetry.transforms");
    let bare = |config: &TelemetryConfig| TelemetryConfig {
        sinks: Vec::new(),
        provider: running.provider,
        transforms: Vec::new(),
        redaction: running.redaction,
        ..config.clone()
    };
    note(bare(running) != bare(next), "telemetry");
    found
}
