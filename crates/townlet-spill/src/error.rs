//! Errors: a kind to act on, a source to read.

use std::io;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The disk has no room, or a quota is used up. What was appended is kept
    /// in memory; a later commit tries again.
    Full,
    /// The log has reached its own `max_bytes`: shed, or wait until a sink
    /// has settled something.
    Cap,
    /// The disk failed. What was appended is kept in memory; a later commit
    /// tries again.
    Io,
    /// Another process has the folder.
    Locked,
    /// The record, the caller's block or a sink's name is larger than the log
    /// takes; trying again does not help.
    TooLarge,
    /// 64 sinks are registered already.
    TooManySinks,
}

/// An operation that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", .source.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
pub struct SpillError {
    kind: ErrorKind,
    what: String,
    source: Option<io::Error>,
}

impl SpillError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    /// An error of the disk, while doing `what`.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        let full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        Self { kind: if full { ErrorKind::Full } else { ErrorKind::Io }, what: what.into(), source: Some(source) }
    }
}
