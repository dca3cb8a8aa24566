//! `townlet gate`: may this release go there?

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use townlet_gate::gate::{Decision, Inputs, Verdict, explain};
use townlet_gate::manifest as release;
use townlet_registry::{Digest, Query, Registry, Subject, Time};
use townlet_release::telemetry::{Decided, Nanos, Recorder};

use super::{Signing, bytes, failure, now};
use crate::exit::{Exit, Failure};
use crate::out::say;
use crate::telling::Telling;

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
    #[arg(long, value_name = "FILE", default_value = "change-board.yaml")]
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
    let teller = args.telling.start(None);
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
    let inputs = Inputs {
        statements: statements(&registry, manifest.as_deref())?,
        manifest,
        board: bytes(&args.board)?,
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
    let before = if recorder.is_on() { last(&registry, &args.env)? } else { None };
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
fn last(registry: &Registry, environment: &str) -> anyhow::Result<Option<Decision>> {
    let query = Query::new().of_type(<Decision as townlet_registry::Predicate>::TYPE);
    let records = registry.find(&query).map_err(failure)?;
    let mut decisions = records.iter().rev().filter_map(|record| Some(record.envelope.statement().ok()?.predicate));
    Ok(decisions.find(|decision: &Decision| decision.environment == environment))
}

fn readable(manifest: &[u8]) -> Option<release::Manifest> {
    release::read(std::str::from_utf8(manifest).ok()?, "manifest").ok()
}

/// Everything that the log has about the manifest, its scorecard and its rollback plan: what speaks against it too.
fn statements(registry: &Registry, manifest: Option<&[u8]>) -> anyhow::Result<Vec<Vec<u8>>> {
    let Some(read) = manifest.and_then(readable) else { return Ok(Vec::new()) };
    let plan = read.rollback_plan.digest().map_err(failure)?;
    let subjects: [Digest; 3] = [read.digest().map_err(failure)?, read.readiness.scorecard.digest, plan];
    let mut all = Vec::new();
    for subject in subjects {
        for record in registry.find(&Query::new().about(subject)).map_err(failure)? {
            // Earlier decisions are no evidence.
            let head = record.envelope.head().map_err(failure)?;
            if head.predicate_type != <Decision as townlet_registry::Predicate>::TYPE {
                all.push(record.envelope.to_vec().map_err(failure)?);
            }
        }
    }
    Ok(all)
}
