//! The effective configuration as YAML: what a program really runs with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use townlet_pipeline::FsyncPolicy;
use townlet_transport::{Auth, BrokerSettings, Compression, Format, Fsync, SecretSource, Settings};

use crate::config::{MAIN, Provider, RedactAction, Redaction, SinkConfig, TelemetryConfig, TransformConfig};
use crate::config::{SpillConfig, ValidationMode, Wire};
use crate::load::Loaded;
use crate::origin::{Origin, Place};
use crate::rules::Type;
use crate::yaml::{Entry, Node, Value, print};

impl TelemetryConfig {
    /// The configuration in full, defaults included. Loading it gives an equal
    /// one. No secret can stand in it: keys are files, and credentials in
    /// endpoints are refused at load.
    pub fn to_yaml(&self) -> String {
        print(&root(self), &|_| None)
    }
}

impl Loaded {
    /// As [`TelemetryConfig::to_yaml`], with the origin of each key as a comment.
    pub fn to_yaml(&self) -> String {
        print(&root(&self.config), &|key| {
            Some(match self.origin(key) {
                Origin::File { line, column } => format!("{}:{line}:{column}", self.file),
                other => other.to_string(),
            })
        })
    }
}

/// A mapping in the making.
#[derive(Default)]
struct Map(Vec<Entry>);

impl Map {
    fn put(&mut self, key: &str, value: Value) -> &mut Self {
        self.0.push(Entry::new(key, value, &Place::top()));
        self
    }

    /// A number or a boolean.
    fn plain(&mut self, key: &str, value: impl ToString) -> &mut Self {
        self.put(key, Value::Scalar { text: value.to_string(), plain: true })
    }

    fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.put(key, text(value))
    }

    fn path(&mut self, key: &str, path: Option<&Path>) -> &mut Self {
        match path {
            Some(path) => self.text(key, &path.to_string_lossy()),
            None => self,
        }
    }

    fn seconds(&mut self, key: &str, value: Duration) -> &mut Self {
        self.plain(key, value.as_secs_f64())
    }

    fn names(&mut self, key: &str, names: &[String]) -> &mut Self {
        self.put(key, list(names))
    }

    fn done(&mut self) -> Value {
        Value::Map(std::mem::take(&mut self.0))
    }
}

fn text(value: &str) -> Value {
    Value::Scalar { text: value.into(), plain: false }
}

fn list(names: &[String]) -> Value {
    Value::List(names.iter().map(|name| Node::new(text(name), Place::top())).collect())
}

fn root(config: &TelemetryConfig) -> Node {
    let mut telemetry = Map::default();
    if let Some(producer) = &config.producer {
        telemetry.text("producer", producer);
    }
    if let Some(path) = &config.ledger_path {
        telemetry.text("ledger_path", &path.to_string_lossy());
    }
    telemetry.plain("diff_enabled", config.diff_enabled);
    telemetry.text(
        "wire",
        match config.wire {
            Wire::Current => "current",
            Wire::Legacy => "legacy-0.9",
        },
    );
    let mut sinks = Map::default();
    for sink in &config.sinks {
        if sink.name == MAIN {
            telemetry.put("transport", transport(sink).done());
            telemetry.put("worker", worker(sink));
        } else {
            let mut keys = transport(sink);
            keys.put("worker", worker(sink));
            sinks.put(&sink.name, keys.done());
        }
    }
    if !sinks.0.is_empty() {
        telemetry.put("sinks", sinks.done());
    }
    telemetry.put("transforms", transforms(config));
    narrations(config, &mut telemetry);
    let provider = match config.provider {
        Provider::Full => "stdout",
        Provider::Stub => "stub",
    };
    let runtime = Map::default().text("telemetry", provider).done();
    Node::new(Map::default().put("runtime", runtime).put("telemetry", telemetry.done()).done(), Place::top())
}

/// Only the keys that the type reads: the others would be refused.
fn transport(sink: &SinkConfig) -> Map {
    let (settings, kind) = (&sink.settings, Type::named(&sink.transport_type));
    let mut map = Map::default();
    map.text("type", &sink.transport_type);
    if let Some(endpoint) = &settings.endpoint {
        map.text(if kind == Type::Websocket { "websocket_url" } else { "endpoint" }, endpoint);
    }
    map.path("file_path", settings.file_path.as_deref());
    map.seconds("connect_timeout_seconds", settings.connect_timeout);
    map.seconds("send_timeout_seconds", settings.send_timeout);
    if kind.reads("enable_tls") {
        map.plain("enable_tls", settings.enable_tls);
    }
    if kind.reads("ca_file") {
        if settings.enable_tls {
            map.plain("verify_hostname", settings.verify_hostname);
            map.path("ca_file", settings.ca_file.as_deref());
            map.path("cert_file", settings.cert_file.as_deref());
            map.path("key_file", settings.key_file.as_deref());
        } else {
            map.plain("allow_plaintext", settings.plaintext_acknowledged);
            map.plain("dev_allow_plaintext", settings.plaintext_acknowledged);
        }
        if kind.reads("acks") {
            map.plain("acks", settings.acks);
        }
    }
    if kind.reads("compression") {
        let name = match settings.compression {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Deflate => "deflate",
            _ => "none",
        };
        map.text("compression", name);
    }
    if kind.reads("format") {
        let format = match settings.format {
            Format::Json => "json",
            Format::Protobuf => "protobuf",
            _ => "ndjson",
        };
        map.text("format", format);
    }
    if kind.reads("auth") {
        auth(&mut map, settings);
    }
    if kind == Type::Nats || settings.broker != BrokerSettings::default() {
        map.put("nats", broker(&settings.broker));
    }
    if kind.reads("fsync") {
        let fsync = match settings.fsync {
            Fsync::OnRotation => "on_rotation",
            Fsync::OnFlush => "on_flush",
            Fsync::Interval(_) => "interval",
            Fsync::EachBatch => "each_batch",
            _ => "never",
        };
        map.text("fsync", fsync);
        if let Fsync::Interval(interval) = settings.fsync {
            map.seconds("fsync_interval_seconds", interval);
        }
        let numbers = [
            ("rotate_bytes", settings.rotate_bytes),
            ("rotate_seconds", settings.rotate_after.map(|age| age.as_secs())),
            ("keep_files", settings.keep_files.map(|keep| keep as u64)),
            ("keep_bytes", settings.keep_bytes),
            ("keep_seconds", settings.keep_for.map(|age| age.as_secs())),
        ];
        for (key, number) in numbers {
            if let Some(number) = number {
                map.plain(key, number);
            }
        }
    }
    if kind.reads("labels") {
        publishing(settings, &mut map);
    }
    if kind.reads("publish_metrics") {
        map.plain("publish_metrics", settings.publish_metrics);
        map.plain("publish_traces", settings.publish_traces);
        map.seconds("publish_interval_seconds", settings.publish_interval);
    }
    map.plain("keyframe_every", sink.keyframes.keyframe_every);
    map.plain("keyframe_bytes", sink.keyframes.keyframe_bytes);
    map.text("settle_at", sink.settle_at.as_str());
    map.seconds("worker_poll_seconds", sink.worker.poll);
    let retry = Map::default()
        .plain("max_attempts", sink.retry.max_attempts)
        .seconds("backoff_seconds", sink.retry.backoff)
        .seconds("max_backoff_seconds", sink.retry.max_backoff)
        .done();
    let mut buffer = Map::default();
    buffer
        .plain("max_batch_size", sink.buffer.max_batch_size)
        .plain("max_buffer_bytes", sink.buffer.max_buffer_bytes)
        .plain("max_queue_length", sink.buffer.max_queue_length)
        .plain("flush_interval_ticks", sink.buffer.flush_interval_ticks)
        .seconds("flush_interval_seconds", sink.buffer.flush_interval);
    if let Some(config) = &sink.buffer.spill {
        buffer.put("spill", spill(config));
    }
    map.put("retry", retry).put("buffer", buffer.done());
    if let Some(letters) = &sink.dead_letters {
        let mut block = Map::default();
        block.path("path", Some(&letters.path)).plain("max_bytes", letters.max_bytes);
        map.put("dead_letters", block.done());
    }
    map
}

fn auth(map: &mut Map, settings: &Settings) {
    let mut auth = Map::default();
    let source = match &settings.auth {
        Some(Auth::Bearer(source)) => Some(("bearer", source)),
        Some(Auth::Basic(user, source)) => {
            auth.text("user", user);
            Some(("password", source))
        }
        Some(Auth::Headers(source)) => Some(("headers", source)),
        Some(Auth::Credentials(source)) => Some(("credentials", source)),
        Some(Auth::NkeySeed(source)) => Some(("nkey_seed", source)),
        _ => None,
    };
    match source {
        Some((what, SecretSource::File(path))) => auth.path(&format!("{what}_file"), Some(path)),
        Some((what, SecretSource::Env(name))) => auth.text(&format!("{what}_env"), name),
        _ => return,
    };
    map.put("auth", auth.done());
}

fn broker(settings: &BrokerSettings) -> Value {
    let mut map = Map::default();
    map.text("stream", &settings.stream).text("subject", &settings.subject);
    map.plain("partitions", settings.partitions).plain("create", settings.create.is_some());
    if let Some(create) = &settings.create {
        map.plain("replicas", create.replicas);
        if let Some(bytes) = create.max_bytes {
            map.plain("max_bytes", bytes);
        }
        map.seconds("duplicate_window_seconds", create.duplicate_window);
    }
    map.done()
}

/// Only what was set: without an endpoint there is no use for a token.
fn publishing(settings: &Settings, map: &mut Map) {
    if let Some(listen) = &settings.scrape_listen {
        map.text("scrape_listen", listen);
    }
    map.path("scrape_token_file", settings.scrape_token_file.as_deref());
    if !settings.export_fields.is_empty() {
        map.names("export_fields", &settings.export_fields).plain("export_max_series", settings.export_max_series);
    }
    if !settings.labels.is_empty() {
        let mut labels = Map::default();
        for (name, value) in &settings.labels {
            labels.text(name, value);
        }
        map.put("labels", labels.done());
    }
}

fn spill(config: &SpillConfig) -> Value {
    let mut map = Map::default();
    map.path("path", Some(&config.path)).plain("max_bytes", config.max_bytes);
    match config.fsync {
        FsyncPolicy::EachCommit => map.text("fsync", "commit"),
        FsyncPolicy::Every(interval) => map.text("fsync", "interval").seconds("fsync_interval_seconds", interval),
        FsyncPolicy::Never => map.text("fsync", "never"),
    };
    map.plain("write_ahead", config.write_ahead);
    if let Some(age) = config.max_age {
        map.plain("max_age_seconds", age.as_secs());
    }
    map.done()
}

fn worker(sink: &SinkConfig) -> Value {
    let worker = &sink.worker;
    Map::default()
        .text("backpressure", worker.backpressure.as_str())
        .seconds("block_timeout_seconds", worker.block_timeout)
        .plain("restart_limit", worker.restart_limit)
        .seconds("restart_window_seconds", worker.restart_window)
        .seconds("shutdown_timeout_seconds", worker.shutdown_timeout)
        .done()
}

fn transforms(config: &TelemetryConfig) -> Value {
    let redaction = match config.redaction {
        Redaction::Default => "default",
        Redaction::Off => "off",
    };
    let items = config.transforms.iter().map(|transform| {
        let mut map = Map::default();
        let value = match transform {
            TransformConfig::SnapshotNormalizer => text(transform.id()),
            TransformConfig::RedactFields { fields, kinds, action } => {
                map.text("id", transform.id()).names("fields", fields).names("kinds", kinds);
                match action {
                    RedactAction::Remove => map.text("action", "remove"),
                    RedactAction::Mask => map.text("action", "mask"),
                    RedactAction::Hash { key_file } => map.text("action", "hash").path("key_file", Some(key_file)),
                };
                map.done()
            }
            TransformConfig::EnsureFields { required_fields_by_kind, default_required_fields } => {
                let mut by_kind = Map::default();
                for (kind, fields) in required_fields_by_kind {
                    by_kind.names(kind, fields);
                }
                map.text("id", transform.id())
                    .put("required_fields_by_kind", by_kind.done())
                    .names("default_required_fields", default_required_fields)
                    .done()
            }
            TransformConfig::SchemaValidator { schemas, mode } => {
                let mode = match mode {
                    ValidationMode::Drop => "drop",
                    ValidationMode::Warn => "warn",
                    ValidationMode::Raise => "raise",
                };
                map.text("id", transform.id()).put("schemas", paths(schemas)).text("mode", mode).done()
            }
        };
        Node::new(value, Place::top())
    });
    Map::default().text("redaction", redaction).put("pipeline", Value::List(items.collect())).done()
}

fn paths(schemas: &BTreeMap<String, std::path::PathBuf>) -> Value {
    let mut map = Map::default();
    for (kind, path) in schemas {
        map.path(kind, Some(path));
    }
    map.done()
}

fn narrations(config: &TelemetryConfig, telemetry: &mut Map) {
    let narration = &config.narration;
    let mut cooldowns = Map::default();
    for (category, ticks) in &narration.category_cooldown_ticks {
        cooldowns.plain(category, ticks);
    }
    let mut map = Map::default();
    map.plain("global_cooldown_ticks", narration.global_cooldown_ticks)
        .put("category_cooldown_ticks", cooldowns.done())
        .plain("dedupe_window_ticks", narration.dedupe_window_ticks)
        .plain("global_window_ticks", narration.global_window_ticks)
        .plain("global_window_limit", narration.global_window_limit)
        .names("priority_categories", &narration.priority_categories);
    telemetry.put("narration", map.done());

    let relationship = &config.relationship_narration;
    map.plain("friendship_trust_threshold", relationship.friendship_trust_threshold)
        .plain("friendship_delta_threshold", relationship.friendship_delta_threshold)
        .plain("friendship_priority_threshold", relationship.friendship_priority_threshold)
        .plain("rivalry_avoid_threshold", relationship.rivalry_avoid_threshold)
        .plain("rivalry_escalation_threshold", relationship.rivalry_escalation_threshold);
    telemetry.put("relationship_narration", map.done());

    let personality = &config.personality_narration;
    map.plain("enabled", personality.enabled)
        .plain("chat_extroversion_threshold", personality.chat_extroversion_threshold)
        .plain("chat_priority_threshold", personality.chat_priority_threshold)
        .plain("chat_quality_threshold", personality.chat_quality_threshold)
        .plain("conflict_tolerance_threshold", personality.conflict_tolerance_threshold);
    telemetry.put("personality_narration", map.done());
}
