//! The blocks beside the sinks: provider, narrations and the small switches.

use std::path::PathBuf;

use townlet_transport::Factory;

use crate::block::Block;
use crate::config::{
    Backpressure, MAIN, NarrationConfig, PersonalityNarrationConfig, Provider, RelationshipNarrationConfig, SinkConfig,
    TelemetryConfig, Wire,
};
use crate::context::Context;
use crate::diagnostic::{Code, quote};
use crate::keys::{Unknown, nearest};
use crate::origin::Place;
use crate::paths::resolve;
use crate::spill::check_folder;
use crate::values::count_of;
use crate::yaml::{Node, Value};
use crate::{dead_letters, sink, spill, transforms};

/// Reads the whole document.
pub(crate) fn read(ctx: &mut Context<'_>, factories: &[&dyn Factory], tree: &Node) -> TelemetryConfig {
    if !matches!(tree.value, Value::Map(_) | Value::Null) {
        let message = format!("a configuration is a mapping with the key 'telemetry', not {}", tree.describe());
        ctx.error(Code::WrongType, &tree.place, "", message);
    }
    let mapping = matches!(tree.value, Value::Map(_)).then_some(tree);
    let mut root = Block::open(ctx, "", mapping, &Place::top());
    let mut telemetry = root.block(ctx, "telemetry");
    let sinks = read_sinks(ctx, factories, &mut telemetry);
    let (chain, redaction) = transforms::read(ctx, &mut telemetry);
    let diff_enabled = telemetry.opt_bool(ctx, "diff_enabled", "true").is_none_or(|given| given.value);
    let wire = read_wire(ctx, &mut telemetry, diff_enabled, &sinks);
    let config = TelemetryConfig {
        provider: read_provider(ctx, &mut root),
        producer: read_producer(ctx, &mut telemetry),
        ledger_path: read_ledger(ctx, &mut telemetry, &sinks),
        diff_enabled,
        wire,
        sinks,
        transforms: chain,
        redaction,
        narration: read_narration(ctx, &mut telemetry),
        relationship_narration: read_relationship_narration(ctx, &mut telemetry),
        personality_narration: read_personality_narration(ctx, &mut telemetry),
    };
    telemetry.close(ctx);
    check_root(ctx, &root);
    ctx.settle_unknown();
    config
}

/// Blocks at the top that are not ours belong to the host, unless they look
/// like ours written wrongly.
fn check_root(ctx: &mut Context<'_>, root: &Block<'_>) {
    let ours = ["telemetry", "runtime"];
    let has_block = root.entry("telemetry").is_some();
    let mut suspects = false;
    for entry in root.entries().iter().filter(|e| !ours.contains(&e.key.as_str())) {
        let similar = nearest(&entry.key, ours.into_iter());
        let inner = ctx.catalogue.iter().any(|info| info.key == format!("telemetry.{}", entry.key));
        let dotted = ["telemetry.", "runtime.telemetry"].iter().any(|start| entry.key.starts_with(start));
        if dotted || (!has_block && (similar.is_some() || inner)) {
            suspects = true;
            let known = ours.iter().map(|&name| name.to_owned()).collect();
            let (key, place) = (entry.key.clone(), entry.place.clone());
            ctx.unknown.push(Unknown { block: String::new(), key, place, known });
        } else if let Some(similar) = similar {
            let message = format!("{} is taken for a block of the host program", quote(&entry.key));
            let help = format!("did you mean '{similar}'?");
            ctx.warn(Code::UnknownKey, &entry.place, &entry.key, message).help(help);
        }
    }
    if !has_block && !suspects && !ctx.found.has_errors() {
        let message = "there is no 'telemetry' block: every default is used";
        ctx.warn(Code::Missing, &Place::top(), "telemetry", message);
    }
}

fn read_sinks(ctx: &mut Context<'_>, factories: &[&dyn Factory], telemetry: &mut Block<'_>) -> Vec<SinkConfig> {
    let mut transport = telemetry.block(ctx, "transport");
    let entry = telemetry.take(ctx, "worker", "mapping", "");
    // The pipeline guide's sample has `worker` under `transport`: that is reported as misplaced, and what stands in
    // it is checked all the same.
    let found = entry.or_else(|| transport.entry("worker").filter(|e| matches!(e.node.value, Value::Map(_))));
    let place = found.map_or_else(|| telemetry.place().clone(), |e| e.place.clone());
    let worker = Block::open(ctx, "telemetry.worker", found.map(|e| &e.node), &place);
    let mut sinks = vec![sink::read(ctx, factories, MAIN, &mut transport, worker)];
    transport.close(ctx);

    let mut named = telemetry.block(ctx, "sinks");
    for entry in named.entries() {
        if !sink::check_name(ctx, &entry.key, &entry.place) {
            continue;
        }
        if !matches!(entry.node.value, Value::Map(_)) {
            let key = named.key(&entry.key);
            let message = format!("{key} must be a mapping, not {}", entry.node.describe());
            ctx.error(Code::WrongType, &entry.node.place, &key, message).help("give it a 'type' at least");
            continue;
        }
        let mut block = named.block(ctx, &entry.key);
        let worker = block.block(ctx, "worker");
        let config = sink::read(ctx, factories, &entry.key, &mut block, worker);
        block.close(ctx);
        sinks.push(config);
    }
    sink::check_distinct(ctx, &sinks);
    spill::check_folders(ctx, &sinks);
    dead_letters::check_files(ctx, &sinks);
    sinks
}

fn read_provider(ctx: &mut Context<'_>, root: &mut Block<'_>) -> Provider {
    let mut runtime = root.block(ctx, "runtime");
    let entry = runtime.take(ctx, "telemetry", "one of stdout, default, stub; or {provider, options}", "stdout");
    let (name, place) = match entry.map(|e| (&e.node.value, &e.node.place)) {
        None | Some((Value::Null, _)) => return Provider::Full,
        Some((Value::Scalar { text, .. }, place)) => (text.clone(), place.clone()),
        _ => {
            let node = entry.map(|e| &e.node);
            let mut block = Block::open(ctx, "runtime.telemetry", node, runtime.place());
            let provider = block.opt_text(ctx, "provider", "one of stdout, default, stub");
            let options = block.block(ctx, "options");
            options.close(ctx);
            block.close(ctx);
            match provider {
                Some(given) => (given.value, given.place),
                None => return Provider::Full,
            }
        }
    };
    const KEY: &str = "runtime.telemetry";
    match name.as_str() {
        "stdout" | "default" => Provider::Full,
        "stub" => Provider::Stub,
        "http" | "dummy" => {
            let message = format!("{KEY}: the provider '{name}' is not in this version");
            let help = "use 'stdout', the full pipeline, and choose where it sends by telemetry.transport.type";
            ctx.error(Code::NotAvailable, &place, KEY, message).help(help);
            Provider::Full
        }
        _ => {
            let message = format!("{KEY} takes one of stdout, default, stub, not {}", quote(&name));
            let report = ctx.error(Code::BadChoice, &place, KEY, message);
            if let Some(meant) = nearest(&name, ["stdout", "default", "stub"].into_iter()) {
                report.help(format!("did you mean '{meant}'?"));
            }
            Provider::Full
        }
    }
}

fn read_ledger(ctx: &mut Context<'_>, telemetry: &mut Block<'_>, sinks: &[SinkConfig]) -> Option<PathBuf> {
    let given = telemetry.opt_text(ctx, "ledger_path", "a path; a folder of its own")?;
    let key = telemetry.key("ledger_path");
    if given.value.trim().is_empty() {
        ctx.error(Code::Missing, &given.place, &key, format!("{key} must not be blank"));
        return None;
    }
    let path = resolve(ctx, &key, &given.place, &given.value)?;
    let shares = sinks.iter().find(|sink| sink.buffer.spill.as_ref().is_some_and(|spill| spill.path == path));
    if let Some(sink) = shares {
        let message = format!("{key}: that is the folder of the spill of sink '{}'", sink.name);
        ctx.error(Code::Conflict, &given.place, &key, message).help("name a folder of its own");
        return None;
    }
    if !sinks.is_empty() && sinks.iter().all(|sink| sink.buffer.spill.is_some()) {
        let message = format!("{key} has no effect: each sink has a spill, which keeps its books");
        ctx.warn(Code::NoEffect, &given.place, &key, message).help("remove it");
    }
    check_folder(ctx, &key, &given.place, &path, "the ledger");
    Some(path)
}

fn read_producer(ctx: &mut Context<'_>, telemetry: &mut Block<'_>) -> Option<String> {
    let given = telemetry.opt_text(ctx, "producer", "a name")?;
    let name = &given.value;
    if name.trim().is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        let key = telemetry.key("producer");
        let message = format!("{key} takes a name of 1 to 128 printable characters");
        ctx.error(Code::OutOfRange, &given.place, &key, message);
        return None;
    }
    Some(given.value)
}

fn read_wire(ctx: &mut Context<'_>, telemetry: &mut Block<'_>, diff_enabled: bool, sinks: &[SinkConfig]) -> Wire {
    let forms = [("current", Wire::Current), ("legacy-0.9", Wire::Legacy)];
    let wire = telemetry.choice(ctx, "wire", ("current", Wire::Current), &forms);
    let Some(entry) = telemetry.entry("wire").filter(|_| wire == Wire::Legacy) else { return wire };
    let (place, key) = (entry.node.place.clone(), telemetry.key("wire"));
    if !diff_enabled {
        let message = format!("{key}: 'legacy-0.9' has diffs, which 'diff_enabled: false' rules out");
        ctx.error(Code::Conflict, &place, &key, message).help("remove one of the two keys");
    }
    for sink in sinks.iter().filter(|sink| sink.worker.backpressure == Backpressure::FanOut) {
        let message = format!("{key}: old readers need one connection, but {} says 'fan_out'", sink.worker_block());
        ctx.error(Code::Conflict, &place, &key, message).help("choose another 'backpressure' for that sink");
    }
    wire
}

fn read_narration(ctx: &mut Context<'_>, telemetry: &mut Block<'_>) -> NarrationConfig {
    let mut block = telemetry.block(ctx, "narration");
    let config = NarrationConfig {
        global_cooldown_ticks: block.int(ctx, "global_cooldown_ticks", 30, 0..=10_000),
        category_cooldown_ticks: block
            .map_of(ctx, "category_cooldown_ticks", "a mapping from category to ticks", count_of)
            .map(|given| given.value)
            .unwrap_or_default(),
        dedupe_window_ticks: block.int(ctx, "dedupe_window_ticks", 20, 0..=10_000),
        global_window_ticks: block.int(ctx, "global_window_ticks", 600, 1..=10_000),
        global_window_limit: block.int(ctx, "global_window_limit", 10, 1..=1000),
        priority_categories: block.opt_names(ctx, "priority_categories", "[]").map(|g| g.value).unwrap_or_default(),
    };
    block.close(ctx);
    config
}

fn read_relationship_narration(ctx: &mut Context<'_>, telemetry: &mut Block<'_>) -> RelationshipNarrationConfig {
    let mut block = telemetry.block(ctx, "relationship_narration");
    let config = RelationshipNarrationConfig {
        friendship_trust_threshold: block.float(ctx, "friendship_trust_threshold", 0.6, -1.0..=1.0),
        friendship_delta_threshold: block.float(ctx, "friendship_delta_threshold", 0.25, 0.0..=2.0),
        friendship_priority_threshold: block.float(ctx, "friendship_priority_threshold", 0.85, -1.0..=1.0),
        rivalry_avoid_threshold: block.float(ctx, "rivalry_avoid_threshold", 0.7, 0.0..=1.0),
        rivalry_escalation_threshold: block.float(ctx, "rivalry_escalation_threshold", 0.9, 0.0..=1.0),
    };
    let pairs = [
        (
            ("friendship_priority_threshold", config.friendship_priority_threshold),
            ("friendship_trust_threshold", config.friendship_trust_threshold),
        ),
        (
            ("rivalry_escalation_threshold", config.rivalry_escalation_threshold),
            ("rivalry_avoid_threshold", config.rivalry_avoid_threshold),
        ),
    ];
    for ((high, high_value), (low, low_value)) in pairs {
        if high_value < low_value {
            let entry = block.entry(high).or_else(|| block.entry(low));
            let place = entry.map_or_else(|| block.place().clone(), |e| e.place.clone());
            let key = block.key(high);
            let message = format!("{key} ({high_value}) must be at least {} ({low_value})", block.key(low));
            ctx.error(Code::Conflict, &place, &key, message);
        }
    }
    block.close(ctx);
    config
}

fn read_personality_narration(ctx: &mut Context<'_>, telemetry: &mut Block<'_>) -> PersonalityNarrationConfig {
    let mut block = telemetry.block(ctx, "personality_narration");
    let config = PersonalityNarrationConfig {
        enabled: block.bool(ctx, "enabled", true),
        chat_extroversion_threshold: block.float(ctx, "chat_extroversion_threshold", 0.5, -1.0..=1.0),
        chat_priority_threshold: block.float(ctx, "chat_priority_threshold", 0.75, -1.0..=1.0),
        chat_quality_threshold: block.float(ctx, "chat_quality_threshold", 0.3, 0.0..=1.0),
        conflict_tolerance_threshold: block.float(ctx, "conflict_tolerance_threshold", 0.95, 0.0..=5.0),
    };
    block.close(ctx);
    config
}
