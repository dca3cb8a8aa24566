//! `latest_transport_status()`: the workers' figures under the seeds' names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use townlet_schema::TransportStatus;
use townlet_worker::{Sink, Status};

use crate::shared::State;
use crate::slots::Slot;
use crate::stub::STUB;
use crate::telemetry::Telemetry;

/// What a status says about a sink that its worker cannot know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SinkInfo {
    /// `transport.type`.
    pub provider: Cow<'static, str>,
    /// `enable_tls`: what the sink will use, also before it has connected.
    pub tls: bool,
    /// `verify_hostname`.
    pub verify_hostname: bool,
    /// `allow_plaintext`.
    pub allow_plaintext: bool,
}

impl SinkInfo {
    /// A sink of this type, without TLS of its own.
    pub fn new(provider: impl Into<Cow<'static, str>>) -> Self {
        Self { provider: provider.into(), tls: false, verify_hostname: false, allow_plaintext: false }
    }

    /// The same with what the configuration says about its security.
    #[must_use]
    pub fn security(mut self, tls: bool, verify_hostname: bool, allow_plaintext: bool) -> Self {
        (self.tls, self.verify_hostname, self.allow_plaintext) = (tls, verify_hostname, allow_plaintext);
        self
    }
}

impl Telemetry {
    /// The status of the sink `main` (or the first), with the others under `sinks`,
    /// all read at one instant.
    pub fn latest_transport_status(&self) -> TransportStatus {
        let inner = self.inner();
        let mut all: Vec<(String, TransportStatus)> = {
            let mut state = inner.shared.lock();
            let State { sinks, spools, .. } = &mut *state;
            let now = (inner.shared.now(), SystemTime::now());
            let describe = |(n, (sink, slot)): (usize, (&Sink, &Slot))| {
                let mut status = describe(sink, &slot.info(), now);
                if let Some(spill) = inner.shared.spill_of(n).and_then(|spill| spools.get(spill)) {
                    status.spill_error.clone_from(&spill.error);
                    status.spill_damaged_total = Some(spill.damaged_total);
                }
                if let Some(letters) = &inner.shared.dead_letters[n] {
                    status.dead_letters = letters.by_reason();
                }
                (sink.main().options().name.clone(), status)
            };
            sinks.all().iter().zip(&inner.shared.slots).enumerate().map(describe).collect()
        };
        let main = all.iter().position(|(name, _)| name == "main").unwrap_or(0);
        let (_, mut status) = all.remove(main);
        status.sinks = all.into_iter().collect();
        status
    }
}

fn describe(sink: &Sink, info: &SinkInfo, now: (Duration, SystemTime)) -> TransportStatus {
    let options = sink.main().options();
    let s: Status = sink.status();
    let account = s.statement.account;
    let dropped: BTreeMap<String, u64> = account.drops().map(|(reason, n)| (reason.as_str().to_owned(), n)).collect();
    TransportStatus {
        connected: s.connected,
        dropped_messages: account.dropped(),
        last_error: s.last_error,
        last_failure_tick: s.last_failure_tick,
        last_success_tick: s.last_success_tick,
        queue_length: s.queue_length as u64,
        queue_length_peak: s.queue_length_peak as u64,
        last_flush_duration_ms: s.last_flush_duration.map(millis),
        last_flush_payload_bytes: s.last_flush_payload_bytes as u64,
        last_batch_count: s.last_batch_count as u64,
        payloads_flushed_total: s.payloads_flushed_total,
        bytes_flushed_total: s.bytes_flushed_total,
        consecutive_send_failures: s.consecutive_send_failures,
        send_failures_total: s.send_failures_total,
        tls_enabled: info.tls || s.tls,
        verify_hostname: info.verify_hostname,
        allow_plaintext: info.allow_plaintext,
        status: match (s.worker_error.is_some(), s.worker_alive) {
            (true, _) => "parked".into(),
            (_, false) => "closed".into(),
            _ if info.provider == STUB => "inactive".into(),
            _ => "active".into(),
        },
        worker_alive: s.worker_alive,
        worker_error: s.worker_error,
        last_worker_error: s.last_worker_error,
        worker_restart_count: s.worker_restart_count,
        auth_enabled: false,
        backpressure_strategy: options.backpressure.as_str().into(),
        provider: info.provider.clone(),
        peer: s.peer,
        settle_at: options.settle_at.as_str().into(),
        dropped,
        last_error_at: s.last_error_at.and_then(|at| wall_millis(at, now)),
        errors_total: s.send_failures_total,
        connects_total: s.connects_total,
        queue_bytes: s.queue_bytes as u64,
        queue_bytes_peak: s.queue_bytes_peak as u64,
        accepted: account.accepted(),
        delivered: account.delivered(),
        coalesced: account.coalesced(),
        buffered: s.statement.buffered,
        spilled: s.statement.spilled,
        residual: i64::try_from(s.statement.residual()).unwrap_or(i64::MAX),
        keyframes_sent: s.keyframes_sent,
        certificate_days_left: s.certificate_until.map(|until| days_left(until, now.1)),
        spill_error: None,
        spill_damaged_total: None,
        dead_letters: BTreeMap::new(),
        sinks: BTreeMap::new(),
    }
}

/// Whole days from `now`; an hour past the end is a day too late, not zero days left.
fn days_left(until: SystemTime, now: SystemTime) -> i64 {
    let days = |span: Duration| i64::try_from(span.as_secs() / 86_400).unwrap_or(i64::MAX);
    match until.duration_since(now) {
        Ok(left) => days(left),
        Err(past) => -days(past.duration()) - 1,
    }
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A moment on the monotonic clock as wall time: displayed, never computed with.
fn wall_millis(at: Duration, (now, wall): (Duration, SystemTime)) -> Option<u64> {
    let wall = wall.checked_sub(now.saturating_sub(at))?;
    u64::try_from(wall.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::{Duration, SystemTime, days_left};

    #[test]
    fn the_days_of_a_certificate_count_down_and_below_zero_at_once() {
        let until = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 1000);
        let hours = |n: u64| Duration::from_hours(n);
        assert_eq!(days_left(until, until - hours(25)), 1);
        assert_eq!(days_left(until, until), 0);
        assert_eq!(days_left(until, until + hours(1)), -1);
        assert_eq!(days_left(until, until + hours(47)), -2);
    }
}
