//! Making a bundle from a registry.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Bundle, Entry, Past};
use crate::checkpoint::SignedCheckpoint;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::merkle;
use crate::record::{Record, entry, named};
use crate::registry::{Query, Registry};

/// So many of the last checkpoints can be held by a verifier without the maker knowing of it.
const PAST: usize = 16;

/// Entries that are read at once.
const PAGE: u64 = 1024;

impl Registry {
    /// Bundles what the log says about `subject`, as of its newest checkpoint: the entries about it, the entry of that
    /// digest, and what those name. It also proves that the log began as in its last 16 checkpoints, and as in those of
    /// `since`, for verifiers that hold one of them.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] where nothing is about `subject`, where something is that no checkpoint covers yet, or
    /// where there is none; [`ErrorKind::Forked`] where the log is not what a checkpoint of `since` covers; those of
    /// [`Registry::record`].
    pub fn bundle(&self, subject: &Digest, since: &[SignedCheckpoint]) -> Result<Bundle, Error> {
        self.at_one_moment(|| self.about(subject, since))
    }

    fn about(&self, subject: &Digest, since: &[SignedCheckpoint]) -> Result<Bundle, Error> {
        let mut waiting: VecDeque<Record> = self.find(&Query::new().about(*subject))?.into();
        waiting.extend(self.record(subject)?);
        if waiting.is_empty() {
            return Err(Error::new(ErrorKind::Missing, format!("the log says nothing about {subject}")));
        }
        let mut records: BTreeMap<u64, Record> = BTreeMap::new();
        let mut contents: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
        let mut known: BTreeSet<Digest> = BTreeSet::new();
        while let Some(record) = waiting.pop_front() {
            let mut names: Vec<Digest> = named(record.envelope.payload()).into_iter().collect();
            records.insert(record.index, record);
            while let Some(name) = names.pop() {
                if !known.insert(name) {
                    continue;
                }
                waiting.extend(self.record(&name)?.filter(|record| !records.contains_key(&record.index)));
                if let Some(bytes) = self.content(&name)? {
                    names.extend(named(&bytes));
                    contents.insert(name, bytes);
                }
            }
        }
        let checkpoint = self.newest_checkpoint()?;
        let size = checkpoint.unverified().size;
        if let Some(index) = records.keys().find(|index| **index >= size) {
            let message = format!("entry {index} is newer than the checkpoint of {size} entries; sign a new one");
            return Err(Error::new(ErrorKind::Missing, message));
        }
        let mut entries = Vec::new();
        for (index, record) in records {
            let proof = merkle::inclusion(index, size, &mut |level, place| self.node(level, place))?;
            entries.push(Entry { index, proof, body: entry(record.at, &record.envelope)? });
        }
        let past = self.past(size, since)?;
        Ok(Bundle { about: Some(*subject), checkpoint, past, entries, contents: contents.into_iter().collect() })
    }

    /// Bundles the whole log as of its newest checkpoint, with every content that it names. From all entries a verifier
    /// sees that none is left out, and can compare with any checkpoint it holds.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] without a checkpoint; those of [`Registry::record`].
    pub fn bundle_all(&self) -> Result<Bundle, Error> {
        self.at_one_moment(|| self.whole())
    }

    fn whole(&self) -> Result<Bundle, Error> {
        let checkpoint = self.newest_checkpoint()?;
        let size = checkpoint.unverified().size;
        let (mut entries, mut contents, mut known) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for begin in (0..size).step_by(usize::try_from(PAGE).unwrap_or(usize::MAX)) {
            for record in self.records(begin..size.min(begin + PAGE))? {
                let mut names: Vec<Digest> = named(record.envelope.payload()).into_iter().collect();
                while let Some(name) = names.pop() {
                    if known.insert(name)
                        && let Some(bytes) = self.content(&name)?
                    {
                        names.extend(named(&bytes));
                        contents.insert(name, bytes);
                    }
                }
                let body = entry(record.at, &record.envelope)?;
                entries.push(Entry { index: record.index, proof: Vec::new(), body });
            }
        }
        Ok(Bundle { about: None, checkpoint, past: Vec::new(), entries, contents: contents.into_iter().collect() })
    }

    fn newest_checkpoint(&self) -> Result<SignedCheckpoint, Error> {
        let newest = self.checkpoints()?.pop();
        newest.ok_or_else(|| {
            Error::new(ErrorKind::Missing, "the log has no checkpoint yet; sign one: townlet log checkpoint --sign KEY")
        })
    }

    fn past(&self, size: u64, since: &[SignedCheckpoint]) -> Result<Vec<Past>, Error> {
        let mut sizes = BTreeMap::new();
        let kept = self.checkpoints()?;
        for checkpoint in kept.iter().rev().take(PAST + 1).chain(since) {
            let says = checkpoint.unverified();
            if says.size > size || self.root_at(says.size)? != says.root {
                let message = format!(
                    "the log, of {size} entries at its newest checkpoint, does not begin as in the checkpoint of {} ({})",
                    says.size, says.at
                );
                return Err(Error::new(ErrorKind::Forked, message));
            }
            sizes.insert(says.size, says.root);
        }
        let older = sizes.into_iter().filter(|(old, _)| (1..size).contains(old));
        let past = older.map(|(old, root)| {
            let proof = merkle::consistency(old, size, &mut |level, place| self.node(level, place))?;
            Ok(Past { size: old, root, proof })
        });
        past.collect()
    }
}
