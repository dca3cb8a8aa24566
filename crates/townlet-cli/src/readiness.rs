//! `townlet readiness`: run suites, and look at what a run left.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use townlet_policy::Findings;
use townlet_readiness::rehearsal::StepStatus;
use townlet_readiness::report::{Revision, Status, open, render};
use townlet_readiness::suite::{Config, Event, Finished, Observer, Run};
use townlet_readiness::{Digest, FileDigest, SystemClock, UnixProcesses};
use townlet_release::telemetry::{Recorder, Watching};
use uuid::Uuid;

use crate::exit::{Exit, Failure};
use crate::out::{remark, say};
use crate::telling::{BOARD, Telling, caller};

#[derive(Debug, Subcommand)]
pub(crate) enum Readiness {
    /// Run the suites of a file in their order; exit 1 unless every blocking one passes.
    Run(ReadinessRun),
    /// Check the evidence of the last run and show it; exit 1 unless it holds and says ready.
    Show(ReadinessShow),
}

#[derive(Debug, Args)]
pub(crate) struct ReadinessRun {
    /// The suites, YAML.
    #[arg(long)]
    config: PathBuf,
    /// Folder for the report, the scorecards, the logs and the history of all runs.
    #[arg(long)]
    out: PathBuf,
    /// What is tested; without it, git is asked in the folder of the suites.
    #[arg(long)]
    revision: Option<String>,
    #[command(flatten)]
    telling: Telling,
}

#[derive(Debug, Args)]
pub(crate) struct ReadinessShow {
    /// The folder of the report.
    dir: PathBuf,
    /// Report, scorecard and findings as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(what: &Readiness) -> anyhow::Result<Exit> {
    match what {
        Readiness::Run(args) => suites(args),
        Readiness::Show(args) => show(args),
    }
}

fn suites(args: &ReadinessRun) -> anyhow::Result<Exit> {
    let file = ConfigFile::read(&args.config)?;
    let revision = match &args.revision {
        Some(id) => given(id)?,
        None => ask_git(&file.root)?,
    };
    let teller = args.telling.start(&[&args.config, Path::new(BOARD)]);
    let ran = execute(&file, &args.out, &Uuid::now_v7().to_string(), revision, &teller);
    let verdict = ran.and_then(|_| verdict(&args.out, false));
    teller.end();
    verdict
}

/// Runs the suites of a file, and leaves their evidence in a folder.
pub(crate) fn execute(
    file: &ConfigFile,
    out: &Path,
    run_id: &str,
    revision: Revision,
    recorder: &Recorder,
) -> anyhow::Result<Finished> {
    let config = file.parse(Config::read)?;
    std::fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let run = Run {
        config: &config,
        config_file: file.digest.clone(),
        root: &file.root,
        out,
        run_id,
        revision,
        env: &caller_env(),
        clock: &SystemClock::start(),
        processes: &processes()?,
    };
    Ok(run.go(&mut Watching::readiness(recorder, run_id, &caller(), &mut Progress))?)
}

fn show(args: &ReadinessShow) -> anyhow::Result<Exit> {
    verdict(&args.dir, args.json)
}

/// Reads a run back as everybody else would, and shows it.
fn verdict(dir: &Path, json: bool) -> anyhow::Result<Exit> {
    let evidence = open(dir)?;
    if json {
        say!("{}", serde_json::to_string_pretty(&evidence)?)?;
    } else {
        say!("{}", render(&evidence))?;
    }
    let ready = evidence.findings.is_empty() && evidence.report.overall_passed;
    Ok(if ready { Exit::Yes } else { Exit::No })
}

/// A configuration with its digest, and the folder that its paths are seen from.
pub(crate) struct ConfigFile {
    name: String,
    text: String,
    pub(crate) digest: FileDigest,
    pub(crate) root: PathBuf,
}

impl ConfigFile {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        let (sha256, bytes) = (Digest::of(text.as_bytes()), text.len() as u64);
        let root = path.parent().filter(|root| !root.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        Ok(Self { digest: FileDigest { path: name.clone(), sha256, bytes }, name, text, root })
    }

    /// Says everything that is wrong, and fails if any of it is an error.
    pub(crate) fn parse<T>(&self, read: impl FnOnce(&str, &mut Findings) -> Option<T>) -> anyhow::Result<T> {
        let mut found = Findings::new(&self.name, &self.text);
        let config = read(&self.text, &mut found);
        if !found.is_empty() {
            remark!("{found}");
        }
        config.ok_or_else(|| Failure::usage(format!("{} cannot be used", self.name)))
    }
}

/// The environment that commands may be passed parts of.
pub(crate) fn caller_env() -> BTreeMap<String, OsString> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}

/// Runs commands until SIGINT or SIGTERM, or until the terminal goes (SIGHUP), which end what is running: its process
/// group would not hear of them, and go on without anybody who writes down what comes of it.
pub(crate) fn processes() -> anyhow::Result<UnixProcesses> {
    let called_off = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM].into_iter().chain((!is_ignored(SIGHUP)).then_some(SIGHUP)) {
        signal_hook::flag::register(signal, Arc::clone(&called_off)).context("catching signals")?;
    }
    Ok(UnixProcesses::new(called_off))
}

/// Whether whoever started this wants a signal to do nothing, as `nohup` does. Where nobody can tell, it is left alone.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> (signal - 1) & 1 == 1)
}

/// A revision that somebody names; whether files differ from it, nobody looked.
pub(crate) fn given(id: &str) -> anyhow::Result<Revision> {
    let id = id.trim();
    if id.is_empty() || id.len() > 200 || id.chars().any(char::is_control) {
        return Err(Failure::usage("--revision takes a name of 1 to 200 characters"));
    }
    Ok(Revision { id: id.to_owned(), modified: None })
}

pub(crate) fn ask_git(folder: &Path) -> anyhow::Result<Revision> {
    let id = git(folder, &["rev-parse", "--verify", "--quiet", "HEAD"])?;
    // What git does not know, such as the folder of the reports, is no change.
    let changes = git(folder, &["status", "--porcelain", "--untracked-files=no"])?;
    Ok(Revision { id, modified: Some(!changes.is_empty()) })
}

fn git(folder: &Path, words: &[&str]) -> anyhow::Result<String> {
    let hint = "nobody can say what is tested; name it with --revision";
    let output = std::process::Command::new("git").arg("-C").arg(folder).args(words).output();
    let output = output.with_context(|| format!("git cannot be started, so {hint}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        // Asked quietly, git says nothing where there is a repository and no commit.
        let said = said.lines().next().map_or("git has no commit here yet", str::trim);
        bail!("{said}: {hint}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A line for each thing that begins and ends, on standard error.
pub(crate) struct Progress;

impl Observer for Progress {
    fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { name, attempt: 1 } => remark!("{name} …"),
            Event::Started { name, attempt } => remark!("{name} …, attempt {attempt}"),
            Event::SuiteEnded(suite) => {
                let status = match suite.status {
                    Status::Passed if suite.flaky => "passed, and is flaky",
                    Status::Passed => "passed",
                    Status::Failed => "FAILED",
                    Status::NotRun => "is not run",
                };
                remark!("{} {status}, {:.1} s", suite.name, suite.duration_seconds);
            }
            Event::StepEnded(step) => {
                let status = match step.status {
                    StepStatus::Passed => "passed",
                    StepStatus::Failed => "FAILED",
                    StepStatus::NotRun => "is not run",
                };
                remark!("{} {status}, {:.1} s", step.name, step.duration_seconds);
            }
            _ => {}
        }
    }
}
