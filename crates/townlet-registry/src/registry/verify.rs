//! Whether the file is what was written to it, from the first entry to the last.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::ops::Range;
use std::thread;

use rusqlite::params;

use super::{Registry, Vetted, sql};
use crate::checkpoint::SignedCheckpoint;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind};
use crate::keys::KeyRing;
use crate::merkle;
use crate::record::Record;
use crate::statement::Head;
use crate::time::Time;

/// Entries that are held in memory at once.
const BLOCK: usize = 4096;

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What a program can act on.
    pub kind: ErrorKind,
    /// The entry, checkpoint or content, and what is wrong with it.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// What [`Registry::verify`] looked at and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The name of the log.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of their tree, computed from the entries.
    pub root: Digest,
    /// How many signatures of entries were verified.
    pub signatures: u64,
    /// How many entries were [`Vetted`] before, so that their signatures were not verified again.
    pub vetted: u64,
    /// How many signed checkpoints were verified and compared.
    pub checkpoints: u64,
    /// How many contents were hashed.
    pub contents: u64,
    /// What is wrong; nothing, where the log is sound.
    pub findings: Vec<Finding>,
}

/// How much is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Tree,
    /// Everything, and signatures from this entry on.
    Signatures(u64),
}

impl Depth {
    fn verifies(self, index: u64) -> bool {
        matches!(self, Self::Signatures(from) if from <= index)
    }
}

impl Report {
    /// What a verifier may keep so that [`Registry::verify_since`] has less to do; nothing, where something is wrong, or
    /// signatures were not looked at.
    ///
    /// # Errors
    /// Those of [`KeyRing::digest`].
    pub fn to_keep(&self, ring: &KeyRing) -> Result<Option<Vetted>, Error> {
        if !self.findings.is_empty() || (self.vetted == 0 && self.signatures == 0) {
            return Ok(None);
        }
        let (origin, size, root) = (self.origin.clone(), self.size, self.root);
        Ok(Some(Vetted { origin, size, root, keys: ring.digest()? }))
    }
}

/// A row of `entry`.
struct Row {
    index: u64,
    at: i64,
    digest: [u8; 32],
    predicate_type: String,
    body: Vec<u8>,
}

/// What can be found out about a row alone.
struct Seen {
    leaf: Digest,
    at: Option<Time>,
    subjects: Vec<(Digest, String)>,
    signatures: u64,
    finding: Option<Finding>,
}

impl Registry {
    /// Reads everything: every entry is hashed into the tree, its signatures are verified as of when it came in, and
    /// its row and stored hashes are compared with it; every checkpoint must be signed by the log and have the root of
    /// that many entries; every content must have its digest. With `held`, a checkpoint that was kept elsewhere, the log
    /// must also still have what that covers.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where the file cannot be read to the end, [`ErrorKind::Io`], [`ErrorKind::Busy`]. What
    /// can be read and is wrong is a [`Finding`].
    pub fn verify(&self, ring: &KeyRing, held: Option<&SignedCheckpoint>) -> Result<Report, Error> {
        self.verify_to(Depth::Signatures(0), ring, held, None)
    }

    /// As [`Registry::verify`], but signatures of entries that were [`Vetted`] with this ring are not verified again.
    /// Everything else of them is. That the log does not begin with those entries any more is a [`Finding`], whatever
    /// the ring.
    ///
    /// # Errors
    /// Those of [`Registry::verify`].
    pub fn verify_since(
        &self,
        ring: &KeyRing,
        held: Option<&SignedCheckpoint>,
        vetted: &Vetted,
    ) -> Result<Report, Error> {
        if vetted.holds_for(&self.origin, ring)?
            && vetted.size <= self.size()?
            && self.root_at(vetted.size).is_ok_and(|root| root == vetted.root)
        {
            // The stored hashes say so; that the entries have them is seen on the way.
            let report = self.verify_to(Depth::Signatures(vetted.size), ring, held, Some(vetted))?;
            if report.vetted == vetted.size && report.findings.is_empty() {
                return Ok(report);
            }
        }
        self.verify_to(Depth::Signatures(0), ring, held, Some(vetted))
    }

    /// The quick half of [`Registry::verify`]: every entry is hashed into the tree, the stored hashes are compared, and
    /// every checkpoint, `held` too, must be signed by the log and have the root of that many entries. So the entries
    /// are, to the byte, those that the log signed. Who signed each of them, what stands beside the entries to find them
    /// by, and contents are not looked at.
    ///
    /// # Errors
    /// Those of [`Registry::verify`].
    pub fn verify_tree(&self, ring: &KeyRing, held: Option<&SignedCheckpoint>) -> Result<Report, Error> {
        self.verify_to(Depth::Tree, ring, held, None)
    }

    fn verify_to(
        &self,
        depth: Depth,
        ring: &KeyRing,
        held: Option<&SignedCheckpoint>,
        before: Option<&Vetted>,
    ) -> Result<Report, Error> {
        self.at_one_moment(|| self.placed(self.verify_now(depth, ring, held, before)))
    }

    fn verify_now(
        &self,
        depth: Depth,
        ring: &KeyRing,
        held: Option<&SignedCheckpoint>,
        before: Option<&Vetted>,
    ) -> Result<Report, Error> {
        let mut findings = Vec::new();
        // Roots that some checkpoint wants to know: by size.
        let checkpoints = self.checkpoints()?;
        let mut wanted: BTreeMap<u64, Option<Digest>> = BTreeMap::new();
        for checkpoint in checkpoints.iter().chain(held) {
            wanted.insert(checkpoint.unverified().size, None);
        }
        wanted.extend(before.map(|before| (before.size, None)));
        let mut frontier = merkle::Frontier::new();
        let (mut signatures, mut last) = (0, None);
        loop {
            let rows = self.rows(frontier.size())?;
            if rows.is_empty() {
                break;
            }
            let (mut nodes, mut subjects) = (Vec::new(), Vec::new());
            for (row, seen) in rows.iter().zip(look_at(&rows, ring, depth)) {
                if let Some(root) = wanted.get_mut(&frontier.size()) {
                    *root = Some(frontier.root());
                }
                if row.index != frontier.size() {
                    findings.push(damaged(format!(
                        "entry {} is missing: entry {} is next",
                        frontier.size(),
                        row.index
                    )));
                    return Ok(self.report(&frontier, signatures, findings));
                }
                signatures += seen.signatures;
                findings.extend(seen.finding);
                if seen.at < last {
                    findings.push(damaged(format!("entry {}: is earlier than the one before", row.index)));
                }
                last = seen.at.or(last);
                subjects.extend(seen.subjects.into_iter().map(|(digest, name)| (row.index, digest, name)));
                frontier.push(seen.leaf, |level, place, hash| nodes.push((level, place, hash)));
            }
            if depth != Depth::Tree {
                findings.extend(self.compare_subjects(subjects, rows[0].index..frontier.size())?);
            }
            findings.extend(self.compare_nodes(nodes)?);
        }
        findings.extend(self.leftovers(frontier.size())?);
        if let Some(root) = wanted.get_mut(&frontier.size()) {
            *root = Some(frontier.root());
        }
        for checkpoint in &checkpoints {
            findings.extend(self.compare(checkpoint, ring, &wanted, ErrorKind::Damaged));
        }
        if let Some(held) = held {
            findings.extend(self.compare(held, ring, &wanted, ErrorKind::Forked));
        }
        if let Some(Vetted { origin, size, root, .. }) = before {
            let what = self.differs(origin, *size, root, &wanted, "the entries that were verified before");
            findings.extend(what.map(|what| Finding { kind: ErrorKind::Forked, what }));
        }
        let contents = if depth == Depth::Tree { 0 } else { self.contents(&mut findings)? };
        let checkpoints = checkpoints.len() as u64;
        let vetted = match depth {
            Depth::Tree => 0,
            Depth::Signatures(from) => from.min(frontier.size()),
        };
        Ok(Report { checkpoints, contents, vetted, ..self.report(&frontier, signatures, findings) })
    }

    fn report(&self, frontier: &merkle::Frontier, signatures: u64, findings: Vec<Finding>) -> Report {
        let (origin, size, root) = (self.origin.clone(), frontier.size(), frontier.root());
        Report { origin, size, root, signatures, vetted: 0, checkpoints: 0, contents: 0, findings }
    }

    fn rows(&self, from: u64) -> Result<Vec<Row>, Error> {
        let select = "SELECT idx, at_ms, digest, predicate_type, body FROM entry WHERE idx >= ?1 ORDER BY idx LIMIT ?2";
        let mut select = self.db.prepare_cached(select).map_err(sql)?;
        let rows = select.query_map(params![from, BLOCK], |row| {
            Ok(Row {
                index: row.get(0)?,
                at: row.get(1)?,
                digest: row.get(2)?,
                predicate_type: row.get(3)?,
                body: row.get(4)?,
            })
        });
        rows.and_then(Iterator::collect).map_err(sql)
    }

    /// What entries are found by must be what they are about.
    fn compare_subjects(
        &self,
        mut wanted: Vec<(u64, Digest, String)>,
        entries: Range<u64>,
    ) -> Result<Option<Finding>, Error> {
        let select = "SELECT idx, digest, name FROM subject WHERE idx >= ?1 AND idx < ?2 ORDER BY idx, digest, name";
        let mut select = self.db.prepare_cached(select).map_err(sql)?;
        let found = select.query_map(params![entries.start, entries.end], |row| {
            Ok((row.get(0)?, Digest::from_bytes(row.get(1)?), row.get(2)?))
        });
        let found: Vec<(u64, Digest, String)> = found.and_then(Iterator::collect).map_err(sql)?;
        wanted.sort();
        if found == wanted {
            return Ok(None);
        }
        let differs = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
        let index = differs.map_or(entries.end - 1, |(found, wanted)| found.0.min(wanted.0));
        Ok(Some(damaged(format!("entry {index}: would be found under other subjects than it has"))))
    }

    /// The stored hashes of the tree must be those of the entries: proofs are made from them.
    fn compare_nodes(&self, mut wanted: Vec<(u32, u64, Digest)>) -> Result<Option<Finding>, Error> {
        wanted.sort();
        let select = "SELECT hash FROM node WHERE level = ?1 AND place >= ?2 AND place < ?3 ORDER BY place";
        let mut select = self.db.prepare_cached(select).map_err(sql)?;
        for level in wanted.chunk_by(|a, b| a.0 == b.0) {
            let (number, first) = (level[0].0, level[0].1);
            let found = select.query_map(params![number, first, first + level.len() as u64], |row| row.get(0));
            let found: Vec<[u8; 32]> = found.and_then(Iterator::collect).map_err(sql)?;
            let same = found.iter().zip(level).take_while(|(found, wanted)| *found == wanted.2.as_bytes()).count();
            if same < level.len() {
                let place = first + same as u64;
                return Ok(Some(damaged(format!(
                    "hash {place} of level {number} of the tree is not that of its entries"
                ))));
            }
        }
        Ok(None)
    }

    /// Rows of entries that are not there.
    fn leftovers(&self, size: u64) -> Result<Option<Finding>, Error> {
        let count = "SELECT (SELECT count(*) FROM subject WHERE idx >= ?1) + (SELECT count(*) FROM entry WHERE idx < 0)
            + (SELECT count(*) FROM node WHERE level = 0 AND place >= ?1)";
        let count: u64 = self.db.query_row(count, [size], |row| row.get(0)).map_err(sql)?;
        Ok((count > 0).then(|| damaged(format!("{count} rows of entries behind the end, at {size}: it was cut off"))))
    }

    /// Whether the log has what a checkpoint says.
    fn compare(
        &self,
        checkpoint: &SignedCheckpoint,
        ring: &KeyRing,
        roots: &BTreeMap<u64, Option<Digest>>,
        kind: ErrorKind,
    ) -> Option<Finding> {
        let says = match checkpoint.verify(ring) {
            Ok((says, _)) => says,
            Err(error) => return Some(Finding { kind: error.kind(), what: error.to_string() }),
        };
        let known = format!("the checkpoint of {} entries ({})", says.size, says.at);
        let what = self.differs(&says.origin, says.size, &says.root, roots, &known)?;
        Some(Finding { kind, what })
    }

    /// How the log differs from what somebody knows of it.
    fn differs(
        &self,
        origin: &str,
        size: u64,
        root: &Digest,
        roots: &BTreeMap<u64, Option<Digest>>,
        known: &str,
    ) -> Option<String> {
        match roots.get(&size).copied().flatten() {
            _ if origin != self.origin => {
                Some(format!("{known}: of the log `{origin}`, and this is `{}`", self.origin))
            }
            None => Some(format!("the log ends before {known}, at {size}: it was cut off")),
            Some(found) if found != *root => Some(format!("the first {size} entries are not those of {known}")),
            Some(_) => None,
        }
    }

    fn contents(&self, findings: &mut Vec<Finding>) -> Result<u64, Error> {
        let mut select = self.db.prepare_cached("SELECT digest, bytes FROM content").map_err(sql)?;
        let mut rows = select.query([]).map_err(sql)?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(sql)? {
            let digest = Digest::from_bytes(row.get(0).map_err(sql)?);
            let bytes = row.get_ref(1).map_err(sql)?.as_blob().map_err(|error| sql(error.into()))?;
            if Digest::of(bytes) != digest {
                findings.push(damaged(format!("content {digest} has other bytes than its digest says")));
            }
            count += 1;
        }
        Ok(count)
    }
}

fn damaged(what: String) -> Finding {
    Finding { kind: ErrorKind::Damaged, what }
}

/// Looks at each row alone, on every core.
fn look_at(rows: &[Row], ring: &KeyRing, depth: Depth) -> Vec<Seen> {
    let share = rows.len().div_ceil(thread::available_parallelism().map_or(1, NonZero::get));
    thread::scope(|scope| {
        let look = |rows: &[Row]| rows.iter().map(|row| look(row, ring, depth)).collect::<Vec<_>>();
        // The first share is done here, so that one core starts no thread.
        let (own, others) = rows.split_at(share.min(rows.len()));
        let others: Vec<_> = others.chunks(share.max(1)).map(|rows| scope.spawn(move || look(rows))).collect();
        let mut seen = look(own);
        for other in others {
            match other.join() {
                Ok(more) => seen.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        seen
    })
}

fn look(row: &Row, ring: &KeyRing, depth: Depth) -> Seen {
    let mut seen = Seen { leaf: merkle::leaf(&row.body), at: None, subjects: Vec::new(), signatures: 0, finding: None };
    if depth == Depth::Tree {
        return seen;
    }
    seen.finding = look_closer(row, ring, depth, &mut seen)
        .err()
        .map(|error| Finding { kind: error.kind(), what: error.at(format!("entry {}", row.index)).to_string() });
    seen
}

fn look_closer(row: &Row, ring: &KeyRing, depth: Depth, seen: &mut Seen) -> Result<(), Error> {
    // The place is in front of every finding already.
    let record = Record::from_body(row.index, &row.body)?;
    seen.at = Some(record.at);
    let Head { subjects, predicate_type } = record.envelope.head()?;
    seen.subjects = subjects.into_iter().map(|subject| (subject.digest, subject.name)).collect();
    if depth.verifies(row.index) {
        let signed_by = ring.verify(&record.envelope, record.at)?;
        seen.signatures = signed_by.len() as u64;
    }
    if *record.digest.as_bytes() != row.digest || record.at.as_ms() != row.at || predicate_type != row.predicate_type {
        return Err(Error::new(ErrorKind::Damaged, "its row gives another digest, time or type than it has"));
    }
    Ok(())
}
