//! The tables.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{damaged, sql};
use crate::error::{Error, ErrorKind};

/// `TLRG`, so that `file` and SQLite can tell what it is.
const APPLICATION: i64 = 0x544c_5247;
/// Of the tables below. Another one is not read.
const VERSION: i64 = 1;

/// `entry.body` is what the tree is over; everything else can be computed from it and is there to be found quickly.
/// `node` has the hashes of complete subtrees. `content` has bytes that statements name by digest.
const TABLES: &str = "
    CREATE TABLE log (origin TEXT NOT NULL) STRICT;
    CREATE TABLE entry (
        idx INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        digest BLOB NOT NULL UNIQUE,
        predicate_type TEXT NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX entry_by_type ON entry (predicate_type, idx);
    CREATE TABLE subject (
        digest BLOB NOT NULL,
        idx INTEGER NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (digest, idx, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX subject_by_name ON subject (name, idx);
    CREATE INDEX subject_by_entry ON subject (idx);
    CREATE TABLE node (
        level INTEGER NOT NULL,
        place INTEGER NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (level, place)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE content (digest BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
";

/// Makes the tables in an empty file, all or none. In any other file, does nothing.
pub(super) fn make(db: &mut Connection, origin: &str) -> Result<(), Error> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(sql)?;
    if tables == 0 && pragma(&tx, "application_id")? == 0 {
        tx.execute_batch(TABLES).map_err(sql)?;
        tx.execute("INSERT INTO log (origin) VALUES (?1)", [origin]).map_err(sql)?;
        tx.pragma_update(None, "application_id", APPLICATION).map_err(sql)?;
        tx.pragma_update(None, "user_version", VERSION).map_err(sql)?;
    }
    tx.commit().map_err(sql)
}

/// The name of the log in a file that is a registry.
pub(super) fn origin(db: &Connection) -> Result<String, Error> {
    // Somebody else may be making the tables.
    let _one_state = db.unchecked_transaction().map_err(sql)?;
    let (application, version) = (pragma(db, "application_id")?, pragma(db, "user_version")?);
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(sql)?;
    if tables == 0 && application == 0 {
        let message = "an empty file: a registry that was never finished, or none";
        return Err(Error::new(ErrorKind::Missing, message));
    }
    if application != APPLICATION {
        return Err(damaged("a database, but no registry of ours"));
    }
    if version != VERSION {
        return Err(damaged(format!("a registry of version {version}; {VERSION} is read")));
    }
    let origin = db.query_row("SELECT origin FROM log", [], |row| row.get(0)).optional().map_err(sql)?;
    let origin: String = origin.ok_or_else(|| damaged("the log has no name"))?;
    crate::checkpoint::check_origin(&origin).map_err(|error| damaged(error.to_string()))?;
    Ok(origin)
}

fn pragma(db: &Connection, name: &str) -> Result<i64, Error> {
    db.pragma_query_value(None, name, |row| row.get(0)).map_err(sql)
}
