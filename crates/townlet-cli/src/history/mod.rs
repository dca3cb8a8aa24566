//! What became of releases: deployments, incidents, probes, configurations, figures, the checklist.

mod checklist;
mod config;
mod deploy;
mod dora;
mod incident;
mod readyz;
mod run;

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use townlet_gate::gate::on_one_row;
use townlet_history::History;
use townlet_registry::{Envelope, KeyRing, Predicate, Query, Record, Registry, Statement, Subject, Time};

use crate::exit::Failure;
use crate::keys::RingFile;
use crate::out::remark;
use crate::release::{Hand, Kept, failure, now, ring};

pub(crate) use checklist::{Checklist, checklist};
pub(crate) use config::{ReleaseConfig, release_config};
pub(crate) use deploy::{Deploy, deploy};
pub(crate) use dora::{Dora, dora};
pub(crate) use incident::{Incident, incident};
pub(crate) use readyz::{Readyz, readyz};

/// Everything of the log that is about what became of releases, in its order, as of a moment; without one, all that there
/// is: where this clock went back a little, the log is ahead of it. What does not count is said.
fn read(registry: &Registry, ring: &KeyRing, as_of: Option<Time>) -> anyhow::Result<History> {
    let mut records: Vec<Record> = Vec::new();
    for of in History::TYPES {
        records.extend(registry.find(&Query::new().of_type(of)).map_err(failure)?);
    }
    records.sort_by_key(|record| record.index);
    let history = History::read(&records, ring, as_of.unwrap_or(Time::from_ms(i64::MAX)));
    for one in &history.not_counted {
        remark!("entry {} does not count: {}", one.index, on_one_row(&one.why));
    }
    Ok(history)
}

impl Hand {
    /// Signs a statement about several things and keeps it. When this returns, it is on disk.
    fn say_about<P: Predicate>(
        &self,
        registry: &mut Registry,
        subjects: Vec<Subject>,
        predicate: P,
    ) -> anyhow::Result<String> {
        let envelope = Envelope::sign(&Statement { subjects, predicate }, &self.signer).map_err(failure)?;
        Ok(registry.append(&envelope, now()).map_err(failure)?.digest.to_string())
    }
}

/// So long before a moment.
fn before(at: Time, span: Duration) -> Time {
    Time::from_ms(at.as_ms().saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
}

/// A text with something in it.
fn something(name: &str, text: &str) -> anyhow::Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::usage(format!("{name} is empty")));
    }
    Ok(text.to_owned())
}

/// One of some words.
fn word<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    let known = all.iter().copied().find(|one| name(*one) == text);
    let words: Vec<&str> = all.iter().map(|one| name(*one)).collect();
    known.ok_or_else(|| format!("write one of {}", words.join(", ")))
}

/// For a command that only looks: whose word counts, where it is kept, and how the answer is wanted.
#[derive(Debug, Args)]
pub(crate) struct Look {
    /// Print JSON; what is unknown is null.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) ring: RingFile,
    #[command(flatten)]
    pub(crate) kept: Kept,
}

impl Look {
    fn registry(&self) -> anyhow::Result<Registry> {
        self.kept.look().with_context(|| "the log of releases is needed")
    }

    fn ring(&self) -> anyhow::Result<KeyRing> {
        ring(&self.ring.keys)
    }

    /// What became of releases, as far as it was said by then, or is said at all.
    pub(crate) fn history(&self, as_of: Option<Time>) -> anyhow::Result<History> {
        read(&self.registry()?, &self.ring()?, as_of)
    }
}
