//! What the peer is shown to let us in, up to date with its file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use townlet_transport::{Auth, ErrorKind, SecretSource, TransportError};

use crate::headers;
use crate::secret::{Place, Secret};

/// At most one look at the file in this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The header that lets us in.
#[derive(Clone, Debug)]
pub(crate) enum Pass {
    Bearer(Arc<Secret>),
    Basic(Arc<str>, Arc<Secret>),
    /// As one text, which has been read once without a fault.
    Headers(Arc<Secret>),
}

/// Credentials that follow their file, as tokens of a platform are renewed.
#[derive(Debug)]
pub(crate) struct Credentials {
    key: &'static str,
    source: SecretSource,
    pass: Pass,
    looked_at: Option<Instant>,
    /// True while the file cannot be used, so that this is logged once.
    stuck: bool,
}

impl Credentials {
    pub(crate) fn load(auth: &Auth) -> Result<Self, TransportError> {
        let wrong = |what: &str| TransportError::new(ErrorKind::Misconfigured, what);
        let (key, source) = match auth {
            Auth::Bearer(source) => ("auth.bearer", source),
            Auth::Basic(_, source) => ("auth.password", source),
            Auth::Headers(source) => ("auth.headers", source),
            _ => return Err(wrong("auth is of a kind that is not supported here")),
        };
        let secret = Arc::new(Secret::read(source, key)?);
        let pass = match auth {
            Auth::Basic(user, _) if user.is_empty() || user.contains(':') || user.contains(char::is_control) => {
                return Err(wrong("auth.user must not be empty nor contain a colon: Basic cannot carry that"));
            }
            Auth::Basic(user, _) => Pass::Basic(user.as_str().into(), secret),
            Auth::Headers(_) => {
                headers::pairs(secret.reveal()).map_err(|what| wrong(&format!("{key}: {}: {what}", Place(source))))?;
                Pass::Headers(secret)
            }
            _ => Pass::Bearer(secret),
        };
        Ok(Self { key, source: source.clone(), pass, looked_at: None, stuck: false })
    }

    pub(crate) fn pass(&self) -> Pass {
        self.pass.clone()
    }

    /// Looks at the file, at most once a second.
    pub(crate) fn refresh(&mut self, now: Instant) {
        if self.looked_at.is_none_or(|then| now.duration_since(then) >= LOOK_EVERY) {
            self.reread(now);
        }
    }

    /// Reads the file again; true where there is something else in it. What
    /// cannot be used leaves in use what was.
    pub(crate) fn reread(&mut self, now: Instant) -> bool {
        self.looked_at = Some(now);
        if !matches!(self.source, SecretSource::File(_)) {
            return false;
        }
        let read = Secret::read(&self.source, self.key).and_then(|new| match &self.pass {
            Pass::Headers(_) => match headers::pairs(new.reveal()) {
                Ok(_) => Ok(new),
                Err(what) => Err(TransportError::new(ErrorKind::Misconfigured, what)),
            },
            _ => Ok(new),
        });
        let new = match read {
            Ok(new) => new,
            Err(error) => {
                if !std::mem::replace(&mut self.stuck, true) {
                    tracing::warn!(%error, in_use = "the one read before", "telemetry_http_credentials_unusable");
                }
                return false;
            }
        };
        self.stuck = false;
        let (Pass::Bearer(current) | Pass::Basic(_, current) | Pass::Headers(current)) = &mut self.pass;
        if **current == new {
            return false;
        }
        *current = Arc::new(new);
        tracing::info!(source = %Place(&self.source), "telemetry_http_credentials_renewed");
        true
    }
}
