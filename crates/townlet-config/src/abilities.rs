//! What is asked of a transport that its type cannot do.

use townlet_transport::{Compression, Format, Fsync, Level, Settings};

use crate::block::Block;
use crate::config::Backpressure;
use crate::context::Context;
use crate::diagnostic::Code;
use crate::rules::Type;
use crate::sink::Raw;

/// A finding for each. `settings` are those made of `raw`.
pub(crate) fn check(
    ctx: &mut Context<'_>,
    block: &Block<'_>,
    kind: Type,
    type_name: &str,
    raw: &Raw,
    settings: &Settings,
) {
    settle_at(ctx, block, kind, type_name, raw, settings);
    compression(ctx, block, kind, type_name, raw, settings);
    format(ctx, block, kind, type_name, raw);
    backpressure(ctx, block, kind, type_name, raw);
}

/// A level that the transport can never reach would leave every frame unsettled.
fn settle_at(ctx: &mut Context<'_>, block: &Block<'_>, kind: Type, type_name: &str, raw: &Raw, settings: &Settings) {
    let Some(given) = &raw.settle_at else { return };
    let help = match (kind, given.value) {
        (_, Level::Sent) | (Type::Other, _) | (Type::Http | Type::Otlp | Type::Nats, Level::PeerAcked) => return,
        (Type::File, Level::Durable) if settings.fsync == Fsync::EachBatch => return,
        (Type::File, Level::Durable) => "set 'fsync: each_batch'",
        (Type::Tcp, Level::PeerAcked) if settings.enable_tls && settings.acks => return,
        (Type::Tcp, Level::PeerAcked) => "acknowledgements need TLS and 'acks: true'",
        (Type::Websocket, _) if settings.acks => return,
        (Type::Websocket, _) => "acknowledgements need 'acks: true'",
        (Type::Tcp | Type::Http | Type::Otlp | Type::Nats, _) => "use 'peer_acked' or 'sent'",
        _ => "use 'sent'",
    };
    let key = block.key("settle_at");
    let message = format!("{key}: type '{type_name}' cannot settle as '{}' here", given.value);
    ctx.error(Code::Conflict, &given.place, &key, message).help(help);
}

/// A connection is one stream; a request stands by itself, and so does a file.
fn compression(ctx: &mut Context<'_>, block: &Block<'_>, kind: Type, type_name: &str, raw: &Raw, settings: &Settings) {
    let Some(given) = &raw.compression else { return };
    let (what, help) = match (kind, given.value) {
        (Type::Tcp, Compression::Gzip) => ("gzip", "use 'deflate', or 'none'"),
        (Type::Tcp, Compression::Deflate) if settings.enable_tls && settings.acks => return,
        (Type::Tcp, Compression::Deflate) => ("deflate", "both sides agree on it under TLS with 'acks: true'"),
        (Type::Tcp, Compression::Zstd) => ("zstd", "use 'deflate', or 'none'"),
        (Type::File, Compression::Zstd) => ("zstd", "use 'gzip', or 'none'"),
        (Type::Otlp, Compression::Zstd) => ("zstd", "use 'gzip', which every receiver has, or 'none'"),
        (Type::File | Type::Http | Type::Otlp, Compression::Deflate) => ("deflate", "use 'gzip', or 'none'"),
        _ => return,
    };
    let key = block.key("compression");
    let message = format!("{key}: type '{type_name}' cannot use '{what}' here");
    ctx.error(Code::Conflict, &given.place, &key, message).help(help);
}

/// Lines go as lines, messages of OTLP in one of its two encodings.
fn format(ctx: &mut Context<'_>, block: &Block<'_>, kind: Type, type_name: &str, raw: &Raw) {
    let Some(given) = &raw.format else { return };
    let help = match (kind, given.value) {
        (Type::Http, Format::Protobuf) => "use 'ndjson' or 'json'",
        (Type::Otlp, Format::Ndjson) => "use 'protobuf' or 'json'",
        _ => return,
    };
    let key = block.key("format");
    let message = format!("{key}: type '{type_name}' does not send that");
    ctx.error(Code::Conflict, &given.place, &key, message).help(help);
}

/// A second lane needs a second connection, which these types cannot have.
fn backpressure(ctx: &mut Context<'_>, block: &Block<'_>, kind: Type, type_name: &str, raw: &Raw) {
    let Some(given) = &raw.backpressure else { return };
    if given.value != Backpressure::FanOut || !matches!(kind, Type::Stdout | Type::File | Type::Prometheus) {
        return;
    }
    let key = match block.path() {
        "telemetry.transport" => "telemetry.worker.backpressure".to_owned(),
        _ => block.key("worker.backpressure"),
    };
    let message = format!("{key}: 'fan_out' needs a second connection, which type '{type_name}' cannot have");
    ctx.error(Code::NotForType, &given.place, &key, message).help("use 'drop_oldest' or 'block'");
}
