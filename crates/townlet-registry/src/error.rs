//! What went wrong, as a kind to act on.

use std::fmt;

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text or bytes are not what they claim to be. Never trust them.
    Malformed,
    /// The value cannot be written without loss.
    Unrepresentable,
    /// A signature does not fit what it stands under.
    Signature,
    /// A key that nobody vouched for.
    UnknownKey,
    /// A known key, but not at this time: not yet valid, expired or revoked.
    KeyNotValid,
    /// A record contradicts another, or a rule of this crate.
    Conflict,
    /// What is asked for is not there, or what would prove it was not given. Nothing is known to be wrong.
    Missing,
    /// A log that ends before a checkpoint that was held, or that has another past. Somebody took something back.
    Forked,
    /// The file of a registry is damaged, or none of ours.
    Damaged,
    /// Another process is writing, for longer than was waited.
    Busy,
    /// A file of a secret that others can read.
    Exposed,
    /// A file could not be read or written.
    Io,
}

/// An error of this crate. [`Error::kind`] is for programs; the text names the place and what is wrong with it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// With what it came from, whose text becomes part of this one's.
    pub(crate) fn caused(
        kind: ErrorKind,
        message: impl fmt::Display,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { kind, message: format!("{message}: {source}"), source: Some(Box::new(source)) }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    /// The same, with the place where it happened in front.
    #[must_use]
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// What to act on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // Its text is in ours already; its own causes are not.
        self.source.as_deref().and_then(std::error::Error::source)
    }
}
