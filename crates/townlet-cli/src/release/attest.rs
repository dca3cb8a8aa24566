//! `townlet attest`: what machines sign about a release, after a look at the evidence itself, and what people vouch for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use townlet_gate::statement::{AttestationKind, Rehearsal, Scorecard, Step};
use townlet_readiness::rehearsal::{self, Outcome, Record, StepResult, StepStatus};
use townlet_readiness::{Moment, report};
use townlet_registry::{Digest, Subject, Time};

use super::vouch::{self, VouchFor, VouchItem, VouchShow};
use super::{Hand, Signing, bytes, failure, now, read_manifest};
use crate::exit::{Exit, Failure};
use crate::out::{remark, say};

#[derive(Debug, Subcommand)]
pub(crate) enum Attest {
    /// Sign what a run of the suites came to: readiness_scorecard_RUN.json.
    Scorecard(AttestScorecard),
    /// Sign what a rehearsal came to, about the rollback plan of a manifest: rehearsal_RUN.json.
    Rehearsal(AttestRehearsal),
    /// Sign that a person has completed a training.
    Training(VouchFor),
    /// Sign that a person is on duty, from then until then.
    Rota(VouchFor),
    /// Sign that something about a release was looked at.
    Item(VouchItem),
    /// Who is trained for what and who is on duty, as the log has it.
    Show(VouchShow),
}

#[derive(Debug, Args)]
pub(crate) struct AttestScorecard {
    /// The scorecard, in the folder where the run left it.
    file: PathBuf,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct AttestRehearsal {
    /// The record of the rehearsal, in the folder where it was left.
    file: PathBuf,
    /// The manifest whose rollback plan was rehearsed. The steps of the record are those of the plan.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    #[command(flatten)]
    signing: Signing,
}

pub(crate) fn attest(what: &Attest) -> anyhow::Result<Exit> {
    match what {
        Attest::Scorecard(args) => {
            say!("{}", scorecard(&args.file, &args.signing)?)?;
            Ok(Exit::Yes)
        }
        Attest::Rehearsal(args) => rehearsal(args),
        Attest::Training(args) => vouch::person(AttestationKind::Training, args),
        Attest::Rota(args) => vouch::person(AttestationKind::Rota, args),
        Attest::Item(args) => vouch::item(args),
        Attest::Show(args) => vouch::show(args),
    }
}

/// Signs what a run came to; returns the digest of the statement.
pub(super) fn scorecard(file: &Path, signing: &Signing) -> anyhow::Result<String> {
    let (bytes, card) = record::<report::Scorecard>(file)?;
    let evidence = report::open(folder(file))?;
    if evidence.scorecard != card {
        return Err(Failure::usage(format!(
            "{} is not the scorecard that the report beside it is about, which is that of run {}",
            file.display(),
            evidence.report.run_id
        )));
    }
    unedited(file, &evidence.findings)?;
    let finished_at = time(card.ended_at)?;
    let hand = hand(signing, finished_at)?;
    let card = Scorecard {
        run_id: card.run_id,
        passed: card.overall_passed,
        finished_at,
        revision: Some(card.revision.id),
        actor: hand.person.clone(),
    };
    let said = format!("run {} {}", card.run_id, if card.passed { "passed" } else { "failed" });
    let mut registry = signing.registry()?;
    registry.store(&bytes).map_err(failure)?;
    let subject = Subject::new(&card.run_id, Digest::of(&bytes));
    let name = hand.say(&mut registry, subject, card)?;
    remark!("{} signed that {said}", hand.person);
    Ok(name)
}

fn rehearsal(args: &AttestRehearsal) -> anyhow::Result<Exit> {
    let manifest = read_manifest(&args.manifest)?;
    let (bytes, record) = record::<Record>(&args.file)?;
    let (beside, findings) = rehearsal::open(folder(&args.file), &record.run_id)?;
    if beside != record {
        let wanted = rehearsal::record_file(&record.run_id);
        return Err(Failure::usage(format!("{} is not what {wanted} beside it is", args.file.display())));
    }
    unedited(&args.file, &findings)?;
    let finished_at = time(record.ended_at)?;
    let hand = hand(&args.signing, finished_at)?;
    for wanted in &manifest.rollback_plan.steps {
        if record.steps.iter().all(|step| step.name != *wanted) {
            let message = format!("the plan of {} has a step '{wanted}', and the rehearsal has not", manifest.release);
            return Err(Failure::usage(message));
        }
    }
    let rehearsal = Rehearsal {
        environment: record.environment,
        passed: record.outcome == Outcome::Passed,
        started_at: time(record.started_at)?,
        finished_at,
        steps: record.steps.iter().map(step).collect::<anyhow::Result<_>>()?,
        surprises: record.notes,
        actor: hand.person.clone(),
    };
    let said = if rehearsal.passed { "worked" } else { "failed" };
    let mut registry = args.signing.registry()?;
    registry.store(&bytes).map_err(failure)?;
    let plan = manifest.rollback_plan.digest().map_err(failure)?;
    let name =
        hand.say(&mut registry, Subject::new(format!("rollback plan of {}", manifest.release), plan), rehearsal)?;
    remark!("{} signed that the rollback of {} {said}", hand.person, manifest.release);
    say!("{name}")?;
    Ok(Exit::Yes)
}

/// A record, read strictly.
fn record<T: DeserializeOwned>(path: &Path) -> anyhow::Result<(Vec<u8>, T)> {
    let bytes = bytes(path)?;
    let record = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::usage(format!("{} is no such record: {error}", path.display())))?;
    Ok((bytes, record))
}

/// Who signs what was over at a moment, for which their key has to be believed then. One that is believed only since then
/// is what somebody has who has just begun.
fn hand(signing: &Signing, finished_at: Time) -> anyhow::Result<Hand> {
    signing.hand(finished_at).map_err(|error| match signing.hand(now()) {
        Ok(_) => Failure::usage(format!("{error}: the evidence is older than the key is believed; run it again")),
        Err(_) => error,
    })
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Nobody signs what contradicts itself or the logs beside it.
fn unedited(file: &Path, findings: &[String]) -> anyhow::Result<()> {
    match findings {
        [] => Ok(()),
        found => Err(Failure::usage(format!("{} does not hold: {}", file.display(), found.join("; ")))),
    }
}

fn time(moment: Moment) -> anyhow::Result<Time> {
    moment.to_string().parse().map_err(Failure::usage)
}

fn step(step: &StepResult) -> anyhow::Result<Step> {
    let span = Duration::try_from_secs_f64(step.duration_seconds).map_err(Failure::usage)?;
    Ok(Step {
        name: step.name.clone(),
        duration_ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
        passed: step.status == StepStatus::Passed,
    })
}
