//! The layers above the file: environment variables, then `--set` arguments.

use std::sync::Arc;

use crate::context::Context;
use crate::diagnostic::{Code, quote};
use crate::origin::{Given, Origin, Place};
use crate::yaml::{Node, parse_override};

/// What our variables start with.
const PREFIX: &str = "TOWNLET_";

/// `TOWNLET_TELEMETRY__TRANSPORT__TYPE=file`: two underscores separate the
/// segments of the key, case does not matter, lists and mappings are given in
/// flow form (`[a, b]`, `{snapshot: 5}`).
pub(crate) fn apply_environment(ctx: &mut Context<'_>, tree: &mut Node, variables: &[(String, String)]) {
    let mut ours: Vec<_> = variables.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // A block comes before its keys, whatever order the process has them in.
    ours.sort();
    for (name, value) in ours {
        let path = name[PREFIX.len()..].to_ascii_lowercase();
        let place = Place { origin: Origin::Environment(Arc::from(name.as_str())), width: 1 };
        let segments: Vec<&str> = path.split("__").collect();
        match segments[..] {
            ["telemetry", _, ..] | ["runtime", "telemetry", ..] => put(ctx, tree, &segments, value, place),
            _ if path.starts_with("telemetry_") || path.starts_with("runtime_telemetry") => {
                let message = format!("the environment variable {} names no key", quote(name));
                let help = "two underscores separate the segments of a key, as in TOWNLET_TELEMETRY__TRANSPORT__TYPE";
                ctx.warn(Code::BadOverride, &place, "", message).help(help);
            }
            _ => {}
        }
    }
}

/// `telemetry.transport.type=file`; the last one of a key wins.
pub(crate) fn apply_overrides(ctx: &mut Context<'_>, tree: &mut Node, overrides: &[String]) {
    for text in overrides {
        let place = Place { origin: Origin::Override(Arc::from(text.as_str())), width: 1 };
        let Some((key, value)) = text.split_once('=') else {
            let message = format!("--set {} has no '='", quote(text));
            ctx.error(Code::BadOverride, &place, "", message).help("write --set telemetry.transport.type=file");
            continue;
        };
        let segments: Vec<&str> = key.trim().split('.').collect();
        match segments[..] {
            ["telemetry", _, ..] | ["runtime", "telemetry", ..] => put(ctx, tree, &segments, value.trim(), place),
            _ => {
                let message = format!("--set {} is not a key of the telemetry block", quote(key));
                let help = format!("keys are written in full, as in telemetry.{}", key.trim());
                ctx.error(Code::BadOverride, &place, key, message).help(help);
            }
        }
    }
}

fn put(ctx: &mut Context<'_>, tree: &mut Node, segments: &[&str], value: &str, place: Place) {
    const DEEPEST: usize = 8;
    let key = segments.join(".");
    if segments.len() > DEEPEST || segments.iter().any(|s| s.trim().is_empty() || s.contains(['[', ']'])) {
        let message = format!("{} is not a dotted key", quote(&key));
        let help = "a list is set as a whole: telemetry.narration.priority_categories=[a, b]";
        ctx.error(Code::BadOverride, &place, &key, message).help(help);
        return;
    }
    match parse_override(value, &place) {
        Ok(value) => tree.put(segments, Given { value, place }),
        Err(message) => {
            let message = format!("{key}: {} cannot be read: {message}", quote(value));
            ctx.error(Code::BadOverride, &place, &key, message);
        }
    }
}
