//! What a server is shown to let us in.

use std::path::PathBuf;
use std::time::SystemTime;

use async_nats::ConnectOptions;
use townlet_transport::{Auth, ErrorKind, SecretSource, TransportError};
use zeroize::Zeroizing;

use crate::user::User;

/// The longest token or password that is read: more is a wrong file.
const MAX_BYTES: usize = 16 * 1024;
/// The same of credentials: their JWT lists every subject that a user may use.
const MAX_CREDENTIALS: usize = 256 * 1024;

/// Read for each connection, so that what was exchanged is taken up by the next one.
pub(crate) enum Pass {
    Token(Zeroizing<String>),
    Password(String, Zeroizing<String>),
    Key(User),
}

impl Pass {
    pub(crate) fn read(auth: &Auth) -> Result<Self, TransportError> {
        let wrong = |what: &str| Err(TransportError::new(ErrorKind::Misconfigured, what));
        match auth {
            Auth::Bearer(source) => Ok(Self::Token(line(source, "auth.bearer")?)),
            Auth::Basic(user, _) if user.is_empty() => wrong("auth.user must not be empty"),
            Auth::Basic(user, source) => Ok(Self::Password(user.clone(), line(source, "auth.password")?)),
            Auth::NkeySeed(source) => key(source, "auth.nkey_seed", MAX_BYTES, User::of_seed),
            Auth::Credentials(source) => key(source, "auth.credentials", MAX_CREDENTIALS, User::of_credentials),
            _ => wrong(
                "auth is of a kind that NATS does not have here: a token, a user and password, credentials, or the \
                 seed of an nkey",
            ),
        }
    }

    /// The options of a client that shows it.
    pub(crate) fn options(&self) -> ConnectOptions {
        match self {
            Self::Token(token) => ConnectOptions::new().token(token.to_string()),
            Self::Password(user, password) => {
                ConnectOptions::new().user_and_password(user.clone(), password.to_string())
            }
            Self::Key(user) => user.options(),
        }
    }

    /// What to look at where the server did not let us in, after "does not let us in".
    pub(crate) fn advice(pass: Option<&Self>, now: SystemTime) -> String {
        match pass {
            Some(Self::Key(user)) => user.advice(now),
            _ => ": check auth, and the users in the server's configuration".into(),
        }
    }
}

/// Says so where others on this machine may read a key. It is used all the same: who may
/// read it is for the operator to say, and some platforms mount secrets so.
pub(crate) fn warn_of_readers(auth: &Auth) {
    let (Auth::NkeySeed(source) | Auth::Credentials(source)) = auth else { return };
    if let SecretSource::File(path) = source
        && source.is_open_to_all()
    {
        tracing::warn!(file = %path.display(), "telemetry_nats_key_readable_by_others");
    }
}

/// A secret that is one line.
fn line(source: &SecretSource, key: &str) -> Result<Zeroizing<String>, TransportError> {
    let (text, place) = read(source, MAX_BYTES).map_err(|message| wrong(key, &message))?;
    let text = Zeroizing::new(text.trim().to_owned());
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(wrong(key, &format!("{place} is empty, or has a control character in it")));
    }
    Ok(text)
}

fn key(
    source: &SecretSource,
    key: &str,
    at_most: usize,
    parse: fn(&str, String) -> Result<User, String>,
) -> Result<Pass, TransportError> {
    let user = read(source, at_most).and_then(|(text, place)| parse(&text, place));
    user.map(Pass::Key).map_err(|message| wrong(&key_of(source, key), &message))
}

/// The key as the configuration has it, so that a finding stands at its line.
fn key_of(source: &SecretSource, key: &str) -> String {
    format!("{key}{}", if matches!(source, SecretSource::Env(_)) { "_env" } else { "_file" })
}

fn wrong(key: &str, message: &str) -> TransportError {
    TransportError::new(ErrorKind::Misconfigured, format!("{key}: {message}"))
}

/// A secret, and where it is.
fn read(source: &SecretSource, at_most: usize) -> Result<(Zeroizing<String>, String), String> {
    match source {
        SecretSource::File(path) => Ok((from_file(path, at_most)?, format!("the file {}", path.display()))),
        SecretSource::Env(name) => {
            let place = format!("the environment variable {name}");
            match std::env::var(name) {
                Ok(text) => Ok((Zeroizing::new(text), place)),
                Err(_) => Err(format!("{place} is not set, or is not text")),
            }
        }
        _ => Err("is in a place that is not supported here".into()),
    }
}

fn from_file(path: &PathBuf, at_most: usize) -> Result<Zeroizing<String>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
    let bytes = Zeroizing::new(bytes);
    if bytes.len() > at_most {
        return Err(format!("the file {} is too large for a secret: is it the right one?", path.display()));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(format!("the file {} is not text", path.display())),
    }
}
