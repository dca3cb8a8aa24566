//! Paths of payload fields.

use std::fmt;
use std::str::FromStr;

/// The longest path of a field that is published, in bytes: it becomes a label.
pub(crate) const LONGEST: usize = 256;

/// The most segments of a path.
const DEEPEST: usize = 16;

/// Where a numeric field stands in a line: names of object keys with `.` between
/// them, each of which may be `*` for any name, as in `stability.metrics.*`.
///
/// Objects alone are entered, not arrays; a key with a `.` in it cannot be named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath(Box<[Box<str>]>);

/// Why a text is not a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPath(String);

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadPath {}

impl FromStr for FieldPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        let segments: Vec<Box<str>> = text.split('.').map(Into::into).collect();
        let bad = |what: &str| Err(BadPath(format!("{text:?} {what}: write names with '.' between them, '*' for any")));
        if text.len() > LONGEST || segments.len() > DEEPEST {
            return bad("is too long");
        }
        if segments.iter().any(|segment| segment.is_empty()) {
            return bad("has an empty name in it");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return bad("has a blank in it");
        }
        if segments.iter().any(|segment| &**segment != "*" && segment.contains('*')) {
            return bad("has a '*' beside other characters");
        }
        Ok(Self(segments.into()))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, segment) in self.0.iter().enumerate() {
            write!(f, "{}{segment}", if n == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

impl FieldPath {
    pub(crate) fn allows(&self, depth: usize, key: &str) -> bool {
        self.0.get(depth).is_some_and(|segment| &**segment == "*" || &**segment == key)
    }

    /// How many names it has.
    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    /// Below this depth all is there or gone: the names before it are fixed.
    pub(crate) fn fixed(&self) -> usize {
        let any = self.0.iter().position(|segment| &**segment == "*");
        any.unwrap_or(self.0.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_match_is_refused() {
        for bad in ["", ".", "a..b", "a.b*", "a b", "a\n", &"x.".repeat(40)] {
            assert!(bad.parse::<FieldPath>().is_err(), "{bad:?}");
        }
        assert_eq!("a.*.c".parse::<FieldPath>().unwrap().to_string(), "a.*.c");
    }
}
