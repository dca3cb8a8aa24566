//! `townlet init`: a Cargo workspace gets release control.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use townlet_release::setup::{CargoWorkspace, MOST_PRODUCTS};

use super::place::{Place, Vouched};
use crate::exit::{Exit, Failure};
use crate::out::say;

/// Below the workspace.
const FOLDER: &str = "release";

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// A folder of the workspace.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Who makes releases here; without it git is asked, and then $USER.
    #[arg(long)]
    person: Option<String>,
    /// Write configuration anew that is there already. Keys are never written over.
    #[arg(long)]
    force: bool,
}

pub(crate) fn init(args: &Init) -> anyhow::Result<Exit> {
    let workspace = ask_cargo(&args.dir)?;
    let person = match &args.person {
        Some(person) => person.trim().to_owned(),
        None => somebody(&workspace.root),
    };
    if person.is_empty() || person.chars().any(char::is_control) {
        return Err(Failure::usage("--person takes a name"));
    }
    let folder = workspace.root.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let files = workspace.files(workspace.root.join("Cargo.lock").exists());
    let mut lines = 0;
    for file in &files {
        let path = folder.join(file.name);
        lines += file.text.lines().count();
        if path.exists() && !args.force {
            say!("kept   {FOLDER}/{} (it is there already; --force writes it anew)", file.name)?;
            continue;
        }
        fs::write(&path, &file.text).with_context(|| format!("writing {}", path.display()))?;
        say!("wrote  {FOLDER}/{}", file.name)?;
    }
    let place = Place::new(&folder, None, false)?;
    for Vouched { key, made } in place.make_keys(&person)? {
        let (key, secret) = (shown(&key, &folder), "secret, for you alone, ignored by git");
        match made {
            true => say!("made   {FOLDER}/{key} ({secret})")?,
            false => say!("kept   {FOLDER}/{key} ({secret}): nobody vouched for it, and the key ring does now")?,
        }
    }
    say!("vouch  {FOLDER}/townlet-keys.json says whose keys are believed, and in which roles: keep it in git")?;
    if workspace.products.len() > MOST_PRODUCTS {
        let more = workspace.products.len() - MOST_PRODUCTS;
        say!("{more} more programs are built than stand in {FOLDER}/release.yaml; add those that are shipped")?;
    }
    say!("{lines} lines of configuration. Next, in {}:", workspace.root.display())?;
    say!("  townlet release                   # suites, manifest, gate, signed decision, bundle; for dev")?;
    say!("  townlet release --env production  # says what is still needed: three people, and a rehearsed rollback")?;
    say!("  townlet rehearse --help           # has a rollback to write down, as {FOLDER}/rollback.yaml")?;
    say!("Other commands (approve, gate, explain, checklist …) find these files when they are run in {FOLDER}/.")?;
    Ok(Exit::Yes)
}

fn shown(path: &Path, below: &Path) -> String {
    path.strip_prefix(below).unwrap_or(path).display().to_string()
}

fn ask_cargo(dir: &Path) -> anyhow::Result<CargoWorkspace> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let words = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let answer = Command::new(&cargo).args(words).current_dir(dir).output();
    let answer = answer.with_context(|| format!("starting {} in {}", cargo.to_string_lossy(), dir.display()))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        return Err(Failure::usage(format!("{} is no Cargo workspace: {}", dir.display(), said.trim())));
    }
    let workspace = CargoWorkspace::from_metadata(&answer.stdout)?;
    if !workspace.root.is_dir() {
        bail!("cargo says that the workspace is in {}, and there is nothing", workspace.root.display());
    }
    Ok(workspace)
}

/// Whoever works here, as far as that can be told.
fn somebody(root: &Path) -> String {
    let git = Command::new("git").arg("-C").arg(root).args(["config", "user.name"]).output();
    let git = git.ok().filter(|answer| answer.status.success());
    let name = git.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned());
    let name = name.filter(|name| !name.is_empty()).or_else(|| std::env::var("USER").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "author".to_owned())
}
