//! What changes the file.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::read::{self, node};
use super::{Registry, damaged, sql};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::digest::Digest;
use crate::envelope::Envelope;
use crate::error::{Error, ErrorKind};
use crate::keys::Signer;
use crate::merkle;
use crate::record;
use crate::time::Time;

/// A clock may have gone back by so much since the last entry without being taken for wrong.
const CLOCK_STEP_MS: i64 = 5 * 60 * 1000;

/// That an envelope is in the log, on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its place, from 0.
    pub index: u64,
    /// The digest of the envelope: its name.
    pub digest: Digest,
    /// The time it stands under: what was said, or the time of the entry before where that is later.
    pub at: Time,
    /// False where it was in the log already; index and time are those of then.
    pub new: bool,
}

impl Registry {
    /// Adds a statement to the log. When this returns, it is on disk. An envelope that is there already is not added
    /// again, so an append whose answer got lost can be repeated.
    ///
    /// `now` is what the time is. The log never goes back in time: after a small step of the clock the entry stands
    /// under the time of the one before. Signatures are not looked at here: a log also keeps what it was told wrongly.
    /// Who appends verifies first, and who reads verifies again.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for what is no in-toto statement; [`ErrorKind::Conflict`] where the last entry is more
    /// than five minutes ahead of `now`; [`ErrorKind::Busy`], [`ErrorKind::Io`], [`ErrorKind::Damaged`].
    pub fn append(&mut self, envelope: &Envelope, now: Time) -> Result<Receipt, Error> {
        let receipts = self.append_all(std::slice::from_ref(envelope), now)?;
        receipts.into_iter().next().ok_or_else(|| damaged("no receipt"))
    }

    /// Adds several statements, all or none, with one sync.
    ///
    /// # Errors
    /// Those of [`Registry::append`].
    pub fn append_all(&mut self, envelopes: &[Envelope], now: Time) -> Result<Vec<Receipt>, Error> {
        let appended = append_all(&mut self.db, envelopes, now);
        self.placed(appended)
    }

    /// Keeps bytes under their digest. When this returns, they are on disk. They are not part of the log: a signed
    /// statement that names the digest vouches for them, and brings them into bundles.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`], [`ErrorKind::Io`], [`ErrorKind::Damaged`].
    pub fn store(&mut self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        let insert = "INSERT OR IGNORE INTO content (digest, bytes) VALUES (?1, ?2)";
        let stored = self.db.execute(insert, params![digest.as_bytes(), bytes]).map_err(sql);
        self.placed(stored)?;
        Ok(digest)
    }

    /// Signs the log as it stands, and keeps the checkpoint. Give it to somebody else: who holds it notices when the
    /// log forgets or changes what it covers, whoever does that. Its time is never earlier than that of an entry below it.
    ///
    /// A checkpoint by a key that verifiers do not believe in the role `log` stays with the log, which does not verify
    /// from then on: who calls looks at the ring first.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where the last entry is more than five minutes ahead of `now`; [`ErrorKind::Busy`],
    /// [`ErrorKind::Io`], [`ErrorKind::Damaged`].
    pub fn checkpoint(&mut self, signer: &Signer, now: Time) -> Result<SignedCheckpoint, Error> {
        let origin = self.origin.clone();
        let signed = checkpoint(&mut self.db, origin, signer, now);
        self.placed(signed)
    }
}

fn append_all(db: &mut Connection, envelopes: &[Envelope], now: Time) -> Result<Vec<Receipt>, Error> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    let at = forward(&tx, now)?;
    let mut frontier = merkle::Frontier::of(read::size(&tx)?, |level, place| node(&tx, level, place))?;
    let receipts =
        envelopes.iter().map(|envelope| append(&tx, &mut frontier, envelope, at)).collect::<Result<_, _>>()?;
    tx.commit().map_err(sql)?;
    Ok(receipts)
}

/// The time to write down: `now`, or that of the last entry where that is later.
fn forward(tx: &Connection, now: Time) -> Result<Time, Error> {
    let last = "SELECT at_ms FROM entry ORDER BY idx DESC LIMIT 1";
    let last: Option<i64> = tx.query_row(last, [], |row| row.get(0)).optional().map_err(sql)?;
    let last = last.map_or(now, Time::from_ms);
    if last.as_ms() - now.as_ms() > CLOCK_STEP_MS {
        let message = format!("it is said to be {now}, but the last entry is of {last}; look at the clock");
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    Ok(last.max(now))
}

fn append(tx: &Connection, frontier: &mut merkle::Frontier, envelope: &Envelope, at: Time) -> Result<Receipt, Error> {
    let head = envelope.head()?;
    let digest = envelope.digest()?;
    let known = "SELECT idx, at_ms FROM entry WHERE digest = ?1";
    let known = tx
        .prepare_cached(known)
        .and_then(|mut known| known.query_row([digest.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional());
    if let Some((index, at)) = known.map_err(sql)? {
        return Ok(Receipt { index, digest, at: Time::from_ms(at), new: false });
    }
    let index = frontier.size();
    let body = record::entry(at, envelope)?;
    let insert = |insert: &str, row: &[&dyn rusqlite::ToSql]| {
        tx.prepare_cached(insert).and_then(|mut insert| insert.execute(row)).map_err(sql)
    };
    let entry = "INSERT INTO entry (idx, at_ms, digest, predicate_type, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    insert(entry, params![index, at.as_ms(), digest.as_bytes(), head.predicate_type, body])?;
    for subject in &head.subjects {
        let row = "INSERT INTO subject (digest, idx, name) VALUES (?1, ?2, ?3)";
        insert(row, params![subject.digest.as_bytes(), index, subject.name])?;
    }
    let mut nodes = Vec::new();
    frontier.push(merkle::leaf(&body), |level, place, hash| nodes.push((level, place, hash)));
    for (level, place, hash) in nodes {
        let row = "INSERT INTO node (level, place, hash) VALUES (?1, ?2, ?3)";
        insert(row, params![level, place, hash.as_bytes()])?;
    }
    Ok(Receipt { index, digest, at, new: true })
}

fn checkpoint(db: &mut Connection, origin: String, signer: &Signer, now: Time) -> Result<SignedCheckpoint, Error> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    let size = read::size(&tx)?;
    let root = merkle::Frontier::of(size, |level, place| node(&tx, level, place))?.root();
    let signed = Checkpoint { origin, size, root, at: forward(&tx, now)? }.sign(signer)?;
    let insert = "INSERT OR REPLACE INTO checkpoint (size, note) VALUES (?1, ?2)";
    let kept = tx.execute(insert, params![size, signed.to_string()]).map_err(sql)?;
    if kept != 1 {
        return Err(damaged(format!("the checkpoint of {size} entries was not kept")));
    }
    tx.commit().map_err(sql)?;
    Ok(signed)
}
