//! `townlet gate`: may this release go there?

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use townlet_gate::gate::{Board, Decision, Inputs, LogHead, Verdict, explain};
use townlet_gate::manifest as release;
use townlet_gate::statement::{Attestation, Body, IncidentClosed, IncidentOpened};
use townlet_registry::{Digest, Envelope, Predicate, Query, Registry, Subject, Time};
use townlet_release::telemetry::{Decided, Nanos, Recorder};

use super::{Signing, bytes, failure, now};
use crate::exit::{Exit, Failure};
use crate::out::say;
use crate::telling::{BOARD, Telling};

#[derive(Debug, Args)]
pub(crate) struct Gate {
    /// The manifest.
    pub(super) manifest: PathBuf,
    /// Where the release wants to go.
    #[arg(long)]
    pub(super) env: String,
    /// As of this time (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    pub(super) as_of: Option<Time>,
    /// What each environment demands.
    #[arg(long, value_name = "FILE", default_value = BOARD)]
    pub(super) board: PathBuf,
    /// The policies.
    #[arg(long, value_name = "FILE", default_value = "policies.yaml")]
    pub(super) policy: PathBuf,
    /// What was measured. Without it, no policy about a metric holds.
    #[arg(long, value_name = "FILE")]
    pub(super) samples: Option<PathBuf>,
    /// Print the stored decision, canonical JSON, in place of words.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) signing: Signing,
    #[command(flatten)]
    pub(super) telling: Telling,
}

pub(crate) fn gate(args: &Gate) -> anyhow::Result<Exit> {
    let teller = args.telling.start(&[&args.board]);
    let answer = answer(args, &teller);
    // Whoever waits for the answer has it by now.
    teller.end();
    answer
}

fn answer(args: &Gate, recorder: &Recorder) -> anyhow::Result<Exit> {
    let (decision, digest) = decide(args, recorder)?;
    if args.json {
        say!("{}", String::from_utf8_lossy(&decision.to_bytes().map_err(failure)?))?;
    } else {
        say!("{}decision {digest}", explain(&decision))?;
    }
    Ok(exit(&decision))
}

/// Decides, and keeps the decision with all that it rests on; returns it with its digest.
pub(super) fn decide(args: &Gate, recorder: &Recorder) -> anyhow::Result<(Decision, Digest)> {
    let (at, start) = (now(), Nanos::from(SystemTime::now()));
    let hand = args.signing.hand(at)?;
    let mut registry = args.signing.registry()?;
    // A manifest that is not there is a reason, not a slip: the pipeline before this one made none.
    let manifest = if args.manifest.exists() { Some(bytes(&args.manifest)?) } else { None };
    let samples = args.samples.as_deref().map(bytes).transpose()?;
    let board = bytes(&args.board)?;
    let (statements, log) = gathered(&registry, manifest.as_deref(), &board, &args.env)?;
    let inputs = Inputs {
        statements,
        log: Some(log),
        manifest,
        board,
        policy: bytes(&args.policy)?,
        keys: bytes(&args.signing.keys)?,
        samples,
    };
    let decision = inputs.decide(&args.env, args.as_of.unwrap_or(at)).map_err(Failure::usage)?;
    for (_, bytes) in inputs.parts() {
        registry.store(bytes).map_err(failure)?;
    }
    let digest = registry.store(&decision.to_bytes().map_err(failure)?).map_err(failure)?;
    let subject =
        Subject::new(decision.release.as_deref().unwrap_or("no manifest"), decision.manifest.unwrap_or(digest));
    let before = if recorder.is_on() { last(&registry, &args.env) } else { None };
    // On disk before anybody hears of it.
    hand.say(&mut registry, subject, decision.clone())?;
    recorder.gate(&Decided {
        decision: &decision,
        digest,
        manifest: inputs.manifest.as_deref().and_then(readable).as_ref(),
        before: before.as_ref(),
        actor: &hand.person,
        start,
        end: SystemTime::now().into(),
    });
    Ok((decision, digest))
}

/// The exit code of a decision.
pub(super) fn exit(decision: &Decision) -> Exit {
    match decision.verdict {
        Verdict::Approve => Exit::Yes,
        Verdict::WaiverRequired => Exit::WaiverRequired,
        Verdict::Reject if decision.only_unknown() => Exit::Unavailable,
        Verdict::Reject => Exit::Rejected,
    }
}

/// The last decision about an environment. One that cannot be read is none: this is for telemetry alone.
fn last(registry: &Registry, environment: &str) -> Option<Decision> {
    let query = Query::new().of_type(Decision::TYPE);
    let records = registry.find(&query).ok()?;
    let mut decisions = records.iter().rev().filter_map(|record| Some(record.envelope.statement().ok()?.predicate));
    decisions.find(|decision: &Decision| decision.environment == environment)
}

fn readable(manifest: &[u8]) -> Option<release::Manifest> {
    release::read(std::str::from_utf8(manifest).ok()?, "manifest").ok()
}

/// What the log has to say about the manifest, its scorecard and its rollback plan, what speaks against it too, and about
/// people and incidents that the board asks about; with the log as it stood.
pub(crate) fn gathered(
    registry: &Registry,
    manifest: Option<&[u8]>,
    board: &[u8],
    environment: &str,
) -> anyhow::Result<(Vec<Vec<u8>>, LogHead)> {
    let size = registry.size().map_err(failure)?;
    let root = registry.root_at(size).map_err(failure)?;
    let log = LogHead { origin: registry.origin().to_owned(), size, root };
    let mut all = Vec::new();
    let mut take = |query: Query, wanted: &dyn Fn(&Envelope) -> bool| -> anyhow::Result<()> {
        // What came in meanwhile is not of the log as it stood.
        for record in registry.find(&query).map_err(failure)?.iter().filter(|record| record.index < size) {
            if wanted(&record.envelope) {
                all.push(record.envelope.to_vec().map_err(failure)?);
            }
        }
        Ok(())
    };
    if let Some(read) = manifest.and_then(readable) {
        let plan = read.rollback_plan.digest().map_err(failure)?;
        let subjects: [Digest; 3] = [read.digest().map_err(failure)?, read.readiness.scorecard.digest, plan];
        for subject in subjects {
            // Earlier decisions and what became of them are no evidence.
            take(Query::new().about(subject), &|envelope| !matches!(Body::read(envelope), Ok(None)))?;
        }
    }
    let board = std::str::from_utf8(board).ok().and_then(|text| Board::read(text, "change-board.yaml").ok());
    let Some(demands) = board.and_then(|mut board| board.environments.remove(environment)) else {
        return Ok((all, log));
    };
    let read =
        |envelope: &Envelope| Body::read(envelope).ok().flatten().filter(|body| demands.concerns(environment, body));
    for of in [Attestation::TYPE, IncidentOpened::TYPE] {
        take(Query::new().of_type(of), &|envelope| read(envelope).is_some())?;
    }
    let opened = registry.find(&Query::new().of_type(IncidentOpened::TYPE)).map_err(failure)?;
    let names = opened.iter().filter_map(|record| match read(&record.envelope) {
        Some(Body::IncidentOpened(opened)) => Some(opened.incident),
        _ => None,
    });
    let names: BTreeSet<String> = names.collect();
    take(
        Query::new().of_type(IncidentClosed::TYPE),
        &|envelope| matches!(read(envelope), Some(Body::IncidentClosed(closed)) if names.contains(&closed.incident)),
    )?;
    Ok((all, log))
}
