//! Do the limits fit the loop that feeds them?

use std::time::Duration;

use crate::config::{Backpressure, SinkConfig, TelemetryConfig};
use crate::diagnostic::{Code, Diagnostic, Severity};

/// The outage in seconds that a buffer should be able to hold: a collector
/// restart, or the first few pauses of a retry.
pub const OUTAGE_SECONDS: f64 = 5.0;

/// Warns where the limits of a sink do not fit a loop that ticks every
/// `tick_ms` milliseconds and emits `bytes_per_tick` bytes a tick.
///
/// Findings carry the dotted key of the limit and no line: see
/// [`Loaded::validate_cadence`](crate::Loaded::validate_cadence). A `tick_ms`
/// that is not a positive number is itself the finding.
pub fn validate_cadence(config: &TelemetryConfig, tick_ms: f64, bytes_per_tick: u64) -> Vec<Diagnostic> {
    if !(tick_ms.is_finite() && tick_ms > 0.0) || bytes_per_tick == 0 {
        let mut finding = warning("", "the cadence needs a tick time and a number of bytes per tick, both above 0");
        finding.help = Some("measure a run: 'townlet inspect' prints the bytes of a stream".into());
        return vec![finding];
    }
    config.sinks.iter().flat_map(|sink| check(sink, tick_ms / 1000.0, bytes_per_tick)).collect()
}

fn warning(key: impl Into<String>, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::Cadence, Severity::Warning, key, message)
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^53 feed estimates printed with one digit")]
fn check(sink: &SinkConfig, tick: f64, bytes: u64) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut warn = |key: String, message: String, help: String| {
        let mut finding = warning(key, message);
        finding.help = Some(help);
        found.push(finding);
    };
    let key = |name: &str| format!("{}.buffer.{name}", sink.block());
    let buffer = &sink.buffer;
    let per_tick = bytes as f64;
    let limit = buffer.max_buffer_bytes as f64;

    if per_tick > limit {
        let key = key("max_buffer_bytes");
        let message =
            format!("{key}: one tick of {bytes} bytes does not fit into {limit} bytes: every tick loses some");
        warn(key, message, format!("at least {}", enough(per_tick, tick)));
        // Every other estimate would be nonsense.
        return found;
    }
    // One event a tick at least; more events fill the count bound sooner.
    let by_bytes = limit / per_tick * tick;
    let by_count = buffer.max_queue_length as f64 * tick;
    let (name, held) = match &buffer.spill {
        // What does not fit into memory goes there.
        Some(spill) => ("spill.max_bytes", spill.max_bytes as f64 / per_tick * tick),
        None if by_count < by_bytes => ("max_queue_length", by_count),
        None => ("max_buffer_bytes", by_bytes),
    };
    if held < OUTAGE_SECONDS {
        let key = key(name);
        let what = if buffer.spill.is_some() { "spill" } else { "queue" };
        let message = format!("{key}: an outage longer than {held:.1} s overflows the {what}");
        let help = match name {
            "max_queue_length" => format!("at least {:.0} for {OUTAGE_SECONDS} s", (OUTAGE_SECONDS / tick).ceil()),
            "spill.max_bytes" => {
                format!("at least {:.0} for {OUTAGE_SECONDS} s", (OUTAGE_SECONDS / tick).ceil() * per_tick)
            }
            _ => format!("at least {} for {OUTAGE_SECONDS} s", enough(per_tick, tick)),
        };
        warn(key, message, help);
    }
    let batch = buffer.max_batch_size as f64;
    if batch * per_tick > limit || buffer.max_batch_size > buffer.max_queue_length {
        let key = key("max_batch_size");
        let most = (limit / per_tick).floor().min(buffer.max_queue_length as f64).max(1.0);
        let message = format!("{key}: a batch of {batch} is more than the queue can hold and never fills");
        warn(key, message, format!("at most {most:.0}"));
    }
    // A batch goes out at the first of its three bounds.
    let ticks = buffer.flush_interval_ticks as f64 * tick;
    let flush = ticks.min(buffer.flush_interval.as_secs_f64()).min(batch * tick).max(tick);
    if flush / tick * per_tick > limit {
        let name = if ticks <= buffer.flush_interval.as_secs_f64() {
            "flush_interval_ticks"
        } else {
            "flush_interval_seconds"
        };
        let key = key(name);
        let message = format!("{key}: the queue fills within {by_bytes:.3} s, a flush is due after {flush:.3} s");
        warn(key, message, format!("flush within {by_bytes:.3} s, or raise max_buffer_bytes"));
    }
    let block = sink.worker.block_timeout;
    let waits = matches!(sink.worker.backpressure, Backpressure::Block | Backpressure::Spill);
    if (waits || sink.buffer.spill.is_some()) && block > Duration::from_secs_f64(tick.min(86_400.0)) {
        let key = format!("{}.block_timeout_seconds", sink.worker_block());
        let message =
            format!("{key}: a full queue can hold the loop for {} s, a tick is {tick} s", block.as_secs_f64());
        warn(key, message, "shorten it, or use 'drop_oldest'".into());
    }
    found
}

/// Bytes that hold an outage, rounded up to whole KiB.
fn enough(per_tick: f64, tick: f64) -> String {
    const MOST: f64 = 16_777_216.0;
    let needed = (OUTAGE_SECONDS / tick).ceil().max(1.0) * per_tick;
    let needed = (needed / 1024.0).ceil() * 1024.0;
    if needed > MOST { format!("{MOST} (the most there is; {needed} would be needed)") } else { needed.to_string() }
}
