//! `telemetry.transforms`: every spelling of an entry, and the options of each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::block::Block;
use crate::config::{RedactAction, Redaction, TransformConfig, ValidationMode};
use crate::context::Context;
use crate::correct::Fix;
use crate::diagnostic::{Code, quote};
use crate::keys::nearest;
use crate::origin::Place;
use crate::paths::{check_readable, resolve};
use crate::values::names_of;
use crate::yaml::{Entry, Node, Value};

const IDS: [&str; 4] = ["snapshot_normalizer", "redact_fields", "ensure_fields", "schema_validator"];

/// The payload types of the wire.
const KINDS: [&str; 8] = ["snapshot", "diff", "event", "health", "failure", "console", "narration", "run"];

/// What the built-in redaction removes, from snapshots and diffs.
const REDACTED: &str = "policy_identity";

const FORMS: &str = "write '- redact_fields: {fields: [...]}' or '- {id: redact_fields, fields: [...]}'";

pub(crate) fn read(ctx: &mut Context<'_>, telemetry: &mut Block<'_>) -> (Vec<TransformConfig>, Redaction) {
    let mut block = telemetry.block(ctx, "transforms");
    let mut chain = Vec::new();
    let mut complete = true;
    let pipeline = block.take(ctx, "pipeline", "a list of transforms; empty means the built-in chain", "[]");
    match pipeline.map(|entry| &entry.node) {
        Some(Node { value: Value::List(items), .. }) => {
            for (i, item) in items.iter().enumerate() {
                let entry = read_entry(ctx, &format!("{}[{i}]", block.key("pipeline")), item);
                complete &= entry.is_some();
                chain.extend(entry);
            }
        }
        None | Some(Node { value: Value::Null, .. }) => {}
        Some(node) => {
            let key = block.key("pipeline");
            let message = format!("{key} takes a list of transforms, not {}", node.describe());
            ctx.error(Code::WrongType, &node.place, &key, message).help("start each transform with '- '");
        }
    }
    let words = [("default", Redaction::Default), ("off", Redaction::Off)];
    let redaction = block.choice(ctx, "redaction", ("default", Redaction::Default), &words);
    let key = block.key("redaction");
    match redaction {
        Redaction::Off => {
            let place = block.entry("redaction").map_or_else(Place::top, |e| e.place.clone());
            let message = format!("{key} is off: {REDACTED} leaves the process unless the pipeline redacts it");
            ctx.warn(Code::Redaction, &place, &key, message);
        }
        Redaction::Default if complete && !chain.is_empty() => {
            let place = pipeline.map_or_else(Place::top, |e| e.place.clone());
            if !chain.iter().any(|t| matches!(t, TransformConfig::RedactFields { .. })) {
                let message = "the pipeline has no redact_fields; the built-in redaction is added to it";
                ctx.note(Code::Redaction, &place, &key, message).help("'redaction: off' leaves it out");
            } else if !redacts(&chain) {
                // Whoever writes a redaction replaces the built-in one, perhaps without knowing what that did.
                let message = format!("the pipeline's own redact_fields lets {REDACTED} leave in snapshots or diffs");
                let help = format!("add {REDACTED} to the fields, for the kinds snapshot and diff");
                ctx.warn(Code::Redaction, &place, &key, message).help(help);
            }
        }
        Redaction::Default => {}
    }
    block.close(ctx);
    (chain, redaction)
}

/// True where the chain itself does what the built-in redaction would.
fn redacts(chain: &[TransformConfig]) -> bool {
    ["snapshot", "diff"].iter().all(|wanted| {
        chain.iter().any(|transform| match transform {
            TransformConfig::RedactFields { fields, kinds, .. } => {
                fields.iter().any(|f| f.trim_start_matches("**.") == REDACTED) && kinds.iter().any(|k| k == wanted)
            }
            _ => false,
        })
    })
}

fn read_entry(ctx: &mut Context<'_>, path: &str, item: &Node) -> Option<TransformConfig> {
    let named = match &item.value {
        Value::Scalar { text, .. } => {
            Named { id: text.clone(), place: item.place.clone(), options: None, inline: vec![] }
        }
        Value::Map(entries) if entries.iter().any(|e| e.key == "id" || e.key == "name") => {
            identified(ctx, path, entries)?
        }
        Value::Map(entries) if entries.len() == 1 => {
            let Entry { key, place, node } = &entries[0];
            Named { id: key.clone(), place: place.clone(), options: Some(node), inline: vec![] }
        }
        Value::Map(_) => {
            let message = format!("{path} does not say which transform it is");
            ctx.error(Code::Transform, &item.place, path, message).help(FORMS);
            return None;
        }
        Value::Null | Value::List(_) => {
            let message = format!("{path} must be a transform, not {}", item.describe());
            ctx.error(Code::Transform, &item.place, path, message).help(FORMS);
            return None;
        }
    };
    let id = named.id.trim().to_ascii_lowercase();
    if !IDS.contains(&id.as_str()) {
        let message = format!("{path}: there is no transform {}", quote(&named.id));
        let report = ctx.error(Code::Transform, &named.place, path, message);
        match nearest(&id, IDS.into_iter()) {
            // In the one-key form the name is a key, elsewhere a value.
            Some(meant) => {
                let is_key = item.entries().first().is_some_and(|entry| entry.place == named.place);
                let fix = if is_key { Fix::Rename(meant.into()) } else { Fix::Value(meant.into()) };
                report.help(format!("did you mean '{meant}'?")).fix(fix);
            }
            None => {
                report.help(format!("there are {}", IDS.join(", ")));
            }
        }
        return None;
    }
    let entries = match named.options {
        Some(options) => options_of(ctx, path, options)?,
        None => named.inline,
    };
    let node = Node::new(Value::Map(entries), named.place.clone());
    let mut block = Block::open(ctx, path, Some(&node), &named.place);
    let transform = match id.as_str() {
        "redact_fields" => redact_fields(ctx, &mut block),
        "ensure_fields" => ensure_fields(ctx, &mut block),
        "schema_validator" => schema_validator(ctx, &mut block),
        _ => Some(TransformConfig::SnapshotNormalizer),
    };
    block.close(ctx);
    transform
}

/// An entry whose name is known and whose options are not read yet: they stand
/// in a mapping of their own, or beside the name.
struct Named<'n> {
    id: String,
    place: Place,
    options: Option<&'n Node>,
    inline: Vec<Entry>,
}

/// The long form: `id` (or `name`) beside the options, or beside `options`.
fn identified<'n>(ctx: &mut Context<'_>, path: &str, entries: &'n [Entry]) -> Option<Named<'n>> {
    let mut names = entries.iter().filter(|e| e.key == "id" || e.key == "name");
    let name = names.next()?;
    if let Some(second) = names.next() {
        let message = format!("{path} has both 'id' and 'name'");
        ctx.error(Code::Transform, &second.place, path, message).help("keep 'id'").fix(Fix::Remove);
    }
    let Value::Scalar { text, .. } = &name.node.value else {
        let message = format!("{path}.{} takes the name of a transform, not {}", name.key, name.node.describe());
        ctx.error(Code::WrongType, &name.node.place, path, message);
        return None;
    };
    let beside = entries.iter().filter(|e| !matches!(e.key.as_str(), "id" | "name" | "options"));
    let inline: Vec<Entry> = beside.cloned().collect();
    let options = entries.iter().find(|e| e.key == "options").map(|e| &e.node);
    if let (Some(_), Some(stray)) = (options, inline.first()) {
        let message = format!("{path}: {} stands beside 'options'", quote(&stray.key));
        let help = "put every option under 'options', or leave 'options' out";
        ctx.error(Code::Transform, &stray.place, path, message).help(help);
    }
    Some(Named { id: text.clone(), place: name.node.place.clone(), options, inline })
}

fn options_of(ctx: &mut Context<'_>, path: &str, node: &Node) -> Option<Vec<Entry>> {
    match &node.value {
        Value::Null => Some(Vec::new()),
        Value::Map(entries) => Some(entries.clone()),
        _ => {
            let message = format!("{path}: options are a mapping, not {}", node.describe());
            ctx.error(Code::Transform, &node.place, path, message).help(FORMS);
            None
        }
    }
}

fn redact_fields(ctx: &mut Context<'_>, block: &mut Block<'_>) -> Option<TransformConfig> {
    let fields = block.opt_names(ctx, "fields", "");
    if fields.as_ref().is_none_or(|given| given.value.is_empty()) && (fields.is_some() || !block.has("fields")) {
        let key = block.key("fields");
        ctx.error(Code::Missing, &block.place().clone(), &key, format!("{key} is required"))
            .help(format!("list the fields to redact, as in [{REDACTED}]"));
    }
    let kinds = block.opt_names(ctx, "kinds", "[snapshot, diff]");
    if let Some(given) = &kinds {
        let key = block.key("kinds");
        for kind in &given.value {
            check_kind(ctx, &key, kind, &given.place);
        }
    }
    let words = [("remove", "remove"), ("mask", "mask"), ("hash", "hash")];
    let action = block.choice(ctx, "action", ("remove", "remove"), &words);
    let key_file = block.opt_text(ctx, "key_file", "a path; the key of 'action: hash'");
    let key = block.key("key_file");
    let action = match (action, key_file) {
        ("hash", Some(given)) => {
            let path = resolve(ctx, &key, &given.place, &given.value)?;
            check_readable(ctx, &key, &given.place, &path);
            RedactAction::Hash { key_file: path }
        }
        ("hash", None) => {
            if !block.has("key_file") {
                let place = block.entry("action").map_or_else(|| block.place().clone(), |e| e.place.clone());
                let help = "a hash without a secret key can be guessed: put the key in a file";
                ctx.error(Code::Missing, &place, &key, format!("{key} is required when action is 'hash'")).help(help);
            }
            return None;
        }
        (action, given) => {
            if let Some(given) = given {
                let message = format!("{key} is for action 'hash', not '{action}'");
                ctx.error(Code::Conflict, &given.place, &key, message).help("remove it").fix(Fix::Remove);
            }
            if action == "mask" { RedactAction::Mask } else { RedactAction::Remove }
        }
    };
    Some(TransformConfig::RedactFields {
        fields: fields?.value,
        kinds: kinds.map_or_else(|| vec!["snapshot".into(), "diff".into()], |given| given.value),
        action,
    })
}

fn ensure_fields(ctx: &mut Context<'_>, block: &mut Block<'_>) -> Option<TransformConfig> {
    let by_kind =
        block.map_of(ctx, "required_fields_by_kind", "a mapping from kind to a list of names", |ctx, key, entry| {
            check_kind(ctx, key, &entry.key, &entry.place);
            names_of(ctx, key, &entry.node)
        });
    let default = block.opt_names(ctx, "default_required_fields", "[tick]");
    Some(TransformConfig::EnsureFields {
        required_fields_by_kind: by_kind.map_or_else(BTreeMap::new, |given| given.value),
        default_required_fields: default.map_or_else(|| vec!["tick".into()], |given| given.value),
    })
}

fn schema_validator(ctx: &mut Context<'_>, block: &mut Block<'_>) -> Option<TransformConfig> {
    let schemas = block.map_of(ctx, "schemas", "a mapping from kind to a path", |ctx, key, entry| {
        if check_kind(ctx, key, &entry.key, &entry.place) { schema_path(ctx, key, entry) } else { None }
    });
    let listed = block.entry("schemas").map_or(0, |entry| entry.node.entries().len());
    if listed == 0 && (schemas.is_some() || !block.has("schemas")) {
        let key = block.key("schemas");
        let help = "name a schema for at least one kind, as in {snapshot: schemas/snapshot.json}";
        ctx.error(Code::Missing, &block.place().clone(), &key, format!("{key} is required")).help(help);
    }
    let words = [("drop", ValidationMode::Drop), ("warn", ValidationMode::Warn), ("raise", ValidationMode::Raise)];
    let mode = block.choice(ctx, "mode", ("drop", ValidationMode::Drop), &words);
    Some(TransformConfig::SchemaValidator { schemas: schemas?.value, mode })
}

fn schema_path(ctx: &mut Context<'_>, key: &str, entry: &Entry) -> Option<PathBuf> {
    let Value::Scalar { text, .. } = &entry.node.value else {
        let message = format!("{key} takes a path, not {}", entry.node.describe());
        ctx.error(Code::WrongType, &entry.node.place, key, message);
        return None;
    };
    let path = resolve(ctx, key, &entry.node.place, text)?;
    check_readable(ctx, key, &entry.node.place, &path);
    Some(path)
}

fn check_kind(ctx: &mut Context<'_>, key: &str, kind: &str, place: &Place) -> bool {
    if KINDS.contains(&kind) {
        return true;
    }
    let message = format!("{key}: there is no payload type {}", quote(kind));
    let report = ctx.error(Code::BadChoice, place, key, message);
    match nearest(kind, KINDS.into_iter()) {
        Some(meant) => {
            report.help(format!("did you mean '{meant}'?"));
        }
        None => {
            report.help(format!("there are {}", KINDS.join(", ")));
        }
    }
    false
}
