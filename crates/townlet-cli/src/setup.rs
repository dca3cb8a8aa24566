//! What the commands share: the linked transports, loading, run identity.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use townlet_config::{Diagnostics, Factories, Identity, Loaded, Loader, SinkConfig, StartError, TelemetryConfig};
use townlet_pipeline::{BuildError, FinalStatement, Recovered, STUB_WARNING, Statement, StubSink, Telemetry};
use townlet_schema::{RunId, TransportStatus};
use townlet_sim::NarrationOptions;
use townlet_transport::Factory;
use townlet_transport_file::FileFactory;
use townlet_transport_http::HttpFactory;
use townlet_transport_nats::NatsFactory;
use townlet_transport_otlp::OtlpFactory;
use townlet_transport_prometheus::PrometheusFactory;
use townlet_transport_stdout::StdoutFactory;
use townlet_transport_tcp::TcpFactory;
use townlet_transport_websocket::WsFactory;

use crate::exit::Failure;
use crate::out::remark;

/// The transports that this program links.
pub(crate) fn factories() -> Factories {
    vec![
        Arc::new(StdoutFactory) as Arc<dyn Factory>,
        Arc::new(FileFactory),
        Arc::new(TcpFactory),
        Arc::new(HttpFactory),
        Arc::new(WsFactory),
        Arc::new(PrometheusFactory),
        Arc::new(OtlpFactory),
        Arc::new(NatsFactory),
    ]
}

/// Loads a configuration file, with the environment and `--set` laid over it.
/// Warnings go to standard error.
pub(crate) fn load(path: &Path, set: &[String], factories: &Factories) -> Result<Loaded, Diagnostics> {
    let loaded = loader(set, factories).load_file(path)?;
    if !loaded.warnings.is_empty() {
        remark!("{}", loaded.warnings);
    }
    Ok(loaded)
}

/// The same for the commands that need it to work.
pub(crate) fn load_or_explain(path: &Path, set: &[String], factories: &Factories) -> anyhow::Result<Loaded> {
    load(path, set, factories).map_err(|diagnostics| {
        let n = diagnostics.errors().count();
        Failure::usage(format!("{} cannot be used ({n} errors)\n{diagnostics}", path.display()))
    })
}

/// A loader that knows the linked transports.
pub(crate) fn loader<'a>(set: &[String], factories: &'a Factories) -> Loader<'a> {
    let mut loader = Loader::new().process_environment();
    for factory in factories {
        loader = loader.factory(&**factory);
    }
    for assignment in set {
        loader = loader.set(assignment);
    }
    loader
}

/// Who runs, now.
pub(crate) fn identity_now() -> Identity {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Identity {
        run_id: RunId::from_u128(uuid::Uuid::now_v7().as_u128()),
        producer: "town".into(),
        runtime_variant: Some("facade".into()),
        started_at: u64::try_from(now.as_millis()).unwrap_or_default(),
        seed: None,
    }
}

/// Who runs, derived from a seed: the same seed, the same bytes.
pub(crate) fn identity_of_seed(seed: u64) -> Identity {
    // The form of a UUIDv7 at time 0, with the seed as its random part.
    let id = 0x7 << 76 | 0b10 << 62 | u128::from(seed & (u64::MAX >> 2)) | u128::from(seed >> 62) << 64;
    Identity { run_id: RunId::from_u128(id), started_at: 0, seed: Some(seed), ..identity_now() }
}

/// A progress bar over bytes or ticks on standard error; silent where nobody looks.
pub(crate) fn progress(length: u64, what: &'static str) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(length);
    let style = indicatif::ProgressStyle::with_template("{msg} {wide_bar} {percent}% {elapsed}");
    bar.with_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar())).with_message(what)
}

/// How long a shutdown may take, as the slowest sink's configuration says.
pub(crate) fn shutdown_timeout(config: &TelemetryConfig) -> Duration {
    config.sinks.iter().map(|s| s.worker.shutdown_timeout).max().unwrap_or(Duration::from_secs(2))
}

/// How a pipeline ended.
pub(crate) struct Ended {
    /// Of the live pipeline: after a shutdown every sink is disconnected.
    pub(crate) status: TransportStatus,
    pub(crate) spills: serde_json::Value,
    pub(crate) books: FinalStatement,
}

/// Ends a pipeline within the time that its configuration gives a shutdown. What waits is
/// delivered first, for half of it, so that the status is that of sinks that have delivered; the
/// shutdown goes on with that where it is not enough.
pub(crate) fn end(telemetry: &Telemetry, config: &TelemetryConfig) -> Ended {
    let (begun, limit) = (Instant::now(), shutdown_timeout(config));
    telemetry.flush(limit / 2);
    let (status, spills) = (telemetry.latest_transport_status(), spills_json(telemetry));
    let books = telemetry.shutdown(limit.saturating_sub(begun.elapsed()));
    Ended { status, spills, books }
}

/// The narration keys, for the town.
pub(crate) fn narration(config: &TelemetryConfig) -> NarrationOptions {
    let (n, r, p) = (&config.narration, &config.relationship_narration, &config.personality_narration);
    NarrationOptions {
        global_cooldown_ticks: n.global_cooldown_ticks,
        category_cooldown_ticks: n.category_cooldown_ticks.clone(),
        dedupe_window_ticks: n.dedupe_window_ticks,
        global_window_ticks: n.global_window_ticks,
        global_window_limit: n.global_window_limit as usize,
        priority_categories: n.priority_categories.clone(),
        friendship_trust_threshold: r.friendship_trust_threshold,
        friendship_delta_threshold: r.friendship_delta_threshold,
        friendship_priority_threshold: r.friendship_priority_threshold,
        rivalry_avoid_threshold: r.rivalry_avoid_threshold,
        rivalry_escalation_threshold: r.rivalry_escalation_threshold,
        personality_enabled: p.enabled,
        chat_extroversion_threshold: p.chat_extroversion_threshold,
        chat_priority_threshold: p.chat_priority_threshold,
        chat_quality_threshold: p.chat_quality_threshold,
        conflict_tolerance_threshold: p.conflict_tolerance_threshold,
    }
}

/// The transport status, and the books summed over the sinks.
pub(crate) fn status_json(status: &TransportStatus, books: &FinalStatement) -> serde_json::Value {
    let mut sum = Statement::default();
    for (_, statement) in &books.sinks {
        sum += statement;
    }
    let account = &sum.account;
    let dropped: serde_json::Map<String, serde_json::Value> =
        account.drops().map(|(reason, n)| (reason.as_str().to_owned(), n.into())).collect();
    serde_json::json!({
        "transport": status,
        "statement": {
            "accepted": account.accepted(),
            "delivered": account.delivered(),
            "dropped": dropped,
            "buffered": sum.buffered,
            "spilled": sum.spilled,
            "residual": i64::try_from(books.residual()).unwrap_or(i64::MAX),
        },
    })
}

/// A file sink that loses nothing, in place of the configured ones: what is
/// captured is complete, however fast the town runs.
pub(crate) fn capture_sinks(path: &Path, factories: &Factories) -> anyhow::Result<Vec<SinkConfig>> {
    let path = std::path::absolute(path)?;
    // A JSON string is a YAML string. Neither holds a path that is not UTF-8: that is put in its place below.
    let named = serde_json::to_string(path.to_str().unwrap_or("capture.jsonl"))?;
    let text = format!(
        "telemetry:\n  transport:\n    type: file\n    file_path: {named}\n    buffer: {{max_batch_size: 500, \
         max_buffer_bytes: 16777216}}\n  worker: {{backpressure: block, block_timeout_seconds: 5.0, \
         shutdown_timeout_seconds: 10}}\n"
    );
    let mut loader = Loader::new();
    for factory in factories {
        loader = loader.factory(&**factory);
    }
    let mut sinks = loader.load_str("--telemetry-path", &text).map_err(Failure::usage)?.config.sinks;
    if path.to_str().is_none() {
        sinks.iter_mut().for_each(|sink| sink.settings.file_path = Some(path.clone()));
    }
    Ok(sinks)
}

/// What the run before left in a spill or a ledger, in a line; none where it left nothing.
pub(crate) fn recovery(found: &Recovered) -> Option<String> {
    if found.damaged && found.run_id.is_none() {
        return Some(format!("the ledger in {} is damaged: what earlier runs had is not known", found.path.display()));
    }
    if found.recovered == 0 && found.lost_at_most == 0 {
        return None;
    }
    let run = match &found.run_id {
        Some(run) => format!(
            "run {run} ({}; accepted {}, delivered {}, dropped {} by its last account)",
            if found.ended { "it ended" } else { "it was killed" },
            found.accepted,
            found.delivered,
            found.dropped
        ),
        None => "a run whose account cannot be read".to_owned(),
    };
    let path = found.path.display();
    Some(format!("recovered {} of {run} from {path}; lost at most {}", found.recovered, found.lost_at_most))
}

/// The spills, for a status file.
fn spills_json(telemetry: &Telemetry) -> serde_json::Value {
    let recovered = telemetry.recovered();
    let all = telemetry.spills().into_iter().zip(recovered);
    let all = all.map(|(spill, recovered)| {
        serde_json::json!({
            "path": spill.path,
            "sinks": spill.sinks,
            "spill_error": spill.error,
            "spill_errors_total": spill.errors_total,
            "spill_commits_total": spill.commits_total,
            "spill_damaged_total": spill.damaged_total,
            "recovered": {
                "run_id": recovered.run_id,
                "ended": recovered.ended,
                "accepted": recovered.accepted,
                "delivered": recovered.delivered,
                "dropped": recovered.dropped,
                "recovered": recovered.recovered,
                "lost_at_most": recovered.lost_at_most,
            },
        })
    });
    all.collect()
}

/// Starts the pipeline; says what a spill brought back, and says so where it is only a stub.
pub(crate) fn start(config: &TelemetryConfig, factories: &Factories, identity: &Identity) -> anyhow::Result<Telemetry> {
    let telemetry = townlet_config::start(config, factories, identity).map_err(|error| match error {
        // The configuration is sound; the folder is somebody else's at present.
        StartError::Pipeline(error @ (BuildError::Spill { .. } | BuildError::Ledger { .. })) => error.into(),
        error => Failure::usage(error),
    })?;
    for recovered in telemetry.recovered() {
        if let Some(statement) = recovery(recovered) {
            remark!("{statement}");
        }
    }
    if StubSink::is_behind(&telemetry.latest_transport_status()) {
        remark!("Warning: stub telemetry sink active (provider=stub); streaming disabled. {STUB_WARNING}");
    }
    Ok(telemetry)
}
