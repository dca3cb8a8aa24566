//! The word that a scraper has to know.

use std::fmt;
use std::path::Path;

use subtle::ConstantTimeEq;
use townlet_transport::{ErrorKind, TransportError};

/// Bounds of a token, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=512;

/// A secret that never shows: neither in `Debug`, nor in an error, nor by the
/// time that a comparison takes.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// A token from its text.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) unless it has 8 to 512
    /// printable ASCII characters without blanks.
    pub fn new(text: &str) -> Result<Self, TransportError> {
        if !LENGTHS.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            let (least, most) = (LENGTHS.start(), LENGTHS.end());
            let message = format!("the scrape token must be {least} to {most} printable characters without blanks");
            return Err(TransportError::new(ErrorKind::Misconfigured, message));
        }
        Ok(Self(text.into()))
    }

    /// The token that a file holds; a line break at its end is left out.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured) where the file cannot be read or holds no token.
    pub fn from_file(path: &Path) -> Result<Self, TransportError> {
        let wrong = |why: String| {
            TransportError::new(ErrorKind::Misconfigured, format!("scrape_token_file {}: {why}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        Self::new(text.trim_end_matches(['\n', '\r'])).map_err(|error| wrong(error.to_string()))
    }

    pub(crate) fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
