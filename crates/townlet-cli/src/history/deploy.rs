//! `townlet deploy`: what went out, when, by which decision, and how it ended.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use townlet_history::History;
use townlet_history::deployment::Seen;
use townlet_history::statement::{Deployment, Outcome, Shipped};
use townlet_registry::{Digest, Subject, Time};
use uuid::Uuid;

use super::{Look, read, word};
use crate::exit::{Exit, Failure};
use crate::out::{remark, row, say};
use crate::release::{Signing, failure, now, read_manifest, ring};

#[derive(Debug, Subcommand)]
pub(crate) enum Deploy {
    /// Run a command that deploys, if the last decision of the gate approves it, and record what came of it.
    Run(super::run::DeployRun),
    /// Record a deployment that something else made.
    Record(DeployRecord),
    /// The deployments to an environment, oldest first.
    List(DeployList),
}

/// What a deployment is.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// The manifest.
    pub(crate) manifest: PathBuf,
    /// Where it goes.
    #[arg(long)]
    pub(crate) env: String,
    /// A commit that it brings, and when it was made: REVISION=TIME. May be repeated; `git log --format=%H=%cI` prints them.
    #[arg(long = "change", value_name = "REVISION=TIME", value_parser = change)]
    pub(crate) changes: Vec<Shipped>,
    /// The id of the deployment that it takes back: it then is a rollback, and needs no decision where its manifest has
    /// gone there before.
    #[arg(long, value_name = "ID")]
    pub(crate) undoes: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeployRecord {
    #[command(flatten)]
    what: What,
    /// succeeded, failed, timed_out, cancelled, or running for one that has only begun.
    #[arg(long, value_parser = outcome)]
    outcome: Outcome,
    /// When it began (RFC 3339).
    #[arg(long, value_name = "TIME")]
    started: Time,
    /// When it was over; now without it.
    #[arg(long, value_name = "TIME")]
    finished: Option<Time>,
    /// Its id, where its beginning has been recorded; a new one without it.
    #[arg(long)]
    id: Option<String>,
    /// The decision that allowed it.
    #[arg(long, value_name = "DIGEST")]
    decision: Option<Digest>,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct DeployList {
    /// Where they went.
    #[arg(long)]
    env: String,
    #[command(flatten)]
    look: Look,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    word(&Outcome::ALL, Outcome::as_str, text)
}

fn change(text: &str) -> Result<Shipped, String> {
    let (revision, time) = text.split_once('=').ok_or("write REVISION=TIME")?;
    if revision.trim().is_empty() {
        return Err("the revision is empty".into());
    }
    let committed_at = time.parse().map_err(|error: townlet_registry::Error| error.to_string())?;
    Ok(Shipped { revision: revision.trim().to_owned(), committed_at })
}

pub(crate) fn deploy(what: &Deploy) -> anyhow::Result<Exit> {
    match what {
        Deploy::Run(args) => super::run::run(args),
        Deploy::Record(args) => record(args),
        Deploy::List(args) => list(args),
    }
}

fn record(args: &DeployRecord) -> anyhow::Result<Exit> {
    let manifest = read_manifest(&args.what.manifest)?;
    let at = now();
    let hand = args.signing.hand(at)?;
    let mut registry = args.signing.registry()?;
    let history = read(&registry, &ring(&args.signing.keys)?, None)?;
    known(&history, &args.what)?;
    let artifact = manifest.digest().map_err(failure)?;
    let begun = args.id.as_deref().map(|id| begun(&history, &args.what.env, id, artifact)).transpose()?.flatten();
    let finished_at = (args.outcome != Outcome::Running).then(|| args.finished.unwrap_or(at));
    if args.finished.is_some() && finished_at.is_none() {
        return Err(Failure::usage("--finished goes with an outcome; what is running has no end"));
    }
    if args.started > finished_at.unwrap_or(at) || finished_at.is_some_and(|end| end > at) {
        return Err(Failure::usage("a deployment begins before it ends, and ends before now"));
    }
    let deployment = Deployment {
        id: args.id.clone().unwrap_or_else(|| Uuid::now_v7().to_string()),
        environment: args.what.env.clone(),
        outcome: args.outcome,
        started_at: args.started,
        finished_at,
        decision: args.decision.or(begun.and_then(|begun| begun.decision)),
        changes: match begun {
            Some(begun) if args.what.changes.is_empty() => begun.changes.clone(),
            _ => args.what.changes.clone(),
        },
        undoes: args.what.undoes.clone().or_else(|| begun?.undoes.clone()),
        command: begun.and_then(|begun| begun.command.clone()),
        actor: hand.person.clone(),
    };
    let id = deployment.id.clone();
    let subject = Subject::new(&manifest.release, artifact);
    hand.say(&mut registry, subject, deployment)?;
    remark!("{}: {} to {} {}", hand.person, manifest.release, args.what.env, args.outcome.as_str());
    say!("{id}")?;
    Ok(Exit::Yes)
}

/// The beginning of a deployment that is to be ended now, whose end then says all that it said. One that has ended stays
/// as it is, so nobody shall think that they changed it.
fn begun<'h>(history: &'h History, env: &str, id: &str, manifest: Digest) -> anyhow::Result<Option<&'h Deployment>> {
    let Some(told) = history.deployments.iter().find(|told| told.said.environment == env && told.said.id == id) else {
        return Ok(None);
    };
    if !told.subjects.contains(&manifest) {
        return Err(Failure::usage(format!("the deployment {id} is of another manifest")));
    }
    match history.deployments_to(env).into_iter().find(|one| one.said().id == id) {
        Some(one) if one.said().outcome != Outcome::Running => {
            let outcome = one.said().outcome.as_str();
            Err(Failure::usage(format!(
                "the deployment {id} has ended already: {outcome}; what it ended with first counts"
            )))
        }
        _ => Ok(Some(&told.said)),
    }
}

/// What is taken back has to be known.
pub(super) fn known(history: &History, what: &What) -> anyhow::Result<()> {
    let Some(id) = &what.undoes else { return Ok(()) };
    if history.deployments_to(&what.env).iter().all(|one| one.said().id != *id) {
        return Err(Failure::usage(format!("the log has no deployment {id} to {}; see townlet deploy list", what.env)));
    }
    Ok(())
}

fn list(args: &DeployList) -> anyhow::Result<Exit> {
    let history = args.look.history(None)?;
    let seen = history.deployments_to(&args.env);
    if args.look.json {
        say!("{}", serde_json::to_string_pretty(&seen.iter().map(to_json).collect::<Value>())?)?;
        return Ok(Exit::Yes);
    }
    for one in &seen {
        let said = one.said();
        let end = said.finished_at.map_or("-".to_owned(), |end| end.to_string());
        let undoes = said.undoes.as_ref().map_or(String::new(), |id| format!("  takes back {id}"));
        let undone = one.undone.map_or(String::new(), |_| format!("  {}", one.undone_in_words()));
        row!(
            "{}  {}  {end}  {}  by {}{undoes}{undone}",
            said.id,
            said.started_at,
            said.outcome.as_str(),
            one.told.person
        )?;
    }
    Ok(Exit::Yes)
}

fn to_json(one: &Seen<'_>) -> Value {
    json!({ "deployment": one.said(), "manifest": one.told.subjects, "records": one.records, "undone": one.undone == Some(Outcome::Succeeded) })
}
