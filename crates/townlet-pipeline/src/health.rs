//! `loop.health`: a tick's report with the transport's state, and its log line.

use std::borrow::Cow;
use std::time::Duration;

use townlet_schema::{Failure, FailureSummary, Health, HealthSummary, TransportHealth, TransportStatus, WorkerHealth};

use crate::admission::Emitted;
use crate::error::EmitError;
use crate::spills::SpillState;
use crate::status::millis;
use crate::telemetry::Telemetry;

/// What the loop knows about a tick that it has finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TickHealth {
    /// Wall time of the tick.
    pub duration: Duration,
    /// Failed ticks so far.
    pub failure_count: u64,
    /// Disturbances yet to come.
    pub perturbations_pending: u64,
    /// Disturbances under way.
    pub perturbations_active: u64,
    /// Agents that wait for their exit.
    pub employment_exit_queue: u64,
}

impl Telemetry {
    /// Reports a finished tick: emits a `health` line with the `summary` block
    /// and writes the `tick_health` log line (level info).
    ///
    /// The queue and drop figures are the transport's own (W11).
    ///
    /// # Errors
    /// As [`Stream::emit`](crate::Stream::emit).
    pub fn tick_health(&self, tick: u64, report: &TickHealth) -> Result<Emitted, EmitError> {
        let status = self.latest_transport_status();
        let transport = transport_health(&status);
        let summary = HealthSummary {
            duration_ms: millis(report.duration),
            queue_length: status.queue_length,
            dropped_messages: status.dropped_messages,
            last_flush_duration_ms: status.last_flush_duration_ms,
            payloads_flushed_total: status.payloads_flushed_total,
            bytes_flushed_total: status.bytes_flushed_total,
            auth_enabled: status.auth_enabled,
            worker_alive: status.worker_alive,
            worker_error: status.worker_error.clone(),
            worker_restart_count: status.worker_restart_count,
            perturbations_pending: report.perturbations_pending,
            perturbations_active: report.perturbations_active,
            employment_exit_queue: report.employment_exit_queue,
        };
        let variant = self.inner().runtime_variant.clone();
        let spills = self.spills();
        tracing::info!("{}", tick_health_line(tick, &summary, &status, &spills, variant.as_deref()));
        let all_alive = status.worker_alive && status.sinks.values().all(|s| s.worker_alive);
        let disks_take = spills.iter().all(|spill| spill.error.is_none());
        let health = Health {
            status: match (all_alive, disks_take) {
                (false, _) => "worker_down".into(),
                (true, false) => "spill_error".into(),
                (true, true) => "ok".into(),
            },
            runtime_variant: variant,
            duration_ms: summary.duration_ms,
            failure_count: report.failure_count,
            transport,
            sinks: status.sinks.iter().map(|(name, s)| (name.clone(), transport_health(s))).collect(),
            summary,
        };
        self.emit_health(tick, health)
    }

    /// Reports a tick that failed, with `error` as its reason, and logs
    /// `simulation_loop_failure`.
    ///
    /// # Errors
    /// As [`Stream::emit`](crate::Stream::emit).
    pub fn tick_failure(&self, tick: u64, report: &TickHealth, error: &str) -> Result<Emitted, EmitError> {
        let status = self.latest_transport_status();
        let summary = FailureSummary {
            duration_ms: millis(report.duration),
            queue_length: status.queue_length,
            dropped_messages: status.dropped_messages,
        };
        tracing::error!(
            "simulation_loop_failure tick={tick} error={error:?} queue={} dropped={}",
            summary.queue_length,
            summary.dropped_messages
        );
        let failure = Failure {
            status: "error".into(),
            duration_ms: summary.duration_ms,
            failure_count: report.failure_count,
            error: error.to_owned(),
            snapshot_path: None,
            transport: transport_health(&status),
            health: self.latest_health_status().map(|h| (*h).clone()),
            summary,
        };
        self.emit_failure(tick, failure)
    }
}

fn transport_health(status: &TransportStatus) -> TransportHealth {
    TransportHealth {
        provider: status.provider.clone(),
        queue_length: status.queue_length,
        dropped_messages: status.dropped_messages,
        last_flush_duration_ms: status.last_flush_duration_ms,
        payloads_flushed_total: status.payloads_flushed_total,
        bytes_flushed_total: status.bytes_flushed_total,
        auth_enabled: status.auth_enabled,
        worker: WorkerHealth {
            alive: status.worker_alive,
            error: status.worker_error.clone(),
            restart_count: status.worker_restart_count,
        },
    }
}

/// The line that watchers parse: `key=value`, the counters of the guide and of
/// facts 6.4, the spills (all of them), and the `runtime_variant` that the rollout plan alerts on. What
/// may hold a space is quoted.
fn tick_health_line(
    tick: u64,
    s: &HealthSummary,
    status: &TransportStatus,
    spills: &[SpillState],
    variant: Option<&str>,
) -> String {
    let spilled: u64 = status.spilled + status.sinks.values().map(|s| s.spilled).sum::<u64>();
    let damaged: u64 = spills.iter().map(|s| s.damaged_total).sum();
    format!(
        "tick_health tick={tick} duration_ms={:.2} queue={} queue_peak={} dropped={} flush_ms={:.2} batch={} \
         flush_bytes={} payloads_total={} bytes_total={} failures={} failures_total={} worker_alive={} \
         worker_error={} restarts={} perturbations_pending={} perturbations_active={} exit_queue={} \
         spilled={spilled} spill_error={} spill_damaged={damaged} \
         runtime_variant={}",
        s.duration_ms,
        s.queue_length,
        status.queue_length_peak,
        s.dropped_messages,
        s.last_flush_duration_ms.unwrap_or_default(),
        status.last_batch_count,
        status.last_flush_payload_bytes,
        s.payloads_flushed_total,
        s.bytes_flushed_total,
        status.consecutive_send_failures,
        status.send_failures_total,
        s.worker_alive,
        word(s.worker_error.as_deref()),
        s.worker_restart_count,
        s.perturbations_pending,
        s.perturbations_active,
        s.employment_exit_queue,
        word(spills.iter().find_map(|s| s.error.as_deref())),
        word(variant),
    )
}

/// One word, so that the line stays one line of words.
fn word(text: Option<&str>) -> Cow<'_, str> {
    match text {
        None => "none".into(),
        Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"') => text.into(),
        Some(text) => format!("{text:?}").into(),
    }
}
