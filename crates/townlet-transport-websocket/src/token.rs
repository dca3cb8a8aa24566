//! The bearer token, which is never printed.

use std::fmt;
use std::path::PathBuf;

use townlet_transport::{ErrorKind, TransportError};

/// Where the token comes from. It is read for each connection, so that a token
/// that was exchanged is taken up by the next one.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// The content of a file, white space around it left out.
    File(PathBuf),
    /// The value of an environment variable.
    Environment(String),
    /// The token itself.
    Given(Secret),
}

impl Token {
    /// Reads it.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the file or variable:
    /// it is missing, empty, or has bytes that cannot stand in a header.
    pub fn read(&self) -> Result<Secret, TransportError> {
        let wrong = |message: String| TransportError::new(ErrorKind::Misconfigured, message);
        let (text, place) = match self {
            Self::Given(secret) => return Ok(secret.clone()),
            Self::File(path) => {
                let place = format!("auth.bearer_file {}", path.display());
                let text = std::fs::read_to_string(path);
                (text.map_err(|error| wrong(format!("{place} cannot be read: {error}")))?, place)
            }
            Self::Environment(name) => {
                let place = format!("auth.bearer_env {name}");
                let text = std::env::var(name);
                (text.map_err(|_| wrong(format!("{place} is not set, or is no text")))?, place)
            }
        };
        let text = text.trim();
        Secret::new(text).ok_or_else(|| wrong(format!("{place} has no token: one word of printable ASCII")))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Environment(name) => f.debug_tuple("Environment").field(name).finish(),
            Self::Given(_) => f.write_str("Given(…)"),
        }
    }
}

/// A token. Has no way out but the header that it is for.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// A token of visible ASCII characters; none of anything else.
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= 4096 && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
