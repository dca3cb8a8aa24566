//! The configuration once it is known to be good: plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use townlet_pipeline::Cadence;
use townlet_pipeline::FsyncPolicy;
use townlet_transport::{Level, Settings};
pub use townlet_worker::Backpressure;

/// Everything under `telemetry:`, with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TelemetryConfig {
    /// `runtime.telemetry`: the full pipeline or the stub.
    pub provider: Provider,
    /// `producer`: who writes, in run markers; `None` leaves it to the host.
    pub producer: Option<String>,
    /// `ledger_path`: the folder where the books of sinks without a spill are kept.
    pub ledger_path: Option<PathBuf>,
    /// `diff_enabled`: states go out as diffs against what the peer has.
    pub diff_enabled: bool,
    /// `wire`: the form of the lines.
    pub wire: Wire,
    /// The sinks; the first is `main`, the others follow in the order of the file.
    pub sinks: Vec<SinkConfig>,
    /// `transforms.pipeline`; empty means the built-in default chain.
    pub transforms: Vec<TransformConfig>,
    /// `transforms.redaction`.
    pub redaction: Redaction,
    /// `narration`.
    pub narration: NarrationConfig,
    /// `relationship_narration`.
    pub relationship_narration: RelationshipNarrationConfig,
    /// `personality_narration`.
    pub personality_narration: PersonalityNarrationConfig,
}

/// What stands behind the telemetry handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provider {
    /// `stdout`, also written `default`: the whole pipeline with the configured
    /// transports. The name is the predecessor's and selects no transport.
    #[default]
    Full,
    /// `stub`: nothing is streamed, and the status says so.
    Stub,
}

/// The form of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// `current`: the newest schema version.
    #[default]
    Current,
    /// `legacy-0.9`: states as version 0.9.7 had them, and nothing else.
    Legacy,
}

/// One sink: a transport with its queue and worker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SinkConfig {
    /// `main`, or the name under `telemetry.sinks`.
    pub name: String,
    /// `type`: selects the factory.
    pub transport_type: String,
    /// What the factory needs; paths are resolved.
    pub settings: Settings,
    /// `buffer`.
    pub buffer: BufferConfig,
    /// `retry`.
    pub retry: RetryConfig,
    /// `worker`.
    pub worker: WorkerConfig,
    /// `keyframe_every` and `keyframe_bytes`: when a state goes out whole although
    /// the peer could do with a diff.
    pub keyframes: Cadence,
    /// `settle_at`: the least that counts as delivered.
    pub settle_at: Level,
    /// `dead_letters`: where what the peer refuses for good is kept.
    pub dead_letters: Option<DeadLettersConfig>,
}

impl SinkConfig {
    /// The dotted block that holds the transport's keys.
    pub fn block(&self) -> String {
        if self.name == MAIN { "telemetry.transport".into() } else { format!("telemetry.sinks.{}", self.name) }
    }

    /// The dotted block that holds the worker's keys.
    pub fn worker_block(&self) -> String {
        if self.name == MAIN { "telemetry.worker".into() } else { format!("telemetry.sinks.{}.worker", self.name) }
    }
}

impl PartialEq for SinkConfig {
    /// Compares what the configuration decides: `settings.run_marker` is not part of it.
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.settings, &other.settings);
        (&self.name, &self.transport_type, &self.buffer, &self.retry, &self.worker, self.settle_at, self.keyframes)
            == (
                &other.name,
                &other.transport_type,
                &other.buffer,
                &other.retry,
                &other.worker,
                other.settle_at,
                other.keyframes,
            )
            && (&a.endpoint, &a.file_path, a.connect_timeout, a.send_timeout)
                == (&b.endpoint, &b.file_path, b.connect_timeout, b.send_timeout)
            && (a.enable_tls, a.verify_hostname, &a.ca_file, &a.cert_file, &a.key_file)
                == (b.enable_tls, b.verify_hostname, &b.ca_file, &b.cert_file, &b.key_file)
            && (a.plaintext_acknowledged, a.acks, a.fsync) == (b.plaintext_acknowledged, b.acks, b.fsync)
            && (&a.scrape_listen, &a.scrape_token_file, &a.export_fields, a.export_max_series, &a.labels)
                == (&b.scrape_listen, &b.scrape_token_file, &b.export_fields, b.export_max_series, &b.labels)
            && (a.publish_metrics, a.publish_traces, a.publish_interval)
                == (b.publish_metrics, b.publish_traces, b.publish_interval)
            && (a.rotate_bytes, a.rotate_after) == (b.rotate_bytes, b.rotate_after)
            && (a.keep_files, a.keep_bytes, a.keep_for) == (b.keep_files, b.keep_bytes, b.keep_for)
            && (a.compression, a.format, &a.auth, &a.broker) == (b.compression, b.format, &b.auth, &b.broker)
            && self.dead_letters == other.dead_letters
    }
}

/// The name of the sink that `telemetry.transport` describes.
pub(crate) const MAIN: &str = "main";

/// `buffer`: bounds of the queue and when a batch goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferConfig {
    /// `max_batch_size`: events in one send.
    pub max_batch_size: usize,
    /// `max_buffer_bytes`: bytes held at once.
    pub max_buffer_bytes: usize,
    /// `max_queue_length`: events held at once.
    pub max_queue_length: usize,
    /// `flush_interval_ticks`: a batch is due after so many ticks …
    pub flush_interval_ticks: u64,
    /// `flush_interval_seconds`: … or after so long, whichever comes first.
    pub flush_interval: Duration,
    /// `spill`: what memory does not hold goes to disk. Set where, and only
    /// where, `worker.backpressure` is `spill`.
    pub spill: Option<SpillConfig>,
}

/// `dead_letters`: a file for what the peer refuses for good. Sinks may share one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLettersConfig {
    /// `path`: the file, resolved.
    pub path: PathBuf,
    /// `max_bytes`: what comes beyond it is counted and not kept.
    pub max_bytes: u64,
}

/// `buffer.spill`: a log on disk. Sinks may share one; they then agree on all
/// but `write_ahead`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpillConfig {
    /// `path`: a folder of its own, resolved.
    pub path: PathBuf,
    /// `max_bytes`: beyond it the oldest on disk is given up, and counted.
    pub max_bytes: u64,
    /// `fsync`: `commit` syncs every group commit, `interval` one at most each
    /// `fsync_interval_seconds`, `never` leaves it to the system.
    pub fsync: FsyncPolicy,
    /// `write_ahead`: everything goes to disk, not only what memory does not hold,
    /// so that a receipt can call an event durable before its sink has it.
    pub write_ahead: bool,
    /// `max_age_seconds`: what is older is given up, and counted.
    pub max_age: Option<Duration>,
}

/// `retry`: pauses after a failed send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryConfig {
    /// `max_attempts`: attempts beyond the first before the sink is reported down.
    pub max_attempts: u32,
    /// `backoff_seconds`: bound of the first pause; it doubles from there.
    pub backoff: Duration,
    /// `max_backoff_seconds`: no pause is longer.
    pub max_backoff: Duration,
}

/// `worker`, and `transport.worker_poll_seconds`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// `backpressure`.
    pub backpressure: Backpressure,
    /// `block_timeout_seconds`: the longest that one `emit` waits, in all.
    pub block_timeout: Duration,
    /// `restart_limit`: crashes survived within the window.
    pub restart_limit: u32,
    /// `restart_window_seconds`.
    pub restart_window: Duration,
    /// `shutdown_timeout_seconds`: how long a shutdown waits for the queue to empty.
    pub shutdown_timeout: Duration,
    /// `transport.worker_poll_seconds`: an idle worker looks around this often.
    pub poll: Duration,
}

/// Whether the built-in redaction joins a pipeline that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Redaction {
    /// `default`: it does.
    #[default]
    Default,
    /// `off`: it does not; loading warns.
    Off,
}

/// One entry of `transforms.pipeline`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransformConfig {
    /// `snapshot_normalizer`.
    SnapshotNormalizer,
    /// `redact_fields`.
    RedactFields {
        /// `fields`: names or dotted paths.
        fields: Vec<String>,
        /// `kinds`: the payload types it looks at.
        kinds: Vec<String>,
        /// `action`.
        action: RedactAction,
    },
    /// `ensure_fields`.
    EnsureFields {
        /// `required_fields_by_kind`; an empty list asks nothing of that kind.
        required_fields_by_kind: BTreeMap<String, Vec<String>>,
        /// `default_required_fields`: for kinds that are not listed.
        default_required_fields: Vec<String>,
    },
    /// `schema_validator`.
    SchemaValidator {
        /// `schemas`: kind to file, resolved.
        schemas: BTreeMap<String, PathBuf>,
        /// `mode`.
        mode: ValidationMode,
    },
}

impl TransformConfig {
    /// The name in the file.
    pub fn id(&self) -> &'static str {
        match self {
            Self::SnapshotNormalizer => "snapshot_normalizer",
            Self::RedactFields { .. } => "redact_fields",
            Self::EnsureFields { .. } => "ensure_fields",
            Self::SchemaValidator { .. } => "schema_validator",
        }
    }
}

/// What `redact_fields` does with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedactAction {
    /// `remove` (default).
    Remove,
    /// `mask`: a fixed text takes its place.
    Mask,
    /// `hash`: a keyed hash takes its place; the key is read from this file, so
    /// that no secret stands in a configuration.
    Hash {
        /// `key_file`, resolved.
        key_file: PathBuf,
    },
}

/// What `schema_validator` does with an invalid payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValidationMode {
    /// `drop` (default): dropped and counted.
    #[default]
    Drop,
    /// `warn`: kept, with a warning.
    Warn,
    /// `raise`: returned to the caller of `emit`.
    Raise,
}

/// `narration`: limits on narrations, in ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NarrationConfig {
    /// `global_cooldown_ticks`.
    pub global_cooldown_ticks: u64,
    /// `category_cooldown_ticks`; a category not listed has the global cooldown.
    pub category_cooldown_ticks: BTreeMap<String, u64>,
    /// `dedupe_window_ticks`.
    pub dedupe_window_ticks: u64,
    /// `global_window_ticks`: length of the rolling window.
    pub global_window_ticks: u64,
    /// `global_window_limit`: narrations per window, priority ones included.
    pub global_window_limit: u64,
    /// `priority_categories`.
    pub priority_categories: Vec<String>,
}

/// `relationship_narration`: thresholds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RelationshipNarrationConfig {
    /// `friendship_trust_threshold`.
    pub friendship_trust_threshold: f64,
    /// `friendship_delta_threshold`.
    pub friendship_delta_threshold: f64,
    /// `friendship_priority_threshold`: at least the trust threshold.
    pub friendship_priority_threshold: f64,
    /// `rivalry_avoid_threshold`.
    pub rivalry_avoid_threshold: f64,
    /// `rivalry_escalation_threshold`: at least the avoid threshold.
    pub rivalry_escalation_threshold: f64,
}

/// `personality_narration`: thresholds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PersonalityNarrationConfig {
    /// `enabled`.
    pub enabled: bool,
    /// `chat_extroversion_threshold`.
    pub chat_extroversion_threshold: f64,
    /// `chat_priority_threshold`.
    pub chat_priority_threshold: f64,
    /// `chat_quality_threshold`.
    pub chat_quality_threshold: f64,
    /// `conflict_tolerance_threshold`.
    pub conflict_tolerance_threshold: f64,
}
