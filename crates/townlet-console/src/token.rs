//! The secret that opens a console.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;
const LONGEST: usize = 1024;

/// A token: 16 to 1024 printable ASCII characters without spaces. It never prints.
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token. Never says what was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Too short, too long, or with characters that do not belong there.
    #[error("a console token has {SHORTEST} to {LONGEST} printable ASCII characters without spaces; this one has not")]
    Shape,
    /// The file cannot be read or written.
    #[error("the token file {} cannot be {action}: {source}", path.display())]
    File {
        /// `read` or `written`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Everybody on this machine may read it.
    #[error("the token file {} is open to every user of this machine: run chmod 600 on it", .0.display())]
    Exposed(PathBuf),
    /// The environment variable is unset or not Unicode.
    #[error("the environment variable {0} holds no console token")]
    Environment(String),
}

impl Token {
    /// A token from text.
    ///
    /// # Errors
    /// [`TokenError::Shape`].
    pub fn new(text: impl Into<String>) -> Result<Self, TokenError> {
        let text = text.into();
        let fits = (SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(TokenError::Shape) }
    }

    /// The content of a file, without white space around it.
    ///
    /// # Errors
    /// The file cannot be read, others than its owner and group may open it, or
    /// it holds no token.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let failed = |source| TokenError::File { action: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.mode() & 0o007 != 0 {
            return Err(TokenError::Exposed(path.to_owned()));
        }
        let mut text = Vec::new();
        // With room for the white space, and no more.
        file.take(LONGEST as u64 * 2).read_to_end(&mut text).map_err(failed)?;
        Self::new(String::from_utf8(text).map_err(|_| TokenError::Shape)?.trim())
    }

    /// The value of an environment variable.
    ///
    /// # Errors
    /// It is unset, or holds no token.
    pub fn from_env(name: impl AsRef<OsStr>) -> Result<Self, TokenError> {
        let name = name.as_ref();
        let value = std::env::var(name).map_err(|_| TokenError::Environment(name.to_string_lossy().into_owned()))?;
        Self::new(value)
    }

    /// Makes a random token of 256 bits and writes it to a new file of mode 0600.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub fn create_file(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let failed = |source| TokenError::File { action: "written", path: path.to_owned(), source };
        let mut random = [0; 32];
        File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random)).map_err(failed)?;
        let token = Self(random.iter().map(|byte| format!("{byte:02x}")).collect());
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        file.write_all(token.0.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
        Ok(token)
    }

    /// The secret itself, for the request that carries it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn key(&self) -> Key {
        Key(digest(&self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What the console keeps of its token: enough to recognise it.
pub(crate) struct Key([u8; 32]);

impl Key {
    /// True for the token. Takes the same time for every other text of one
    /// length: digests are compared, all of them.
    pub(crate) fn fits(&self, text: &str) -> bool {
        self.0.ct_eq(&digest(text)).into()
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
