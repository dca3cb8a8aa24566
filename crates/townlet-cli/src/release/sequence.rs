//! `townlet release`: from the suites to a decision that is verified offline, in one go.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use townlet_gate::gate::{Decision, Desk, Verdict, explain, replay};
use townlet_gate::manifest::Folder;
use townlet_readiness::Ended;
use townlet_readiness::report::{Revision, scorecard_file};
use townlet_readiness::suite::Finished;
use townlet_registry::{Bundle, Digest};
use townlet_release::telemetry::Recorder;
use uuid::Uuid;

use super::place::Place;
use super::{Gate, attest, failure, gate, manifest, now, ring};
use crate::exit::{Exit, Failure};
use crate::keys::log_signer;
use crate::out::{remark, say};
use crate::readiness::{ConfigFile, ask_git, execute, given};
use crate::telling::{BOARD, Telling};

/// The suites, in the folder with the configuration.
const SUITES: &str = "readiness.yaml";

#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The folder that `townlet init` writes, in the workspace: suites, change board, policies, draft, keys.
    #[arg(default_value = "release")]
    config: PathBuf,
    /// Where the release wants to go.
    #[arg(long, default_value = "dev")]
    env: String,
    /// What it is called; without it, after the revision.
    #[arg(long)]
    name: Option<String>,
    /// What is released; without it, git is asked.
    #[arg(long)]
    revision: Option<String>,
    /// What was measured, for policies about it.
    #[arg(long, value_name = "FILE")]
    samples: Option<PathBuf>,
    /// For evidence, manifests, reports and bundles; `out` in the folder without it. It lies below the workspace.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Sign with keys that are made for this, and keep them and the registry in --out. It shows that the way works, and
    /// proves nothing to others.
    #[arg(long, requires = "out")]
    trial_keys: bool,
    #[command(flatten)]
    telling: Telling,
}

pub(crate) fn release(args: &Release) -> anyhow::Result<Exit> {
    let place = Place::new(&args.config, args.out.as_deref(), args.trial_keys)?;
    let teller = args.telling.start(&[&place.config.join(SUITES), &place.config.join(BOARD)]);
    let answer = go(args, &place, &teller);
    teller.end();
    answer
}

fn go(args: &Release, place: &Place, recorder: &Recorder) -> anyhow::Result<Exit> {
    let evidence = place.out.join("evidence");
    place.inside(&evidence)?;
    let run_id = Uuid::now_v7().to_string();
    let revision = revision(args, &place.root, &run_id)?;
    let name = args.name.clone().unwrap_or_else(|| called_after(&revision));
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        return Err(Failure::usage(format!("a release cannot be called '{name}': take letters, digits, ., _ and -")));
    }
    if args.trial_keys {
        place.make_keys("author")?;
    }
    // What cannot be signed need not be built first.
    let author = place.author().hand(now()).map_err(|error| without_key(&error, &args.config))?.person;
    place.machine().hand(now()).map_err(|error| without_key(&error, &args.config))?;
    fs::create_dir_all(&evidence).with_context(|| format!("making {}", evidence.display()))?;

    let suites = ConfigFile::read(&place.config.join(SUITES))?;
    let finished = execute(&suites, &evidence, &run_id, revision.clone(), recorder)?;
    if called_off(&finished) {
        bail!("called off; nothing is signed");
    }
    let scorecard = evidence.join(scorecard_file(&run_id));
    attest::scorecard(&scorecard, &place.machine())?;

    let card = place.inside(&scorecard)?;
    let variables = |variable: &str| match variable {
        "RELEASE" => Some(name.clone()),
        "AUTHOR" => Some(author.clone()),
        "REVISION" => Some(revision.id.clone()),
        "RUN_ID" => Some(run_id.clone()),
        "SCORECARD" => Some(card.clone()),
        other => std::env::var(other).ok(),
    };
    let file = |what: &str| place.out.join(format!("{name}.{what}"));
    let draft = place.config.join("release.yaml");
    let made = manifest::make(&draft, &file("manifest.json"), &variables, &Folder::new(&place.root));
    let made = match made {
        Err(error) if !finished.report.overall_passed => {
            remark!("townlet: {error:#}");
            let failed = finished.report.failures.join(", ");
            let message = format!("{failed} failed, and without what they make there is no manifest to decide about");
            return Err(Failure { exit: Exit::No, message }.into());
        }
        made => made?,
    };
    manifest::sign(&file("manifest.json"), &place.author())?;
    let question = Gate {
        manifest: file("manifest.json"),
        env: args.env.clone(),
        as_of: None,
        board: place.config.join(BOARD),
        policy: place.config.join("policies.yaml"),
        samples: args.samples.clone(),
        json: false,
        signing: place.machine(),
        telling: Telling::default(),
    };
    let (decision, digest) = gate::decide(&question, recorder)?;
    let report = format!("{}decision {digest}\n", explain(&decision));
    write(&file("report.txt"), report.as_bytes())?;
    say!("{}", report.trim_end())?;
    say!("manifest {}", file("manifest.json").display())?;
    say!("report   {}", file("report.txt").display())?;
    let proved = bundle(place, &made.digest().map_err(failure)?, &decision, &file("bundle"))?;
    say!("bundle   {}: {proved}", file("bundle").display())?;
    say!("anybody  townlet verify {} --keys {}", file("bundle").display(), place.ring().display())?;
    if decision.verdict != Verdict::Approve && finished.report.overall_passed && !args.trial_keys {
        say!("again    {}  # once that is there, in {}", asked(&question, place), place.config.display())?;
        say!("         (another townlet release is another manifest, of which nobody has approved anything)")?;
    }
    Ok(gate::exit(&decision))
}

/// The same question about the same manifest, as it is asked in the folder with the configuration.
fn asked(question: &Gate, place: &Place) -> String {
    let below = |path: &Path| path.strip_prefix(&place.config).unwrap_or(path).display().to_string();
    let (manifest, key) = (below(&question.manifest), below(&question.signing.key));
    let samples = question.samples.as_deref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let samples = samples.map_or(String::new(), |path| format!(" --samples {}", below(&path)));
    format!("townlet gate {manifest} --env {}{samples} --key {key}", question.env)
}

/// What the sources are. Where nothing was committed yet, the run stands for them.
fn revision(args: &Release, root: &Path, run_id: &str) -> anyhow::Result<Revision> {
    if let Some(id) = &args.revision {
        return given(id);
    }
    ask_git(root).or_else(|error| {
        let id = format!("uncommitted-{run_id}");
        remark!("{error:#}; it is called {id} now");
        Ok(Revision { id, modified: None })
    })
}

/// A hash in twelve digits, with a mark where files differ from it.
fn called_after(revision: &Revision) -> String {
    let hash = revision.id.len() == 40 && revision.id.chars().all(|c| c.is_ascii_hexdigit());
    let id = if hash { &revision.id[..12] } else { revision.id.as_str() };
    if revision.modified == Some(true) { format!("{id}-modified") } else { id.to_owned() }
}

fn without_key(error: &anyhow::Error, config: &Path) -> anyhow::Error {
    let help =
        format!("`townlet init` makes keys where there are none; {} is where they are looked for", config.display());
    Failure::usage(format!("{error:#}\n{help}"))
}

fn called_off(finished: &Finished) -> bool {
    let mut attempts = finished.scorecard.suites.iter().flat_map(|suite| &suite.attempts);
    attempts.any(|attempt| attempt.ended == Ended::Cancelled)
}

/// Bundles what the log has about a manifest, and checks the bundle as somebody else would: signatures, and the decision
/// made again from what is in it.
fn bundle(place: &Place, about: &Digest, decision: &Decision, file: &Path) -> anyhow::Result<String> {
    let machine = place.machine();
    let mut registry = machine.registry()?;
    registry.checkpoint(&log_signer(&machine.key, &place.ring())?, now()).map_err(failure)?;
    write(file, &registry.bundle(about, &[]).map_err(failure)?.to_bytes())?;
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let ring = ring(&place.ring())?;
    let bundle = Bundle::parse(&bytes).map_err(failure)?;
    let verified = bundle.verify(&ring, None).map_err(failure)?;
    let stored = decision.to_bytes().map_err(failure)?;
    let fetch = |digest: Digest| verified.contents.get(&digest).map(|bytes| bytes.to_vec());
    if !replay(&mut Desk::default(), &stored, fetch)?.same {
        bail!("{} gives another decision than the one that was stored", file.display());
    }
    let (statements, contents) = (verified.entries.len(), verified.contents.len());
    Ok(format!("verified, {statements} statements and {contents} contents; decided again from them, the same"))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
