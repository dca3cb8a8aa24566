//! From a checked configuration to a running pipeline.

use std::sync::Arc;

use bytes::Bytes;
use townlet_pipeline::{
    Builder, DeadLetterSettings, SinkInfo, SpillMode, SpillOptions, SpillSettings, StateForm, StubSink, Telemetry,
};
use townlet_schema::{Kind, LineExtra, LinePrefix, RunId, RunMarker, SchemaVersion, encode_into};
use townlet_transform::{Chain, ChainBuilder, HashKey, Redaction as RedactionAction, SchemaSource};
use townlet_transform::{TransformSpec, ValidatorMode};
use townlet_transport::{Factory, Transport, TransportError};
use townlet_worker::Options;

use crate::config::{
    Provider, RedactAction, Redaction, SinkConfig, TelemetryConfig, TransformConfig, ValidationMode, Wire,
};
use crate::rules::Type;

/// The largest line that a buffer can hold, and who it is.
const LARGEST_RECORD: u32 = (16 << 20) + (64 << 10);

/// The transports that a program links.
pub type Factories = Vec<Arc<dyn Factory>>;

/// Who runs: what the configuration cannot know. A seeded run derives all of it
/// from the seed, so that its bytes repeat.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The run.
    pub run_id: RunId,
    /// The name before the streams; the configuration's `producer` wins.
    pub producer: String,
    /// What `tick_health` and run markers report.
    pub runtime_variant: Option<String>,
    /// Start of the run, milliseconds since the Unix epoch.
    pub started_at: u64,
    /// The seed, where there is one.
    pub seed: Option<u64>,
}

/// Why a pipeline did not start although its configuration is sound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `transport.type` names a backend that this program has not linked.
    #[error("{key}.type is `{kind}`, which is not built into this program; built in: {known}")]
    NoFactory {
        /// The block.
        key: String,
        /// The type.
        kind: String,
        /// What there is.
        known: String,
    },
    /// A transform cannot be built.
    #[error("telemetry.{0}")]
    Transforms(#[from] townlet_transform::BuildError),
    /// A hash key cannot be used.
    #[error("telemetry.transforms.pipeline[{index}].key_file: {source}")]
    HashKey {
        /// Which entry.
        index: usize,
        /// Why.
        source: townlet_transform::HashKeyError,
    },
    /// The pipeline refused.
    #[error(transparent)]
    Pipeline(#[from] townlet_pipeline::BuildError),
}

/// The transform chain that a configuration describes.
///
/// # Errors
/// [`StartError::Transforms`] and [`StartError::HashKey`], naming the entry.
pub fn chain(config: &TelemetryConfig) -> Result<Chain, StartError> {
    let mut builder = ChainBuilder::new();
    for (index, transform) in config.transforms.iter().enumerate() {
        builder = builder.spec(spec(index, transform)?);
    }
    if config.redaction == Redaction::Off {
        builder = builder.without_redaction();
    }
    Ok(builder.build()?)
}

fn spec(index: usize, transform: &TransformConfig) -> Result<TransformSpec, StartError> {
    Ok(match transform {
        TransformConfig::SnapshotNormalizer => TransformSpec::SnapshotNormalizer,
        TransformConfig::RedactFields { fields, kinds, action } => TransformSpec::RedactFields {
            fields: fields.clone(),
            kinds: kinds.iter().filter_map(|k| k.parse().ok()).collect(),
            action: match action {
                RedactAction::Remove => RedactionAction::Remove,
                RedactAction::Mask => RedactionAction::Mask,
                RedactAction::Hash { key_file } => RedactionAction::Hash {
                    key: HashKey::from_file(key_file).map_err(|source| StartError::HashKey { index, source })?,
                },
            },
        },
        TransformConfig::EnsureFields { required_fields_by_kind, default_required_fields } => {
            let by_kind = required_fields_by_kind.iter();
            TransformSpec::EnsureFields {
                required_fields_by_kind: by_kind
                    .filter_map(|(k, f)| Some((k.parse::<Kind>().ok()?, f.clone())))
                    .collect(),
                default_required_fields: default_required_fields.clone(),
            }
        }
        TransformConfig::SchemaValidator { schemas, mode } => TransformSpec::SchemaValidator {
            schemas: schemas
                .iter()
                .filter_map(|(k, path)| Some((k.parse().ok()?, SchemaSource::File(path.clone()))))
                .collect(),
            mode: match mode {
                ValidationMode::Drop => ValidatorMode::Drop,
                ValidationMode::Warn => ValidatorMode::Warn,
                ValidationMode::Raise => ValidatorMode::Raise,
            },
        },
    })
}

/// What a sink's worker is told.
pub fn worker_options(sink: &SinkConfig) -> Options {
    let mut options = Options::default();
    options.name.clone_from(&sink.name);
    options.max_queue_length = sink.buffer.max_queue_length;
    options.max_buffer_bytes = sink.buffer.max_buffer_bytes;
    options.max_batch_size = sink.buffer.max_batch_size;
    options.flush_interval_ticks = sink.buffer.flush_interval_ticks;
    options.flush_interval = sink.buffer.flush_interval;
    options.poll = sink.worker.poll;
    options.backpressure = sink.worker.backpressure;
    options.block_timeout = sink.worker.block_timeout;
    options.max_attempts = sink.retry.max_attempts;
    options.backoff = sink.retry.backoff;
    options.max_backoff = sink.retry.max_backoff;
    options.restart_limit = sink.worker.restart_limit;
    options.restart_window = sink.worker.restart_window;
    options.settle_at = sink.settle_at;
    options
}

/// The spill of a sink that has one.
pub fn spill_settings(sink: &SinkConfig) -> Option<SpillSettings> {
    let spill = sink.buffer.spill.as_ref()?;
    let options = SpillOptions {
        max_bytes: spill.max_bytes,
        max_age: spill.max_age,
        fsync: spill.fsync,
        max_record_bytes: LARGEST_RECORD,
        ..SpillOptions::default()
    };
    let mode = if spill.write_ahead { SpillMode::WriteAhead } else { SpillMode::Overflow };
    Some(SpillSettings { mode, options, ..SpillSettings::new(&spill.path) })
}

/// Where a sink that is to keep what its peer refuses keeps it.
pub fn dead_letter_settings(sink: &SinkConfig) -> Option<DeadLetterSettings> {
    let letters = sink.dead_letters.as_ref()?;
    Some(DeadLetterSettings { path: letters.path.clone(), max_bytes: letters.max_bytes })
}

/// Starts the pipeline that `config` describes. Opens no connection: a sink that
/// is down never stops the host. A spill is opened, and what earlier runs left in
/// it is on the books: [`Telemetry::recovered`].
///
/// # Errors
/// See [`StartError`].
pub fn start(config: &TelemetryConfig, factories: &Factories, identity: &Identity) -> Result<Telemetry, StartError> {
    let producer = config.producer.clone().unwrap_or_else(|| identity.producer.clone());
    let mut builder = Telemetry::builder().run_id(identity.run_id).producer(&producer).transforms(chain(config)?);
    if let Some(variant) = &identity.runtime_variant {
        builder = builder.runtime_variant(variant);
    }
    if config.provider == Provider::Stub {
        let make = || Ok(Box::new(StubSink::new()) as Box<dyn Transport>);
        return Ok(builder.sink(Options::default(), SinkInfo::new("stub"), make).start()?);
    }
    if let Some(path) = &config.ledger_path {
        builder = builder.ledger(path);
    }
    let marker = marker_of(config, identity);
    for sink in &config.sinks {
        builder = add_sink(builder, sink, factories, &marker)?.states(&sink.name, state_form(config, sink));
    }
    Ok(builder.start()?)
}

/// The form in which a sink gets states.
fn state_form(config: &TelemetryConfig, sink: &SinkConfig) -> StateForm {
    // It delivers figures, not lines: a diff would only hide fields from it.
    if Type::named(&sink.transport_type) == Type::Prometheus {
        return StateForm::Whole;
    }
    match config.wire {
        Wire::Legacy => StateForm::Legacy(sink.keyframes),
        Wire::Current if config.diff_enabled => StateForm::Diffs(sink.keyframes),
        Wire::Current => StateForm::Whole,
    }
}

fn add_sink(builder: Builder, sink: &SinkConfig, factories: &Factories, marker: &Bytes) -> Result<Builder, StartError> {
    let (info, make) = transport(sink, factories, marker)?;
    let builder = builder.sink(worker_options(sink), info, make);
    let builder = match spill_settings(sink) {
        Some(spill) => builder.spill(&sink.name, spill),
        None => builder,
    };
    Ok(match dead_letter_settings(sink) {
        Some(letters) => builder.dead_letters(&sink.name, letters),
        None => builder,
    })
}

/// Builds a sink's transport, at its first batch and again after a panic.
pub(crate) type Make = Box<dyn Fn() -> Result<Box<dyn Transport>, TransportError> + Send + Sync>;

/// What a sink's status says of its transport, and what builds it.
pub(crate) fn transport(
    sink: &SinkConfig,
    factories: &Factories,
    marker: &Bytes,
) -> Result<(SinkInfo, Make), StartError> {
    let factory = factories.iter().find(|f| f.kind() == sink.transport_type).cloned();
    let factory = factory.ok_or_else(|| StartError::NoFactory {
        key: sink.block(),
        kind: sink.transport_type.clone(),
        known: factories.iter().map(|f| f.kind()).collect::<Vec<_>>().join(", "),
    })?;
    let mut settings = sink.settings.clone();
    settings.run_marker = Some(marker.clone());
    // Where there is no peer the default means nothing.
    let kind = Type::named(&sink.transport_type);
    let has_peer = matches!(kind, Type::Tcp | Type::Http | Type::Websocket | Type::Otlp | Type::Nats);
    let info = SinkInfo::new(sink.transport_type.clone()).security(
        settings.enable_tls && has_peer,
        settings.verify_hostname && settings.enable_tls,
        settings.plaintext_acknowledged,
    );
    Ok((info, Box::new(move || factory.build(&settings))))
}

/// The run marker of a configuration.
pub(crate) fn marker_of(config: &TelemetryConfig, identity: &Identity) -> Bytes {
    run_marker(identity, config.producer.as_ref().unwrap_or(&identity.producer))
}

/// The line that opens each file of a run. `seq` 0: it is no event of a stream.
fn run_marker(identity: &Identity, producer: &str) -> Bytes {
    let marker = RunMarker {
        started_at: identity.started_at,
        producer: format!("{producer} {}", env!("CARGO_PKG_VERSION")).into(),
        runtime_variant: identity.runtime_variant.clone(),
        seed: identity.seed,
        ..RunMarker::default()
    };
    let (mut body, mut line) = (Vec::new(), Vec::new());
    if encode_into(&marker, &mut body).is_ok() {
        let prefix = LinePrefix::new(SchemaVersion::CURRENT, Kind::Run, &identity.run_id, &format!("{producer}.run"));
        prefix.write_line(0, 0, LineExtra::default(), &body, &mut line);
    }
    line.into()
}
