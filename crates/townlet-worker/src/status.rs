//! What a worker says about itself.

use std::time::{Duration, SystemTime};

use townlet_transport::{Durations, ErrorKind, Level};

use crate::Statement;

/// A sink's state at one instant. Counters count what their name says; times
/// are on the clock that the driver passes in.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The books.
    pub statement: Statement,
    /// True while the last thing heard of the sink was good: set by a
    /// successful connect or send, cleared by a failure.
    pub connected: bool,
    /// Whom the sink is connected to, or was last.
    pub peer: Option<String>,
    /// True where that connection is under TLS.
    pub tls: bool,
    /// Until when the certificate that we show there is good; none where we show none.
    pub certificate_until: Option<SystemTime>,
    /// The level at which that connection settles frames.
    pub level: Option<Level>,
    /// Events held: waiting and in flight.
    pub queue_length: usize,
    /// The largest `queue_length` so far.
    pub queue_length_peak: usize,
    /// Bytes held: waiting and in flight.
    pub queue_bytes: usize,
    /// The largest `queue_bytes` so far.
    pub queue_bytes_peak: usize,
    /// Connections opened so far.
    pub connects_total: u64,
    /// Duration of the last successful send, without pauses and without the
    /// wait for receipts.
    pub last_flush_duration: Option<Duration>,
    /// The durations of all of them.
    pub flush_durations: Durations,
    /// Events that settled together last: by a send, or by receipts.
    pub last_batch_count: usize,
    /// Their bytes.
    pub last_flush_payload_bytes: usize,
    /// Events delivered.
    pub payloads_flushed_total: u64,
    /// Bytes delivered.
    pub bytes_flushed_total: u64,
    /// Failures since the last success.
    pub consecutive_send_failures: u64,
    /// Failures of connect, send or acknowledgement, ever.
    pub send_failures_total: u64,
    /// True after more than `max_attempts` failures in a row.
    pub down: bool,
    /// The last failure; cleared by the next success (W12).
    pub last_error: Option<String>,
    /// Its kind.
    pub last_error_kind: Option<ErrorKind>,
    /// When the most recent failure happened; kept after recovery.
    pub last_error_at: Option<Duration>,
    /// When the last send succeeded.
    pub last_success_at: Option<Duration>,
    /// The tick of the newest frame that was delivered.
    pub last_success_tick: Option<u64>,
    /// The tick of the head frame at the last failure.
    pub last_failure_tick: Option<u64>,
    /// False while parked after too many panics, and after shutdown.
    pub worker_alive: bool,
    /// Why the worker is parked.
    pub worker_error: Option<String>,
    /// The last panic's message; kept.
    pub last_worker_error: Option<String>,
    /// Transports that replaced another while the sink ran.
    pub swaps_total: u64,
    /// Of them, those that failed on trial, so that the one before came back.
    pub rollbacks_total: u64,
    /// States that were sent whole, by sinks that get diffs.
    pub keyframes_sent: u64,
    /// Restarts after panics.
    pub worker_restart_count: u64,
}
