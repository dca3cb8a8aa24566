//! Values that nobody may see.

use std::fmt;

use townlet_transport::{ErrorKind, SecretSource, TransportError};
use zeroize::{Zeroize, Zeroizing};

/// The longest secret that is read: more is a wrong file.
const MAX_BYTES: usize = 16 * 1024;

/// A token or password. It cannot be printed, and its memory is overwritten when
/// it is dropped.
///
/// The copies that a request holds while it is under way are beyond its reach.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over `text`, without the white space around it. None where that
    /// leaves nothing, or something that no header can carry: only visible ASCII
    /// and spaces can stand in one.
    pub fn new(mut text: String) -> Option<Self> {
        let inner = Zeroizing::new(text.trim().to_owned());
        text.zeroize();
        let good = !inner.is_empty() && inner.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        good.then_some(Self(inner))
    }

    /// Reads the secret from where it is. `key` is what messages call it.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key and the file or
    /// variable, never the content.
    pub fn read(source: &SecretSource, key: &str) -> Result<Self, TransportError> {
        let place = Place(source);
        let wrong = |what: &str| TransportError::new(ErrorKind::Misconfigured, format!("{key}: {place} {what}"));
        let text = match source {
            SecretSource::File(path) => {
                let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| {
                    let message = format!("{key}: {place} cannot be read: {error}");
                    TransportError::with_source(ErrorKind::Misconfigured, message, error)
                })?);
                if bytes.len() > MAX_BYTES {
                    return Err(wrong("is too large for a secret: is it the right file?"));
                }
                std::str::from_utf8(&bytes).map_err(|_| wrong("is not text"))?.to_owned()
            }
            SecretSource::Env(name) => {
                std::env::var(name).map_err(|_| wrong("is not set, or is not text: set it before the start"))?
            }
            _ => return Err(wrong("is of a kind that is not supported here")),
        };
        Self::new(text).ok_or_else(|| wrong("is empty, or has a character that no header can carry"))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a secret is, for a message.
pub(crate) struct Place<'a>(pub(crate) &'a SecretSource);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SecretSource::File(path) => write!(f, "the file {}", path.display()),
            SecretSource::Env(name) => write!(f, "the environment variable {name}"),
            _ => f.write_str("its place"),
        }
    }
}
