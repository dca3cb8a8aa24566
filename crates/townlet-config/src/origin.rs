//! Where a value came from.

use std::fmt;
use std::sync::Arc;

/// The layer that decided a key, from weakest to strongest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody gave the key; the built-in default holds.
    Default,
    /// The file, at this line and column (both from 1).
    File {
        /// Line of the key.
        line: u32,
        /// Column of the key, in characters.
        column: u32,
    },
    /// This environment variable.
    Environment(Arc<str>),
    /// A `--set` argument, given here as it was written.
    Override(Arc<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { line, column } => write!(f, "line {line}:{column}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Override(text) => write!(f, "--set {text}"),
        }
    }
}

/// An origin and the number of characters to underline there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) origin: Origin,
    pub(crate) width: u32,
}

impl Place {
    /// The head of the file: where a key is missing altogether.
    pub(crate) fn top() -> Self {
        Self { origin: Origin::File { line: 1, column: 1 }, width: 1 }
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self.origin, Origin::File { .. })
    }
}

/// A value with the place of the key that gave it.
#[derive(Clone, Debug)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}
