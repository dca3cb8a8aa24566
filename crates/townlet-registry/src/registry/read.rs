//! What only reads.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Registry, damaged, sql};
use crate::checkpoint::SignedCheckpoint;
use crate::digest::Digest;
use crate::error::Error;
use crate::merkle;
use crate::record::Record;

/// Which entries are wanted. Everything that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    predicate_type: Option<String>,
    subject: Option<Digest>,
    name: Option<String>,
}

impl Query {
    /// Every entry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this predicate type.
    #[must_use]
    pub fn of_type(mut self, predicate_type: impl Into<String>) -> Self {
        self.predicate_type = Some(predicate_type.into());
        self
    }

    /// About what has this digest.
    #[must_use]
    pub fn about(mut self, subject: Digest) -> Self {
        self.subject = Some(subject);
        self
    }

    /// About what goes by this name. Names are not authoritative: two things may have one.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Registry {
    /// How many entries there are.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged), [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub fn size(&self) -> Result<u64, Error> {
        self.placed(size(&self.db))
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// Those of [`Registry::size`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.size()? == 0)
    }

    /// The entry whose envelope has this digest.
    ///
    /// # Errors
    /// Those of [`Registry::size`]; an entry that is not what its row says is damaged.
    pub fn record(&self, digest: &Digest) -> Result<Option<Record>, Error> {
        let select = "SELECT idx, digest, body FROM entry WHERE digest = ?1";
        let found = self.select(select, [digest.as_bytes()]);
        Ok(self.placed(found)?.pop())
    }

    /// The entries at these places, as far as there are some, in their order.
    ///
    /// # Errors
    /// Those of [`Registry::record`].
    pub fn records(&self, places: Range<u64>) -> Result<Vec<Record>, Error> {
        let clamp = |place: u64| i64::try_from(place).unwrap_or(i64::MAX);
        let select = "SELECT idx, digest, body FROM entry WHERE idx >= ?1 AND idx < ?2 ORDER BY idx";
        self.placed(self.select(select, params![clamp(places.start), clamp(places.end)]))
    }

    /// The entries that fit, in the order of the log. Their signatures are not looked at.
    ///
    /// # Errors
    /// Those of [`Registry::record`].
    pub fn find(&self, query: &Query) -> Result<Vec<Record>, Error> {
        let select = "
            SELECT idx, digest, body FROM entry
            WHERE (?1 IS NULL OR predicate_type = ?1)
            AND (?2 IS NULL OR idx IN (SELECT idx FROM subject WHERE digest = ?2))
            AND (?3 IS NULL OR idx IN (SELECT idx FROM subject WHERE name = ?3))
            AND (?2 IS NULL OR ?3 IS NULL OR EXISTS
                (SELECT 1 FROM subject s WHERE s.digest = ?2 AND s.idx = entry.idx AND s.name = ?3))
            ORDER BY idx";
        let subject = query.subject.as_ref().map(|digest| digest.as_bytes().to_vec());
        self.placed(self.select(select, params![query.predicate_type, subject, query.name]))
    }

    /// Bytes that were [stored](Registry::store), checked against their digest.
    ///
    /// # Errors
    /// Those of [`Registry::record`].
    pub fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let select = "SELECT bytes FROM content WHERE digest = ?1";
        let found = self.db.query_row(select, [digest.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional();
        let found = self.placed(found.map_err(sql))?;
        match found {
            Some(bytes) if Digest::of(&bytes) != *digest => {
                self.placed(Err(damaged(format!("content {digest} has other bytes than its digest says"))))
            }
            found => Ok(found),
        }
    }

    /// The root of the tree of the first `size` entries, from the stored hashes.
    ///
    /// # Errors
    /// Those of [`Registry::record`]; [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) beyond the end of the log.
    pub fn root_at(&self, size: u64) -> Result<Digest, Error> {
        let frontier = merkle::Frontier::of(size, |level, place| node(&self.db, level, place));
        Ok(self.placed(frontier)?.root())
    }

    /// The checkpoints that were signed, smallest log first. Their signatures are not looked at.
    ///
    /// # Errors
    /// Those of [`Registry::record`].
    pub fn checkpoints(&self) -> Result<Vec<SignedCheckpoint>, Error> {
        let read = || {
            let mut select = self.db.prepare_cached("SELECT note FROM checkpoint ORDER BY size").map_err(sql)?;
            let notes = select.query_map([], |row| row.get::<_, String>(0)).map_err(sql)?;
            let read = |note: rusqlite::Result<String>| {
                SignedCheckpoint::parse(&note.map_err(sql)?).map_err(|error| damaged(error.to_string()))
            };
            notes.map(read).collect()
        };
        self.placed(read())
    }

    /// Does everything that `read` reads at one moment of the log, whatever others write meanwhile.
    pub(crate) fn at_one_moment<T>(&self, read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let _held_to_the_end = self.placed(self.db.unchecked_transaction().map_err(sql))?;
        read()
    }

    /// The hash of a complete subtree.
    pub(crate) fn node(&self, level: u32, place: u64) -> Result<Digest, Error> {
        self.placed(node(&self.db, level, place))
    }

    fn select(&self, select: &str, values: impl rusqlite::Params) -> Result<Vec<Record>, Error> {
        let mut select = self.db.prepare_cached(select).map_err(sql)?;
        let mut rows = select.query(values).map_err(sql)?;
        let mut records = Vec::new();
        while let Some(row) = rows.next().map_err(sql)? {
            records.push(record(row)?);
        }
        Ok(records)
    }
}

/// A record from a row of `idx`, `digest` and `body`.
fn record(row: &Row<'_>) -> Result<Record, Error> {
    let index = row.get(0).map_err(sql)?;
    let digest = Digest::from_bytes(row.get(1).map_err(sql)?);
    let body: Vec<u8> = row.get(2).map_err(sql)?;
    let record = Record::from_entry(index, &body).map_err(|error| damaged(error.to_string()))?;
    if record.digest != digest {
        return Err(damaged(format!("entry {index} has the digest {}, but stands under {digest}", record.digest)));
    }
    Ok(record)
}

/// How many entries there are, if the places have no gap.
pub(super) fn size(db: &Connection) -> Result<u64, Error> {
    let size = db.query_row("SELECT coalesce(max(idx) + 1, 0) FROM entry", [], |row| row.get(0));
    size.map_err(sql)
}

pub(super) fn node(db: &Connection, level: u32, place: u64) -> Result<Digest, Error> {
    let select = "SELECT hash FROM node WHERE level = ?1 AND place = ?2";
    let found = db.prepare_cached(select).and_then(|mut select| {
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        select.query_row(params![level, place], |row| row.get(0)).optional()
    });
    let hash = found.map_err(sql)?;
    hash.map(Digest::from_bytes).ok_or_else(|| damaged(format!("hash {place} of level {level} of the tree is missing")))
}
