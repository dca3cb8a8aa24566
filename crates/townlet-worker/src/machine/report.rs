//! What the driver reports: connections, deliveries, failures, panics.

use std::time::Duration;

use townlet_transport::{Connected, ErrorKind, Frame, Level, TransportError};

use super::renewal::Renewal;
use super::{Machine, Phase};
use crate::DropReason;

impl Machine {
    /// The sink is open. Fails where its level is below `settle_at`.
    ///
    /// # Errors
    /// [`ErrorKind::Misconfigured`] naming both levels; the driver reports it
    /// back through [`failed`](Self::failed) and closes the connection.
    pub fn connected(&mut self, connection: &Connected) -> Result<(), TransportError> {
        if connection.level < self.options.settle_at {
            return Err(TransportError::new(
                ErrorKind::Misconfigured,
                format!(
                    "{} settles frames as `{}` but `settle_at` asks for `{}`",
                    connection.peer, connection.level, self.options.settle_at
                ),
            ));
        }
        if self.phase == Phase::Finished {
            return Ok(());
        }
        self.level = connection.level;
        self.status.connects_total += u64::from(connection.fresh);
        self.status.connected = true;
        self.status.peer = Some(connection.peer.clone());
        self.status.tls = connection.tls;
        self.status.certificate_until = connection.certificate_until;
        self.status.level = Some(connection.level);
        Ok(())
    }

    /// The `frames` oldest taken frames, the newest of them of `tick`, are
    /// delivered at `level`, after a call of `took`.
    pub fn delivered(&mut self, now: Duration, frames: usize, level: Level, tick: u64, took: Duration) {
        if frames == 0 || self.phase == Phase::Finished {
            return;
        }
        let bytes = self.queue.deliver(frames, level);
        let status = &mut self.status;
        status.last_flush_duration = Some(took);
        status.flush_durations.record(took);
        status.last_batch_count = frames;
        status.last_flush_payload_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        status.payloads_flushed_total += frames as u64;
        status.bytes_flushed_total += bytes;
        status.last_success_at = Some(now);
        status.last_success_tick = Some(status.last_success_tick.map_or(tick, |t| t.max(tick)));
        status.connected = true;
        status.consecutive_send_failures = 0;
        status.last_error = None;
        status.last_error_kind = None;
        status.down = false;
        if !self.is_outgoing() {
            self.trial_passed();
        }
        self.backoff.reset();
        self.unacked_since = (self.queue.taken() > 0).then_some(now);
    }

    /// The batch that was taken last goes out as `lines`; so far `keyframes` states
    /// were rendered whole.
    pub fn rendered(&mut self, lines: &[Frame], keyframes: u64) {
        self.queue.rendered(lines);
        self.status.keyframes_sent = keyframes;
    }

    /// A batch was handed over; receipts will follow.
    pub fn pending(&mut self, now: Duration) {
        self.queue.note_sent();
        if self.unacked_since.is_none() {
            self.unacked_since = Some(now);
            self.receipts_at = now;
        }
    }

    /// The connection's level, at which receipts settle frames.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The head frame is at fault: it is dropped alone.
    ///
    /// `rest` are the frames of its batch after it; they wait again at the head.
    pub fn rejected(&mut self, now: Duration, tick: u64, rest: Vec<Frame>, error: &TransportError) {
        self.refused(now, 1, tick, rest, error);
    }

    /// As [`rejected`](Self::rejected) for the `heads` first frames of the batch,
    /// the newest of them of `tick`: the peer refuses them for one reason.
    pub fn refused(&mut self, now: Duration, heads: usize, tick: u64, rest: Vec<Frame>, error: &TransportError) {
        if self.phase == Phase::Finished {
            return;
        }
        self.put_back(rest);
        self.queue.drop_last_taken(heads, DropReason::of_refusal(error.kind()));
        if self.queue.taken() == 0 {
            self.unacked_since = None;
        }
        self.note_error(now, Some(tick), error);
    }

    /// Connect, send or acknowledgement failed for a reason outside the frames;
    /// `unsettled` are all taken frames, in order. Returns the pause before the
    /// next attempt, or `None` where there will be none.
    pub fn failed(&mut self, now: Duration, unsettled: Vec<Frame>, error: &TransportError) -> Option<Duration> {
        if self.phase == Phase::Finished {
            return None;
        }
        let tick = unsettled.first().map(Frame::tick).or(self.queue.oldest_ready_tick());
        self.put_back(unsettled);
        self.unacked_since = None;
        self.status.connected = false;
        self.note_error(now, tick, error);
        if self.is_outgoing() {
            return Some(Duration::ZERO);
        }
        self.trial_failure(&error.to_string(), error.kind() == ErrorKind::Closed);
        if self.renewal == Renewal::Revert {
            return Some(Duration::ZERO);
        }
        if error.kind() == ErrorKind::Closed {
            self.queue.abandon(DropReason::SinkClosed, DropReason::SinkClosed);
            self.phase = match self.phase {
                Phase::Draining { .. } => Phase::Draining { deadline: now },
                _ => Phase::SinkClosed,
            };
            return None;
        }
        // Never before the peer's time; the jitter keeps those apart who were told the same one.
        let pause = self.backoff.next_pause().saturating_add(error.retry_after().unwrap_or_default());
        self.status.down = self.backoff.failures() > self.options.max_attempts;
        self.retry_at = now.saturating_add(pause);
        Some(pause)
    }

    /// All taken frames, in order, come back because the transport is exchanged.
    pub fn taken_back(&mut self, unsettled: Vec<Frame>) {
        if self.phase != Phase::Finished {
            self.put_back(unsettled);
            self.unacked_since = None;
            self.status.connected = false;
        }
    }

    /// A transform panicked in an inline stage; its record is already settled.
    /// Counts as a restart like any other panic.
    pub fn stage_panicked(&mut self, now: Duration, message: &str) {
        if self.phase != Phase::Finished {
            self.note_panic(now, message);
        }
    }

    /// A panic came out of the transport; `unsettled`
    /// are all taken frames, in order. The transport must be built anew before
    /// the next use. Returns false where the worker is parked now.
    pub fn panicked(&mut self, now: Duration, unsettled: Vec<Frame>, message: &str) -> bool {
        if self.phase == Phase::Finished {
            return false;
        }
        self.put_back(unsettled);
        self.unacked_since = None;
        self.status.connected = false;
        self.trial_failure(message, false);
        self.note_panic(now, message)
    }

    fn note_panic(&mut self, now: Duration, message: &str) -> bool {
        self.status.last_worker_error = Some(message.to_owned());
        match self.restarts.record(now) {
            None => {
                self.note_alive();
                true
            }
            // It sends nothing any more, so that there is nothing to park.
            Some(_) if self.phase == Phase::SinkClosed => {
                self.note_alive();
                true
            }
            Some(until) => {
                self.status.worker_alive = false;
                self.status.worker_error = Some(message.to_owned());
                // A drain is not parked: it tries again where its deadline leaves time for that,
                // and ends early where it does not.
                self.phase = match self.phase {
                    Phase::Draining { deadline } if until < deadline => Phase::Draining { deadline },
                    Phase::Draining { .. } => Phase::Draining { deadline: now },
                    _ => {
                        self.queue.divert(true);
                        Phase::Parked { until }
                    }
                };
                self.retry_at = until;
                false
            }
        }
    }

    /// Taken frames wait again at the head, and are due as soon as an attempt may be made.
    fn put_back(&mut self, frames: Vec<Frame>) {
        if !frames.is_empty() {
            self.age.came_back();
        }
        self.queue.put_back(frames.into_iter());
    }

    pub(super) fn note_alive(&mut self) {
        self.status.worker_alive = true;
        self.status.worker_error = None;
        self.status.worker_restart_count = self.restarts.total();
    }

    fn note_error(&mut self, now: Duration, tick: Option<u64>, error: &TransportError) {
        let status = &mut self.status;
        status.consecutive_send_failures += 1;
        status.send_failures_total += 1;
        status.last_error = Some(error.to_string());
        status.last_error_kind = Some(error.kind());
        status.last_error_at = Some(now);
        status.last_failure_tick = tick.or(status.last_failure_tick);
    }
}
