//! Field paths as they are written in configuration.

use std::fmt;

/// Which fields a redaction applies to: `policy_identity`, `jobs.*.wallet`, `**.password`.
///
/// - Names are separated by dots; `\.`, `\*` and `\\` stand for the characters themselves.
/// - `*` is any member of an object or any element of an array; names never match array elements.
/// - `**` is any number of levels, none included; it cannot be last.
///
/// ```
/// use townlet_transform::FieldPath;
///
/// assert!(FieldPath::parse(r"jobs.*.wallet").is_ok());
/// assert!(FieldPath::parse(r"metrics.http\.server\.duration").is_ok());
/// assert!(FieldPath::parse("a..b").unwrap_err().to_string().contains("empty name"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    pub(crate) segments: Vec<Segment>,
}

/// One level of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Name(String),
    /// `*`
    Any,
    /// `**`
    Deep,
}

/// A text that is not a field path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field path `{text}`: {what}")]
pub struct FieldPathError {
    text: String,
    what: &'static str,
}

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    /// An empty path or name, an unknown escape, `**` at the end, `*` or `**` as part of a name, more than
    /// 64 levels.
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        let error = |what| FieldPathError { text: text.to_owned(), what };
        let mut segments = Vec::new();
        let mut name = String::new();
        let (mut literal, mut stars) = (false, 0);
        let mut chars = text.chars();
        loop {
            match chars.next() {
                Some('\\') => match chars.next() {
                    Some(c @ ('.' | '*' | '\\')) => {
                        name.push(c);
                        literal = true;
                    }
                    _ => return Err(error(r"a backslash must come before `.`, `*` or `\`")),
                },
                Some('*') => stars += 1,
                end @ (Some('.') | None) => {
                    segments.push(match (stars, literal || !name.is_empty()) {
                        (0, true) => Segment::Name(std::mem::take(&mut name)),
                        (0, false) => return Err(error("an empty name")),
                        (1, false) => Segment::Any,
                        (2, false) => Segment::Deep,
                        _ => return Err(error(r"`*` and `**` stand alone between dots; write `\*` for the character")),
                    });
                    (literal, stars) = (false, 0);
                    if end.is_none() {
                        break;
                    }
                }
                Some(c) => name.push(c),
            }
        }
        if segments.last() == Some(&Segment::Deep) {
            return Err(error("`**` cannot be last; name the field that holds what you want gone"));
        }
        // Two in a row say no more than one.
        segments.dedup_by(|a, b| *a == Segment::Deep && *b == Segment::Deep);
        if segments.len() > Self::MAX_LEVELS {
            return Err(error("more than 64 levels"));
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    pub(crate) const MAX_LEVELS: usize = 64;

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name that the path ends in; `None` where it ends in `*`.
    pub(crate) fn last_name(&self) -> Option<&str> {
        match self.segments.last() {
            Some(Segment::Name(name)) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldPath({})", self.text)
    }
}
