//! `townlet incident`: what went wrong, from its opening to what was learnt.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use townlet_gate::gate::on_one_row;
use townlet_gate::statement::{IncidentClosed, IncidentOpened, IncidentOutcome, Severity, incident_subject};
use townlet_history::incident::Incident as Known;
use townlet_history::statement::{IncidentEntry, Step};
use townlet_registry::{Registry, Time};

use super::{Look, read, something, word};
use crate::exit::{Exit, Failure};
use crate::out::{remark, row, say};
use crate::release::{Hand, Signing, failure, now, ring};

#[derive(Debug, Subcommand)]
pub(crate) enum Incident {
    /// Say that something is wrong. A critical incident holds releases back where the change board has them counted.
    Open(IncidentOpen),
    /// Add to the timeline: what happened and when, the beginning and the end of a rollback, the postmortem.
    Note(IncidentNote),
    /// Say that it is over, and how it ended.
    Close(IncidentClose),
    /// The incidents, with timeline, duration of the rollback and outcome.
    Show(IncidentShow),
}

#[derive(Debug, Args)]
pub(crate) struct IncidentOpen {
    /// Its name: INC-7.
    name: String,
    /// Where something is wrong.
    #[arg(long)]
    env: String,
    /// critical, major or minor.
    #[arg(long, value_parser = severity)]
    severity: Severity,
    /// What is wrong, in a line.
    #[arg(long)]
    summary: String,
    /// Since when (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    began: Option<Time>,
    /// The id of the deployment that brought it.
    #[arg(long, value_name = "ID")]
    deployment: Option<String>,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct IncidentNote {
    /// Its name.
    name: String,
    /// What happened, or where to read it.
    text: String,
    /// note, acknowledged, rollback_started, rollback_finished, rollback_failed or postmortem.
    #[arg(long, value_parser = step, default_value = "note")]
    step: Step,
    /// When it happened (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    happened: Option<Time>,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct IncidentClose {
    /// Its name.
    name: String,
    /// resolved, rolled_back, mitigated or false_alarm.
    #[arg(long, value_parser = outcome)]
    outcome: IncidentOutcome,
    /// What was learnt, in a line.
    #[arg(long)]
    summary: String,
    /// When users had what they came for again (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    restored: Option<Time>,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct IncidentShow {
    /// Its name; every one without it.
    name: Option<String>,
    /// Only those that are open.
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    look: Look,
}

fn severity(text: &str) -> Result<Severity, String> {
    word(&Severity::ALL, Severity::as_str, text)
}

fn step(text: &str) -> Result<Step, String> {
    word(&Step::ALL, Step::as_str, text)
}

fn outcome(text: &str) -> Result<IncidentOutcome, String> {
    word(&IncidentOutcome::ALL, IncidentOutcome::as_str, text)
}

pub(crate) fn incident(what: &Incident) -> anyhow::Result<Exit> {
    match what {
        Incident::Open(args) => open(args),
        Incident::Note(args) => note(args),
        Incident::Close(args) => close(args),
        Incident::Show(args) => show(args),
    }
}

/// Who signs, the log, and now; once `check` agrees with what the log says of the incident so far.
fn begin(
    signing: &Signing,
    name: &str,
    check: impl FnOnce(Option<&Known<'_>>) -> Result<(), String>,
) -> anyhow::Result<(Hand, Registry, Time)> {
    something("the name of the incident", name)?;
    let at = now();
    let hand = signing.hand(at)?;
    let registry = signing.registry()?;
    let history = read(&registry, &ring(&signing.keys)?, None)?;
    check(history.incidents().named(name)).map_err(Failure::usage)?;
    Ok((hand, registry, at))
}

fn open(args: &IncidentOpen) -> anyhow::Result<Exit> {
    let summary = something("--summary", &args.summary)?;
    let (hand, mut registry, at) = begin(&args.signing, &args.name, |known| match known {
        Some(known) if known.is_open() => {
            Err(format!("{} is open already; townlet incident note adds to it", args.name))
        }
        _ => Ok(()),
    })?;
    let deployment = match &args.deployment {
        None => None,
        Some(id) => {
            let history = read(&registry, &ring(&args.signing.keys)?, None)?;
            let seen = history.deployments_to(&args.env);
            let known = seen.iter().find(|one| one.said().id == *id).and_then(|one| one.records.first().copied());
            let absent = || Failure::usage(format!("the log has no deployment {id} to {}", args.env));
            Some(known.ok_or_else(absent)?)
        }
    };
    let began_at = args.began.unwrap_or(at);
    if began_at > at {
        return Err(Failure::usage(format!("it begins at {began_at}, and this is {at}")));
    }
    let opened = IncidentOpened {
        incident: args.name.clone(),
        environment: args.env.clone(),
        severity: args.severity,
        summary,
        began_at,
        deployment,
        actor: hand.person.clone(),
        at,
    };
    let name = hand.say(&mut registry, incident_subject(&args.name).map_err(failure)?, opened)?;
    remark!("{} opened {} in {}", hand.person, args.name, args.env);
    say!("{name}")?;
    Ok(Exit::Yes)
}

fn note(args: &IncidentNote) -> anyhow::Result<Exit> {
    let text = something("the text", &args.text)?;
    let (hand, mut registry, at) = begin(&args.signing, &args.name, |known| match known {
        None => Err(format!("nobody has opened {}", args.name)),
        Some(_) => Ok(()),
    })?;
    let happened_at = args.happened.unwrap_or(at);
    if happened_at > at {
        return Err(Failure::usage(format!("it happens at {happened_at}, and this is {at}")));
    }
    let actor = hand.person.clone();
    let entry = IncidentEntry { incident: args.name.clone(), step: args.step, happened_at, text, actor, at };
    let name = hand.say(&mut registry, incident_subject(&args.name).map_err(failure)?, entry)?;
    remark!("{}: {} at {happened_at}", args.name, args.step.as_str());
    say!("{name}")?;
    Ok(Exit::Yes)
}

fn close(args: &IncidentClose) -> anyhow::Result<Exit> {
    let summary = something("--summary", &args.summary)?;
    let (restored, mut began) = (args.restored, None);
    let (hand, mut registry, at) = begin(&args.signing, &args.name, |known| match known {
        Some(known) if restored.is_some_and(|at| at < known.opened.said.began_at) => {
            Err(format!("it would be over before it began, at {}", known.opened.said.began_at))
        }
        Some(known) if known.is_open() => {
            began = Some(known.opened.said.began_at);
            Ok(())
        }
        Some(_) => Err(format!("{} is closed already", args.name)),
        None => Err(format!("nobody has opened {}", args.name)),
    })?;
    if let Some(later) = restored.filter(|restored| *restored > at) {
        return Err(Failure::usage(format!("it is over at {later}, and this is {at}")));
    }
    // A clock that went back a little does not end it before it began.
    let restored_at = restored.unwrap_or_else(|| began.map_or(at, |began| began.max(at)));
    let (incident, actor) = (args.name.clone(), hand.person.clone());
    let closed = IncidentClosed { incident, outcome: args.outcome, restored_at, summary, actor, at };
    let name = hand.say(&mut registry, incident_subject(&args.name).map_err(failure)?, closed)?;
    remark!("{} closed {}: {}", hand.person, args.name, args.outcome.as_str());
    say!("{name}")?;
    Ok(Exit::Yes)
}

fn show(args: &IncidentShow) -> anyhow::Result<Exit> {
    let history = args.look.history(None)?;
    let incidents = history.incidents();
    for stray in &incidents.stray {
        remark!("entry {} belongs nowhere: {}", stray.index, on_one_row(&stray.why));
    }
    let wanted =
        |one: &&Known<'_>| args.name.as_ref().is_none_or(|name| one.name() == name) && (!args.open || one.is_open());
    let found: Vec<&Known<'_>> = incidents.all.iter().filter(wanted).collect();
    if let Some(name) = args.name.as_ref().filter(|_| found.is_empty() && !args.open) {
        anyhow::bail!("nobody has opened {name}");
    }
    if args.look.json {
        let all: Value = found.iter().map(|one| to_json(one)).collect();
        say!("{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(Exit::Yes);
    }
    for one in found {
        in_words(one)?;
    }
    Ok(Exit::Yes)
}

fn in_words(one: &Known<'_>) -> std::io::Result<()> {
    let said = &one.opened.said;
    let end = one.closed.map_or("open".to_owned(), |closed| closed.said.outcome.as_str().to_owned());
    row!("{} {} in {}: {end}: {}", said.incident, said.severity.as_str(), said.environment, said.summary)?;
    let entries = one.timeline.iter().map(|entry| {
        let step = entry.said.step.as_str();
        (entry.said.happened_at, format!("{step}: {} ({})", entry.said.text, entry.person))
    });
    let restored = one
        .closed
        .map(|closed| (closed.said.restored_at, format!("restored: {} ({})", closed.said.summary, closed.person)));
    let mut lines: Vec<_> = entries.chain(restored).collect();
    // What people look for stands where it happened, a postmortem behind the end of it.
    lines.sort_by_key(|(at, _)| *at);
    row!("  {}  began", said.began_at)?;
    for (at, line) in lines {
        row!("  {at}  {line}")?;
    }
    if let Some((took, worked)) = one.rollback() {
        let word = if worked { "worked" } else { "failed" };
        row!("  the rollback {word} after {:.1} s", took.as_secs_f64())?;
    }
    if let Some(took) = one.time_to_restore() {
        row!("  restored after {:.1} s", took.as_secs_f64())?;
    }
    Ok(())
}

fn to_json(one: &Known<'_>) -> Value {
    json!({
        "opened": one.opened.said,
        "timeline": one.timeline.iter().map(|entry| &entry.said).collect::<Vec<_>>(),
        "closed": one.closed.map(|closed| &closed.said),
        "rollback_seconds": one.rollback().map(|(took, _)| took.as_secs_f64()),
        "rollback_worked": one.rollback().map(|(_, worked)| worked),
        "restored_after_seconds": one.time_to_restore().map(|took| took.as_secs_f64()),
    })
}
