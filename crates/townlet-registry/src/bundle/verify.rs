//! Checking a bundle: pure, from its bytes, the verifier's keys, and what the verifier holds.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::thread;

use super::{Bundle, Entry, is_about};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::keys::{KeyRing, Signatory};
use crate::merkle;
use crate::record::{Record, named};

/// With fewer entries than this, a thread costs more than it saves.
const WORTH_A_THREAD: usize = 64;

/// An entry that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched<'a> {
    /// The entry.
    pub record: Record,
    /// Who signed it, as of when the log took it in.
    pub signed_by: Vec<Signatory<'a>>,
}

/// A bundle that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<'a> {
    /// What it is about; `None` is the whole log.
    pub about: Option<Digest>,
    /// The log that it is from, and as of when.
    pub checkpoint: Checkpoint,
    /// Its entries, in the order of the log.
    pub entries: Vec<Vouched<'a>>,
    /// Bytes that they name.
    pub contents: BTreeMap<Digest, Vec<u8>>,
    /// Digests that stand in the entries and contents, and whose bytes are not in the bundle: artifacts, for example.
    pub absent: BTreeSet<Digest>,
}

impl Bundle {
    /// Verifies everything in it, with no I/O and no clock: entries are in the log of the checkpoint and in their order,
    /// the checkpoint is signed by a log that `ring` believes, every signature of every entry is by a key that it
    /// believed when the log took the entry in, and nothing is there that does not belong. With `held`, a checkpoint
    /// that the verifier kept, the log must also have everything that this covers.
    ///
    /// What is cheap and fails for every change of a byte comes first: hashes, then signatures.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for entries or contents that are changed, moved or do not belong;
    /// [`ErrorKind::Signature`], [`ErrorKind::UnknownKey`], [`ErrorKind::KeyNotValid`]; [`ErrorKind::Forked`] for a log
    /// that is not the continuation of `held`; [`ErrorKind::Missing`] where the bundle has no proof about `held`: ask
    /// for one made since then.
    pub fn verify<'a>(&self, ring: &'a KeyRing, held: Option<&SignedCheckpoint>) -> Result<Verified<'a>, Error> {
        self.check_hashes()?;
        let (checkpoint, _) = self.checkpoint.verify(ring)?;
        if let Some(held) = held {
            self.check_held(held, ring)?;
        }
        let entries = vouch_all(&self.entries, ring)?;
        for pair in entries.windows(2) {
            if pair[1].record.at < pair[0].record.at {
                return Err(Error::malformed(format!("entry {}: is earlier than one before", pair[1].record.index)));
            }
        }
        let absent = self.check_belonging(&entries)?;
        let contents = self.contents.iter().cloned().collect();
        Ok(Verified { about: self.about, checkpoint: checkpoint.clone(), entries, contents, absent })
    }

    fn check_hashes(&self) -> Result<(), Error> {
        let Checkpoint { size, root, .. } = self.checkpoint.unverified();
        for pair in self.entries.windows(2) {
            if pair[1].index <= pair[0].index {
                return Err(Error::malformed(format!(
                    "entry {}: stands behind entry {}",
                    pair[1].index, pair[0].index
                )));
            }
        }
        if self.about.is_some() {
            for Entry { index, proof, body } in &self.entries {
                if merkle::root_by_inclusion(&merkle::leaf(body), *index, *size, proof) != Some(*root) {
                    let message =
                        format!("entry {index}: is not this in the log of {size} entries, or its proof is not");
                    return Err(Error::malformed(message));
                }
            }
        } else {
            self.check_whole()?;
        }
        for past in &self.past {
            if past.size == 0
                || past.size >= *size
                || !merkle::is_beginning(past.size, &past.root, *size, root, &past.proof)
            {
                let message = format!("the log of {size} entries is not shown to begin as stated at {}", past.size);
                return Err(Error::malformed(message));
            }
        }
        if let Some(pair) = self.past.windows(2).find(|pair| pair[1].size <= pair[0].size) {
            return Err(Error::malformed(format!("the earlier size {} stands twice or out of order", pair[1].size)));
        }
        for (digest, bytes) in &self.contents {
            if Digest::of(bytes) != *digest {
                return Err(Error::malformed(format!("content {digest}: has other bytes than its digest says")));
            }
        }
        if let Some(pair) = self.contents.windows(2).find(|pair| pair[1].0 <= pair[0].0) {
            return Err(Error::malformed(format!("content {}: stands twice or out of order", pair[1].0)));
        }
        Ok(())
    }

    /// Of the whole log every entry must be there, and together they must have its root.
    fn check_whole(&self) -> Result<(), Error> {
        let Checkpoint { size, root, .. } = self.checkpoint.unverified();
        let mut frontier = merkle::Frontier::new();
        for Entry { index, proof, body } in &self.entries {
            if *index != frontier.size() || !proof.is_empty() {
                return Err(Error::malformed(format!(
                    "entry {index}: entry {} without a proof belongs here",
                    frontier.size()
                )));
            }
            frontier.push(merkle::leaf(body), |_, _, _| {});
        }
        if frontier.size() != *size || frontier.root() != *root {
            let message = format!("the {} entries are not those of the checkpoint of {size}", frontier.size());
            return Err(Error::malformed(message));
        }
        if !self.past.is_empty() {
            return Err(Error::malformed("earlier sizes, although the whole log is here"));
        }
        Ok(())
    }

    fn check_held(&self, held: &SignedCheckpoint, ring: &KeyRing) -> Result<(), Error> {
        let (held, _) = held.verify(ring).map_err(|error| error.at("the checkpoint that is held"))?;
        let now = self.checkpoint.unverified();
        let forked = |what: String| Err(Error::new(ErrorKind::Forked, what));
        if held.origin != now.origin {
            return forked(format!(
                "the checkpoint that is held is of the log `{}`, this is `{}`",
                held.origin, now.origin
            ));
        }
        if now.size < held.size {
            return forked(format!(
                "the log has {} entries, but had {} at {}: it was cut off, or this bundle is older than the checkpoint",
                now.size, held.size, held.at
            ));
        }
        let root = if held.size == now.size {
            Some(now.root)
        } else if held.size == 0 {
            Some(Digest::of(b""))
        } else if self.about.is_none() {
            let mut frontier = merkle::Frontier::new();
            for entry in self.entries.iter().take_while(|entry| entry.index < held.size) {
                frontier.push(merkle::leaf(&entry.body), |_, _, _| {});
            }
            Some(frontier.root())
        } else {
            self.past.iter().find(|past| past.size == held.size).map(|past| past.root)
        };
        match root {
            None => Err(Error::new(
                ErrorKind::Missing,
                format!(
                    "nothing here proves what the log was at {} entries; ask for a bundle made since then",
                    held.size
                ),
            )),
            Some(root) if root != held.root => {
                forked(format!("the first {} entries are not those of the checkpoint that is held", held.size))
            }
            Some(_) => Ok(()),
        }
    }

    /// Nothing may be here that is not about the subject, or named by something that is. Returns what is named and is
    /// not here.
    fn check_belonging(&self, entries: &[Vouched<'_>]) -> Result<BTreeSet<Digest>, Error> {
        let by_digest: BTreeMap<Digest, usize> =
            entries.iter().enumerate().map(|(place, entry)| (entry.record.digest, place)).collect();
        let contents: BTreeMap<&Digest, &Vec<u8>> =
            self.contents.iter().map(|(digest, bytes)| (digest, bytes)).collect();
        let belongs = |entry: &Vouched<'_>| self.about.is_none_or(|about| is_about(&entry.record, &about));
        let mut open: Vec<usize> = (0..entries.len()).filter(|place| belongs(&entries[*place])).collect();
        let mut reached: BTreeSet<usize> = open.iter().copied().collect();
        let mut names: BTreeSet<Digest> = BTreeSet::new();
        while let Some(place) = open.pop() {
            let mut fresh: Vec<Digest> = named(entries[place].record.envelope.payload()).into_iter().collect();
            while let Some(name) = fresh.pop() {
                if !names.insert(name) {
                    continue;
                }
                fresh.extend(contents.get(&name).into_iter().flat_map(|bytes| named(bytes)));
                open.extend(by_digest.get(&name).filter(|place| reached.insert(**place)));
            }
        }
        if let Some(place) = (0..entries.len()).find(|place| !reached.contains(place)) {
            let index = entries[place].record.index;
            return Err(Error::malformed(format!(
                "entry {index}: is not about the subject, and nothing here names it"
            )));
        }
        if let Some((digest, _)) = self.contents.iter().find(|(digest, _)| !names.contains(digest)) {
            return Err(Error::malformed(format!("content {digest}: nothing here names it")));
        }
        names.retain(|name| !contents.contains_key(name) && !by_digest.contains_key(name));
        Ok(names)
    }
}

/// Reads and verifies entries, on every core where there are many. The error is that of the first that has one.
fn vouch_all<'a>(entries: &[Entry], ring: &'a KeyRing) -> Result<Vec<Vouched<'a>>, Error> {
    let vouch = |entries: &[Entry]| entries.iter().map(|entry| vouch(entry, ring)).collect::<Result<Vec<_>, _>>();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    if entries.len() < WORTH_A_THREAD || cores == 1 {
        return vouch(entries);
    }
    thread::scope(|scope| {
        let shares: Vec<_> =
            entries.chunks(entries.len().div_ceil(cores)).map(|share| scope.spawn(move || vouch(share))).collect();
        let mut vouched = Vec::with_capacity(entries.len());
        for share in shares {
            match share.join() {
                Ok(share) => vouched.extend(share?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(vouched)
    })
}

fn vouch<'a>(entry: &Entry, ring: &'a KeyRing) -> Result<Vouched<'a>, Error> {
    let record = Record::from_entry(entry.index, &entry.body)?;
    let place = |error: Error| error.at(format!("entry {}", entry.index));
    record.envelope.head().map_err(place)?;
    let signed_by = ring.verify(&record.envelope, record.at).map_err(place)?;
    Ok(Vouched { record, signed_by })
}
