//! `townlet deploy run`: a command under a decision.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;
use townlet_gate::gate::{Decision, Desk, replay};
use townlet_gate::manifest::Manifest;
use townlet_gate::statement::Scorecard;
use townlet_history::deployment::Refusal;
use townlet_history::statement::{Command, Deployment, Outcome};
use townlet_history::{History, Told};
use townlet_policy::parse_duration;
use townlet_readiness::{Ended, Invocation, Processes, Ran};
use townlet_registry::{Digest, Predicate, Query, Registry, Role, Subject};
use townlet_release::telemetry::{self, Nanos, Recorder};
use uuid::Uuid;

use super::deploy::{What, known};
use super::read;
use crate::exit::{Exit, Failure};
use crate::out::{remark, say};
use crate::readiness::{caller_env, processes};
use crate::release::{Hand, Signing, failure, now, read_manifest, ring};
use crate::telling::{BOARD, Telling};

/// Of each output, at most so much is kept.
const OUTPUT: usize = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct DeployRun {
    #[command(flatten)]
    what: What,
    /// For how long a decision counts (`30m`, `24h`).
    #[arg(long, value_name = "AGE", value_parser = parse_duration, default_value = "24h")]
    decision_age: Duration,
    /// In which role decisions are signed.
    #[arg(long, value_name = "ROLE", default_value = "gate")]
    decided_by: Role,
    /// After this long the command is ended, with everything that it started.
    #[arg(long, value_parser = parse_duration, default_value = "30m")]
    timeout: Duration,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    telling: Telling,
    /// The program that deploys, and its arguments. No shell reads them.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(args: &DeployRun) -> anyhow::Result<Exit> {
    let teller = args.telling.start(&[Path::new(BOARD)]);
    let answer = go(args, &teller);
    // Whoever waits for the answer has it by now.
    teller.end();
    answer
}

fn go(args: &DeployRun, recorder: &Recorder) -> anyhow::Result<Exit> {
    let manifest = read_manifest(&args.what.manifest)?;
    let digest = manifest.digest().map_err(failure)?;
    let started_at = now();
    let hand = args.signing.hand(started_at)?;
    let mut registry = args.signing.registry()?;
    let history = read(&registry, &ring(&args.signing.keys)?, None)?;
    known(&history, &args.what)?;
    let decision = match &args.what.undoes {
        // What is broken is taken back whatever anybody decided about it, by what has been there before.
        Some(_) if history.has_gone_to(&args.what.env, digest) => None,
        Some(id) => Some(allowed(args, &registry, &history, &manifest, digest).with_context(|| {
            let (release, env) = (&manifest.release, &args.what.env);
            format!("{release} has never gone to {env}, so that it needs a decision also where it takes {id} back; the manifest of what is taken back needs none")
        })?),
        None => Some(allowed(args, &registry, &history, &manifest, digest)?),
    };
    let processes = processes()?;
    let mut deployment = Deployment {
        id: Uuid::now_v7().to_string(),
        environment: args.what.env.clone(),
        outcome: Outcome::Running,
        started_at,
        finished_at: None,
        decision,
        changes: args.what.changes.clone(),
        undoes: args.what.undoes.clone(),
        command: Some(Command { argv: args.command.clone(), ended: None, stdout: None, stderr: None }),
        actor: hand.person.clone(),
    };
    let subject = Subject::new(&manifest.release, digest);
    // On disk before anything happens, so that one which dies on the way is seen.
    hand.say(&mut registry, subject.clone(), deployment.clone())?;
    let ready_at = ready_at(recorder, &registry, &manifest);
    drop(registry);
    let begun = telemetry::Deployment::of(&manifest, digest, &args.what.env, &hand.person, ready_at);
    let begun = match &args.what.undoes {
        Some(id) => begun.undoing(id),
        None => begun,
    };
    let execution = recorder.execute(begun, SystemTime::now().into());
    let ran = processes.run(&Invocation {
        command: &args.command,
        directory: Path::new("."),
        env: &caller_env(),
        timeout: Some(args.timeout),
        output_limit: OUTPUT,
    });
    let ended = if ran.ended.is_success() { telemetry::Outcome::Succeeded } else { telemetry::Outcome::Failed };
    execution.end(ended, SystemTime::now().into());
    deployment.finished_at = Some(now().max(started_at));
    deployment.outcome = outcome(&ran);
    let (outcome, id) = (deployment.outcome, deployment.id.clone());
    // What happened has happened, whatever becomes of the record of it.
    for output in [&ran.stdout, &ran.stderr].into_iter().filter(|output| !output.kept.is_empty()) {
        remark!("{}", String::from_utf8_lossy(&output.kept).trim_end());
    }
    remark!("{} to {}: {} ({})", manifest.release, args.what.env, outcome.as_str(), words(&ran.ended));
    let again = later(args, &deployment);
    recorded(args, &hand, subject, deployment, &ran).with_context(|| again)?;
    say!("{id}")?;
    Ok(if outcome == Outcome::Succeeded { Exit::Yes } else { Exit::No })
}

/// Signs how it ended, with what it said.
fn recorded(
    args: &DeployRun,
    hand: &Hand,
    subject: Subject,
    mut deployment: Deployment,
    ran: &Ran,
) -> anyhow::Result<()> {
    let mut registry = args.signing.registry()?;
    deployment.command = Some(Command {
        argv: args.command.clone(),
        ended: Some(words(&ran.ended)),
        stdout: Some(registry.store(&ran.stdout.kept).map_err(failure)?),
        stderr: Some(registry.store(&ran.stderr.kept).map_err(failure)?),
    });
    hand.say(&mut registry, subject, deployment)?;
    Ok(())
}

/// What to do where the end could not be recorded.
fn later(args: &DeployRun, deployment: &Deployment) -> String {
    let Deployment { id, environment, outcome, started_at, .. } = deployment;
    let (manifest, key) = (args.what.manifest.display(), args.signing.key.display());
    let finished = deployment.finished_at.unwrap_or(*started_at);
    format!(
        "the log has no end of this deployment; once it can be written: townlet deploy record {manifest} --env \
         {environment} --id {id} --outcome {} --started {started_at} --finished {finished} --key {key}",
        outcome.as_str()
    )
}

/// When the suites of a release had passed, as the log has it: for telemetry alone, so nothing is verified.
fn ready_at(recorder: &Recorder, registry: &Registry, manifest: &Manifest) -> Option<Nanos> {
    let query = Query::new().about(manifest.readiness.scorecard.digest).of_type(Scorecard::TYPE);
    let records = if recorder.is_on() { registry.find(&query).ok()? } else { return None };
    let cards = records.iter().filter_map(|record| record.envelope.statement::<Scorecard>().ok());
    let passed = cards.map(|card| card.predicate).filter(|card| card.passed);
    passed.map(|card| Nanos::from_ms(card.finished_at.as_ms())).min()
}

/// The decision by which it may begin, made again from what is stored: one that somebody only signed allows nothing.
fn allowed(
    args: &DeployRun,
    registry: &Registry,
    history: &History,
    manifest: &Manifest,
    digest: Digest,
) -> anyhow::Result<Digest> {
    let roles = std::slice::from_ref(&args.decided_by);
    let told: &Told<Decision> =
        history.permits(manifest, digest, &args.what.env, roles, args.decision_age, now()).map_err(refused)?;
    let bytes = told.said.to_bytes().map_err(failure)?;
    let again = replay(&mut Desk::default(), &bytes, |digest| registry.content(&digest).ok().flatten());
    match again {
        Ok(again) if again.same => Ok(Digest::of(&bytes)),
        Ok(_) => Err(Failure { exit: Exit::No, message: "the decision is not what its inputs make".into() }.into()),
        Err(error) => Err(error.into()),
    }
}

fn refused(refusal: Refusal) -> anyhow::Error {
    let exit = match &refusal {
        Refusal::NotApproved { verdict: "waiver_required", .. } => Exit::WaiverRequired,
        Refusal::NotApproved { .. } | Refusal::OutsideWindow { .. } => Exit::Rejected,
        _ => Exit::Unavailable,
    };
    Failure { exit, message: refusal.to_string() }.into()
}

fn outcome(ran: &Ran) -> Outcome {
    match &ran.ended {
        ended if ended.is_success() => Outcome::Succeeded,
        Ended::TimedOut => Outcome::TimedOut,
        Ended::Cancelled => Outcome::Cancelled,
        _ => Outcome::Failed,
    }
}

fn words(ended: &Ended) -> String {
    match ended {
        Ended::Exited { code } => format!("exit code {code}"),
        Ended::Signalled { signal } => format!("signal {signal}"),
        Ended::TimedOut => "it took too long".to_owned(),
        Ended::Cancelled => "called off".to_owned(),
        Ended::NotStarted { reason } => format!("not started: {reason}"),
        _ => "otherwise".to_owned(),
    }
}
