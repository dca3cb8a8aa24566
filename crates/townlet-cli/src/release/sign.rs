//! `townlet approve` and `townlet waive`: what people sign about a release.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use townlet_gate::statement::{Approval, Ground, Waiver};
use townlet_policy::parse_duration;
use townlet_registry::{Role, Subject, Time};
use townlet_release::telemetry::Signed;

use super::{Signing, failure, now, read_manifest};
use crate::exit::{Exit, Failure};
use crate::out::{remark, say};
use crate::telling::{BOARD, Telling};

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
    #[command(flatten)]
    telling: Telling,
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
    #[command(flatten)]
    telling: Telling,
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
    let artifact = manifest.digest().map_err(failure)?;
    let name = hand.say(&mut args.signing.registry()?, Subject::new(&manifest.release, artifact), approval)?;
    let teller = args.telling.start(&[Path::new(BOARD)]);
    teller.signed(&Signed {
        manifest: &manifest,
        artifact,
        actor: &hand.person,
        change_type: "approval",
        environment: &args.env,
        role: Some(args.role.as_str()),
        policies: &[],
        statement: &name,
    });
    remark!("{} approved {} for {} as {}", hand.person, manifest.release, args.env, args.role);
    let said = say!("{name}");
    teller.end();
    said?;
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
    let artifact = manifest.digest().map_err(failure)?;
    let name = hand.say(&mut args.signing.registry()?, Subject::new(&manifest.release, artifact), waiver)?;
    let teller = args.telling.start(&[Path::new(BOARD)]);
    teller.signed(&Signed {
        manifest: &manifest,
        artifact,
        actor: &hand.person,
        change_type: "waiver",
        environment: &args.env,
        role: None,
        policies: &args.policies,
        statement: &name,
    });
    remark!("{} waived {} for {} until {until}", hand.person, args.policies.join(", "), manifest.release);
    let said = say!("{name}");
    teller.end();
    said?;
    Ok(Exit::Yes)
}
