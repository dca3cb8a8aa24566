//! `townlet manifest`: what a release is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use townlet_gate::manifest::{self as release, Files, Folder, Pinned, Variables};
use townlet_gate::statement::Authorship;
use townlet_registry::Subject;

use super::{Signing, failure, now, read_manifest, text};
use crate::exit::{Exit, Failure};
use crate::out::{remark, say};

#[derive(Debug, Subcommand)]
pub(crate) enum Manifest {
    /// Make a manifest of a draft: replace {{VARIABLES}}, compute the digests of its files.
    New(New),
    /// Read a manifest, and compare its digests with the files; exit 1 where one differs or is not there.
    Check(Check),
    /// The digest that statements are about.
    Digest(Document),
    /// Make a draft of a manifest of the predecessor, and say what moved elsewhere; exit 1 while something is wanted.
    Import(Import),
    /// Sign a manifest as its author, and keep both.
    Sign(Sign),
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The draft, YAML or JSON.
    draft: PathBuf,
    /// Where to write the manifest.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Paths in the draft are below this folder; the draft's own without it.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The manifest.
    file: PathBuf,
    /// Paths in the manifest are below this folder; its own without it.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Document {
    /// The manifest.
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The old manifest, JSON.
    old: PathBuf,
    /// Where to write the draft.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Who makes this release.
    #[arg(long)]
    author: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The manifest.
    file: PathBuf,
    #[command(flatten)]
    signing: Signing,
}

pub(crate) fn run(what: &Manifest) -> anyhow::Result<Exit> {
    match what {
        Manifest::New(args) => new(args),
        Manifest::Check(args) => check(args),
        Manifest::Digest(args) => {
            say!("{}", read_manifest(&args.file)?.digest().map_err(failure)?)?;
            Ok(Exit::Yes)
        }
        Manifest::Import(args) => import(args),
        Manifest::Sign(args) => {
            say!("{}", sign(&args.file, &args.signing)?)?;
            Ok(Exit::Yes)
        }
    }
}

/// The folder that paths of a file are below.
fn root(given: Option<&PathBuf>, file: &Path) -> Folder {
    let own = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Folder::new(given.map_or(own, PathBuf::as_path))
}

fn new(args: &New) -> anyhow::Result<Exit> {
    let variables = |name: &str| std::env::var(name).ok();
    let files = root(args.root.as_ref(), &args.draft);
    let made = make(&args.draft, &args.out, &variables, &files)?;
    say!("{} {}", made.release, made.digest().map_err(failure)?)?;
    Ok(Exit::Yes)
}

/// Makes a manifest of a draft, and writes it.
pub(super) fn make(
    draft: &Path,
    out: &Path,
    variables: &Variables<'_>,
    files: &Folder,
) -> anyhow::Result<release::Manifest> {
    let made = release::draft(&text(draft)?, &draft.display().to_string(), now(), variables, files);
    let made = made.map_err(Failure::usage)?;
    let json = serde_json::to_string_pretty(&made)? + "\n";
    fs::write(out, json).with_context(|| format!("writing {}", out.display()))?;
    Ok(made)
}

fn check(args: &Check) -> anyhow::Result<Exit> {
    let manifest = read_manifest(&args.file)?;
    let files = root(args.root.as_ref(), &args.file);
    let artifacts = manifest.artifacts.iter().map(|one| Pinned { at: one.path.clone(), digest: one.digest });
    let mut all: Vec<Pinned> = artifacts.collect();
    all.extend([manifest.readiness.scorecard.clone(), manifest.rollback_plan.policy.clone()]);
    all.extend(manifest.secrets.iter().map(|secret| secret.rotation_evidence.clone()));
    all.extend(manifest.migrations.iter().flat_map(|one| [one.dry_run.clone(), one.rollback.clone()]));
    all.extend(manifest.config_deltas.iter().filter_map(|one| Some(Pinned { at: one.path.clone(), digest: one.to? })));
    let mut sound = true;
    for Pinned { at, digest } in all {
        // An address is not fetched; its digest stands for what was there.
        if at.contains("://") {
            say!("  not fetched  {at}")?;
            continue;
        }
        match files.digest(&at) {
            Ok((found, _)) if found == digest => say!("  ok           {at}")?,
            Ok((found, _)) => {
                sound = false;
                say!("  OTHER BYTES  {at}: {found}, and the manifest has {digest}")?;
            }
            Err(why) => {
                sound = false;
                say!("  MISSING      {why}")?;
            }
        }
    }
    say!("{} {}", manifest.release, manifest.digest().map_err(failure)?)?;
    Ok(if sound { Exit::Yes } else { Exit::No })
}

fn import(args: &Import) -> anyhow::Result<Exit> {
    let old = text(&args.old)?;
    let import = release::import(&old, &args.old.display().to_string(), args.author.as_deref());
    let import = import.map_err(Failure::usage)?;
    fs::write(&args.out, &import.draft).with_context(|| format!("writing {}", args.out.display()))?;
    for moved in &import.moved {
        say!("moved   {}\n        -> {}", moved.from, moved.to)?;
    }
    for wanted in &import.wanted {
        say!("wanted  {wanted}")?;
    }
    Ok(if import.wanted.is_empty() { Exit::Yes } else { Exit::No })
}

/// Signs a manifest as its author; returns the digest of the statement.
pub(super) fn sign(file: &Path, signing: &Signing) -> anyhow::Result<String> {
    let manifest = read_manifest(file)?;
    let at = now();
    let hand = signing.hand(at)?;
    if hand.person != manifest.author {
        let message = format!("the key is that of {}, and the manifest is by {}", hand.person, manifest.author);
        return Err(Failure::usage(message));
    }
    let mut registry = signing.registry()?;
    registry.store(&manifest.to_bytes().map_err(failure)?).map_err(failure)?;
    let subject = Subject::new(&manifest.release, manifest.digest().map_err(failure)?);
    let name = hand.say(&mut registry, subject, Authorship { actor: hand.person.clone(), at })?;
    remark!("{} signed {} as its author", hand.person, manifest.release);
    Ok(name)
}
