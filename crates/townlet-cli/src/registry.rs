//! `townlet log`, `townlet bundle` and `townlet verify`: what was signed, and proving it to others.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use townlet_registry::{
    Bundle, Digest, Error, ErrorKind, KeyRing, Query, Record, Registry, Role, SignedCheckpoint, Vetted,
};

use crate::exit::{Exit, Failure};
use crate::keys::{RingFile, failure, log_signer, now, read_ring};
use crate::out::{remark, row, say, whole};
use crate::release::Kept;

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Read everything: hashes, signatures, checkpoints, contents. Exit 1 where something is wrong.
    Verify(LogVerify),
    /// The entries, oldest first.
    Show(LogShow),
    /// Sign the log as it stands, and print that. Give it to others: who holds it notices when something is taken back.
    Checkpoint(LogCheckpoint),
}

#[derive(Debug, Args)]
pub(crate) struct LogVerify {
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    ring: RingFile,
    /// A checkpoint that was kept elsewhere: the log must still have what it covers.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// What this verified before: signatures up to there are not verified again, if root and keys are the same. Written
    /// anew where the log is sound. Keep it where only you write.
    #[arg(long, value_name = "FILE", conflicts_with = "tree_only")]
    vetted: Option<PathBuf>,
    /// Only hashes and checkpoints: that the entries are those that the log signed, not who signed each of them.
    #[arg(long)]
    tree_only: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogShow {
    #[command(flatten)]
    kept: Kept,
    /// Only entries about what has this digest.
    #[arg(long, value_name = "DIGEST")]
    about: Option<Digest>,
    /// Only entries about what goes by this name.
    #[arg(long)]
    name: Option<String>,
    /// Only entries of this predicate type.
    #[arg(long = "type", value_name = "URI")]
    predicate_type: Option<String>,
    /// Print whole entries, a JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogCheckpoint {
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    ring: RingFile,
    /// The secret key of the log. The ring has to believe it in the role `log`.
    #[arg(long, value_name = "KEY")]
    sign: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// What it is to be about: a digest (sha256:…), or the name of a subject.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    subject: Option<String>,
    /// The whole log: whoever verifies it sees that nothing was left out.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    kept: Kept,
    /// Sign a new checkpoint first, with the secret key of the log. Without it the newest one is used.
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    ring: RingFile,
    /// Also prove that the log began as in this checkpoint. May be repeated; the last 16 are proved anyway.
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    since: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The bundle. Nothing else is read, and no network is used.
    file: PathBuf,
    /// The keys that you believe: from where you trust it, not from whom the bundle is from.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// A checkpoint that you kept: the log must still have what it covers.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Print what was verified as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn log(what: &Log) -> anyhow::Result<Exit> {
    match what {
        Log::Verify(args) => verify_log(args),
        Log::Show(args) => show(args),
        Log::Checkpoint(args) => {
            let signer = log_signer(&args.sign, &args.ring.keys)?;
            let mut registry = Registry::open(&args.kept.registry).map_err(refused)?;
            let signed = registry.checkpoint(&signer, now()).map_err(refused)?;
            whole(signed.to_string().as_bytes())?;
            Ok(Exit::Yes)
        }
    }
}

/// What is damaged or does not verify is an answer: no.
fn refused(error: Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::Missing | ErrorKind::Io | ErrorKind::Busy => error.into(),
        _ => Failure { exit: Exit::No, message: error.to_string() }.into(),
    }
}

fn read_checkpoint(path: &Path) -> anyhow::Result<SignedCheckpoint> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    SignedCheckpoint::parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn read_vetted(path: &Path) -> anyhow::Result<Vetted> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Vetted::from_bytes(&bytes).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Whole or not at all: a torn one would be refused the next time.
fn keep(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let beside = path.with_added_extension("new");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).with_context(|| path.display().to_string())
}

fn verify_log(args: &LogVerify) -> anyhow::Result<Exit> {
    let ring = read_ring(&args.ring.keys)?;
    let held = args.checkpoint.as_deref().map(read_checkpoint).transpose()?;
    let registry = Registry::open_read_only(&args.kept.registry).map_err(refused)?;
    let before = args.vetted.as_deref().filter(|path| path.exists()).map(read_vetted).transpose()?;
    let report = match &before {
        _ if args.tree_only => registry.verify_tree(&ring, held.as_ref()),
        Some(before) => registry.verify_since(&ring, held.as_ref(), before),
        None => registry.verify(&ring, held.as_ref()),
    };
    let report = report.map_err(refused)?;
    let sound = report.findings.is_empty();
    if let (Some(path), Some(now)) = (&args.vetted, report.to_keep(&ring).map_err(failure)?) {
        keep(path, &now.to_bytes().map_err(failure)?)?;
    }
    if args.json {
        let findings: Value = report
            .findings
            .iter()
            .map(|found| json!({"kind": format!("{:?}", found.kind), "what": found.what}))
            .collect();
        let report = json!({
            "origin": report.origin, "sound": sound, "entries": report.size, "root": report.root,
            "signatures": report.signatures, "vetted": report.vetted, "checkpoints": report.checkpoints, "contents": report.contents,
            "findings": findings,
        });
        say!("{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        for finding in &report.findings {
            row!("{finding}")?;
        }
        let word = if sound { "sound" } else { "NOT sound" };
        if report.vetted > 0 {
            remark!("the signatures of the first {} entries were verified before", report.vetted);
        }
        say!(
            "{}: {word}; {} entries with {} signatures, {} checkpoints, {} contents; root {}",
            report.origin,
            report.size,
            report.signatures,
            report.checkpoints,
            report.contents,
            report.root
        )?;
    }
    Ok(if sound { Exit::Yes } else { Exit::No })
}

fn show(args: &LogShow) -> anyhow::Result<Exit> {
    let registry = Registry::open_read_only(&args.kept.registry).map_err(refused)?;
    let mut query = Query::new();
    if let Some(subject) = args.about {
        query = query.about(subject);
    }
    if let Some(name) = &args.name {
        query = query.named(name);
    }
    if let Some(predicate_type) = &args.predicate_type {
        query = query.of_type(predicate_type);
    }
    for record in registry.find(&query).map_err(refused)? {
        if args.json {
            say!("{}", of_record(&record)?)?;
        } else {
            let head = record.envelope.head().map_err(refused)?;
            let names: Vec<&str> = head.subjects.iter().map(|subject| subject.name.as_str()).collect();
            let (index, at, digest) = (record.index, record.at, record.digest);
            row!("{index}  {at}  {}  about {}  {digest}", head.predicate_type, names.join(", "))?;
        }
    }
    Ok(Exit::Yes)
}

fn of_record(record: &Record) -> anyhow::Result<Value> {
    let statement: Value = serde_json::from_slice(record.envelope.payload())?;
    let keys: Vec<_> = record.envelope.signatures().iter().map(|signature| signature.key).collect();
    let (index, at, digest) = (record.index, record.at, record.digest);
    Ok(json!({"index": index, "at": at, "digest": digest, "signed_by": keys, "statement": statement}))
}

pub(crate) fn bundle(args: &BundleArgs) -> anyhow::Result<Exit> {
    let path = &args.kept.registry;
    let registry = match &args.sign {
        None => Registry::open_read_only(path).map_err(refused)?,
        Some(key) => {
            let signer = log_signer(key, &args.ring.keys)?;
            let mut registry = Registry::open(path).map_err(refused)?;
            registry.checkpoint(&signer, now()).map_err(refused)?;
            registry
        }
    };
    let bundle = match &args.subject {
        None => registry.bundle_all(),
        Some(subject) => {
            let since = args.since.iter().map(|path| read_checkpoint(path)).collect::<anyhow::Result<Vec<_>>>()?;
            registry.bundle(&resolve(&registry, subject)?, &since)
        }
    };
    whole(&bundle.map_err(refused)?.to_bytes())?;
    Ok(Exit::Yes)
}

/// The digest that a subject is asked for by.
fn resolve(registry: &Registry, subject: &str) -> anyhow::Result<Digest> {
    if subject.starts_with(Digest::PREFIX) {
        return subject.parse().map_err(failure);
    }
    let mut digests = Vec::new();
    for record in registry.find(&Query::new().named(subject)).map_err(refused)? {
        let head = record.envelope.head().map_err(refused)?;
        digests.extend(head.subjects.into_iter().filter(|found| found.name == subject).map(|found| found.digest));
    }
    digests.sort();
    digests.dedup();
    match digests.as_slice() {
        [digest] => Ok(*digest),
        [] => anyhow::bail!("the log says nothing about `{subject}`"),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Failure::usage(format!("several things are called `{subject}`; say which: {}", several.join(", "))))
        }
    }
}

pub(crate) fn verify(args: &Verify) -> anyhow::Result<Exit> {
    let ring: KeyRing = read_ring(&args.keys)?;
    let held = args.checkpoint.as_deref().map(read_checkpoint).transpose()?;
    let bytes = fs::read(&args.file).with_context(|| args.file.display().to_string())?;
    let bundle = Bundle::parse(&bytes).map_err(refused)?;
    let verified = bundle.verify(&ring, held.as_ref()).map_err(refused)?;
    if held.is_none() {
        remark!("no --checkpoint: whether the log still has what it once had was not looked at");
    }
    let says = &verified.checkpoint;
    if args.json {
        let entries = verified.entries.iter().map(|entry| {
            let mut value = of_record(&entry.record)?;
            value["signed_by"] = entry
                .signed_by
                .iter()
                .map(|who| json!({"key": who.key, "person": who.person, "roles": who.roles}))
                .collect();
            Ok(value)
        });
        let report = json!({
            "about": verified.about, "origin": says.origin, "log_entries": says.size, "root": says.root, "at": says.at,
            "entries": entries.collect::<anyhow::Result<Value>>()?,
            "contents": verified.contents.keys().collect::<Vec<_>>(), "absent": verified.absent,
            "checkpoint_held": held.is_some(),
        });
        say!("{}", serde_json::to_string_pretty(&report)?)?;
        return Ok(Exit::Yes);
    }
    let about = verified.about.map_or("the whole log".to_owned(), |about| about.to_string());
    say!("{}: {about}, as of {} entries at {}", says.origin, says.size, says.at)?;
    for entry in &verified.entries {
        let head = entry.record.envelope.head().map_err(refused)?;
        let people: Vec<String> = entry
            .signed_by
            .iter()
            .map(|who| {
                let roles: Vec<&str> = who.roles.iter().map(Role::as_str).collect();
                format!("{} ({})", who.person, roles.join(", "))
            })
            .collect();
        let (index, at) = (entry.record.index, entry.record.at);
        row!("  entry {index}  {at}  {}  by {}", head.predicate_type, people.join(" and "))?;
    }
    say!("  {} contents; {} digests are named and not here", verified.contents.len(), verified.absent.len())?;
    Ok(Exit::Yes)
}
