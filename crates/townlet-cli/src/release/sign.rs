//! `townlet approve`, `townlet waive` and `townlet attest`: what people and machines sign about a release.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use townlet_gate::statement::{Approval, Ground, Rehearsal, Scorecard, Step, Waiver};
use townlet_policy::parse_duration;
use townlet_registry::{Digest, Role, Subject, Time};

use super::{Signing, bytes, failure, now, read_manifest};
use crate::exit::{Exit, Failure};
use crate::out::{remark, say};

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The manifest.
    manifest: PathBuf,
    /// Where the release may go.
    #[arg(long)]
    env: String,
    /// For which role of the change board.
    #[arg(long)]
    role: Role,
    /// Why, for whoever asks later.
    #[arg(long)]
    reason: String,
    /// For how long it counts (`48h`, `7d`). The change board may have a shorter limit.
    #[arg(long, value_parser = parse_duration)]
    expires: Option<Duration>,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct Waive {
    /// The manifest.
    manifest: PathBuf,
    /// Where the release may go although.
    #[arg(long)]
    env: String,
    /// What is waived: the id of a policy, `readiness` or `rehearsal`. May be repeated.
    #[arg(long = "policy", required = true)]
    policies: Vec<String>,
    /// accepted_risk, known_defect, emergency_fix or evidence_unavailable.
    #[arg(long, value_parser = ground)]
    reason: Ground,
    /// Why this is right for the release.
    #[arg(long)]
    justification: String,
    /// What is done about the risk meanwhile.
    #[arg(long)]
    mitigation: String,
    /// For how long it counts (`48h`, `7d`).
    #[arg(long, value_parser = parse_duration)]
    expires: Duration,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Attest {
    /// Sign what a run of the suites came to: readiness_scorecard_RUN.json.
    Scorecard(AttestScorecard),
    /// Sign what a rehearsal came to, about the rollback plan of a manifest: rehearsal_RUN.json.
    Rehearsal(AttestRehearsal),
}

#[derive(Debug, Args)]
pub(crate) struct AttestScorecard {
    /// The scorecard.
    file: PathBuf,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct AttestRehearsal {
    /// The record of the rehearsal.
    file: PathBuf,
    /// The manifest whose rollback plan was rehearsed. The steps of the record are those of the plan.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    #[command(flatten)]
    signing: Signing,
}

fn ground(text: &str) -> Result<Ground, String> {
    let known = Ground::ALL.iter().find(|ground| ground.as_str() == text).copied();
    let words: Vec<&str> = Ground::ALL.iter().map(|ground| ground.as_str()).collect();
    known.ok_or_else(|| format!("write one of {}", words.join(", ")))
}

fn after(at: Time, span: Duration) -> Time {
    Time::from_ms(at.as_ms().saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}

pub(crate) fn approve(args: &Approve) -> anyhow::Result<Exit> {
    let manifest = read_manifest(&args.manifest)?;
    let at = now();
    let hand = args.signing.hand(at)?;
    let approval = Approval {
        environment: args.env.clone(),
        role: args.role.clone(),
        actor: hand.person.clone(),
        at,
        expires_at: args.expires.map(|span| after(at, span)),
        reason: args.reason.clone(),
    };
    let subject = Subject::new(&manifest.release, manifest.digest().map_err(failure)?);
    let name = hand.say(&mut args.signing.registry()?, subject, approval)?;
    remark!("{} approved {} for {} as {}", hand.person, manifest.release, args.env, args.role);
    say!("{name}")?;
    Ok(Exit::Yes)
}

pub(crate) fn waive(args: &Waive) -> anyhow::Result<Exit> {
    let manifest = read_manifest(&args.manifest)?;
    let at = now();
    let hand = args.signing.hand(at)?;
    for (name, text) in [("--justification", &args.justification), ("--mitigation", &args.mitigation)] {
        if text.trim().is_empty() {
            return Err(Failure::usage(format!("{name} is empty, and such a waiver counts nowhere")));
        }
    }
    let waiver = Waiver {
        environment: args.env.clone(),
        policies: args.policies.clone(),
        reason: args.reason,
        justification: args.justification.clone(),
        mitigation: args.mitigation.clone(),
        actor: hand.person.clone(),
        at,
        expires_at: after(at, args.expires),
    };
    let until = waiver.expires_at;
    let subject = Subject::new(&manifest.release, manifest.digest().map_err(failure)?);
    let name = hand.say(&mut args.signing.registry()?, subject, waiver)?;
    remark!("{} waived {} for {} until {until}", hand.person, args.policies.join(", "), manifest.release);
    say!("{name}")?;
    Ok(Exit::Yes)
}

pub(crate) fn attest(what: &Attest) -> anyhow::Result<Exit> {
    match what {
        Attest::Scorecard(args) => scorecard(args),
        Attest::Rehearsal(args) => rehearsal(args),
    }
}

/// A field of a record, or what is missing.
fn field<'v, T>(record: &'v Value, name: &str, read: impl Fn(&'v Value) -> Option<T>) -> anyhow::Result<T> {
    let value = record.pointer(name).and_then(read);
    value.ok_or_else(|| Failure::usage(format!("the record has no {} of the right kind", &name[1..])))
}

fn time(value: &Value) -> Option<Time> {
    value.as_str()?.parse().ok()
}

fn scorecard(args: &AttestScorecard) -> anyhow::Result<Exit> {
    let bytes = bytes(&args.file)?;
    let record: Value = serde_json::from_slice(&bytes).map_err(Failure::usage)?;
    let finished_at = field(&record, "/ended_at", time)?;
    let hand = args.signing.hand(finished_at)?;
    let card = Scorecard {
        run_id: field(&record, "/run_id", Value::as_str)?.to_owned(),
        passed: field(&record, "/overall_passed", Value::as_bool)?,
        finished_at,
        revision: record.pointer("/revision/id").and_then(Value::as_str).map(str::to_owned),
        actor: hand.person.clone(),
    };
    let said = format!("run {} {}", card.run_id, if card.passed { "passed" } else { "failed" });
    let mut registry = args.signing.registry()?;
    registry.store(&bytes).map_err(failure)?;
    let subject = Subject::new(&card.run_id, Digest::of(&bytes));
    let name = hand.say(&mut registry, subject, card)?;
    remark!("{} signed that {said}", hand.person);
    say!("{name}")?;
    Ok(Exit::Yes)
}

fn rehearsal(args: &AttestRehearsal) -> anyhow::Result<Exit> {
    let manifest = read_manifest(&args.manifest)?;
    let bytes = bytes(&args.file)?;
    let record: Value = serde_json::from_slice(&bytes).map_err(Failure::usage)?;
    let finished_at = field(&record, "/ended_at", time)?;
    let hand = args.signing.hand(finished_at)?;
    let steps: Vec<Step> =
        field(&record, "/steps", Value::as_array)?.iter().map(step).collect::<anyhow::Result<_>>()?;
    for wanted in &manifest.rollback_plan.steps {
        if steps.iter().all(|step| step.name != *wanted) {
            let message = format!("the plan of {} has a step '{wanted}', and the rehearsal has not", manifest.release);
            return Err(Failure::usage(message));
        }
    }
    let notes = record.pointer("/notes").and_then(Value::as_array).into_iter().flatten();
    let rehearsal = Rehearsal {
        environment: field(&record, "/environment", Value::as_str)?.to_owned(),
        passed: field(&record, "/outcome", Value::as_str)? == "passed",
        started_at: field(&record, "/started_at", time)?,
        finished_at,
        steps,
        surprises: notes.filter_map(Value::as_str).map(str::to_owned).collect(),
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

fn step(record: &Value) -> anyhow::Result<Step> {
    let seconds = field(record, "/duration_seconds", Value::as_f64)?;
    let span = Duration::try_from_secs_f64(seconds).map_err(Failure::usage)?;
    Ok(Step {
        name: field(record, "/name", Value::as_str)?.to_owned(),
        duration_ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
        passed: field(record, "/status", Value::as_str)? == "passed",
    })
}
