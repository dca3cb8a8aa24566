//! One sink: the keys of `telemetry.transport` and `telemetry.worker`, or of
//! `telemetry.sinks.<name>`, which has both.

use townlet_transport::{Auth, Compression, Factory, Format, Level};

use crate::auth;
use crate::block::Block;
use crate::broker;
use crate::config::{Backpressure, BufferConfig, Cadence, RetryConfig, SinkConfig, WorkerConfig};
use crate::context::Context;
use crate::correct::Fix;
use crate::dead_letters;
use crate::diagnostic::{Code, quote};
use crate::filing;
use crate::keys::nearest;
use crate::origin::{Given, Place};
use crate::publishing;
use crate::rules::{self, Type};
use crate::spill;

/// Transport types that the configuration language knows, built in or not.
const TYPES: [&str; 8] = ["stdout", "file", "tcp", "http", "websocket", "prometheus", "otlp", "nats"];

/// The `transport:` keys as given, before the rules of the type are applied.
pub(crate) struct Raw {
    pub(crate) endpoint: Option<Given<String>>,
    pub(crate) file_path: Option<Given<String>>,
    pub(crate) websocket_url: Option<Given<String>>,
    pub(crate) enable_tls: Option<Given<bool>>,
    pub(crate) verify_hostname: Option<Given<bool>>,
    pub(crate) ca_file: Option<Given<String>>,
    pub(crate) cert_file: Option<Given<String>>,
    pub(crate) key_file: Option<Given<String>>,
    pub(crate) allow_plaintext: Option<Given<bool>>,
    pub(crate) dev_allow_plaintext: Option<Given<bool>>,
    pub(crate) acks: Option<Given<bool>>,
    pub(crate) filing: filing::Raw,
    pub(crate) compression: Option<Given<Compression>>,
    pub(crate) format: Option<Given<Format>>,
    pub(crate) auth: Option<Given<Auth>>,
    pub(crate) publishing: publishing::Raw,
    pub(crate) broker: broker::Raw,
    pub(crate) settle_at: Option<Given<Level>>,
    pub(crate) backpressure: Option<Given<Backpressure>>,
    pub(crate) connect_timeout: std::time::Duration,
    pub(crate) send_timeout: std::time::Duration,
}

/// Reads one sink. `worker` is the block of its worker keys.
pub(crate) fn read(
    ctx: &mut Context<'_>,
    factories: &[&dyn Factory],
    name: &str,
    block: &mut Block<'_>,
    mut worker: Block<'_>,
) -> SinkConfig {
    let before = ctx.found.errors().count();
    let kind = read_type(ctx, factories, name, block);
    let raw = read_transport(ctx, block, &mut worker);
    let poll = block.seconds(ctx, "worker_poll_seconds", 0.5, 0.01..=10.0);
    let retry = read_retry(ctx, block);
    let (mut buffer, spill_keys) = read_buffer(ctx, block);
    let letters = dead_letters::read(ctx, block);
    let worker_path = worker.path().to_owned();
    let keyframes = Cadence {
        keyframe_every: small(block.int(ctx, "keyframe_every", 600, 0..=1_000_000)),
        keyframe_bytes: block.int(ctx, "keyframe_bytes", 0, 0..=1 << 40),
    };
    let config = WorkerConfig {
        backpressure: raw.backpressure.as_ref().map_or(Backpressure::default(), |given| given.value),
        block_timeout: worker.seconds(ctx, "block_timeout_seconds", 0.5, 0.05..=5.0),
        restart_limit: small(worker.int(ctx, "restart_limit", 3, 1..=10)),
        restart_window: worker.seconds(ctx, "restart_window_seconds", 60.0, 1.0..=86_400.0),
        shutdown_timeout: worker.seconds(ctx, "shutdown_timeout_seconds", 2.0, 0.0..=300.0),
        poll,
    };
    worker.close(ctx);

    let type_name = kind.as_ref().map_or_else(String::new, |(_, name)| name.clone());
    let settings = match &kind {
        Some((kind, type_name)) => rules::apply(ctx, block, *kind, type_name, &raw),
        // Which rules hold depends on the type; with a wrong one they would only make noise.
        None => townlet_transport::Settings::default(),
    };
    let of = spill::Of {
        block: block.path(),
        worker: &worker_path,
        kind: kind.as_ref().map(|(kind, name)| (*kind, name.as_str())),
        policy: raw.backpressure.as_ref(),
        buffer: &buffer,
    };
    buffer.spill = spill::apply(ctx, spill_keys, &of);
    let letters = dead_letters::apply(ctx, letters, block.path(), kind.as_ref());
    if let Some((_, type_name)) = &kind
        && ctx.found.errors().count() == before
        && ctx.check_files
        && let Some(factory) = factories.iter().find(|f| f.kind() == type_name)
    {
        try_build(ctx, block, *factory, &settings);
    }
    SinkConfig {
        name: name.to_owned(),
        transport_type: type_name,
        settings,
        buffer,
        retry,
        worker: config,
        keyframes,
        settle_at: raw.settle_at.map_or(Level::Sent, |given| given.value),
        dead_letters: letters,
    }
}

fn read_type(
    ctx: &mut Context<'_>,
    factories: &[&dyn Factory],
    name: &str,
    block: &mut Block<'_>,
) -> Option<(Type, String)> {
    let built_in: Vec<&str> = factories.iter().map(|f| f.kind()).collect();
    let default = if name == crate::config::MAIN { "stdout" } else { "" };
    let all = TYPES.iter().copied().chain(built_in.iter().copied().filter(|kind| !TYPES.contains(kind)));
    let all: Vec<(&str, &str)> = all.map(|kind| (kind, kind)).collect();
    let key = block.key("type");
    if default.is_empty() && !block.has("type") {
        let choices = all.iter().map(|(kind, _)| *kind).filter(|kind| built_in.is_empty() || built_in.contains(kind));
        let help = format!("one of {}", choices.collect::<Vec<_>>().join(", "));
        ctx.error(Code::Missing, &block.place().clone(), &key, format!("{key} is required")).help(help);
    }
    let present = block.has("type");
    let given = block.opt_choice(ctx, "type", default, &all);
    let (chosen, place) = match given {
        Some(given) => (given.value, given.place),
        None if present || default.is_empty() => return None,
        None => (default, block.place().clone()),
    };
    if built_in.is_empty() || built_in.contains(&chosen) {
        return Some((Type::named(chosen), chosen.to_owned()));
    }
    let list = built_in.join(", ");
    let message = format!("{key}: type '{chosen}' is not built into this program; built in: {list}");
    let report = ctx.error(Code::NotBuiltIn, &place, &key, message);
    if let Some(meant) = nearest(chosen, built_in.iter().copied()) {
        report.help(format!("did you mean '{meant}'?"));
    }
    None
}

fn read_transport(ctx: &mut Context<'_>, block: &mut Block<'_>, worker: &mut Block<'_>) -> Raw {
    let levels = [("sent", Level::Sent), ("peer_acked", Level::PeerAcked), ("durable", Level::Durable)];
    let policies = [
        Backpressure::DropOldest,
        Backpressure::Block,
        Backpressure::FanOut,
        Backpressure::Spill,
        Backpressure::Coalesce,
    ]
    .map(|policy| (policy.as_str(), policy));
    Raw {
        endpoint: block.opt_text(
            ctx,
            "endpoint",
            "host:port (tcp), a URL (http, otlp), or URLs with commas between (nats)",
        ),
        file_path: block.opt_text(ctx, "file_path", "a path"),
        websocket_url: block.opt_text(ctx, "websocket_url", "a URL"),
        connect_timeout: timeout(ctx, block, "connect_timeout_seconds", 5.0),
        send_timeout: timeout(ctx, block, "send_timeout_seconds", 1.0),
        enable_tls: block.opt_bool(ctx, "enable_tls", "true"),
        verify_hostname: block.opt_bool(ctx, "verify_hostname", "true"),
        ca_file: block.opt_text(ctx, "ca_file", "a path"),
        cert_file: block.opt_text(ctx, "cert_file", "a path"),
        key_file: block.opt_text(ctx, "key_file", "a path"),
        allow_plaintext: block.opt_bool(ctx, "allow_plaintext", "false"),
        dev_allow_plaintext: block.opt_bool(ctx, "dev_allow_plaintext", "false"),
        acks: block.opt_bool(ctx, "acks", "true"),
        filing: filing::read(ctx, block),
        compression: block.opt_choice(
            ctx,
            "compression",
            "none",
            &[
                ("none", Compression::None),
                ("gzip", Compression::Gzip),
                ("zstd", Compression::Zstd),
                ("deflate", Compression::Deflate),
            ],
        ),
        format: block.opt_choice(
            ctx,
            "format",
            "ndjson; of otlp protobuf",
            &[("ndjson", Format::Ndjson), ("json", Format::Json), ("protobuf", Format::Protobuf)],
        ),
        auth: auth::read(ctx, block),
        publishing: publishing::read(ctx, block),
        broker: broker::read(ctx, block),
        settle_at: block.opt_choice(ctx, "settle_at", "sent", &levels),
        backpressure: worker.opt_choice(ctx, "backpressure", "drop_oldest", &policies),
    }
}

/// The predecessor read 0 as "wait for ever". No call of ours may do that, so 0
/// is the longest wait that the bounds allow.
fn timeout(ctx: &mut Context<'_>, block: &mut Block<'_>, name: &str, default: f64) -> std::time::Duration {
    const LONGEST: f64 = 60.0;
    let wait = block.seconds(ctx, name, default, 0.0..=LONGEST);
    if !wait.is_zero() {
        return wait;
    }
    let place = block.entry(name).map_or_else(Place::top, |e| e.place.clone());
    let key = block.key(name);
    let message = format!("{key}: 0 is read as {LONGEST} seconds, because no call may wait for ever");
    ctx.warn(Code::NoEffect, &place, &key, message).help(format!("write {LONGEST} if that is meant"));
    std::time::Duration::from_secs_f64(LONGEST)
}

fn read_retry(ctx: &mut Context<'_>, block: &mut Block<'_>) -> RetryConfig {
    let mut retry = block.block(ctx, "retry");
    let config = RetryConfig {
        max_attempts: small(retry.int(ctx, "max_attempts", 3, 0..=10)),
        backoff: retry.seconds(ctx, "backoff_seconds", 0.5, 0.0..=30.0),
        max_backoff: retry.seconds(ctx, "max_backoff_seconds", 30.0, 0.0..=3600.0),
    };
    if config.max_backoff < config.backoff {
        let given = retry.entry("max_backoff_seconds").or_else(|| retry.entry("backoff_seconds"));
        let place = given.map_or_else(|| retry.place().clone(), |e| e.place.clone());
        let (key, other) = (retry.key("max_backoff_seconds"), retry.key("backoff_seconds"));
        ctx.error(Code::Conflict, &place, &key, format!("{key} must be at least {other}"));
    }
    retry.close(ctx);
    config
}

fn read_buffer(ctx: &mut Context<'_>, block: &mut Block<'_>) -> (BufferConfig, spill::Raw) {
    let mut buffer = block.block(ctx, "buffer");
    let config = BufferConfig {
        max_batch_size: size(buffer.int(ctx, "max_batch_size", 32, 1..=500)),
        max_buffer_bytes: size(buffer.int(ctx, "max_buffer_bytes", 256_000, 1024..=16_777_216)),
        max_queue_length: size(buffer.int(ctx, "max_queue_length", 65_536, 1..=16_777_216)),
        flush_interval_ticks: buffer.int(ctx, "flush_interval_ticks", 1, 1..=10_000),
        flush_interval: buffer.seconds(ctx, "flush_interval_seconds", 0.5, 0.001..=60.0),
        spill: None,
    };
    let spill = spill::read(ctx, &mut buffer);
    buffer.close(ctx);
    (config, spill)
}

/// Asks the backend itself: it reads the certificates that the rules only found readable.
fn try_build(ctx: &mut Context<'_>, block: &Block<'_>, factory: &dyn Factory, settings: &townlet_transport::Settings) {
    let Err(error) = factory.build(settings) else { return };
    let text = error.to_string();
    const NAMED: [&str; 15] = [
        "auth",
        "ca_file",
        "cert_file",
        "key_file",
        "file_path",
        "endpoint",
        "websocket_url",
        "enable_tls",
        "verify_hostname",
        "fsync",
        "scrape_listen",
        "scrape_token_file",
        "export_fields",
        "labels",
        "nats",
    ];
    // A key of a block within, written out.
    let within = text.split([' ', ':']).map(|word| block.key(word)).find_map(|key| {
        let place = ctx.places.get(&key).filter(|_| key.starts_with(&block.key("auth.")))?.clone();
        Some((key, place))
    });
    if let Some((key, place)) = within {
        ctx.error(Code::Transport, &place, &key, format!("{key}: {text}"));
        return;
    }
    // The earliest name in the message is the one it is about.
    let named = NAMED
        .iter()
        .filter_map(|name| Some((text.find(name)?, *name, block.entry(name)?)))
        .min_by_key(|(at, ..)| *at)
        .map(|(_, name, entry)| (name, entry.place.clone()));
    let (name, place) = named
        .unwrap_or_else(|| ("type", block.entry("type").map_or_else(|| block.place().clone(), |e| e.place.clone())));
    let key = block.key(name);
    ctx.error(Code::Transport, &place, &key, format!("{key}: {text}"));
}

/// Two sinks must not write to the same place.
pub(crate) fn check_distinct(ctx: &mut Context<'_>, sinks: &[SinkConfig]) {
    for (i, sink) in sinks.iter().enumerate() {
        for earlier in &sinks[..i] {
            let same_path = sink.settings.file_path.is_some() && sink.settings.file_path == earlier.settings.file_path;
            let both_stdout = sink.transport_type == "stdout" && earlier.transport_type == "stdout";
            let listen = &sink.settings.scrape_listen;
            let same_listen = listen.is_some() && *listen == earlier.settings.scrape_listen;
            let (name, what) = match (same_path, both_stdout, same_listen) {
                (true, ..) => ("file_path", "writes to this file"),
                (_, true, _) => ("type", "writes to the standard output"),
                (.., true) => ("scrape_listen", "listens there"),
                _ => continue,
            };
            let key = format!("{}.{name}", sink.block());
            let place = ctx.places.get(&key).cloned().unwrap_or_else(Place::top);
            let other = quote(&earlier.name);
            let message = format!("{key}: the sink {other} already {what}");
            ctx.error(Code::Conflict, &place, &key, message);
        }
    }
}

/// A name that can stand in a dotted key, an environment variable and a log line.
pub(crate) fn check_name(ctx: &mut Context<'_>, name: &str, place: &Place) -> bool {
    let key = format!("telemetry.sinks.{name}");
    if name == crate::config::MAIN {
        let message = "telemetry.sinks.main: 'main' is the sink that telemetry.transport describes";
        ctx.error(Code::Conflict, place, &key, message).help("choose another name");
        return false;
    }
    let good = name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        && !name.contains("__");
    if !good {
        let message = format!("{} is not a name for a sink", quote(name));
        let help = "use at most 32 lower-case letters, digits, '-' and single '_', starting with a letter";
        let meant = name.to_ascii_lowercase().replace([' ', '.'], "_");
        ctx.error(Code::BadChoice, place, &key, message).help(help).fix(Fix::Rename(meant));
    }
    good
}

/// Every value that comes here is bounded by a few thousand.
fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
