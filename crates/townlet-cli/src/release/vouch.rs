//! `townlet attest training`, `rota` and `item`: what somebody vouches for, for a time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use townlet_gate::statement::{Attestation, AttestationKind, person_subject};
use townlet_policy::parse_duration;
use townlet_registry::{Subject, Time};

use super::{Signing, bytes, failure, now, read_manifest, ring};
use crate::exit::{Exit, Failure};
use crate::history::Look;
use crate::out::{remark, row, say};

/// For how long, and what shows it.
#[derive(Debug, Args)]
pub(crate) struct Vouch {
    /// From when on it holds (RFC 3339); now without it. For a training, when it was completed.
    #[arg(long, value_name = "TIME")]
    from: Option<Time>,
    /// For how long from then (`8h`, `365d`).
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    lasting: Duration,
    /// What shows it, in words or as an address.
    #[arg(long)]
    note: String,
    /// A file that shows it. It is kept.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct VouchFor {
    /// What for: deployment-runbook, sre, as change-board.yaml has it.
    topic: String,
    /// Whom it is about, as the key ring names them.
    #[arg(long)]
    person: String,
    #[command(flatten)]
    vouch: Vouch,
}

#[derive(Debug, Args)]
pub(crate) struct VouchItem {
    /// What was looked at, as change-board.yaml has it: dashboards.
    topic: String,
    /// The manifest of the release.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    #[command(flatten)]
    vouch: Vouch,
}

#[derive(Debug, Args)]
pub(crate) struct VouchShow {
    /// Only of this person.
    #[arg(long)]
    person: Option<String>,
    /// Only for this.
    #[arg(long)]
    topic: Option<String>,
    /// As of this time (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    as_of: Option<Time>,
    #[command(flatten)]
    look: Look,
}

pub(super) fn show(args: &VouchShow) -> anyhow::Result<Exit> {
    let as_of = args.as_of.unwrap_or_else(now);
    let history = args.look.history(args.as_of)?;
    let wanted = history.attestations.iter().map(|told| &told.said).filter(|said| {
        args.person.as_ref().is_none_or(|person| said.person.as_ref() == Some(person))
            && args.topic.as_ref().is_none_or(|topic| said.topic == *topic)
    });
    let state = |said: &Attestation| match as_of {
        _ if as_of < said.valid_from => "not yet",
        _ if said.valid_until <= as_of => "expired",
        _ => "valid",
    };
    let found: Vec<&Attestation> = wanted.collect();
    if args.look.json {
        let all = found.iter().map(|said| json!({ "state": state(said), "attestation": said }));
        say!("{}", serde_json::to_string_pretty(&all.collect::<Value>())?)?;
        return Ok(Exit::Yes);
    }
    for said in found {
        let whom = said.person.as_deref().unwrap_or("a release");
        let (kind, topic, from, until) = (said.kind.as_str(), &said.topic, said.valid_from, said.valid_until);
        row!("{:<8} {kind}:{topic} of {whom}, from {from} until {until}, by {}", state(said), said.actor)?;
    }
    Ok(Exit::Yes)
}

pub(super) fn person(kind: AttestationKind, args: &VouchFor) -> anyhow::Result<Exit> {
    let ring = ring(&args.vouch.signing.keys)?;
    if ring.keys().all(|(_, key)| key.person != args.person) {
        return Err(Failure::usage(format!("the key ring knows nobody called {}", args.person)));
    }
    let about = person_subject(&args.person).map_err(failure)?;
    vouch(kind, &args.topic, Some(&args.person), about, &args.vouch)
}

pub(super) fn item(args: &VouchItem) -> anyhow::Result<Exit> {
    let manifest = read_manifest(&args.manifest)?;
    let about = Subject::new(&manifest.release, manifest.digest().map_err(failure)?);
    vouch(AttestationKind::Item, &args.topic, None, about, &args.vouch)
}

fn vouch(
    kind: AttestationKind,
    topic: &str,
    person: Option<&str>,
    about: Subject,
    args: &Vouch,
) -> anyhow::Result<Exit> {
    let at = now();
    let hand = args.signing.hand(at)?;
    if person == Some(hand.person.as_str()) {
        return Err(Failure::usage(format!("{} cannot vouch for themselves: it would not count", hand.person)));
    }
    for (name, text) in [("the topic", topic), ("--note", args.note.as_str())] {
        if text.trim().is_empty() {
            return Err(Failure::usage(format!("{name} is empty")));
        }
    }
    let valid_from = args.from.unwrap_or(at);
    let lasting = i64::try_from(args.lasting.as_millis()).unwrap_or(i64::MAX);
    let mut registry = args.signing.registry()?;
    let keep = |path: &Path| -> anyhow::Result<_> { registry.store(&bytes(path)?).map_err(failure) };
    let evidence = args.evidence.as_deref().map(keep).transpose()?;
    let attestation = Attestation {
        kind,
        topic: topic.to_owned(),
        person: person.map(str::to_owned),
        valid_from,
        valid_until: Time::from_ms(valid_from.as_ms().saturating_add(lasting)),
        note: args.note.trim().to_owned(),
        evidence,
        actor: hand.person.clone(),
        at,
    };
    let until = attestation.valid_until;
    let whom = person.unwrap_or(&about.name).to_owned();
    let name = hand.say(&mut registry, about, attestation)?;
    remark!("{} attested {}:{topic} of {whom}, from {valid_from} until {until}", hand.person, kind.as_str());
    say!("{name}")?;
    Ok(Exit::Yes)
}
