//! Reading what a transport writes while it writes, across rotation.

mod position;
mod source;

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use townlet_transport::TransportError;

pub use position::{NoPosition, Position};

use crate::names::{Form, Key, Member, Names};
use crate::options::expanded;
use crate::target::identity;
use source::{Source, Step};

/// The longest line that is read unless a follower is told otherwise: 16 MiB.
const LONGEST: usize = 16 << 20;

/// How often a file may vanish between being seen and being opened before the rest
/// waits for the next call.
const RACES: usize = 64;

/// How many readings of a folder have to agree that a file is not there.
const READINGS: usize = 3;

/// Where to begin where there is no position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum From {
    /// With the first line of the file that is written to now.
    #[default]
    Active,
    /// With the first line of the oldest file that is there.
    Oldest,
}

/// What a follower has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowCounts {
    /// Lines given out.
    pub lines: u64,
    /// Files begun.
    pub files: u64,
    /// Lines longer than the limit, passed over.
    pub overlong: u64,
    /// Times that a file was cut: what was in it and not yet read is gone.
    pub cut: u64,
    /// Files that were gone before it is known that they were read to their end.
    pub lost: u64,
    /// Compressed files that could not be unpacked to their end.
    pub damaged: u64,
}

/// Gives out the whole lines of a file and of those that come after it, each once
/// and in the order in which they were written (`tail -F`, and more).
///
/// It follows a [`FileTransport`](crate::FileTransport) through rotation, daily
/// folders and compression, also where several files were finished since it last
/// looked, and writers that rename, delete or truncate the file by other rules.
/// It holds one file open, writes nothing, and never waits.
pub struct Follower {
    names: Names,
    longest: usize,
    from: From,
    /// Every file up to here was read.
    done: Option<Key>,
    /// Where to go on, until that place is found.
    sought: Option<Position>,
    current: Option<Current>,
    counts: FollowCounts,
}

struct Current {
    source: Source,
    /// Its place in the order; none for a file under somebody else's name.
    key: Option<Key>,
    /// True while more may be written to it.
    is_live: bool,
}

impl Follower {
    /// Follows `path`, which may name times as in
    /// [`FileOptions::path`](crate::FileOptions::path). Touches no disk; a file that
    /// is not there yet is waited for.
    ///
    /// # Errors
    /// [`Misconfigured`](townlet_transport::ErrorKind::Misconfigured) for a path
    /// that no transport would take.
    pub fn new(path: impl AsRef<Path>, from: From) -> Result<Self, TransportError> {
        let names = Names::new(&expanded(path.as_ref())?)?;
        let counts = FollowCounts::default();
        Ok(Self { names, longest: LONGEST, from, done: None, sought: None, current: None, counts })
    }

    /// The same behind the last line of an earlier follower. What is gone in the
    /// meantime is counted as [`lost`](FollowCounts::lost).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn resume(path: impl AsRef<Path>, position: Position) -> Result<Self, TransportError> {
        let mut follower = Self::new(path, From::Oldest)?;
        follower.done = position.done;
        follower.sought = (position.offset > 0).then_some(position);
        Ok(follower)
    }

    /// The same with another limit for the length of lines, in bytes without their end.
    #[must_use]
    pub fn longest_line(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Behind the last line that was given out.
    pub fn position(&self) -> Position {
        match (&self.current, &self.sought) {
            (Some(current), _) => Position { done: self.done, ..current.source.position() },
            (None, Some(sought)) => sought.clone(),
            (None, None) => Position { done: self.done, ..Position::default() },
        }
    }

    /// What was met so far.
    pub fn counts(&self) -> FollowCounts {
        self.counts
    }

    /// Puts the next line into `line`, its end included (but for the torn last line
    /// of a file that is finished). False where there is none for now.
    ///
    /// # Errors
    /// What the system reports; the next call tries again at the same place.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            line.clear();
            let Some(current) = &mut self.current else {
                if !self.begin()? {
                    return Ok(false);
                }
                continue;
            };
            let step = match current.source.next(line, self.longest) {
                Err(error) if current.source.is_packed() => {
                    if is_damage(&error) {
                        tracing::warn!(%error, "telemetry_follow_damaged");
                        self.counts.damaged += 1;
                        self.leave();
                        continue;
                    }
                    // There is no way back in it: it is opened anew.
                    (self.sought, self.current) = (Some(self.position()).filter(|sought| sought.offset > 0), None);
                    return Err(error);
                }
                step => step?,
            };
            match step {
                Step::Line => {
                    self.counts.lines += 1;
                    return Ok(true);
                }
                Step::Overlong => self.counts.overlong += 1,
                Step::Cut => {
                    self.counts.cut += 1;
                    current.source.recover()?;
                }
                Step::End(begun) if !current.is_live => {
                    // A torn last line of a file that does not grow is all there will be of it.
                    let is_line = begun && !line.is_empty();
                    self.leave();
                    self.counts.lines += u64::from(is_line);
                    self.counts.overlong += u64::from(begun && !is_line);
                    if is_line {
                        return Ok(true);
                    }
                }
                Step::End(_) => {
                    let Some(key) = self.moved()? else {
                        line.clear();
                        return Ok(false);
                    };
                    if let Some(current) = &mut self.current {
                        // What came between the end and the look is still to be read, and then it is left.
                        (current.is_live, current.key) = (false, key);
                    }
                }
            }
        }
    }

    /// The file has been read to its end, and nothing more comes into it.
    fn leave(&mut self) {
        if let Some(key) = self.current.take().and_then(|current| current.key) {
            self.done = Some(key);
        }
    }

    /// What is known of the place of the current file, once something comes after
    /// it; none while nothing does.
    fn moved(&self) -> io::Result<Option<Option<Key>>> {
        let Some(Current { source, key: Some(key), .. }) = &self.current else { return Ok(None) };
        let there = std::fs::metadata(self.names.path(&key.period));
        let stands = there.is_ok_and(|found| identity(&found) == source.identity);
        let own = match (stands, self.names.is_dated()) {
            (true, false) => return Ok(None),
            (true, true) => Some(*key),
            (false, _) => {
                let position = Position { done: self.done, ..source.position() };
                self.locate(&position, Some(source.len()?))?.map(|(key, _)| key)
            }
        };
        // An empty file may be one that somebody made and the writer has not found yet.
        let follows = |member: &Member| {
            member.key.mark.is_some()
                || member.form == Form::Packed
                || member.path.metadata().is_ok_and(|found| found.len() > 0)
        };
        let after = own.or(self.done);
        Ok(self.after(after)?.iter().any(follows).then_some(own))
    }

    /// The files after a place, the earliest first, each under one name. A folder that
    /// changes while it is read may hide a file that is being renamed.
    fn after(&self, done: Option<Key>) -> io::Result<Vec<Member>> {
        let mut found = match &done {
            Some(done) => self.names.scan_since(&done.period)?,
            None => self.names.scan()?,
        };
        found.retain(|member| member.form != Form::Part && Some(member.key) > done);
        // A file and its compressed form are the same; the plain one comes first.
        found.dedup_by_key(|member| member.key);
        Ok(found)
    }

    /// The same once several readings agree on what comes first; nothing while they do not.
    fn surely_after(&self, done: Option<Key>) -> io::Result<Vec<Member>> {
        let (mut found, mut agreed) = (self.after(done)?, 1);
        for _ in 0..RACES {
            if agreed == READINGS {
                return Ok(found);
            }
            let again = self.after(done)?;
            let same = again.first().map(|member| member.key) == found.first().map(|member| member.key);
            agreed = if same { agreed + 1 } else { 1 };
            found = again;
        }
        Ok(Vec::new())
    }

    /// Opens the file of a position at its place. `len`: that of the file before it was
    /// compressed, as far as that is known.
    fn locate(&self, position: &Position, len: Option<u64>) -> io::Result<Option<(Key, Source)>> {
        let mut readings = 0;
        for _ in 0..RACES {
            readings += 1;
            for member in self.after(position.done)? {
                match seek(&member.path, member.form, position, len) {
                    Ok(Some(source)) => return Ok(Some((member.key, source))),
                    // It may be the one, under another name by now.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => readings = 0,
                    Err(error) if !is_damage(&error) => return Err(error),
                    Ok(None) | Err(_) => {}
                }
            }
            if readings == READINGS {
                break;
            }
        }
        Ok(None)
    }

    /// The file of a position under a name that somebody else gave it, such as
    /// `town.jsonl.1`, or `town.jsonl-20261121.gz`.
    fn stray(&self, position: &Position) -> io::Result<Option<Source>> {
        let path = self.names.path(&self.done.map_or_else(Default::default, |key| key.period));
        let (Some(name), false) = (path.file_name().and_then(OsStr::to_str), self.names.is_dated()) else {
            return Ok(None);
        };
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let other = path.file_name().and_then(OsStr::to_str);
                other.is_some_and(|other| other.len() > name.len() && other.starts_with(name)) && path.is_file()
            })
            .collect();
        found.sort();
        for path in found {
            let form = if path.extension().is_some_and(|end| end == "gz") { Form::Packed } else { Form::Plain };
            if let Ok(Some(source)) = seek(&path, form, position, None) {
                return Ok(Some(source));
            }
        }
        Ok(None)
    }

    /// Opens the file to go on with; false where there is none for now.
    fn begin(&mut self) -> io::Result<bool> {
        if let Some(position) = &self.sought {
            let found = match self.locate(position, None)? {
                Some((key, source)) => Some((Some(key), source)),
                None => self.stray(position)?.map(|source| (None, source)),
            };
            if let Some((key, source)) = found {
                self.sought = None;
                let is_live = key.is_some_and(|key| key.mark.is_none()) && !source.is_packed();
                self.open(source, key, is_live);
                return Ok(true);
            }
            if self.after(self.done)?.is_empty() {
                return Ok(false);
            }
            let offset = position.offset;
            tracing::warn!(offset, "telemetry_follow_lost: the file that was being read is gone");
            (self.sought, self.counts.lost) = (None, self.counts.lost + 1);
        }
        for _ in 0..RACES {
            let found = self.surely_after(self.done)?;
            let next = match (self.from, &found[..]) {
                (_, []) => return Ok(false),
                (From::Active, [.., earlier, last]) => {
                    // Only where to begin is asked; after that there are no gaps.
                    self.done = Some(if last.key.mark.is_none() { earlier.key } else { last.key });
                    self.from = From::Oldest;
                    continue;
                }
                (_, [first, ..]) => first,
            };
            self.from = From::Oldest;
            let is_packed = next.form == Form::Packed;
            let source = match Source::open(&next.path, is_packed) {
                Ok(source) => source,
                // Renamed or compressed in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let is_live = next.key.mark.is_none() && !is_packed;
            // What was opened under the name that everything begins with may be
            // another file than the one that was seen there.
            let still_next = |now: &Member| {
                let same = now.path.metadata().is_ok_and(|found| identity(&found) == source.identity);
                now.key == next.key && same
            };
            if is_live && !self.after(self.done)?.first().is_some_and(still_next) {
                continue;
            }
            let key = next.key;
            self.open(source, Some(key), is_live);
            return Ok(true);
        }
        Ok(false)
    }

    fn open(&mut self, source: Source, key: Option<Key>, is_live: bool) {
        self.counts.files += 1;
        self.current = Some(Current { source, key, is_live });
    }
}

/// Opens a file at a position, where it is the file of it.
fn seek(path: &Path, form: Form, position: &Position, len: Option<u64>) -> io::Result<Option<Source>> {
    let mut source = Source::open(path, form == Form::Packed)?;
    if form == Form::Plain && source.identity != position.identity {
        return Ok(None);
    }
    if !source.go_to(position)? {
        return Ok(None);
    }
    let fits = match len.and_then(|len| len.checked_sub(position.offset)) {
        Some(left) if form == Form::Packed => source.remaining(left.saturating_add(1))? == left,
        _ => true,
    };
    Ok(fits.then_some(source))
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof)
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("position", &self.position())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
