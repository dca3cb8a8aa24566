//! The server's certificates, up to date with their files.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use std::{io, thread};

use townlet_tls::{Reload, ReloadCheck, ReloadStatus, ServerTls};

use crate::report::CertificateReport;

/// How often the watcher asks for a look. A look happens at most once a second;
/// asking more often keeps a change from waiting for nearly two.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What handshakes use and reports read. Files are read by the watcher alone, so
/// that a slow file system holds up neither.
pub(super) struct Certificates {
    published: Mutex<Published>,
}

struct Published {
    tls: ServerTls,
    status: ReloadStatus,
}

/// Dropping it ends the watcher.
pub(super) struct Watcher {
    _ends: Sender<()>,
}

impl Certificates {
    /// Publishes `tls`, and follows its files on a thread of its own.
    pub(super) fn follow(tls: &ServerTls) -> io::Result<(Arc<Self>, Watcher)> {
        let published = Published { tls: tls.clone(), status: ReloadStatus::default() };
        let certificates = Arc::new(Self { published: Mutex::new(published) });
        let (ends, end) = mpsc::channel();
        let mut reload = Reload::server(tls.clone());
        let to = Arc::clone(&certificates);
        thread::Builder::new().name("townlet-certs".to_owned()).spawn(move || {
            loop {
                to.refresh(&mut reload, SystemTime::now());
                if end.recv_timeout(ASK_EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok((certificates, Watcher { _ends: ends }))
    }

    fn refresh(&self, reload: &mut Reload<ServerTls>, now: SystemTime) {
        if matches!(reload.check(now), ReloadCheck::TooSoon | ReloadCheck::Unchanged) {
            return;
        }
        let mut published = self.published();
        published.tls = reload.current().clone();
        published.status = reload.status().clone();
    }

    /// What the next handshake uses.
    pub(super) fn current(&self) -> ServerTls {
        self.published().tls.clone()
    }

    pub(super) fn report(&self, now: SystemTime) -> CertificateReport {
        let published = self.published();
        let status = &published.status;
        let millis = |at: SystemTime| {
            at.duration_since(SystemTime::UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_millis()).ok())
        };
        CertificateReport {
            days_to_expiry: published.tls.days_to_expiry(now),
            last_reload_at: status.last_reload_at.and_then(millis),
            reload_error: status.reload_error.as_ref().map(ToString::to_string),
            reloads_total: status.reloads_total,
            reload_failures_total: status.reload_failures_total,
        }
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
