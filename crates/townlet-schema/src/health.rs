//! How the loop does: health and failure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::heap_of;
use crate::snapshot::Name;
use crate::{Kind, Payload};

/// State of a sink's worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkerHealth {
    /// False once it has parked or ended.
    pub alive: bool,
    /// Why.
    pub error: Option<String>,
    /// Restarts so far.
    pub restart_count: u64,
}

/// A sink as health lines show it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TransportHealth {
    /// Type of transport.
    pub provider: Name,
    /// Frames in the transport's queue.
    pub queue_length: u64,
    /// Frames dropped so far, for any reason.
    pub dropped_messages: u64,
    /// How long the latest flush took.
    pub last_flush_duration_ms: Option<f64>,
    /// Frames delivered so far.
    pub payloads_flushed_total: u64,
    /// Bytes delivered so far.
    pub bytes_flushed_total: u64,
    /// True where the console asks for a token.
    pub auth_enabled: bool,
    /// State of its worker.
    pub worker: WorkerHealth,
}

/// The block that dashboards read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HealthSummary {
    /// Wall time of the tick.
    pub duration_ms: f64,
    /// Frames in the transport's queue.
    pub queue_length: u64,
    /// Frames dropped so far, for any reason.
    pub dropped_messages: u64,
    /// How long the latest flush took.
    pub last_flush_duration_ms: Option<f64>,
    /// Frames delivered so far.
    pub payloads_flushed_total: u64,
    /// Bytes delivered so far.
    pub bytes_flushed_total: u64,
    /// True where the console asks for a token.
    pub auth_enabled: bool,
    /// False once the worker has parked or ended.
    pub worker_alive: bool,
    /// Why.
    pub worker_error: Option<String>,
    /// Restarts of the worker so far.
    pub worker_restart_count: u64,
    /// Disturbances yet to come.
    pub perturbations_pending: u64,
    /// Disturbances under way.
    pub perturbations_active: u64,
    /// Agents that wait for their exit.
    pub employment_exit_queue: u64,
}

/// Body of a `health` line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Health {
    /// `ok`, or what is wrong in a word.
    pub status: Name,
    /// Which implementation of the world runs.
    pub runtime_variant: Option<String>,
    /// Wall time of the tick.
    pub duration_ms: f64,
    /// Failed ticks so far.
    pub failure_count: u64,
    /// The sink `main`.
    pub transport: TransportHealth,
    /// The other sinks, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, TransportHealth>,
    /// The same in one flat block, with the state of the town.
    pub summary: HealthSummary,
}

/// The block of a failure line that dashboards read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FailureSummary {
    /// Wall time of the tick.
    pub duration_ms: f64,
    /// Frames in the transport's queue.
    pub queue_length: u64,
    /// Frames dropped so far, for any reason.
    pub dropped_messages: u64,
}

/// Body of a `failure` line: a tick that failed.
///
/// Unlike the predecessor's it always travels in an envelope with its version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Failure {
    /// `error`.
    pub status: Name,
    /// Wall time of the tick.
    pub duration_ms: f64,
    /// Failed ticks so far, this one included.
    pub failure_count: u64,
    /// What failed: kind and message.
    pub error: String,
    /// Where the state of the world was saved.
    pub snapshot_path: Option<String>,
    /// The sink `main`.
    pub transport: TransportHealth,
    /// The latest health before.
    pub health: Option<Health>,
    /// The same in one flat block.
    pub summary: FailureSummary,
}

heap_of!(
    WorkerHealth { error }
    TransportHealth { provider, worker }
    HealthSummary { worker_error }
    Health { status, runtime_variant, transport, sinks, summary }
    FailureSummary {}
    Failure { status, error, snapshot_path, transport, health }
);

impl Payload for Health {
    const KIND: Kind = Kind::Health;
    const PROVES_SCHEMA: bool = true;
}

impl Payload for Failure {
    const KIND: Kind = Kind::Failure;
    const PROVES_SCHEMA: bool = true;
}
