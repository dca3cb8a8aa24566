//! `townlet release-config`: which configuration went with which release, by digest.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use townlet_history::config::place;
use townlet_history::statement::ConfigVersion;
use townlet_registry::{Digest, Subject};

use super::read;
use crate::exit::{Exit, Failure};
use crate::keys::RingFile;
use crate::out::{remark, row, say, whole};
use crate::release::{Kept, Signing, failure, now, ring, text};

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseConfig {
    /// Record `configs/<env>/<release>.toml` as it is, signed and by digest. The bytes are kept.
    Add(ConfigAdd),
    /// Print the configuration that was recorded last for a release in an environment.
    Show(ConfigShow),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigAdd {
    /// The file. Its path says where it is for and of which release it is: configs/production/R42.toml.
    file: PathBuf,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigShow {
    /// Where it is for.
    env: String,
    /// Which release it is of.
    release: String,
    /// List the versions, oldest first, in place of the bytes of the last one.
    #[arg(long)]
    versions: bool,
    #[command(flatten)]
    ring: RingFile,
    #[command(flatten)]
    kept: Kept,
}

pub(crate) fn release_config(what: &ReleaseConfig) -> anyhow::Result<Exit> {
    match what {
        ReleaseConfig::Add(args) => add(args),
        ReleaseConfig::Show(args) => show(args),
    }
}

fn add(args: &ConfigAdd) -> anyhow::Result<Exit> {
    let path = args.file.display().to_string();
    let (environment, release) = place(&path).map_err(Failure::usage)?;
    let bytes = text(&args.file)?.into_bytes();
    let (digest, at) = (Digest::of(&bytes), now());
    let hand = args.signing.hand(at)?;
    let mut registry = args.signing.registry()?;
    let history = read(&registry, &ring(&args.signing.keys)?, None)?;
    let last = history.configs_of(&environment, &release).pop();
    if let Some(last) = last.filter(|last| last.file() == Some(digest)) {
        remark!("recorded already, by {} at {}", last.person, last.said.at);
        say!("{}", last.digest)?;
        return Ok(Exit::Yes);
    }
    let supersedes = last.and_then(|last| last.file());
    if let Some(before) = supersedes {
        remark!("another version than {before}: a manifest that names that one is about that one");
    }
    registry.store(&bytes).map_err(failure)?;
    let actor = hand.person.clone();
    let version = ConfigVersion { environment, release, path: path.clone(), supersedes, actor, at };
    let name = hand.say(&mut registry, Subject::new(path, digest), version)?;
    remark!("{digest}");
    say!("{name}")?;
    Ok(Exit::Yes)
}

fn show(args: &ConfigShow) -> anyhow::Result<Exit> {
    let registry = args.kept.look()?;
    let history = read(&registry, &ring(&args.ring.keys)?, None)?;
    let versions = history.configs_of(&args.env, &args.release);
    let Some(last) = versions.last().and_then(|told| told.file()) else {
        anyhow::bail!("the log has no configuration of {} for {}", args.release, args.env);
    };
    if args.versions {
        for told in &versions {
            let file = told.file().map_or(String::new(), |file| file.to_string());
            row!("{}  {file}  {}  by {}", told.said.at, told.said.path, told.person)?;
        }
        return Ok(Exit::Yes);
    }
    let bytes = registry.content(&last).map_err(failure)?;
    let bytes = bytes.ok_or_else(|| anyhow::anyhow!("{last} is named, and its bytes are not kept"))?;
    // To the byte, so that what is written to a file has the digest that was signed.
    whole(&bytes)?;
    Ok(Exit::Yes)
}
