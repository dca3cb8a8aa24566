//! Releases: manifests, what people sign about them, and the gate.

mod attest;
mod decisions;
mod gate;
mod init;
mod manifest;
mod place;
mod sequence;
mod sign;
mod vouch;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use townlet_registry::{Envelope, Error, ErrorKind, KeyRing, Predicate, Registry, Signer, Statement, Subject, Time};

use crate::exit::Failure;

pub(crate) use attest::{Attest, attest};
pub(crate) use decisions::{DiffArgs, Explain, ReplayDecision, diff, explain, replay};
pub(crate) use gate::{Gate, gate, gathered};
pub(crate) use init::{Init, init};
pub(crate) use manifest::{Manifest, run as manifest};
pub(crate) use sequence::{Release, release};
pub(crate) use sign::{Approve, Waive, approve, waive};

/// Where statements and decisions are kept.
#[derive(Debug, Args)]
pub(crate) struct Kept {
    /// The registry.
    #[arg(long, value_name = "FILE", default_value = "townlet-registry.db")]
    pub(crate) registry: PathBuf,
}

impl Kept {
    /// The registry, to look at.
    pub(crate) fn look(&self) -> anyhow::Result<Registry> {
        Registry::open_read_only(&self.registry).map_err(failure)
    }
}

/// Who signs, and where it is kept.
#[derive(Debug, Args)]
pub(crate) struct Signing {
    /// The secret key.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The key ring, which says whose key that is.
    #[arg(long, value_name = "FILE", default_value = "townlet-keys.json")]
    pub(crate) keys: PathBuf,
    #[command(flatten)]
    pub(crate) kept: Kept,
    /// Names the log, where the registry is made now.
    #[arg(long, value_name = "NAME", default_value = "townlet/releases")]
    pub(crate) origin: String,
}

/// A key, and whose it is.
pub(crate) struct Hand {
    pub(crate) signer: Signer,
    pub(crate) person: String,
}

impl Signing {
    /// The key, as the ring believes it at that time.
    pub(crate) fn hand(&self, at: Time) -> anyhow::Result<Hand> {
        let signer = Signer::read(&self.key).map_err(failure)?;
        let ring = ring(&self.keys)?;
        let person = ring.at(&signer.key_id(), at).map_err(failure)?.person.clone();
        Ok(Hand { signer, person })
    }

    /// The registry, made if there is none, or one that somebody was killed while making.
    pub(crate) fn registry(&self) -> anyhow::Result<Registry> {
        let made = match Registry::open(&self.kept.registry) {
            Err(error) if error.kind() == ErrorKind::Missing => Registry::create(&self.kept.registry, &self.origin),
            opened => opened,
        };
        made.map_err(failure)
    }
}

impl Hand {
    /// Signs a statement and keeps it. When this returns, it is on disk.
    pub(crate) fn say<P: Predicate>(
        &self,
        registry: &mut Registry,
        about: Subject,
        predicate: P,
    ) -> anyhow::Result<String> {
        let envelope = Envelope::sign(&Statement::about(about, predicate), &self.signer).map_err(failure)?;
        let receipt = registry.append(&envelope, now()).map_err(failure)?;
        Ok(receipt.digest.to_string())
    }
}

/// The time of this machine.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What is not there or cannot be read is unavailable, the rest is usage.
pub(crate) fn failure(error: Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::Missing | ErrorKind::Io | ErrorKind::Busy | ErrorKind::Damaged => error.into(),
        _ => Failure::usage(error),
    }
}

pub(crate) fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

pub(crate) fn text(path: &Path) -> anyhow::Result<String> {
    let bytes = bytes(path)?;
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{} is no UTF-8", path.display())))
}

pub(crate) fn ring(path: &Path) -> anyhow::Result<KeyRing> {
    KeyRing::from_json(&bytes(path)?).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// A manifest that can be read, from its file.
pub(crate) fn read_manifest(path: &Path) -> anyhow::Result<townlet_gate::manifest::Manifest> {
    let name = path.display().to_string();
    townlet_gate::manifest::read(&text(path)?, &name).map_err(Failure::usage)
}
