//! `townlet rehearse`: the steps of a rollback, really run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use townlet_readiness::SystemClock;
use townlet_readiness::rehearsal::{Config, Outcome, Record, Rehearsal, record_file, render};
use townlet_release::telemetry::Watching;
use uuid::Uuid;

use crate::exit::Exit;
use crate::out::say;
use crate::readiness::{ConfigFile, Progress, caller_env, given, processes};
use crate::telling::{BOARD, Telling, caller};

/// A file for the plan that `townlet init` writes, which cannot know how anything is installed.
const EXAMPLE: &str = "\
A rollback.yaml for the plan that `townlet init` writes. Programs are seen from its folder:

  name: rollback
  environment: staging
  deadline: 15m
  steps:   # what brings the previous release back; every step of the plan is here, by its name
    - { name: reinstall-previous, command: [./install, previous], deadline: 10m }
  checks:  # what shows that it is back
    - { name: previous-answers, command: [./answers, previous], deadline: 1m }

What came of it is signed with `townlet attest rehearsal`, by somebody in the role that the change board names.";

#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLE)]
pub(crate) struct Rehearse {
    /// The steps and checks, YAML; --help has an example.
    #[arg(long)]
    config: PathBuf,
    /// Folder for the record and the logs.
    #[arg(long)]
    out: PathBuf,
    /// What is rolled back.
    #[arg(long)]
    revision: Option<String>,
    /// Who takes part. May be repeated.
    #[arg(long = "participant", value_name = "NAME")]
    participants: Vec<String>,
    /// Something to keep with the record. May be repeated.
    #[arg(long = "note", value_name = "TEXT")]
    notes: Vec<String>,
    #[command(flatten)]
    telling: Telling,
}

pub(crate) fn run(args: &Rehearse) -> anyhow::Result<Exit> {
    let file = ConfigFile::read(&args.config)?;
    let config = file.parse(Config::read)?;
    let revision = args.revision.as_deref().map(given).transpose()?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("making {}", args.out.display()))?;
    let run_id = Uuid::now_v7().to_string();
    let rehearsal = Rehearsal {
        config: &config,
        config_file: file.digest,
        root: &file.root,
        out: &args.out,
        run_id: &run_id,
        revision,
        participants: args.participants.clone(),
        notes: args.notes.clone(),
        env: &caller_env(),
        clock: &SystemClock::start(),
        processes: &processes()?,
    };
    let teller = args.telling.start(&[&args.config, Path::new(BOARD)]);
    let record = rehearsal.go(&mut Watching::rehearsal(&teller, &run_id, &caller(), &mut Progress));
    let answer = record.map_err(anyhow::Error::from).and_then(|record| answer(&record, &args.out));
    teller.end();
    answer
}

fn answer(record: &Record, out: &Path) -> anyhow::Result<Exit> {
    say!("{}", render(record))?;
    say!("{}", out.join(record_file(&record.run_id)).display())?;
    Ok(if record.outcome == Outcome::Passed { Exit::Yes } else { Exit::No })
}
