//! What a server is shown to let us in.

use std::path::PathBuf;

use townlet_transport::{Auth, ErrorKind, SecretSource, TransportError};
use zeroize::Zeroizing;

/// The longest secret that is read: more is a wrong file.
const MAX_BYTES: usize = 16 * 1024;

/// Read for each connection, so that what was exchanged is taken up by the next one.
pub(crate) enum Pass {
    Token(Zeroizing<String>),
    User(String, Zeroizing<String>),
}

impl Pass {
    pub(crate) fn read(auth: &Auth) -> Result<Self, TransportError> {
        let wrong = |what: &str| Err(TransportError::new(ErrorKind::Misconfigured, what));
        match auth {
            Auth::Bearer(source) => Ok(Self::Token(read(source, "auth.bearer")?)),
            Auth::Basic(user, _) if user.is_empty() => wrong("auth.user must not be empty"),
            Auth::Basic(user, source) => Ok(Self::User(user.clone(), read(source, "auth.password")?)),
            _ => wrong("auth is of a kind that NATS does not have here: a token, or a user and password"),
        }
    }
}

fn read(source: &SecretSource, key: &str) -> Result<Zeroizing<String>, TransportError> {
    let wrong = |message: String| TransportError::new(ErrorKind::Misconfigured, format!("{key}: {message}"));
    let (text, place) = match source {
        SecretSource::File(path) => (from_file(path).map_err(wrong)?, format!("the file {}", path.display())),
        SecretSource::Env(name) => {
            let place = format!("the environment variable {name}");
            let text = std::env::var(name).map_err(|_| wrong(format!("{place} is not set, or is not text")))?;
            (Zeroizing::new(text), place)
        }
        _ => return Err(wrong("is in a place that is not supported here".into())),
    };
    let text = Zeroizing::new(text.trim().to_owned());
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(wrong(format!("{place} is empty, or has a control character in it")));
    }
    Ok(text)
}

fn from_file(path: &PathBuf) -> Result<Zeroizing<String>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
    let bytes = Zeroizing::new(bytes);
    if bytes.len() > MAX_BYTES {
        return Err(format!("the file {} is too large for a secret: is it the right one?", path.display()));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(format!("the file {} is not text", path.display())),
    }
}
