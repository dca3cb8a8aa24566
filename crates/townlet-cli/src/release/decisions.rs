//! `townlet explain`, `townlet diff` and `townlet replay-decision`: what was decided, and again.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use townlet_gate::gate::{self, Code, Decision, Desk, Difference, LogHead, ReplayError};
use townlet_registry::{Digest, Predicate, Query, Registry};

use super::{Kept, failure};
use crate::exit::{Exit, Failure};
use crate::out::{remark, say};

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A reason (ROLLBACK_REHEARSAL_OVERDUE), a release (its last decision), the digest or the file of a decision.
    what: String,
    #[command(flatten)]
    kept: Kept,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A manifest or a decision: a file, a digest, or a release, whose last decision is taken.
    before: String,
    /// The other one.
    after: String,
    /// Print an array of {path, before, after}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kept: Kept,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayDecision {
    /// A release (its last decision), the digest or the file of a decision. Without it, every decision of the registry.
    what: Option<String>,
    #[command(flatten)]
    kept: Kept,
}

pub(crate) fn explain(args: &Explain) -> anyhow::Result<Exit> {
    let reason = args.what.parse::<Code>();
    if let Ok(code) = reason {
        say!("{}", gate::explain_code(code).trim_end())?;
        return Ok(Exit::Yes);
    }
    // Reasons are written in capitals, and so are some releases.
    let capitals = args.what.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let decision = document(&args.what, &args.kept).map_err(|error| match reason {
        Err(why) if capitals => Failure::usage(why),
        _ => error,
    })?;
    let decision = Decision::from_bytes(&decision).map_err(Failure::usage)?;
    say!("{}", gate::explain(&decision).trim_end())?;
    Ok(Exit::Yes)
}

pub(crate) fn diff(args: &DiffArgs) -> anyhow::Result<Exit> {
    let read = |what: &str| -> anyhow::Result<Value> {
        let bytes = document(what, &args.kept)?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::usage(format!("{what}: {error}")))
    };
    let found = gate::diff(&read(&args.before)?, &read(&args.after)?);
    if args.json {
        let all = found.iter().map(
            |Difference { path, before, after }| serde_json::json!({ "path": path, "before": before, "after": after }),
        );
        say!("{}", all.collect::<Value>())?;
    } else {
        for Difference { path, before, after } in &found {
            match (before, after) {
                (Some(before), Some(after)) => say!("~ {path}: {before} -> {after}")?,
                (None, Some(after)) => say!("+ {path}: {after}")?,
                (Some(before), None) => say!("- {path}: {before}")?,
                (None, None) => {}
            }
        }
    }
    Ok(if found.is_empty() { Exit::Yes } else { Exit::No })
}

pub(crate) fn replay(args: &ReplayDecision) -> anyhow::Result<Exit> {
    let registry = args.kept.look()?;
    let decisions = match &args.what {
        Some(what) => vec![document(what, &args.kept)?],
        None => stored(&registry, Query::new())?,
    };
    let (mut desk, mut differ) = (Desk::default(), 0_usize);
    for bytes in &decisions {
        let mut broken = None;
        let fetch = |digest: Digest| match registry.content(&digest) {
            Ok(found) => found,
            Err(error) => {
                broken = Some(error);
                None
            }
        };
        let replayed = gate::replay(&mut desk, bytes, fetch);
        if let Some(error) = broken {
            return Err(failure(error));
        }
        match replayed {
            Ok(one) if one.same && !had(&registry, one.again.log.as_ref())? => {
                differ += 1;
                say!("{}: the log is not the one that it was made from: NOT THE SAME", Digest::of(bytes))?;
            }
            Ok(one) if one.same => {
                remark!("{} {}: the same", one.again.verdict.as_str(), Digest::of(bytes));
            }
            Ok(one) => {
                differ += 1;
                let (stored, again) = (one.stored.verdict.as_str(), one.again.verdict.as_str());
                say!("{}: stored {stored}, decided again {again}: NOT THE SAME", Digest::of(bytes))?;
            }
            Err(error @ (ReplayError::Missing(..) | ReplayError::Altered(..))) => return Err(error.into()),
            Err(error) => return Err(Failure::usage(error)),
        }
    }
    say!("{} decided again, {differ} not the same", decisions.len())?;
    Ok(if differ == 0 { Exit::Yes } else { Exit::No })
}

/// Whether the log still has what a decision was made from. Of another log nothing is known.
fn had(registry: &Registry, log: Option<&LogHead>) -> anyhow::Result<bool> {
    let Some(log) = log.filter(|log| log.origin == registry.origin()) else { return Ok(true) };
    if log.size > registry.size().map_err(failure)? {
        return Ok(false);
    }
    Ok(registry.root_at(log.size).map_err(failure)? == log.root)
}

/// A document: a file, what is stored under a digest, or the last decision about a release.
fn document(what: &str, kept: &Kept) -> anyhow::Result<Vec<u8>> {
    if Path::new(what).is_file() {
        let bytes = fs::read(what).with_context(|| format!("reading {what}"))?;
        // A decision that was printed ends its line.
        return Ok(bytes.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(bytes));
    }
    let registry = kept.look()?;
    if let Ok(digest) = what.parse::<Digest>() {
        let found = registry.content(&digest).map_err(failure)?;
        return found.with_context(|| format!("{digest} is not stored in {}", kept.registry.display()));
    }
    let last = stored(&registry, Query::new().named(what))?.pop();
    last.with_context(|| format!("no file, and no decision about a release '{what}' in {}", kept.registry.display()))
}

/// The decisions that fit, oldest first.
fn stored(registry: &Registry, query: Query) -> anyhow::Result<Vec<Vec<u8>>> {
    let records = registry.find(&query.of_type(Decision::TYPE)).map_err(failure)?;
    let read = records.iter().map(|record| {
        let statement = record.envelope.statement::<Decision>().map_err(failure)?;
        statement.predicate.to_bytes().map_err(failure)
    });
    read.collect()
}
