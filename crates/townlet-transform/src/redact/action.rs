//! What takes the place of a redacted value.

use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use townlet_schema::Json;

/// What happens to a redacted field.
#[derive(Clone, Debug)]
pub enum Redaction {
    /// The field goes away, name and value.
    Remove,
    /// The value becomes the string [`MASK`].
    Mask,
    /// The value becomes a keyed hash that is the same for the same value, so that records can still be joined:
    /// `hmac-sha256:` and 32 hexadecimal digits, the first half of HMAC-SHA-256 (RFC 2104 section 5) over the
    /// value as compact JSON with sorted keys (a string with its quotes).
    Hash {
        /// The key; who has it can test guesses, so it must stay with the producer.
        key: HashKey,
    },
}

/// What [`Redaction::Mask`] puts in place of a value.
pub const MASK: &str = "[redacted]";

const HASH_PREFIX: &str = "hmac-sha256:";

/// The key of [`Redaction::Hash`]. It never prints.
#[derive(Clone)]
pub struct HashKey(Hmac<Sha256>);

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashKeyError {
    /// Too short to be a secret.
    #[error("{origin}: the hash key has {len} bytes; at least {} are needed", HashKey::MIN_BYTES)]
    TooShort {
        /// Where it came from.
        origin: String,
        /// Its length without surrounding white space.
        len: usize,
    },
    /// The environment has no such variable.
    #[error("the environment variable {0} that should hold the hash key is not set to text")]
    NotSet(String),
    /// The file cannot be read.
    #[error("the hash key file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
}

impl HashKey {
    /// The shortest key: 128 bits, as many as the hash keeps. 32 random bytes are better (RFC 2104 section 3).
    pub const MIN_BYTES: usize = 16;

    /// A key from its bytes; `origin` names where they came from in errors.
    ///
    /// # Errors
    /// Fewer than [`Self::MIN_BYTES`].
    pub fn new(key: &[u8], origin: &str) -> Result<Self, HashKeyError> {
        let too_short = || HashKeyError::TooShort { origin: origin.to_owned(), len: key.len() };
        if key.len() < Self::MIN_BYTES {
            return Err(too_short());
        }
        // HMAC takes keys of every length; the error type knows no such case.
        Hmac::new_from_slice(key).map(Self).map_err(|_| too_short())
    }

    /// The key in environment variable `name`, white space around it removed.
    ///
    /// # Errors
    /// Not set, not text, or too short.
    pub fn from_env(name: &str) -> Result<Self, HashKeyError> {
        let text = std::env::var(name).map_err(|_| HashKeyError::NotSet(name.to_owned()))?;
        Self::new(text.trim().as_bytes(), name)
    }

    /// The key in a file, white space around it removed.
    ///
    /// # Errors
    /// Unreadable or too short.
    pub fn from_file(path: &Path) -> Result<Self, HashKeyError> {
        let origin = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| HashKeyError::Unreadable { path: origin.clone(), source })?;
        Self::new(bytes.trim_ascii(), &origin)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(secret)")
    }
}

/// A redaction ready to run.
pub(super) struct Action(pub(super) Redaction);

impl Action {
    /// What the value `json` becomes, as JSON; `Some(None)` where it goes away, `None` where it cannot be read.
    pub(super) fn replacement(&self, json: &[u8]) -> Option<Option<String>> {
        Some(match &self.0 {
            Redaction::Remove => None,
            Redaction::Mask => Some(format!("\"{MASK}\"")),
            Redaction::Hash { key } => Some(format!("\"{}\"", hashed(key, &Json::parse(json).ok()?)?)),
        })
    }

    /// The same for a value in a tree.
    pub(super) fn replacement_in_tree(&self, value: &Json) -> Option<Option<Json>> {
        Some(match &self.0 {
            Redaction::Remove => None,
            Redaction::Mask => Some(Json::String(MASK.to_owned())),
            Redaction::Hash { key } => Some(Json::String(hashed(key, value)?)),
        })
    }

    /// True for a value, as JSON, that this action has put there.
    pub(super) fn is_done(&self, json: &[u8]) -> bool {
        let text = json.strip_prefix(b"\"").and_then(|json| json.strip_suffix(b"\""));
        match &self.0 {
            Redaction::Remove => false,
            Redaction::Mask => text == Some(MASK.as_bytes()),
            Redaction::Hash { .. } => text
                .and_then(|text| text.strip_prefix(HASH_PREFIX.as_bytes()))
                .is_some_and(|hex| hex.len() == 32 && hex.iter().all(u8::is_ascii_hexdigit)),
        }
    }
}

fn hashed(key: &HashKey, value: &Json) -> Option<String> {
    let mut canonical = Vec::new();
    townlet_schema::encode_into(value, &mut canonical).ok()?;
    let mut mac = key.0.clone();
    mac.update(&canonical);
    let hash = mac.finalize().into_bytes();
    let mut text = String::from(HASH_PREFIX);
    for byte in hash.iter().take(16) {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    Some(text)
}
