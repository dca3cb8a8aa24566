//! The registry: one SQLite file.

mod append;
mod read;
mod schema;
mod verify;
mod vetted;

use std::fmt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, ErrorKind};

pub use append::Receipt;
pub use read::Query;
pub use verify::{Finding, Report};
pub use vetted::Vetted;

/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to make a new file one with a write-ahead log.
const PAUSE: Duration = Duration::from_millis(5);

/// A log of signed statements, and the bytes that they name, in one SQLite file.
///
/// What [`Registry::append`], [`Registry::store`] and [`Registry::checkpoint`] return has been synced to disk. There is
/// one writer at a time, by the lock of SQLite, for the time of one call; any number of processes may have the file
/// open. A process that is killed leaves a file that opens, with everything that was acknowledged. The file must lie on
/// a local disk: network file systems do not keep the lock.
pub struct Registry {
    db: Connection,
    path: PathBuf,
    origin: String,
}

impl Registry {
    /// Opens the registry at `path`, and makes one there if there is none. `origin` names the log for ever, in its
    /// checkpoints and to whoever holds one: `townlet.example/releases`.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where a log of another name is; [`ErrorKind::Malformed`] for a name with spaces or `+`;
    /// those of [`Registry::open`].
    pub fn create(path: &Path, origin: &str) -> Result<Self, Error> {
        crate::checkpoint::check_origin(origin)?;
        let place = |error: Error| error.at(path.display());
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut db = connect(path, flags).map_err(place)?;
        match schema::origin(&db) {
            Err(error) if error.kind() == ErrorKind::Missing => {}
            // Nothing of somebody else's is changed.
            known => drop(known.map_err(place)?),
        }
        durable(&db).map_err(place)?;
        schema::make(&mut db, origin).map_err(place)?;
        let registry = Self::of(db, path)?;
        if registry.origin != origin {
            let message = format!("holds the log `{}`, not `{origin}`", registry.origin);
            return Err(place(Error::new(ErrorKind::Conflict, message)));
        }
        Ok(registry)
    }

    /// Opens the registry at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] where there is none, [`ErrorKind::Damaged`] where something else is, [`ErrorKind::Io`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| error.at(path.display()))?;
        let registry = Self::of(db, path)?;
        registry.placed(durable(&registry.db))?;
        Ok(registry)
    }

    /// Opens it so that nothing can be written. Where the folder cannot be written either, it is read as a file that
    /// nobody changes meanwhile: what somebody else appends is not seen, and where they do, reading may end in
    /// [`ErrorKind::Damaged`].
    ///
    /// # Errors
    /// Those of [`Registry::open`]; [`ErrorKind::Io`] also where entries still stand in the write-ahead log beside the
    /// file, which takes a folder that can be written.
    pub fn open_read_only(path: &Path) -> Result<Self, Error> {
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let opened = connect(path, read_only).map_err(|error| error.at(path.display()));
        match opened.and_then(|db| Self::of(db, path)) {
            // Readers of a write-ahead log want to write beside it, too.
            Err(error) if error.kind() == ErrorKind::Io && path.is_file() => {
                let mut beside = path.as_os_str().to_owned();
                beside.push("-wal");
                if std::fs::metadata(beside).is_ok_and(|log| log.len() > 0) {
                    let why = "there are entries in the write-ahead log (-wal) beside it; copy both to a folder that you can write";
                    return Err(Error::new(ErrorKind::Io, format!("{error}: {why}")));
                }
                let unchanged = connect(&immutable(path), read_only | OpenFlags::SQLITE_OPEN_URI);
                Self::of(unchanged.map_err(|_| error)?, path)
            }
            opened => opened,
        }
    }

    fn of(db: Connection, path: &Path) -> Result<Self, Error> {
        let origin = schema::origin(&db).map_err(|error| error.at(path.display()))?;
        Ok(Self { db, path: path.to_owned(), origin })
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Puts the file in front of what is wrong.
    fn placed<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| error.at(self.path.display()))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry `{}` in {}", self.origin, self.path.display())
    }
}

/// The address of a file that SQLite need not expect to be changed.
fn immutable(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    let code = |byte: &u8| match byte {
        b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    format!("file:{}?immutable=1", bytes.map(code).collect::<String>()).into()
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let may_be_missing = flags.intersects(OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI);
    if !may_be_missing && !path.exists() {
        return Err(Error::new(
            ErrorKind::Missing,
            "no such file; `townlet keys new --registry` or an append makes one",
        ));
    }
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(sql)?;
    db.busy_timeout(PATIENCE).map_err(sql)?;
    // A file from somebody else must not run functions, and is read as damaged rather than trusted.
    db.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;").map_err(sql)?;
    Ok(db)
}

/// From here on, what is acknowledged survives a power cut: in WAL mode, FULL syncs the log at every commit.
fn durable(db: &Connection) -> Result<(), Error> {
    let since = Instant::now();
    let mode: String = loop {
        match db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(sql) {
            // SQLite does not wait for this one, which a new file takes once.
            Err(error) if error.kind() == ErrorKind::Busy && since.elapsed() < PATIENCE => thread::park_timeout(PAUSE),
            mode => break mode?,
        }
    };
    if mode != "wal" {
        return Err(Error::new(ErrorKind::Io, format!("no write-ahead log here (journal mode `{mode}`)")));
    }
    db.execute_batch("PRAGMA synchronous = FULL").map_err(sql)
}

/// An error of SQLite with the kind that a caller can act on.
fn sql(error: rusqlite::Error) -> Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Busy,
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory
            | ErrorCode::TooBig,
        ) => ErrorKind::Io,
        // No such table, a text where bytes should be, and so on: not what this crate wrote.
        _ => ErrorKind::Damaged,
    };
    Error::caused(kind, "SQLite", error)
}

fn damaged(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Damaged, message)
}
