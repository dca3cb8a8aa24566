//! The word that a client has to know.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Bounds of a token, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=512;

/// A secret that never shows: neither in `Debug`, nor in an error, nor by the
/// time that a comparison takes, which says nothing of its length either. Its
/// SHA-256 is all that is kept.
#[derive(Clone)]
pub struct BearerToken([u8; 32]);

/// Why there is no token. Never quotes it.
#[derive(Debug)]
pub struct TokenError(String);

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TokenError {}

impl BearerToken {
    /// A token from its text.
    ///
    /// # Errors
    /// Unless it has 8 to 512 printable ASCII characters without blanks.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        if !LENGTHS.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let (least, most) = (LENGTHS.start(), LENGTHS.end());
            let message = format!("a token has {least} to {most} printable ASCII characters without blanks");
            return Err(TokenError(message));
        }
        Ok(Self(digest(text.as_bytes())))
    }

    /// The token that a file holds; a line break at its end is left out.
    ///
    /// # Errors
    /// The file cannot be read, or holds no token.
    pub fn from_file(path: &Path) -> Result<Self, TokenError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| TokenError(format!("the token file {} cannot be read: {error}", path.display())))?;
        Self::new(text.trim_end_matches(['\n', '\r']))
            .map_err(|error| TokenError(format!("the token file {}: {error}", path.display())))
    }

    pub(in crate::server) fn matches(&self, given: &[u8]) -> bool {
        // Two slices are compared in constant time only where they are of one length.
        self.0.ct_eq(&digest(given)).into()
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_whole_and_never_shown() {
        let token = BearerToken::new("hunter2-hunter2").unwrap();
        assert!(token.matches(b"hunter2-hunter2"));
        for wrong in ["", "hunter2", "hunter2-hunter", "hunter2-hunter22", "HUNTER2-HUNTER2"] {
            assert!(!token.matches(wrong.as_bytes()), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "BearerToken(…)");
        // What is compared has one length, whatever that of the token.
        let begin = [0xba, 0x78, 0x16, 0xbf];
        assert_eq!(digest(b"abc")[..4], begin, "FIPS 180-2, appendix B.1");
        for text in ["x".repeat(8), "x".repeat(512)] {
            assert_eq!(BearerToken::new(&text).unwrap().0, digest(text.as_bytes()));
        }
        for no_token in ["", "short", "with a blank in it", "ümlaute-ümlaute", &"x".repeat(513)] {
            let error = BearerToken::new(no_token).unwrap_err().to_string();
            assert!(error.contains("8 to 512") && (no_token.is_empty() || !error.contains(no_token)), "{error}");
        }
    }
}
