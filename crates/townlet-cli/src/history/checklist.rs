//! `townlet checklist`: which evidence there is about a release, and which is missing or too old.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use townlet_gate::gate::Inputs;
use townlet_history::checklist::Question;
use townlet_policy::parse_duration;
use townlet_registry::{Digest, Time};

use super::{Look, read};
use crate::exit::{Exit, Failure};
use crate::out::{row, say};
use crate::release::{bytes, failure, gathered, now, read_manifest};
use crate::telling::BOARD;

#[derive(Debug, Args)]
pub(crate) struct Checklist {
    /// The manifest.
    manifest: PathBuf,
    /// Where the release goes.
    #[arg(long)]
    env: String,
    /// As of this time (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    as_of: Option<Time>,
    /// What each environment demands.
    #[arg(long, value_name = "FILE", default_value = BOARD)]
    board: PathBuf,
    /// The policies.
    #[arg(long, value_name = "FILE", default_value = "policies.yaml")]
    policy: PathBuf,
    /// How long after the end of an incident its postmortem is due.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "48h")]
    postmortem_within: Duration,
    #[command(flatten)]
    look: Look,
}

pub(crate) fn checklist(args: &Checklist) -> anyhow::Result<Exit> {
    let as_of = args.as_of.unwrap_or_else(now);
    let manifest = read_manifest(&args.manifest)?;
    let registry = args.look.registry()?;
    let (file, board) = (bytes(&args.manifest)?, bytes(&args.board)?);
    let (statements, log) = gathered(&registry, Some(&file), &board, &args.env)?;
    let inputs = Inputs {
        statements,
        manifest: Some(file.clone()),
        board,
        policy: bytes(&args.policy)?,
        keys: bytes(&args.look.ring.keys)?,
        samples: None,
        log: Some(log),
    };
    let judgement = inputs.case(&args.env, as_of).map_err(Failure::usage)?.judge();
    if let Some(unknown) = judgement.condition("environment").filter(|_| judgement.conditions.len() == 2) {
        let why: Vec<&str> = unknown.reasons.iter().map(|reason| reason.text.as_str()).collect();
        return Err(Failure::usage(why.join("; ")));
    }
    let (digest, of_file) = (manifest.digest().map_err(failure)?, Digest::of(&file));
    // The gate keeps the file as it was handed in, whose layout is free.
    let kept = |wanted: Digest| {
        let names = if wanted == digest { vec![wanted, of_file] } else { vec![wanted] };
        names.iter().any(|name| matches!(registry.content(name), Ok(Some(_))))
    };
    let items = read(&registry, &args.look.ring()?, args.as_of)?.checklist(&Question {
        manifest: &manifest,
        digest,
        environment: &args.env,
        judgement: &judgement,
        kept: &kept,
        postmortem_within: args.postmortem_within,
        as_of,
    });
    if args.look.json {
        say!("{}", serde_json::to_string_pretty(&items)?)?;
    } else {
        for item in &items {
            row!(
                "{:<12}  {}{}{}",
                item.state.as_str(),
                item.id,
                if item.note.is_empty() { "" } else { ": " },
                item.note
            )?;
        }
    }
    Ok(if items.iter().any(|item| item.state.is_open()) { Exit::No } else { Exit::Yes })
}
