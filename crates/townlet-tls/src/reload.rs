//! Renewed files, taken up while the program runs.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::error::{TlsError, TlsErrorKind};
use crate::files::{Files, Seen};
use crate::origin::{CERT_FILE, Origin};
use crate::{ClientTls, ServerTls};

/// A certificate with fewer days left than this is reported once a day.
pub const EXPIRING_DAYS: i64 = 14;

/// At most one look at the files in this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(86_400);

/// A configuration that follows its files.
///
/// It has no thread: whoever owns it calls [`check`](Self::check) now and then,
/// at least once a second where renewals must count within two. What was
/// changed is read, built and checked as a whole before it replaces anything: a
/// certificate that is damaged, expired, not valid yet, or without the key that
/// belongs to it (because the key's file is not written yet) leaves the
/// configuration as it was. `now` is the clock by which certificates are judged.
///
/// Connections are not touched. Sessions are not resumed across a change, so
/// that the next handshake with anybody shows and checks certificates anew.
///
/// Each change is logged: `telemetry_tls_reloaded`, `telemetry_tls_reload_failed`,
/// and `telemetry_tls_certificate_expiring` once a day below [`EXPIRING_DAYS`].
///
/// ```no_run
/// use std::time::SystemTime;
/// use townlet_tls::{Reload, ReloadCheck, ServerOptions, ServerTls};
///
/// let loaded = ServerTls::load(&ServerOptions::new("server.pem", "server.key"))?;
/// let mut reload = Reload::server(loaded);
/// // … every second:
/// if reload.check(SystemTime::now()) == ReloadCheck::Reloaded {
///     let next_handshakes = reload.current().clone();
/// }
/// # Ok::<(), townlet_tls::TlsError>(())
/// ```
pub struct Reload<T> {
    current: T,
    side: &'static str,
    origin: fn(&T) -> &Origin,
    build: fn(&T, Files) -> Result<T, TlsError>,
    /// The files at the last look, whether or not they could be used.
    seen: Seen,
    looked_at: Option<SystemTime>,
    warned_at: Option<SystemTime>,
    status: ReloadStatus,
}

/// What a [`check`](Reload::check) found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReloadCheck {
    /// The last look was less than a second ago.
    TooSoon,
    /// The files are as they were.
    Unchanged,
    /// New files are in use from now on.
    Reloaded,
    /// The files are again those that are in use, after others that were not usable.
    Restored,
    /// The files changed and cannot be used: [`ReloadStatus::reload_error`] says
    /// why. What was loaded before stays in use.
    Failed,
}

/// What became of the changes so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadStatus {
    /// When new files were last taken into use; none before the first time.
    pub last_reload_at: Option<SystemTime>,
    /// Why the files as they are now cannot be used; none where they are in use.
    pub reload_error: Option<ReloadError>,
    /// Times that new files were taken into use.
    pub reloads_total: u64,
    /// Changes of the files that could not be used.
    pub reload_failures_total: u64,
}

/// Why changed files are not in use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadError {
    /// What to act on.
    pub kind: TlsErrorKind,
    /// The file, what is wrong with it, and what to do.
    pub message: String,
    /// Since when the files cannot be used.
    pub since: SystemTime,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Reload<ClientTls> {
    /// Follows the files that a client was loaded from.
    pub fn client(loaded: ClientTls) -> Self {
        Self::new(loaded, "client", ClientTls::origin, ClientTls::rebuild)
    }
}

impl Reload<ServerTls> {
    /// Follows the files that a server was loaded from.
    pub fn server(loaded: ServerTls) -> Self {
        Self::new(loaded, "server", ServerTls::origin, ServerTls::rebuild)
    }
}

impl<T> Reload<T> {
    fn new(
        current: T,
        side: &'static str,
        origin: fn(&T) -> &Origin,
        build: fn(&T, Files) -> Result<T, TlsError>,
    ) -> Self {
        let seen = origin(&current).seen.clone();
        let status = ReloadStatus::default();
        Self { current, side, origin, build, seen, looked_at: None, warned_at: None, status }
    }

    /// Looks whether the files changed, at most once a second, and takes them
    /// into use where they did. Where they did not it costs one `stat` a file.
    /// A clock that was set back makes it look at once.
    pub fn check(&mut self, now: SystemTime) -> ReloadCheck {
        if within(self.looked_at, now, LOOK_EVERY) {
            return ReloadCheck::TooSoon;
        }
        self.check_now(now)
    }

    /// As [`check`](Self::check), however recent the last look is: for the one
    /// who has just met a certificate that does not fit.
    pub fn check_now(&mut self, now: SystemTime) -> ReloadCheck {
        self.looked_at = Some(now);
        let found = self.look(now);
        self.warn_if_expiring(now);
        found
    }

    /// What the next handshake is to use.
    pub fn current(&self) -> &T {
        &self.current
    }

    /// What became of the changes so far.
    pub fn status(&self) -> &ReloadStatus {
        &self.status
    }

    /// Until when our own certificate in use (or the first of its chain to end) is
    /// good; `None` where there is none, or its dates cannot be read.
    pub fn good_until(&self) -> Option<SystemTime> {
        (self.origin)(&self.current).good_until()
    }

    /// Whole days until our own certificate expires, negative once it has;
    /// `None` where there is none or its dates cannot be read.
    pub fn days_to_expiry(&self, now: SystemTime) -> Option<i64> {
        (self.origin)(&self.current).days_to_expiry(now)
    }

    fn look(&mut self, now: SystemTime) -> ReloadCheck {
        let origin = (self.origin)(&self.current);
        // Only this one goes away without a change of the files.
        let may_pass = self.status.reload_error.as_ref().is_some_and(|error| error.kind == TlsErrorKind::NotYetValid);
        if !may_pass && self.seen.is_certainly_current(&origin.sources) {
            return ReloadCheck::Unchanged;
        }
        let files = Files::read(&origin.sources);
        let before = std::mem::replace(&mut self.seen, files.seen().clone());
        let changed = !self.seen.has_content_of(&before);
        if !changed && !may_pass {
            return ReloadCheck::Unchanged;
        }
        if self.seen.has_content_of(&origin.seen) {
            return self.restored();
        }
        match (self.build)(&self.current, files).and_then(|new| self.acceptable(new, now)) {
            Ok(new) => self.reloaded(new, now),
            Err(error) => self.failed(&error, changed, now),
        }
    }

    /// A build proves that the files parse and that key and chain belong
    /// together. Dates are judged where the chain is new: an authority may be
    /// replaced while a certificate that nobody asks for is out of date.
    fn acceptable(&self, new: T, now: SystemTime) -> Result<T, TlsError> {
        let (old, origin) = ((self.origin)(&self.current), (self.origin)(&new));
        match &origin.own {
            Some(own) if !origin.seen.has_file_of(&old.seen, CERT_FILE) => own.check(now)?,
            _ => {}
        }
        Ok(new)
    }

    fn reloaded(&mut self, new: T, now: SystemTime) -> ReloadCheck {
        self.current = new;
        self.status.last_reload_at = Some(now);
        self.status.reloads_total += 1;
        self.status.reload_error = None;
        self.warned_at = None;
        let files = Shown((self.origin)(&self.current));
        match self.days_to_expiry(now) {
            Some(days) => tracing::info!(side = self.side, %files, days_to_expiry = days, "telemetry_tls_reloaded"),
            None => tracing::info!(side = self.side, %files, "telemetry_tls_reloaded"),
        }
        ReloadCheck::Reloaded
    }

    fn restored(&mut self) -> ReloadCheck {
        if self.status.reload_error.take().is_none() {
            return ReloadCheck::Unchanged;
        }
        let files = Shown((self.origin)(&self.current));
        tracing::info!(side = self.side, %files, restored = true, "telemetry_tls_reloaded");
        ReloadCheck::Restored
    }

    fn failed(&mut self, error: &TlsError, changed: bool, now: SystemTime) -> ReloadCheck {
        let (kind, message) = (error.kind(), error.to_string());
        let known = self.status.reload_error.as_ref();
        if !changed && known.is_some_and(|known| known.kind == kind && known.message == message) {
            return ReloadCheck::Unchanged;
        }
        tracing::error!(side = self.side, %kind, %error, in_use = "the one loaded before", "telemetry_tls_reload_failed");
        let since = known.map_or(now, |known| known.since);
        self.status.reload_failures_total += 1;
        self.status.reload_error = Some(ReloadError { kind, message, since });
        ReloadCheck::Failed
    }

    fn warn_if_expiring(&mut self, now: SystemTime) {
        let Some(days) = self.days_to_expiry(now).filter(|days| *days < EXPIRING_DAYS) else { return };
        if within(self.warned_at, now, DAY) {
            return;
        }
        self.warned_at = Some(now);
        let path = (self.origin)(&self.current).own.as_ref().map(|own| own.path.display().to_string());
        let certificate = path.unwrap_or_default();
        tracing::warn!(side = self.side, certificate, days_to_expiry = days, "telemetry_tls_certificate_expiring");
    }
}

impl<T> fmt::Debug for Reload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload")
            .field("side", &self.side)
            .field("files", &(self.origin)(&self.current).sources)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// The paths of a configuration's files, for a log.
struct Shown<'a>(&'a Origin);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, source) in self.0.sources.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { "," }, source.path.display())?;
        }
        Ok(())
    }
}

/// True where `now` lies less than `span` after `then`; a clock that was set
/// back is not within.
fn within(then: Option<SystemTime>, now: SystemTime, span: Duration) -> bool {
    then.is_some_and(|then| now.duration_since(then).is_ok_and(|age| age < span))
}
