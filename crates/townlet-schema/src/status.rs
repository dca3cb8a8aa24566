//! The status of a sink.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::{heap_of, no_heap};
use crate::snapshot::Name;

/// What `latest_transport_status()` says of a sink, and of the others by name.
///
/// The first 23 names are the predecessor's; each counts what its name says.
/// At every instant `accepted` = `delivered` + `dropped_messages` + `coalesced`
/// + `buffered` + `spilled` + `residual`, and `residual` is 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TransportStatus {
    /// True while a connection is open.
    pub connected: bool,
    /// Frames dropped so far: the sum of `dropped`.
    pub dropped_messages: u64,
    /// The latest error; none again once a send succeeded.
    pub last_error: Option<String>,
    /// Tick of the latest frame whose send failed.
    pub last_failure_tick: Option<u64>,
    /// Tick of the latest frame that was delivered.
    pub last_success_tick: Option<u64>,
    /// Frames that wait.
    pub queue_length: u64,
    /// Most frames that ever waited.
    pub queue_length_peak: u64,
    /// How long the latest flush took.
    pub last_flush_duration_ms: Option<f64>,
    /// Bytes of the latest flush.
    pub last_flush_payload_bytes: u64,
    /// Frames of the latest flush.
    pub last_batch_count: u64,
    /// Frames delivered so far.
    pub payloads_flushed_total: u64,
    /// Bytes delivered so far.
    pub bytes_flushed_total: u64,
    /// Failed sends since the last success.
    pub consecutive_send_failures: u64,
    /// Failed sends so far.
    pub send_failures_total: u64,
    /// True where the bytes travel under TLS.
    pub tls_enabled: bool,
    /// True where the peer's name is checked.
    pub verify_hostname: bool,
    /// True where plaintext was acknowledged.
    pub allow_plaintext: bool,
    /// False once the worker has parked or ended.
    pub worker_alive: bool,
    /// Why.
    pub worker_error: Option<String>,
    /// The latest crash of the worker, kept.
    pub last_worker_error: Option<String>,
    /// Restarts of the worker so far.
    pub worker_restart_count: u64,
    /// True where the console asks for a token.
    pub auth_enabled: bool,
    /// `drop_oldest`, `block` or `fan_out`.
    pub backpressure_strategy: Name,

    /// Type of transport: `stdout`, `file`, `tcp`, …, `stub`.
    pub provider: Name,
    /// `active`, `inactive` for the stub, `parked`, `closed`.
    pub status: Name,
    /// Who is at the other end.
    pub peer: Option<String>,
    /// What settles a frame: `sent`, `peer_acked` or `durable`.
    pub settle_at: Name,
    /// Frames dropped so far, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// When the latest error was, in milliseconds since the Unix epoch; kept.
    pub last_error_at: Option<u64>,
    /// Errors so far.
    pub errors_total: u64,
    /// Connections opened so far.
    pub connects_total: u64,
    /// Bytes that wait.
    pub queue_bytes: u64,
    /// Most bytes that ever waited.
    pub queue_bytes_peak: u64,
    /// Frames taken in.
    pub accepted: u64,
    /// Frames that settled at `settle_at`.
    pub delivered: u64,
    /// Frames whose content went into a later one.
    pub coalesced: u64,
    /// Frames in memory, in flight included.
    pub buffered: u64,
    /// Frames on disk.
    pub spilled: u64,
    /// What is unaccounted for: 0.
    pub residual: i64,
    /// Keyframes sent. Not frames of the ledger.
    pub keyframes_sent: u64,
    /// Whole days until the certificate that we show to the peer ends, negative once
    /// it has; none where we show none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_days_left: Option<i64>,
    /// Why the disk of the sink's spill takes nothing at present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spill_error: Option<String>,
    /// Events that damage to the spill has cost, as far as known. A spill that several
    /// sinks share says the same on each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spill_damaged_total: Option<u64>,
    /// What became of frames that the peer refuses for good in the sink's file of dead
    /// letters, by reason; empty where the sink has none. The frames themselves stand
    /// under `dropped`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dead_letters: BTreeMap<String, DeadLetterCounts>,
    /// The other sinks, by name; empty on each of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, TransportStatus>,
}

/// What became of refused frames, of one sink and under one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DeadLetterCounts {
    /// Frames that were written to the file by this process.
    pub kept: u64,
    /// Bytes that they are there.
    pub bytes: u64,
    /// Frames that were not written, because the file has its bytes.
    pub beyond_limit: u64,
    /// Frames that were not written, because writing failed.
    pub failed: u64,
}

no_heap!(DeadLetterCounts);

heap_of!(TransportStatus {
    last_error,
    worker_error,
    last_worker_error,
    backpressure_strategy,
    provider,
    status,
    peer,
    settle_at,
    dropped,
    spill_error,
    dead_letters,
    sinks,
});
