//! Metrics and spans: published now and then, beside the records.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use townlet_fields::{Fields, Line};
use townlet_transport::{Figures, Frame, TransportError};

use crate::delivery::{Delivery, Sent};
use crate::losses::{Loss, Losses, Signal};
use crate::metrics::{self, Span};
use crate::options::OtlpOptions;
use crate::series::Series;
use crate::spans::{Flush, PER_REQUEST, Spans};
use crate::told::Told;
use crate::verdict::Verdict;

/// A peer that fails is not left alone for longer, unless the interval is.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// No interval is longer: `Instant` has an end.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// What there is to publish, and when.
pub(crate) struct Publisher {
    resource: Vec<(String, String)>,
    metrics: bool,
    traces: bool,
    interval: Duration,
    figures: Option<Arc<dyn Figures>>,
    /// Since when counters count, in nanoseconds since the epoch.
    since: u64,
    fields: Fields,
    series: Series,
    spans: Spans,
    losses: Losses,
    /// The newest run that was met: run ids sort by time (UUIDv7). What an earlier
    /// one left in a spill comes under its old name and says nothing of these books.
    run_id: String,
    next: Option<Instant>,
    /// How often in a row the peer did not answer as it should; it is left alone
    /// ever longer.
    failures: u32,
    /// By signal: the peer did not take the last, which has been said.
    failing: [bool; 3],
}

impl Publisher {
    pub(crate) fn new(options: &OtlpOptions) -> Self {
        Self {
            resource: options.resource.clone(),
            metrics: options.metrics,
            traces: options.traces,
            interval: options.interval,
            figures: None,
            since: nanos(SystemTime::now()),
            fields: Fields::new(options.fields.clone(), options.max_series),
            series: Series::new(options.max_series),
            spans: Spans::default(),
            losses: Losses::default(),
            run_id: String::new(),
            next: None,
            failures: 0,
            failing: [false; 3],
        }
    }

    pub(crate) fn watch(&mut self, figures: Arc<dyn Figures>) {
        self.figures = Some(figures);
        self.since = nanos(SystemTime::now());
    }

    /// True where there is something to publish that no settled frame says.
    pub(crate) fn has_figures(&self) -> bool {
        self.metrics && self.figures.is_some()
    }

    pub(crate) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Takes over what settled frames say.
    pub(crate) fn settled(&mut self, part: &[Frame], now: u64) {
        for frame in part {
            if frame.label().run_id() > self.run_id.as_str() {
                frame.label().run_id().clone_into(&mut self.run_id);
            }
        }
        if self.metrics && self.fields.wanted() {
            let (mut overflow, mut unreadable) = (0, 0);
            for frame in part {
                let line = if frame.kind() == "diff" { Line::Diff(frame.line()) } else { Line::Whole(frame.line()) };
                let left = self.fields.take(frame.label().stream(), line);
                overflow += left.overflow;
                unreadable += left.unreadable;
            }
            self.losses.add(Signal::Metrics, Loss::Overflow, overflow);
            self.losses.add(Signal::Metrics, Loss::Unreadable, unreadable);
        }
        if self.traces {
            let lost = self.spans.ticks(part, now);
            self.losses.add(Signal::Traces, Loss::Overflow, lost);
        }
    }

    /// Takes over what events say beyond their records; true where there was something.
    pub(crate) fn told(&mut self, all: &[(String, Told)]) -> bool {
        for (run_id, told) in all {
            if run_id.as_str() > self.run_id.as_str() {
                self.run_id.clone_from(run_id);
            }
            if self.traces {
                let lost = self.spans.told(run_id, told);
                self.losses.add(Signal::Traces, Loss::Overflow, lost);
            }
            if self.metrics {
                let lost = self.series.take(told);
                self.losses.add(Signal::Metrics, Loss::Overflow, lost);
            }
        }
        !all.is_empty()
    }

    pub(crate) fn flushed(&mut self, run_id: &str, flush: &Flush) {
        if self.traces {
            let lost = self.spans.flush(run_id, flush);
            self.losses.add(Signal::Traces, Loss::Overflow, lost);
        }
    }

    /// Publishes where it is time, or where many spans wait. A peer that does not
    /// take it is left alone ever longer, and as long as it asks.
    pub(crate) fn publish_when_due(&mut self, delivery: &mut Delivery, deadline: Instant) {
        let due = self.next.is_none_or(|next| Instant::now() >= next);
        let many = self.failures == 0 && self.spans.waiting() >= PER_REQUEST;
        if due || many {
            self.publish(delivery, deadline);
        }
    }

    /// Publishes what there is.
    pub(crate) fn publish(&mut self, delivery: &mut Delivery, deadline: Instant) {
        let (mut asked, mut failed) = (Duration::ZERO, false);
        if self.metrics {
            let span = Span { start: self.since, now: nanos(SystemTime::now()) };
            let figures = self.figures.as_deref();
            let (request, points) =
                metrics::request(figures, &self.fields, &self.series, &self.losses, &self.resource, &self.run_id, span);
            if points > 0 {
                let sent = delivery.send(Signal::Metrics, &request, deadline);
                // The next publication has newer ones, so these are not kept.
                if let Err(pause) = self.account(Signal::Metrics, points, sent) {
                    self.losses.add(Signal::Metrics, Loss::Unsent, points);
                    (asked, failed) = (asked.max(pause), true);
                }
            }
        }
        let mut most = PER_REQUEST;
        while self.traces && self.spans.waiting() > 0 && Instant::now() < deadline {
            let (request, count) = self.spans.request(&self.resource, most);
            let sent = delivery.send(Signal::Traces, &request, deadline);
            if count > 1 && matches!(&sent, Ok(Sent { verdict: Verdict::TooMuch(_), .. })) {
                most = count.div_ceil(2);
                continue;
            }
            if let Err(pause) = self.account(Signal::Traces, count as u64, sent) {
                (asked, failed) = (asked.max(pause), true);
                break;
            }
            self.spans.done(count);
        }
        self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
        let interval = self.interval.min(LONGEST_INTERVAL);
        let pause = interval.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE.max(interval));
        self.next = Some(Instant::now() + pause.max(asked));
    }

    /// Enters what became of a request; an error is how long to wait with it.
    fn account(&mut self, signal: Signal, count: u64, sent: Result<Sent, TransportError>) -> Result<(), Duration> {
        let verdict = match sent {
            Ok(sent) => sent.verdict,
            Err(error) => Verdict::Later(error),
        };
        let failing = !matches!(verdict, Verdict::Taken(_));
        let new = failing && !std::mem::replace(&mut self.failing[signal as usize], failing);
        match verdict {
            Verdict::Taken(partial) => {
                let rejected = u64::try_from(partial.rejected).unwrap_or_default().min(count);
                if !partial.message.is_empty() {
                    tracing::warn!(signal = signal.as_str(), rejected, says = %partial.message, "telemetry_otlp_warning");
                }
                self.losses.add(signal, Loss::Rejected, rejected);
                Ok(())
            }
            Verdict::Later(error) => {
                if new {
                    tracing::warn!(signal = signal.as_str(), %error, "telemetry_otlp_publish_failed");
                }
                Err(error.retry_after().unwrap_or_default())
            }
            Verdict::TooMuch(error) | Verdict::Refused(error) => {
                if new {
                    tracing::warn!(signal = signal.as_str(), %error, "telemetry_otlp_publish_failed");
                }
                self.losses.add(signal, Loss::Refused, count);
                Ok(())
            }
        }
    }
}

/// Nanoseconds since the epoch, as OTLP has them: until the year 2554.
pub(crate) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
